//! Every way in which a permit comes back.

use std::panic::{AssertUnwindSafe, catch_unwind};

use llm_pool::{EvictReason, GetError, Lease, ManualClock};

use crate::harness::{assert_free, config, keyed, manual, served, take, waiter};
use crate::support::{
    Gate, LIMIT, Script, blow_up, eventually, fail, millis, secs, spawn, succeed,
};

const FULL: &[(&str, usize)] = &[("h/a", 1), ("i/a", 1)];

#[test]
fn a_lease_that_ends_in_whatever_way_serves_the_waiter_of_another_key() {
    type End = fn(Lease<crate::support::Maker>);
    let panics: End = |lease| {
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let _lease = lease;
            panic!("while holding");
        }));
    };
    let ends: [(End, Option<EvictReason>); 4] = [
        (drop, None),
        (Lease::discard, Some(EvictReason::Discarded)),
        (|lease| drop(Lease::detach(lease)), None),
        (panics, Some(EvictReason::Panicked)),
    ];
    for (end, reason) in ends {
        let script = Script::new();
        let pool = keyed(config(2).max_total(2).max_per_host(1).max_open(2), &script);
        let (a, b) = (take(&pool, "h/a", 1).remove(0), take(&pool, "i/a", 1));
        let at_host = waiter(&pool, "h/b", LIMIT);
        let at_total = waiter(&pool, "j/a", LIMIT);
        end(a);
        let lease = served(at_host, &[&at_total]);
        end(lease);
        let lease = served(at_total, &[]);
        if let Some(reason) = reason {
            assert_eq!(pool.stats().sum.evicted_for(reason), 2);
        }
        drop((lease, b));
        assert_free(&pool, FULL);
    }
}

#[test]
fn an_item_that_is_broken_at_put_back_gives_its_permit_back() {
    let script = Script::new();
    let pool = keyed(config(2).max_total(1).max_open(1), &script);
    script.on_is_broken.set(fail("broken"));
    let held = take(&pool, "a", 1);
    let waiting = waiter(&pool, "b", LIMIT);
    drop(held);
    drop(served(waiting, &[]));
    script.on_is_broken.set(blow_up("in is_broken"));
    drop(take(&pool, "a", 1));
    script.on_is_broken.set(succeed());
    assert_free(&pool, &[("a", 1)]);
    assert_free(&pool, &[("b", 1)]);
}

#[test]
fn a_creation_that_fails_or_panics_gives_its_permit_to_the_waiter_of_another_key() {
    for act in [fail("no route"), blow_up("no route")] {
        let (script, gate) = (Script::new(), Gate::new());
        let pool = keyed(config(2).max_total(1).max_open(1), &script);
        script.on_create.set(gate.before(act));
        let failing = waiter(&pool, "a", LIMIT);
        gate.await_entered(1);
        script.on_create.set(succeed());
        let other = waiter(&pool, "b", LIMIT);
        assert!(pool.try_get(&"c").is_err(), "the creation holds the permit");
        gate.open();
        let error = failing.result().unwrap_err();
        assert!(error.to_string().contains("no route"), "{error}");
        drop(served(other, &[]));
        assert_free(&pool, &[("a", 1)]);
        assert_free(&pool, &[("b", 1)]);
    }
}

#[test]
fn a_try_get_whose_creation_fails_or_panics_gives_its_permit_back() {
    let script = Script::new();
    let pool = keyed(config(2).max_total(1).max_open(1), &script);
    for act in [fail("no route"), blow_up("no route")] {
        script.on_create.set(act);
        let error = pool.try_get(&"a").unwrap_err();
        assert!(error.to_string().contains("no route"), "{error}");
    }
    script.on_create.set(succeed());
    assert_free(&pool, &[("b", 1)]);
    assert_free(&pool, &[("a", 1)]);
}

