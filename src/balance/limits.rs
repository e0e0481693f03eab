//! What an endpoint can take: calls at one time, and calls and tokens in a minute.

use std::time::Duration;

use crate::clock::Time;
use crate::error::{ConfigError, Problems};
use crate::setters::setters;

use super::adaptive::Adaptive;
use super::cap::{Cap, Changed};
use super::outcome::Cause;
use super::rate_limits::RateLimits;
use super::rates::{Rates, Reserved};

/// What an endpoint can take. A call goes elsewhere when one of these is reached, and waits, in the
/// order of arrival, when it is reached everywhere. All settings have a default and are set by
/// chaining.
///
/// ```
/// use llm_pool::balance::{Adaptive, Endpoint, Limits};
///
/// let limits = Limits::default().requests_per_minute(500).tokens_per_minute(200_000);
/// let paid = Endpoint::new("paid", "https://api.example.com").limits(limits);
/// let limits = Limits::default().max_in_use(64).adaptive(Adaptive::default());
/// let own = Endpoint::new("own", "http://10.0.0.7:8000").limits(limits);
/// # let _ = (own, paid);
/// ```
///
/// Nothing is checked here: [`Balancer::new`](super::Balancer::new) refuses all wrong settings at
/// once.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// Most calls at one time. Default none: as many as come. At least 1.
    pub max_in_use: Option<usize>,
    /// Finds out how many calls at one time are good for the endpoint, up to `max_in_use`. Default
    /// none: off. A refusal for too many calls then lessens their number, and counts towards the
    /// failure ratio of [`Cooldown`](super::Cooldown), but does not have the endpoint rest at once
    /// unless it asks for that.
    pub adaptive: Option<Adaptive>,
    /// Most calls begun in a minute. Default none. At least 1.
    pub requests_per_minute: Option<u32>,
    /// Most tokens in a minute, those of questions and answers together. Default none. At least 1.
    pub tokens_per_minute: Option<u32>,
    /// Whether what the endpoint says it still takes ([`Pick::told`](super::Pick::told)) is heeded,
    /// with or without limits of ours. Default true.
    pub learns: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_in_use: None,
            adaptive: None,
            requests_per_minute: None,
            tokens_per_minute: None,
            learns: true,
        }
    }
}

setters! {
    Limits {
        max_in_use: impl Into<Option<usize>>,
        adaptive: impl Into<Option<Adaptive>>,
        requests_per_minute: impl Into<Option<u32>>,
        tokens_per_minute: impl Into<Option<u32>>,
        learns: bool,
    }
}

impl Limits {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let mut problems = Problems::of("Limits");
        let most = self.max_in_use.unwrap_or(usize::MAX);
        problems.unless(most > 0, "max_in_use", "must be at least 1");
        for (name, rate) in [
            ("requests_per_minute", self.requests_per_minute),
            ("tokens_per_minute", self.tokens_per_minute),
        ] {
            problems.unless(rate != Some(0), name, "must be at least 1");
        }
        if let Some(adaptive) = &self.adaptive {
            problems.of_part(adaptive.check(most.max(1)));
        }
        problems.check()
    }
}

/// The limits of one endpoint, and how far they are used up.
pub(super) struct Room {
    calls: Calls,
    rates: Rates,
    learns: bool,
    /// Which of the endpoint's limits these are, if they were changed. A call that began under
    /// others says nothing of these.
    number: u32,
}

enum Calls {
    AnyNumber,
    AtMost(usize),
    Adaptive(Cap),
}

/// Whether one more call can begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Taken {
    Free,
    /// When another has ended.
    Full,
    /// From then on.
    Until(Time),
}

/// What a call under way must hand back of it.
#[derive(Clone, Copy)]
pub(super) struct Share {
    number: u32,
    epoch: u32,
    reserved: Reserved,
}

impl Room {
    /// In place of those of number `before`.
    pub(super) fn new(limits: Limits, before: u32, now: Time) -> Self {
        let calls = match (limits.adaptive, limits.max_in_use) {
            (Some(adaptive), most) => {
                Calls::Adaptive(Cap::new(adaptive, most.unwrap_or(usize::MAX)))
            }
            (None, Some(most)) => Calls::AtMost(most),
            (None, None) => Calls::AnyNumber,
        };
        let rates = Rates::new(limits.requests_per_minute, limits.tokens_per_minute, now);
        Self { calls, rates, learns: limits.learns, number: before.wrapping_add(1) }
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Whether any number of calls of any size can begin, as far as is known.
    pub(super) fn is_unlimited(&self) -> bool {
        matches!(self.calls, Calls::AnyNumber) && self.rates.is_off()
    }

    /// Most calls at one time, as of now.
    pub(super) fn most(&self) -> Option<usize> {
        match &self.calls {
            Calls::AnyNumber => None,
            Calls::AtMost(most) => Some(*most),
            Calls::Adaptive(cap) => Some(cap.now()),
        }
    }

    pub(super) fn is_adaptive(&self) -> bool {
        matches!(self.calls, Calls::Adaptive(_))
    }

    pub(super) fn for_one_more(&self, in_use: usize, tokens: Option<u64>, now: Time) -> Taken {
        if self.most().is_some_and(|most| in_use >= most) {
            return Taken::Full;
        }
        if self.rates.is_off() {
            return Taken::Free;
        }
        let at = self.rates.ready_at(tokens, now);
        if at <= now { Taken::Free } else { Taken::Until(at) }
    }

    /// When the rates let a call begin, if not now.
    pub(super) fn limited_until(&self, now: Time) -> Option<Time> {
        Some(self.rates.ready_at(None, now)).filter(|at| *at > now)
    }

    pub(super) fn begin(&mut self, tokens: Option<u64>, now: Time) -> Share {
        let epoch = if let Calls::Adaptive(cap) = &self.calls { cap.epoch() } else { 0 };
        Share { number: self.number, epoch, reserved: self.rates.begin(tokens, now) }
    }

    /// For a call that was served or that says nothing of the endpoint.
    pub(super) fn settle(&mut self, share: Share, used: Option<u64>, now: Time) {
        if share.number == self.number {
            self.rates.settle(share.reserved, used, now);
        }
    }

    /// For a call that was never sent.
    pub(super) fn give_back(&mut self, share: Share, now: Time) {
        if share.number == self.number {
            self.rates.give_back(share.reserved, now);
        }
    }

    pub(super) fn told(&mut self, share: Share, limits: &RateLimits, now: Time) {
        if self.learns && share.number == self.number {
            self.rates.told(share.reserved, limits, now);
        }
    }

    /// `in_use` counts the call itself.
    pub(super) fn served(
        &mut self,
        share: Share,
        took: Duration,
        in_use: usize,
    ) -> Option<Changed> {
        self.cap(share)?.served(share.epoch, took, in_use)
    }

    pub(super) fn failed(&mut self, share: Share, cause: Cause, in_use: usize) -> Option<Changed> {
        let too_much = matches!(cause, Cause::RateLimited | Cause::Overloaded | Cause::TimedOut);
        if too_much { self.cap(share)?.refused(share.epoch, in_use, cause) } else { None }
    }

    fn cap(&mut self, share: Share) -> Option<&mut Cap> {
        match &mut self.calls {
            Calls::Adaptive(cap) if share.number == self.number => Some(cap),
            _ => None,
        }
    }

    /// Calls and tokens that may begin now.
    pub(super) fn left(&self, now: Time) -> (Option<u64>, Option<u64>) {
        self.rates.left(now)
    }
}
