//! Which keys make room for others.

use llm_pool::keyed::{KeyedPool, Setup};
use llm_pool::{EvictReason, GetError, Manage};

use crate::harness::{Name, config, keyed, take, waiter};
use crate::support::{Gate, LIMIT, Script, eventually, millis, spawn, succeed};

#[test]
fn the_key_used_least_recently_is_evicted() {
    let script = Script::new();
    let pool = keyed(config(2).max_pools(3), &script);
    for key in ["a", "b", "c", "a"] {
        drop(take(&pool, key, 1));
    }
    assert_eq!(pool.keys(), ["b", "c", "a"]);
    let b = pool.pool(&"b").unwrap();
    drop(take(&pool, "d", 1));
    assert_eq!(pool.keys(), ["c", "a", "d"]);
    assert!(b.is_closed());
    assert_eq!(b.stats().evicted_for(EvictReason::Closed), 1);
    eventually(|| script.live() == 3);
    assert_eq!((pool.stats().pools_made, pool.stats().pools_evicted), (4, 1));
}

#[test]
fn an_evicted_key_is_made_anew_by_the_next_get() {
    let script = Script::new();
    let pool = keyed(config(1).max_pools(1), &script);
    let first = take(&pool, "a", 1)[0].number;
    drop(take(&pool, "b", 1));
    let again = take(&pool, "a", 1)[0].number;
    assert_ne!(first, again);
    assert_eq!(pool.keys(), ["a"]);
    assert_eq!((pool.stats().pools_made, pool.stats().pools_evicted), (3, 2));
}

#[test]
fn a_key_with_a_lease_out_is_passed_over() {
    let script = Script::new();
    let pool = keyed(config(1).max_pools(2), &script);
    let held = take(&pool, "a", 1);
    drop(take(&pool, "b", 1));
    drop(take(&pool, "c", 1));
    assert_eq!(pool.keys(), ["a", "c"]);
    assert!(!pool.pool(&"a").unwrap().is_closed());
    drop(held);
    assert_eq!(pool.pool(&"a").unwrap().stats().idle, 1);
}

#[test]
fn when_every_key_is_in_use_a_new_one_is_refused() {
    let (script, gate) = (Script::new(), Gate::new());
    let pool = keyed(config(1).max_pools(2), &script);
    let held = take(&pool, "a", 1);
    script.on_create.set(gate.before(succeed()));
    // No lease is out at this one, but somebody waits.
    let waiting = waiter(&pool, "b", LIMIT);
    for refused in [pool.get(&"c"), pool.try_get(&"c"), pool.get_timeout(&"c", LIMIT)] {
        let error = refused.unwrap_err();
        assert!(matches!(error, GetError::TooManyKeys { .. }), "{error}");
        assert_eq!(
            error.to_string(),
            "no room for key \"c\": max_pools (2) keys are all in use; raise max_pools, or put \
             leases back"
        );
    }
    assert_eq!(pool.stats().pools_evicted, 0);
    gate.open();
    drop(waiting.result().expect("a lease"));
    drop(pool.get(&"c").expect("b is idle now"));
    drop(held);
    assert_eq!(pool.keys(), ["a", "c"]);
}

#[test]
fn a_key_for_which_a_thread_creates_an_item_itself_is_not_evicted() {
    let (script, gate) = (Script::new(), Gate::new());
    let pool = keyed(config(1).max_pools(1), &script);
    script.on_create.set(gate.before(succeed()));
    let creating = spawn({
        let pool = pool.clone();
        move || pool.try_get(&"a").map(drop)
    });
    gate.await_entered(1);
    let error = pool.try_get(&"b").unwrap_err();
    assert!(matches!(error, GetError::TooManyKeys { .. }), "{error}");
    gate.open();
    creating.result().expect("a lease");
    drop(pool.try_get(&"b").expect("a is idle now"));
}

#[test]
fn a_key_whose_waiters_gave_up_on_a_creation_that_hangs_can_be_evicted() {
    let (script, gate) = (Script::new(), Gate::new());
    let pool = keyed(config(1).max_pools(1), &script);
    script.on_create.set(gate.before(succeed()));
    let error = pool.get_timeout(&"a", millis(20)).unwrap_err();
    assert!(matches!(error, GetError::Timeout { .. }), "{error}");
    script.on_create.set(succeed());
    drop(pool.get_timeout(&"b", LIMIT).expect("nobody uses a"));
    assert_eq!(pool.keys(), ["b"]);
    gate.open();
    // What is made too late goes.
    eventually(|| script.made() == 2 && script.live() == 1);
    eventually(|| pool.stats().open == 1);
}

#[test]
fn items_whose_drop_hangs_do_not_hold_up_the_get_that_evicts_them() {
    let (script, gate) = (Script::new(), Gate::new());
    let pool = keyed(config(1).max_pools(1), &script);
    drop(take(&pool, "a", 1));
    script.on_drop.set(gate.before(succeed()));
    let other = spawn({
        let pool = pool.clone();
        move || pool.get_timeout(&"b", LIMIT).map(std::mem::forget)
    });
    gate.await_entered(1);
    eventually(|| other.is_done());
    other.result().expect("a lease");
    gate.open();
    eventually(|| script.live() == 1);
}

#[test]
fn a_key_being_evicted_serves_the_get_that_races_it() {
    let script = Script::new();
    let pool = keyed(config(1).max_pools(1), &script);
    let turn = |key| {
        let pool = pool.clone();
        move || {
            let mut served = 0;
            for _ in 0..500 {
                match pool.get_timeout(&key, LIMIT) {
                    Ok(lease) => {
                        served += 1;
                        drop(lease);
                    }
                    Err(GetError::TooManyKeys { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            served
        }
    };
    let tasks = ["a", "b"].map(|key| spawn(turn(key)));
    let served: usize = tasks.into_iter().map(|task| task.result()).sum();
    assert!(served > 0);
    let stats = pool.stats();
    let keys = stats.keys.len() as u64;
    assert_eq!(stats.pools_made, stats.pools_evicted + keys, "{stats}");
    eventually(|| script.live() == pool.stats().open);
}

/// Cannot be dropped without a panic.
struct Touchy;

impl Manage for Touchy {
    type Item = ();
    type Error = std::io::Error;

    fn create(&self) -> Result<(), std::io::Error> {
        Ok(())
    }
}

impl Drop for Touchy {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "its drop panics");
    }
}

#[test]
fn a_manager_whose_drop_panics_costs_the_get_that_evicts_it_nothing() {
    let config = config(1).max_pools(1).max_total(1).max_open(1);
    let pool = KeyedPool::new(config, |_: &Name| Ok(Setup::new(Touchy))).unwrap();
    for key in ["a", "b", "c"] {
        drop(pool.get_timeout(&key, LIMIT).expect("a lease"));
    }
    assert_eq!((pool.stats().pools_evicted, pool.stats().open), (2, 1));
}

#[test]
fn managers_whose_drop_panics_do_not_keep_the_other_keys_from_being_closed() {
    let pool = KeyedPool::new(config(1), |_: &Name| Ok(Setup::new(Touchy))).unwrap();
    let keys = ["a", "b", "c"];
    keys.iter().for_each(|key| drop(pool.get_timeout(key, LIMIT).expect("a lease")));
    assert!(pool.close_key(&"a"));
    assert!(pool.drain(LIMIT));
    assert_eq!(pool.keys(), [""; 0]);
    assert_eq!(pool.stats().open, 0);
}
