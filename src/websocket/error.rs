//! What can go wrong with a socket, and why one was closed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::caught::one_line;

/// Why something could not be done with a socket or a registry.
///
/// None shows a header, the query of a URL or a message. Errors of one connection
/// ([`ends_socket`](Self::ends_socket)) leave all others as they are.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebSocketError {
    /// A socket needs an id.
    #[error("the id of a socket is empty; give it a name")]
    EmptyId,
    /// It has no socket of this id, or not any more.
    #[error("{registry}: there is no socket {id:?}")]
    #[non_exhaustive]
    Unknown {
        /// The registry's name.
        registry: Arc<str>,
        /// Which one was asked for.
        id: Arc<str>,
    },
    /// There is a socket of this id.
    #[error("{registry}: there is a socket {id:?} already; remove it first, or set `replace`")]
    #[non_exhaustive]
    Duplicate {
        /// The registry's name.
        registry: Arc<str>,
        /// Which one.
        id: Arc<str>,
    },
    /// There are as many sockets as may be.
    #[error(
        "{registry}: there are {max} sockets, of which {in_use} are in use, and no more may be; \
         raise `max_connections`, remove some, or set `when_full`"
    )]
    #[non_exhaustive]
    Full {
        /// The registry's name.
        registry: Arc<str>,
        /// `max_connections`.
        max: usize,
        /// How many of them are in use.
        in_use: usize,
    },
    /// The registry was closed.
    #[error("{registry}: closed")]
    #[non_exhaustive]
    Closed {
        /// The registry's name.
        registry: Arc<str>,
    },
    /// Another holds the socket, or it is being opened, for longer than the caller would wait.
    #[error(
        "{registry}: waited {waited:.1?} for the socket {id:?}, which {doing}; {ahead} were ahead"
    )]
    #[non_exhaustive]
    WaitTimedOut {
        /// The registry's name.
        registry: Arc<str>,
        /// Which one was asked for.
        id: Arc<str>,
        /// For how long.
        waited: Duration,
        /// What it does meanwhile.
        doing: &'static str,
        /// Who would have had it before.
        ahead: usize,
    },
    /// The socket is being opened.
    #[error("{registry}: the socket {id:?} is being opened")]
    #[non_exhaustive]
    NotOpen {
        /// The registry's name.
        registry: Arc<str>,
        /// Which one.
        id: Arc<str>,
    },
    /// The URL or what goes with it cannot be used.
    #[error("cannot connect to {url}: {what}")]
    #[non_exhaustive]
    BadUrl {
        /// As much of it as may be shown.
        url: String,
        /// What is wrong.
        what: String,
    },
    /// There was no way to the host: DNS or TCP.
    #[error("cannot connect to {url}: {what}")]
    #[non_exhaustive]
    Unreachable {
        /// As much of it as may be shown.
        url: String,
        /// What the system says.
        what: String,
    },
    /// TLS failed, such as because the certificate does not verify.
    #[error("cannot connect to {url}: tls: {what}")]
    #[non_exhaustive]
    Tls {
        /// As much of it as may be shown.
        url: String,
        /// What is wrong.
        what: String,
    },
    /// The server answers, but not by opening a WebSocket.
    #[error("cannot connect to {url}: the server answers with status {status}: {body}")]
    #[non_exhaustive]
    Refused {
        /// As much of it as may be shown.
        url: String,
        /// Of HTTP.
        status: u16,
        /// The start of the answer's body, on one line.
        body: String,
    },
    /// What the server or client says is no handshake of RFC 6455.
    #[error("cannot connect to {url}: no WebSocket handshake: {what}")]
    #[non_exhaustive]
    Handshake {
        /// As much of it as may be shown; of a client that came, its address.
        url: String,
        /// What is wrong.
        what: String,
    },
    /// It was not open within `connect_timeout`.
    #[error("cannot connect to {url}: not done within {limit:.1?} (`connect_timeout`)")]
    #[non_exhaustive]
    ConnectTimedOut {
        /// As much of it as may be shown.
        url: String,
        /// The setting.
        limit: Duration,
    },
    /// Nothing came in time. The socket stays as it is, and a message that has come in part is not
    /// lost.
    #[error("nothing came within {waited:.1?}")]
    #[non_exhaustive]
    ReceiveTimedOut {
        /// How long was waited.
        waited: Duration,
    },
    /// The message is larger than `write_buffer_size`. It was not sent, and the socket stays as it is.
    #[error("the message has {size} bytes, and {max} may be sent")]
    #[non_exhaustive]
    TooLarge {
        /// Its bytes.
        size: usize,
        /// What would go.
        max: usize,
    },
    /// So much waits to be sent to the peer that the message does not fit `write_buffer_size`. It was
    /// not sent, and the socket stays as it is.
    #[error("the peer is slow: what waits to be sent leaves no room for the message")]
    WriteBufferFull,
    /// The socket is closed, or closing, and why.
    #[error("the socket is closed: {0}")]
    Ended(Ending),
}

