//! WebSockets, kept by name, bounded and in health, from plain threads.
//!
//! ```
//! use llm_pool::websocket::{Message, WebSocketConfig, WebSockets};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let url = format!("ws://{}/", listener.local_addr()?);
//! # std::thread::spawn(move || {
//! #     let peers = WebSockets::new(WebSocketConfig::default()).unwrap();
//! #     let socket = peers.accept(listener.accept().unwrap().0).unwrap();
//! #     peers.add("peer", socket).unwrap();
//! #     let mut peer = peers.get("peer").unwrap();
//! #     let said = peer.receive(Duration::from_secs(9)).unwrap();
//! #     peer.send(said).unwrap();
//! # });
//! let sockets = WebSockets::new(WebSocketConfig::default())?;
//! sockets.connect("speech", url)?;
//! let mut socket = sockets.get("speech")?; // waits its turn; put back when dropped
//! socket.send("hello")?;
//! let answer = socket.receive(Duration::from_secs(5))?;
//! assert_eq!(answer, Message::from("hello"));
//! # Ok(())
//! # }
//! ```
//!
//! # States
//!
//! ```text
//!             connect                  remove, evict, unused, a peer
//!                │                     that breaks the protocol
//!                ▼                     ┌────────▶ closing by us ──── answered, or
//!           connecting ──handshake──▶ open                       ╲   close_timeout
//!             ▲  │                     │                          ▼
//!   reconnect │  └─ fails ─▶ (none)    ├─ the peer's close ─▶ closing by peer ─▶ closed
//!             │                        │
//!             └────────────────────────┴─ no pong, connection lost
//! ```
//!
//! A connection is in exactly one place: idle in the registry, with the lease of a holder, for moments
//! with the background, or closing, where it counts for nothing and waits for its peer's answer.
//!
//! # The one lock
//!
//! A registry has one lock, over who is where and who waits (`books.rs`). Nothing is sent, read,
//! looked up, told or logged under it, and whoever wants to do any of that takes the connection out.
//! Those who wait for a socket are served in the order they came.
//!
//! # Health
//!
//! Every [`read_interval`](WebSocketConfig#structfield.read_interval) the process's maintenance thread
//! reads what has come for idle sockets: it answers pings, sees closes, and keeps messages for the next
//! holder, up to [`max_kept`](WebSocketConfig#structfield.max_kept); beyond, the peer has to wait. Those
//! kept for a socket that ends before go with it. Every
//! [`check_interval`](WebSocketConfig#structfield.check_interval) it pings them all and then looks for
//! the pongs. It never blocks, so a dead peer delays nobody. Sockets in use are left alone, and their
//! holders answer pings as they receive.
//!
//! # Bounds, and what is not here
//!
//! A peer that sends too large a message or frame is closed with code 1009, one that breaks the protocol
//! with 1002, a text that is not UTF-8 with 1007, too many pings with 1008; no other socket notices.
//! Larger messages of ours go out in frames of `max_frame_size`. There is no compression, no HTTP/2 and
//! no way through a proxy: a host that the agents would reach through one is refused. `accept` looks at
//! neither path nor headers of a client: where these matter, such as its `Origin`, shake hands yourself
//! and [`wrap`](WebSockets::wrap). `tungstenite` itself logs the request, with its headers, and frames at
//! *trace*, and closes at *debug*: keep its target off these levels.
//!
//! TLS and DNS are those of an [`AgentManager`]: certificates are trusted as by the agents, addresses
//! come from their cache. Sockets share TLS tickets among each other.

mod allowance;
mod away;
mod books;
mod change;
mod config;
mod conn;
mod connect;
mod error;
mod going;
mod lease;
mod message;
mod observer;
mod outbox;
mod reopen;
mod request;
mod shared;
mod socket;
mod stats;
mod stream;
mod upkeep;
mod whole;

use std::fmt;
use std::net::TcpStream;
use std::sync::{Arc, Weak};
use std::time::Duration;

pub use change::SocketChange;
pub use config::{Reconnect, WebSocketConfig, WhenFull};
pub use error::{CloseReason, Ending, WebSocketError};
pub use lease::SocketLease;
pub use message::Message;
pub use observer::SocketObserver;
pub use request::ConnectRequest;
pub use socket::{Side, Socket, SocketState};
pub use stats::{CheckReport, SocketStats};

use crate::ConfigError;
use crate::agent::{AgentConfig, AgentManager};
use crate::caught::say;
use crate::pool::maintenance::{self, Upkeep};
use books::Place;
use conn::Conn;
use shared::Shared;
use stream::{Stream, Tcp};
use tungstenite::protocol::Role;

/// A registry of WebSockets by name. Cloning gives another handle to the same one; with the last
/// handle its sockets are closed, which waits for the peers for up to `close_timeout`.
///
/// See [the module](self).
#[derive(Clone)]
pub struct WebSockets {
    shared: Arc<Shared>,
    _end: Arc<CloseOnDrop>,
}

