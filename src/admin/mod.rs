//! HTTP endpoints and a status page for whoever runs a pool.
//!
//! ```
//! use llm_pool::admin::{Admin, AdminConfig};
//! # use llm_pool::{Manage, keyed::{KeyedConfig, KeyedPool, Setup}};
//! # struct Greeter;
//! # impl Manage for Greeter {
//! #     type Item = String;
//! #     type Error = std::io::Error;
//! #     fn create(&self) -> Result<String, std::io::Error> { Ok("Hello!".into()) }
//! # }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let pool = KeyedPool::new(KeyedConfig::default(), |_: &String| Ok(Setup::new(Greeter)))?;
//! let admin = Admin::new(AdminConfig::default())?.pool("models", pool).serve()?;
//! println!("the pools are at {}", admin.url()); // stops when it is dropped
//! # Ok(())
//! # }
//! ```
//!
//! # What there is
//!
//! Answers are `{"success", "data", "message"}`, refusals `{"success": false, "message"}` with a status
//! of 400 or more.
//!
//! | | |
//! |---|---|
//! | `GET /` | the page: pools, waits of the last minutes, endpoints, sockets, events and advice |
//! | `GET /v1/pool/stats` | the counts of each key |
//! | `GET /v1/pool/status` | the sums, and the rates in per cent |
//! | `GET /v1/pool/details` | all that the page shows; `?since=N` with less of the history |
//! | `GET /v1/pool/advice` | which limits to raise, and why |
//! | `GET /v1/pool/config` | the settings in force, without secrets |
//! | `POST /v1/pool/cleanup` | runs a pass of maintenance, says how many items were evicted |
//! | `POST /v1/pool/health-check` | has every idle item checked, says how that went |
//! | `POST /v1/pool/resize` | `{"max_size": 20}`, of one `"pool"` or `"key"` if named; says what it was |
//! | `GET /metrics` | what [`Admin::metrics`] gives |
//! | `GET /healthz` | 200, or 503 once a pool or a registry of sockets is closed |
//!
//! With the feature `websocket` and a [registry of sockets](Admin::sockets) there are also its figures in
//! `stats` and `details`, its settings in `config`, and:
//!
//! | | |
//! |---|---|
//! | `GET /v1/sockets/details` | the figures, and `connection_ids` in order with what each socket does: 100 of them, or `?limit=N`, at most 1000; `from=ID` begins there, and `next` is where to go on; `sockets=NAME` is one registry |
//! | `POST /v1/sockets/check` | pings all idle sockets, of one registry if named as `"sockets"`; says how many answered |
//! | `POST /v1/sockets/close` | `{"id": "a"}`, of one registry as above; its holder keeps it until it puts it back |
//!
//! In `stats`, `available` items are idle ones, and `expired` counts those evicted so far by
//! `idle_timeout`, `max_lifetime` or `max_uses`. A key is `MODEL:PROVIDER` there, or the key's own
//! text if it is no key of a model; with several pools, the name of the pool and a slash go before it.
//!
//! # Who may ask
//!
//! It listens at loopback, unless a token is set. A POST always needs the token, and so does a GET that
//! is not from loopback, or with [`token_for_get`](AdminConfig#structfield.token_for_get); but not the
//! page, which asks for it, nor `/healthz`. Requests whose `Host` is not an
//! [expected one](AdminConfig#structfield.hosts) are refused. There is no encryption here.
//!
//! # In a server of your own
//!
//! [`Admin::handle`] takes a request and gives the answer, and needs no [`AdminServer`]. The paths are
//! those above, so take a prefix away first; the page asks for what is beside it. Who asks is not known
//! there, so set [`token_for_get`](AdminConfig#structfield.token_for_get) if it may be anybody, and
//! [`hosts`](AdminConfig#structfield.hosts) to your server's names.
//!
//! # Why a server of our own
//!
//! A status page must answer when much else is wrong, so no client may keep another from it. Of the
//! blocking servers there are (in November 2026): `tiny_http` 0.12 had its last release in 2022, has no
//! time limits, and a thread for each slow client for as long as that likes; `rouille` is built on it.
//! `oxhttp` 0.3 is well kept, but cannot be stopped or tell the port it got, limits the time of each
//! read and not of a request, and accepts nobody while the most connections are open, be they ever so
//! slow. `touche` 0.0.15 has the same limits of time, queues connections without bound behind slow
//! ones, and cannot be stopped. What is hard about HTTP/1 is parsing it, which `httparse`
//! (hyper's parser) does here; the rest is `server` and a reader that the `test_server` shares.

mod actions;
mod answer;
mod config;
mod details;
mod events;
mod history;
mod page;
mod routes;
mod server;
mod shown_config;
#[cfg(feature = "websocket")]
mod sockets;
mod source;
mod wire;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use ureq::http;

pub use config::AdminConfig;
#[cfg(feature = "settings")]
pub(crate) use config::GOOD_TOKEN;
pub use server::AdminServer;

