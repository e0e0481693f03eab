//! How big a pool should be: the arithmetic against published values, closed forms and itself.

mod support;

use std::time::Duration;

use llm_pool::sizing::{Load, mean_wait, per_host, total};
use llm_pool::{Lease, ManualClock, Stats};
use proptest::prelude::*;
use support::*;

/// A load of so many erlangs, as calls that each take a second.
fn erlangs(load: f64) -> Load {
    Load::new(load, secs(1)).unwrap()
}

fn delay(servers: usize, load: f64) -> f64 {
    erlangs(load).probability_of_waiting(servers)
}

#[track_caller]
fn assert_close(actual: f64, expected: f64, relative: f64) {
    let error = (actual - expected).abs();
    assert!(error <= relative * expected.abs(), "{actual} is not {expected}");
}

/// Erlang C as its textbooks write it: sums of powers over factorials, which overflow beyond 170.
fn textbook_erlang_c(servers: usize, load: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 0.0);
    for k in 0..servers {
        sum += term;
        term *= load / (k + 1) as f64;
    }
    let waits = term * servers as f64 / (servers as f64 - load);
    waits / (sum + waits)
}

// ---- Rules of thumb ----

#[test]
fn the_rules_of_thumb_give_the_numbers_of_the_plan() {
    assert_eq!((per_host(50), total(50)), (60, 100));
    assert_eq!((per_host(500), total(500)), (600, 1000));
    let first: Vec<_> = (0..=6).map(per_host).collect();
    assert_eq!(first, [0, 2, 3, 4, 5, 6, 8], "ceil(1.2 c), exactly");
    assert_eq!(total(0), 0);
    assert_eq!((per_host(usize::MAX), total(usize::MAX)), (usize::MAX, usize::MAX));
}

// ---- Erlang C ----

/// As printed: three or four digits.
#[test]
fn the_probability_of_waiting_is_that_of_published_tables() {
    let published = [
        // The entry most often quoted from tables of Erlang C.
        (10, 8.0, 0.4092, 0.00005),
        (20, 15.0, 0.1604, 0.00005),
        // Call Centre Helper, "Erlang C Formula - Made Simple": 100 calls of 3 minutes in half an
        // hour; 14 agents also in the tests of the Python package pyworkforce.
        (11, 10.0, 0.682, 0.0005),
        (14, 10.0, 0.174, 0.0005),
        // Tanner, "The Erlang-C Formula": 360 calls of 4 minutes in half an hour.
        (55, 48.0, 0.239, 0.0005),
        // "About 0.10", read from a printed curve: 120 calls of 3 minutes an hour.
        (10, 6.0, 0.10, 0.005),
    ];
    for (servers, load, printed, half_a_digit) in published {
        let actual = delay(servers, load);
        assert!((actual - printed).abs() <= half_a_digit, "{servers}, {load}: {actual}");
    }
}

#[test]
fn the_expected_wait_is_that_of_published_examples() {
    // Tanner, as above: 8.2 s.
    let load = Load::new(0.2, secs(240)).unwrap();
    assert_close(load.expected_wait(55).unwrap().as_secs_f64(), 8.2, 0.005);
    // Bronson, Schaum's Operations Research (1982), problem 24.6: 300 a year, 2 days each, 3
    // servers; 0.352 wait on average, for 0.43 days.
    let day = 86_400;
    let load = Load::new(300.0 / (365.0 * day as f64), secs(2 * day)).unwrap();
    let wait = load.expected_wait(3).unwrap().as_secs_f64();
    assert_close(wait / day as f64, 0.43, 0.005);
    assert_close(wait * load.arrivals_per_second(), 0.352, 0.002);
    // Hillier and Lieberman, Introduction to Operations Research, the hospital's emergency room:
    // 2 an hour, 20 minutes each, 2 doctors; 1/24 hour.
    let load = Load::new(2.0 / 3600.0, secs(1200)).unwrap();
    assert_eq!(load.expected_wait(2), Some(secs(150)));
    assert_close(load.probability_of_waiting(2), 1.0 / 6.0, 1e-14);
}

