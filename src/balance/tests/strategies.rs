//! What each strategy picks.

use super::*;

fn picked(balancer: &Balancer<u8>, calls: usize) -> String {
    (0..calls).map(|_| balancer.pick(Call::new()).unwrap().name().to_string()).collect()
}

fn weighted(strategy: impl Strategy, weights: &[f64]) -> Balancer<u8> {
    let endpoints = named(weights.len() as u8).into_iter().zip(weights);
    let config = config(&ManualClock::new()).strategy(strategy);
    Balancer::new(config, endpoints.map(|(one, weight)| one.weight(*weight))).unwrap()
}

fn shares(picked: &str, of: u8) -> Vec<f64> {
    let count = |n| picked.bytes().filter(|name| *name == b'a' + n).count();
    (0..of).map(|n| count(n) as f64 / picked.len() as f64).collect()
}

#[test]
fn round_robin_takes_turns_and_spreads_weights_smoothly() {
    assert_eq!(picked(&weighted(RoundRobin::new(), &[1.0; 3]), 7), "abcabca");
    assert_eq!(picked(&weighted(RoundRobin::new(), &[5.0, 1.0, 1.0]), 14), "aabacaaaabacaa");
}

#[test]
fn weighted_random_keeps_to_the_weights() {
    let found = shares(&picked(&weighted(WeightedRandom, &[1.0, 3.0]), 10_000), 2);
    assert!((found[1] - 0.75).abs() < 0.02, "{found:?}");
    let found = shares(&picked(&weighted(WeightedRandom, &[2.0, 2.0]), 10_000), 2);
    assert!((found[1] - 0.5).abs() < 0.02, "{found:?}");
}

#[test]
fn least_in_use_fills_all_alike_and_draws_by_weight_among_equals() {
    let balancer = weighted(LeastInUse, &[1.0, 1.0, 1.0]);
    let held: Vec<_> = (0..30).map(|_| balancer.pick(Call::new()).unwrap()).collect();
    assert!(balancer.stats().endpoints.iter().all(|one| one.in_use == 10));
    drop(held);
    let found = shares(&picked(&weighted(LeastInUse, &[1.0, 3.0]), 10_000), 2);
    assert!((found[1] - 0.75).abs() < 0.02, "{found:?}");
}

#[test]
fn power_of_two_never_takes_the_fullest_and_heeds_weights() {
    let balancer = weighted(PowerOfTwo, &[1.0; 3]);
    let full: Vec<_> = (0..9).map(|_| pick_only(&balancer, 1).unwrap()).collect();
    assert!(!picked(&balancer, 100).contains('b'));
    drop(full);
    let balancer = weighted(PowerOfTwo, &[1.0, 3.0]);
    let _held: Vec<_> = (0..400).map(|_| balancer.pick(Call::new()).unwrap()).collect();
    assert!((299..=301).contains(&balancer.stats().endpoints[1].in_use));
}

#[test]
fn peak_ewma_avoids_what_was_slow_once_and_tries_it_again_later() {
    let time = ManualClock::new();
    let balancer = balancer(config(&time).strategy(PeakEwma), 2);
    for (index, ms) in [(0, 5_000), (1, 100)] {
        let pick = pick_only(&balancer, index).unwrap();
        pick.report(Outcome::SuccessIn(MS(ms)));
    }
    assert_eq!(picked(&balancer, 5), "bbbbb");
    // The other stays fresh; the slow one's 5 s are 5 / e^4 after 40 s, and less than 100 ms.
    time.advance(SECS(40));
    pick_only(&balancer, 1).unwrap().report(Outcome::SuccessIn(MS(100)));
    assert_eq!(picked(&balancer, 2), "aa");
}

#[test]
fn peak_ewma_gives_an_unmeasured_endpoint_one_call_and_no_more() {
    let balancer = balancer(config(&ManualClock::new()).strategy(PeakEwma), 2);
    pick_only(&balancer, 0).unwrap().report(Outcome::SuccessIn(MS(100)));
    let first = balancer.pick(Call::new()).unwrap();
    assert_eq!(&**first.name(), "b");
    assert_eq!(picked(&balancer, 5), "aaaaa");
}

