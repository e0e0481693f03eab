//! The table of faults, a few rounds each.

use std::thread;

use llm_pool::Lease;

use crate::wire::*;
use crate::{assert_whole, pool_of, word};

#[test]
fn each_fault_is_told_as_what_it_is_and_spoils_no_later_call() {
    let wire = Wire::start();
    thread::scope(|scope| {
        for case in CASES {
            let wire = &wire;
            scope.spawn(move || rounds(wire, case));
        }
    });
}

/// With one agent, so that whatever is left of the fault is what the next call meets.
fn rounds(wire: &Wire, case: &Case) {
    let (name, pool) = (case.name, pool_of(wire.manager(), 1));
    // Each fault on a new connection and on one that was used before.
    for round in 0..4 {
        let agent = pool.get().unwrap();
        if round == 2 {
            wire.good_call(&agent, word()).unwrap();
        }
        let Some(sees) = wire.call(&agent, case) else { return };
        assert!(case.sees.contains(&sees), "{name}: {sees:?}, and not {:?}", case.sees);
        if round == 3 {
            // Not by this lease.
            drop(agent);
            assert_whole(&pool);
            let agent = pool.get().unwrap();
            next(wire, case, &agent);
        } else {
            next(wire, case, &agent);
        }
    }
    let stats = pool.stats();
    assert_eq!((stats.created, stats.put_back, stats.gets), (1, 5, 5), "{name}: {stats}");
    assert_whole(&pool);
}

#[track_caller]
fn next(wire: &Wire, case: &Case, agent: &Lease<llm_pool::agent::AgentManager>) {
    if case.spoils_next {
        wire.next_call(agent);
    }
    if let Err(error) = wire.good_call(agent, word()) {
        panic!("{}: the call after it: {error:?}", case.name);
    }
}
