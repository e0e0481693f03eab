//! What all threads of a server share: the counters, the plan, the log and the open sockets
//! under one lock, and the gate that ends delays when the server stops.

use std::collections::HashMap;
use std::net::TcpStream;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::builder::{TestServerBuilder, Wrap};
use super::openai::Rules;
use super::plan::Plan;
use super::reply::Reply;
use super::seen::{Log, SeenRequest};
use super::socket::Line;
use crate::http1::Request;

/// A server's counters, all from one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStats {
    /// Connections accepted since the start.
    pub connections: u64,
    /// Connections open now. One closed by its client counts until the server has noticed.
    pub open: usize,
    /// Requests that arrived since the start, answered or not. What is not HTTP, or too long,
    /// is refused and not counted.
    pub requests: u64,
    /// Requests that arrived and wait for their answer, or its end.
    pub in_flight: usize,
    /// The most requests in flight at once since the start.
    pub max_in_flight: usize,
    /// Requests refused because as many as the server takes
    /// [at once](super::TestServerBuilder::max_at_once) were in flight.
    pub refused: u64,
    /// Replies planned and not used yet.
    pub planned: usize,
}

/// Everything the threads share.
pub(super) struct Shared {
    /// No input or output and no user code while it is held; nor the gate's lock.
    state: Mutex<State>,
    /// Told whenever `State::version` moves.
    changed: Condvar,
    gate: Gate,
    pub(super) max_body: usize,
    pub(super) wrap: Option<Wrap>,
    pub(super) rules: Rules,
}

struct State {
    delay: Duration,
    pause: Duration,
    plan: Plan,
    /// Requests in flight that were not refused for their number, and how many there may be.
    serving: usize,
    max_at_once: usize,
    too_many: Arc<Reply>,
    /// `planned` is counted when asked for.
    stats: ServerStats,
    log: Log,
    /// The open connections by number. The sockets belong to the connections' threads.
    lines: HashMap<u64, Weak<Line>>,
    /// Connections whose thread has ended and has yet to be joined.
    ended: Vec<u64>,
    stopped: bool,
    /// Moves with every change of `stats`.
    version: u64,
}

/// What is to be done with a request that has arrived.
pub(super) struct Order {
    pub(super) number: u64,
    pub(super) reply: Arc<Reply>,
    pub(super) delay: Duration,
    pub(super) pause: Duration,
}

impl Shared {
    pub(super) fn new(settings: TestServerBuilder) -> Self {
        let state = State {
            delay: settings.delay,
            pause: settings.pause,
            plan: Plan::new(settings.reply),
            serving: 0,
            max_at_once: settings.max_at_once,
            too_many: Arc::new(
                Reply::status(429).message("Too many requests at one time").delay(Duration::ZERO),
            ),
            stats: ServerStats::default(),
            log: Log::new(settings.remember),
            lines: HashMap::new(),
            ended: Vec::new(),
            stopped: false,
            version: 0,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            gate: Gate::default(),
            max_body: settings.max_body,
            wrap: settings.wrap,
            rules: settings.rules,
        }
    }

    pub(super) fn set_delay(&self, delay: Duration) {
        self.state.lock().delay = delay;
    }

    pub(super) fn set_pause(&self, pause: Duration) {
        self.state.lock().pause = pause;
    }

    pub(super) fn set_reply(&self, reply: Reply) {
        self.change(|state| state.plan.stand(reply));
    }

    pub(super) fn plan(&self, reply: Reply) {
        self.change(|state| state.plan.push(reply));
    }

    pub(super) fn clear_plan(&self) {
        self.change(|state| state.plan.clear());
    }

    pub(super) fn stats(&self) -> ServerStats {
        self.state.lock().stats()
    }

    pub(super) fn seen(&self) -> Vec<SeenRequest> {
        self.state.lock().log.to_vec()
    }

    pub(super) fn forget_seen(&self) {
        self.state.lock().log.clear();
    }

