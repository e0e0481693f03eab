//! The log of the last events.

mod support;

use std::sync::{Arc, Mutex};

use llm_pool::balance::{
    Adaptive, BalanceConfig, Balancer, Call, Cause, Cooldown, Endpoint, EndpointChange,
    EndpointObserver, Limits,
};
use llm_pool::{EventLog, Lease, ManualClock};
use support::*;

fn texts(log: &EventLog, count: usize) -> Vec<String> {
    let events = log.last(count);
    events.iter().map(|event| format!("{} {}", event.pool, event.what)).collect()
}

#[test]
fn it_remembers_what_is_worth_it_and_no_lease() {
    let (script, time, log) = (Script::new(), ManualClock::new(), EventLog::default());
    let config = manual("remembered", 1, &time).observer(log.clone()).nearly_full(None);
    let pool = start(config, &script);
    (0..500).for_each(|_| drop(pool.get().unwrap()));
    assert_eq!(texts(&log, 9), ["remembered created an item in 0.0ns"]);
    let lease = pool.get().unwrap();
    let late = waiter(&pool, secs(2));
    time.advance(secs(2));
    assert!(late.result().is_err());
    Lease::discard(lease);
    script.on_create.set(fail("refused"));
    assert!(pool.try_get().is_err());
    pool.close();
    let expected = [
        "remembered closed",
        "remembered cannot create an item: refused",
        "remembered evicted an item: discarded by its holder",
        "remembered a wait timed out after 2.0s",
        "remembered created an item in 0.0ns",
    ];
    assert_eq!(texts(&log, 9), expected);
    assert_eq!(texts(&log, 2), expected[..2]);
    let names: Vec<_> = log.last(9).iter().map(|event| event.what.name()).collect();
    assert_eq!(names, ["closed", "create failed", "evicted", "timed out", "created"]);
    let times: Vec<_> = log.last(9).iter().map(|event| event.since_start).collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
    assert!(log.last(1)[0].at.elapsed().unwrap() < LIMIT);
    assert!(log.last(1)[0].to_string().ends_with("s pool \"remembered\": closed"));
}

#[test]
fn it_forgets_the_oldest_and_is_shared_by_its_pools() {
    let (script, time, log) = (Script::new(), ManualClock::new(), EventLog::new(3));
    for name in ["one", "two"] {
        let config = manual(name, 1, &time).observer(log.clone()).nearly_full(None);
        let pool = start(config, &script);
        Lease::discard(pool.get().unwrap());
        pool.close();
    }
    let expected = ["two closed", "two evicted an item: discarded by its holder"];
    assert_eq!(texts(&log, 2), expected);
    assert_eq!(texts(&log, 9).len(), 3, "one had three of its own");
    assert_eq!(format!("{log:?}"), "EventLog { events: 3, capacity: 3, .. }");
    let none = EventLog::new(0);
    let pool = start(manual("none", 1, &time).observer(none.clone()), &script);
    Lease::discard(pool.get().unwrap());
    assert!(none.last(9).is_empty());
}

#[test]
fn it_remembers_how_endpoints_fare() {
    let (time, log) = (ManualClock::new(), EventLog::default());
    let cooldown = Cooldown::default().jitter(0.0);
    let config = BalanceConfig::default().name("chat").clock(time.clock()).cooldown(cooldown);
    let adaptive = Limits::default().adaptive(Adaptive::default());
    let endpoints = [Endpoint::new("a", ()), Endpoint::new("b", ()).limits(adaptive)];
    let balancer = Balancer::new(config.observer(log.clone()), endpoints).unwrap();
    let pick = |other| balancer.pick(Call::new().tried(&[other])).unwrap();
    pick(1).failure(Cause::Unauthorized);
    time.advance(secs(1));
    pick(1).success();
    let busy = [pick(0), pick(0), pick(0), pick(0)];
    for pick in busy {
        pick.failure(Cause::Overloaded);
    }
    pick(1).failure(Cause::Forbidden);
    pick(0).failure(Cause::NotFound);
    let expected = [
        "chat b fails, but stays in service, as others rest: not found",
        "chat a rests for 2.0s: forbidden",
        "chat b at most 3 at one time: refused: overloaded",
        "chat a is back in service",
        "chat a rests for 1.0s: unauthorized",
    ];
    assert_eq!(texts(&log, 9), expected);
    assert!(
        log.last(1)[0]
            .to_string()
            .ends_with(&format!("endpoint \"chat b\": {}", &expected[0][7..]))
    );
}

#[test]
fn an_observer_of_endpoints_that_panics_or_asks_harms_nobody() {
    #[derive(Clone, Default)]
    struct Asks(Arc<Mutex<Option<Balancer<()>>>>);
    impl EndpointObserver for Asks {
        fn changed(&self, _: &Arc<str>, _: &Arc<str>, _: &EndpointChange) {
            let balancer = self.0.lock().unwrap().clone().unwrap();
            assert_eq!(balancer.stats().endpoints.len(), 2);
            panic!("it may");
        }
    }
    let asks = Asks::default();
    let endpoints = [Endpoint::new("a", ()), Endpoint::new("b", ())];
    let balancer =
        Balancer::new(BalanceConfig::default().observer(asks.clone()), endpoints).unwrap();
    *asks.0.lock().unwrap() = Some(balancer.clone());
    balancer.pick(Call::new().tried(&[1])).unwrap().failure(Cause::Unauthorized);
    let stats = balancer.stats();
    assert!((stats.endpoints[0].rests, stats.endpoints[0].in_use) == (1, 0));
    *asks.0.lock().unwrap_or_else(|gone| gone.into_inner()) = None;
}
