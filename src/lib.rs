//! A fair, blocking pool of [`ureq`](https://docs.rs/ureq/3.5) agents, for programs that call LLM and
//! other HTTP APIs from plain threads, from rayon or thread-pool workers, or from a command-line
//! program that is not async.
//!
//! Why a pool: with a client for each call, every call pays for DNS, TCP and TLS again. With one client
//! of few connections, 500 threads whose answers take 40 s each time out in its queue. With no limit at
//! all, the server is overrun. This pool keeps connections, holds to a limit, lets threads wait in the
//! order they came, and tells who waited, for how long, and which setting would help.
//!
//! This page is a tutorial. The [guides](guide) go further into one thing each, and the modules'
//! own pages into the details. Every example is run by the tests, against an embedded server.
//!
//! # 1. A first call
//!
//! With the feature `chat`, by the name of a provider and of a model:
//!
//! ```
//! use llm_pool::keyed::ModelKey;
//! use llm_pool::llm::{LlmConfig, Provider};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = llm_pool::test_server::TestServer::start()?;
//! # let base = format!("{}/v1", server.url());
//! let own = Provider::new(base).api_key("sk-..."); // or Provider::openai("sk-...") and others
//! let pool = LlmConfig::default().provider("own", own).build()?;
//! let key = ModelKey::new("own", "small").temperature(0.2);
//!
//! let reply = pool.chat(&key, "Why pool connections?")?; // waits its turn, asks, gives back
//! println!("{} ({} tokens)", reply.text(), reply.usage().total());
//! # assert_eq!(reply.text(), "You said: Why pool connections?");
//! # Ok(())
//! # }
//! ```
//!
//! Without it, and for requests of any other kind, a pool lends plain agents of `ureq`:
//!
//! ```
//! use llm_pool::agent::{AgentConfig, AgentManager};
//! use llm_pool::{Pool, PoolConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = llm_pool::test_server::TestServer::start()?;
//! # let url = format!("{}/v1/models", server.url());
//! let manager = AgentManager::new(AgentConfig::default())?;
//! let pool = Pool::new(PoolConfig::default().min_idle(3).max_size(30), manager)?;
//!
//! let agent = pool.get()?; // waits its turn; derefs to `ureq::Agent`
//! let models = agent.get(&url).call()?.body_mut().read_to_string()?;
//! drop(agent); // put back, with its open connection
//! # assert!(models.contains("data"));
//! # Ok(())
//! # }
//! ```
//!
//! # 2. From many threads
//!
//! A pool is shared by reference, or by clones, which are the same pool. Here 12 threads share 3
//! agents; nine wait, and each is served in its turn.
//!
//! ```
//! # use llm_pool::agent::{AgentConfig, AgentManager};
//! # use llm_pool::{Pool, PoolConfig};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = llm_pool::test_server::TestServer::start()?;
//! # let url = format!("{}/v1/models", server.url());
//! # let manager = AgentManager::new(AgentConfig::default())?;
//! let pool = Pool::new(PoolConfig::default().max_size(3), manager)?;
//! std::thread::scope(|scope| {
//!     for _ in 0..12 {
//!         scope.spawn(|| {
//!             let agent = pool.get().unwrap();
//!             let status = agent.get(&url).call().unwrap().status();
//!             assert_eq!(status, 200);
//!         });
//!     }
//! });
//! let stats = pool.stats();
//! assert_eq!((stats.gets, stats.in_use), (12, 0));
//! assert!(stats.created <= 3);
//! # Ok(())
//! # }
//! ```
//!
//! Take one lease at a time in a thread: one that waits for a second may be waiting for itself.
//! How large `max_size` should be is in [`guide::sizing`].
//!
//! # 3. A pool for each model, or host
//!
//! The pool of step 1 has one of its own for every key, that is a model with its parameters, made when
//! it is first asked for, and limits over all of them. [`agent::OriginPool`] is the same by base URL:
//!
//! ```
//! use llm_pool::PoolConfig;
//! use llm_pool::agent::{AgentConfig, OriginPool};
//! use llm_pool::keyed::KeyedConfig;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = llm_pool::test_server::TestServer::start()?;
//! # let url = format!("{}/v1/models", server.url());
//! let each = PoolConfig::default().max_size(30);
//! let limits = KeyedConfig::default().pool(each).max_per_host(60).max_total(100);
//! let agents = OriginPool::new(limits, AgentConfig::default())?;
//! let agent = agents.get(&url)?; // path and query do not matter
//! assert_eq!(agent.get(&url).call()?.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! Any other key works with a [`keyed::KeyedPool`], and anything else than an agent with a [`Manage`]
//! of yours.
//!
//! # 4. Time limits
//!
//! A `get` waits for 30 s unless told otherwise, and a call may take as long as its own limits say. A
//! program that has a deadline gives it once, for the wait and the call together:
//!
//! ```
//! # use llm_pool::llm::{LlmConfig, Provider};
//! use llm_pool::chat::{ChatRequest, Message};
//! use llm_pool::keyed::ModelKey;
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = llm_pool::test_server::TestServer::start()?;
//! # let own = Provider::new(format!("{}/v1", server.url()));
//! # let pool = LlmConfig::default().provider("own", own).build()?;
//! # let key = ModelKey::new("own", "small");
//! let question = [Message::system("Be brief."), Message::user("Why?")];
//! let request = ChatRequest::new(&question).within(Duration::from_secs(120));
//! let reply = pool.chat(&key, request)?;
//! println!("waited {:?} of {:?}", reply.timing().waited, reply.timing().total);
//! # Ok(())
//! # }
//! ```
//!
//! For agents that is [`Pool::get_within`]. All limits, and which of them ends what:
//! [`guide::timeouts`].
//!
//! # 5. When it fails
//!
//! A call that failed was tried again where that is worth it. Its error says what is wrong, for a
//! reader and for a program:
//!
//! ```
//! use llm_pool::chat::ErrorKind;
//! # use llm_pool::keyed::ModelKey;
//! # use llm_pool::llm::{LlmConfig, Provider};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = llm_pool::test_server::TestServer::builder().models(["small"]).start()?;
//! # let own = Provider::new(format!("{}/v1", server.url()));
//! # let pool = LlmConfig::default().provider("own", own).build()?;
//! match pool.chat(&ModelKey::new("own", "huge"), "Why not?") {
//!     Ok(reply) => println!("{}", reply.text()),
//!     Err(error) if error.is_retryable() => eprintln!("later, after {:?}", error.retry_after()),
//!     Err(error) => {
//!         assert_eq!(error.kind(), ErrorKind::NotFound);
//!         eprintln!("{error}"); // own:huge: not found (status 404, model_not_found): ...
//!         # assert!(error.to_string().starts_with("own:huge: not found (status 404, "), "{error}");
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A wait that timed out is an error too, [`GetError`], which says what the pool was doing. Several
//! endpoints for one model, with rests and fallbacks, are `llm::ModelGroups`. See [`guide::failure`].
//!
//! # 6. Streams
//!
//! ```
//! # use llm_pool::keyed::ModelKey;
//! # use llm_pool::llm::{LlmConfig, Provider};
//! use std::io::Write;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = llm_pool::test_server::TestServer::start()?;
//! # let own = Provider::new(format!("{}/v1", server.url()));
//! # let pool = LlmConfig::default().provider("own", own).build()?;
//! # let key = ModelKey::new("own", "small");
//! for piece in pool.stream(&key, "Count to ten.")? {
//!     print!("{}", piece?.text());
//!     std::io::stdout().flush()?;
//! } // at its end the client is back in the pool
//! # assert_eq!(pool.stats().sum.in_use, 0);
//! # Ok(())
//! # }
//! ```
//!
//! A stream holds its client to the end, so that the limits hold for streams too. Ending one early, and
//! streams of your own with [`agent::hold`]: [`guide::streaming`].
//!
//! # 7. Watching it
//!
//! ```
//! # use llm_pool::keyed::ModelKey;
//! # use llm_pool::llm::{LlmConfig, Provider};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = llm_pool::test_server::TestServer::start()?;
//! # let own = Provider::new(format!("{}/v1", server.url()));
//! # let pool = LlmConfig::default().provider("own", own).build()?;
//! # pool.chat(&ModelKey::new("own", "small"), "Why not?")?;
//! println!("{}", pool.stats()); // in all, by host, and by key
//! for advice in pool.advice() {
//!     println!("{advice}"); // raise max_per_host of api.example.com from 30 to 600: ...
//! }
//! # assert!(pool.advice().is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! There are histograms, events, logs, a status page (`admin`) and Prometheus (`metrics`):
//! [`guide::operations`].
//!
//! # 8. Settings from a file
//!
//! With the feature `settings`. Keys do not stand in the file; it names the variable that has them.
//!
//! ```
//! use llm_pool::settings::Settings;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = llm_pool::test_server::TestServer::start()?;
//! # let text = format!("
//! #     [pools]
//! #     max_per_host = 60
//! #     [providers.own]
//! #     base_url = '{}/v1'
//! #     [groups.small]
//! #     endpoints = [{{ provider = 'own', model = 'small' }}]
//! # ", server.url());
//! let settings = Settings::parse(&text)?; // or from_file("llm-pool.toml")
//! let groups = settings.build_groups()?;
//! println!("{}", groups.chat("small", "Why not?")?.text());
//! # Ok(())
//! # }
//! ```
//!
//! `llm-pool.example.toml` has every setting with its default. A file that is wrong is refused with all
//! that is wrong in it, and one that has changed is applied to a running pool by `Settings::reload`.
//!
//! # 9. WebSockets
//!
//! With the feature `websocket`, a registry keeps sockets by name, alive while nobody uses them:
//!
//! ```
//! use llm_pool::websocket::{WebSocketConfig, WebSockets};
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
//! sockets.connect("caller-17", url)?;
//! let mut socket = sockets.get("caller-17")?; // others wait their turn
//! socket.send("hello")?;
//! assert_eq!(socket.receive(Duration::from_secs(5))?.as_text(), Some("hello"));
//! # Ok(())
//! # }
//! ```
//!
//! # What is here
//!
//! - [`Pool`] is generic over a [`Manage`] and has the laws: a cap that holds, waiters served in
//!   the order they came, nothing lost when user code fails or panics. See [`pool`].
//! - [`agent`] makes `ureq` agents that share TLS tickets and DNS answers, keep to the deadline of
//!   their lease, count their requests and can be checked; and ties a streamed answer to its lease.
//! - [`keyed`] has one pool per key, by host, by model or by what you like, under shared limits.
//! - [`llm`] has clients by provider, model and parameters, ready to call their model;
//!   [`agent::OriginPool`] has agents by base URL, one such pool process-wide if you like.
//! - [`balance`] picks one of several endpoints for a call, measures them and lets the sick ones rest.
//! - `chat`, with the feature of that name, has those clients ask their model, for a whole answer or
//!   a stream, in the dialects of several providers.
//! - `admin`, with the feature of that name, tells whoever runs a pool how it is, as JSON and by a page.
//! - `metrics`, with the feature `prometheus`, has what all of these count, for Prometheus to scrape.
//! - [`sizing`] says how big a pool should be, from how many tasks call or from what was measured.
//! - `settings`, with the feature of that name, has all settings from one TOML file.
//! - `websocket`, with the feature of that name, keeps WebSockets by name, bounded and in health.
//! - `test_server`, with the feature of that name, is a stand-in for an LLM server.
//! - [`guide`] has pages to read: sizing, time-outs, streaming, failure, operations, how the core works, and
//!   what was measured.
//!
//! # Modules
//!
//! An arrow means "uses"; there are no others.
//!
//! ```text
//! error, key_error, sync, clock, histogram, caught, fields, setters, http1: nothing below
//! pool         -> these            generic: Manage, Slots, Pool, Lease, workers, Observer
//! event_log    -> pool, balance    the last events of these; with the feature `websocket` also -> that
//! keyed        -> pool, sizing     one pool a key, under shared limits; advice
//! balance      -> these            endpoints, strategies, cooldown; knows no HTTP and no pool
//! agent        -> pool, keyed      ureq agents: TLS, DNS, time-outs, checks, bodies; by base URL
//! chat         -> agent, keyed     one call to a model, in the dialect of its provider; also
//!                 -> balance, whose types say what an endpoint still allows
//! llm          -> agent, keyed     clients by model; with the feature `chat` also -> chat, balance
//! metrics      -> keyed, balance   series for Prometheus; with the feature `chat` also -> llm's groups,
//!                 and with `websocket` -> that
//! sizing       -> pool's Stats     pure arithmetic
//! settings     -> every config     one file for all of them; applies a new one to llm's pools
//! admin        -> keyed, balance, llm    HTTP endpoints and a status page; served by `http1`; with the
//!                 feature `websocket` also -> that
//! websocket    -> agent, pool      named sockets; of pool the maintenance thread alone
//! test_server  -> http1            a stand-in for an LLM server
//! ```
//!
//! # Features
//!
//! | feature | default | adds | dependencies |
//! |---|---|---|---|
//! | `admin` | no | `admin` | `httparse`, `jiff`, `serde`, `serde_json`, `socket2`, `subtle`, `uuid` |
//! | `chat` | no | `chat` | `serde`, `serde_json`, `jiff`, `uuid` |
//! | `settings` | no | `settings`, and `chat` | `toml`, `strsim`, and those of `chat` |
//! | `log-kv` | no | fields on log lines, see [`logging`] | |
//! | `prometheus` | no | `metrics` | `prometheus-client` |
//! | `test-server` | no | `test_server` | `httparse`, `serde_json`, `socket2` |
//! | `websocket` | no | `websocket` | `tungstenite`, `rustls`, `webpki-roots` |
//!
//! # Threads, fork and signals
//!
//! The threads of the library are named `llm-pool-...`. Those that make items, check them or look
//! names up end with their work; the two that all pools share, for maintenance and for the time, end
//! after the last pool was closed or dropped. Leases that are still out need none of them.
//!
//! Fork before the first pool is made, and make pools in the process that uses them. Of a forking
//! process only the thread that forks goes on in the child. Pools from before have no other there to
//! make an item or to see to it, a lock that another thread held at that moment is held for ever, and
//! connections are the parent's as well, so that the two would read each other's answers. Nor are
//! pools made in such a child any better: the shared threads count as running there and do not, so
//! that time stands still. That holds for [`agent::OriginPool::global`] too. A child that at once
//! runs another program, as of [`std::process::Command`], is no concern: connections do not pass to it.
//!
//! The library handles no signal and blocks none. To end in good order on one, close the pools, which
//! turns away those who wait, and stop the calls under way ([`agent::Stopper`]), from a thread and
//! not in the signal handler; the examples `interrupt` and `cli` do so.
//!
//! # Logs
//!
//! Through the [`log`] crate, a line for each thing that happens and none for a get or a put-back.
//! What is logged, at which level, how often and, with the feature `log-kv`, with which fields is
//! in [`logging`].

