//! The last events of some pools, balancers and registries of sockets, kept to be looked at.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use crate::balance::{EndpointChange, EndpointObserver};
#[cfg(feature = "websocket")]
use crate::key_error::OneLine;
use crate::pool::{EvictReason, Observer, SharedLimit, StateChange};
#[cfg(feature = "websocket")]
use crate::websocket::{Ending, SocketChange, SocketObserver};

/// An [`Observer`] and [`EndpointObserver`] that remembers the last events, and with the feature
/// `websocket` a `SocketObserver`. Those of every lease are none: of them there are
/// [`Stats`](crate::Stats).
///
/// Clones share what is remembered, and so may any number of pools, balancers and registries of
/// sockets. One that opens and closes hundreds of them leaves no room for the others' events: give it
/// a log of its own. One lock, held to add an event or to copy them.
///
/// ```
/// # use llm_pool::{Manage, Pool};
/// use llm_pool::{EventLog, PoolConfig};
///
/// # struct Numbers;
/// # impl Manage for Numbers {
/// #     type Item = u64;
/// #     type Error = std::io::Error;
/// #     fn create(&self) -> Result<u64, std::io::Error> { Ok(1) }
/// # }
/// let events = EventLog::default();
/// let pool = Pool::new(PoolConfig::default().observer(events.clone()), Numbers)?;
/// pool.close();
/// let last = events.last(10);
/// println!("{}", last[0]); // the newest first
/// # assert!(events.last(99).iter().any(|event| event.to_string().ends_with("closed")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct EventLog(Arc<Kept>);

struct Kept {
    began: Instant,
    capacity: usize,
    /// The newest at the end.
    events: Mutex<VecDeque<Event>>,
}

/// What happened, and when.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// When, by the system's clock, which may be set meanwhile.
    pub at: SystemTime,
    /// How long after the log was made.
    pub since_start: Duration,
    /// In which pool, of which the name ends with the key if it is of a key; or of a balancer, its
    /// name and the endpoint's; or in which registry of sockets.
    pub pool: Arc<str>,
    /// What it was.
    pub what: EventKind,
}

/// What an [`Event`] was; its `Display` says why, too.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// An item was created.
    #[non_exhaustive]
    Created {
        /// How long that took.
        took: Duration,
    },
    /// A creation failed.
    #[non_exhaustive]
    CreateFailed {
        /// What it said.
        message: Arc<str>,
    },
    /// The holder of a lease kept the item.
    #[non_exhaustive]
    Detached {
        /// How long it was held.
        held: Duration,
    },
    /// The pool gave up an item.
    Evicted(EvictReason),
    /// A thread waited in vain.
    #[non_exhaustive]
    TimedOut {
        /// For how long.
        waited: Duration,
        /// The shared limit that kept it; `None` if it was the pool's own.
        limit: Option<SharedLimit>,
    },
    /// Something else in a pool.
    Changed(StateChange),
    /// Of an endpoint.
    Endpoint(EndpointChange),
    /// Of a WebSocket. Needs the feature `websocket`.
    #[cfg(feature = "websocket")]
    #[non_exhaustive]
    Socket {
        /// Which.
        id: Arc<str>,
        /// What became of it.
        change: SocketChange,
    },
}

impl EventLog {
    /// Events remembered by default.
    const CAPACITY: usize = 200;

    /// One that remembers the last `capacity` events.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let events = Mutex::new(VecDeque::new());
        Self(Arc::new(Kept { began: Instant::now(), capacity, events }))
    }

    /// The last events, at most `count` of them, the newest first.
    #[must_use]
    pub fn last(&self, count: usize) -> Vec<Event> {
        self.0.events.lock().iter().rev().take(count).cloned().collect()
    }

    fn add(&self, pool: &Arc<str>, what: EventKind) {
        let Kept { began, capacity, events } = &*self.0;
        let mut events = events.lock();
        // Under the lock, so that they are in the order of their times.
        let (at, since_start) = (SystemTime::now(), began.elapsed());
        let oldest = if events.len() >= *capacity { events.pop_front() } else { None };
        if *capacity > 0 {
            events.push_back(Event { at, since_start, pool: pool.clone(), what });
        }
        drop(events);
        drop(oldest);
    }
}

/// Remembers 200 events.
impl Default for EventLog {
    fn default() -> Self {
        Self::new(Self::CAPACITY)
    }
}

