//! The rates beside `governor`'s direct limiter: where both can tell, they tell the same.

use std::num::NonZeroU32;

use governor::clock::FakeRelativeClock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use proptest::prelude::{ProptestConfig, prop, prop_oneof, proptest};
// The crate's own is of the same name.
use proptest::strategy::Strategy as Strategy2;

use super::super::rates::Rates;
use super::*;

const MINUTE: u64 = 60_000_000_000;
const AT: fn(u64) -> Time = |secs| Time::from_secs(3600 + secs);

type Limiter =
    RateLimiter<NotKeyed, InMemoryState, FakeRelativeClock, NoOpMiddleware<governor::nanos::Nanos>>;

struct Both {
    rates: Rates,
    limiter: Limiter,
    clock: FakeRelativeClock,
    now: Time,
}

impl Both {
    fn new(limit: u32, of_tokens: bool) -> Self {
        let (requests, tokens) = if of_tokens { (None, Some(limit)) } else { (Some(limit), None) };
        let clock = FakeRelativeClock::default();
        let quota = Quota::per_minute(NonZeroU32::new(limit).unwrap());
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
        Self { rates: Rates::new(requests, tokens, AT(0)), limiter, clock, now: AT(0) }
    }

    fn advance(&mut self, nanos: u64) {
        self.clock.advance(Duration::from_nanos(nanos));
        self.now = self.now.after(Duration::from_nanos(nanos));
    }

    fn governor_admits(&self, count: u32) -> bool {
        self.limiter.check_n(NonZeroU32::new(count).unwrap()).unwrap().is_ok()
    }
}

/// What both are asked: to let so many pass after so many nanoseconds; in every third step, as soon as
/// they can.
fn steps() -> impl Strategy2<Value = Vec<(u64, u32, bool)>> {
    let nanos = prop_oneof![0_u64..1000, 0_u64..1_000_000_000, 0_u64..90_000_000_000];
    prop::collection::vec((nanos, 1_u32..50_000, prop::bool::weighted(0.33)), 1..100)
}

fn limits() -> impl Strategy2<Value = u32> {
    // Those of which a minute is a whole number of nanoseconds, then others.
    let whole = prop::sample::select(vec![1, 5, 60, 500, 4000, 30_000, 150_000, 2_000_000]);
    prop_oneof![whole, 1_u32..100, 1_u32..10_000_000]
}

/// Governor's time for one is rounded down, so of counts since both were last full it may be early by
/// a nanosecond each, and by none where there is nothing to round.
fn compare(mut both: Both, limit: u32, steps: Vec<(u64, u32, bool)>, of_tokens: bool) {
    let rounds = u64::from(MINUTE % u64::from(limit) != 0);
    let mut passed = 0;
    for (nanos, count, waits) in steps {
        let count = if of_tokens { count.min(limit) } else { 1 };
        both.advance(nanos);
        let ready = both.rates.ready_at(u64::from(count), both.now);
        let wait = u64::try_from(ready.since(both.now).as_nanos()).unwrap();
        let early = rounds * (passed + u64::from(count)) + 1;
        if wait >= early {
            let before = if waits { wait - early } else { 0 };
            both.advance(before);
            assert!(!both.governor_admits(count), "governor admits {early} ns before {wait}");
            if !waits {
                continue;
            }
            both.advance(early);
        } else {
            both.advance(wait);
        }
        assert!(both.rates.ready_at(u64::from(count), both.now) <= both.now);
        assert!(both.governor_admits(count), "governor admits nothing after {wait} ns");
        both.rates.begin(Some(u64::from(count)), both.now);
        passed += u64::from(count);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..Default::default() })]

    #[test]
    fn requests_begin_when_governor_lets_them(limit in limits(), steps in steps()) {
        compare(Both::new(limit, false), limit, steps, false);
    }

    #[test]
    fn tokens_of_a_known_number_begin_when_governor_lets_them(
        limit in limits(),
        steps in steps(),
    ) {
        compare(Both::new(limit, true), limit, steps, true);
    }
}

#[test]
fn a_call_that_used_more_than_it_reserved_delays_the_next_and_governor_cannot_say_so() {
    let mut both = Both::new(600, true);
    let reserved = both.rates.begin(Some(500), both.now);
    assert!(both.governor_admits(500));
    both.rates.settle(reserved, Some(900), both.now);
    // The difference is more than is there. Governor refuses it, and forgets that it was used.
    assert!(!both.governor_admits(400));
    assert!(both.governor_admits(100), "as if 500 had been used");
    assert_eq!(both.rates.ready_at(100_u64, both.now).since(both.now), SECS(40));
}

#[test]
fn a_call_that_used_less_than_it_reserved_lets_the_next_begin_and_governor_cannot_say_so() {
    let mut both = Both::new(600, true);
    let reserved = both.rates.begin(Some(600), both.now);
    assert!(both.governor_admits(600));
    both.rates.settle(reserved, Some(100), both.now);
    assert!(both.rates.ready_at(500_u64, both.now) <= both.now);
    // There is no way to return the rest.
    assert!(!both.governor_admits(500));
}

#[test]
fn more_than_the_capacity_waits_for_all_there_is_and_is_an_error_of_governor() {
    let mut both = Both::new(600, true);
    both.rates.begin(Some(60), both.now);
    assert_eq!(both.rates.ready_at(601_u64, both.now).since(both.now), SECS(6));
    assert!(both.limiter.check_n(NonZeroU32::new(601).unwrap()).is_err());
}

#[test]
fn of_the_largest_limit_governor_admits_seven_percent_more_in_a_minute() {
    let mut both = Both::new(u32::MAX, true);
    assert!(both.governor_admits(u32::MAX));
    both.rates.begin(Some(u64::from(u32::MAX)), both.now);
    // 13 instead of 13.97 ns for one.
    both.advance(13 * u64::from(u32::MAX));
    assert!(both.governor_admits(u32::MAX));
    let left = both.rates.left(both.now).1.unwrap();
    assert!(left < u64::from(u32::MAX) / 1000 * 931, "{left}");
}
