//! One connector for all agents of a manager, and what it adds to each connection.
//!
//! Shared, because `ureq`'s connector holds the TLS configuration with the tickets that make the
//! next handshake cheap: with one an agent, every agent pays a full handshake.
//!
//! Each connection is wrapped, for five things that `ureq` leaves open. The wait for the first
//! byte of an answer, in which the model thinks, is not a pause between two bytes. A request keeps
//! to the deadline of its lease, see [`Until`]. Reading the rest of a dropped body has a time
//! limit, see [`read_until`]. Headers may be larger than the buffer, see [`Overflow`]. And an answer that
//! is cut off by a reset or a [`Stop`] does not pass for a whole one.
//!
//! This file and `dns.rs` are the only ones to name `ureq::unversioned`.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, io};

use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport,
};
use ureq::{Error, Timeout};

use super::config::{is_socks, tls_hash};
use super::deadline::Until;
use super::dns::CachingResolver;
use super::pooled::Stop;
use super::trace;

/// Clones share one connector.
#[derive(Clone)]
pub(super) struct SharedConnector {
    shared: Arc<Shared>,
    /// Of the agent whose clone it is.
    stop: Arc<Stop>,
}

struct Shared {
    chain: DefaultConnector,
    /// Of the agents' TLS configuration.
    tls_hash: u64,
    socks: bool,
    /// Told of hosts that could not be connected to.
    resolver: CachingResolver,
}

impl SharedConnector {
    pub(super) fn new(config: &ureq::config::Config, resolver: CachingResolver) -> Self {
        let chain = DefaultConnector::default();
        let socks = has_socks(&chain);
        let tls_hash = tls_hash(config.tls_config());
        let shared = Arc::new(Shared { chain, tls_hash, socks, resolver });
        Self { shared, stop: Arc::default() }
    }

    /// The same for an agent that this stops.
    pub(super) fn of(&self, stop: Arc<Stop>) -> Self {
        Self { shared: self.shared.clone(), stop }
    }
}

impl Connector for SharedConnector {
    type Out = PatientTransport;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<()>,
    ) -> Result<Option<PatientTransport>, Error> {
        let Shared { chain, tls_hash: own, socks, resolver } = &*self.shared;
        let passed = |proxy: &&ureq::Proxy| is_socks(proxy) && !proxy.is_no_proxy(details.uri);
        if !socks && details.config.proxy().filter(passed).is_some() {
            // Of a request's own configuration; ureq would panic.
            return Err(Error::Other("a socks proxy needs ureq's feature `socks-proxy`".into()));
        }

        // ureq keeps no TLS configuration that a request brings, so a program that sets, say, a
        // time-out on every request would never resume a handshake. The agents' own configuration
        // is the agents' own, whoever brings it.
        let own_tls = details.request_level && tls_hash(details.config.tls_config()) != *own;
        let until = Until::current();
        let timeout = within(details.timeout, until)?;
        let began = Instant::now();
        let connecting = Connecting::begin();
        let below = connecting.outer;
        let connected = chain.connect(&changed(details, own_tls, timeout), chained);
        drop(connecting);
        if !below {
            let opened = matches!(connected, Ok(Some(_)));
            trace::add(|trace| trace.connected(opened, began.elapsed()));
        }
        if let (Err(_), Some(host)) = (&connected, details.uri.host()) {
            // Perhaps it is somewhere else by now.
            resolver.forget(host);
        }
        let connected = connected.map_err(|error| match error {
            // ureq says so whichever budget it was that is used up.
            Error::Timeout(Timeout::Connect) => Error::Timeout(timeout.reason),
            error => error,
        })?;
        let overflow = Overflow::of(details.config.max_response_header_size());
        let (asked, used, stop) = (false, false, self.stop.clone());
        let patient = |inner| PatientTransport { inner, asked, used, below, until, stop, overflow };
        Ok(connected.map(patient))
    }
}

impl fmt::Debug for SharedConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedConnector")
    }
}

fn changed<'a>(
    details: &ConnectionDetails<'a>,
    request_level: bool,
    timeout: NextTimeout,
) -> ConnectionDetails<'a> {
    ConnectionDetails {
        uri: details.uri,
        addrs: details.addrs.clone(),
        config: details.config,
        request_level,
        resolver: details.resolver,
        now: details.now,
        timeout,
        current_time: details.current_time.clone(),
        run_connector: details.run_connector.clone(),
        register_shutdown: details.register_shutdown.clone(),
    }
}