    pub(super) fn wait_until(
        &self,
        timeout: Duration,
        mut wanted: impl FnMut(&ServerStats) -> bool,
    ) -> Result<ServerStats, ServerStats> {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            let (stats, version) = {
                let state = self.state.lock();
                (state.stats(), state.version)
            };
            if wanted(&stats) {
                return Ok(stats);
            }
            let mut state = self.state.lock();
            while state.version == version {
                match deadline {
                    None => self.changed.wait(&mut state),
                    Some(deadline) => {
                        if self.changed.wait_until(&mut state, deadline).timed_out() {
                            return Err(state.stats());
                        }
                    }
                }
            }
        }
    }

    /// Takes in an accepted connection, under its number; none when the server has stopped.
    pub(super) fn register(&self, stream: TcpStream) -> Option<(u64, Arc<Line>)> {
        let line = Arc::new(Line::new(stream));
        let number = self.change(|state| {
            if state.stopped {
                return None;
            }
            state.stats.connections += 1;
            state.stats.open += 1;
            let number = state.stats.connections;
            state.lines.insert(number, Arc::downgrade(&line));
            Some(number)
        })?;
        Some((number, line))
    }

    /// Notes that a connection is closed and its thread about to end.
    pub(super) fn deregister(&self, connection: u64) {
        self.change(|state| {
            state.lines.remove(&connection);
            state.ended.push(connection);
            state.stats.open -= 1;
        });
    }

    /// The connections that have ended since the last call.
    pub(super) fn take_ended(&self) -> Vec<u64> {
        std::mem::take(&mut self.state.lock().ended)
    }

    /// A request has been read: counts and logs it and says what to do with it.
    pub(super) fn begin(&self, connection: u64, request: &Request<'_>) -> (Order, InFlight<'_>) {
        let (order, serves) = self.change(|state| {
            state.stats.requests += 1;
            state.stats.in_flight += 1;
            state.stats.max_in_flight = state.stats.max_in_flight.max(state.stats.in_flight);
            let number = state.stats.requests;
            state.log.record(number, connection, request.head, request.body);
            let serves = state.serving < state.max_at_once;
            let reply = if serves {
                state.serving += 1;
                state.plan.next(request.path)
            } else {
                state.stats.refused += 1;
                state.too_many.clone()
            };
            let delay = reply.delay.unwrap_or(state.delay);
            let pause = reply.pause.unwrap_or(state.pause);
            (Order { number, reply, delay, pause }, serves)
        });
        (order, InFlight { shared: self, serves, done: false })
    }

    /// Waits; false when the server has stopped instead.
    pub(super) fn wait(&self, duration: Duration) -> bool {
        duration.is_zero() || self.gate.wait(duration)
    }

    pub(super) fn stopped(&self) -> bool {
        self.state.lock().stopped
    }

    pub(super) fn disconnect_all(&self) {
        let lines: Vec<_> = self.state.lock().lines.values().cloned().collect();
        for line in lines.iter().filter_map(Weak::upgrade) {
            line.shut_down();
        }
    }

    pub(super) fn stop(&self) {
        self.change(|state| state.stopped = true);
        self.gate.close();
        // After `stopped`, so that none is taken in behind it.
        self.disconnect_all();
    }

    /// Changes the state and tells those who wait for a change.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        let result = change(&mut state);
        state.version = state.version.wrapping_add(1);
        drop(state);
        self.changed.notify_all();
        result
    }
}

impl State {
    fn stats(&self) -> ServerStats {
        ServerStats { planned: self.plan.len(), ..self.stats }
    }
}

/// A request in flight; dropping it ends the flight.
pub(super) struct InFlight<'a> {
    shared: &'a Shared,
    serves: bool,
    done: bool,
}

impl InFlight<'_> {
    /// To be called before the last byte goes out, so that the client never sees its own request
    /// counted once it has the answer.
    pub(super) fn end(&mut self) {
        if !self.done {
            self.done = true;
            self.shared.change(|state| {
                state.stats.in_flight -= 1;
                state.serving -= usize::from(self.serves);
            });
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// Where threads wait out a delay. Apart from the state, whose changes would wake them all.
#[derive(Default)]
struct Gate {
    closed: Mutex<bool>,
    signal: Condvar,
}

impl Gate {
    fn wait(&self, duration: Duration) -> bool {
        let deadline = Instant::now().checked_add(duration);
        let mut closed = self.closed.lock();
        while !*closed {
            match deadline {
                None => self.signal.wait(&mut closed),
                Some(deadline) => {
                    if self.signal.wait_until(&mut closed, deadline).timed_out() {
                        return !*closed;
                    }
                }
            }
        }
        false
    }

    fn close(&self) {
        *self.closed.lock() = true;
        self.signal.notify_all();
    }
}
