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
//! # Limits
//!
//! An endpoint may have [`Limits`]: calls at one time, fixed or found out while it serves
//! ([`Adaptive`]), and requests and tokens in a minute, set by us or told by the endpoint. One that
//! is at a limit is no candidate. When all are at a limit or rest, calls queue and are served in the
//! order they came; a newcomer overtakes nobody.
//!
//! # The one lock
//!
//! It guards the health, the limits and the counts of all endpoints, and the queue. A pick takes it
//! twice: to learn who is ready and to begin the call. Between the two the strategy runs without it,
//! on numbers that are atomic; an endpoint that is no longer ready by then is not taken, and the
//! strategy is asked again. No user code and no logger runs under the lock. Each call in the queue
//! has a condition variable of its own; the first is woken when a call ends, and all of them when
//! a rest begins or ends, so that none waits in vain.

mod adaptive;
mod book;
mod books;
mod bucket;
mod cap;
mod config;
mod cooldown;
mod error;
mod histogram;
mod limits;
mod load;
mod observer;
mod offer;
mod outcome;
mod pick;
mod queue;
mod random;
mod rate_limits;
mod rates;
mod stats;
mod strategies;
mod strategy;
mod tell;
mod window;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use adaptive::Adaptive;
pub use config::{BalanceConfig, Endpoint};
pub use cooldown::Cooldown;
pub use error::{NotReady, PickError};
pub use limits::Limits;
pub use observer::{EndpointChange, EndpointObserver};
pub use outcome::{Cause, Failure, Outcome};
pub use pick::{Call, Pick};
pub use rate_limits::{RateLimit, RateLimits};
pub use stats::{BalanceStats, EndpointStats, Failures, Health, Why};
pub use strategies::{
    LeastInUse, PeakEwma, PowerOfTwo, Priority, RoundRobin, Sticky, WeightedRandom,
};
pub use strategy::{Candidate, Candidates, Draw, Strategy};

