//! Refusing at once whoever could not be served in time.

mod support;

use llm_pool::{GetError, ManualClock, PoolConfig};

use support::*;

/// A pool of 2 whose leases were held for 10 s each of late.
fn busy(time: &ManualClock, admission: bool) -> (TestPool, Vec<llm_pool::Lease<Maker>>) {
    let config = PoolConfig::default().name("busy").max_size(2).min_idle(0).clock(time.clock());
    let config = config.admission(admission).wait_timeout(secs(30)).nearly_full(None);
    let pool = start(config, &Script::new());
    for _ in 0..20 {
        let leases = take(&pool, 2);
        time.advance(secs(10));
        drop(leases);
    }
    let leases = take(&pool, 2);
    (pool, leases)
}

#[test]
fn a_caller_whose_place_leaves_no_hope_is_refused_at_once_with_the_estimate() {
    let time = ManualClock::new();
    let (pool, _leases) = busy(&time, true);
    // Two leases of 10 s each: one comes back every 5 s, so the third in line waits 15 s.
    let waiters = [waiter(&pool, secs(1000)), waiter(&pool, secs(1000))];
    let error = pool.get_timeout(secs(14)).unwrap_err();
    let GetError::TooLate { estimate, given, ref picture, .. } = error else {
        panic!("{error}");
    };
    assert!((secs(14)..=secs(15)).contains(&estimate), "{estimate:?}");
    assert_eq!((given, picture.stats.waiting), (secs(14), 2));
    let text = error.to_string();
    assert!(
        text.starts_with("would time out: an estimated 15.0s, where 14.0s are given"),
        "{text}"
    );
    assert_eq!((pool.stats().too_late, pool.stats().timeouts), (1, 0));
    pool.close();
    waiters.into_iter().for_each(|waiter| assert!(waiter.result().is_err()));
}

#[test]
fn a_caller_with_hope_waits() {
    let time = ManualClock::new();
    let (pool, leases) = busy(&time, true);
    let patient = waiter(&pool, secs(16));
    drop(leases);
    assert!(patient.result().is_ok());
    assert_eq!(pool.stats().too_late, 0);
}

#[test]
fn a_deadline_that_covers_the_use_must_leave_time_for_it() {
    let time = ManualClock::new();
    let (pool, _leases) = busy(&time, true);
    // 5 s for the wait and 10 s for the use.
    let error = pool.get_within(secs(14)).unwrap_err();
    let GetError::TooLate { estimate, .. } = error else { panic!("{error}") };
    assert!((secs(14)..=secs(15)).contains(&estimate), "{estimate:?}");
}

#[test]
fn without_the_setting_nobody_is_refused() {
    let time = ManualClock::new();
    let (pool, leases) = busy(&time, false);
    let hopeless = waiter(&pool, secs(1));
    time.advance(secs(2));
    assert!(matches!(hopeless.result(), Err(GetError::Timeout { .. })));
    drop(leases);
}

#[test]
fn nobody_is_refused_before_any_hold_is_known_or_while_there_is_room() {
    let time = ManualClock::new();
    let config = PoolConfig::default().max_size(2).min_idle(0).clock(time.clock());
    let pool = start(config.admission(true), &Script::new());
    let leases = take(&pool, 2);
    let hopeful = waiter(&pool, secs(1));
    time.advance(secs(2));
    assert!(matches!(hopeful.result(), Err(GetError::Timeout { .. })));
    time.advance(secs(100));
    drop(leases);
    // Holds of 100 s are known now, but an item is idle, and after that one can be created.
    pool.resize(3).unwrap();
    assert!(take(&pool, 3).len() == 3);
}

/// It would be cut off, and its short hold would make the next estimate too good.
#[test]
fn a_caller_whose_turn_comes_with_too_little_time_left_is_told_so_and_the_next_is_served() {
    let time = ManualClock::new();
    let (pool, mut leases) = busy(&time, true);
    // 5 s for the wait and 10 s for the use, by the look of things.
    let hurried = spawn({
        let pool = pool.clone();
        move || pool.get_within(secs(16))
    });
    eventually(|| pool.stats().waiting == 1);
    let patient = waiter(&pool, secs(1000));
    eventually(|| pool.stats().waiting == 2);
    time.advance(secs(8));
    drop(leases.pop());
    let error = hurried.result().unwrap_err();
    let GetError::TooLate { estimate, given, .. } = error else { panic!("{error}") };
    assert!((secs(17)..=secs(18)).contains(&estimate) && given == secs(16), "{error}");
    assert!(patient.result().is_ok());
    assert_eq!((pool.stats().too_late, pool.stats().waiting), (1, 0));
}

/// Else nothing would ever tell that holds have become shorter.
#[test]
fn where_an_item_can_be_created_nobody_is_told_to_be_too_late() {
    let time = ManualClock::new();
    let (pool, leases) = busy(&time, true);
    leases.into_iter().for_each(llm_pool::Lease::discard);
    assert_eq!((pool.stats().idle, pool.stats().in_use), (0, 0));
    for _ in 0..3 {
        llm_pool::Lease::discard(pool.get_within(secs(5)).unwrap());
    }
    let two = [pool.get_within(secs(5)).unwrap(), pool.get_within(secs(5)).unwrap()];
    assert_eq!(pool.stats().too_late, 0);
    drop(two);
}
