//! What the lock of a registry guards: which socket is where, who waits for it, and the counts.
//!
//! Does no input or output and calls nobody. It is told the time, and what it lets go of it hands
//! back: a connection is closed, an observer told and a waiter's error made off the lock.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Condvar;
use tungstenite::Message as Wire;

use super::config::WhenFull;
use super::conn::Conn;
use super::error::{CloseReason, Ending};
use super::going::Closing;
use super::outbox::Outbox;
use super::request::ConnectRequest;
use crate::Histogram;
use crate::clock::Time;

/// By id. Guarded by the one lock.
#[derive(Default)]
pub(super) struct Books {
    pub(super) entries: HashMap<Arc<str>, Entry>,
    pub(super) closing: Vec<Closing>,
    pub(super) closed: bool,
    pub(super) in_use: usize,
    /// With the background or a broadcast for moments, those that are closing included.
    pub(super) away: usize,
    /// The background looks at these again soon: pinged, or with more to read or to send.
    pub(super) awaited: HashSet<Arc<str>>,
    /// When to look for them, and for answers to closes, again.
    pub(super) look_after: Duration,
    /// What the threads are at that open lost sockets again, one each.
    reopening: Vec<Arc<ConnectRequest>>,
    pub(super) waiting: usize,
    pub(super) next_read: Option<Time>,
    pub(super) next_check: Option<Time>,
    pub(super) opened: u64,
    pub(super) reconnects_failed: u64,
    pub(super) closed_by: [u64; CloseReason::ALL.len()],
    pub(super) round_trips: Histogram,
    /// Numbers sockets, places in queues, and uses, in the order in which they came.
    last_number: u64,
}

/// One id's.
pub(super) struct Entry {
    /// Tells this socket from an earlier or later one of the same id.
    pub(super) serial: u64,
    pub(super) place: Place,
    /// Who waits, the first in front.
    waiters: VecDeque<Waiter>,
    last_used: Time,
    last_use: u64,
    /// When it was last opened, and how often before it did not last.
    opened_at: Time,
    short_lived: u32,
    /// How to open it again.
    pub(super) request: Option<Arc<ConnectRequest>>,
    /// What is broadcast while the connection is out.
    pub(super) outbox: Outbox,
}

/// Where a connection is: in exactly one place.
pub(super) enum Place {
    Idle(Box<Conn>),
    /// With a lease.
    InUse,
    /// With the background or a broadcast, for moments.
    Attended,
    /// There is none: it is opened for the first time.
    Opening,
    /// There is none: it was lost, and so many tries were in vain. `None` while a try is made.
    Lost(u32, Option<Time>),
}

struct Waiter {
    number: u64,
    signal: Arc<Condvar>,
}

/// A place in the queue of one id.
pub(super) struct Ticket {
    number: u64,
    pub(super) signal: Arc<Condvar>,
}

/// Why no id could be had.
pub(super) enum NoRoom {
    Duplicate,
    Full,
    Closed,
}

/// What a look for a socket finds.
pub(super) enum Found {
    Conn(Box<Conn>, u64),
    Wait,
    Unknown,
}

/// A connection that was let go of, to be closed.
pub(super) struct LetGo {
    pub(super) id: Arc<str>,
    pub(super) conn: Option<Box<Conn>>,
    pub(super) reason: CloseReason,
}

impl Books {
    pub(super) fn number(&mut self) -> u64 {
        self.last_number = self.last_number.wrapping_add(1);
        self.last_number
    }