use crate::EventLog;
use crate::balance::Balancer;
use crate::caught::caught;
use crate::error::ConfigError;
use crate::keyed::{Key, KeyedPool};
#[cfg(feature = "chat")]
use crate::llm::ModelGroups;
use crate::pool::Manage;
#[cfg(feature = "websocket")]
use crate::websocket::WebSockets;
use history::History;
use source::{Endpoints, Look, Source};

/// The admin endpoints: what they tell of, and the handler of requests. See the [module](self).
///
/// It keeps the pools open that it tells of, as any of their handles does.
pub struct Admin {
    config: AdminConfig,
    /// By name, in the order they were given.
    pools: Vec<(String, Arc<dyn Source>)>,
    endpoints: Vec<Arc<dyn Endpoints>>,
    #[cfg(feature = "websocket")]
    sockets: Vec<sockets::Registry>,
    events: Option<EventLog>,
    metrics: Option<Box<Metrics>>,
    history: History,
}

type Metrics = dyn Fn() -> String + Send + Sync;

impl Admin {
    /// Endpoints that have nothing to tell of yet.
    ///
    /// # Errors
    /// All settings that cannot work, in one error.
    pub fn new(config: AdminConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let (pools, endpoints, events, metrics, history) = Default::default();
        Ok(Self {
            config,
            pools,
            endpoints,
            #[cfg(feature = "websocket")]
            sockets: Vec::new(),
            events,
            metrics,
            history,
        })
    }

    /// Adds a pool, in place of another one of this name.
    #[must_use]
    pub fn pool<K: Key, M: Manage>(
        mut self,
        name: impl Into<String>,
        pool: KeyedPool<K, M>,
    ) -> Self {
        let (name, pool): (_, Arc<dyn Source>) = (name.into(), Arc::new(pool));
        match self.pools.iter_mut().find(|(other, _)| *other == name) {
            Some(other) => other.1 = pool,
            None => self.pools.push((name, pool)),
        }
        self
    }

    /// Adds the endpoints of all groups. Their pool is not added by this.
    #[cfg(feature = "chat")]
    #[must_use]
    pub fn groups(mut self, groups: ModelGroups) -> Self {
        self.endpoints.push(Arc::new(groups));
        self
    }

    /// Adds the endpoints of a balancer.
    #[must_use]
    pub fn balancer<T: Send + Sync + 'static>(mut self, balancer: Balancer<T>) -> Self {
        self.endpoints.push(Arc::new(balancer));
        self
    }

    /// Adds a registry of WebSockets, in place of another one of this name.
    #[cfg(feature = "websocket")]
    #[must_use]
    pub fn sockets(mut self, name: impl Into<String>, sockets: WebSockets) -> Self {
        let registry = sockets::Registry::new(name.into(), sockets);
        match self.sockets.iter_mut().find(|other| other.name == registry.name) {
            Some(other) => *other = registry,
            None => self.sockets.push(registry),
        }
        self
    }

    /// Sets where the recent events are from: the log that the pools, balancers and registries have as
    /// their [`observer`](crate::PoolConfig#structfield.observer). Default none.
    #[must_use]
    pub fn events(mut self, log: EventLog) -> Self {
        self.events = Some(log);
        self
    }

    /// Sets what `GET /metrics` answers, in the text format of Prometheus 0.0.4. Default none, and then
    /// it is not there. Called for each such request, by the thread that handles it.
    #[must_use]
    pub fn metrics(mut self, text: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.metrics = Some(Box::new(text));
        self
    }

    /// Answers a request, whatever server it came by: to HEAD as to GET, so that the server leaves the
    /// body away. Without [`serve`](Self::serve), the history that the page shows has a sample of
    /// whenever its figures were asked for.
    ///
    /// Blocks for `POST /v1/pool/health-check` and `POST /v1/sockets/check`, at most about
    /// [`check_wait`](AdminConfig#structfield.check_wait), and as long as user code does.
    #[must_use]
    pub fn handle(&self, request: &http::Request<Vec<u8>>) -> http::Response<Vec<u8>> {
        // What shows a key, and the metrics, are the user's code.
        caught(|| routes::answer(self, request))
            .unwrap_or_else(|_| answer::refused(500, "a key or the metrics panicked"))
    }

    /// Listens and answers until what this returns is stopped or dropped.
    ///
    /// # Errors
    /// When it cannot listen at the address, or no thread can be had.
    pub fn serve(self) -> io::Result<AdminServer> {
        AdminServer::start(self)
    }

    /// Adds to the history, if it is time.
    fn sample(&self) {
        if self.history.is_due(Instant::now()) {
            self.look();
        }
    }

    /// Looks at all pools, and adds to the history what it saw, if it is time.
    fn look(&self) -> Vec<(&str, Look)> {
        let looks = self.pools.iter().map(|(name, pool)| (name.as_str(), pool.look()));
        let looks: Vec<_> = looks.collect();
        self.history.add(&looks, Instant::now(), Timestamp::now().as_millisecond());
        looks
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pools: Vec<_> = self.pools.iter().map(|(name, _)| name).collect();
        f.debug_struct("Admin")
            .field("config", &self.config)
            .field("pools", &pools)
            .field("metrics", &self.metrics.is_some())
            .finish_non_exhaustive()
    }
}