// The public API never panics, and a library does not print. Tests may.
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::panic))]
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

#[cfg(feature = "admin")]
pub mod admin;
pub mod agent;
pub mod balance;
mod caught;
#[cfg(feature = "chat")]
pub mod chat;
mod clock;
mod error;
mod event_log;
#[cfg(feature = "log-kv")]
mod fields;
#[cfg(all(fuzzing, feature = "admin", feature = "chat"))]
#[doc(hidden)]
pub mod fuzzing;
// Its links lead to features, too.
#[cfg_attr(
    not(all(feature = "admin", feature = "chat", feature = "prometheus", feature = "settings")),
    allow(rustdoc::broken_intra_doc_links)
)]
pub mod guide;
mod histogram;
#[cfg(any(feature = "admin", feature = "test-server"))]
mod http1;
mod key_error;
pub mod keyed;
pub mod llm;
pub mod logging;
#[cfg(feature = "prometheus")]
pub mod metrics;
pub mod pool;
mod setters;
#[cfg(feature = "settings")]
pub mod settings;
pub mod sizing;
mod sync;
#[cfg(feature = "test-server")]
pub mod test_server;
#[cfg(feature = "websocket")]
pub mod websocket;

pub use clock::{Clock, ManualClock};
pub use error::ConfigError;
pub use event_log::{Event, EventKind, EventLog};
pub use histogram::Histogram;
pub use pool::{
    CreateError, EvictReason, GetError, ItemState, ItemStats, LastCheck, Lease, Manage, Observer,
    Picture, Pool, PoolConfig, RequestStats, SharedLimit, Snapshot, StartError, StateChange, Stats,
    Terms, WarmUpError, WhenUnhealthy,
};
#[cfg(llm_pool_shuttle)]
#[doc(hidden)]
pub use sync::{Bug, set_may_overtake};
pub use ureq;

/// Compiles and runs the code in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
