//! A pool that is changed while it is used.

use std::time::Duration;

use llm_pool::PoolConfig;

use super::Scenario;
use crate::scene::Scene;

/// A wider cap serves who waits; a narrower one takes nothing from who has a lease.
pub const RESIZE: Scenario = Scenario {
    name: "resize",
    run: || {
        let scene = Scene::new(PoolConfig::default().max_size(1), &[], &[]);
        let held = scene.get_at_last();
        let threads = [
            scene.spawn(|scene| scene.get_at_last().put_back()),
            scene.spawn(|scene| scene.get_at_last().discard()),
            scene.spawn(|scene| scene.get_at_last().put_back()),
            scene.spawn(|scene| {
                scene.resize(3);
                scene.resize(1);
                scene.resize(2);
            }),
        ];
        held.put_back();
        scene.end(threads);
    },
};

/// What was made before a reset is not kept, and who waits gets an item all the same.
pub const RESET: Scenario = Scenario {
    name: "reset",
    run: || {
        let scene = Scene::new(PoolConfig::default().max_size(2).min_idle(1), &[], &[]);
        let mut threads = Vec::from([(); 3].map(|()| {
            scene.spawn(|scene| {
                for _ in 0..2 {
                    scene.get_at_last().put_back();
                }
            })
        }));
        threads.push(scene.spawn(|scene| {
            scene.pool.reset();
            scene.audit();
            scene.pool.clean_up();
            scene.pool.reset();
            scene.audit();
        }));
        scene.end(threads);
    },
};

/// Items that grow old while they are idle, leased or handed over.
pub const EXPIRE: Scenario = Scenario {
    name: "expire",
    run: || {
        let config = PoolConfig::default().max_size(2).min_idle(1);
        let config = config.idle_timeout(Duration::from_secs(1));
        let config = config.max_lifetime(Duration::from_secs(3)).max_uses(3);
        let scene = Scene::new(config, &[], &[]);
        let mut threads = Vec::from([(); 3].map(|()| {
            scene.spawn(|scene| {
                for _ in 0..2 {
                    scene.get_at_last().put_back();
                }
            })
        }));
        threads.push(scene.spawn(|scene| {
            for _ in 0..2 {
                scene.time.advance(Duration::from_secs(2));
                scene.pool.clean_up();
            }
        }));
        scene.end(threads);
    },
};
