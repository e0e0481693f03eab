//! What fails or panics in user code costs the item it concerned and nothing else.

mod support;

use std::sync::{Arc, OnceLock};
use std::thread;

use llm_pool::{EvictReason, GetError, Lease, ManualClock};
use log::Level;
use support::*;

/// Behaviour 2.
#[test]
fn a_failed_creation_frees_the_slot_and_serves_the_next_waiter() {
    first_of_two_waiters_hears(fail("refused"), |error| {
        assert!(matches!(&error, GetError::Create(Refusal("refused"))), "{error:?}");
        assert_eq!(error.to_string(), "cannot create an item: refused");
    });
}

/// Behaviours 2 and 8.
#[test]
fn a_panicking_creation_frees_the_slot_and_serves_the_next_waiter() {
    first_of_two_waiters_hears(blow_up("ouch"), |error| {
        assert!(
            matches!(&error, GetError::CreatePanicked { message, .. } if message == "ouch"),
            "{error:?}"
        );
    });
}

/// A panic in the text of an error is a panic in user code too.
#[test]
fn a_creation_error_that_cannot_be_printed_frees_the_slot_and_serves_the_next_waiter() {
    first_of_two_waiters_hears(fail(UNPRINTABLE), |error| {
        assert!(matches!(&error, GetError::CreatePanicked { .. }), "{error:?}");
    });
}

fn first_of_two_waiters_hears(mishap: Act, hears: impl Fn(GetError<Refusal>)) {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("failed creation", 1, &time), &script);
    let gate = Gate::new();
    script.on_create.set(gate.before(mishap));
    let first = waiter(&pool, secs(30));
    gate.await_entered(1);
    let second = waiter(&pool, secs(30));
    script.on_create.set(succeed());
    gate.open();
    hears(first.result().expect_err("its creation failed"));
    assert_eq!(second.result().expect("served next").number, 1);
    let stats = pool.stats();
    assert_eq!((stats.create_failures, stats.created), (1, 1));
    assert_settled(&pool, &script);
}

#[test]
fn every_waiter_hears_of_one_failure_while_creation_goes_on_failing() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("failing on", 1, &time), &script);
    let gate = Gate::new();
    script.on_create.set(gate.before(fail("refused")));
    let waiters: Vec<_> = (0..4).map(|_| waiter(&pool, secs(30))).collect();
    gate.open();
    for waiter in waiters {
        assert!(matches!(waiter.result(), Err(GetError::Create(_))));
    }
    assert_eq!(script.on_create.calls(), 4, "each failure answers one");
    // The back-end heals: nothing stands in the way.
    script.on_create.set(succeed());
    drop(pool.get().unwrap());
    assert_settled(&pool, &script);
}

/// Behaviour 8.
#[test]
fn a_pool_of_one_survives_a_panic_in_every_stage() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("survivor", 1, &time), &script);
    let mishap = || blow_up("ouch");

    script.on_create.set(mishap());
    assert!(matches!(pool.get(), Err(GetError::CreatePanicked { .. })));
    assert!(matches!(pool.try_get(), Err(GetError::CreatePanicked { .. })));
    script.on_create.set(succeed());

    script.on_is_broken.set(mishap());
    drop(pool.get().unwrap());
    script.on_is_broken.set(succeed());

    script.on_drop.set(mishap());
    Lease::discard(pool.get().unwrap());
    script.on_drop.set(succeed());

    drop(pool.get().unwrap());
    script.on_check.set(mishap());
    pool.check_all();
    eventually(|| pool.stats().unhealthy == 1);
    script.on_check.set(succeed());

    drop(pool.try_get());
    drop(pool.get().unwrap());
    let stats = pool.stats();
    assert_eq!((stats.create_failures, stats.check_failures), (2, 1));
    assert_eq!((stats.idle, stats.in_use, stats.unhealthy), (1, 0, 0));
    assert_settled(&pool, &script);
}

#[test]
fn a_failed_creation_of_try_get_serves_the_waiter() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("try_get fails", 1, &time), &script);
    let gate = Gate::new();
    script.on_create.set(gate.before(fail("refused")));
    let own = spawn({
        let pool = pool.clone();
        move || pool.try_get()
    });
    gate.await_entered(1);
    let waiter = waiter(&pool, secs(30));
    script.on_create.set(succeed());
    gate.open();
    assert!(matches!(own.result(), Err(GetError::Create(_))));
    assert_eq!(waiter.result().unwrap().number, 1);
}