/// The last handle closes the registry. Leases do not keep it open.
struct CloseOnDrop(Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
        let me: Weak<dyn Upkeep> = self.0.me.clone();
        maintenance::withdraw(&me);
    }
}

/// Whom a broadcast reached.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Broadcast {
    /// Sockets that were sent it.
    pub sent: usize,
    /// Sockets that another had, be it the background for a moment: it goes out with the holder's
    /// next use, or when the socket is put back, unless that ends before.
    pub queued: usize,
    /// Sockets that did not get it, with why.
    pub failed: Vec<(Arc<str>, WebSocketError)>,
}

impl WebSockets {
    /// A registry with TLS and DNS of its own, as agents have them by default.
    ///
    /// # Errors
    /// All settings that cannot work, in one error.
    pub fn new(config: WebSocketConfig) -> Result<Self, ConfigError> {
        config.check()?;
        Self::with_agents(config, &AgentManager::new(AgentConfig::default())?)
    }

    /// A registry that shares TLS settings and DNS answers with agents.
    ///
    /// # Errors
    /// All settings that cannot work, in one error.
    pub fn with_agents(
        config: WebSocketConfig,
        agents: &AgentManager,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        let first = config.read_interval.min(config.check_interval.unwrap_or(Duration::MAX));
        let in_background = config.clock.is_system();
        let shared = Shared::new(config, agents.clone());
        if in_background {
            let me: Weak<dyn Upkeep> = shared.me.clone();
            maintenance::enrol(me, first);
        }
        let (name, max) = (&shared.config.name, shared.config.max_connections);
        say!(
            Debug,
            { event = "sockets_started", sockets = **name, max_connections = max },
            "{name}: started, for up to {max} sockets"
        );
        Ok(Self { _end: Arc::new(CloseOnDrop(shared.clone())), shared })
    }

    // ---- Coming ----

    /// Opens a socket and adds it under `id`. Blocks for up to `connect_timeout`. With
    /// [`reconnect`](WebSocketConfig#structfield.reconnect) it is opened again when it is lost, with the
    /// same headers.
    ///
    /// # Errors
    /// An empty id, one that is there, no room, or why it could not be opened. One that is removed
    /// meanwhile is [`Unknown`](WebSocketError::Unknown), and closed.
    pub fn connect(
        &self,
        id: &str,
        request: impl Into<ConnectRequest>,
    ) -> Result<(), WebSocketError> {
        let request = request.into();
        request.target()?;
        if !id.is_empty() && self.shared.displaces(id) {
            // A socket that works is not given up for one that may not open.
            let conn = self.open_conn(&request)?;
            return self.put(id, Socket::new(conn, &self.shared), Some(Arc::new(request)));
        }
        let reserved = self.shared.reserve(id)?;
        let conn = self.open_conn(&request)?;
        reserved.fill(conn, Some(Arc::new(request)))
    }

    /// Opens a socket without adding it. Blocks for up to `connect_timeout`.
    ///
    /// # Errors
    /// Why it could not be opened.
    pub fn open(&self, request: impl Into<ConnectRequest>) -> Result<Socket, WebSocketError> {
        Ok(Socket::new(self.open_conn(&request.into())?, &self.shared))
    }

    fn open_conn(&self, request: &ConnectRequest) -> Result<Box<Conn>, WebSocketError> {
        let Shared { agents, config, traffic, .. } = &*self.shared;
        connect::open(agents, request, config, traffic)
    }

    /// Shakes hands with a client that connected, over plain TCP. Blocks for up to `connect_timeout`.
    /// Compression that the client offers is declined.
    ///
    /// # Errors
    /// What is wrong with what the client says.
    pub fn accept(&self, connection: TcpStream) -> Result<Socket, WebSocketError> {
        let conn = connect::accept(connection, &self.shared.config, &self.shared.traffic)?;
        Ok(Socket::new(conn, &self.shared))
    }

    /// Takes a connection whose handshake was done elsewhere, and nothing was read after it.
    ///
    /// # Errors
    /// [`Handshake`](WebSocketError::Handshake) if the connection cannot be set up.
    pub fn wrap(&self, connection: TcpStream, side: Side) -> Result<Socket, WebSocketError> {
        let tcp = Tcp::new(connection, None).map_err(|error| WebSocketError::Handshake {
            url: "a connection".to_owned(),
            what: error.to_string(),
        })?;
        let role = if side == Side::Client { Role::Client } else { Role::Server };
        let Shared { config, traffic, .. } = &*self.shared;
        Ok(Socket::new(Conn::new(Stream::plain(tcp), role, config, traffic), &self.shared))
    }

