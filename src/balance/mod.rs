//! Several endpoints that can serve the same calls: which one serves which, and which are left alone
//! for a while. Knows no HTTP and no pool.
//!
//! ```
//! use llm_pool::balance::{BalanceConfig, Balancer, Call, Cause, Endpoint, PeakEwma};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let endpoints = [
//!     Endpoint::new("own", "http://10.0.0.7:8000").weight(2.0),
//!     Endpoint::new("other", "http://10.0.0.8:8000"),
//! ];
//! let balancer = Balancer::new(BalanceConfig::default().strategy(PeakEwma), endpoints)?;
//!
//! let first = balancer.pick_within(Call::new(), Duration::from_secs(30))?;
//! let tried = [first.index()];
//! // The call to `first.value()` fails. Another endpoint, then:
//! first.failure(Cause::TimedOut);
//! let second = balancer.pick(Call::new().tried(&tried))?;
//! assert_ne!(second.index(), tried[0]);
//! second.success();
//! # Ok(())
//! # }
//! ```
//!
//! # The states of an endpoint
//!
//! ```text
//!          too many failures, or one that is enough
//!   well ────────────────────────────────────────────▶ resting ◀─────────┐
//!    ▲    (not if too many rest; then it stays)           │              │
//!    │                                        rest over:  │              │ failure: a longer rest
//!    │                                        one call    ▼              │ nothing known: the next
//!    └────────────────────────────────────────────────── probing ────────┘ call probes, at once
//!                        success
//! ```
//!
//! A call that a rest or a return has overtaken counts in the statistics and changes no state: its
//! failure was begun before the rest that it would ask for. A probe is the next call without a
//! sticky key, or the next with one whose strategy chooses that endpoint. See [`Cooldown`] for when
//! an endpoint rests and [`Cause`] for what a failure says.
//!
//! # Choosing
//!
//! A [`Strategy`] chooses among the endpoints that are well and that the call has not tried:
//! [`RoundRobin`], [`WeightedRandom`], [`LeastInUse`], [`PowerOfTwo`] (the default), [`PeakEwma`],
//! [`Priority`], [`Sticky`] or your own.
//!
//! # The one lock
//!
//! It guards the health and the counts of all endpoints. A pick takes it twice: to learn who is
//! well and to begin the call. Between the two the strategy runs without it, on numbers that are
//! atomic; an endpoint that is no longer well by then is not taken, and the strategy is asked again.
//! No user code and no logger runs under the lock. Threads wait for one condition variable, which
//! is signalled when a rest begins or ends or a probe finds nothing out.

mod books;
mod config;
mod cooldown;
mod error;
mod histogram;
mod load;
mod outcome;
mod pick;
mod random;
mod stats;
mod strategies;
mod strategy;
mod window;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

pub use config::{BalanceConfig, Endpoint};
pub use cooldown::Cooldown;
pub use error::PickError;
pub use outcome::{Cause, Failure, Outcome};
pub use pick::{Call, Pick};
pub use stats::{BalanceStats, EndpointStats, Failures, Health, Why};
pub use strategies::{
    LeastInUse, PeakEwma, PowerOfTwo, Priority, RoundRobin, Sticky, WeightedRandom,
};
pub use strategy::{Candidate, Candidates, Draw, Strategy};

use crate::caught::{Kept, caught, one_line, say};
use crate::clock::{Clock, Time};
use crate::error::ConfigError;
use books::{Books, Offer};
use load::Load;
use random::Random;
use strategy::Fixed;

/// Picks endpoints for calls, measures them and lets the sick ones rest. Cloning gives another
/// handle to the same. See the [module](self).
pub struct Balancer<T> {
    shared: Arc<Shared<T>>,
}

/// What all handles and picks share. The vectors have one entry an endpoint.
struct Shared<T> {
    name: Arc<str>,
    fixed: Vec<Fixed>,
    loads: Vec<Load>,
    /// Each by itself: two drops that panic in one go would end the process.
    values: Vec<Kept<T>>,
    equal_weights: bool,
    strategy: Kept<Arc<dyn Strategy>>,
    decay: Duration,
    random: Random,
    clock: Clock,
    /// A strategy that fails is logged once.
    complained: AtomicBool,
    books: Mutex<Books>,
    signal: Condvar,
}

