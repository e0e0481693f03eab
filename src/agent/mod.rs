//! Agents of `ureq` as the items of a pool.
//!
//! An agent is an HTTP client with at most one idle connection, so one slot of a pool is one
//! connection. What is costly to have once an agent is had once a manager: the TLS configuration
//! with its tickets (`connector.rs`) and the DNS answers (`dns.rs`). Those two files are the only
//! ones that name `ureq::unversioned`.
//!
//! There are two ways to read an answer. Read it while the lease is held, or, to stream it or to
//! hand it on, tie the two together with [`hold`]: the lease then ends with the body. A response
//! does not do so by itself: `pool.get()?.get(url).call()?` gives the agent back at the semicolon,
//! its next holder opens a second connection, and more than `max_size` calls can run. So can they
//! if an agent is cloned out of its lease.
//!
//! A request passes through its agent's middleware (`watch.rs`), which counts it and, if the lease
//! has a deadline, leaves that for the DNS cache and the connection to keep to (`deadline.rs`).
//!
//! The states are those of `ureq` and of the two caches; only the DNS cache has locks, and they
//! are described there.

mod body;
mod check;
mod config;
mod connector;
mod deadline;
mod dns;
mod global;
pub(crate) mod headers;
#[cfg(feature = "chat")]
mod last;
mod origins;
mod pooled;
#[cfg(feature = "websocket")]
mod shared_use;
pub(crate) mod trace;
mod watch;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::{fmt, io};

pub use body::{LeasedBody, Leftover, hold, hold_with};
pub use check::{Check, CheckError};
pub use config::{AgentConfig, Proxy, RootCerts};
pub use global::GlobalInUse;
pub use origins::OriginPool;
pub use pooled::{PooledAgent, Stopper};

#[cfg(feature = "chat")]
pub(crate) use {
    config::bounded,
    connector::read_until,
    last::{Came, Last},
    watch::{OwnTotal, Totals},
};

use crate::{Clock, ConfigError, Manage, RequestStats, Terms};
use check::Prepared;
use connector::SharedConnector;
use dns::{CachingResolver, LookUp};
#[cfg(not(feature = "chat"))]
use watch::Totals;

/// Makes the agents of a pool, alike and with shared TLS tickets and DNS answers.
///
/// Making an agent opens no connection and takes about a microsecond; its first request connects.
/// Clones share everything, as do all agents made by them. A manager that
/// [`with_own_totals`](Self::with_own_totals) or [`checking`](Self::checking) made of another shares
/// all but what is counted, so that each of several pools has its own figures.
///
/// An agent answers a 4xx or 5xx status as it does any other, with headers and body, and keeps the
/// connection: look at the status.
///
/// # Handshakes
///
/// A connection that ended leaves tickets with which the next one, of whichever agent, is resumed
/// at a fraction of the cost. The server sends them, commonly two a connection, along with its
/// first answer; at most eight a host are kept, and each serves once. Connections opened one after
/// another thus cost one full handshake in all, while a burst makes a full one for every
/// connection that finds no ticket. Nothing holds connections back to wait for tickets: they come
/// with the first answer, which may take longer than all the handshakes together.
///
/// # Request statistics
///
/// [`requests`](Manage::requests) has the sums over all agents that the manager and its clones made:
/// how many requests ended, with which class of status, how many of them failed, and how long each
/// took until the headers of the answer were there or, without an answer, until it failed. A failure is an error, or a
/// status of 500 and above, 429 or 408; a request that a lease's deadline ends is one, also if it
/// was not sent. Redirects are part of their request; what becomes of the body is not. Checks are
/// not counted. Calls to a model (feature `chat`) have their tries and tokens counted too.
///
/// # Example
///
/// ```no_run
/// use llm_pool::agent::{AgentConfig, AgentManager};
/// use llm_pool::{Pool, PoolConfig};
///
/// let manager = AgentManager::new(AgentConfig::default())?;
/// let pool = Pool::new(PoolConfig::default().max_size(30), manager)?;
/// let agent = pool.get()?;
/// let mut response = agent.get("https://api.example.com/v1/models").call()?;
/// println!("{}: {}", response.status(), response.body_mut().read_to_string()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct AgentManager {
    shared: Arc<Shared>,
    totals: Arc<Totals>,
    check: Option<Arc<Prepared>>,
}

