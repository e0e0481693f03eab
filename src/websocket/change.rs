//! What becomes of a socket, as one value, for whoever keeps it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::error::{CloseReason, Ending};

/// What became of a socket: what a [`SocketObserver`](super::SocketObserver) is told, as an
/// [`EventLog`](crate::EventLog) keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SocketChange {
    /// It was added, or opened.
    Opened,
    /// We closed it while it was well, or its peer said good-bye.
    #[non_exhaustive]
    Closed {
        /// Why.
        ending: Ending,
    },
    /// It ended otherwise, or is opened again.
    #[non_exhaustive]
    Lost {
        /// Why.
        ending: Ending,
        /// Whether it will be opened again.
        reconnecting: bool,
    },
    /// It was lost, and is open again.
    Reconnected,
    /// It was lost, and a try to open it again failed.
    #[non_exhaustive]
    ReconnectFailed {
        /// What it said.
        message: Arc<str>,
        /// Before the next try.
        pause: Duration,
    },
    /// The same, and it was the last try.
    #[non_exhaustive]
    GivenUp {
        /// What it said.
        message: Arc<str>,
    },
}

impl SocketChange {
    pub(crate) fn ended(ending: &Ending, reconnecting: bool) -> Self {
        let ending = ending.clone();
        match reconnecting || !was_well(&ending) {
            true => Self::Lost { ending, reconnecting },
            false => Self::Closed { ending },
        }
    }

    pub(crate) fn reconnect_failed(message: &str, pause: Option<Duration>) -> Self {
        let message = message.into();
        match pause {
            Some(pause) => Self::ReconnectFailed { message, pause },
            None => Self::GivenUp { message },
        }
    }

    /// The change in one or two words, without why.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Closed { .. } => "closed",
            Self::Lost { .. } => "lost",
            Self::Reconnected => "reconnected",
            Self::ReconnectFailed { .. } => "reconnect failed",
            Self::GivenUp { .. } => "given up",
        }
    }
}

/// Whether nothing was wrong, with us or with the peer. 1000 and 1001 are the codes of a normal end
/// (RFC 6455, section 7.4.1), and none means the same.
fn was_well(ending: &Ending) -> bool {
    match ending.reason {
        CloseReason::Removed
        | CloseReason::Replaced
        | CloseReason::Evicted
        | CloseReason::Unused
        | CloseReason::RegistryClosed => true,
        CloseReason::ByPeer => matches!(ending.code, None | Some(1000 | 1001)),
        _ => false,
    }
}

/// What is said of a socket: "is open", without its name.
impl fmt::Display for SocketChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened => f.write_str("is open"),
            Self::Closed { ending } => write!(f, "was closed: {ending}"),
            Self::Lost { ending, reconnecting: false } => write!(f, "is gone: {ending}"),
            Self::Lost { ending, reconnecting: true } => {
                write!(f, "is gone and will be opened again: {ending}")
            }
            Self::Reconnected => f.write_str("is open again"),
            Self::ReconnectFailed { message, pause } => {
                write!(f, "cannot be opened again: {message}; tries again in {pause:.1?}")
            }
            Self::GivenUp { message } => write!(f, "is given up: {message}"),
        }
    }
}
