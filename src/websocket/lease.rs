//! The exclusive use of one socket.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::away::By;
use super::conn::Conn;
use super::error::{CloseReason, Ending, WebSocketError};
use super::message::Message;
use super::shared::{Shared, soon};
use super::{SocketState, WebSockets};

/// The exclusive use of one socket; its drop puts it back. That blocks only if the registry was closed
/// meanwhile: until the peer has answered, for up to `close_timeout`.
///
/// What came before, while nobody had it, comes first. A socket that ended goes from the registry
/// when it is put back, or is opened again if that is set.
#[must_use = "a lease is put back when it is dropped"]
pub struct SocketLease {
    shared: Arc<Shared>,
    id: Arc<str>,
    serial: u64,
    /// There until the drop.
    conn: Option<Box<Conn>>,
}

impl SocketLease {
    pub(super) fn new(
        registry: &WebSockets,
        id: &str,
        timeout: Duration,
    ) -> Result<Self, WebSocketError> {
        let shared = registry.shared.clone();
        let (id, conn, serial) = shared.take(id, timeout)?;
        Ok(Self { shared, id, serial, conn: Some(conn) })
    }

    /// The socket's id.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// What the socket does. It is as it was at the last use: a peer that hung up since is seen by
    /// the next.
    #[must_use]
    pub fn state(&self) -> SocketState {
        self.conn.as_ref().map_or(SocketState::Closed, |conn| conn.state())
    }

    /// Which of the subprotocols that were [offered](super::ConnectRequest::subprotocol) the server chose.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.conn.as_ref()?.subprotocol.as_deref()
    }

    /// Sends a message. Blocks until the system has it, for as long as the peer goes on reading; one
    /// that takes too little within `write_timeout` ends the socket. What comes meanwhile is kept for
    /// [`receive`](Self::receive), up to `max_kept`.
    ///
    /// # Errors
    /// [`TooLarge`](WebSocketError::TooLarge) and [`WriteBufferFull`](WebSocketError::WriteBufferFull) leave the
    /// socket as it is; [`Ended`](WebSocketError::Ended) says why it is of no more use.
    pub fn send(&mut self, message: impl Into<Message>) -> Result<(), WebSocketError> {
        let message = message.into().into_wire();
        self.conn()?.send(message)
    }

    /// The next message. Blocks until there is one, for at most `timeout`; zero does not wait.
    /// Pings of the peer are answered meanwhile.
    ///
    /// # Errors
    /// [`ReceiveTimedOut`](WebSocketError::ReceiveTimedOut), after which it can be called again and nothing
    /// is lost, or [`Ended`](WebSocketError::Ended).
    pub fn receive(&mut self, timeout: Duration) -> Result<Message, WebSocketError> {
        let until = (!timeout.is_zero()).then(|| soon(timeout));
        let message = self.conn()?.receive(until)?;
        message.ok_or(WebSocketError::ReceiveTimedOut { waited: timeout })
    }

    /// The next message, if it has come, as far as 256 KiB are read at one time. Does not block.
    ///
    /// # Errors
    /// [`Ended`](WebSocketError::Ended).
    pub fn try_receive(&mut self) -> Result<Option<Message>, WebSocketError> {
        self.conn()?.receive(None)
    }

    /// Sends a ping, and says how long its pong took. Blocks for at most `ping_timeout`; messages
    /// that come meanwhile are kept for [`receive`](Self::receive), up to `max_kept`.
    ///
    /// # Errors
    /// [`ReceiveTimedOut`](WebSocketError::ReceiveTimedOut) without a pong, or if too much came before it;
    /// the socket stays as it is. [`WriteBufferFull`](WebSocketError::WriteBufferFull),
    /// [`Ended`](WebSocketError::Ended).
    pub fn ping(&mut self) -> Result<Duration, WebSocketError> {
        let waited = self.shared.config.ping_timeout;
        let took = self.conn()?.round_trip(soon(waited))?;
        took.ok_or(WebSocketError::ReceiveTimedOut { waited })
    }

    /// Closes the socket and removes it. Does not block: the background waits for the peer's answer.
    pub fn close(mut self) {
        if let Some(conn) = &mut self.conn {
            conn.close(Ending::bare(CloseReason::Removed));
        }
    }

    /// The connection, once what was broadcast meanwhile has been sent.
    fn conn(&mut self) -> Result<&mut Conn, WebSocketError> {
        let none = || WebSocketError::Ended(Ending::bare(CloseReason::Lost));
        let conn = self.conn.as_mut().ok_or_else(none)?;
        for message in self.shared.take_outbox(&self.id, self.serial, conn) {
            let _ = conn.queue(message);
        }
        Ok(conn)
    }
}

impl Drop for SocketLease {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            self.shared.put_back(&self.id, conn, self.serial, By::Lease);
        }
    }
}

impl fmt::Debug for SocketLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("SocketLease").field("id", &self.id).field("state", &state).finish()
    }
}
