//! Endpoints that take only so many calls: who goes elsewhere, who waits, and in which order.

use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use super::*;

/// So many endpoints that each serve two calls at one time.
fn of_two(time: &ManualClock, count: u8) -> Balancer<u8> {
    let limited = |one: Endpoint<u8>| one.limits(Limits::default().max_in_use(2));
    let config = config(time).name("chat").strategy(Priority);
    Balancer::new(config, named(count).into_iter().map(limited)).unwrap()
}

fn wait_for(balancer: &Balancer<u8>, waiting: usize) {
    while balancer.stats().waiting != waiting {
        thread::yield_now();
    }
}

#[test]
fn a_full_endpoint_gets_no_call_and_when_all_are_full_the_error_says_so() {
    let balancer = of_two(&ManualClock::new(), 2);
    let picks: Vec<_> = (0..4).map(|_| balancer.pick(Call::new()).unwrap()).collect();
    assert_eq!(picks.iter().map(Pick::index).collect::<Vec<_>>(), [0, 0, 1, 1]);
    let error = balancer.pick(Call::new()).unwrap_err();
    assert_eq!(error.to_string(), "no endpoint of \"chat\" is ready: 2 are full");
    let stats = &balancer.stats().endpoints[0];
    assert_eq!((stats.in_use, stats.max_in_use), (2, Some(2)));
    drop(picks);
    assert_eq!(balancer.pick(Call::new()).unwrap().index(), 0);
}

/// Each has joined the queue before the next comes, and one place serves them all in turn.
#[test]
fn waiters_are_served_in_the_order_they_came() {
    let balancer = of_two(&ManualClock::new(), 1);
    let held = [(); 2].map(|()| balancer.pick(Call::new()).unwrap());
    let (served, order) = mpsc::channel();
    thread::scope(|scope| {
        for number in 0..20 {
            let (balancer, served) = (&balancer, served.clone());
            scope.spawn(move || {
                let pick = balancer.pick_within(Call::new(), SECS(60)).unwrap();
                served.send(number).unwrap();
                pick.success();
            });
            wait_for(balancer, number + 1);
        }
        let [first, second] = held;
        first.success();
        let order: Vec<usize> = order.iter().take(20).collect();
        assert_eq!(order, (0..20).collect::<Vec<_>>());
        second.success();
    });
    assert_eq!(balancer.stats().waiting, 0);
}

#[test]
fn a_newcomer_does_not_overtake_who_waits() {
    let time = ManualClock::new();
    let balancer = of_two(&time, 1);
    let held = [(); 2].map(|()| balancer.pick(Call::new()).unwrap());
    thread::scope(|scope| {
        let waiter = scope.spawn(|| balancer.pick_within(Call::new(), SECS(60)).unwrap());
        wait_for(&balancer, 1);
        let error = balancer.pick(Call::new()).unwrap_err();
        let said = "no endpoint of \"chat\" is ready: 1 is full, 1 call waits before";
        assert_eq!(error.to_string(), said);
        let [first, _second] = held;
        first.success();
        waiter.join().unwrap().success();
    });
}

#[test]
fn who_wants_what_the_first_has_tried_does_not_stand_behind_it() {
    let balancer = of_two(&ManualClock::new(), 2);
    let held: Vec<_> = (0..4).map(|_| balancer.pick(Call::new()).unwrap()).collect();
    thread::scope(|scope| {
        let first = scope.spawn(|| {
            let tried = [0];
            balancer.pick_within(Call::new().tried(&tried), SECS(60)).unwrap()
        });
        wait_for(&balancer, 1);
        let second = scope.spawn(|| balancer.pick_within(Call::new(), SECS(60)).unwrap());
        wait_for(&balancer, 2);
        let (of_a, of_b): (Vec<_>, Vec<_>) = held.into_iter().partition(|pick| pick.index() == 0);
        drop(of_a);
        assert_eq!(second.join().unwrap().index(), 0);
        assert_eq!(balancer.stats().waiting, 1, "the first cannot have it");
        drop(of_b);
        assert_eq!(first.join().unwrap().index(), 1);
    });
}

#[test]
fn who_gives_up_lets_the_next_have_its_turn() {
    let time = ManualClock::new();
    let balancer = of_two(&time, 1);
    let held = [(); 2].map(|()| balancer.pick(Call::new()).unwrap());
    thread::scope(|scope| {
        let short = scope.spawn(|| balancer.pick_within(Call::new(), SECS(1)).unwrap_err());
        wait_for(&balancer, 1);
        let long = scope.spawn(|| balancer.pick_within(Call::new(), SECS(60)).unwrap());
        wait_for(&balancer, 2);
        time.advance(SECS(1));
        let error = short.join().unwrap();
        assert!(matches!(error, PickError::NoneReady { why, .. } if why.full == 1), "{error}");
        drop(held);
        long.join().unwrap().success();
    });
}

/// One endpoint, "a".
fn one_with(time: &ManualClock, limits: Limits) -> Balancer<u8> {
    Balancer::new(config(time), [Endpoint::new("a", 0).limits(limits)]).unwrap()
}