impl Observer for EventLog {
    fn created(&self, pool: &Arc<str>, took: Duration) {
        self.add(pool, EventKind::Created { took });
    }

    fn create_failed(&self, pool: &Arc<str>, message: &str) {
        self.add(pool, EventKind::CreateFailed { message: message.into() });
    }

    fn detached(&self, pool: &Arc<str>, held: Duration) {
        self.add(pool, EventKind::Detached { held });
    }

    fn evicted(&self, pool: &Arc<str>, reason: EvictReason) {
        self.add(pool, EventKind::Evicted(reason));
    }

    fn timed_out(&self, pool: &Arc<str>, waited: Duration, limit: Option<&SharedLimit>) {
        self.add(pool, EventKind::TimedOut { waited, limit: limit.cloned() });
    }

    fn state_changed(&self, pool: &Arc<str>, change: &StateChange) {
        self.add(pool, EventKind::Changed(change.clone()));
    }
}

impl EndpointObserver for EventLog {
    fn changed(&self, balancer: &Arc<str>, endpoint: &Arc<str>, change: &EndpointChange) {
        let of = format!("{balancer} {endpoint}").into();
        self.add(&of, EventKind::Endpoint(change.clone()));
    }
}

#[cfg(feature = "websocket")]
impl EventLog {
    fn add_socket(&self, registry: &Arc<str>, id: &Arc<str>, change: SocketChange) {
        self.add(registry, EventKind::Socket { id: id.clone(), change });
    }
}

#[cfg(feature = "websocket")]
impl SocketObserver for EventLog {
    fn opened(&self, registry: &Arc<str>, id: &Arc<str>) {
        self.add_socket(registry, id, SocketChange::Opened);
    }

    fn closed(&self, registry: &Arc<str>, id: &Arc<str>, ending: &Ending, reconnecting: bool) {
        self.add_socket(registry, id, SocketChange::ended(ending, reconnecting));
    }

    fn reconnected(&self, registry: &Arc<str>, id: &Arc<str>) {
        self.add_socket(registry, id, SocketChange::Reconnected);
    }

    fn reconnect_failed(
        &self,
        registry: &Arc<str>,
        id: &Arc<str>,
        error: &str,
        pause: Option<Duration>,
    ) {
        self.add_socket(registry, id, SocketChange::reconnect_failed(error, pause));
    }
}

impl EventKind {
    /// The kind in one or two words, such as `create failed`, without why.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "created",
            Self::CreateFailed { .. } => "create failed",
            Self::Detached { .. } => "detached",
            Self::Evicted(_) => "evicted",
            Self::TimedOut { .. } => "timed out",
            Self::Changed(change) => change.name(),
            Self::Endpoint(change) => change.name(),
            #[cfg(feature = "websocket")]
            Self::Socket { change, .. } => change.name(),
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created { took } => write!(f, "created an item in {took:.1?}"),
            Self::CreateFailed { message } => write!(f, "cannot create an item: {message}"),
            Self::Detached { held } => write!(f, "an item was detached after {held:.1?}"),
            Self::Evicted(reason) => write!(f, "evicted an item: {reason}"),
            Self::TimedOut { waited, limit: Some(limit) } => {
                write!(f, "a wait timed out after {waited:.1?}, held by {limit}")
            }
            Self::TimedOut { waited, limit: None } => {
                write!(f, "a wait timed out after {waited:.1?}")
            }
            Self::Changed(change) => write!(f, "{change}"),
            Self::Endpoint(change) => write!(f, "{change}"),
            // An id may come from whoever connected.
            #[cfg(feature = "websocket")]
            Self::Socket { id, change } => write!(f, "the socket {} {change}", OneLine(id)),
        }
    }
}

impl fmt::Display for Event {
    /// One line for a console.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = match self.what {
            EventKind::Endpoint(_) => "endpoint",
            #[cfg(feature = "websocket")]
            EventKind::Socket { .. } => "sockets",
            _ => "pool",
        };
        write!(f, "{:.1?} {of} \"{}\": {}", self.since_start, self.pool, self.what)
    }
}

impl fmt::Debug for EventLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (events, capacity) = (self.0.events.lock().len(), self.0.capacity);
        f.debug_struct("EventLog")
            .field("events", &events)
            .field("capacity", &capacity)
            .finish_non_exhaustive()
    }
}
