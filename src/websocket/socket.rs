//! A socket by itself: before it has a name, and what it may be doing.

use std::fmt;
use std::sync::{Arc, Weak};

use super::away::By;
use super::conn::Conn;
use super::shared::Shared;

/// An open WebSocket that is not yet in a registry. Its drop says good-bye, and leaves it to the
/// registry that opened it to wait for the answer.
pub struct Socket {
    /// There until it is added or dropped.
    conn: Option<Box<Conn>>,
    home: Weak<Shared>,
}

/// Which part a program has in a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It connected.
    Client,
    /// It was connected to.
    Server,
}

/// What a socket does. See [the states](super#states).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SocketState {
    /// It is being opened, for the first time or again.
    Connecting,
    /// Messages come and go.
    Open,
    /// We said good-bye, and wait for the peer's answer.
    ClosingByUs,
    /// The peer said good-bye, and our answer is on its way.
    ClosingByPeer,
    /// Nothing comes or goes any more.
    Closed,
}

impl Socket {
    pub(super) fn new(conn: Box<Conn>, home: &Arc<Shared>) -> Self {
        Self { conn: Some(conn), home: Arc::downgrade(home) }
    }

    pub(super) fn into_conn(mut self) -> Option<Box<Conn>> {
        self.conn.take()
    }

    /// What it does.
    #[must_use]
    pub fn state(&self) -> SocketState {
        self.conn.as_ref().map_or(SocketState::Closed, |conn| conn.state())
    }

    /// Which of the subprotocols that were [offered](super::ConnectRequest::subprotocol) the server chose.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.conn.as_ref()?.subprotocol.as_deref()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let (Some(conn), Some(home)) = (self.conn.take(), self.home.upgrade()) {
            let closed = home.books.lock().closed;
            home.come_home(conn, closed, By::Lease);
        }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("state", &self.state()).finish()
    }
}

impl SocketState {
    /// The state in a word or two.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Open => "open",
            Self::ClosingByUs => "closing by us",
            Self::ClosingByPeer => "closing by peer",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for SocketState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
