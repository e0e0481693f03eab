//! What the pool lends: an agent that knows its lease.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::deadline::Deadline;
use super::watch::{Totals, Watch};

/// An agent of [`AgentManager`](super::AgentManager). Derefs to [`ureq::Agent`].
///
/// A lease taken with [`Pool::get_within`](crate::Pool::get_within) has a deadline, and every
/// request of its agent keeps to it, in whatever way it is made, redirects and the reading of the
/// body included: it ends with [`ureq::Timeout::Global`] at the deadline if no other time-out ends
/// it before. A deadline that is further away than
/// [`total_timeout`](super::AgentConfig#structfield.total_timeout) stands in its place, and in that
/// of a total time-out that the request brings itself. A request that begins after the deadline
/// fails at once and sends nothing. A request is held to the deadline that its agent had when it
/// began; the next lease of the agent has its own, or none.
///
/// It is not `Clone`. The `ureq::Agent` in it is, but a clone shares the deadlines, and the
/// connection, of later leases.
pub struct PooledAgent {
    agent: ureq::Agent,
    deadline: Deadline,
}

impl PooledAgent {
    pub(super) fn new(shared: &Shared, totals: Arc<Totals>) -> Self {
        let deadline = Deadline::none();
        let total_timeout = shared.config.total_timeout;
        let watch = Watch { deadline: deadline.clone(), total_timeout, totals };
        let config = shared.config.with_middleware(&shared.ureq, watch);
        let (connector, resolver) = (shared.connector.clone(), shared.resolver.clone());
        Self { agent: ureq::Agent::with_parts(config, connector, resolver), deadline }
    }

    /// What is left of the deadline of the lease, zero once it has passed; `None` without one.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.until().remaining()
    }

    /// The agent alone, free of any deadline; its requests are still counted. For one that was
    /// [detached](crate::Lease::detach) from its pool, and would else keep the deadline of its last
    /// lease for good.
    #[must_use]
    pub fn into_agent(self) -> ureq::Agent {
        self.deadline.set(None);
        self.agent
    }

    #[inline]
    pub(super) fn lend(&self, remaining: Option<Duration>) {
        self.deadline.set(remaining);
    }
}

impl Deref for PooledAgent {
    type Target = ureq::Agent;

    #[inline]
    fn deref(&self) -> &ureq::Agent {
        &self.agent
    }
}

impl fmt::Debug for PooledAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledAgent").field("remaining", &self.remaining()).finish_non_exhaustive()
    }
}
