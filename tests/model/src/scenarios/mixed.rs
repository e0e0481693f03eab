//! Everything at once, as the checker chooses.

use std::sync::Arc;

use llm_pool::keyed::KeyedConfig;
use llm_pool::{GetError, PoolConfig};

use super::waiting::{TICK, Ticking};
use super::{Scenario, choose};
use crate::items::{Checked, Made};
use crate::keyed_scene::KeyedScene;
use crate::scene::{A_WHILE, FOR_EVER, Scene};

const MADE: [Made; 4] = [Made::Well, Made::Fails, Made::Well, Made::Panics];
const STEPS: usize = 3;

pub const ONE_POOL: Scenario = Scenario {
    name: "mixed",
    run: || {
        let max_size = 1 + choose(2);
        let config = PoolConfig::default().max_size(max_size).min_idle(choose(2));
        let scene = Scene::new(config.max_creating(1 + choose(2)), &MADE, &[Checked::Fails]);
        let threads = [(); 3].map(|()| {
            scene.spawn(|scene| {
                for _ in 0..STEPS {
                    step(scene);
                }
            })
        });
        scene.end(threads);
    },
};

/// The same with waiters that may be overtaken, and time that does not stand still.
pub const OVERTAKING: Scenario = Scenario {
    name: "mixed_overtaking",
    run: || {
        let config = PoolConfig::default().max_size(1 + choose(2)).min_idle(choose(2));
        let scene = Scene::with_overtaking(true, config, &MADE, &[]);
        let threads = [(); 3].map(|()| {
            scene.spawn(|scene| {
                for _ in 0..STEPS {
                    step(scene);
                }
            })
        });
        let ticking = Ticking::start(&scene, |scene| scene.time.advance(TICK));
        threads.into_iter().for_each(|thread| assert!(thread.join().is_ok()));
        scene.end([ticking.stop()]);
    },
};

fn step(scene: &Arc<Scene>) {
    match choose(12) {
        0 => scene.resize(1 + choose(3)),
        1 => scene.pool.reset(),
        2 => scene.time.advance(A_WHILE),
        3 => scene.pool.check_all(),
        4 => {
            scene.pool.clean_up();
        }
        5 if choose(4) == 0 => scene.close(),
        _ => {
            let got = match choose(4) {
                0 => scene.try_get(),
                1 => scene.get(A_WHILE),
                _ => scene.get(FOR_EVER),
            };
            let Some(mut held) = unless_refused(got) else { return };
            match choose(6) {
                0 => held.discard(),
                1 => held.detach(),
                2 => {
                    held.item().is_broken = true;
                    held.put_back();
                }
                _ => held.put_back(),
            }
        }
    }
}

pub const KEYS: Scenario = Scenario {
    name: "mixed_keys",
    run: || {
        let max_total = 1 + choose(2);
        let mut config = KeyedConfig::default().max_total(max_total).max_pools(2);
        if choose(2) == 0 {
            config = config.max_open(max_total);
        }
        if choose(2) == 0 {
            config = config.max_per_host(1);
        }
        let pool = PoolConfig::default().max_size(2).min_idle(choose(2));
        let scene = KeyedScene::new(config, pool, &MADE);
        let threads = [(); 3].map(|()| {
            scene.spawn(|scene| {
                for _ in 0..STEPS {
                    step_of_keys(scene);
                }
            })
        });
        scene.end(threads);
    },
};

fn step_of_keys(scene: &Arc<KeyedScene>) {
    let key = [0, 1, 10][choose(3)];
    match choose(12) {
        0 => scene.time.advance(A_WHILE),
        1 => {
            scene.pools.close_key(&key);
        }
        2 => {
            scene.pools.clean_up();
        }
        3 => {
            if let Some(pool) = scene.pools.pool(&key) {
                if choose(2) == 0 { pool.reset() } else { drop(pool.resize(1)) }
            }
        }
        _ => {
            let got = match choose(4) {
                0 => scene.try_get(key),
                1 => scene.get(key, A_WHILE),
                _ => scene.get(key, FOR_EVER),
            };
            let Some(held) = unless_refused(got) else { return };
            if choose(2) == 0 { drop(held) } else { held.discard() }
        }
    }
}

/// What may be refused is; anything else is not.
fn unless_refused<T, E: std::fmt::Display + std::fmt::Debug>(
    got: Result<T, GetError<E>>,
) -> Option<T> {
    match got {
        Ok(held) => Some(held),
        Err(
            GetError::Timeout { .. }
            | GetError::Exhausted { .. }
            | GetError::Create(_)
            | GetError::CreatePanicked { .. }
            | GetError::TooManyKeys { .. }
            | GetError::KeyNotReady { .. }
            | GetError::Closed,
        ) => None,
        Err(error) => panic!("{error:?}"),
    }
}