/// A pool of agents.
pub type AgentPool = crate::Pool<AgentManager>;

/// A lease of one of its agents.
pub type AgentLease = crate::Lease<AgentManager>;

/// What is costly, and had once.
struct Shared {
    config: AgentConfig,
    /// The same, as `ureq` wants it.
    ureq: ureq::config::Config,
    connector: SharedConnector,
    resolver: CachingResolver,
    /// Of sockets, once there is one over TLS.
    #[cfg(feature = "websocket")]
    tls: std::sync::OnceLock<Arc<rustls::ClientConfig>>,
}

impl AgentManager {
    /// A manager whose agents behave as `config` says.
    ///
    /// Reads the environment if the proxy is to be found there. Does no other input or output.
    ///
    /// # Errors
    /// All settings that cannot work, in one error.
    pub fn new(config: AgentConfig) -> Result<Self, ConfigError> {
        Self::with_parts(config, Clock::system(), Box::new(dns::system))
    }

    /// The same with `look_up` in the place of the system's, for hosts that are to be found at
    /// addresses of your own, and for tests of what happens when one moves. It gets the host in lower
    /// case, may block, runs on a thread of its own and under no lock, and what it finds is kept for
    /// [`dns_ttl`](AgentConfig#structfield.dns_ttl); an error, no address, or a panic fails the
    /// requests that wait for it.
    ///
    /// ```
    /// use llm_pool::Manage;
    /// use llm_pool::agent::{AgentConfig, AgentManager};
    /// use std::net::Ipv4Addr;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = llm_pool::test_server::TestServer::start()?;
    /// # let port = server.addr().port();
    /// # use llm_pool::agent::Proxy;
    /// # let config = AgentConfig::default().proxy(Proxy::Direct);
    /// let manager = AgentManager::with_look_up(config, |host| match host {
    ///     "llm.internal" => Ok(vec![Ipv4Addr::LOCALHOST.into()]),
    ///     _ => Err(std::io::ErrorKind::NotFound.into()),
    /// })?;
    /// let agent = manager.create()?;
    /// assert_eq!(agent.get(format!("http://llm.internal:{port}/v1/models")).call()?.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_look_up(
        config: AgentConfig,
        look_up: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        let look_up = move |host: &str| {
            Ok(look_up(host)?.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect())
        };
        Self::with_parts(config, Clock::system(), Box::new(look_up))
    }

    /// With a clock that a test moves and look-ups that a test answers.
    pub(crate) fn with_parts(
        config: AgentConfig,
        clock: Clock,
        look_up: LookUp,
    ) -> Result<Self, ConfigError> {
        let ureq = config.to_ureq(connector::speaks_socks())?;
        let resolver = CachingResolver::new(config.dns_ttl, clock, look_up);
        let connector = SharedConnector::new(&ureq, resolver.clone());
        let shared = Arc::new(Shared {
            config,
            ureq,
            connector,
            resolver,
            #[cfg(feature = "websocket")]
            tls: std::sync::OnceLock::new(),
        });
        Ok(Self { shared, totals: Arc::default(), check: None })
    }

    /// A manager that checks its agents with `check`, a URL or a [`Check`] with headers. It shares
    /// TLS tickets and DNS answers with this one and has request statistics of its own. Without a
    /// check, every agent passes.
    ///
    /// A check is a GET on the agent's own connection. It blocks for at most
    /// [`check_timeout`](AgentConfig::check_timeout), follows no redirect, heeds no lease's deadline
    /// and is not counted in the statistics. The answer is read to its end, up to 4 MiB, so that
    /// the connection stays in use.
    ///
    /// It is to say whether calls would be served. So it fails if there is no whole answer, if the
    /// server is in trouble (a status of 500 and above, 408), if it has had too many requests (429)
    /// and if it, or a proxy, refuses who asks (401, 402, 403, 407): give the check the key that the
    /// calls will have. Any other status passes, 404 and 405 among them: a server that lists no
    /// models may well serve.
    ///
    /// # Errors
    /// A URL that is not http or https, or not https where `https_only` is set, and headers that
    /// are none, in one error.
    pub fn checking(&self, check: impl Into<Check>) -> Result<Self, ConfigError> {
        let prepared = check.into().prepared(self.config().https_only)?;
        Ok(Self { check: Some(Arc::new(prepared)), ..self.with_own_totals() })
    }

    /// A manager like this one, with the same check if there is one, that shares TLS tickets and DNS
    /// answers with it and has request statistics of its own. Takes less than a microsecond.
    #[must_use]
    pub fn with_own_totals(&self) -> Self {
        Self { totals: Arc::default(), ..self.clone() }
    }

    /// Checks with one more header.
    #[cfg(feature = "chat")]
    pub(crate) fn check_with(
        &self,
        agent: &PooledAgent,
        authorization: &ureq::http::HeaderValue,
    ) -> Result<(), CheckError> {
        match &self.check {
            Some(check) => check.run(agent, self.config().check_timeout, Some(authorization)),
            None => Ok(()),
        }
    }

    fn make(&self) -> PooledAgent {
        PooledAgent::new(&self.shared, &self.totals)
    }

    /// What the agents were asked to be.
    #[must_use]
    pub fn config(&self) -> &AgentConfig {
        &self.shared.config
    }
}

