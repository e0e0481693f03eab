//! What the handles and leases of one registry share: the lock, and what is done around it.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::away::By;
use super::books::{Books, Found, NoRoom, Ticket};
use super::config::{Reconnect, WebSocketConfig, WhenFull};
use super::conn::Conn;
use super::error::{CloseReason, Ending, WebSocketError};
use super::observer::SocketObserver;
use super::request::ConnectRequest;
use super::stats::Traffic;
use crate::agent::AgentManager;
use crate::caught::{caught, one_line, say};
use crate::pool::maintenance::{self, Upkeep};

/// See the page of the module.
pub(super) struct Shared {
    pub(super) config: WebSocketConfig,
    pub(super) agents: AgentManager,
    pub(super) traffic: Arc<Traffic>,
    /// See there for what it guards. Nothing is sent, read, looked up, told or logged under it.
    pub(super) books: Mutex<Books>,
    pub(super) me: Weak<Shared>,
}

impl Shared {
    pub(super) fn new(config: WebSocketConfig, agents: AgentManager) -> Arc<Self> {
        let now = config.clock.now();
        let mut books = Books::default();
        books.next_read = Some(now.after(config.read_interval));
        books.next_check = config.check_interval.map(|interval| now.after(interval));
        let (books, traffic) = (Mutex::new(books), Arc::default());
        Arc::new_cyclic(|me| Self { config, agents, traffic, books, me: me.clone() })
    }

    /// Has the background come within this time.
    pub(super) fn hasten(&self, pause: Duration) {
        if self.config.clock.is_system() {
            let me: Weak<dyn Upkeep> = self.me.clone();
            maintenance::hasten(&me, pause);
        }
    }

    // ---- Coming ----

    /// Whether a new socket of this id would cost another its place.
    pub(super) fn displaces(&self, id: &str) -> bool {
        self.books.lock().displaces(id, self.terms())
    }

    fn terms(&self) -> (usize, WhenFull, bool) {
        let WebSocketConfig { max_connections, when_full, replace, .. } = self.config;
        (max_connections, when_full, replace)
    }

    /// Gets an id for a socket that is to be opened.
    pub(super) fn reserve(&self, id: &str) -> Result<Reserved<'_>, WebSocketError> {
        if id.is_empty() {
            return Err(WebSocketError::EmptyId);
        }
        let id: Arc<str> = id.into();
        let now = self.config.clock.now();
        let mut books = self.books.lock();
        let in_use = books.in_use;
        let reserved = books.reserve(&id, self.terms(), now);
        drop(books);
        let registry = self.config.name.clone();
        match reserved {
            Ok((serial, let_go)) => {
                self.see_off(let_go);
                Ok(Reserved { shared: self, id, serial, done: false })
            }
            Err(NoRoom::Duplicate) => Err(WebSocketError::Duplicate { registry, id }),
            Err(NoRoom::Full) => {
                Err(WebSocketError::Full { registry, max: self.config.max_connections, in_use })
            }
            Err(NoRoom::Closed) => Err(WebSocketError::Closed { registry }),
        }
    }

    // ---- Being used ----

    /// Waits for a socket, in turn, and takes it for a lease.
    pub(super) fn take(
        &self,
        id: &str,
        timeout: Duration,
    ) -> Result<(Arc<str>, Box<Conn>, u64), WebSocketError> {
        let WebSocketConfig { name, clock, .. } = &self.config;
        let began = clock.now();
        let deadline = began.after(timeout);
        let (mut ticket, mut patience): (Option<Ticket>, Option<Instant>) = (None, None);
        let mut books = self.books.lock();
        loop {
            if books.closed {
                return Err(WebSocketError::Closed { registry: name.clone() });
            }
            match books.take(id, &mut ticket) {
                Found::Conn(conn, serial) => {
                    let known = books.entries.get_key_value(id).map(|(id, _)| id.clone());
                    return Ok((known.unwrap_or_else(|| id.into()), conn, serial));
                }
                Found::Unknown => {
                    return Err(WebSocketError::Unknown { registry: name.clone(), id: id.into() });
                }
                Found::Wait => {}
            }
            let Some(place) = &ticket else { continue };
            let now = clock.now();
            let mut left = deadline.since(now);
            if left.is_zero() && books.is_next(id, place) {
                // The background has it, for moments: that is no reason to go without.
                let end = *patience.get_or_insert_with(|| soon(A_MOMENT));
                left = end.saturating_duration_since(Instant::now());
            }
            if left.is_zero() {
                let (doing, ahead) = books.give_up(id, place);
                let (registry, waited) = (name.clone(), now.since(began));
                return Err(WebSocketError::WaitTimedOut {
                    registry,
                    id: id.into(),
                    waited,
                    doing,
                    ahead,
                });
            }
            let signal = place.signal.clone();
            books.waiting = books.waiting.saturating_add(1);
            clock.wait(&signal, &mut books, left);
            books.waiting = books.waiting.saturating_sub(1);
        }
    }

    /// What was broadcast while the socket was out.
    pub(super) fn take_outbox(
        &self,
        id: &str,
        serial: u64,
        conn: &Conn,
    ) -> Vec<tungstenite::Message> {
        self.books.lock().take_outbox(id, serial, conn)
    }

    // ---- Telling ----

    pub(super) fn tell(&self, what: impl FnOnce(&dyn SocketObserver)) {
        let Some(observer) = &self.config.observer else { return };
        if let Err(said) = caught(|| what(&**observer)) {
            let (said, name) = (one_line(&said), &self.config.name);
            say!(
                Error,
                { event = "panicked", sockets = **name, reason = *said },
                "{name}: the observer panicked: {said}"
            );
        }
    }

    pub(super) fn tell_opened(&self, id: &Arc<str>) {
        let name = &self.config.name;
        say!(
            Debug,
            { event = "socket_opened", sockets = **name, socket = **id },
            "{name}: the socket {id:?} is open"
        );
        self.tell(|observer| observer.opened(name, id));
    }

    pub(super) fn tell_end(&self, id: &Arc<str>, ending: &Ending, again: bool) {
        let name = &self.config.name;
        if ending.reason.code() == Some(1000) || ending.reason == CloseReason::RegistryClosed {
            say!(
                Debug,
                { event = "socket_closed", sockets = **name, socket = **id, reason:% = ending },
                "{name}: closed the socket {id:?}: {ending}"
            );
        } else {
            say!(
                Info,
                { event = "socket_lost", sockets = **name, socket = **id, reason:% = ending },
                "{name}: the socket {id:?} is gone: {ending}"
            );
        }
        self.tell(|observer| observer.closed(name, id, ending, again));
    }
}

