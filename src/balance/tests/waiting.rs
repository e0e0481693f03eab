//! Who waits for an endpoint, and for how long.

use std::thread;
use std::time::Instant;

use super::*;

/// All may rest.
fn all(time: &ManualClock) -> BalanceConfig {
    let cooldown = Cooldown::default().jitter(0.0).max_resting(1.0).rest_last(true);
    config(time).cooldown(cooldown)
}

#[test]
fn the_error_says_when_the_first_returns() {
    let time = ManualClock::new();
    let balancer = balancer(all(&time).name("chat"), 2);
    fail(&balancer, 0, Failure::from(Cause::RateLimited).retry_after(SECS(40)));
    fail(&balancer, 1, Failure::from(Cause::RateLimited).retry_after(SECS(20)));
    let error = balancer.pick(Call::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no endpoint of \"chat\" is ready: 2 rest; the first is ready in 20.0s"
    );
    // In vain: not within the deadline. The clock stands still, so waiting would take for ever.
    assert_eq!(balancer.pick_within(Call::new(), SECS(19)).unwrap_err(), error);
    let error = balancer.pick_within(Call::new().tried(&[1]), SECS(39)).unwrap_err();
    assert!(error.to_string().ends_with("ready in 40.0s"), "{error}");
    let error = balancer.pick_within(Call::new().tried(&[0, 1]), SECS(99)).unwrap_err();
    assert_eq!(error.to_string(), "the call has tried all 2 endpoints of \"chat\"");
    time.advance(SECS(20));
    let _probe = balancer.pick(Call::new()).unwrap();
    let error = balancer.pick(Call::new()).unwrap_err();
    assert!(
        error.to_string().ends_with("1 rests, 1 is probed; the first is ready in 20.0s"),
        "{error}"
    );
}

#[test]
fn a_waiter_gets_the_probe_when_the_rest_is_over() {
    let time = ManualClock::new();
    let balancer = balancer(all(&time), 1);
    fail(&balancer, 0, Cause::ConnectRefused);
    thread::scope(|scope| {
        let waiter =
            scope.spawn(|| balancer.pick_within(Call::new(), SECS(30)).unwrap().is_probe());
        while balancer.stats().waiting == 0 {
            thread::yield_now();
        }
        time.advance(SECS(1));
        assert!(waiter.join().unwrap());
    });
}

/// By the system's clock: were they not woken, they would sleep for an hour.
#[test]
fn all_waiters_wake_at_once_when_a_probe_ends_or_a_rest_is_ended() {
    let cooldown = Cooldown::default().max_resting(1.0).rest_last(true).base_rest(MS(1));
    for way in ["success", "abandoned", "ended"] {
        let by_probe = way != "ended";
        let balancer = balancer(BalanceConfig::default().cooldown(cooldown.clone()), 1);
        let asked = if by_probe { MS(1) } else { SECS(3600) };
        fail(&balancer, 0, Failure::from(Cause::RateLimited).retry_after(asked));
        let probe = by_probe.then(|| balancer.pick_within(Call::new(), SECS(5)).unwrap());
        let began = Instant::now();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| balancer.pick_within(Call::new(), SECS(7200)).unwrap().success());
            }
            while balancer.stats().waiting < 8 {
                thread::yield_now();
            }
            match probe {
                Some(probe) if way == "success" => probe.success(),
                // The first of them makes the next probe, and that succeeds.
                Some(probe) => drop(probe),
                None => assert!(balancer.end_rest(0)),
            }
        });
        assert!(began.elapsed() < SECS(60));
        let stats = balancer.stats();
        assert_eq!((stats.waiting, stats.endpoints[0].in_use), (0, 0));
    }
}

#[test]
fn an_abandoned_probe_passes_to_a_waiter_and_a_failed_one_ends_vain_waits() {
    let time = ManualClock::new();
    let balancer = balancer(all(&time), 1);
    fail(&balancer, 0, Failure::from(Cause::RateLimited).retry_after(SECS(5)));
    time.advance(SECS(5));
    let probe = balancer.pick(Call::new()).unwrap();
    thread::scope(|scope| {
        let wait = || balancer.pick_within(Call::new(), SECS(10));
        let waiters = [scope.spawn(wait), scope.spawn(wait)];
        while balancer.stats().waiting < 2 {
            thread::yield_now();
        }
        drop(probe);
        while balancer.stats().waiting == 2 {
            thread::yield_now();
        }
        let [a, b] = waiters;
        // One of them has the probe by now, and ends; its verdict ends the other's wait.
        let (first, other) = loop {
            match (a.is_finished(), b.is_finished()) {
                (true, _) => break (a, b),
                (_, true) => break (b, a),
                _ => thread::yield_now(),
            }
        };
        let probe = first.join().unwrap().unwrap();
        assert!(probe.is_probe());
        probe.failure(Failure::from(Cause::RateLimited).retry_after(SECS(60)));
        let PickError::NoneReady { earliest, .. } = other.join().unwrap().unwrap_err() else {
            panic!("it rests");
        };
        assert_eq!(earliest, Some(SECS(60)));
    });
}

/// By the system's clock, and in the order that the threads happen to run.
#[test]
fn threads_that_pick_and_report_at_once_lose_nothing() {
    let cooldown = Cooldown::default().base_rest(MS(1)).max_rest(MS(2));
    let balancer = balancer(BalanceConfig::default().cooldown(cooldown), 4);
    thread::scope(|scope| {
        for worker in 0..8_usize {
            let balancer = &balancer;
            scope.spawn(move || {
                for turn in 0..500 {
                    let pick = balancer.pick_within(Call::new(), SECS(60)).unwrap();
                    match (worker + turn) % 5 {
                        0 => pick.failure(Cause::ConnectRefused),
                        1 => pick.failure(Cause::Server),
                        2 => drop(pick),
                        _ => pick.success(),
                    }
                }
            });
        }
    });
    let stats = balancer.stats();
    assert_eq!(stats.endpoints.iter().map(|one| one.picks).sum::<u64>(), 8 * 500);
    assert!(stats.endpoints.iter().map(|one| one.rests).sum::<u64>() > 0);
    for one in stats.endpoints {
        assert_eq!(one.in_use, 0);
        assert_eq!(one.picks, one.successes + one.failures.total() + one.abandoned);
    }
}
