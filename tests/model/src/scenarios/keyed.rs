//! Limits that the pools of several keys share.

use llm_pool::keyed::KeyedConfig;
use llm_pool::{GetError, PoolConfig};

use super::{Scenario, choose};
use crate::items::Made;
use crate::keyed_scene::{HeldOfKey, KeyedScene};
use crate::scene::{A_WHILE, FOR_EVER};

fn pool() -> PoolConfig {
    PoolConfig::default().max_size(2).min_idle(0)
}

fn end(held: HeldOfKey<'_>) {
    if choose(2) == 0 { drop(held) } else { held.discard() }
}

/// A lease that ends in one pool serves who waits in another.
pub const TOTAL: Scenario = Scenario {
    name: "keyed_total",
    run: || {
        let config = KeyedConfig::default().max_total(1);
        let scene = KeyedScene::new(config, pool(), &[]);
        let threads = [0, 0, 1, 10].map(|key| scene.spawn(move |s| end(s.get_at_last(key))));
        scene.end(threads);
    },
};

/// Two limits, creations that fail, and somebody who gives up.
pub const HOST: Scenario = Scenario {
    name: "keyed_host",
    run: || {
        let config = KeyedConfig::default().max_total(2).max_per_host(1);
        let scene = KeyedScene::new(config, pool(), &[Made::Fails]);
        let mut threads =
            Vec::from([0, 1, 10].map(|key| scene.spawn(move |s| end(s.get_at_last(key)))));
        threads.push(scene.spawn(|scene| match scene.get(0, A_WHILE) {
            Ok(held) => end(held),
            Err(GetError::Timeout { .. } | GetError::KeyNotReady { .. } | GetError::Create(_)) => {}
            Err(error) => panic!("{error}"),
        }));
        threads.push(scene.spawn(|scene| scene.time.advance(A_WHILE)));
        scene.end(threads);
    },
};

/// Limits that change while threads wait for them.
pub const WIDEN: Scenario = Scenario {
    name: "keyed_widen",
    run: || {
        let config = KeyedConfig::default().max_total(3).max_per_host(2);
        let scene = KeyedScene::new(config, pool(), &[]);
        assert!(scene.pools.set_max_total(1).is_ok());
        let mut threads =
            Vec::from([0, 0, 10].map(|key| scene.spawn(move |s| end(s.get_at_last(key)))));
        threads.push(scene.spawn(|scene| {
            assert!(scene.pools.set_max_total(2).is_ok());
            assert!(scene.pools.set_max_per_host(1).is_ok());
            assert!(scene.pools.set_max_total(1).is_ok());
            assert!(scene.pools.set_max_per_host(2).is_ok());
        }));
        scene.end(threads);
    },
};

/// An idle item of one key goes where another needs to make one.
pub const OPEN: Scenario = Scenario {
    name: "keyed_open",
    run: || {
        let max = 1 + choose(2);
        let config = KeyedConfig::default().max_total(max).max_open(max);
        let scene = KeyedScene::new(config, pool(), &[Made::Well, Made::Fails]);
        let mut threads = Vec::from([0, 1, 10].map(|key| {
            scene.spawn(move |scene| {
                for _ in 0..2 {
                    end(scene.get_at_last(key));
                }
            })
        }));
        threads.push(scene.spawn(|scene| match scene.try_get(1) {
            Ok(held) => end(held),
            Err(
                GetError::Exhausted { .. } | GetError::KeyNotReady { .. } | GetError::Create(_),
            ) => {}
            Err(error) => panic!("{error}"),
        }));
        scene.end(threads);
    },
};

/// Keys that go for other keys, and come again.
pub const EVICT: Scenario = Scenario {
    name: "keyed_evict",
    run: || {
        let config = KeyedConfig::default().max_total(1).max_pools(1);
        let scene = KeyedScene::new(config, pool(), &[]);
        let mut threads = Vec::from([0, 0, 10].map(|key| {
            scene.spawn(move |scene| match scene.get(key, FOR_EVER) {
                Ok(held) => end(held),
                Err(GetError::TooManyKeys { .. }) => {}
                Err(error) => panic!("{error}"),
            })
        }));
        threads.push(scene.spawn(|scene| {
            scene.pools.close_key(&0);
        }));
        scene.end(threads);
    },
};

pub const CLOSE: Scenario = Scenario {
    name: "keyed_close",
    run: || {
        let config = KeyedConfig::default().max_total(1);
        let scene = KeyedScene::new(config, pool(), &[]);
        let mut threads = Vec::from([0, 1, 10].map(|key| {
            scene.spawn(move |scene| match scene.get(key, FOR_EVER) {
                Ok(held) => end(held),
                Err(GetError::Closed) => {}
                Err(error) => panic!("{error}"),
            })
        }));
        threads.push(scene.spawn(|scene| scene.drain()));
        scene.end(threads);
    },
};