#[test]
fn the_probability_of_waiting_is_that_of_the_closed_forms() {
    for load in [1e-300, 1e-9, 0.1, 0.5, 0.9, 0.999_999] {
        assert_close(delay(1, load), load, 1e-13);
        let rho: f64 = load;
        assert_close(delay(2, 2.0 * rho), 2.0 * rho * (rho / (1.0 + rho)), 1e-13);
    }
    // Exact fractions.
    for (servers, load, expected) in [
        (2, 1.0, 1.0 / 3.0),
        (3, 2.0, 4.0 / 9.0),
        (5, 3.0, 81.0 / 343.0),
        (5, 4.0, 128.0 / 231.0),
        (6, 5.0, 3125.0 / 5319.0),
        (10, 6.0, 1458.0 / 14_393.0),
        (10, 8.0, 4_194_304.0 / 10_250_507.0),
        (11, 10.0, 15_625_000.0 / 22_906_587.0),
    ] {
        assert_close(delay(servers, load), expected, 1e-14);
    }
}

#[test]
fn the_recursion_agrees_with_the_textbook_sums() {
    for servers in 1..=150 {
        for percent in [1, 10, 50, 80, 90, 99] {
            let load = servers as f64 * f64::from(percent) / 100.0;
            assert_close(delay(servers, load), textbook_erlang_c(servers, load), 1e-11);
        }
    }
}

/// Computed to 60 digits in decimal arithmetic; the first three also stand, as logarithms by
/// Mathematica, in the tests of a Python package for capacity planning.
#[test]
fn large_pools_are_computed_as_exactly_as_small_ones() {
    for (servers, load, expected) in [
        (100, 90.0, 2.169_404_809_063_664e-1),
        (100, 10.0, 5.405_165_757_852_9e-63),
        (10_000, 9_000.0, 2.091_619_794_419_289e-25),
        (1_000, 950.0, 6.825_341_537_714_142e-2),
        (10_000, 9_990.0, 8.805_417_113_739_897e-1),
        (100_000, 99_000.0, 8.219_082_374_107_954e-4),
        (100_000, 99_900.0, 6.579_935_117_953_026e-1),
    ] {
        assert_close(delay(servers, load), expected, 1e-10);
    }
    // Less than the smallest number there is.
    assert_eq!(delay(10_000, 100.0), 0.0);
    assert_eq!(delay(usize::MAX, 1e6), 0.0, "and it does not take for ever");
}

// ---- Little's law, and sizes ----

#[test]
fn what_is_needed_is_the_rate_times_the_hold() {
    let needed = |rate, hold| Load::new(rate, hold).unwrap().needed();
    assert_eq!(needed(12.5, secs(40)), 500);
    assert_eq!(needed(12.5, millis(40_001)), 501);
    assert_eq!(needed(0.1, secs(40)), 4);
    assert_eq!(needed(1e-300, secs(1)), 1);
    assert_eq!(needed(0.0, secs(40)), 0);
    assert_eq!(needed(12.5, Duration::ZERO), 0);
    for tenths in 1..10_000_u32 {
        // Ten times a tenth is not always whole in f64.
        assert_eq!(needed(f64::from(tenths) * 0.1, secs(10)), tenths as usize);
    }
}

#[test]
fn without_slack_the_queue_grows_without_end() {
    let load = Load::new(12.5, secs(40)).unwrap();
    for size in [0, 1, 499, 500] {
        assert_eq!((load.expected_wait(size), load.probability_of_waiting(size)), (None, 1.0));
    }
    assert!(load.expected_wait(501).unwrap() > secs(20));
    // What rounding adds or takes away is neither slack nor a lack of it.
    let (above, below) = (Load::new(0.07, secs(100)).unwrap(), Load::new(0.57, secs(100)).unwrap());
    assert!(above.erlangs() > 7.0 && below.erlangs() < 57.0);
    assert_eq!((above.needed(), above.expected_wait(7)), (7, None));
    assert_eq!((below.needed(), below.expected_wait(57)), (57, None));
}