impl<T> Balancer<T> {
    /// Balances over these endpoints, all of them well.
    ///
    /// # Errors
    /// [`ConfigError`] names all that cannot work: no endpoint, a name that is there twice, a weight
    /// that is not above 0 or too large, a `decay` of zero, and what [`Cooldown`] says of its settings.
    pub fn new(
        config: BalanceConfig,
        endpoints: impl IntoIterator<Item = Endpoint<T>>,
    ) -> Result<Self, ConfigError> {
        let endpoints: Vec<_> = endpoints.into_iter().collect();
        config.check(&endpoints)?;
        let BalanceConfig { name, strategy, cooldown, decay, seed, clock } = config;
        let books = Books::new(endpoints.len(), cooldown, decay, clock.now());
        let (mut fixed, mut loads, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for Endpoint { name, weight, order, value } in endpoints {
            fixed.push(Fixed { hash: random::hash(&name), name, weight, order });
            loads.push(Load::new());
            values.push(Kept::new(value));
        }
        let equal_weights = fixed.windows(2).all(|pair| pair[0].weight == pair[1].weight);
        let shared = Arc::new(Shared {
            name,
            fixed,
            loads,
            values,
            equal_weights,
            strategy: Kept::new(strategy),
            decay,
            random: Random::new(seed),
            clock,
            complained: AtomicBool::new(false),
            books: Mutex::new(books),
            signal: Condvar::new(),
        });
        Ok(Self { shared })
    }

    /// An endpoint for a call, if one can be had now.
    ///
    /// # Errors
    /// [`PickError::NoneWell`] says when the first rest is over; [`PickError::AllTried`].
    pub fn pick(&self, call: Call<'_>) -> Result<Pick<T>, PickError> {
        let now = self.shared.clock.now();
        self.pick_by(call, now, now)
    }

    /// The same, waiting up to `timeout` for a rest to be over or a probe to succeed. Does not wait
    /// where no rest is over in time and no probe is under way. Endpoints are not reserved: of
    /// several who wait for one rest, the first makes the probe and the others wait for its result.
    ///
    /// # Errors
    /// The same, at once or after `timeout`.
    pub fn pick_within(&self, call: Call<'_>, timeout: Duration) -> Result<Pick<T>, PickError> {
        let now = self.shared.clock.now();
        self.pick_by(call, now, now.after(timeout))
    }

    fn pick_by(&self, call: Call<'_>, mut now: Time, deadline: Time) -> Result<Pick<T>, PickError> {
        let shared = &*self.shared;
        let begin = |ticket, now| Ok(Pick::new(self.shared.clone(), ticket, now));
        let mut books = shared.books.lock();
        loop {
            match books.offer(call.tried, call.key.is_some(), now) {
                Offer::Probe(index) => {
                    if let Some(ticket) = books.take(index, &shared.loads[index], now) {
                        drop(books);
                        shared.say_probe(index);
                        return begin(ticket, now);
                    }
                }
                Offer::Choose { places, well } => {
                    drop(books);
                    let index = shared.choose(&places, well, call.key, now);
                    books = shared.books.lock();
                    if let Some(ticket) = books.take(index, &shared.loads[index], now) {
                        drop(books);
                        if ticket.probe {
                            shared.say_probe(index);
                        }
                        return begin(ticket, now);
                    }
                    // It was well a moment ago. Time has passed, if only a little.
                    now = shared.clock.now();
                }
                Offer::None { earliest, probing } => {
                    let until = match earliest {
                        Some(earliest) if earliest <= deadline => earliest,
                        _ if probing > 0 => deadline,
                        _ => now,
                    };
                    if until <= now {
                        let name = shared.name.clone();
                        let earliest = earliest.map(|earliest| earliest.since(now));
                        return Err(PickError::NoneWell { name, earliest, probing });
                    }
                    books.waiting += 1;
                    shared.clock.wait(&shared.signal, &mut books, until.since(now));
                    books.waiting -= 1;
                    now = shared.clock.now();
                }
                Offer::AllTried => {
                    let (name, endpoints) = (shared.name.clone(), shared.fixed.len());
                    return Err(PickError::AllTried { name, endpoints });
                }
            }
        }
    }

    /// Ends the rest of an endpoint, as if its probe had succeeded: for a caller that knows better,
    /// from a health check or an operator. Says whether it rested. An `index` that no endpoint has
    /// is one that does not rest.
    pub fn end_rest(&self, index: usize) -> bool {
        let shared = &*self.shared;
        let now = shared.clock.now();
        let ended = shared.books.lock().bring_back(index, now);
        let rested = ended.change.is_some();
        shared.tell(index, ended);
        rested
    }

    /// The values of all endpoints, in the order they were given.
    #[must_use]
    pub fn values(&self) -> impl ExactSizeIterator<Item = &T> {
        self.shared.values.iter().map(|value| &**value)
    }

    /// Health and counts, all from one moment. Reckons percentiles under the lock, so not for every
    /// call.
    #[must_use]
    pub fn stats(&self) -> BalanceStats {
        let shared = &*self.shared;
        let now = shared.clock.now();
        let mut books = shared.books.lock();
        let endpoints = books.stats(&shared.fixed, &shared.loads, now);
        let waiting = books.waiting;
        drop(books);
        BalanceStats { name: shared.name.clone(), waiting, endpoints }
    }
}

impl<T> Shared<T> {
    /// Asks the strategy. `places` is not empty.
    fn choose(&self, places: &[u32], well: usize, key: Option<u64>, now: Time) -> usize {
        let candidates = Candidates {
            fixed: &self.fixed,
            loads: &self.loads,
            places,
            well,
            equal_weights: self.equal_weights,
            now,
            decay: self.decay,
        };
        let draw = Draw { random: &self.random, key };
        let chosen = caught(|| self.strategy.pick(&candidates, &draw));
        let place = chosen.as_ref().ok().and_then(|at| places.get(*at));
        if place.is_none() && !self.complained.swap(true, Ordering::Relaxed) {
            let (name, len) = (&self.name, places.len());
            match chosen {
                Ok(at) => {
                    say!(Error, "balancer \"{name}\": the strategy chose {at} of {len} candidates")
                }
                Err(said) => {
                    say!(Error, "balancer \"{name}\": the strategy panicked: {}", one_line(&said))
                }
            }
        }
        place.or(places.first()).map_or(0, |place| *place as usize)
    }

    fn say_probe(&self, index: usize) {
        say!(
            Debug,
            "balancer \"{}\": a call probes endpoint \"{}\"",
            self.name,
            self.fixed[index].name
        );
    }
}

impl<T> Clone for Balancer<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<T> fmt::Debug for Balancer<T> {
    /// Name and health. Not the values, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balancer").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
