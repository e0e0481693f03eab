//! Sockets that are out of the books for moments, to be looked after or broadcast to.
//!
//! One at a time, so that whoever is told of its end finds all others in their places.

use std::sync::Arc;
use std::thread;

use super::books::Books;
use super::conn::Conn;
use super::error::CloseReason;
use super::shared::Shared;

/// Who had a socket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// A holder, or who opened it: may wait.
    Lease,
    /// Must not wait.
    Broadcast,
    /// Must not wait; and it is no use of the socket.
    Background,
}

impl Shared {
    /// Uses a socket that is idle and nobody waits for. With another, does `or_else` under the lock.
    pub(super) fn with_idle<R, E>(
        &self,
        id: &Arc<str>,
        by: By,
        use_it: impl FnOnce(&mut Conn) -> R,
        or_else: impl FnOnce(&mut Books) -> E,
    ) -> Result<R, E> {
        let mut books = self.books.lock();
        let Some((conn, serial)) = books.take_idle(id) else { return Err(or_else(&mut books)) };
        let left = books.take_outbox(id, serial, &conn);
        drop(books);
        let mut away = Away { shared: self, id, by, serial, conn: Some(conn) };
        // It is there until the drop.
        let Some(conn) = &mut away.conn else { return Err(or_else(&mut self.books.lock())) };
        // Broadcast while somebody was about to take it, who then did not.
        for message in left {
            let _ = conn.queue(message);
        }
        Ok(use_it(conn))
    }
}

/// Puts the socket back when it is dropped, which a panic, such as a logger's, does as well.
struct Away<'a> {
    shared: &'a Shared,
    id: &'a Arc<str>,
    by: By,
    serial: u64,
    conn: Option<Box<Conn>>,
}

impl Drop for Away<'_> {
    fn drop(&mut self) {
        let Some(mut conn) = self.conn.take() else { return };
        if thread::panicking() {
            conn.fail(CloseReason::Lost, "a panic in the midst of its use");
        }
        self.shared.put_back(self.id, conn, self.serial, self.by);
    }
}
