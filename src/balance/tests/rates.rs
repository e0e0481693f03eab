//! Rates that are set: what may begin when, and what a call's end changes.

use proptest::prelude::{
    Just, ProptestConfig, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};

use super::super::rates::Rates;
use super::*;

const AT: fn(u64) -> Time = |secs| Time::from_secs(3600 + secs);

fn of_requests(limit: u32) -> Rates {
    Rates::new(Some(limit), None, AT(0))
}

fn of_tokens(limit: u32) -> Rates {
    Rates::new(None, Some(limit), AT(0))
}

/// How long a call that needs so many tokens must wait.
fn wait(rates: &Rates, tokens: u64, now: Time) -> Duration {
    rates.ready_at(tokens, now).since(now)
}

/// So many calls, whether or not it is time.
fn begin(rates: &mut Rates, calls: u32, now: Time) {
    for _ in 0..calls {
        rates.begin(None, now);
    }
}

#[test]
fn without_limits_rates_are_off_and_calls_begin_at_once() {
    let mut rates = Rates::new(None, None, AT(0));
    assert!(rates.is_off() && !of_requests(1).is_off() && !of_tokens(1).is_off());
    let reserved = rates.begin(Some(u64::MAX), AT(1));
    rates.settle(reserved, Some(u64::MAX), AT(2));
    rates.give_back(reserved, AT(2));
    assert_eq!(rates.left(AT(2)), (None, None));
    assert!(rates.is_off() && rates.ready_at(u64::MAX, AT(2)) <= AT(2));
}

#[test]
fn a_minutes_requests_may_begin_at_once_and_then_one_after_another() {
    let mut rates = of_requests(60);
    for _ in 0..60 {
        assert_eq!(wait(&rates, 0, AT(0)), Duration::ZERO);
        rates.begin(None, AT(0));
    }
    assert_eq!(rates.left(AT(0)), (Some(0), None));
    assert_eq!(wait(&rates, 0, AT(0)), SECS(1));
    assert_eq!(rates.ready_at(0_u64, AT(0).after(MS(999))), AT(1));
    assert_eq!(rates.left(AT(30)), (Some(30), None));
    assert_eq!(rates.left(AT(3000)), (Some(60), None), "no more than a minute's");
}

#[test]
fn a_need_above_the_capacity_waits_for_all_there_is_and_is_owed_when_used() {
    let mut rates = of_tokens(600);
    rates.begin(Some(100), AT(0));
    assert_eq!(wait(&rates, 100_000, AT(0)), SECS(10));
    let reserved = rates.begin(Some(100_000), AT(10));
    assert_eq!(rates.left(AT(10)), (None, Some(0)));
    rates.settle(reserved, Some(1200), AT(10));
    assert_eq!(wait(&rates, 0, AT(10)), SECS(60) + MS(100), "600 of debt, and one to begin with");
    assert_eq!(rates.left(AT(69)), (None, Some(0)));
    assert_eq!(rates.left(AT(71)), (None, Some(10)));
}

#[test]
fn the_end_of_a_call_takes_or_returns_the_difference() {
    let mut rates = of_tokens(6000);
    let [less, more, unknown] = [1000, 1000, 1000].map(|n| rates.begin(Some(n), AT(0)));
    assert_eq!(rates.left(AT(0)), (None, Some(3000)));
    rates.settle(less, Some(400), AT(0));
    assert_eq!(rates.left(AT(0)), (None, Some(3600)));
    rates.settle(more, Some(5000), AT(0));
    assert_eq!(rates.left(AT(0)), (None, Some(0)), "400 of debt");
    rates.settle(unknown, None, AT(0));
    assert_eq!(wait(&rates, 100, AT(0)), SECS(5));
}

#[test]
fn a_call_without_an_estimate_reserves_what_calls_used_of_late() {
    let mut rates = of_tokens(10_000);
    let first = rates.begin(None, AT(0));
    assert_eq!(rates.left(AT(0)), (None, Some(10_000)));
    rates.settle(first, Some(800), AT(0));
    let second = rates.begin(None, AT(0));
    assert_eq!(rates.left(AT(0)), (None, Some(8400)));
    rates.settle(second, Some(1600), AT(0));
    // 800 and an eighth of the way to 1600.
    rates.begin(None, AT(60));
    assert_eq!(rates.left(AT(60)), (None, Some(9100)));
    rates.begin(Some(9000), AT(60));
    assert_eq!(rates.ready_at(None, AT(60)).since(AT(60)), SECS(4) + MS(800), "800 of 900");
}

#[test]
fn what_a_server_claims_to_have_used_blocks_for_an_hour_at_most_and_is_soon_forgotten() {
    let mut rates = Rates::new(None, Some(60_000), AT(0));
    let reserved = rates.begin(None, AT(0));
    rates.settle(reserved, Some(u64::MAX), AT(0));
    assert_eq!(wait(&rates, 1000, AT(0)), SECS(3601));
    let mut now = AT(0);
    for _ in 0..40 {
        now = rates.ready_at(None, now).max(now);
        let reserved = rates.begin(None, now);
        rates.settle(reserved, Some(1000), now);
    }
    now = rates.ready_at(None, now).max(now);
    let at_once = rates.begin(None, AT(9999));
    assert!(now < AT(7200), "{:?}", now.since(AT(0)));
    rates.settle(at_once, Some(0), AT(9999));
    rates.begin(None, AT(9999));
    let left = rates.left(AT(9999)).1.unwrap();
    assert!((58_000..59_500).contains(&left), "the mean is about 1000 again: {left} are left");
}

