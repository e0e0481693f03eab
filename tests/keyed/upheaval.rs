//! Items that fail their checks or wear out, and pools that are resized, reset and warmed up, under
//! limits that all of them share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::keyed::{KeyedConfig, KeyedPool, Setup};
use llm_pool::{GetError, Lease, PoolConfig, WhenUnhealthy};

use crate::harness::{Name, assert_free, host_of};
use crate::support::{LIMIT, Refusal, Script, eventually, millis, secs, spawn, succeed};

const KEYS: [Name; 6] = ["h/a", "h/b", "h/c", "i/a", "i/b", "j/a"];

const TIME: Duration = Duration::from_millis(1200);

/// Different on every thread and at every call.
fn next(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

fn nothing_is_lost(when_unhealthy: WhenUnhealthy) {
    let script = Script::new();
    let config = PoolConfig::default()
        .name("upheaval")
        .max_size(3)
        .min_idle(1)
        .max_uses(20)
        .max_lifetime(millis(40))
        .idle_timeout(millis(15))
        .check_interval(millis(3))
        .check_timeout(millis(20))
        .maintenance_interval(millis(4))
        .max_check_failures(2)
        .when_unhealthy(when_unhealthy)
        .wait_timeout(millis(10))
        .slow_wait(None)
        .nearly_full(None);
    let config =
        KeyedConfig::default().pool(config).max_pools(5).max_total(4).max_per_host(3).max_open(5);
    let setup = {
        let script = script.clone();
        move |key: &Name| Ok(Setup::new(script.maker()).host(host_of(key)))
    };
    let pool = KeyedPool::new(config, setup).unwrap();
    let turns = Arc::new(AtomicUsize::new(0));
    script.on_create.set({
        let turns = turns.clone();
        Arc::new(move |_| match turns.fetch_add(1, SeqCst) % 9 {
            8 => Err(Refusal("now and then")),
            _ => Ok(()),
        })
    });
    script.on_check.set({
        let turns = turns.clone();
        Arc::new(move |_| match turns.fetch_add(1, SeqCst) % 40 {
            0 => {
                thread::sleep(millis(60));
                Ok(())
            }
            1..20 => Err(Refusal("every other one")),
            _ => Ok(()),
        })
    });
    let until = Instant::now() + TIME;
    let served = Arc::new(AtomicUsize::new(0));
    let mut tasks: Vec<_> = (0..8_u64)
        .map(|seed| {
            let (pool, served) = (pool.clone(), served.clone());
            spawn(move || {
                let mut state = seed;
                while Instant::now() < until {
                    let key = KEYS[next(&mut state) % KEYS.len()];
                    let got = match next(&mut state) % 4 {
                        0 => pool.try_get(&key),
                        1 => pool.get_within(&key, Duration::from_micros(900)),
                        _ => pool.get_timeout(&key, LIMIT),
                    };
                    match got {
                        Ok(lease) => {
                            served.fetch_add(1, SeqCst);
                            thread::sleep(Duration::from_micros(next(&mut state) as u64 % 400));
                            match next(&mut state) % 9 {
                                0 => Lease::discard(lease),
                                1 => drop(Lease::detach(lease)),
                                _ => drop(lease),
                            }
                        }
                        Err(error @ GetError::Timeout { waited, .. }) => {
                            assert!(waited < secs(8), "{error}");
                        }
                        Err(error @ (GetError::Closed | GetError::Key(_))) => panic!("{error}"),
                        Err(_) => {}
                    }
                }
            })
        })
        .collect();
    tasks.push(spawn({
        let pool = pool.clone();
        move || {
            let mut state = 99;
            while Instant::now() < until {
                let key = KEYS[next(&mut state) % KEYS.len()];
                let of_key = pool.pool(&key);
                match (next(&mut state) % 6, of_key) {
                    (0, Some(of_key)) => of_key.resize(1 + next(&mut state) % 3).unwrap(),
                    (1, Some(of_key)) => of_key.reset(),
                    (2, Some(of_key)) => of_key.close(),
                    (3, _) => pool.check_all(),
                    (4, _) => drop(pool.close_key(&key)),
                    _ => pool.set_max_total(1 + next(&mut state) % 5).unwrap(),
                }
                thread::sleep(Duration::from_micros(700));
            }
        }
    }));
    tasks.push(spawn({
        let pool = pool.clone();
        move || {
            let mut state = 7;
            while Instant::now() < until {
                let key = KEYS[next(&mut state) % KEYS.len()];
                // What it lacks may be others' under the common bound, so that it may fail.
                let _ = pool.warm_up(&key, 1 + next(&mut state) % 2);
                pool.clean_up();
                thread::sleep(Duration::from_micros(900));
            }
        }
    }));
    for task in tasks {
        task.result();
    }
    assert!(served.load(SeqCst) > 100, "{served:?}");
    script.on_create.set(succeed());
    script.on_check.set(succeed());
    pool.set_max_total(4).unwrap();
    KEYS.iter().for_each(|key| assert!(pool.close_key(key) || pool.pool(key).is_none()));
    eventually(|| pool.stats().open == 0);
    assert_free(&pool, &[("h/a", 2), ("i/a", 2)]);
    assert!(pool.drain(LIMIT));
    eventually(|| script.live() == 0 && pool.stats().open == 0);
}

#[test]
fn nothing_is_lost_where_unhealthy_items_are_replaced() {
    nothing_is_lost(WhenUnhealthy::Replace);
}

#[test]
fn nothing_is_lost_where_unhealthy_items_turn_callers_away() {
    nothing_is_lost(WhenUnhealthy::Fail);
}

#[test]
fn nothing_is_lost_where_callers_wait_for_unhealthy_items() {
    nothing_is_lost(WhenUnhealthy::Wait);
}
