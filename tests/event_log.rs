//! The log of the last events.

mod support;

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