#[test]
fn nobody_waits_where_there_is_no_load() {
    for load in [Load::new(0.0, Duration::MAX), Load::new(1e300, Duration::ZERO)] {
        let load = load.unwrap();
        assert_eq!((load.erlangs(), load.needed()), (0.0, 0));
        assert_eq!((load.probability_of_waiting(1), load.expected_wait(1)), (0.0, Some(secs(0))));
        assert_eq!((load.probability_of_waiting(0), load.expected_wait(0)), (1.0, None));
        assert_eq!(load.size_for_wait(Duration::ZERO), 1);
    }
}

#[test]
fn a_size_is_found_for_every_target() {
    let load = Load::new(12.5, secs(40)).unwrap();
    assert_eq!(load.size_for_wait(Duration::MAX), 501);
    let none = load.size_for_wait(Duration::ZERO);
    assert_eq!(load.expected_wait(none), Some(Duration::ZERO));
    assert!((600..700).contains(&none), "{none}");
    let largest = erlangs(Load::MAX_ERLANGS);
    assert!((1_000_001..1_020_000).contains(&largest.size_for_wait(Duration::ZERO)));
}

#[test]
fn what_no_duration_can_say_is_the_longest_it_can_say() {
    let load = Load::new(0.999_999 / Duration::MAX.as_secs_f64(), Duration::MAX).unwrap();
    assert_eq!(load.expected_wait(1), Some(Duration::MAX));
    assert!(load.expected_wait(2).unwrap() < Duration::MAX);
}

proptest! {
    #[test]
    fn more_items_never_make_a_call_wait_longer(load in 0.0..300.0_f64, size in 0..400_usize) {
        let load = erlangs(load);
        let fewer = load.probability_of_waiting(size);
        let more = load.probability_of_waiting(size + 1);
        prop_assert!((0.0..=1.0).contains(&more) && more <= fewer, "{fewer} {more}");
        let (fewer, more) = (load.expected_wait(size), load.expected_wait(size + 1));
        prop_assert!(fewer.is_none() || more <= fewer, "{fewer:?} {more:?}");
        prop_assert!(fewer.is_none() || more.is_some());
    }

    #[test]
    fn more_calls_never_wait_less(
        load in 0.0..300.0_f64, part in 0.0..0.999_f64, size in 1..400_usize,
    ) {
        let (less, more) = (erlangs(load * part), erlangs(load));
        prop_assert!(less.probability_of_waiting(size) <= more.probability_of_waiting(size));
        prop_assert!(less.needed() <= more.needed());
        if let Some(wait) = more.expected_wait(size) {
            prop_assert!(less.expected_wait(size).unwrap() <= wait);
        }
        let target = millis(5);
        prop_assert!(less.size_for_wait(target) <= more.size_for_wait(target));
    }

    #[test]
    fn the_size_for_a_wait_is_the_smallest_that_keeps_it(
        rate in 0.0..100.0_f64, hold in 0..10_000_u64, target in 0..1_000_000_u64,
    ) {
        let load = Load::new(rate, millis(hold)).unwrap();
        let target = Duration::from_micros(target);
        let size = load.size_for_wait(target);
        prop_assert!(size >= 1 && load.expected_wait(size).unwrap() <= target);
        prop_assert!(load.expected_wait(size - 1).is_none_or(|wait| wait > target));
        prop_assert!(size >= load.needed());
    }

    #[test]
    fn whatever_is_put_in_an_answer_or_an_error_comes_out(
        rate in prop_oneof![any::<f64>(), 0.0..100.0_f64],
        hold in prop_oneof![any::<u64>(), 0..1000_u64],
        size in prop_oneof![any::<usize>(), 0..200_000_usize],
    ) {
        if let Ok(load) = Load::new(rate, secs(hold)) {
            prop_assert!((0.0..=1.0).contains(&load.probability_of_waiting(size)));
            let keeps_up = size as f64 > load.erlangs() * (1.0 + 1e-12);
            prop_assert_eq!(load.expected_wait(size).is_some(), keeps_up);
            prop_assert!(load.size_for_wait(millis(1)) >= load.needed());
        }
    }
}

// ---- Bad input ----