#[test]
fn who_is_at_its_rate_waits_for_it_but_not_in_vain() {
    let time = ManualClock::new();
    let balancer = one_with(&time, Limits::default().requests_per_minute(60));
    for _ in 0..60 {
        balancer.pick(Call::new()).unwrap().success();
    }
    let error = balancer.pick(Call::new()).unwrap_err();
    let said = "no endpoint of \"balance\" is ready: 1 is at its rate; the first is ready in 1.0s";
    assert_eq!(error.to_string(), said);
    let stats = &balancer.stats().endpoints[0];
    assert_eq!((stats.requests_left, stats.limited), (Some(0), Some(SECS(1))));
    // The clock stands still, so that this would wait for ever.
    assert_eq!(balancer.pick_within(Call::new(), MS(999)).unwrap_err(), error);
    thread::scope(|scope| {
        let waiters = [(); 3].map(|()| {
            scope.spawn(|| balancer.pick_within(Call::new(), SECS(60)).unwrap().success())
        });
        wait_for(&balancer, 3);
        for left in [2, 1, 0] {
            time.advance(SECS(1));
            wait_for(&balancer, left);
        }
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    });
    assert_eq!(balancer.stats().endpoints[0].picks, 63);
}

#[test]
fn a_rate_that_is_used_up_sends_calls_elsewhere() {
    let time = ManualClock::new();
    let limits = Limits::default().requests_per_minute(10);
    let endpoints = [Endpoint::new("a", 0).limits(limits), Endpoint::new("b", 1).order(1)];
    let balancer = Balancer::new(config(&time).strategy(Priority), endpoints).unwrap();
    let picks = |balancer: &Balancer<i32>| {
        (0..20).filter(|_| balancer.pick(Call::new()).unwrap().index() == 0).count()
    };
    assert_eq!(picks(&balancer), 10);
    time.advance(SECS(60));
    assert_eq!(picks(&balancer), 10);
}

#[test]
fn tokens_count_as_used_and_calls_that_need_more_than_is_left_wait() {
    let time = ManualClock::new();
    let balancer = one_with(&time, Limits::default().tokens_per_minute(600));
    let mut pick = balancer.pick(Call::new().tokens(400)).unwrap();
    assert_eq!(balancer.stats().endpoints[0].tokens_left, Some(200));
    pick.used(500);
    pick.success();
    assert_eq!(balancer.stats().endpoints[0].tokens_left, Some(100));
    assert!(balancer.pick(Call::new().tokens(101)).is_err());
    balancer.pick(Call::new().tokens(100)).unwrap().unsent();
    assert_eq!(balancer.stats().endpoints[0].tokens_left, Some(100), "it was never sent");
    drop(balancer.pick(Call::new().tokens(100)).unwrap());
    assert_eq!(balancer.stats().endpoints[0].tokens_left, Some(0), "it may have been");
    // More than there can ever be takes all there is.
    assert!(balancer.pick(Call::new().tokens(9999)).is_err());
    time.advance(SECS(60));
    assert!(balancer.pick(Call::new().tokens(9999)).is_ok());
}

#[test]
fn what_an_endpoint_says_of_its_limits_is_kept_to_unless_told_not_to() {
    for learns in [true, false] {
        let time = ManualClock::new();
        let balancer = one_with(&time, Limits::default().learns(learns));
        let mut pick = balancer.pick(Call::new()).unwrap();
        let mut said = RateLimits::default();
        said.requests.limit = Some(60);
        said.requests.remaining = Some(1);
        said.requests.reset = Some(SECS(59));
        pick.told(&said);
        pick.success();
        balancer.pick(Call::new()).unwrap().success();
        let error = balancer.pick(Call::new()).err();
        assert_eq!(error.is_some(), learns);
        assert_eq!(balancer.stats().endpoints[0].requests_left, learns.then_some(0));
        time.advance(SECS(1));
        assert!(balancer.pick(Call::new()).is_ok());
    }
}

#[test]
fn a_cap_that_adapts_grows_while_calls_wait_and_shrinks_when_one_is_refused() {
    let adaptive = Adaptive::default().start(2);
    let limits = Limits::default().max_in_use(8).adaptive(adaptive);
    let balancer = one_with(&ManualClock::new(), limits);
    let most = |balancer: &Balancer<u8>| balancer.stats().endpoints[0].max_in_use;
    let mut picks = Vec::new();
    for _ in 0..6 {
        while let Ok(pick) = balancer.pick(Call::new()) {
            picks.push(pick);
        }
        assert_eq!(Some(picks.len()), most(&balancer));
        picks.remove(0).success();
    }
    assert_eq!(most(&balancer), Some(8), "from 2, one more for each");
    picks.remove(0).failure(Cause::RateLimited);
    assert_eq!((most(&balancer), health(&balancer, 0)), (Some(5), Health::Well));
    picks.remove(0).failure(Cause::RateLimited);
    assert_eq!(most(&balancer), Some(5), "it began before the cut");
}