/// Behaviour 8.
#[test]
fn a_panic_in_is_broken_is_logged_and_serves_the_waiter() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("is_broken panics", 1, &time), &script);
    let lease = pool.get().unwrap();
    let waiter = waiter(&pool, secs(30));
    script.on_is_broken.set(blow_up("judge fell ill"));
    drop(lease);
    script.on_is_broken.set(succeed());
    assert_eq!(waiter.result().unwrap().number, 2);
    assert_eq!(pool.stats().evicted_for(EvictReason::Broken), 1);
    let told = logs::matching("is_broken panics", Level::Error, "is_broken panicked");
    assert_eq!(told, ["pool \"is_broken panics\": is_broken panicked: judge fell ill"]);
    assert_settled(&pool, &script);
}

/// Behaviour 8.
#[test]
fn a_panic_in_an_items_drop_is_logged_and_serves_the_waiter() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("drop panics", 1, &time), &script);
    let lease = pool.get().unwrap();
    let waiter = waiter(&pool, secs(30));
    script.on_drop.set(blow_up("would not go"));
    Lease::discard(lease);
    script.on_drop.set(succeed());
    assert_eq!(waiter.result().unwrap().number, 2);
    let told = logs::matching("drop panics", Level::Error, "would not go");
    assert_eq!(told, ["pool \"drop panics\": an item's drop panicked: would not go"]);
    assert_settled(&pool, &script);
}

/// Behaviour 8: a panic that left a drop during unwinding would end the process.
#[test]
fn a_panic_in_an_items_drop_while_the_thread_unwinds_is_caught() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("double panic", 2, &time), &script);
    script.on_drop.set(blow_up("second panic"));
    script.on_is_broken.set(blow_up("not asked"));
    let outcome = spawn({
        let pool = pool.clone();
        move || {
            let _leases = take(&pool, 2);
            panic!("first panic");
        }
    })
    .outcome();
    assert_eq!(words(&*outcome.unwrap_err()), "first panic");
    assert_eq!(logs::matching("double panic", Level::Error, "second panic").len(), 2);
    script.on_drop.set(succeed());
    script.on_is_broken.set(succeed());
    assert_eq!(pool.stats().evicted_for(EvictReason::Panicked), 2);
    drop(take(&pool, 2));
    assert_settled(&pool, &script);
}

/// A lease may be dropped by another value's drop during unwinding, and its panics still count.
#[test]
fn panics_in_every_item_dropped_by_a_close_are_caught() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("close of panics", 3, &time), &script);
    drop(take(&pool, 3));
    script.on_drop.set(blow_up("would not go"));
    pool.close();
    assert_eq!((script.live(), script.on_drop.calls()), (0, 3), "one does not keep the rest");
    assert_eq!(logs::matching("close of panics", Level::Error, "would not go").len(), 3);
}

/// Behaviour 10.
#[test]
fn an_item_dropped_while_its_thread_unwinds_is_discarded() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("unwinding", 1, &time), &script);
    let lease = pool.get().unwrap();
    let waiter = waiter(&pool, secs(30));
    let outcome = spawn(move || {
        let _lease = lease;
        panic!("half way through");
    })
    .outcome();
    assert!(outcome.is_err());
    assert_eq!(waiter.result().unwrap().number, 2, "a fresh item for the waiter");
    assert_eq!(pool.stats().evicted_for(EvictReason::Panicked), 1);
    assert_eq!(script.on_is_broken.calls(), 1, "asked of the second item only");
    assert_settled(&pool, &script);
}

#[test]
fn a_check_error_that_cannot_be_printed_loses_nothing() {
    for mishap in [fail(UNPRINTABLE), blow_up("ouch")] {
        let (script, time) = (Script::new(), ManualClock::new());
        let pool = start(manual("unprintable check", 1, &time), &script);
        drop(pool.get().unwrap());
        script.on_check.set(mishap);
        pool.check_all();
        eventually(|| pool.stats().unhealthy == 1);
        assert_eq!((pool.stats().check_failures, script.live()), (1, 1));
        assert_settled(&pool, &script);
    }
}

#[test]
fn a_logger_that_panics_costs_nothing() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("bad logger", 2, &time), &script);
    logs::on_line("bad logger", |_| panic!("the log is full"));
    let (first, second) = (pool.get().unwrap(), pool.get().unwrap());
    script.on_drop.set(blow_up("ouch"));
    Lease::discard(first);
    drop(second);
    script.on_create.set(fail("refused"));
    let held = pool.get().unwrap();
    assert!(matches!(pool.get(), Err(GetError::Create(_))));
    drop(held);
    script.on_check.set(fail("unwell"));
    pool.check_all();
    eventually(|| pool.stats().unhealthy == 1);
    pool.close();
    assert_eq!(script.live(), 0);
    assert_settled(&pool, &script);
}

