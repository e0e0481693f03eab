//! How sockets come home, and how they go: put back, lost, removed, or closed with their registry.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::away::By;
use super::books::{LetGo, Place};
use super::conn::Conn;
use super::error::{CloseReason, Ending};
use super::shared::{FIRST_LOOK, LAST_LOOK, Shared, pause, soon};
use crate::caught::say;
use crate::clock::Time;
use crate::pool::maintenance;

/// A connection on its way out.
pub(super) struct Closing {
    conn: Box<Conn>,
    /// The good-bye, until it is said.
    unsaid: Option<Ending>,
    /// The peer has until then to answer.
    pub(super) until: Time,
}

impl Closing {
    /// Goes on with it, as far as that goes without waiting. True once it is done.
    pub(super) fn go_on(&mut self) -> bool {
        if let Some(ending) = self.unsaid.take() {
            self.conn.close(ending);
        }
        self.conn.poll_close()
    }
}

impl Shared {
    /// A lease ends, or a moment's use.
    pub(super) fn put_back(&self, id: &Arc<str>, mut conn: Box<Conn>, serial: u64, by: By) {
        if by == By::Lease {
            conn.was_held();
        }
        loop {
            let now = self.config.clock.coarse();
            let mut books = self.books.lock();
            books.count_pongs(&mut conn);
            let number = books.number();
            let closed = books.closed;
            let Some(entry) = books.of(id, serial) else {
                drop(books);
                return self.come_home(conn, closed, by);
            };
            if conn.ending().is_some() {
                drop(books);
                return self.lose(id, conn, serial, by);
            }
            let outbox = entry.outbox.take(conn.unsent_bytes());
            if !outbox.is_empty() {
                drop(books);
                for message in outbox {
                    // There is room for it, unless the connection has ended.
                    let _ = conn.queue(message);
                }
                continue;
            }
            if by != By::Background {
                entry.was_used(now, number);
            }
            let is_restless = conn.is_restless();
            entry.settle(conn);
            if by == By::Lease {
                books.in_use = books.in_use.saturating_sub(1);
            } else {
                books.away = books.away.saturating_sub(1);
            }
            if is_restless {
                books.awaited.insert(id.clone());
            }
            drop(books);
            if is_restless && by != By::Background {
                self.hasten(FIRST_LOOK);
            }
            return;
        }
    }

    /// The socket was removed or replaced while it was out.
    pub(super) fn come_home(&self, mut conn: Box<Conn>, closed: bool, by: By) {
        let reason = if closed { CloseReason::RegistryClosed } else { CloseReason::Removed };
        conn.close(Ending::bare(reason));
        self.linger(conn, by);
    }

    /// A connection has ended by itself: it is opened again, or its id goes.
    fn lose(&self, id: &Arc<str>, conn: Box<Conn>, serial: u64, by: By) {
        let ending = conn.ending().cloned();
        let ending = ending.unwrap_or_else(|| Ending::bare(CloseReason::Lost));
        let now = self.config.clock.now();
        let mut books = self.books.lock();
        let closed = books.closed;
        let Some(entry) = books.of(id, serial) else {
            drop(books);
            return self.come_home(conn, closed, by);
        };
        let may = ending.reason.is_loss() && entry.request.is_some();
        let again = self.config.reconnect.as_ref().filter(|_| may);
        let again = again.map(|how| pause(how, entry.lost(how.max_pause, now)));
        if let Some(pause) = again {
            let lost = Place::Lost(0, Some(now.after(pause)));
            if matches!(std::mem::replace(&mut entry.place, lost), Place::InUse) {
                books.in_use = books.in_use.saturating_sub(1);
            }
            books.count_end(ending.reason);
        } else {
            books.remove(id, ending.reason);
        }
        drop(books);
        self.linger(conn, by);
        self.tell_end(id, &ending, again.is_some());
        if let Some(pause) = again {
            self.hasten(pause);
        }
    }

