//! Rates of which the endpoint speaks.

use proptest::prelude::{
    Just, ProptestConfig, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
// The crate's own is of the same name.
use proptest::strategy::Strategy as Strategy2;

use super::super::rates::Rates;
use super::*;

const AT: fn(u64) -> Time = |secs| Time::from_secs(3600 + secs);

fn said(
    limit: impl Into<Option<u64>>,
    remaining: impl Into<Option<u64>>,
    reset: impl Into<Option<Duration>>,
) -> RateLimit {
    RateLimit { limit: limit.into(), remaining: remaining.into(), reset: reset.into() }
}

/// A call is answered at once, with this of requests and of tokens.
fn answered(rates: &mut Rates, requests: RateLimit, tokens: RateLimit, now: Time) {
    let reserved = rates.begin(Some(0), now);
    rates.told(reserved, &RateLimits { requests, tokens, ..Default::default() }, now);
}

fn told(rates: &mut Rates, requests: RateLimit, now: Time) {
    answered(rates, requests, RateLimit::default(), now);
}

fn wait(rates: &Rates, now: Time) -> Duration {
    rates.ready_at(0_u64, now).since(now)
}

/// So many calls, whether or not it is time.
fn begin(rates: &mut Rates, calls: u32, now: Time) {
    for _ in 0..calls {
        rates.begin(None, now);
    }
}

#[test]
fn what_is_left_lowers_and_never_raises() {
    let mut rates = Rates::new(Some(60), Some(6000), AT(0));
    answered(&mut rates, said(None, 20, None), said(None, 700, None), AT(0));
    assert_eq!(rates.left(AT(0)), (Some(20), Some(700)));
    answered(&mut rates, said(None, 50, None), said(None, 5000, None), AT(0));
    assert_eq!(rates.left(AT(0)), (Some(19), Some(700)));
    assert_eq!(rates.left(AT(10)), (Some(29), Some(1700)), "refilled as set");
}

#[test]
fn calls_begun_since_are_taken_off_what_is_left_save_for_what_came_back_since() {
    let mut rates = Rates::new(Some(60), Some(6000), AT(0));
    let first = rates.begin(Some(100), AT(0));
    for _ in 0..30 {
        rates.begin(Some(100), AT(0));
    }
    let limits = RateLimits {
        requests: said(60, 40, None),
        tokens: said(6000, 3500, None),
        ..Default::default()
    };
    rates.told(first, &limits, AT(0));
    assert_eq!(rates.left(AT(0)), (Some(10), Some(500)));

    // An answer of two minutes: a call a second has begun, and as many have come back.
    let mut rates = Rates::new(Some(60), None, AT(0));
    let first = rates.begin(None, AT(0));
    for second in 1..=120 {
        rates.begin(None, AT(second));
    }
    assert_eq!(rates.left(AT(120)), (Some(59), None));
    rates.told(
        first,
        &RateLimits { requests: said(60, 55, SECS(5)), ..Default::default() },
        AT(120),
    );
    assert_eq!(rates.left(AT(120)), (Some(55), None));
}

#[test]
fn where_nothing_is_set_a_limit_is_learnt_and_forgotten_an_hour_after_the_last_word() {
    let mut rates = Rates::new(None, None, AT(0));
    // OpenAI's limit of a day: one request comes back in 8.64 s.
    told(&mut rates, said(10_000, 9_999, MS(8640)), AT(0));
    assert!(!rates.is_off());
    assert_eq!(rates.left(AT(0)), (Some(9_999), None));
    assert_eq!(rates.left(AT(9)), (Some(10_000), None));
    begin(&mut rates, 10_000, AT(9));
    assert_eq!(wait(&rates, AT(9)), MS(8640));
    told(&mut rates, said(50, 0, SECS(100)), AT(20));
    assert_eq!(wait(&rates, AT(20)), SECS(2), "the newest word counts");
    assert_eq!(rates.left(AT(120)), (Some(50), None));
    assert_eq!(rates.left(AT(3619)), (Some(50), None));
    assert_eq!(rates.left(AT(3620)), (None, None));
    assert!(!rates.is_off());
    rates.begin(None, AT(3620));
    assert!(rates.is_off());
}

#[test]
fn a_limit_of_which_nothing_is_used_comes_back_as_before_or_within_a_minute() {
    let mut rates = Rates::new(None, None, AT(0));
    told(&mut rates, said(60, 60, SECS(7)), AT(0));
    begin(&mut rates, 60, AT(0));
    assert_eq!(wait(&rates, AT(0)), SECS(1));
    let mut rates = Rates::new(None, None, AT(0));
    told(&mut rates, said(60, 30, SECS(60)), AT(0));
    told(&mut rates, said(60, 60, SECS(7)), AT(60));
    assert_eq!(rates.left(AT(60)), (Some(59), None));
    begin(&mut rates, 60, AT(60));
    assert_eq!(wait(&rates, AT(60)), SECS(4), "two a second, and one owed");
}

#[test]
fn what_is_left_without_a_limit_counts_down_and_is_dropped_at_its_reset() {
    let mut rates = Rates::new(None, None, AT(0));
    told(&mut rates, said(None, 2, SECS(30)), AT(0));
    begin(&mut rates, 2, AT(10));
    assert_eq!((rates.left(AT(29)), wait(&rates, AT(10))), ((Some(0), None), SECS(20)));
    // The next time's first word does not make this one longer.
    told(&mut rates, said(None, 99, SECS(60)), AT(29));
    assert_eq!(wait(&rates, AT(29)), SECS(1));
    rates.begin(None, AT(30));
    assert!(rates.is_off());
    told(&mut rates, said(None, 0, Duration::MAX), AT(40));
    assert_eq!(wait(&rates, AT(40)), SECS(3600), "an hour at most");
}

#[test]
fn words_of_which_nothing_can_be_learnt_leave_the_rates_off() {
    let mut rates = Rates::new(None, None, AT(0));
    for words in [
        said(None, None, None),
        said(0, 0, Duration::ZERO),
        said(0, 0, SECS(60)),
        said(60, None, SECS(60)),
        said(60, 5, None),
        said(60, 5, Duration::ZERO),
        said(None, 5, None),
        said(None, 0, Duration::ZERO),
        said(None, None, SECS(9)),
    ] {
        told(&mut rates, words, AT(0));
        assert!(rates.is_off(), "{words:?}");
    }
    let mut set = Rates::new(Some(60), None, AT(0));
    told(&mut set, said(0, 0, SECS(60)), AT(0));
    assert_eq!(set.left(AT(0)), (Some(59), None), "a limit of 0 is no limit");
}

#[test]
fn a_limit_below_what_is_set_counts_while_it_is_said_and_for_an_hour() {
    let mut rates = Rates::new(Some(600), None, AT(0));
    told(&mut rates, said(60, 59, SECS(1)), AT(0));
    assert_eq!(rates.left(AT(0)), (Some(59), None));
    begin(&mut rates, 59, AT(0));
    assert_eq!(wait(&rates, AT(0)), SECS(1));
    told(&mut rates, said(600, 600, None), AT(1));
    assert_eq!(wait(&rates, AT(1)), MS(100), "the limit was raised");
    // What would refill faster than is set does not.
    told(&mut rates, said(500, 100, MS(1)), AT(2));
    assert_eq!(rates.left(AT(3)), (Some(19), None));
    told(&mut rates, said(6, 0, None), AT(100));
    assert_eq!(wait(&rates, AT(100)), SECS(10));
    assert_eq!(rates.left(AT(3699)), (Some(6), None));
    assert_eq!(rates.left(AT(3710)), (Some(106), None), "forgotten ten seconds ago");
}

#[test]
fn a_wait_beyond_what_is_forgotten_goes_on_by_what_is_set() {
    let mut rates = Rates::new(Some(60), Some(60), AT(0));
    told(&mut rates, said(10, 0, SECS(1_000_000)), AT(0));
    // All of a day's 10: one in 8640 s, of which 3600 pass and bring 5/12; the rest at one a second.
    let ready = rates.ready_at(0_u64, AT(0));
    assert!(ready > AT(3600) && ready < AT(3601), "{:?}", ready.since(AT(0)));
    assert_eq!(rates.ready_at(0_u64, ready), ready);
    assert_eq!(rates.left(ready), (Some(1), Some(60)));

    let mut rates = Rates::new(None, Some(60), AT(0));
    let reserved = rates.begin(None, AT(0));
    answered(&mut rates, RateLimit::default(), said(1, 0, None), AT(0));
    rates.settle(reserved, Some(u64::MAX), AT(0));
    // An hour's debt at one a minute is paid off when that is forgotten; then all 60 are waited for,
    // though only one could be while it was said.
    let ready = rates.ready_at(u64::MAX, AT(0));
    assert_eq!(ready, AT(3660));
    assert_eq!(rates.ready_at(u64::MAX, ready), ready);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..Default::default() })]

    #[test]
    fn nothing_a_server_says_blocks_for_ever_or_raises(
        set in prop::option::of(prop_oneof![1_u32..1000, Just(u32::MAX)]),
        steps in prop::collection::vec((words(), words(), 0_u64..400_000, number()), 1..40),
    ) {
        let mut rates = Rates::new(set, set, AT(0));
        let mut now = AT(0);
        for (requests, tokens, millis, used) in steps {
            now = now.after(MS(millis));
            let reserved = rates.begin(None, now);
            let before = rates.left(now);
            rates.told(reserved, &RateLimits { requests, tokens, ..Default::default() }, now);
            let after = rates.left(now);
            for (before, after) in [(before.0, after.0), (before.1, after.1)] {
                prop_assert!(before.is_none_or(|before| after.is_some_and(|after| after <= before)));
            }
            rates.settle(reserved, used, now);
            for need in [1, u64::MAX] {
                let ready = rates.ready_at(need, now);
                // An hour until it is forgotten, an hour's debt, a minute to be full, and the calls
                // above, of which none waited.
                prop_assert!(ready.since(now) <= SECS(3600 * 2 + 60 * 42), "{:?}", ready.since(now));
                prop_assert_eq!(rates.ready_at(need, ready), ready.max(now));
                if ready > now {
                    let early = Time::from_bits(ready.to_bits() - 1);
                    // A share may be lost to rounding; one comes back in 1440 ns if one token does in a day.
                    let again = rates.ready_at(need, early);
                    prop_assert!(again >= ready && again.since(ready) <= Duration::from_nanos(1441));
                }
            }
        }
    }
}

fn number() -> impl Strategy2<Value = Option<u64>> {
    prop_oneof![
        1 => Just(None),
        3 => (0_u64..2000).prop_map(Some),
        1 => any::<u64>().prop_map(Some),
        1 => Just(Some(u64::MAX)),
    ]
}

fn words() -> impl Strategy2<Value = RateLimit> {
    let reset = prop_oneof![
        1 => Just(None),
        1 => Just(Some(Duration::ZERO)),
        1 => Just(Some(Duration::from_nanos(1))),
        3 => (0_u64..100_000).prop_map(|millis| Some(MS(millis))),
        // A century, and what no clock has.
        1 => Just(Some(SECS(3_155_760_000))),
        1 => Just(Some(Duration::MAX)),
    ];
    (number(), number(), reset).prop_map(|(limit, remaining, reset)| said(limit, remaining, reset))
}
