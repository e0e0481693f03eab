//! Checks beside everything else.

use std::time::Duration;

use llm_pool::{PoolConfig, WhenUnhealthy};

use super::Scenario;
use super::waiting::Ticking;
use crate::items::Checked;
use crate::scene::Scene;

/// Checks that pass, fail or are given up.
pub const CHECK: Scenario = Scenario {
    name: "check",
    run: || {
        let config = PoolConfig::default().max_size(2).min_idle(2);
        let scene = Scene::new(config, &[], &[Checked::Well, Checked::Fails, Checked::Well]);
        let mut threads = Vec::from([(); 2].map(|()| {
            scene.spawn(|scene| {
                for _ in 0..2 {
                    scene.get_at_last().put_back();
                }
            })
        }));
        threads.push(scene.spawn(|scene| {
            scene.pool.check_all();
            scene.audit();
            scene.pool.check_all();
        }));
        threads.push(scene.spawn(|scene| {
            // Beyond `check_timeout`.
            scene.time.advance(Duration::from_secs(11));
            scene.pool.clean_up();
        }));
        scene.end(threads);
    },
};

/// While nothing is well everybody waits, until a check passes.
pub const ALL_UNHEALTHY: Scenario = Scenario {
    name: "all_unhealthy",
    run: || {
        let config = PoolConfig::default().max_size(1).when_unhealthy(WhenUnhealthy::Wait);
        let scene = Scene::new(config, &[], &[Checked::Fails, Checked::Fails]);
        let threads = [
            scene.spawn(|scene| scene.get_at_last().put_back()),
            scene.spawn(|scene| scene.get_at_last().put_back()),
            scene.spawn(|scene| scene.pool.check_all()),
        ];
        // It is checked again at a pass of maintenance.
        let ticking = Ticking::start(&scene, |scene| {
            scene.time.advance(Duration::from_secs(60));
            scene.pool.clean_up();
        });
        threads.into_iter().for_each(|thread| assert!(thread.join().is_ok()));
        scene.end([ticking.stop()]);
    },
};

pub const WARM_UP: Scenario = Scenario {
    name: "warm_up",
    run: || {
        let scene = Scene::new(PoolConfig::default().max_size(2).min_idle(0), &[], &[]);
        let threads = [
            scene.spawn(|scene| scene.get_at_last().put_back()),
            scene.spawn(|scene| scene.get_at_last().discard()),
            scene.spawn(|scene| assert!(scene.pool.warm_up(2).is_ok())),
        ];
        // A warm-up looks for itself now and then.
        let ticking = Ticking::start(&scene, |scene| scene.time.advance(Duration::from_millis(50)));
        threads.into_iter().for_each(|thread| assert!(thread.join().is_ok()));
        scene.end([ticking.stop()]);
    },
};
