//! Creations that fail, that panic, and that a thread runs for itself.

use llm_pool::{GetError, PoolConfig};

use super::{Scenario, choose};
use crate::items::Made;
use crate::scene::{A_WHILE, Scene};

pub const FAILURE: Scenario = Scenario { name: "create_fails", run: || run(Made::Fails) };

pub const PANIC: Scenario = Scenario { name: "create_panics", run: || run(Made::Panics) };

/// Each failure is told to one who waits, who tries again; one may give up meanwhile.
fn run(failure: Made) {
    let config = PoolConfig::default().max_size(2).min_idle(0).max_creating(1 + choose(2));
    let scene = Scene::new(config, &[failure, Made::Well, failure], &[]);
    let threads = [
        scene.spawn(|scene| scene.get_at_last().put_back()),
        scene.spawn(|scene| scene.get_at_last().discard()),
        scene.spawn(|scene| match scene.get(A_WHILE) {
            Ok(held) => held.put_back(),
            Err(
                GetError::Timeout { .. } | GetError::Create(_) | GetError::CreatePanicked { .. },
            ) => {}
            Err(error) => panic!("{error}"),
        }),
        scene.spawn(|scene| scene.time.advance(A_WHILE)),
    ];
    scene.end(threads);
}

/// Creations of one's own, beside those for who waits.
pub const TRY_GET: Scenario = Scenario {
    name: "try_get",
    run: || {
        let config = PoolConfig::default().max_size(2).min_idle(0);
        let scene = Scene::new(config, &[Made::Fails, Made::Well, Made::Panics], &[]);
        let mut threads = Vec::from([(); 2].map(|()| {
            scene.spawn(|scene| {
                for _ in 0..2 {
                    match scene.try_get() {
                        Ok(held) => held.put_back(),
                        Err(
                            GetError::Exhausted { .. }
                            | GetError::Create(_)
                            | GetError::CreatePanicked { .. },
                        ) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        }));
        threads.push(scene.spawn(|scene| scene.get_at_last().put_back()));
        threads.push(scene.spawn(|scene| scene.get_at_last().discard()));
        scene.end(threads);
    },
};
