//! A bucket that refills while time passes, of requests or of tokens.
//!
//! It counts in shares: a minute's nanoseconds to the one, so that a rate per minute is a whole number
//! of shares per nanosecond. What is set therefore never drifts, however long and often it is used.
//! What an endpoint says of its own rate is a fraction, rounded down by less than a share at each use.

use std::time::Duration;

use crate::clock::Time;

use super::rate_limits::RateLimit;

/// In nanoseconds.
const MINUTE: u64 = 60_000_000_000;

/// What an endpoint said is forgotten when it has said nothing for so long, and no debt that it claims
/// takes longer to refill. So whatever a server sends, calls go on within about an hour of its last
/// word; and if it meant what it said, that costs one refusal an hour.
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// A longer time to be full again counts as a day: the longest limits that providers document are
/// those of a day.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// More than any endpoint allows, and few enough that no sum below overflows: 77 bits of shares.
pub(super) const MOST: u64 = 1_000_000_000_000;

pub(super) struct Bucket {
    /// What is configured.
    set: Option<Terms>,
    /// What the endpoint said, while that counts instead.
    told: Option<Told>,
    /// Shares that were there at `at`; below zero in debt.
    level: i128,
    at: Time,
}

#[derive(Clone, Copy)]
struct Told {
    terms: Terms,
    until: Time,
}

/// How much a bucket holds, and how fast it refills: by `gain` shares in `per` nanoseconds.
#[derive(Clone, Copy)]
struct Terms {
    /// Not zero.
    capacity: u64,
    /// Zero for what only counts down.
    gain: u128,
    /// Not zero.
    per: u64,
}

impl Bucket {
    /// Full.
    pub(super) fn per_minute(count: u32, now: Time) -> Self {
        let terms = Terms::per_minute(u64::from(count));
        Self { set: Some(terms), told: None, level: shares(terms.capacity), at: now }
    }

    /// Without any bound, until it hears of one.
    pub(super) fn unset(now: Time) -> Self {
        Self { set: None, told: None, level: i128::MAX, at: now }
    }

    /// Whether nothing is set, and what was told is forgotten.
    pub(super) fn is_off(&self, now: Time) -> bool {
        self.terms(now).is_none()
    }

    pub(super) fn capacity(&self, now: Time) -> Option<u64> {
        self.terms(now).map(|terms| terms.capacity)
    }

    /// What is there, rounded down; zero in debt.
    pub(super) fn left(&self, now: Time) -> Option<u64> {
        self.terms(now)?;
        let ones = self.level(now).max(0) / i128::from(MINUTE);
        Some(u64::try_from(ones).unwrap_or(u64::MAX))
    }

    /// When so many are there, or all that can be. That is at least one, for the sake of the debt.
    pub(super) fn ready_at(&self, count: u64, now: Time) -> Time {
        let (mut level, mut from) = (self.level(now), now);
        if let Some(told) = self.told.filter(|told| told.until > now) {
            let ready = now.after(told.terms.time_to(count, level));
            if ready <= told.until {
                return ready;
            }
            // It is forgotten first.
            level = told.terms.refilled(level, told.until.since(now));
            from = told.until;
        }
        self.set.map_or(from, |set| from.after(set.time_to(count, level)))
    }

    /// Whether or not they are there.
    pub(super) fn take(&mut self, count: u64, now: Time) {
        self.pass(now);
        self.level = self.level.saturating_sub(shares(count));
    }

    /// Never above the capacity.
    pub(super) fn put_back(&mut self, count: u64, now: Time) {
        self.pass(now);
        self.level = self.level.saturating_add(shares(count));
        // Not above the capacity.
        self.pass(now);
    }

    /// Takes what a call used beyond its reservation, which may be what a server says: a debt that
    /// takes more than an hour is not believed.
    pub(super) fn owe(&mut self, count: u64, now: Time) {
        self.pass(now);
        let owed = self.level.saturating_sub(shares(count));
        self.level = owed.max(self.deepest(now).min(self.level));
    }

    /// What the endpoint said in the answer to a call that began `ago`; since then calls for
    /// `begun` have.
    pub(super) fn hear(&mut self, said: &RateLimit, begun: u64, ago: Duration, now: Time) {
        // Azure has sent zeros for what it does not know.
        if said.limit == Some(0) {
            return;
        }
        self.pass(now);
        let limit = said.limit.map(|limit| limit.min(MOST));
        let remaining = said.remaining.map(|remaining| remaining.min(limit.unwrap_or(MOST)));
        self.learn(limit, remaining, said.reset.filter(|reset| !reset.is_zero()), now);
        if let (Some(remaining), Some(terms)) = (remaining, self.terms(now)) {
            // Whether the endpoint counted what was due when the call came in or when it answered is not
            // known, so the lesser of both: as it says, or less what has begun and more what has come
            // back since.
            let uncounted = shares(begun).saturating_sub(terms.gained(ago)).max(0);
            let left = shares(remaining).saturating_sub(uncounted);
            self.level = self.level.min(left.max(self.deepest(now)));
        }
        // Not above a lower capacity.
        self.pass(now);
    }