#[test]
fn a_try_get_that_creates_holds_a_permit_meanwhile_and_gives_it_back_if_the_key_is_closed() {
    let (script, gate) = (Script::new(), Gate::new());
    let pool = keyed(config(2).max_total(1).max_open(1), &script);
    script.on_create.set(gate.before(succeed()));
    let creating = spawn({
        let pool = pool.clone();
        move || pool.try_get(&"a")
    });
    gate.await_entered(1);
    assert!(pool.try_get(&"b").is_err());
    let waiting = waiter(&pool, "b", LIMIT);
    pool.close_key(&"a");
    assert!(!waiting.is_done(), "it is not back yet");
    gate.open();
    drop(served(waiting, &[]));
    // It goes on at the next pool of its key, where it may find the permit taken.
    match creating.result() {
        Ok(lease) => drop(lease),
        Err(error) => assert!(matches!(error, GetError::Exhausted { .. }), "{error}"),
    }
    assert_free(&pool, &[("a", 1)]);
    assert_free(&pool, &[("b", 1)]);
}

#[test]
fn a_waiter_that_gives_up_on_a_creation_that_hangs_frees_its_permit() {
    let (script, gate, time) = (Script::new(), Gate::new(), ManualClock::new());
    let pool = keyed(manual(2, &time).max_total(1), &script);
    script.on_create.set(gate.before(succeed()));
    let hanging = waiter(&pool, "a", secs(5));
    gate.await_entered(1);
    script.on_create.set(succeed());
    let other = waiter(&pool, "b", secs(60));
    time.advance(secs(5));
    let error = hanging.result().unwrap_err();
    assert!(matches!(error, GetError::Timeout { .. }), "{error}");
    drop(served(other, &[]));
    gate.open();
    eventually(|| pool.pool(&"a").unwrap().stats().idle == 1);
    assert_free(&pool, &[("a", 1)]);
    assert_free(&pool, &[("b", 1)]);
}

#[test]
fn a_key_closed_with_waiters_that_had_permits_gives_them_back() {
    let (script, gate) = (Script::new(), Gate::new());
    let pool = keyed(config(2).max_total(2).max_open(2), &script);
    script.on_create.set(gate.before(succeed()));
    let waiters = [waiter(&pool, "a", LIMIT), waiter(&pool, "a", LIMIT)];
    gate.await_entered(2);
    script.on_create.set(succeed());
    pool.pool(&"a").unwrap().close();
    gate.open();
    for waiter in waiters {
        drop(waiter.result().expect("a lease of the next pool"));
    }
    assert_free(&pool, &[("b", 2)]);
    assert_free(&pool, &[("a", 1), ("b", 1)]);
}

#[test]
fn a_waiter_that_gives_up_as_it_is_granted_a_permit_loses_nothing() {
    let script = Script::new();
    let pool = keyed(config(2).max_total(1).max_open(1), &script);
    // No set-up is under way later, which short waits might end in.
    for key in ["h/a", "h/b", "i/a"] {
        drop(take(&pool, key, 1));
    }
    let worker = |key| {
        let pool = pool.clone();
        move || {
            let mut timeouts = 0;
            for n in 0..150_u64 {
                let timeout = std::time::Duration::from_micros(100 + 37 * (n % 50));
                match pool.get_timeout(&key, timeout) {
                    Ok(lease) => {
                        std::thread::sleep(millis(1));
                        if n % 7 == 0 { Lease::discard(lease) } else { drop(lease) }
                    }
                    Err(GetError::Timeout { .. }) => timeouts += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            timeouts
        }
    };
    let tasks: Vec<_> =
        ["h/a", "h/b", "i/a", "i/a"].into_iter().map(|k| spawn(worker(k))).collect();
    let timeouts: u64 = tasks.into_iter().map(|task| task.result()).sum();
    let stats = pool.stats();
    assert!(timeouts > 0 && stats.sum.timeouts == timeouts, "{stats}");
    assert_free(&pool, &[("h/a", 1)]);
    assert_free(&pool, &[("i/a", 1)]);
}
