//! One DNS cache for all agents of a manager.
//!
//! `ureq` asks for the addresses of a host before every request, also on a connection it reuses,
//! and starts a thread for it if there is any time-out. Here a known host costs one read lock and
//! one hash.
//!
//! A host is unknown, being looked up, or known until its time is over. All who ask for a host
//! that is being looked up wait for that one look-up, each within its own time-out and the deadline
//! of its lease. The look-up
//! has a thread of its own, so nobody's time-out ends it, and it answers even if it panics. A
//! failure goes to those who waited for it and is not remembered: who comes later asks again.
//!
//! A host that could not be connected to may have moved, so the connector has it [forgotten], and the
//! next request asks anew; at most once a second, for a server that is down may be asked for by many.
//!
//! [forgotten]: CachingResolver::forget
//!
//! Locks: `under_way` guards who looks up what, `known` what is known; `under_way` is locked
//! first. Nothing is looked up, waited for or logged under either.
//!
//! This file and `connector.rs` are the only ones to name `ureq::unversioned`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, thread};

use parking_lot::{Condvar, Mutex, RwLock};
use ureq::Error;
use ureq::config::{Config, IpFamily};
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::connector::within;
use super::deadline::Until;
use crate::Clock;
use crate::caught::{caught, say};
use crate::clock::Time;

/// Finds the addresses of a host; their ports are of no account. May block.
pub(super) type LookUp = Box<dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// Asks the system.
pub(super) fn system(host: &str) -> io::Result<Vec<SocketAddr>> {
    Ok((host, 0).to_socket_addrs()?.collect())
}

/// Clones share one cache.
#[derive(Clone)]
pub(super) struct CachingResolver(Arc<Cache>);

struct Cache {
    look_up: LookUp,
    ttl: Duration,
    clock: Clock,
    /// By host in lower case. Read by every request, written once a look-up.
    known: RwLock<HashMap<Box<str>, Known>>,
    /// By host in lower case. Locked by who finds a host unknown, and by the look-up at its end.
    under_way: Mutex<HashMap<Box<str>, Arc<Query>>>,
}

struct Known {
    addrs: Arc<[SocketAddr]>,
    since: Time,
    until: Time,
}

/// One look-up, for all who wait for it.
struct Query {
    since: Time,
    outcome: Mutex<Option<Outcome>>,
    ended: Condvar,
}

type Outcome = Result<Arc<[SocketAddr]>, Failure>;

/// An `io::Error` that can be told to several.
#[derive(Clone)]
struct Failure {
    kind: io::ErrorKind,
    what: Arc<str>,
}

/// So many hosts are known at most; then the one that was looked up first is forgotten.
const MAX_HOSTS: usize = 1024;

/// So many addresses fit `ureq`'s answer.
const MAX_ADDRS: usize = 16;

/// A look-up that takes longer is left to itself, and who comes next begins another.
const GIVEN_UP: Duration = Duration::from_secs(30);

/// Addresses that were found within this time are not doubted.
const TRUSTED: Duration = Duration::from_secs(1);

impl CachingResolver {
    /// Addresses are used for `ttl`; zero looks up every time.
    pub(super) fn new(ttl: Duration, clock: Clock, look_up: LookUp) -> Self {
        let (known, under_way) = Default::default();
        Self(Arc::new(Cache { look_up, ttl, clock, known, under_way }))
    }

