//! One accepted TCP connection, and how it ends: in order, or with a reset.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;

/// What the server reads requests from and writes answers to. Every `Read + Write + Send` is
/// one: a [`Socket`], or a TLS stream around it.
pub trait Connection: Read + Write + Send {}

impl<T: Read + Write + Send> Connection for T {}

/// The server's end of an accepted TCP connection, for
/// [`TestServerBuilder::wrap`](super::TestServerBuilder::wrap). It closes when it is dropped and
/// its connection's thread is done with it.
pub struct Socket(pub(super) Arc<Line>);

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&self.0.0).read(buf)
    }
}

impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&self.0.0).write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.0.fmt(f)
    }
}

/// A socket as its connection's thread, the wrapper and the server's stop share it. It closes
/// in order, with whoever drops it last, unless it was told to reset.
pub(super) struct Line(TcpStream);

impl Line {
    pub(super) fn new(stream: TcpStream) -> Self {
        // Answers are written whole; waiting for more would only cost. If it fails, so be it.
        let _ = stream.set_nodelay(true);
        Self(stream)
    }

    /// Makes the coming close a reset. No `shutdown` may come between, for that says an orderly
    /// end first.
    pub(super) fn reset_on_close(&self) {
        // Lingering for no time at all is how a socket is told to reset.
        if let Err(error) = SockRef::from(&self.0).set_linger(Some(Duration::ZERO)) {
            log::debug!("test server: a reset will be an ordinary close: {error}");
        }
    }

    /// Ends both directions at once and wakes whoever is blocked on the socket.
    pub(super) fn shut_down(&self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }

    /// Reads and forgets until the other side closes or this one is shut down.
    pub(super) fn wait_for_end(&self) {
        self.discard(u64::MAX);
    }

    /// Ends our direction and forgets what still comes, so that an answer given before its
    /// request was read to the end is not overtaken by a reset.
    pub(super) fn close_in_order(&self) {
        let _ = self.0.shutdown(Shutdown::Write);
        let _ = self.0.set_read_timeout(Some(Duration::from_millis(500)));
        self.discard(256 << 20);
    }

    fn discard(&self, mut budget: u64) {
        let mut bytes = [0; 8 << 10];
        while budget > 0 {
            match (&self.0).read(&mut bytes) {
                Ok(0) => return,
                Ok(count) => budget = budget.saturating_sub(count as u64),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // A socket that closes over unread bytes resets, so what is there already is forgotten.
        if self.0.set_nonblocking(true).is_ok() {
            self.discard(64 << 20);
        }
    }
}
