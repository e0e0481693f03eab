//! What the pool lends: an agent that knows its lease.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
#[cfg(feature = "chat")]
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::Shared;
use super::deadline::Deadline;
#[cfg(feature = "chat")]
use super::last::Last;
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
    stop: Arc<Stop>,
    #[cfg(feature = "chat")]
    last: Last,
    #[cfg(feature = "chat")]
    totals: Arc<Totals>,
}

impl PooledAgent {
    pub(super) fn new(shared: &Shared, totals: &Arc<Totals>) -> Self {
        let deadline = Deadline::none();
        let total_timeout = shared.config.total_timeout;
        let stop = Arc::<Stop>::default();
        #[cfg(feature = "chat")]
        let last = Last::default();
        let watch = Watch {
            deadline: deadline.clone(),
            total_timeout,
            totals: totals.clone(),
            #[cfg(feature = "chat")]
            stop: stop.clone(),
            #[cfg(feature = "chat")]
            last: last.clone(),
        };
        let config = shared.config.with_middleware(&shared.ureq, watch);
        let (connector, resolver) = (shared.connector.of(stop.clone()), shared.resolver.clone());
        let agent = ureq::Agent::with_parts(config, connector, resolver);
        Self {
            agent,
            deadline,
            stop,
            #[cfg(feature = "chat")]
            last,
            #[cfg(feature = "chat")]
            totals: totals.clone(),
        }
    }

    /// What is left of the deadline of the lease, zero once it has passed; `None` without one.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.until().remaining()
    }

    /// What ends a request of this agent from another thread, as on Ctrl-C.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper { agent: self.agent.clone(), stop: self.stop.clone() }
    }

    /// Whether a [`Stopper`] stopped it.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.is_set()
    }

    /// Where its requests are counted.
    #[cfg(feature = "chat")]
    pub(crate) fn totals(&self) -> &Arc<Totals> {
        &self.totals
    }

    /// Sleeps, for `pause` or until the agent is stopped.
    #[cfg(feature = "chat")]
    pub(crate) fn pause(&self, pause: Duration) {
        self.stop.pause(pause);
    }

    /// The agent alone, free of any deadline; its requests are still counted. For one that was
    /// [detached](crate::Lease::detach) from its pool, and would else keep the deadline of its last
    /// lease for good.
    #[must_use]
    pub fn into_agent(self) -> ureq::Agent {
        self.deadline.set(None);
        self.agent
    }

    /// Begins a lease, with what is left until its deadline if it has one.
    #[inline]
    pub(super) fn lend(&self, remaining: Option<Duration>) {
        self.deadline.set(remaining);
        #[cfg(feature = "chat")]
        self.last.clear();
    }

    /// How the last request of the lease went, to be read also after it has ended.
    #[cfg(feature = "chat")]
    pub(crate) fn last(&self) -> &Last {
        &self.last
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

/// Ends the requests of one agent, from any thread; made by [`PooledAgent::stopper`].
///
/// Its thread finds the call, or the reading of the answer, failed and goes on, commonly by giving
/// its lease back. An agent that was stopped makes no more requests, so its pool evicts it when it
/// comes back. What is not ended is a look-up of a name and the opening of a connection, which have
/// their own time-outs.
///
/// ```no_run
/// use llm_pool::agent::{AgentConfig, AgentManager};
/// use llm_pool::{Pool, PoolConfig};
///
/// let pool = Pool::new(PoolConfig::default(), AgentManager::new(AgentConfig::default())?)?;
/// let agent = pool.get()?;
/// let stopper = agent.stopper();
/// std::thread::spawn(move || {
///     // wait for a signal, then
///     stopper.stop();
/// });
/// agent.get("https://api.example.com/slow").call()?; // fails once stopped
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Stopper {
    agent: ureq::Agent,
    stop: Arc<Stop>,
}

impl Stopper {
    /// Closes the agent's connections under whoever uses them. Does not block; doing it twice is
    /// doing it once.
    pub fn stop(&self) {
        self.stop.set();
        self.agent.clone().shutdown();
    }
}

impl fmt::Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stopped = self.stop.is_set();
        f.debug_struct("Stopper").field("stopped", &stopped).finish_non_exhaustive()
    }
}

/// Whether an agent was stopped, for those that do not look at its connections.
#[derive(Default)]
pub(super) struct Stop {
    is_set: AtomicBool,
    /// Guards nothing: it makes setting and pausing take turns.
    turn: Mutex<()>,
    set: Condvar,
}

impl Stop {
    // Relaxed: it guards no other memory.
    pub(super) fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Relaxed)
    }

    fn set(&self) {
        self.is_set.store(true, Ordering::Relaxed);
        drop(self.turn.lock());
        self.set.notify_all();
    }

    #[cfg(feature = "chat")]
    fn pause(&self, pause: Duration) {
        let Some(until) = Instant::now().checked_add(pause) else { return };
        let mut turn = self.turn.lock();
        while !self.is_set() && !self.set.wait_until(&mut turn, until).timed_out() {}
    }
}
