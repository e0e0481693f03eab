//! Waiting in line: order, hand-off, time-outs.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use llm_pool::{GetError, PoolConfig};
use shuttle::thread;

use super::{Scenario, choose};
use crate::items::Made;
use crate::scene::{A_WHILE, FOR_EVER, Scene};

pub const GET_AND_PUT_BACK: Scenario = Scenario {
    name: "get_and_put_back",
    run: || {
        let scene = Scene::new(PoolConfig::default().max_size(2).min_idle(1), &[], &[]);
        let threads = [(); 3].map(|()| {
            scene.spawn(|scene| {
                for _ in 0..2 {
                    scene.get_at_last().put_back();
                }
            })
        });
        scene.end(threads);
    },
};

/// Who comes while others wait comes after them, whatever becomes of the item.
pub const IN_ORDER: Scenario = Scenario {
    name: "in_order",
    run: || {
        let scene = Scene::new(PoolConfig::default().max_size(1), &[], &[]);
        let mut held = scene.get_at_last();
        let served: Arc<Mutex<Vec<usize>>> = Arc::default();
        let mut threads = Vec::new();
        for place in 0..4 {
            let served = served.clone();
            threads.push(scene.spawn(move |scene| {
                // The second may give up.
                let got = scene.get(if place == 1 { A_WHILE } else { FOR_EVER });
                match got {
                    Ok(held) => {
                        served.lock().expect("nothing panics under it").push(place);
                        held.put_back();
                    }
                    Err(GetError::Timeout { .. }) if place == 1 => {}
                    Err(error) => panic!("{error}"),
                }
            }));
            // The last comes when it will.
            if place < 3 {
                scene.until_waiting(place + 1);
            }
        }
        threads.push(scene.spawn(|scene| scene.time.advance(A_WHILE)));
        match choose(4) {
            0 => held.put_back(),
            1 => held.discard(),
            2 => held.detach(),
            _ => {
                held.item().is_broken = true;
                held.put_back();
            }
        }
        scene.end(threads);
        let served = served.lock().expect("nothing panics under it");
        assert!(served.is_sorted(), "served in this order: {served:?}");
    },
};

/// Waiters in their first moment, which never ends, are told of what comes back, each in its turn.
pub const YOUNG: Scenario = Scenario {
    name: "young",
    run: || {
        let config = PoolConfig::default().max_size(2);
        let scene = Scene::with_overtaking(true, config, &[], &[]);
        let (first, second) = (scene.get_at_last(), scene.get_at_last());
        let threads = [(); 2].map(|()| scene.spawn(|scene| scene.get_at_last().put_back()));
        scene.until_waiting(2);
        first.put_back();
        second.put_back();
        scene.end(threads);
    },
};

/// A waiter may be overtaken in its first moment, and is served all the same.
pub const OVERTAKEN: Scenario = Scenario {
    name: "overtaken",
    run: || {
        let config = PoolConfig::default().max_size(1);
        let scene = Scene::with_overtaking(true, config, &[Made::Well], &[]);
        let threads = [(); 3].map(|()| {
            scene.spawn(|scene| {
                for turn in 0..2 {
                    let held = scene.get_at_last();
                    if turn == 0 { held.put_back() } else { held.discard() }
                }
            })
        });
        let ticking = Ticking::start(&scene, |scene| scene.time.advance(TICK));
        threads.into_iter().for_each(|thread| assert!(thread.join().is_ok()));
        scene.end([ticking.stop()]);
    },
};

/// A deadline may come before an item does, at the same time, or after it.
pub const TIME_OUT: Scenario = Scenario {
    name: "time_out",
    run: || {
        let scene = Scene::new(PoolConfig::default().max_size(1), &[], &[]);
        let held = scene.get_at_last();
        let threads = [
            scene.spawn(|scene| match scene.get(A_WHILE) {
                Ok(held) => held.put_back(),
                Err(GetError::Timeout { .. }) => {}
                Err(error) => panic!("{error}"),
            }),
            scene.spawn(|scene| scene.get_at_last().put_back()),
            scene.spawn(|scene| scene.time.advance(A_WHILE)),
        ];
        if choose(2) == 0 {
            held.put_back()
        } else {
            held.discard()
        }
        scene.end(threads);
    },
};

/// Shorter than the moment in which a waiter may be overtaken.
pub const TICK: Duration = Duration::from_micros(200);

/// A thread that does a thing again and again until it is stopped.
pub struct Ticking {
    thread: thread::JoinHandle<()>,
    over: Arc<AtomicBool>,
}

impl Ticking {
    pub fn start(scene: &Arc<Scene>, tick: impl Fn(&Scene) + Send + 'static) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let is_over = over.clone();
        let thread = scene.spawn(move |scene| {
            while !is_over.load(SeqCst) {
                tick(scene);
                thread::yield_now();
            }
        });
        Self { thread, over }
    }

    /// To be joined: it ends soon.
    pub fn stop(self) -> thread::JoinHandle<()> {
        self.over.store(true, SeqCst);
        self.thread
    }
}
