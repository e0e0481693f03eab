//! A fair, blocking pool of [`ureq`] agents, for programs that call LLM and other HTTP APIs from
//! plain threads, from rayon or thread-pool workers, or from a command-line program that is not
//! async.
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
//! - [`guide`] has pages to read: what limits do to many calls, and what things cost where there are many.
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
