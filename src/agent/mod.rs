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
//! The states are those of `ureq` and of the two caches; only the DNS cache has locks, and they
//! are described there.

mod body;
mod config;
mod connector;
mod dns;

use std::fmt;
use std::sync::Arc;

pub use body::{LeasedBody, Leftover, hold, hold_with};
pub use config::{AgentConfig, Proxy, RootCerts};

use crate::{Clock, ConfigError, Manage};
use connector::SharedConnector;
use dns::{CachingResolver, LookUp};

/// Makes the agents of a pool, alike and with shared TLS tickets and DNS answers.
///
/// Making an agent opens no connection and takes less than a microsecond; its first request
/// connects. Clones share everything, as do all agents made by them.
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
pub struct AgentManager(Arc<Parts>);

/// A pool of agents.
pub type AgentPool = crate::Pool<AgentManager>;

/// A lease of one of its agents.
pub type AgentLease = crate::Lease<AgentManager>;

struct Parts {
    config: AgentConfig,
    /// The same, as `ureq` wants it; cloned without allocation.
    ureq: ureq::config::Config,
    connector: SharedConnector,
    resolver: CachingResolver,
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

    /// With a clock that a test moves and look-ups that a test answers.
    pub(crate) fn with_parts(
        config: AgentConfig,
        clock: Clock,
        look_up: LookUp,
    ) -> Result<Self, ConfigError> {
        let ureq = config.to_ureq(connector::speaks_socks())?;
        let connector = SharedConnector::new(&ureq);
        let resolver = CachingResolver::new(config.dns_ttl, clock, look_up);
        Ok(Self(Arc::new(Parts { config, ureq, connector, resolver })))
    }

    /// What the agents were asked to be.
    #[must_use]
    pub fn config(&self) -> &AgentConfig {
        &self.0.config
    }
}

/// `create` never fails, and an agent is never broken: it opens a new connection when the one it
/// kept was closed.
impl Manage for AgentManager {
    type Item = ureq::Agent;
    type Error = ureq::Error;

    fn create(&self) -> Result<ureq::Agent, ureq::Error> {
        let Parts { ureq, connector, resolver, .. } = &*self.0;
        Ok(ureq::Agent::with_parts(ureq.clone(), connector.clone(), resolver.clone()))
    }
}

impl fmt::Debug for AgentManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentManager").field("config", self.config()).finish_non_exhaustive()
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
