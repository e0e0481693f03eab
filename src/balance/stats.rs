//! What can be seen of a balancer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::outcome::Cause;

/// A balancer at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BalanceStats {
    /// The balancer's name.
    pub name: Arc<str>,
    /// Threads that wait in [`pick_within`](super::Balancer::pick_within).
    pub waiting: usize,
    /// Each endpoint, in the order they were given.
    pub endpoints: Vec<EndpointStats>,
}

/// An endpoint at one moment. `picks` is `successes`, failures, `abandoned` and `in_use` together.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EndpointStats {
    /// Its name.
    pub name: Arc<str>,
    /// How often it was picked, probes included.
    pub picks: u64,
    /// Calls reported as served.
    pub successes: u64,
    /// Calls reported as failed, by cause.
    pub failures: Failures,
    /// Picks dropped without a report.
    pub abandoned: u64,
    /// Picks neither reported nor dropped so far.
    pub in_use: usize,
    /// Most calls at one time, as of now if the cap is [adaptive](super::Adaptive); `None` for any
    /// number.
    pub max_in_use: Option<usize>,
    /// Calls that may begin now by the rate of requests; `None` if none is known.
    pub requests_left: Option<u64>,
    /// Tokens that may be used now; `None` if no rate of tokens is known.
    pub tokens_left: Option<u64>,
    /// How long until its rates let another call begin; `None` if they do.
    pub limited: Option<Duration>,
    /// The mean latency (EWMA) of the calls served, and of those that failed more slowly than that;
    /// older ones weigh less by [`decay`](super::BalanceConfig#structfield.decay). `None` before the
    /// first.
    pub latency: Option<Duration>,
    /// Half of the calls served in the last five to ten minutes took no longer; as this, the next
    /// two are off by a sixteenth at most.
    pub p50: Option<Duration>,
    /// 95 in 100 took no longer.
    pub p95: Option<Duration>,
    /// 99 in 100 took no longer.
    pub p99: Option<Duration>,
    /// How often it rested.
    pub rests: u64,
    /// Whether it is in service.
    pub health: Health,
    /// Why it rests or is probed; `None` while it is well.
    pub why: Option<Why>,
}

/// Failed calls, by cause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures([u64; Cause::ALL.len()]);

impl Failures {
    /// How many had this cause.
    #[must_use]
    pub fn of(&self, cause: Cause) -> u64 {
        self.0.get(cause as usize).copied().unwrap_or_default()
    }

    /// How many there were, client errors included.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(super) fn add(&mut self, cause: Cause) {
        if let Some(count) = self.0.get_mut(cause as usize) {
            *count += 1;
        }
    }
}

/// Whether an endpoint is in service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// In service.
    Well,
    /// At rest.
    #[non_exhaustive]
    Resting {
        /// How long still; zero when it waits for a call to probe it.
        remaining: Duration,
    },
    /// One call finds out whether it is well.
    Probing,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Well => f.write_str("well"),
            Self::Resting { remaining } => write!(f, "rests for {remaining:.1?}"),
            Self::Probing => f.write_str("is probed"),
        }
    }
}

/// Why an endpoint rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// A failure for which one is enough, or one with which the endpoint asked to be left alone.
    AtOnce(Cause),
    /// Too many failures.
    #[non_exhaustive]
    Ratio {
        /// How many, within the window.
        failed: u32,
        /// Of so many calls.
        of: u32,
        /// The cause of the last.
        last: Cause,
    },
    /// Too many failures one after another.
    #[non_exhaustive]
    InARow {
        /// How many.
        failed: u32,
        /// The cause of the last.
        last: Cause,
    },
    /// Its probe failed.
    Probe(Cause),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtOnce(cause) => write!(f, "{cause}"),
            Self::Ratio { failed, of, last } => write!(f, "{failed} of {of} failed, last: {last}"),
            Self::InARow { failed, last } => write!(f, "{failed} failed in a row, last: {last}"),
            Self::Probe(cause) => write!(f, "its probe failed: {cause}"),
        }
    }
}
