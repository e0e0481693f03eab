//! A connection's socket, with one deadline for what is being read or written.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An accepted socket as its thread reads and writes it.
pub(super) struct Line {
    socket: Arc<TcpStream>,
    /// When the present wait ends, whatever comes until then.
    deadline: Instant,
    /// Whether that was passed.
    overdue: bool,
}

impl Line {
    pub(super) fn new(socket: Arc<TcpStream>) -> Self {
        // Answers are written whole; waiting for more would only cost. If it fails, so be it.
        let _ = socket.set_nodelay(true);
        Self { socket, deadline: Instant::now(), overdue: false }
    }

    /// Gives what comes next, reading or writing, so long in all.
    pub(super) fn allow(&mut self, time: Duration) {
        self.deadline = after(time);
        self.overdue = false;
    }

    /// Waits until something can be read; says whether there is.
    pub(super) fn wait_for_more(&mut self) -> bool {
        loop {
            let Ok(left) = self.left() else { return false };
            if self.socket.set_read_timeout(Some(left)).is_err() {
                return false;
            }
            match self.socket.peek(&mut [0]) {
                Ok(count) => return count > 0,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    /// Whether the last that was allowed took too long.
    pub(super) fn is_overdue(&self) -> bool {
        self.overdue
    }

    /// Ends our direction and forgets what still comes, for a moment, so that an answer given before
    /// its request was read to the end is not overtaken by a reset.
    pub(super) fn close_in_order(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Write);
        self.allow(Duration::from_millis(500));
        let mut bytes = [0; 4 << 10];
        let mut budget = 1_usize << 20;
        while let Ok(count @ 1..) = self.read(&mut bytes) {
            let Some(left) = budget.checked_sub(count) else { return };
            budget = left;
        }
    }

    fn left(&mut self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            self.overdue = true;
            return Err(ErrorKind::TimedOut.into());
        }
        // Some systems take less for no limit.
        Ok(left.max(Duration::from_millis(1)))
    }

    /// What a system says of a socket's time limit.
    fn noted<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            self.overdue |= matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        }
        result
    }
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left()?;
        self.socket.set_read_timeout(Some(left))?;
        let read = (&*self.socket).read(buffer);
        self.noted(read)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.left()?;
        self.socket.set_write_timeout(Some(left))?;
        let written = (&*self.socket).write(bytes);
        self.noted(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// So far in the future, and a day at most.
fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time.min(Duration::from_secs(24 * 3600))).unwrap_or(now)
}
