//! Why nothing could be picked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why [`pick`](super::Balancer::pick) or [`pick_within`](super::Balancer::pick_within) gave no
/// endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PickError {
    /// Every endpoint that the call has not tried rests, or waits for the result of its probe.
    #[error("no endpoint of \"{name}\" is well{}", Return(*earliest, *probing))]
    #[non_exhaustive]
    NoneWell {
        /// The balancer's name.
        name: Arc<str>,
        /// After how long the first rest is over; `None` if none is under way but the probes.
        earliest: Option<Duration>,
        /// How many endpoints have a probe under way, each of which may bring its endpoint back at
        /// any time.
        probing: usize,
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

struct Return(Option<Duration>, usize);

impl fmt::Display for Return {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(earliest) = self.0 {
            write!(f, "; the first returns in {earliest:.1?}")?;
        }
        if self.1 > 0 {
            write!(f, "; probes under way: {}", self.1)?;
        }
        Ok(())
    }
}
