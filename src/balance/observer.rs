//! Being told how endpoints fare, as it happens.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::stats::Why;

/// Is told when an endpoint's state changes; set with
/// [`BalanceConfig::observer`](super::BalanceConfig::observer).
///
/// It is called on the thread whose call changed the state, without a lock, and must not block. A panic
/// is caught, and logged.
pub trait EndpointObserver: Send + Sync {
    /// An endpoint of a balancer, both by their names, has changed.
    fn changed(&self, balancer: &Arc<str>, endpoint: &Arc<str>, change: &EndpointChange);
}

/// A change of an endpoint's state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndpointChange {
    /// It gets no calls for a while.
    #[non_exhaustive]
    Rests {
        /// For how long.
        rest: Duration,
        /// Why.
        why: Why,
    },
    /// It should rest, but too many do; told once until it is well.
    #[non_exhaustive]
    Stays {
        /// Why it should.
        why: Why,
    },
    /// It is in service again.
    Back,
    /// Its [adaptive](super::Adaptive) cap shrank.
    #[non_exhaustive]
    Capped {
        /// Most calls at one time from now on.
        max_in_use: usize,
        /// Why, in words.
        why: Arc<str>,
    },
}

impl EndpointChange {
    /// The change in one or two words, without why.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Rests { .. } => "rests",
            Self::Stays { .. } => "stays",
            Self::Back => "back",
            Self::Capped { .. } => "capped",
        }
    }
}

impl fmt::Display for EndpointChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rests { rest, why } => write!(f, "rests for {rest:.1?}: {why}"),
            Self::Stays { why } => write!(f, "fails, but stays in service, as others rest: {why}"),
            Self::Back => f.write_str("is back in service"),
            Self::Capped { max_in_use, why } => {
                write!(f, "at most {max_in_use} at one time: {why}")
            }
        }
    }
}

impl fmt::Debug for dyn EndpointObserver {
    /// No more than that it is one: it may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EndpointObserver")
    }
}