/// Whether `ureq` was built, by whichever crate of the program, with its feature `socks-proxy`.
pub(super) fn speaks_socks() -> bool {
    has_socks(&DefaultConnector::default())
}

/// Features of a dependency cannot be asked for; its chain of connectors shows this one.
fn has_socks(chain: &DefaultConnector) -> bool {
    !format!("{chain:?}").contains("WarnOnNoSocksConnector")
}

/// A connection that lets the server think.
///
/// Adds a few branches to a wait for the socket and one to a read from the buffer.
pub(super) struct PatientTransport {
    inner: Box<dyn Transport>,
    /// Something was sent and nothing came back yet: the server thinks.
    asked: bool,
    /// Something came back, and nobody asked since whether the connection is open.
    used: bool,
    /// It is the way to a proxy, below another of these: what passes is counted there.
    below: bool,
    /// The deadline of the request it last served or serves.
    until: Until,
    stop: Arc<Stop>,
    /// While it holds anything, it is the input, and the buffer of `inner` is empty.
    overflow: Overflow,
}

impl Transport for PatientTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        if self.overflow.is_empty() { self.inner.buffers() } else { &mut self.overflow }
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if !self.overflow.is_empty() {
            // It has no output. Only a server that answers at length what it was not yet asked
            // gets here.
            let early = io::Error::new(io::ErrorKind::InvalidData, "a long answer came too early");
            return Err(Error::Io(early));
        }
        self.asked = true;
        if !self.below {
            trace::add(|trace| trace.sent += 1);
        }
        // Kept for the body, which may be read on another thread and after other requests.
        self.until = Until::current();
        self.inner.transmit_output(amount, steady(within(timeout, self.until)?))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let mut timeout = within(timeout, self.until)?;
        if self.asked {
            timeout.per_read = None;
        }
        if let Some(until) = UNTIL.get() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Timeout(Timeout::PerRead));
            }
            timeout.per_read = Some(timeout.per_read.map_or(left.into(), |at| at.min(left.into())));
        }
        if self.overflow.is_full() {
            return Ok(false);
        }
        // Asked for more although the buffer is full: `ureq` needs it all at once.
        if self.inner.buffers().input_append_buf().is_empty() {
            self.overflow.take_from(self.inner.buffers());
        }
        let any = self.await_exactly(timeout).map_err(|error| self.cut_off(error))?;
        if !any && self.stop.is_set() {
            return Err(broken("it was stopped"));
        }
        self.asked &= !any;
        self.used = true;
        if any && !self.below {
            trace::add(|trace| trace.received += 1);
        }
        if !self.overflow.is_empty() {
            self.overflow.take_from(self.inner.buffers());
        }
        Ok(any)
    }

    fn is_open(&mut self) -> bool {
        // `ureq` asks when an answer ends and again before the next request, three system calls
        // each time. The second time sees all that the first does.
        if std::mem::take(&mut self.used) && !PROBING.get() {
            return true;
        }
        // A tunnel through a proxy has another of these below.
        let outer = PROBING.replace(true);
        let open = self.inner.is_open();
        PROBING.set(outer);
        open
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

impl PatientTransport {
    /// Waits for a [`steady`] time and, if that was too short, for the rest.
    fn await_exactly(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let first = steady(timeout);
        if first == timeout {
            return self.inner.await_input(timeout);
        }
        let began = Instant::now();
        match self.inner.await_input(first) {
            Err(Error::Timeout(reason)) if reason == timeout.reason => {
                let after = timeout.after.saturating_sub(began.elapsed());
                self.inner.await_input(NextTimeout { after: after.into(), ..timeout })
            }
            done => done,
        }
    }

    /// `ureq` takes a reset in the midst of a body for a proper end, which the body of an answer that
    /// tells no length has not got.
    fn cut_off(&self, error: Error) -> Error {
        match error {
            Error::Io(error)
                if !self.asked
                    && matches!(
                        error.kind(),
                        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted
                    ) =>
            {
                broken("the connection was reset in the midst of an answer")
            }
            error => error,
        }
    }
}

/// An error that `ureq` passes on.
fn broken(why: &str) -> Error {
    Error::Io(io::Error::new(io::ErrorKind::BrokenPipe, why))
}

/// What `ureq`'s own time-outs and the deadline of the lease leave, whichever is less; an error if
/// the deadline has passed, since a socket takes zero for a time of its own choosing.
pub(super) fn within(timeout: NextTimeout, until: Until) -> Result<NextTimeout, Error> {
    match until.remaining() {
        Some(Duration::ZERO) => Err(Error::Timeout(Timeout::Global)),
        Some(remaining) if timeout.after > remaining.into() => {
            Ok(NextTimeout { after: remaining.into(), reason: Timeout::Global, ..timeout })
        }
        _ => Ok(timeout),
    }
}

/// Rounds a budget down, by less than a sixty-fourth, so that it is the same for one request after
/// another: the socket is then told of it once and not every time.
fn steady(timeout: NextTimeout) -> NextTimeout {
    let Ok(nanos) = u64::try_from(timeout.after.as_nanos()) else { return timeout };
    if timeout.after.is_not_happening() || nanos < MIN_STEADY {
        return timeout;
    }
    let kept = nanos & (!0 << (nanos.ilog2() - 6));
    NextTimeout { after: Duration::from_nanos(kept).into(), ..timeout }
}

/// Shorter budgets, in nanoseconds, are kept as they are.
const MIN_STEADY: u64 = 1_000_000_000;

impl fmt::Debug for PatientTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// The start of an answer whose headers are larger than the buffer.
///
/// `ureq` parses headers in one piece and its buffer does not grow, so that it takes an answer with
/// more of them for a lost connection. Filled in that case only, it serves in place of the buffer
/// until all it holds is used up.
struct Overflow {
    bytes: Vec<u8>,
    used: usize,
    /// The last use used something, as `ureq`'s own buffer has it.
    progress: bool,
    /// `ureq` refuses more than this in one piece; its talk with a proxy knows no limit.
    limit: usize,
}

impl Overflow {
    fn of(limit: usize) -> Self {
        Self { bytes: Vec::new(), used: 0, progress: false, limit }
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn is_full(&self) -> bool {
        self.bytes.len() - self.used > self.limit
    }

    fn take_from(&mut self, buffers: &mut dyn Buffers) {
        self.bytes.drain(..self.used);
        self.used = 0;
        let input = buffers.input();
        self.bytes.extend_from_slice(input);
        let amount = input.len();
        buffers.input_consume(amount);
    }
}

impl Buffers for Overflow {
    fn input(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    fn input_consume(&mut self, amount: usize) {
        self.progress = amount > 0;
        self.used += amount;
        if self.used >= self.bytes.len() {
            // The memory goes as well.
            *self = Self::of(self.limit);
        }
    }

    fn can_use_input(&self) -> bool {
        self.progress && !self.input().is_empty()
    }

    // Nothing is sent from here, and what comes goes through the buffer.

    fn output(&mut self) -> &mut [u8] {
        &mut []
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        (&mut [], &mut [])
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        &mut []
    }

    fn input_appended(&mut self, _: usize) {}
}

thread_local! {
    /// When this thread's reads must end. A body has no other way to tell its connection.
    static UNTIL: Cell<Option<Instant>> = const { Cell::new(None) };
    /// A transport further out wants to know whether the connection is open.
    static PROBING: Cell<bool> = const { Cell::new(false) };
    /// This thread opens a connection.
    static CONNECTING: Cell<bool> = const { Cell::new(false) };
}

/// The opening of a connection; one that begins meanwhile is part of it, to a proxy.
struct Connecting {
    /// Whether this is such a part.
    outer: bool,
}

impl Connecting {
    fn begin() -> Self {
        Self { outer: CONNECTING.replace(true) }
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        CONNECTING.set(self.outer);
    }
}

/// Runs `read`; no wait for a socket in it goes on past `until`.
pub(crate) fn read_until<T>(until: Option<Instant>, read: impl FnOnce() -> T) -> T {
    struct Restore(Option<Instant>);
    impl Drop for Restore {
        fn drop(&mut self) {
            UNTIL.set(self.0);
        }
    }
    let _restore = Restore(UNTIL.replace(until));
    read()
}

#[cfg(test)]
#[path = "connector_tests.rs"]
mod tests;
