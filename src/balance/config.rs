//! The settings of a balancer, and its endpoints.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::error::{ConfigError, Problems};
use crate::setters::setters;

use super::cooldown::Cooldown;
use super::limits::Limits;
use super::observer::EndpointObserver;
use super::strategies::PowerOfTwo;
use super::strategy::Strategy;

/// The settings of a [`Balancer`](super::Balancer), all with a default, all set by chaining.
///
/// Nothing is checked here: [`Balancer::new`](super::Balancer::new) refuses all wrong settings at
/// once.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BalanceConfig {
    /// Goes into logs and errors. Default "balance".
    pub name: Arc<str>,
    /// Which endpoint serves a call. Default [`PowerOfTwo`].
    pub strategy: Arc<dyn Strategy>,
    /// When an endpoint rests. Default that of [`Cooldown`].
    pub cooldown: Cooldown,
    /// How fast measured latency is forgotten: what is this old weighs 1/e. Default 10 s, which is
    /// also the default of Finagle and Linkerd.
    pub decay: Duration,
    /// The start of the random numbers, for runs that can be repeated. Default none: another in
    /// every process.
    pub seed: Option<u64>,
    /// Where time comes from. Default the system.
    pub clock: Clock,
    /// Is told when an endpoint's state changes. Default none.
    pub observer: Option<Arc<dyn EndpointObserver>>,
}

/// Sums of weights must stay numbers.
const MOST: f64 = 1e9;

impl Default for BalanceConfig {
    fn default() -> Self {
        Self {
            name: "balance".into(),
            strategy: Arc::new(PowerOfTwo),
            cooldown: Cooldown::default(),
            decay: Duration::from_secs(10),
            seed: None,
            clock: Clock::default(),
            observer: None,
        }
    }
}

setters! {
    BalanceConfig {
        name: impl Into<Arc<str>>,
        cooldown: Cooldown,
        decay: Duration,
        seed: impl Into<Option<u64>>,
        clock: Clock,
    }
}

impl BalanceConfig {
    /// Sets [`strategy`](Self#structfield.strategy).
    #[must_use]
    pub fn strategy(mut self, strategy: impl Strategy) -> Self {
        self.strategy = Arc::new(strategy);
        self
    }

    /// Sets [`observer`](Self#structfield.observer).
    #[must_use]
    pub fn observer(mut self, observer: impl EndpointObserver + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    pub(crate) fn check<T>(&self, endpoints: &[Endpoint<T>]) -> Result<(), ConfigError> {
        let mut problems = Problems::of("BalanceConfig");
        problems.zero(self.decay, "decay");
        problems.of_part(self.cooldown.check());
        problems.unless(!endpoints.is_empty(), "endpoints", "must be at least one");
        let mut names = HashSet::new();
        for Endpoint { name, weight, limits, .. } in endpoints {
            problems.unless(
                names.insert(name),
                "endpoints",
                format_args!("\"{name}\" is there twice"),
            );
            check_weight(&mut problems, name, *weight);
            problems.value(name, limits.check());
        }
        problems.check()
    }
}

pub(super) fn check_weight(problems: &mut Problems, name: &str, weight: f64) {
    let what = format_args!("of \"{name}\" is {weight}, and must be above 0, at most {MOST:e}");
    problems.unless(weight > 0.0 && weight <= MOST, "weight", what);
}

/// One of several that can serve a call, with what the caller needs to reach it.
///
/// ```
/// use llm_pool::balance::Endpoint;
///
/// let own = Endpoint::new("own", "http://10.0.0.7:8000").weight(2.0);
/// let paid = Endpoint::new("paid", "https://api.example.com").order(1); // a fallback
/// # let _ = (own, paid);
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Endpoint<T> {
    /// Names it in logs and statistics; no other of the balancer may have it. A sticky key finds
    /// its endpoint by this name.
    pub name: Arc<str>,
    /// How much of the load it gets, in comparison with the others. Default 1; above 0, at most a
    /// thousand million.
    pub weight: f64,
    /// Its place for [`Priority`](super::Priority), lower ones first. Default 0.
    pub order: u32,
    /// What it can take. Default anything.
    pub limits: Limits,
    /// The caller's, which the balancer never looks at.
    pub value: T,
}

impl<T> Endpoint<T> {
    /// With weight 1, order 0 and no limits.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, value: T) -> Self {
        Self { name: name.into(), weight: 1.0, order: 0, limits: Limits::default(), value }
    }

    /// Sets [`weight`](Self#structfield.weight).
    #[must_use]
    pub fn weight(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }

    /// Sets [`order`](Self#structfield.order).
    #[must_use]
    pub fn order(mut self, order: u32) -> Self {
        self.order = order;
        self
    }

    /// Sets [`limits`](Self#structfield.limits).
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

impl<T> fmt::Debug for Endpoint<T> {
    /// Not the value, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("name", &self.name)
            .field("weight", &self.weight)
            .field("order", &self.order)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