/// `create` never fails, and an agent is broken only once it was [stopped](PooledAgent::stopper): it
/// opens a new connection when the one it kept was closed.
impl Manage for AgentManager {
    type Item = PooledAgent;
    type Error = CheckError;

    fn create(&self) -> Result<PooledAgent, CheckError> {
        Ok(self.make())
    }

    /// Passes unless [`checking`](AgentManager::checking) says what to check.
    fn check(&self, agent: &mut PooledAgent) -> Result<(), CheckError> {
        match &self.check {
            Some(check) => check.run(agent, self.config().check_timeout, None),
            None => Ok(()),
        }
    }

    #[inline]
    fn is_broken(&self, agent: &mut PooledAgent) -> bool {
        agent.is_stopped()
    }

    #[inline]
    fn lend(&self, agent: &mut PooledAgent, terms: Terms) {
        agent.lend(terms.remaining);
    }

    fn requests(&self) -> RequestStats {
        self.totals.read()
    }
}

impl fmt::Debug for AgentManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentManager")
            .field("config", self.config())
            .field("check", &self.check.as_ref().map(|check| check.shown()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::ManualClock;

    /// Answers three requests, a connection each.
    fn three_answers() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().take(3) {
                let mut stream = stream.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    head.push(byte[0]);
                }
                stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            }
        });
        addr
    }

    #[test]
    fn all_agents_of_a_manager_share_what_was_looked_up() {
        let (time, look_ups) = (ManualClock::new(), Arc::new(AtomicUsize::new(0)));
        let counter = look_ups.clone();
        let look_up = move |host: &str| {
            assert_eq!(host, "api.test");
            counter.fetch_add(1, Ordering::SeqCst);
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
        };
        let config = AgentConfig::default().proxy(Proxy::Direct);
        let manager = AgentManager::with_parts(config, time.clock(), Box::new(look_up)).unwrap();

        let url = format!("http://API.test:{}/", three_answers().port());
        for look_ups_so_far in [1, 1, 2] {
            let response = manager.clone().create().unwrap().get(&url).call().unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(look_ups.load(Ordering::SeqCst), look_ups_so_far);
            time.advance(Duration::from_secs(150));
        }
    }
}
