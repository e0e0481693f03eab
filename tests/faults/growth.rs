//! A thousand rounds of each fault leave no thread, no descriptor and no memory behind.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::Lease;
use llm_pool::agent::AgentPool;
use llm_pool::test_server::TestServer;

use crate::held::Held;
use crate::wire::*;
use crate::{assert_whole, pool_of, pool_with, raw, word};

const ROUNDS: usize = 1_000;

/// For memory that is kept to be used again, and in pieces that the next block of rounds may not
/// fit: a quarter of a KiB a round, less than anything that a call is made of.
const ALLOWED_KIB: usize = ROUNDS / 4;

/// Some blocks of rounds may need more memory than those before; a leak needs more every time.
const BLOCKS: usize = 6;

const CALLERS: usize = 32;

/// What a block of rounds leaves behind, the last one if all of them do.
fn left_behind(patience: Duration, mut block: impl FnMut()) -> Option<String> {
    // Whatever is made once.
    block();
    let mut growth = None;
    for _ in 0..BLOCKS {
        let before = Held::at_rest().unwrap();
        block();
        growth = Held::more_than(before, ALLOWED_KIB, patience);
        if growth.is_none() {
            break;
        }
    }
    growth
}

#[test]
#[ignore = "takes a minute or two, and counts what other tests would hold: .ci/faults"]
fn a_thousand_rounds_of_each_fault_leave_nothing_behind() {
    let wire = Wire::start();
    let mut leaks = Vec::new();
    for case in CASES {
        let (began, pool) = (Instant::now(), pool_of(wire.manager(), CALLERS / 2));
        let mut blocks = 0;
        let growth = left_behind(Duration::from_secs(5), || {
            blocks += 1;
            rounds(&wire, &pool, case);
            // Idle connections are no leak.
            pool.reset();
            wire.disconnect_all();
            assert_whole(&pool);
        });
        let (took, held) = (began.elapsed().as_secs_f64(), Held::now().unwrap());
        let told = growth.as_deref().unwrap_or("nothing is left behind");
        println!("{:<16} {blocks} x {ROUNDS} rounds, {took:4.1} s, {held}: {told}", case.name);
        leaks.extend(growth.map(|growth| format!("{}: {growth}", case.name)));
    }
    assert!(leaks.is_empty(), "{leaks:#?}");
}

fn rounds(wire: &Wire, pool: &AgentPool, case: &Case) {
    let left = AtomicUsize::new(ROUNDS);
    let take = || left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                while take() {
                    let agent = pool.get().unwrap();
                    let Some(sees) = wire.call(&agent, case) else { return };
                    assert!(case.sees.contains(&sees), "{}: {sees:?}", case.name);
                    if case.spoils_next {
                        wire.next_call(&agent);
                    }
                    wire.good_call(&agent, word()).unwrap();
                    // A fault may be reason enough for either.
                    match word() % 16 {
                        0 => Lease::discard(agent),
                        1 => drop(Lease::detach(agent)),
                        _ => drop(agent),
                    }
                }
            });
        }
    });
}

#[test]
#[ignore = "takes some seconds, and counts what other tests would hold: .ci/faults"]
fn a_thousand_restarts_of_a_server_leave_nothing_behind() {
    let mut server = Some(TestServer::start().unwrap());
    let (url, port) = server.iter().map(|it| (it.chat_url(), it.addr().port())).next().unwrap();
    let pool = pool_with(raw::config().total_timeout(LONG), 2);
    let growth = left_behind(Duration::from_secs(5), || {
        for _ in 0..ROUNDS {
            let [kept, other] = [pool.get().unwrap(), pool.get().unwrap()];
            good_call(&kept, &url, word()).unwrap();
            server = None;
            good_call(&kept, &url, word()).unwrap_err();
            server = Some(TestServer::builder().port(port).start().unwrap());
            good_call(&kept, &url, word()).unwrap();
            good_call(&other, &url, word()).unwrap();
        }
        pool.reset();
        server.iter().for_each(TestServer::disconnect_all);
        assert_whole(&pool);
    });
    assert_eq!(growth, None);
}

/// The measure itself must be able to fail.
#[test]
#[ignore = "counts what other tests would hold: .ci/faults"]
fn a_leak_in_every_round_is_found() {
    type Leak = fn();
    let thread: Leak = || drop(thread::spawn(thread::park));
    let descriptor: Leak = || mem::forget(File::open("/proc/self/status").unwrap());
    let memory: Leak = || mem::forget(vec![1_u8; 1024]);
    for (what, leak, rounds) in
        [("thread", thread, 1), ("descriptor", descriptor, 1), ("memory", memory, ROUNDS)]
    {
        let growth = left_behind(millis(50), || (0..rounds).for_each(|_| leak()));
        assert!(growth.is_some(), "a leaked {what} in every round is not found");
    }
}
