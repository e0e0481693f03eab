//! What one step costs does not grow with the number of keys. The figures are in `benches/growth.rs`; here
//! a hundred times the keys may cost some times as much, for what is in no cache any more, and
//! far from a hundred times.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use llm_pool::keyed::{KeyedConfig, KeyedPool, Setup};
use llm_pool::{Manage, PoolConfig};

struct Numbers;

impl Manage for Numbers {
    type Item = u64;
    type Error = Infallible;

    fn create(&self) -> Result<u64, Infallible> {
        Ok(7)
    }
}

type Keys = KeyedPool<usize, Numbers>;

fn keyed(keys: usize, with: fn(KeyedConfig, usize) -> KeyedConfig) -> Keys {
    let each = PoolConfig::default().min_idle(0_usize).max_size(1_usize);
    let config = with(KeyedConfig::default().pool(each).max_pools(keys), keys);
    let pool = KeyedPool::new(config, |_: &usize| Ok(Setup::new(Numbers))).unwrap();
    for key in 0..keys {
        drop(pool.get(&key).unwrap());
    }
    pool
}

/// The least that a step takes, of many.
fn cost(pool: &Keys, mut step: impl FnMut(&Keys)) -> Duration {
    let mut timed = || {
        let began = Instant::now();
        step(pool);
        began.elapsed()
    };
    (0..100).map(|_| timed()).min().unwrap()
}

#[track_caller]
fn assert_flat(of: impl Fn(usize) -> Duration) {
    let mut seen = Vec::new();
    // What else runs can only make it slower.
    for _ in 0..3 {
        let (few, many) = (of(50), of(6000));
        seen.push((few, many));
        if many < few * 4 {
            return;
        }
    }
    panic!("with 50 and with 6000 keys: {seen:?}");
}

#[test]
fn a_key_that_takes_the_place_of_another_costs_the_same_however_many_there_are() {
    assert_flat(|keys| {
        let mut new = keys;
        cost(&keyed(keys, |config, _| config), |pool| {
            new += 1;
            drop(pool.get(&new).unwrap());
        })
    });
}

#[test]
fn an_item_given_up_for_one_of_another_key_costs_the_same_however_many_keys_there_are() {
    assert_flat(|keys| {
        let pool = keyed(keys, |config, keys| config.max_total(keys / 2).max_open(keys / 2));
        // The first half was asked for before the other half, which has the items now.
        let mut next = 0;
        cost(&pool, |pool| {
            drop(pool.get(&next).unwrap());
            next += 1;
        })
    });
}

#[test]
fn to_close_a_key_costs_the_same_however_many_are_closed_with_it() {
    assert_flat(|keys| {
        let close = || {
            let pool = keyed(keys, |config, _| config);
            let began = Instant::now();
            pool.close();
            began.elapsed() / keys as u32
        };
        (0..2).map(|_| close()).min().unwrap()
    });
}