use crate::caught::{Kept, caught, one_line, say};
use crate::clock::{Clock, Time};
use crate::error::{ConfigError, Problems};
use crate::sync::{Mutex, MutexGuard};
use book::Ticket;
use books::Books;
use config::check_weight;
use limits::Room;
use load::Load;
use offer::Offer;
use queue::Place;
use random::Random;
use strategy::{Fixed, Weight};

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
    /// The places of all, for the picks in which every endpoint can be had.
    places: Box<[u32]>,
    equal_weights: AtomicBool,
    strategy: Kept<Arc<dyn Strategy>>,
    observer: Option<Kept<Arc<dyn EndpointObserver>>>,
    decay: Duration,
    random: Random,
    clock: Clock,
    /// A strategy that fails is logged once.
    complained: AtomicBool,
    /// Kept by the books, whose word it is that counts.
    all_ready: Arc<AtomicBool>,
    books: Mutex<Books>,
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
        let BalanceConfig { name, strategy, cooldown, decay, seed, clock, observer } = config;
        let now = clock.now();
        let rooms = endpoints.iter().map(|endpoint| Room::new(endpoint.limits.clone(), 0, now));
        let books = Books::new(rooms, cooldown, decay, now);
        let places = (0_u32..).take(endpoints.len()).collect();
        let (mut fixed, mut loads, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for Endpoint { name, weight, order, value, .. } in endpoints {
            let weight = Weight::new(weight);
            fixed.push(Fixed { hash: random::hash(&name), name, weight, order });
            loads.push(Load::new());
            values.push(Kept::new(value));
        }
        let equal_weights = AtomicBool::new(are_equal(&fixed));
        let shared = Arc::new(Shared {
            name,
            fixed,
            loads,
            values,
            places,
            equal_weights,
            strategy: Kept::new(strategy),
            observer: observer.map(Kept::new),
            decay,
            random: Random::new(seed),
            clock,
            complained: AtomicBool::new(false),
            all_ready: books.all_ready.clone(),
            books: Mutex::new(books),
        });
        Ok(Self { shared })
    }

    /// An endpoint for a call, if one can be had now and nobody who waits came before.
    ///
    /// # Errors
    /// [`PickError::NoneReady`] says why, and when the first will be where that is known;
    /// [`PickError::AllTried`].
    pub fn pick(&self, call: Call<'_>) -> Result<Pick<T>, PickError> {
        let now = self.shared.clock.now();
        self.pick_by(call, now, now)
    }

    /// The same, waiting up to `timeout` for room, for a rest to be over or for a probe to succeed;
    /// in the order of arrival. Does not wait in vain: where all rest or are at their rate, and none
    /// will be ready in time. Of several who wait for one rest, the first makes the probe and the
    /// others wait for its result.
    ///
    /// # Errors
    /// The same, at once or after `timeout`.
    pub fn pick_within(&self, call: Call<'_>, timeout: Duration) -> Result<Pick<T>, PickError> {
        let now = self.shared.clock.now();
        self.pick_by(call, now, now.after(timeout))
    }

    fn pick_by(&self, call: Call<'_>, now: Time, deadline: Time) -> Result<Pick<T>, PickError> {
        let shared = &*self.shared;
        // Nearly always, and then without a look at the books first: that is a quarter of a pick.
        if call.tried.is_empty() && shared.all_ready.load(Ordering::Relaxed) {
            let index = shared.choose(&shared.places, shared.places.len(), call.key, now);
            let taken = shared.books.lock().take(index, &call, None, &shared.loads[index], now);
            if let Some(ticket) = taken {
                return Ok(self.begin(ticket, now));
            }
        }
        self.pick_of_some(call, now, deadline)
    }

    /// Where some rest, are at a limit or were tried.
    fn pick_of_some(
        &self,
        call: Call<'_>,
        now: Time,
        deadline: Time,
    ) -> Result<Pick<T>, PickError> {
        let shared = &*self.shared;
        let mut place: Option<Place> = None;
        let mut books = shared.books.lock();
        // A strategy that was asked before may have taken its time.
        let mut now = shared.clock.now().max(now);
        let picked = loop {
            let chosen = match books.offer(&call, place.as_ref(), &shared.loads, now) {
                Offer::Probe(index) => Some(index),
                Offer::Choose { places, well } => {
                    let choose = || shared.choose(&places, well, call.key, now);
                    Some(MutexGuard::unlocked(&mut books, choose))
                }
                Offer::None(none) => {
                    let Some(until) = none.wait_until(now, deadline) else {
                        break Err(none.error(shared.name.clone(), now));
                    };
                    let place = place.get_or_insert_with(|| books.queue.join(call.tried));
                    shared.clock.wait(&place.signal, &mut books, until.since(now));
                    None
                }
                Offer::AllTried => {
                    let (name, endpoints) = (shared.name.clone(), shared.fixed.len());
                    break Err(PickError::AllTried { name, endpoints });
                }
            };
            if let Some(index) = chosen {
                let load = &shared.loads[index];
                if let Some(ticket) = books.take(index, &call, place.as_ref(), load, now) {
                    break Ok(ticket);
                }
            }
            // What was free a moment ago may be so no longer, and time has passed.
            now = shared.clock.now();
        };
        if let Some(place) = place {
            books.leave(&place);
        }
        drop(books);
        Ok(self.begin(picked?, now))
    }

    fn begin(&self, ticket: Ticket, now: Time) -> Pick<T> {
        if ticket.probe {
            self.shared.say_probe(ticket.index);
        }
        Pick::new(self.shared.clone(), ticket, now)
    }

    /// Ends the rest of an endpoint, as if its probe had succeeded: for a caller that knows better,
    /// from a health check or an operator. Says whether it rested. An `index` that no endpoint has
    /// is one that does not rest.
    pub fn end_rest(&self, index: usize) -> bool {
        let shared = &*self.shared;
        let now = shared.clock.now();
        let change = shared.books.lock().bring_back(index, now);
        shared.tell(index, change);
        change.is_some()
    }

    /// Gives an endpoint another weight, for the picks that follow.
    ///
    /// # Errors
    /// A weight that cannot be one, or an `index` that no endpoint has; then nothing changes.
    pub fn set_weight(&self, index: usize, weight: f64) -> Result<(), ConfigError> {
        let (fixed, mut problems) = (&self.shared.fixed, Problems::of("set_weight"));
        let endpoint = problems.value("index", endpoint_at(fixed, index));
        if let Some(endpoint) = endpoint {
            check_weight(&mut problems, &endpoint.name, weight);
        }
        let endpoint = problems.check_with(endpoint)?;
        endpoint.weight.set(weight);
        self.shared.equal_weights.store(are_equal(fixed), Ordering::Relaxed);
        Ok(())
    }

    /// Gives an endpoint other limits, with all of their rates to be used anew and an adaptive cap at
    /// its start. Calls under way go on, also where they are more than that now.
    ///
    /// # Errors
    /// Limits that cannot work, or an `index` that no endpoint has; then nothing changes.
    pub fn set_limits(&self, index: usize, limits: Limits) -> Result<(), ConfigError> {
        let mut problems = Problems::of("set_limits");
        problems.value("index", endpoint_at(&self.shared.fixed, index));
        problems.of_part(limits.check());
        problems.check()?;
        let now = self.shared.clock.now();
        self.shared.books.lock().set_limits(index, limits, now);
        Ok(())
    }

    /// In how long, by time alone, the first endpoint can take a call, zero if one can; `None` if
    /// that depends on the end of others.
    #[must_use]
    pub fn earliest(&self) -> Option<Duration> {
        let shared = &*self.shared;
        let now = shared.clock.now();
        match shared.books.lock().offer(&Call::new(), None, &shared.loads, now) {
            Offer::Probe(_) | Offer::Choose { .. } => Some(Duration::ZERO),
            Offer::None(none) => none.earliest.map(|at| at.since(now)),
            Offer::AllTried => None,
        }
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
        let waiting = books.queue.len();
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
            equal_weights: self.equal_weights.load(Ordering::Relaxed),
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
                    say!(
                        Error,
                        { balancer = **name, event = "bad_choice" },
                        "balancer \"{name}\": the strategy chose {at} of {len} candidates"
                    )
                }
                Err(said) => {
                    let said = one_line(&said);
                    say!(
                        Error,
                        { balancer = **name, event = "panicked", reason = *said },
                        "balancer \"{name}\": the strategy panicked: {said}"
                    )
                }
            }
        }
        place.or(places.first()).map_or(0, |place| *place as usize)
    }

    fn say_probe(&self, index: usize) {
        say!(
            Debug,
            {
                balancer = *self.name,
                endpoint = *self.fixed[index].name,
                event = "probes",
            },
            "balancer \"{}\": a call probes endpoint \"{}\"",
            self.name,
            self.fixed[index].name
        );
    }
}

fn are_equal(fixed: &[Fixed]) -> bool {
    fixed.windows(2).all(|pair| pair[0].weight.get() == pair[1].weight.get())
}

fn endpoint_at(fixed: &[Fixed], index: usize) -> Result<&Fixed, String> {
    fixed.get(index).ok_or_else(|| format!("is {index}, and there are {} endpoints", fixed.len()))
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
