//! Keyed pools of scripted items, and threads that wait in them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use llm_pool::keyed::{KeyedConfig, KeyedPool, Setup};
use llm_pool::pool::SharedLimit;
use llm_pool::{GetError, Lease, ManualClock};

use crate::support::{Got, LIMIT, Maker, Refusal, Script, Task, eventually, secs, spawn};

pub type Keyed = KeyedPool<Name, Maker>;

/// A key of the form `host/rest`.
pub type Name = &'static str;

/// Pools of at most `max_size` that create at need, by the system's clock.
pub fn config(max_size: usize) -> KeyedConfig {
    KeyedConfig::default().pool(crate::support::config("keyed", max_size))
}

/// The same by a clock that the test moves.
pub fn manual(max_size: usize, time: &ManualClock) -> KeyedConfig {
    KeyedConfig::default().pool(crate::support::manual("keyed", max_size, time))
}

/// One script for the items of all keys.
#[track_caller]
pub fn keyed(config: KeyedConfig, script: &Arc<Script>) -> Keyed {
    let script = script.clone();
    let setup = move |key: &Name| Ok(Setup::new(script.maker()).host(host_of(key)));
    KeyedPool::new(config, setup).expect("the settings are good")
}

pub fn host_of(key: Name) -> Name {
    key.split('/').next().unwrap()
}

/// Starts a thread that takes a lease, which may be had at once.
pub fn ask(pool: &Keyed, key: Name) -> Task<Got> {
    let pool = pool.clone();
    spawn(move || pool.get_timeout(&key, LIMIT))
}

/// Takes `count` leases of `key`. On threads of their own: a clock that a test moves bounds no wait.
#[track_caller]
pub fn take(pool: &Keyed, key: Name, count: usize) -> Vec<Lease<Maker>> {
    (0..count).map(|_| ask(pool, key).result().expect("a lease")).collect()
}

/// Starts a thread that takes a lease, and returns once it waits in line.
#[track_caller]
pub fn waiter(pool: &Keyed, key: Name, timeout: Duration) -> Task<Got> {
    let before = waiting(pool, key);
    let task = spawn({
        let pool = pool.clone();
        move || pool.get_timeout(&key, timeout)
    });
    eventually(|| waiting(pool, key) == before + 1);
    task
}

pub fn waiting(pool: &Keyed, key: Name) -> usize {
    pool.pool(&key).map_or(0, |pool| pool.stats().waiting)
}

/// Checks that this one is served, and that of the others nobody is.
#[track_caller]
pub fn served(task: Task<Got>, others: &[&Task<Got>]) -> Lease<Maker> {
    let lease = task.result().expect("a lease");
    assert!(others.iter().all(|task| !task.is_done()), "another one was served first");
    lease
}

/// Checks that nothing is in use, and that each of these full loads can be had at once.
#[track_caller]
pub fn assert_free(pool: &Keyed, load: &[(Name, usize)]) {
    eventually(|| {
        let sum = pool.stats().sum;
        sum.in_use + sum.creating + sum.checking + sum.waiting == 0
    });
    eventually(|| pool.stats().open == pool.stats().size());
    let count: usize = load.iter().map(|&(_, count)| count).sum();
    let leases: Vec<_> = load.iter().flat_map(|&(key, count)| take(pool, key, count)).collect();
    assert_eq!(leases.len(), count);
    assert_eq!(pool.stats().sum.in_use, count);
    drop(leases);
    assert_eq!(pool.stats().sum.in_use, 0);
}

/// The limit that a refused caller was told of.
#[track_caller]
pub fn limit_named(error: &GetError<Refusal>) -> Option<SharedLimit> {
    match error {
        GetError::Timeout { picture, .. }
        | GetError::Exhausted { picture, .. }
        | GetError::QueueFull { picture, .. } => picture.shared_limit.clone(),
        other => panic!("this names no limit: {other}"),
    }
}

/// Has one thread wait for each of these keys, a second apart.
#[track_caller]
pub fn line_up(pool: &Keyed, time: &ManualClock, keys: &[Name]) -> Vec<Task<Got>> {
    let join = |&key| {
        let task = waiter(pool, key, Duration::MAX);
        time.advance(secs(1));
        task
    };
    keys.iter().map(join).collect()
}

/// The most items that were open at one time, until told to stop.
pub fn most_open(pool: &Keyed, stop: &Arc<AtomicBool>) -> Task<usize> {
    let (pool, stop) = (pool.clone(), stop.clone());
    spawn(move || {
        let mut most = 0;
        while !stop.load(SeqCst) {
            most = most.max(pool.stats().open);
            thread::yield_now();
        }
        most
    })
}
