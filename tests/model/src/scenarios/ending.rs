//! The end of an item, and of a pool.

use llm_pool::{GetError, PoolConfig};

use super::{Scenario, choose};
use crate::scene::{FOR_EVER, Scene};

/// Every way for an item to leave serves whoever waits.
pub const DISCARD: Scenario = Scenario {
    name: "discard",
    run: || {
        let scene = Scene::new(PoolConfig::default().max_size(1), &[], &[]);
        let held = scene.get_at_last();
        let threads = [(); 2].map(|()| {
            scene.spawn(|scene| {
                let mut held = scene.get_at_last();
                match choose(3) {
                    0 => held.discard(),
                    1 => held.detach(),
                    _ => {
                        held.item().is_broken = true;
                        held.put_back();
                    }
                }
            })
        });
        held.discard();
        scene.end(threads);
    },
};

/// Who waits when the pool is closed hears of it, and who has a lease brings it home.
pub const CLOSE: Scenario = Scenario {
    name: "close",
    run: || {
        let scene = Scene::new(PoolConfig::default().max_size(1), &[], &[]);
        let held = scene.get_at_last();
        let threads = [
            scene.spawn(get_unless_closed),
            scene.spawn(get_unless_closed),
            scene.spawn(|scene| {
                scene.close();
                assert!(scene.pool.drain(FOR_EVER));
                assert_eq!(scene.pool.stats().in_use, 0);
            }),
        ];
        if choose(2) == 0 {
            held.put_back()
        } else {
            held.discard()
        }
        scene.end(threads);
    },
};

pub const CLOSE_WHILE_CREATING: Scenario = Scenario {
    name: "close_while_creating",
    run: || {
        let scene = Scene::new(PoolConfig::default().max_size(2).min_idle(0), &[], &[]);
        let threads = [
            scene.spawn(get_unless_closed),
            scene.spawn(get_unless_closed),
            scene.spawn(|scene| match scene.try_get() {
                Ok(held) => held.put_back(),
                Err(GetError::Closed | GetError::Exhausted { .. }) => {}
                Err(error) => panic!("{error}"),
            }),
            scene.spawn(|scene| scene.close()),
        ];
        scene.end(threads);
    },
};

fn get_unless_closed(scene: &std::sync::Arc<Scene>) {
    match scene.get(FOR_EVER) {
        Ok(held) => held.put_back(),
        Err(GetError::Closed) => {}
        Err(error) => panic!("{error}"),
    }
}