    /// For whom is not `ureq`. Waits for at most `limit`.
    #[cfg(feature = "websocket")]
    pub(super) fn addresses(
        &self,
        host: &str,
        port: u16,
        limit: Duration,
    ) -> io::Result<Vec<SocketAddr>> {
        if let Some(ip) = literal(host) {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let host = lower_case(host);
        let addrs = match self.0.with_known(&host, Arc::clone) {
            Some(addrs) => addrs,
            None => {
                let timeout = NextTimeout {
                    after: limit.into(),
                    reason: ureq::Timeout::Resolve,
                    ..NextTimeout::default()
                };
                self.0.ask(&host, timeout).map_err(|error| match error {
                    Error::Io(error) => error,
                    error => io::Error::new(io::ErrorKind::TimedOut, error),
                })?
            }
        };
        Ok(addrs.iter().map(|addr| SocketAddr::new(addr.ip(), port)).collect())
    }

    /// Has a host looked up again by who asks next, unless it has just been.
    pub(super) fn forget(&self, host: &str) {
        if literal(host).is_some() {
            return;
        }
        let (host, now) = (lower_case(host), self.0.clock.now());
        let mut known = self.0.known.write();
        if known.get(&*host).is_some_and(|known| now.since(known.since) >= TRUSTED) {
            known.remove(&*host);
        }
    }
}

impl Resolver for CachingResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let (host, port) = host_and_port(uri)?;
        let (family, mut found) = (config.ip_family(), self.empty());
        if let Some(ip) = literal(host) {
            fill(&mut found, &[SocketAddr::new(ip, port)], port, family);
        } else {
            let host = lower_case(host);
            let warm = self.0.with_known(&host, |addrs| fill(&mut found, addrs, port, family));
            if warm.is_none() {
                let timeout = within(timeout, Until::current())?;
                fill(&mut found, &self.0.ask(&host, timeout)?, port, family);
            }
        }
        if found.is_empty() { Err(Error::HostNotFound) } else { Ok(found) }
    }
}

impl fmt::Debug for CachingResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CachingResolver")
    }
}

impl Cache {
    fn with_known<T>(&self, host: &str, read: impl FnOnce(&Arc<[SocketAddr]>) -> T) -> Option<T> {
        // Taken first: the clock may start its ticker.
        let now = self.clock.coarse();
        let known = self.known.read();
        known.get(host).filter(|known| now < known.until).map(|known| read(&known.addrs))
    }

    /// Joins the look-up that is under way, or begins one, and waits.
    fn ask(self: &Arc<Self>, host: &str, timeout: NextTimeout) -> Result<Arc<[SocketAddr]>, Error> {
        let now = self.clock.now();
        let mut under_way = self.under_way.lock();
        // A look-up may have ended since the host was found unknown.
        if let Some(addrs) = self.with_known(host, Arc::clone) {
            return Ok(addrs);
        }
        let query = match under_way.get(host) {
            Some(query) if now.since(query.since) < GIVEN_UP => {
                let query = query.clone();
                drop(under_way);
                query
            }
            _ => {
                let query = Arc::new(Query::since(now));
                under_way.insert(host.into(), query.clone());
                drop(under_way);
                self.begin(host, &query);
                query
            }
        };

        let limit = (!timeout.after.is_not_happening()).then_some(*timeout.after);
        match query.wait(limit) {
            Some(Ok(addrs)) => Ok(addrs),
            Some(Err(Failure { kind, what })) => {
                let what = format!("cannot look up {host}: {what}");
                Err(Error::Io(io::Error::new(kind, what)))
            }
            None => Err(Error::Timeout(timeout.reason)),
        }
    }

    fn begin(self: &Arc<Self>, host: &str, query: &Arc<Query>) {
        let (cache, name, on_thread) = (self.clone(), Box::<str>::from(host), query.clone());
        let spawned = thread::Builder::new().name("llm-pool-dns".into()).spawn(move || {
            let looked_up = caught(|| (cache.look_up)(&name));
            let outcome = match looked_up {
                Ok(Ok(addrs)) if addrs.is_empty() => {
                    Err(Failure::new(io::ErrorKind::NotFound, "it has no address"))
                }
                Ok(Ok(addrs)) => Ok(Arc::from(addrs)),
                Ok(Err(error)) => Err(Failure::new(error.kind(), error.to_string())),
                Err(_) => Err(Failure::new(io::ErrorKind::Other, "the look-up panicked")),
            };
            cache.end(&name, &on_thread, outcome);
        });
        if let Err(error) = spawned {
            let failure = Failure::new(error.kind(), format!("no thread for it: {error}"));
            self.end(host, query, Err(failure));
        }
    }