#[test]
fn a_logger_that_panics_does_not_stop_the_background_maintenance() {
    let script = Script::new();
    let often = config("bad logger behind", 2).idle_timeout(millis(20));
    let pool = start(often.maintenance_interval(millis(10)), &script);
    logs::on_line("bad logger behind", |_| panic!("the log is full"));
    for _ in 0..2 {
        drop(pool.get().unwrap());
        eventually(|| pool.stats().idle == 0);
    }
    assert_eq!(pool.stats().evicted_for(EvictReason::Idle), 2);
}

/// Behaviour 9: under the lock, any of these would wait for itself for ever.
#[test]
fn all_user_code_may_call_the_pool() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("re-entrant", 2, &time), &script);
    let own = Arc::new(OnceLock::new());
    let calls_pool: Act = Arc::new({
        let own: Arc<OnceLock<TestPool>> = own.clone();
        move |_| {
            if let Some(pool) = own.get() {
                assert_eq!(pool.stats().max_size, 2);
                assert!(!pool.is_closed() || pool.try_get().is_err());
                pool.clean_up();
            }
            Ok(())
        }
    });
    for stage in [&script.on_create, &script.on_check, &script.on_is_broken, &script.on_drop] {
        stage.set(calls_pool.clone());
    }
    let act = calls_pool.clone();
    logs::on_line("re-entrant", move |_| act(0).unwrap());
    own.set(pool.clone()).unwrap();

    let uses = spawn({
        let pool = pool.clone();
        move || {
            drop(pool.get().unwrap());
            Lease::discard(pool.try_get().unwrap());
            drop(pool.get().unwrap());
            pool.check_all();
            eventually(|| pool.stats().checks == 1);
            pool.reset();
            drop(pool.get().unwrap());
            pool.resize(2).unwrap();
            pool.close();
        }
    });
    uses.result();
    for stage in [&script.on_create, &script.on_check, &script.on_is_broken, &script.on_drop] {
        assert!(stage.calls() > 0);
    }
}

/// Behaviour 9: the pool serves while user code blocks.
#[test]
fn the_pool_serves_others_while_user_code_blocks() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("blocked", 4, &time), &script);
    let gate = Gate::new();
    let (judged, dropped, spare) = {
        let mut leases = take(&pool, 3).into_iter();
        (leases.next().unwrap(), leases.next().unwrap(), leases.next().unwrap())
    };
    script.on_is_broken.set(gate.before(succeed()));
    let judging = spawn(move || drop(judged));
    gate.await_entered(1);
    script.on_is_broken.set(succeed());
    script.on_drop.set(gate.before(succeed()));
    let dropping = spawn(move || Lease::discard(dropped));
    gate.await_entered(2);
    script.on_drop.set(succeed());

    drop(spare);
    assert_eq!(pool.get().unwrap().number, 3);
    assert_eq!((pool.stats().idle, pool.stats().in_use), (1, 1), "one is still being judged");
    gate.open();
    judging.result();
    dropping.result();
    assert_settled(&pool, &script);
}

#[test]
fn a_thread_may_get_again_while_it_unwinds() {
    struct GetsAtTheEnd(TestPool);
    impl Drop for GetsAtTheEnd {
        fn drop(&mut self) {
            assert!(thread::panicking());
            drop(self.0.get().unwrap());
        }
    }
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("last wish", 1, &time), &script);
    let outcome = spawn({
        let pool = pool.clone();
        move || {
            let _end = GetsAtTheEnd(pool.clone());
            let _lease = pool.get().unwrap();
            panic!("half way through");
        }
    })
    .outcome();
    assert_eq!(words(&*outcome.unwrap_err()), "half way through");
    assert_eq!(pool.stats().evicted_for(EvictReason::Panicked), 2);
    assert_settled(&pool, &script);
}

/// Behaviour 8.
#[test]
fn a_panic_whose_payload_panics_when_dropped_costs_nothing() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("the payload panics too");
        }
    }
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("bomb", 1, &time), &script);
    script.on_create.set(Arc::new(|_| std::panic::panic_any(Bomb)));
    assert!(matches!(pool.get(), Err(GetError::CreatePanicked { .. })));
    script.on_create.set(succeed());
    let lease = pool.get().expect("the slot was freed");
    script.on_is_broken.set(Arc::new(|_| std::panic::panic_any(Bomb)));
    drop(lease);
    script.on_is_broken.set(succeed());
    drop(pool.get().expect("and again"));
    assert_settled(&pool, &script);
}