#[test]
fn a_load_that_cannot_be_is_refused_by_name_and_value() {
    let refusal = |rate, hold| Load::new(rate, hold).unwrap_err().to_string();
    for (rate, value) in [(-1.0, "-1"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
        let expected = format!(
            "invalid load: arrivals_per_second: must be a number of zero or more, and is {value}"
        );
        assert_eq!(refusal(rate, secs(1)), expected);
        assert_eq!(refusal(rate, Duration::ZERO), expected);
    }
    let expected = "invalid load: arrivals_per_second times mean_hold: must be at most 1000000 \
                    erlangs, and is 2e6";
    assert_eq!(refusal(2.0, secs(1_000_000)), expected);
    assert!(refusal(f64::MAX, Duration::MAX).ends_with("and is inf"));
    assert!(Load::new(-0.0, secs(1)).is_ok_and(|load| load.needed() == 0));
}

#[test]
fn snapshots_that_do_not_belong_together_are_refused() {
    let refusal = |earlier: &Stats, later: &Stats, elapsed| {
        Load::between(earlier, later, elapsed).unwrap_err().to_string()
    };
    let (none, mut some) = (Stats::default(), Stats::default());
    (some.gets, some.timeouts, some.queue_full, some.hold_time) = (5, 3, 2, secs(10));
    assert_eq!(
        refusal(&some, &none, Duration::ZERO),
        "invalid pair of snapshots: elapsed: must be longer than zero; gets: fell from 5 to 0; \
         timeouts: fell from 3 to 0; queue_full: fell from 2 to 0; gets less in_use: fell from 5 \
         to 0; hold_time: fell from 10s to 0ns"
    );
    let unknown = "invalid pair of snapshots: hold_time: no lease ended, so no hold is known";
    assert_eq!(refusal(&some, &some, secs(1)), unknown);
    let mut held = Stats::default();
    (held.gets, held.in_use) = (5, 5);
    assert_eq!(refusal(&none, &held, secs(1)), unknown);
    let too_much = refusal(&none, &some, Duration::from_nanos(1));
    assert!(too_much.starts_with("invalid load: "), "{too_much}");
    assert_eq!(mean_wait(&some, &none), None);
    assert_eq!(mean_wait(&some, &some), None);
}

// ---- From a pool ----

#[test]
fn a_pool_tells_its_load_to_the_call_however_its_leases_end() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("load", 4, &time), &script);
    let early = pool.get().unwrap();
    let before = pool.stats();

    let [second, third, fourth] = [(); 3].map(|()| pool.get().unwrap());
    let gives_up = waiter(&pool, secs(10));
    let served = waiter(&pool, secs(1000));
    time.advance(secs(10));
    assert!(gives_up.result().is_err());
    time.advance(secs(10));
    drop(early); // 20 s
    let served = served.result().unwrap(); // waited 20 s
    time.advance(secs(10));
    Lease::discard(second); // 30 s
    drop(Lease::detach(third)); // 30 s
    time.advance(secs(10));
    drop(fourth); // 40 s
    let after = pool.stats();

    // Five came and one of them gave up; four ended, of which only two were put back.
    assert_eq!((after.put_back - before.put_back, after.in_use), (2, 1));
    let load = Load::between(&before, &after, secs(40)).unwrap();
    assert_eq!((load.arrivals_per_second(), load.mean_hold()), (5.0 / 40.0, secs(30)));
    assert_eq!(load.needed(), 4);
    assert_eq!(mean_wait(&before, &after), Some(secs(5)));
    drop(served);
}

#[test]
fn those_who_wait_have_come_and_come_once() {
    let (mut first, mut second, mut third) = (Stats::default(), Stats::default(), Stats::default());
    (first.gets, first.in_use, first.waiting) = (10, 10, 0);
    (second.gets, second.in_use, second.waiting, second.hold_time) = (20, 10, 30, secs(400));
    (third.gets, third.in_use, third.hold_time) = (50, 0, secs(2000));
    let rate = |earlier: &Stats, later: &Stats| {
        Load::between(earlier, later, secs(10)).unwrap().arrivals_per_second()
    };
    assert_eq!((rate(&first, &second), rate(&second, &third)), (4.0, 0.0));
    // Thirty were sent away by a close: they are not calls that came a second time.
    third.gets = 21;
    assert_eq!(rate(&second, &third), 0.0);
}