    /// Adds an open socket under `id`. Does not block.
    ///
    /// # Errors
    /// An empty id, one that is there, or no room. The socket is then closed, with a handshake.
    pub fn add(&self, id: &str, socket: Socket) -> Result<(), WebSocketError> {
        self.put(id, socket, None)
    }

    fn put(
        &self,
        id: &str,
        socket: Socket,
        request: Option<Arc<ConnectRequest>>,
    ) -> Result<(), WebSocketError> {
        let reserved = self.shared.reserve(id)?;
        socket.into_conn().map_or(Ok(()), |conn| reserved.fill(conn, request))
    }

    // ---- Being used ----

    /// Takes a socket for exclusive use. Waits in turn, up to
    /// [`wait_timeout`](WebSocketConfig#structfield.wait_timeout), while another has it or it is being
    /// opened again.
    ///
    /// # Errors
    /// An id that is not there, or is removed meanwhile, and a wait that was too long.
    pub fn get(&self, id: &str) -> Result<SocketLease, WebSocketError> {
        self.get_timeout(id, self.shared.config.wait_timeout)
    }

    /// The same without waiting, save for moments while the background looks after the socket.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn try_get(&self, id: &str) -> Result<SocketLease, WebSocketError> {
        self.get_timeout(id, Duration::ZERO)
    }

    /// The same, waiting for up to `timeout`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_timeout(&self, id: &str, timeout: Duration) -> Result<SocketLease, WebSocketError> {
        SocketLease::new(self, id, timeout)
    }

    /// Sends a message through a socket: takes it, as [`get`](Self::get) does, sends and puts it back.
    ///
    /// # Errors
    /// As [`get`](Self::get) and [`SocketLease::send`].
    pub fn send(&self, id: &str, message: impl Into<Message>) -> Result<(), WebSocketError> {
        self.get(id)?.send(message)
    }

    /// Sends a message to all sockets. Does not block: what a peer does not take at once waits within
    /// `write_buffer_size` and goes later.
    ///
    /// # Errors
    /// A message that is too large, a registry that is closed. What is wrong with single sockets is in
    /// the [`Broadcast`].
    pub fn broadcast(&self, message: impl Into<Message>) -> Result<Broadcast, WebSocketError> {
        self.shared.broadcast(message.into())
    }

    // ---- Going ----

    /// Closes a socket. Does not block: the background says good-bye and waits for the answer, up to
    /// `close_timeout`. A holder keeps it until it puts it back.
    ///
    /// # Errors
    /// An id that is not there.
    pub fn remove(&self, id: &str) -> Result<(), WebSocketError> {
        let gone = self.shared.books.lock().remove(id, CloseReason::Removed);
        let registry = self.shared.config.name.clone();
        let gone = gone.ok_or_else(|| WebSocketError::Unknown { registry, id: id.into() })?;
        self.shared.see_off([gone]);
        Ok(())
    }

    /// Closes all sockets and refuses new ones. Blocks until the peers have answered, for up to
    /// `close_timeout`; a second call does not wait. Those in use are closed when they are put back,
    /// which then blocks likewise. In an observer on the maintenance thread it does not block.
    pub fn close(&self) {
        self.shared.close();
    }

    // ---- Seeing ----

    /// Pings all idle sockets and waits for their pongs: one pass of health checks, for up to
    /// `ping_timeout`. The background does the same without waiting.
    pub fn check_all(&self) -> CheckReport {
        self.shared.check()
    }

    /// Reads what has come for idle sockets, and does what else is due: pings, closes what is unused,
    /// opens lost ones again. Does not wait for pongs. With a clock that a test moves nobody else
    /// does it.
    pub fn clean_up(&self) {
        self.shared.visit(true);
    }

    /// What a socket does; `None` if there is none of this id.
    #[must_use]
    pub fn state(&self, id: &str) -> Option<SocketState> {
        let books = self.shared.books.lock();
        books.entries.get(id).map(|entry| match &entry.place {
            Place::Idle(conn) => conn.state(),
            Place::InUse | Place::Attended => SocketState::Open,
            Place::Opening | Place::Lost(..) => SocketState::Connecting,
        })
    }

    /// The ids there are, in order.
    #[must_use]
    pub fn ids(&self) -> Vec<Arc<str>> {
        let mut ids: Vec<_> = self.shared.books.lock().entries.keys().cloned().collect();
        ids.sort_unstable();
        ids
    }

    /// How many sockets there are, those being opened included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.books.lock().entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is one of this id.
    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        self.shared.books.lock().entries.contains_key(id)
    }

    /// Figures of one moment.
    #[must_use]
    pub fn stats(&self) -> SocketStats {
        self.shared.stats()
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &WebSocketConfig {
        &self.shared.config
    }
}

impl fmt::Debug for WebSockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSockets").field("name", &self.shared.config.name).finish_non_exhaustive()
    }
}