#[test]
fn the_largest_numbers_neither_overflow_nor_block() {
    let never = Time::NEVER;
    let mut rates = Rates::new(Some(u32::MAX), Some(u32::MAX), AT(0));
    let all = Some(u64::from(u32::MAX));
    let reserved = rates.begin(Some(u64::MAX), AT(0));
    assert_eq!(rates.left(AT(0)).1, Some(0));
    assert_eq!(wait(&rates, u64::MAX, AT(0)), SECS(60));
    rates.settle(reserved, Some(u64::MAX), AT(0));
    assert_eq!(wait(&rates, u64::MAX, AT(0)), SECS(3660));
    assert_eq!(rates.left(never), (all, all));
    let reserved = rates.begin(Some(u64::MAX), never);
    rates.give_back(reserved, never);
    rates.settle(reserved, Some(0), AT(0));
    assert_eq!(rates.left(never), (all, all));
    let mut zero = Rates::new(Some(0), Some(0), AT(0));
    zero.begin(None, AT(0));
    assert_eq!(wait(&zero, 9, AT(0)), SECS(60));
}

#[test]
fn times_out_of_order_refill_nothing_twice() {
    let mut rates = of_requests(60);
    begin(&mut rates, 60, AT(0));
    rates.begin(None, AT(10));
    rates.begin(None, AT(5));
    assert_eq!(rates.left(AT(5)), rates.left(AT(10)));
    assert_eq!(rates.left(AT(10)), (Some(8), None));
}

#[test]
fn nothing_drifts_in_a_year_of_odd_rates_at_odd_times() {
    for limit in [7, 59, 997, 70_001] {
        let mut rates = of_tokens(limit);
        rates.begin(Some(u64::from(limit)), AT(0));
        let (mut now, mut begun) = (AT(0), 0);
        // Not a whole number of tokens comes back in this time, and never all.
        let pause = Duration::from_nanos(31_999_999_991);
        while now < AT(365 * 24 * 3600) {
            now = now.after(pause);
            let left = rates.left(now).1.unwrap();
            assert!(left < u64::from(limit));
            rates.begin(Some(left), now);
            begun += left;
        }
        let came_back = u128::from(limit) * now.since(AT(0)).as_nanos() / 60_000_000_000;
        assert_eq!(u128::from(begun), came_back, "at {limit} a minute");
    }
}

#[test]
fn a_caller_who_always_waits_for_the_next_is_as_fast_as_the_limit_to_the_nanosecond() {
    for limit in [7, 59, 997] {
        let mut rates = of_requests(limit);
        begin(&mut rates, limit, AT(0));
        let mut now = AT(0);
        for _ in 0..u64::from(limit) * 1000 {
            now = rates.ready_at(0_u64, now);
            rates.begin(None, now);
        }
        assert_eq!(now, AT(60_000), "at {limit} a minute");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..Default::default() })]

    #[test]
    fn in_no_time_more_begins_than_the_capacity_and_what_comes_back_in_it(
        limit in prop_oneof![1_u32..100, 1_u32..1_000_000, Just(u32::MAX)],
        steps in prop::collection::vec((0_u64..20_000_000_000, 1_u64..200_000), 1..80),
    ) {
        let mut rates = Rates::new(Some(limit), Some(limit), AT(0));
        let mut begun: Vec<(Time, u64)> = Vec::new();
        let mut now = AT(0);
        for (nanos, tokens) in steps {
            now = now.after(Duration::from_nanos(nanos));
            let ready = rates.ready_at(tokens, now);
            // In half of the steps the call waits, in the others it is let go.
            if nanos % 2 == 0 {
                now = now.max(ready);
            }
            if ready <= now {
                rates.begin(Some(tokens), now);
                begun.push((now, tokens.min(u64::from(limit))));
            }
        }
        for (first, (from, _)) in begun.iter().enumerate() {
            let mut tokens = 0;
            for (calls, (until, count)) in begun[first..].iter().enumerate() {
                tokens += u128::from(*count);
                let gained = until.since(*from).as_nanos() * u128::from(limit);
                let most = u128::from(limit) * 60_000_000_000 + gained;
                prop_assert!(tokens * 60_000_000_000 <= most);
                prop_assert!((calls as u128 + 1) * 60_000_000_000 <= most);
            }
        }
    }

    #[test]
    fn what_is_given_back_leaves_the_rates_as_if_it_had_never_begun(
        limit in prop_oneof![1_u32..100, 1_u32..1_000_000],
        before in prop::collection::vec((0_u64..9_000_000_000, 0_u64..100_000), 0..20),
        tokens in prop::option::of(0_u64..2_000_000),
        pause in prop_oneof![Just(0_u64), 0_u64..1_000_000, 0_u64..100_000_000_000],
    ) {
        let pair = [(); 2].map(|()| {
            let mut rates = Rates::new(Some(limit), Some(limit), AT(0));
            let mut now = AT(0);
            for (nanos, tokens) in &before {
                now = now.after(Duration::from_nanos(*nanos));
                let reserved = rates.begin(Some(*tokens), now);
                rates.settle(reserved, Some(tokens / 2), now);
            }
            (rates, now)
        });
        let [(mut given, now), (never, _)] = pair;
        let reserved = given.begin(tokens, now);
        let later = now.after(Duration::from_nanos(pause));
        given.give_back(reserved, later);
        prop_assert_eq!(given.left(later), never.left(later));
        for need in [1_u64, 1000, u64::MAX] {
            prop_assert_eq!(given.ready_at(need, later), never.ready_at(need, later));
        }
    }
}