    /// Makes room for a new socket of this id. Gives its serial, and what went for it.
    pub(super) fn reserve(
        &mut self,
        id: &Arc<str>,
        (max, when_full, replace): (usize, WhenFull, bool),
        now: Time,
    ) -> Result<(u64, Option<LetGo>), NoRoom> {
        if self.closed {
            return Err(NoRoom::Closed);
        }
        let serial = self.number();
        if let Some(entry) = self.entries.get_mut(id) {
            if !replace {
                return Err(NoRoom::Duplicate);
            }
            let was = entry.renew(serial, now);
            return Ok((serial, Some(self.let_go(id.clone(), was, CloseReason::Replaced))));
        }
        let mut let_go = None;
        if self.entries.len() >= max {
            if when_full == WhenFull::Refuse {
                return Err(NoRoom::Full);
            }
            let may_go = self.entries.iter().filter(|(_, entry)| entry.may_be_evicted());
            let oldest = may_go.min_by_key(|(_, entry)| entry.last_use).map(|(id, _)| id.clone());
            let oldest = oldest.ok_or(NoRoom::Full)?;
            let_go = self.remove(&oldest, CloseReason::Evicted);
        }
        self.entries.insert(id.clone(), Entry::new(serial, now));
        Ok((serial, let_go))
    }

    /// The entry of this socket, unless it was removed or replaced.
    pub(super) fn of(&mut self, id: &str, serial: u64) -> Option<&mut Entry> {
        self.entries.get_mut(id).filter(|entry| entry.serial == serial)
    }

    /// What was broadcast while this socket's connection was out, which is to go to it.
    pub(super) fn take_outbox(&mut self, id: &str, serial: u64, conn: &Conn) -> Vec<Wire> {
        let entry = self.of(id, serial);
        entry.map(|entry| entry.outbox.take(conn.unsent_bytes())).unwrap_or_default()
    }

    /// Takes an id out, and wakes all who wait for it.
    pub(super) fn remove(&mut self, id: &str, reason: CloseReason) -> Option<LetGo> {
        let (id, entry) = self.entries.remove_entry(id)?;
        entry.wake_all();
        Some(self.let_go(id, entry.place, reason))
    }

    fn let_go(&mut self, id: Arc<str>, place: Place, reason: CloseReason) -> LetGo {
        if matches!(place, Place::InUse) {
            self.in_use = self.in_use.saturating_sub(1);
        }
        if !matches!(place, Place::Opening | Place::Lost(..)) {
            self.count_end(reason);
        }
        let conn = match place {
            Place::Idle(conn) => Some(conn),
            _ => None,
        };
        LetGo { id, conn, reason }
    }

    /// Takes a socket for a lease, if it is this caller's turn; else gives the caller a place in the
    /// queue.
    pub(super) fn take(&mut self, id: &str, ticket: &mut Option<Ticket>) -> Found {
        let number = self.number();
        let Some(entry) = self.entries.get_mut(id) else { return Found::Unknown };
        if entry.is_first(ticket.as_ref()) {
            match std::mem::replace(&mut entry.place, Place::InUse) {
                Place::Idle(conn) => {
                    self.in_use = self.in_use.saturating_add(1);
                    entry.leave(ticket.as_ref());
                    return Found::Conn(conn, entry.serial);
                }
                other => entry.place = other,
            }
        }
        let here = ticket.as_ref().is_some_and(|it| entry.ahead_of(it).is_some());
        if !here {
            let signal = Arc::new(Condvar::new());
            entry.waiters.push_back(Waiter { number, signal: signal.clone() });
            *ticket = Some(Ticket { number, signal });
        }
        Found::Wait
    }

    /// Gives a place in the queue up. Says what the socket does, and how many were ahead.
    pub(super) fn give_up(&mut self, id: &str, ticket: &Ticket) -> (&'static str, usize) {
        let Some(entry) = self.entries.get_mut(id) else { return ("was removed", 0) };
        let ahead = entry.ahead_of(ticket).unwrap_or(0);
        entry.leave(Some(ticket));
        // Whoever is next may have been passed over for this one.
        entry.wake();
        (entry.place.doing(), ahead)
    }

    /// Whether a new socket of this id would cost another its place.
    pub(super) fn displaces(
        &self,
        id: &str,
        (max, when_full, replace): (usize, WhenFull, bool),
    ) -> bool {
        if self.entries.contains_key(id) {
            return replace;
        }
        let evicts = self.entries.len() >= max && when_full == WhenFull::EvictIdle;
        evicts && self.entries.values().any(Entry::may_be_evicted)
    }

