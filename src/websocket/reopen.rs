//! Opening lost sockets again, by a few threads of their own: it has to wait for the network.

use std::thread;

use super::away::By;
use super::books::{Place, Reopen};
use super::conn::Conn;
use super::connect::open;
use super::error::CloseReason;
use super::shared::{Shared, pause};
use crate::caught::{caught, one_line, say};

impl Shared {
    /// Starts a thread for each lost socket that is due, while more may be had.
    pub(super) fn reopen_lost(&self) {
        loop {
            let Some(shared) = self.me.upgrade() else { return };
            let now = self.config.clock.now();
            let mut books = self.books.lock();
            let Some(lost) = books.take_lost(now) else { return };
            drop(books);
            let (id, serial, tries) = (lost.id.clone(), lost.serial, lost.tries);
            let request = lost.request.clone();
            let named = thread::Builder::new().name("llm-pool-websocket".into());
            if let Err(error) = named.spawn(move || shared.reopen_each(lost)) {
                let mut books = self.books.lock();
                books.reopened(&request);
                if let Some(entry) = books.of(&id, serial) {
                    entry.place = Place::Lost(tries, Some(now.after(self.config.read_interval)));
                }
                drop(books);
                say!(
                    Warn,
                    { event = "no_thread", reason:% = error },
                    "cannot start a thread to open a socket again: {error}"
                );
                return;
            }
        }
    }

    /// Goes on as long as any is due.
    fn reopen_each(&self, mut lost: Reopen) {
        loop {
            let request = lost.request.clone();
            // All of it is ours, but a thread that panics must not keep its place.
            let _ = caught(|| self.reopen(lost));
            let mut books = self.books.lock();
            books.reopened(&request);
            let next = books.take_lost(self.config.clock.now());
            drop(books);
            match next {
                Some(next) => lost = next,
                None => {
                    // Who is due later: the background has to know.
                    return self.hasten(super::shared::FIRST_LOOK);
                }
            }
        }
    }

    fn reopen(&self, lost: Reopen) {
        let opened = caught(|| open(&self.agents, &lost.request, &self.config, &self.traffic));
        let opened = match opened {
            Ok(Ok(conn)) => Ok(conn),
            Ok(Err(error)) => Err(error.to_string()),
            Err(said) => Err(said),
        };
        match opened {
            Ok(conn) => self.is_back(&lost, conn),
            Err(error) => self.failed(&lost, &one_line(&error)),
        }
    }

    fn is_back(&self, lost: &Reopen, conn: Box<Conn>) {
        let Reopen { id, serial, .. } = lost;
        let now = self.config.clock.now();
        let mut books = self.books.lock();
        let closed = books.closed;
        let Some(entry) = books.of(id, *serial) else {
            drop(books);
            return self.come_home(conn, closed, By::Lease);
        };
        entry.open(conn, now);
        books.opened = books.opened.saturating_add(1);
        drop(books);
        let name = &self.config.name;
        say!(
            Info,
            { event = "socket_back", sockets = **name, socket = **id },
            "{name}: the socket {id:?} is open again"
        );
        self.tell(|observer| observer.reconnected(name, id));
    }

    fn failed(&self, lost: &Reopen, error: &str) {
        let Reopen { id, serial, tries, .. } = lost;
        let Some(reconnect) = &self.config.reconnect else { return };
        let tries = tries.saturating_add(1);
        let next = reconnect.max_tries.is_none_or(|max| tries < max);
        let now = self.config.clock.now();
        let mut books = self.books.lock();
        books.reconnects_failed = books.reconnects_failed.saturating_add(1);
        let Some(entry) = books.of(id, *serial) else { return };
        let next = next.then(|| pause(reconnect, tries.saturating_add(entry.short_lived())));
        match next {
            Some(pause) => entry.place = Place::Lost(tries, Some(now.after(pause))),
            None => drop(books.remove(id, CloseReason::Lost)),
        }
        drop(books);
        let name = &self.config.name;
        match next {
            Some(pause) => {
                let secs = pause.as_secs_f64();
                say!(
                    Debug,
                    {
                        event = "reconnect_failed",
                        sockets = **name,
                        socket = **id,
                        tries = tries,
                        pause = secs,
                        reason = *error
                    },
                    "{name}: cannot open the socket {id:?} again: {error}; tries again in {pause:.1?}"
                );
            }
            None => say!(
                Warn,
                {
                    event = "socket_given_up",
                    sockets = **name,
                    socket = **id,
                    tries = tries,
                    reason = *error
                },
                "{name}: the socket {id:?} is given up after {tries} tries: {error}"
            ),
        }
        self.tell(|observer| observer.reconnect_failed(name, id, error, next));
    }
}
