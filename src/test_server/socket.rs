//! One accepted TCP connection, and the unread byte that makes a reset possible.
//!
//! While a reset is planned anywhere (`armed`), a read hands out all bytes but leaves the last
//! one *held*: it stays in the system's buffer and is consumed before the next read. Closing a
//! socket with unread bytes resets the connection; closing it after `settle` ends it in order.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

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
        self.0.read(buf)
    }
}

impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&self.0.stream).write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.stream.fmt(f)
    }
}

/// A socket as its connection's thread, the wrapper and the server's stop share it. Only the
/// connection's thread reads.
pub(super) struct Line {
    stream: TcpStream,
    /// Whether some reply of the server resets; the server's, not this line's.
    armed: Arc<AtomicBool>,
    /// Whether the last byte handed out is still in the system's buffer.
    held: AtomicBool,
    /// Whether the held byte is to stay there when the socket closes.
    reset: AtomicBool,
}

impl Line {
    pub(super) fn new(stream: TcpStream, armed: Arc<AtomicBool>) -> Self {
        // Answers are written whole; waiting for more would only cost. If it fails, so be it.
        let _ = stream.set_nodelay(true);
        Self { stream, armed, held: AtomicBool::new(false), reset: AtomicBool::new(false) }
    }

    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.settle()?;
        // A reset may be planned while this thread sleeps here, so the bytes must not be
        // consumed by the call that waits for them.
        if self.stream.peek(&mut [0])? == 0 {
            return Ok(0);
        }
        if !self.armed.load(Ordering::SeqCst) {
            return (&self.stream).read(buf);
        }
        let count = self.stream.peek(buf)?;
        if count > 0 {
            (&self.stream).read_exact(&mut buf[..count - 1])?;
            self.held.store(true, Ordering::SeqCst);
        }
        Ok(count)
    }

    /// Consumes the held byte.
    fn settle(&self) -> io::Result<()> {
        if self.held.swap(false, Ordering::SeqCst) {
            (&self.stream).read_exact(&mut [0])?;
        }
        Ok(())
    }

    /// Whether closing now would reset.
    pub(super) fn can_reset(&self) -> bool {
        self.held.load(Ordering::SeqCst)
    }

    /// Makes the coming close a reset.
    pub(super) fn reset_on_close(&self) {
        self.reset.store(true, Ordering::SeqCst);
    }

    /// Ends both directions at once and wakes whoever is blocked on the socket.
    pub(super) fn shut_down(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Reads and forgets until the other side closes or this one is shut down.
    pub(super) fn wait_for_end(&self) {
        let _ = self.settle();
        self.discard(u64::MAX);
    }

    /// Ends our direction and forgets what still comes, so that an answer given before its
    /// request was read to the end is not overtaken by a reset.
    pub(super) fn close_in_order(&self) {
        let _ = self.settle();
        let _ = self.stream.shutdown(Shutdown::Write);
        let _ = self.stream.set_read_timeout(Some(Duration::from_millis(500)));
        self.discard(256 << 20);
    }

    fn discard(&self, mut budget: u64) {
        let mut bytes = [0; 8 << 10];
        while budget > 0 {
            match (&self.stream).read(&mut bytes) {
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
        if !self.reset.load(Ordering::SeqCst) {
            let _ = self.settle();
        }
    }
}
