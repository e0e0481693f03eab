//! What is done in the background, by the process's one maintenance thread.
//!
//! A visit never waits. Sockets are taken one at a time, written to and read without blocking, and
//! put back; for a pong or for the answer to a close there is another visit soon. So a peer that is
//! slow or dead delays nobody, neither another socket's check nor a pool's.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::away::By;
use super::books::{Books, Place};
use super::conn::Conn;
use super::error::CloseReason;
use super::shared::{FIRST_LOOK, LAST_LOOK, Shared};
use super::stats::CheckReport;
use crate::pool::maintenance::Upkeep;

/// Without anything to do, the background comes all the same.
const LONGEST: Duration = Duration::from_secs(3600);

impl Upkeep for Shared {
    fn upkeep(self: Arc<Self>) -> Option<Duration> {
        self.visit(false);
        let mut books = self.books.lock();
        if books.closed && books.closing.is_empty() {
            return None;
        }
        let now = self.config.clock.now();
        let due = [books.next_read, books.next_check, books.next_lost()];
        let due = due.into_iter().flatten().min();
        let pause = due.map_or(LONGEST, |due| due.since(now)).min(LONGEST);
        Some(pause.min(books.next_look()).max(FIRST_LOOK))
    }
}

impl Books {
    /// When to look again for pongs, answers to closes, and peers that take what waits to be sent:
    /// less and less often.
    fn next_look(&mut self) -> Duration {
        if self.awaited.is_empty() && self.closing.is_empty() {
            self.look_after = FIRST_LOOK;
            return LONGEST;
        }
        let pause = self.look_after;
        self.look_after = pause.saturating_mul(2).min(LAST_LOOK);
        pause
    }
}

/// What a visit found one socket to be.
#[derive(PartialEq, Eq)]
enum Found {
    Well,
    /// Its pong is waited for.
    Awaits,
    Ended,
    /// Another looks after it, or broadcasts to it, for a moment: nothing was done with it.
    Busy,
    /// A holder has it, or there is none.
    Out,
}

impl Shared {
    /// Does all that is due; reads at once if it is to `hurry`.
    pub(super) fn visit(&self, hurry: bool) {
        let now = self.config.clock.now();
        let mut books = self.books.lock();
        let read = hurry || books.next_read.is_none_or(|at| at <= now);
        let check = books.next_check.is_some_and(|at| at <= now);
        if read {
            books.next_read = Some(now.after(self.config.read_interval));
        }
        if check {
            books.next_check = self.config.check_interval.map(|interval| now.after(interval));
            books.look_after = FIRST_LOOK;
        }
        let awaited = std::mem::take(&mut books.awaited);
        let ids: Vec<_> = if read || check {
            books.entries.keys().cloned().collect()
        } else {
            awaited.into_iter().collect()
        };
        let closing = std::mem::take(&mut books.closing);
        let taken = closing.len();
        books.away = books.away.saturating_add(taken);
        drop(books);

        let (mut awaited, mut busy) = (Vec::new(), Vec::new());
        self.attend_each(ids, check, |id, found| match found {
            Found::Awaits => awaited.push(id),
            Found::Busy => busy.push(id),
            Found::Well | Found::Ended | Found::Out => {}
        });
        // Most of these are back by now.
        self.attend_each(busy, check, |id, found| {
            if matches!(found, Found::Awaits | Found::Busy) {
                awaited.push(id);
            }
        });
        let still: Vec<_> = closing
            .into_iter()
            .filter_map(|mut it| (!it.go_on() && now < it.until).then_some(it))
            .collect();
        let mut books = self.books.lock();
        books.away = books.away.saturating_sub(taken);
        books.awaited.extend(awaited);
        books.closing.extend(still);
        let unused = self.config.idle_timeout.map(|limit| books.unused(limit, now));
        let reason = CloseReason::Unused;
        let gone = unused.unwrap_or_default();
        let gone: Vec<_> = gone.iter().filter_map(|id| books.remove(id, reason)).collect();
        drop(books);
        self.see_off(gone);
        self.reopen_lost();
    }

    /// Pings all that are idle and waits for their pongs.
    pub(super) fn check(&self) -> CheckReport {
        let mut unpinged: Vec<_> = self.books.lock().entries.keys().cloned().collect();
        let (mut report, mut awaited) = (CheckReport::default(), Vec::new());
        let mut pause = Duration::from_micros(100);
        loop {
            let mut still = Vec::new();
            self.attend_each(std::mem::take(&mut awaited), false, |id, found| match found {
                Found::Awaits | Found::Busy => still.push(id),
                Found::Well => report.answered += 1,
                Found::Ended => report.ended += 1,
                Found::Out => report.left_alone += 1,
            });
            let mut busy = Vec::new();
            self.attend_each(unpinged, true, |id, found| match found {
                Found::Awaits => {
                    report.checked += 1;
                    still.push(id);
                }
                Found::Ended => {
                    report.checked += 1;
                    report.ended += 1;
                }
                Found::Busy => busy.push(id),
                Found::Out | Found::Well => report.left_alone += 1,
            });
            (awaited, unpinged) = (still, busy);
            if awaited.is_empty() && unpinged.is_empty() {
                return report;
            }
            thread::sleep(pause);
            pause = pause.saturating_mul(2).min(LAST_LOOK);
        }
    }

    /// Reads and writes what can be without waiting, of those of the sockets that nobody has.
    fn attend_each(&self, ids: Vec<Arc<str>>, ping: bool, mut found: impl FnMut(Arc<str>, Found)) {
        for id in ids {
            let attend = |conn: &mut Conn| {
                conn.attend();
                if ping {
                    conn.ping();
                }
                conn.judge();
                match (conn.ending().is_some(), conn.awaits_pong()) {
                    (true, _) => Found::Ended,
                    (_, true) => Found::Awaits,
                    _ => Found::Well,
                }
            };
            let elsewhere = |books: &mut Books| match books.entries.get(&id).map(|it| &it.place) {
                Some(Place::Attended) => Found::Busy,
                // Another visit saw to it that the pong never came.
                None | Some(Place::Lost(..)) if !ping => Found::Ended,
                _ => Found::Out,
            };
            let what = self.with_idle(&id, By::Background, attend, elsewhere);
            let what = what.unwrap_or_else(|what| what);
            found(id, what);
        }
    }
}