    /// Closes what was taken out of the books.
    pub(super) fn see_off(&self, let_go: impl IntoIterator<Item = LetGo>) {
        for mut gone in let_go {
            let ending = Ending::of(&gone);
            if let Some(conn) = gone.conn.take() {
                // Whoever removes it need not wait for the system to have sent that.
                self.leave(conn, Some(ending.clone()), By::Lease);
            }
            self.tell_end(&gone.id, &ending, false);
        }
    }

    /// Leaves a connection that was said good-bye to to the background, unless it is done with.
    fn linger(&self, mut conn: Box<Conn>, by: By) {
        if !conn.poll_close() {
            self.leave(conn, None, by);
        } else if by != By::Lease {
            let mut books = self.books.lock();
            books.away = books.away.saturating_sub(1);
        }
    }

    /// Leaves a connection to the background, while there is one, which says good-bye if that is yet
    /// to be said.
    fn leave(&self, conn: Box<Conn>, unsaid: Option<Ending>, by: By) {
        let until = self.config.clock.now().after(self.config.close_timeout);
        let closing = Closing { conn, unsaid, until };
        let mut books = self.books.lock();
        if by != By::Lease {
            books.away = books.away.saturating_sub(1);
        }
        if books.closed && by == By::Lease && !maintenance::is_here() {
            drop(books);
            // Nobody else may be left to see it through.
            return self.see_out(vec![closing], false);
        }
        // As many as there may be sockets; the one whose time is over first goes without an answer.
        let gone = if books.closing.len() >= self.config.max_connections {
            let closing = books.closing.iter().enumerate();
            let first = closing.min_by_key(|(_, it)| it.until).map(|(at, _)| at);
            first.map(|at| books.closing.swap_remove(at))
        } else {
            None
        };
        // Who left one just before has had the background come.
        let comes = books.closing.last().is_some_and(|last| last.unsaid.is_some());
        books.closing.push(closing);
        books.look_after = FIRST_LOOK;
        drop(books);
        if let Some(mut gone) = gone {
            gone.go_on();
        }
        if !comes {
            self.hasten(FIRST_LOOK);
        }
    }

    /// Closes the registry, and waits for the peers to answer.
    pub(super) fn close(&self) {
        let mut books = self.books.lock();
        if books.closed {
            return;
        }
        books.closed = true;
        let ids: Vec<_> = books.entries.keys().cloned().collect();
        let reason = CloseReason::RegistryClosed;
        let gone: Vec<_> = ids.iter().filter_map(|id| books.remove(id, reason)).collect();
        drop(books);

        let mut closing = Vec::new();
        let until = self.config.clock.now().after(self.config.close_timeout);
        for gone in gone {
            let ending = Ending::of(&gone);
            if let Some(conn) = gone.conn {
                let mut it = Closing { conn, unsaid: Some(ending.clone()), until };
                if !it.go_on() {
                    closing.push(it);
                }
            }
            self.tell_end(&gone.id, &ending, false);
        }
        if maintenance::is_here() {
            // Pools wait for this thread; the answers are waited for by another.
            if let Some(shared) = self.me.upgrade() {
                let waiting = thread::Builder::new().name("llm-pool-websocket".into());
                let _ = waiting.spawn(move || shared.see_out(closing, true));
            }
        } else {
            self.see_out(closing, true);
        }
        let name = &self.config.name;
        say!(Debug, { event = "sockets_closed", sockets = **name }, "{name}: closed");
    }

    /// Waits until these have closed, and all others too if it is for `all`; for `close_timeout` at
    /// most.
    fn see_out(&self, mut closing: Vec<Closing>, all: bool) {
        let until = soon(self.config.close_timeout);
        let mut pause = FIRST_LOOK;
        loop {
            let mut out = 0;
            if all {
                // What others have in their hands comes there as well.
                let mut books = self.books.lock();
                out = books.away;
                closing.append(&mut books.closing);
            }
            closing.retain_mut(|it| !it.go_on());
            if closing.is_empty() && out == 0 || until <= Instant::now() {
                return;
            }
            thread::sleep(pause);
            pause = pause.saturating_mul(2).min(LAST_LOOK);
        }
    }
}