impl WebSocketError {
    /// Whether the socket it came from is of no more use.
    #[must_use]
    pub fn ends_socket(&self) -> bool {
        matches!(self, Self::Ended(_))
    }
}

/// How a socket came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ending {
    /// Why.
    pub reason: CloseReason,
    /// The code of the close, ours or the peer's, by RFC 6455, section 7.4; `None` without one.
    pub code: Option<u16>,
    /// More of why, on one line: what the peer said, or what was wrong.
    pub detail: Arc<str>,
}

impl Ending {
    pub(super) fn new(reason: CloseReason, code: Option<u16>, detail: &str) -> Self {
        Self { reason, code, detail: plain(detail).into() }
    }

    pub(super) fn bare(reason: CloseReason) -> Self {
        Self::new(reason, reason.code(), "")
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reason)?;
        if let Some(code) = self.code {
            write!(f, " (code {code})")?;
        }
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}

/// What a peer said, on one line and without what could move a cursor or turn text around.
pub(super) fn plain(words: &str) -> String {
    let turns = |c: char| matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let seen = |c: char| if c.is_control() || turns(c) { ' ' } else { c };
    one_line(words).chars().map(seen).collect()
}

/// Why a socket was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// It was removed, or its holder closed it.
    Removed,
    /// Another took its id.
    Replaced,
    /// It made room for another.
    Evicted,
    /// Nobody used it for `idle_timeout`.
    Unused,
    /// The registry was closed.
    RegistryClosed,
    /// The peer closed it.
    ByPeer,
    /// The connection broke.
    Lost,
    /// No pong came within `ping_timeout`.
    NoPong,
    /// The peer took too little within `write_timeout`.
    Stuck,
    /// The peer broke the protocol.
    Protocol,
    /// The peer sent a text that is not UTF-8.
    NotText,
    /// The peer sent more than `max_message_size` or `max_frame_size`.
    TooLarge,
    /// The peer sent more than `max_pings`.
    Flood,
}

impl CloseReason {
    /// All there are.
    pub const ALL: [Self; 13] = [
        Self::Removed,
        Self::Replaced,
        Self::Evicted,
        Self::Unused,
        Self::RegistryClosed,
        Self::ByPeer,
        Self::Lost,
        Self::NoPong,
        Self::Stuck,
        Self::Protocol,
        Self::NotText,
        Self::TooLarge,
        Self::Flood,
    ];

    /// The reason in a few words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Replaced => "replaced",
            Self::Evicted => "evicted",
            Self::Unused => "unused",
            Self::RegistryClosed => "registry closed",
            Self::ByPeer => "closed by the peer",
            Self::Lost => "lost",
            Self::NoPong => "no pong",
            Self::Stuck => "the peer does not read",
            Self::Protocol => "protocol broken",
            Self::NotText => "text that is not UTF-8",
            Self::TooLarge => "too large a message",
            Self::Flood => "too many pings",
        }
    }

    /// The code we close with, by RFC 6455, section 7.4.1.
    pub(super) fn code(self) -> Option<u16> {
        match self {
            Self::Removed | Self::Replaced | Self::Evicted | Self::Unused => Some(1000),
            Self::RegistryClosed => Some(1001),
            Self::Protocol => Some(1002),
            Self::NotText => Some(1007),
            Self::Flood | Self::NoPong | Self::Stuck => Some(1008),
            Self::TooLarge => Some(1009),
            Self::ByPeer | Self::Lost => None,
        }
    }

    /// Whether the same peer may well serve again.
    pub(super) fn is_loss(self) -> bool {
        matches!(self, Self::ByPeer | Self::Lost | Self::NoPong)
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