#[test]
fn priority_takes_the_first_that_is_well() {
    let time = ManualClock::new();
    let endpoints = named(3).into_iter().map(|one| {
        let order = 2 - u32::from(one.value);
        one.order(order)
    });
    let balancer = Balancer::new(config(&time).strategy(Priority), endpoints).unwrap();
    assert_eq!(picked(&balancer, 3), "ccc");
    fail(&balancer, 2, Cause::Unauthorized);
    assert_eq!(picked(&balancer, 3), "bbb");
}

fn homes(balancer: &Balancer<u8>) -> Vec<usize> {
    let keys = (0..1000).map(|n| format!("conversation {n}"));
    keys.map(|key| balancer.pick(Call::new().key(&key)).unwrap().index()).collect()
}

#[test]
fn sticky_keeps_a_conversation_and_moves_only_those_of_an_endpoint_that_rests() {
    let time = ManualClock::new();
    let balancer = balancer(config(&time).strategy(Sticky), 4);
    let before = homes(&balancer);
    assert_eq!(homes(&balancer), before);
    for index in 0..4 {
        let share = before.iter().filter(|home| **home == index).count();
        assert!((200..300).contains(&share), "{share}");
    }
    fail(&balancer, 2, Cause::RateLimited);
    let during = homes(&balancer);
    for (before, during) in before.iter().zip(&during) {
        assert!(before == during || *before == 2);
    }
    assert!(!during.contains(&2));
    time.advance(SECS(1));
    // Only a conversation of its own probes it.
    let own = before.iter().position(|home| *home == 2).unwrap();
    let probe = balancer.pick(Call::new().key(&format!("conversation {own}"))).unwrap();
    assert!(probe.is_probe() && probe.index() == 2);
    probe.success();
    assert_eq!(homes(&balancer), before);
}

#[test]
fn sticky_heeds_weights() {
    let homes = homes(&weighted(Sticky, &[1.0, 3.0]));
    let share = homes.iter().filter(|home| **home == 1).count();
    assert!((700..800).contains(&share), "{share}");
}

#[test]
fn a_strategy_that_panics_or_chooses_nobody_has_the_first_candidate_serve() {
    #[derive(Debug)]
    struct Wrong(bool);
    impl Strategy for Wrong {
        fn pick(&self, candidates: &Candidates<'_>, _: &Draw<'_>) -> usize {
            assert!(self.0, "not today");
            candidates.len()
        }
    }
    for wrong in [true, false] {
        let balancer = balancer(config(&ManualClock::new()).strategy(Wrong(wrong)), 3);
        assert_eq!(picked(&balancer, 2), "aa");
        assert_eq!(balancer.pick(Call::new().tried(&[0])).unwrap().index(), 1);
    }
}

#[test]
fn a_strategy_may_ask_the_balancer_itself() {
    #[derive(Debug, Default)]
    struct Asks(Mutex<Option<Balancer<u8>>>);
    impl Strategy for Arc<Asks> {
        fn pick(&self, _: &Candidates<'_>, _: &Draw<'_>) -> usize {
            let balancer = self.0.lock();
            balancer.as_ref().map_or(0, |balancer| balancer.stats().endpoints.len() - 1)
        }
    }
    let asks = Arc::new(Asks::default());
    let balancer = balancer(config(&ManualClock::new()).strategy(asks.clone()), 3);
    *asks.0.lock() = Some(balancer.clone());
    assert_eq!(picked(&balancer, 2), "cc", "no lock is held");
    *asks.0.lock() = None;
}

#[test]
fn a_weight_can_be_changed() {
    let balancer = balancer(config(&ManualClock::new()).strategy(WeightedRandom), 2);
    balancer.set_weight(1, 9.0).unwrap();
    let second = (0..1000).filter(|_| balancer.pick(Call::new()).unwrap().index() == 1).count();
    assert!((850..950).contains(&second), "{second}");
    for (index, weight) in [(0, 0.0), (0, f64::NAN), (2, 1.0)] {
        assert!(balancer.set_weight(index, weight).is_err());
    }
}
