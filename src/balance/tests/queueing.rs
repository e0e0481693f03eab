//! Calls that queue with others: whom they wait for, and what wakes them.

use std::thread;
use std::time::Instant;

use super::*;

fn wait_for<T>(balancer: &Balancer<T>, waiting: usize) {
    while balancer.stats().waiting != waiting {
        thread::yield_now();
    }
}

/// Else who comes later would look again and again, without sleeping, until the first is served.
#[test]
fn a_rest_that_is_over_for_who_waited_before_is_no_time_to_wait_for() {
    let time = ManualClock::new();
    let limits = Limits::default().tokens_per_minute(600);
    let full = Limits::default().max_in_use(1);
    let endpoints = [Endpoint::new("a", 0).limits(limits), Endpoint::new("b", 1).limits(full)];
    let balancer = Balancer::new(config(&time), endpoints).unwrap();
    let first = balancer.pick(Call::new().tried(&[1]).tokens(300)).unwrap();
    let _held = balancer.pick(Call::new().tried(&[0])).unwrap();
    first.failure(Failure::from(Cause::RateLimited).retry_after(SECS(1)));
    time.advance(SECS(1));
    let tried = [1];
    thread::scope(|scope| {
        let long = scope.spawn(|| {
            balancer.pick_within(Call::new().tried(&tried).tokens(600), SECS(60)).is_ok()
        });
        wait_for(&balancer, 1);
        let error = balancer.pick(Call::new().tokens(1)).unwrap_err();
        time.advance(SECS(60));
        assert!(long.join().unwrap());
        let PickError::NoneReady { earliest, why, .. } = error else { panic!("{error}") };
        assert_eq!((earliest, why.resting, why.promised, why.full), (None, 0, 1, 1));
    });
}

/// By the system's clock: were it not woken, it would sleep for ten seconds.
#[test]
fn a_waiter_is_woken_when_the_endpoint_says_that_it_takes_calls_sooner() {
    let balancer = Balancer::new(BalanceConfig::default(), [Endpoint::new("a", 0)]).unwrap();
    let said = |limit, reset| {
        let mut said = RateLimits::default();
        said.requests.limit = Some(limit);
        said.requests.remaining = Some(0);
        said.requests.reset = Some(reset);
        said
    };
    let mut picks = [(); 2].map(|()| balancer.pick(Call::new()).unwrap());
    picks[0].told(&said(1, SECS(10)));
    let began = Instant::now();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| balancer.pick_within(Call::new(), SECS(60)).is_ok());
        wait_for(&balancer, 1);
        picks[1].told(&said(1000, MS(1000)));
        assert!(waiter.join().unwrap());
    });
    assert!(began.elapsed() < SECS(5), "{:?}", began.elapsed());
}