    /// Takes the terms from what was said, where they are new or narrower than what is set.
    fn learn(
        &mut self,
        limit: Option<u64>,
        remaining: Option<u64>,
        reset: Option<Duration>,
        now: Time,
    ) {
        let until = now.after(HOUR);
        match (self.set, limit) {
            (Some(set), Some(limit)) if limit >= set.capacity => self.told = None,
            (Some(set), Some(limit)) => {
                let terms = self.terms_of(limit, remaining, reset).not_faster_than(set);
                self.told = Some(Told { terms, until });
            }
            (None, Some(limit)) if remaining.is_some() && reset.is_some() => {
                self.told = Some(Told { terms: self.terms_of(limit, remaining, reset), until });
            }
            (None, None) => {
                if let (Some(remaining), Some(reset)) = (remaining, reset) {
                    self.count_down(remaining, now.after(reset.min(HOUR)));
                }
            }
            _ => {}
        }
    }

    /// All that was used is there again after `reset`, so it comes back so fast.
    fn terms_of(&self, limit: u64, remaining: Option<u64>, reset: Option<Duration>) -> Terms {
        let used = limit.saturating_sub(remaining.unwrap_or(limit));
        match (reset, self.told) {
            (Some(reset), _) if used > 0 => Terms::refilling(limit, used, reset.min(DAY)),
            // Nothing shows how fast: as before, or as the providers name their limits.
            (_, Some(told)) if told.terms.capacity == limit && told.terms.gain > 0 => told.terms,
            _ => Terms::per_minute(limit),
        }
    }

    fn count_down(&mut self, remaining: u64, until: Time) {
        match &mut self.told {
            // A later end may be that of the time after this one, in which there is more again.
            Some(told) if told.terms.gain == 0 => told.until = told.until.min(until),
            Some(_) => {}
            None => {
                let terms = Terms { capacity: remaining.max(1), gain: 0, per: 1 };
                self.told = Some(Told { terms, until });
            }
        }
    }

    fn terms(&self, now: Time) -> Option<Terms> {
        self.told.filter(|told| told.until > now).map(|told| told.terms).or(self.set)
    }

    fn level(&self, now: Time) -> i128 {
        let (mut level, mut from) = (self.level, self.at);
        if let Some(told) = self.told {
            level = told.terms.refilled(level, now.min(told.until).since(from));
            if told.until >= now {
                return level;
            }
            from = from.max(told.until);
        }
        self.set.map_or(level, |set| set.refilled(level, now.since(from)))
    }

    /// Lets time pass. Of two times out of order, the later one counts.
    fn pass(&mut self, now: Time) {
        self.level = self.level(now);
        self.at = self.at.max(now);
        self.told = self.told.filter(|told| told.until > now);
    }

    /// The deepest debt: what an hour refills.
    fn deepest(&self, now: Time) -> i128 {
        self.terms(now).map_or(0, |terms| -terms.gained(HOUR))
    }
}

impl Terms {
    /// Zero, which a configuration refuses, counts as one.
    fn per_minute(count: u64) -> Self {
        let count = count.max(1);
        Self { capacity: count, gain: u128::from(count), per: 1 }
    }

    /// `count`, at most [`MOST`], come back within a time that is not zero.
    fn refilling(capacity: u64, count: u64, within: Duration) -> Self {
        Self { capacity, gain: u128::from(count) * u128::from(MINUTE), per: nanos(within).max(1) }
    }

    /// At most 77 bits of gain by 47 of time: no overflow.
    fn not_faster_than(self, other: Self) -> Self {
        if self.gain * u128::from(other.per) <= other.gain * u128::from(self.per) {
            return self;
        }
        Self { gain: other.gain, per: other.per, ..self }
    }

    /// Shares.
    fn gained(&self, span: Duration) -> i128 {
        let gained = u128::from(nanos(span)).checked_mul(self.gain);
        // What overflows fills any bucket.
        gained.and_then(|all| i128::try_from(all / u128::from(self.per)).ok()).unwrap_or(i128::MAX)
    }

    fn refilled(&self, level: i128, span: Duration) -> i128 {
        level.saturating_add(self.gained(span)).min(shares(self.capacity))
    }

    /// Until so many are there, counted from this level, rounded up to whole nanoseconds.
    fn time_to(&self, count: u64, level: i128) -> Duration {
        let missing = shares(count.clamp(1, self.capacity)).saturating_sub(level);
        let missing = u128::try_from(missing).unwrap_or(0);
        if missing == 0 {
            return Duration::ZERO;
        }
        if self.gain == 0 {
            return Duration::MAX;
        }
        let per = u128::from(self.per);
        // Of a product too large for a u128 its last digits do not count.
        let exact = missing.checked_mul(per).map(|missing| missing.div_ceil(self.gain));
        let time = exact.unwrap_or_else(|| (missing / self.gain).saturating_mul(per));
        Duration::from_nanos(u64::try_from(time).unwrap_or(u64::MAX))
    }
}

/// At most 100 bits.
fn shares(count: u64) -> i128 {
    i128::from(count) * i128::from(MINUTE)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