    /// Whether this caller is the next to have a socket that is away for moments.
    pub(super) fn is_next(&self, id: &str, ticket: &Ticket) -> bool {
        self.entries.get(id).is_some_and(|entry| {
            matches!(entry.place, Place::Attended) && entry.is_first(Some(ticket))
        })
    }

    /// Takes a socket that is idle and nobody waits for, for moments.
    pub(super) fn take_idle(&mut self, id: &str) -> Option<(Box<Conn>, u64)> {
        let entry = self.entries.get_mut(id).filter(|entry| entry.is_free())?;
        match std::mem::replace(&mut entry.place, Place::Attended) {
            Place::Idle(conn) => {
                self.away = self.away.saturating_add(1);
                Some((conn, entry.serial))
            }
            other => {
                entry.place = other;
                None
            }
        }
    }

    /// Counts the pongs of a connection that comes back.
    pub(super) fn count_pongs(&mut self, conn: &mut Conn) {
        conn.take_round_trips().for_each(|time| self.round_trips.add(time));
    }

    pub(super) fn count_end(&mut self, reason: CloseReason) {
        let at = CloseReason::ALL.iter().position(|one| *one == reason);
        if let Some(count) = at.and_then(|at| self.closed_by.get_mut(at)) {
            *count = count.saturating_add(1);
        }
    }

    /// Ids that nobody has used for so long, neither held nor waited for.
    pub(super) fn unused(&self, limit: Duration, now: Time) -> Vec<Arc<str>> {
        let is_unused = |entry: &Entry| {
            let may_go = matches!(entry.place, Place::Idle(_) | Place::Lost(_, Some(_)));
            may_go && entry.waiters.is_empty() && now.since(entry.last_used) >= limit
        };
        let unused = self.entries.iter().filter(|(_, entry)| is_unused(entry));
        unused.map(|(id, _)| id.clone()).collect()
    }

    /// Takes the lost socket that is due first, to be opened again, if a thread may be had for it.
    pub(super) fn take_lost(&mut self, now: Time) -> Option<Reopen> {
        let (id, _) = self.first_lost().filter(|(_, due)| *due <= now)?;
        let entry = self.entries.get_mut(&id)?;
        let Place::Lost(tries, _) = entry.place else { return None };
        let request = entry.request.clone()?;
        entry.place = Place::Lost(tries, None);
        self.reopening.push(request.clone());
        Some(Reopen { id, serial: entry.serial, tries, request })
    }

    /// A thread has done with this.
    pub(super) fn reopened(&mut self, request: &Arc<ConnectRequest>) {
        if let Some(at) = self.reopening.iter().position(|one| Arc::ptr_eq(one, request)) {
            self.reopening.swap_remove(at);
        }
    }

    /// When the next lost socket is to be opened again. Those that have to wait for a thread are
    /// not seen: whoever ends takes the next.
    pub(super) fn next_lost(&self) -> Option<Time> {
        self.first_lost().map(|(_, due)| due)
    }

    fn first_lost(&self) -> Option<(Arc<str>, Time)> {
        if self.closed || self.reopening.len() >= MOST_THREADS {
            return None;
        }
        let due = |entry: &Entry| match entry.place {
            Place::Lost(_, due) => due,
            _ => None,
        };
        let lost = self.entries.iter().filter_map(|(id, entry)| Some((id, entry, due(entry)?)));
        let may = |request: &Arc<ConnectRequest>| {
            let of_host =
                self.reopening.iter().filter(|one| one.authority() == request.authority());
            of_host.count() < MOST_OF_A_HOST
        };
        let may = lost.filter(|(_, entry, _)| entry.request.as_ref().is_some_and(may));
        let first = may.min_by_key(|(_, _, due)| *due);
        first.map(|(id, _, due)| (id.clone(), due))
    }
}

