//! Why nothing could be picked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why [`pick`](super::Balancer::pick) or [`pick_within`](super::Balancer::pick_within) gave no
/// endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PickError {
    /// Every endpoint that the call has not tried rests, is probed or can take no more, or what it
    /// could have is for those who waited before.
    #[error("no endpoint of \"{name}\" is ready: {why}{}", Return(*earliest))]
    #[non_exhaustive]
    NoneReady {
        /// The balancer's name.
        name: Arc<str>,
        /// After how long, by time alone, the first rest is over or the first rate lets a call
        /// begin; `None` if no time can be told.
        earliest: Option<Duration>,
        /// What stands in the way.
        why: NotReady,
    },
    /// The call has tried every endpoint there is.
    #[error("the call has tried all {endpoints} endpoints of \"{name}\"")]
    #[non_exhaustive]
    AllTried {
        /// The balancer's name.
        name: Arc<str>,
        /// How many there are.
        endpoints: usize,
    },
}

/// Why no endpoint is ready: how many are not for which reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotReady {
    /// Endpoints that rest.
    pub resting: usize,
    /// Endpoints with a probe under way, each of which may be back at any time.
    pub probing: usize,
    /// Endpoints that serve as many calls as they may; each may have room at any time.
    pub full: usize,
    /// Endpoints at their rate of requests or tokens.
    pub limited: usize,
    /// Endpoints that are ready, for calls that waited before.
    pub promised: usize,
    /// Calls that waited before.
    pub ahead: usize,
}

impl NotReady {
    /// Whether room is what was wanting, of any endpoint: a rest takes longer.
    #[cfg(feature = "chat")]
    pub(crate) fn is_for_room(&self) -> bool {
        self.full + self.limited + self.promised > 0
    }

    /// Whether an endpoint may be ready before any time that can be told.
    pub(super) fn may_end_at_any_time(&self) -> bool {
        self.probing > 0 || self.full > 0 || self.promised > 0
    }
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (count, one, more) in [
            (self.resting, "rests", "rest"),
            (self.probing, "is probed", "are probed"),
            (self.full, "is full", "are full"),
            (self.limited, "is at its rate", "are at their rate"),
            (self.ahead, "call waits before", "calls wait before"),
        ] {
            if count > 0 {
                write!(f, "{between}{count} {}", if count == 1 { one } else { more })?;
                between = ", ";
            }
        }
        Ok(())
    }
}

struct Return(Option<Duration>);

impl fmt::Display for Return {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |earliest| write!(f, "; the first is ready in {earliest:.1?}"))
    }
}