#[test]
fn too_many_calls_are_for_the_cap_unless_the_endpoint_asks_for_a_rest() {
    let limits = Limits::default().max_in_use(8).adaptive(Adaptive::default());
    let endpoints = named(2).into_iter().map(|one| one.limits(limits.clone()));
    let balancer = Balancer::new(config(&ManualClock::new()), endpoints).unwrap();
    fail(&balancer, 0, Cause::RateLimited);
    assert_eq!(health(&balancer, 0), Health::Well);
    fail(&balancer, 0, Failure::from(Cause::RateLimited).retry_after(SECS(7)));
    assert_eq!(health(&balancer, 0), resting(SECS(7)));
}

#[test]
fn limits_can_be_changed_and_let_who_waits_go_on_at_once() {
    let time = ManualClock::new();
    let balancer = one_with(&time, Limits::default().requests_per_minute(1));
    let old = balancer.pick(Call::new()).unwrap();
    thread::scope(|scope| {
        let waiter =
            scope.spawn(|| balancer.pick_within(Call::new(), SECS(3600)).unwrap().success());
        wait_for(&balancer, 1);
        let wrong = balancer.set_limits(0, Limits::default().max_in_use(0)).unwrap_err();
        assert!(wrong.to_string().contains("max_in_use"), "{wrong}");
        assert!(balancer.set_limits(9, Limits::default()).is_err());
        assert_eq!(balancer.stats().waiting, 1, "nothing has changed");
        balancer.set_limits(0, Limits::default().requests_per_minute(2)).unwrap();
        waiter.join().unwrap();
    });
    // It was begun under other limits and is nothing to these.
    old.unsent();
    assert_eq!(balancer.stats().endpoints[0].requests_left, Some(1));
    balancer.set_limits(0, Limits::default()).unwrap();
    assert_eq!(balancer.stats().endpoints[0].requests_left, None);
    assert!((0..100).all(|_| balancer.pick(Call::new()).is_ok()));
}

#[test]
fn the_earliest_is_told_by_time_alone() {
    let time = ManualClock::new();
    let balancer = one_with(&time, Limits::default().requests_per_minute(60).max_in_use(60));
    assert_eq!(balancer.earliest(), Some(Duration::ZERO));
    let picks: Vec<_> = (0..60).map(|_| balancer.pick(Call::new()).unwrap()).collect();
    assert_eq!(balancer.earliest(), None, "full");
    drop(picks);
    assert_eq!(balancer.earliest(), Some(SECS(1)), "at its rate");
}

/// By the system's clock: one not woken would wait for a minute.
#[test]
fn room_for_two_that_comes_at_once_serves_two() {
    let limited = |one: Endpoint<u8>| one.limits(Limits::default().max_in_use(1));
    let endpoints = named(2).into_iter().map(limited);
    let balancer = Balancer::new(BalanceConfig::default(), endpoints).unwrap();
    let began = Instant::now();
    for _ in 0..50 {
        let held = [(); 2].map(|()| balancer.pick(Call::new()).unwrap());
        thread::scope(|scope| {
            let wait = || balancer.pick_within(Call::new(), SECS(60)).unwrap();
            let waiters = [scope.spawn(wait), scope.spawn(wait)];
            wait_for(&balancer, 2);
            drop(held);
            // Neither ends before both have begun.
            let picks = waiters.map(|waiter| waiter.join().unwrap());
            assert_ne!(picks[0].index(), picks[1].index());
        });
        assert!(began.elapsed() < SECS(50));
    }
}

/// By the system's clock, and in the order that the threads happen to run.
#[test]
fn threads_never_exceed_a_cap_and_all_are_served() {
    let limited = |one: Endpoint<u8>| one.limits(Limits::default().max_in_use(2));
    let endpoints = named(3).into_iter().map(limited);
    let balancer = Balancer::new(BalanceConfig::default(), endpoints).unwrap();
    thread::scope(|scope| {
        for worker in 0..16_usize {
            let balancer = &balancer;
            scope.spawn(move || {
                for turn in 0..200 {
                    let tried = [turn % 3];
                    let tried = if turn % 5 == 0 { &tried[..] } else { &[] };
                    let pick = balancer.pick_within(Call::new().tried(tried), SECS(60)).unwrap();
                    let stats = balancer.stats();
                    assert!(stats.endpoints.iter().all(|one| one.in_use <= 2));
                    if worker % 4 == 0 { drop(pick) } else { pick.success() }
                }
            });
        }
    });
    let stats = balancer.stats();
    assert_eq!(stats.endpoints.iter().map(|one| one.picks).sum::<u64>(), 16 * 200);
    assert!(stats.endpoints.iter().all(|one| one.in_use == 0) && stats.waiting == 0);
}

#[test]
fn limits_of_zero_are_refused_by_name() {
    let wrong = Limits::default().max_in_use(0).requests_per_minute(0).tokens_per_minute(0);
    let endpoint = Endpoint::new("a", ()).limits(wrong);
    let error = Balancer::new(BalanceConfig::default(), [endpoint]).unwrap_err();
    let said = error.to_string();
    for name in ["a: ", "max_in_use", "requests_per_minute", "tokens_per_minute"] {
        assert!(said.contains(name), "{said}");
    }
}