/// Threads of one registry that open lost sockets again; and those at one host, which may hang.
const MOST_THREADS: usize = 8;
const MOST_OF_A_HOST: usize = 4;

/// A lost socket that is to be opened again.
pub(super) struct Reopen {
    pub(super) id: Arc<str>,
    pub(super) serial: u64,
    pub(super) tries: u32,
    pub(super) request: Arc<ConnectRequest>,
}

impl Entry {
    fn new(serial: u64, now: Time) -> Self {
        Self {
            serial,
            place: Place::Opening,
            waiters: VecDeque::new(),
            last_used: now,
            last_use: serial,
            opened_at: now,
            short_lived: 0,
            request: None,
            outbox: Outbox::default(),
        }
    }

    /// A connection was opened.
    pub(super) fn open(&mut self, conn: Box<Conn>, now: Time) {
        self.opened_at = now;
        self.settle(conn);
    }

    /// The connection was lost, and all that was to go out through it. Says how often in a row one
    /// did not last for `enough` before.
    pub(super) fn lost(&mut self, enough: Duration, now: Time) -> u32 {
        self.outbox = Outbox::default();
        if now.since(self.opened_at) >= enough {
            self.short_lived = 0;
        }
        let before = self.short_lived;
        self.short_lived = before.saturating_add(1);
        before
    }

    /// How often in a row a connection did not last, before the one that was lost last.
    pub(super) fn short_lived(&self) -> u32 {
        self.short_lived.saturating_sub(1)
    }

    /// Becomes that of another socket. Who waits goes on waiting.
    fn renew(&mut self, serial: u64, now: Time) -> Place {
        let fresh = Self::new(serial, now);
        let waiters = std::mem::take(&mut self.waiters);
        let was = std::mem::replace(self, Self { waiters, ..fresh });
        was.place
    }

    /// It was used, at a time and as this use of all.
    pub(super) fn was_used(&mut self, now: Time, number: u64) {
        (self.last_used, self.last_use) = (now, number);
    }

    /// Idle, and nobody waits.
    fn is_free(&self) -> bool {
        matches!(self.place, Place::Idle(_)) && self.waiters.is_empty()
    }

    /// The same, or it will be in a moment.
    fn may_be_evicted(&self) -> bool {
        matches!(self.place, Place::Idle(_) | Place::Attended) && self.waiters.is_empty()
    }

    fn is_first(&self, ticket: Option<&Ticket>) -> bool {
        match self.waiters.front() {
            None => true,
            Some(first) => ticket.is_some_and(|ticket| ticket.number == first.number),
        }
    }

    fn ahead_of(&self, ticket: &Ticket) -> Option<usize> {
        self.waiters.iter().position(|waiter| waiter.number == ticket.number)
    }

    fn leave(&mut self, ticket: Option<&Ticket>) {
        if let Some(ticket) = ticket {
            self.waiters.retain(|waiter| waiter.number != ticket.number);
        }
    }

    /// Makes a connection idle, and wakes the first who waits.
    pub(super) fn settle(&mut self, conn: Box<Conn>) {
        self.place = Place::Idle(conn);
        self.wake();
    }

    fn wake(&self) {
        if let Some(first) = self.waiters.front() {
            first.signal.notify_one();
        }
    }

    pub(super) fn wake_all(&self) {
        for waiter in &self.waiters {
            waiter.signal.notify_one();
        }
    }
}

impl Place {
    fn doing(&self) -> &'static str {
        match self {
            Self::Idle(_) => "is idle",
            Self::Attended => "is looked after for a moment",
            Self::InUse => "is in use",
            Self::Opening => "is being opened",
            Self::Lost(..) => "was lost and is being opened again",
        }
    }
}

impl Ending {
    /// The end of one that was let go of.
    pub(super) fn of(let_go: &LetGo) -> Self {
        Self::bare(let_go.reason)
    }
}
