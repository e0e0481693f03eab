//! Warming up the pool of a key.

use std::time::Instant;

use llm_pool::keyed::{KeyedConfig, KeyedPool, Setup};
use llm_pool::{GetError, PoolConfig, WarmUpError};

use crate::harness::{Name, config, keyed, take};
use crate::support::{Gate, LIMIT, Script, millis, secs, spawn, succeed};

#[test]
fn a_key_whose_pool_was_closed_is_made_anew_to_be_warmed_up() {
    let pool = keyed(config(2), &Script::new());
    assert_eq!(pool.warm_up(&"a", 1).unwrap(), 1);
    pool.pool(&"a").unwrap().close();
    assert_eq!(pool.warm_up(&"a", 2).unwrap(), 2);
    assert_eq!(pool.stats().pools_made, 2);
    pool.close();
    assert!(matches!(pool.warm_up(&"a", 1), Err(WarmUpError::Closed)));
}

#[test]
fn a_key_that_is_being_warmed_up_is_not_evicted() {
    let (script, gate) = (Script::new(), Gate::new());
    let pool = keyed(config(2).max_pools(1), &script);
    script.on_create.set(gate.before(succeed()));
    let warm_up = spawn({
        let pool = pool.clone();
        move || pool.warm_up(&"a", 2)
    });
    gate.await_entered(2);
    let error = pool.get_timeout(&"b", LIMIT).unwrap_err();
    assert!(matches!(error, GetError::TooManyKeys { .. }), "{error}");
    gate.open();
    assert_eq!(warm_up.result().unwrap(), 2);
    drop(take(&pool, "b", 1));
}

#[test]
fn the_set_up_of_a_key_does_not_change_how_long_its_warm_up_may_take() {
    let (script, gate) = (Script::new(), Gate::new());
    script.on_create.set(gate.before(succeed()));
    let own = PoolConfig::default().min_idle(0).wait_timeout(secs(10));
    let setup = {
        let script = script.clone();
        move |_: &Name| Ok(Setup::new(script.maker()).config(own.clone()))
    };
    let common = PoolConfig::default().wait_timeout(millis(50));
    let pool = KeyedPool::new(KeyedConfig::default().pool(common), setup).unwrap();
    let began = Instant::now();
    let error = pool.warm_up(&"a", 1).unwrap_err();
    assert!(matches!(error, WarmUpError::NotReady { .. }), "{error}");
    assert!(began.elapsed() < secs(5), "{:?}", began.elapsed());
    gate.open();
}

#[test]
fn the_time_of_the_set_up_counts_towards_the_time_of_a_warm_up() {
    let (script, gate) = (Script::new(), Gate::new());
    script.on_create.set(gate.before(succeed()));
    let setup = {
        let script = script.clone();
        move |_: &Name| {
            std::thread::sleep(millis(300));
            Ok(Setup::new(script.maker()))
        }
    };
    let common = PoolConfig::default().min_idle(0).wait_timeout(millis(300));
    let pool = KeyedPool::new(KeyedConfig::default().pool(common), setup).unwrap();
    let WarmUpError::NotReady { waited, .. } = pool.warm_up(&"a", 1).unwrap_err() else {
        panic!("another error")
    };
    assert!(waited < millis(200), "{waited:?} more than the time given");
    gate.open();
}