    fn end(&self, host: &str, query: &Arc<Query>, outcome: Outcome) {
        match &outcome {
            Ok(addrs) => {
                let count = addrs.len();
                say!(
                    Debug,
                    { host = host, event = "looked_up", addresses = count },
                    "looked up {host}: {count} addresses"
                );
                self.remember(host, addrs);
            }
            Err(Failure { what, .. }) => say!(
                Debug,
                { host = host, event = "look_up_failed", reason = **what },
                "cannot look up {host}: {what}"
            ),
        }
        let mut under_way = self.under_way.lock();
        // Unless it was given up for another.
        if under_way.get(host).is_some_and(|current| Arc::ptr_eq(current, query)) {
            under_way.remove(host);
        }
        drop(under_way);
        query.end(outcome);
    }

    fn remember(&self, host: &str, addrs: &Arc<[SocketAddr]>) {
        let now = self.clock.now();
        let fresh = Known { addrs: addrs.clone(), since: now, until: now.after(self.ttl) };
        let mut known = self.known.write();
        if known.len() >= MAX_HOSTS && !known.contains_key(host) {
            known.retain(|_, known| now < known.until);
            if known.len() >= MAX_HOSTS {
                let oldest = known.iter().min_by_key(|(_, known)| known.until);
                if let Some(oldest) = oldest.map(|(host, _)| host.clone()) {
                    known.remove(&oldest);
                }
            }
        }
        known.insert(host.into(), fresh);
    }
}

impl Query {
    fn since(now: Time) -> Self {
        Self { since: now, outcome: Mutex::new(None), ended: Condvar::new() }
    }

    /// None once `limit` is over.
    fn wait(&self, limit: Option<Duration>) -> Option<Outcome> {
        let mut outcome = self.outcome.lock();
        match limit {
            None => self.ended.wait_while(&mut outcome, |outcome| outcome.is_none()),
            Some(limit) => {
                self.ended.wait_while_for(&mut outcome, |outcome| outcome.is_none(), limit);
            }
        }
        outcome.clone()
    }

    fn end(&self, outcome: Outcome) {
        *self.outcome.lock() = Some(outcome);
        self.ended.notify_all();
    }
}

impl Failure {
    fn new(kind: io::ErrorKind, what: impl Into<Arc<str>>) -> Self {
        Self { kind, what: what.into() }
    }
}

fn host_and_port(uri: &Uri) -> Result<(&str, u16), Error> {
    let missing = || Error::BadUri("a scheme and a host are needed".into());
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(missing)?;
    let port = match (uri.port_u16(), uri.scheme_str()) {
        (Some(port), _) => port,
        (None, Some("https")) => 443,
        (None, Some("http")) => 80,
        // Proxies: `ureq` takes them in upper case as well.
        (None, Some(scheme)) if scheme.eq_ignore_ascii_case("https") => 443,
        (None, Some(scheme)) if scheme.eq_ignore_ascii_case("http") => 80,
        (None, Some(scheme)) if scheme.to_ascii_lowercase().starts_with("socks") => 1080,
        (None, Some(scheme)) => return Err(Error::BadUri(format!("unknown scheme: {scheme}"))),
        (None, None) => return Err(missing()),
    };
    Ok((host, port))
}

fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}

fn lower_case(host: &str) -> Cow<'_, str> {
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        host.to_ascii_lowercase().into()
    } else {
        host.into()
    }
}

fn fill(found: &mut ResolvedSocketAddrs, addrs: &[SocketAddr], port: u16, family: IpFamily) {
    for mut addr in family.keep_wanted(addrs.iter().copied()).take(MAX_ADDRS) {
        addr.set_port(port);
        found.push(addr);
    }
}

#[cfg(test)]
#[path = "dns_tests.rs"]
mod tests;