/// The background looks for answers after this, and then less and less often.
pub(super) const FIRST_LOOK: Duration = Duration::from_millis(1);
pub(super) const LAST_LOOK: Duration = Duration::from_millis(50);
/// Longer than the background has a socket, on a machine that is not starved of processor time.
const A_MOMENT: Duration = Duration::from_secs(1);

/// So long from now; a year at most, so that the sum exists.
pub(super) fn soon(limit: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(limit.min(Duration::from_secs(365 * 24 * 3600))).unwrap_or(now)
}

/// Before the try after so many in vain.
pub(super) fn pause(reconnect: &Reconnect, tries: u32) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let doubled = 2_u32.saturating_pow(tries.min(31));
    let longest = reconnect.first_pause.saturating_mul(doubled).min(reconnect.max_pause);
    // As random as the keys of a hash map.
    let chance = RandomState::new().hash_one(tries) >> 11;
    #[allow(clippy::cast_precision_loss, reason = "53 bits fit")]
    let chance = chance as f64 / (1_u64 << 53) as f64;
    longest.mul_f64((1.0 - reconnect.jitter * chance).clamp(0.0, 1.0))
}

/// An id without a socket as yet. Gives the id up unless a socket comes.
pub(super) struct Reserved<'a> {
    shared: &'a Shared,
    id: Arc<str>,
    serial: u64,
    done: bool,
}

impl Reserved<'_> {
    /// The socket is open; an error if its id was removed meanwhile.
    pub(super) fn fill(
        mut self,
        conn: Box<Conn>,
        request: Option<Arc<ConnectRequest>>,
    ) -> Result<(), WebSocketError> {
        self.done = true;
        let shared = self.shared;
        let now = shared.config.clock.now();
        let mut books = shared.books.lock();
        let closed = books.closed;
        let Some(entry) = books.of(&self.id, self.serial) else {
            drop(books);
            shared.come_home(conn, closed, By::Lease);
            let (registry, id) = (shared.config.name.clone(), self.id.clone());
            return Err(match closed {
                true => WebSocketError::Closed { registry },
                false => WebSocketError::Unknown { registry, id },
            });
        };
        entry.request = request;
        entry.open(conn, now);
        books.opened = books.opened.saturating_add(1);
        drop(books);
        shared.tell_opened(&self.id);
        Ok(())
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut books = self.shared.books.lock();
        if books.of(&self.id, self.serial).is_some() {
            books.remove(&self.id, CloseReason::Removed);
        }
    }
}
