//! Rows 1 and 2: what it costs to get an item and to put it back while enough are idle.
//!
//! The contenders take turns in short rounds. A round's figure is wall time by the number of
//! operations of all threads together, from the first start to the last end. The ratio is taken
//! round by round, so that both sides of it had the same neighbours on the machine, and its
//! median counts.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use crate::Outcome;
use crate::contender::{self, Contender};
use crate::report::{Figures, Table, median};

const ITEMS: u32 = 8;
const ROUNDS: usize = 41;
const TURNS: u32 = 50_000;
const BOUND: f64 = 0.33;

pub fn one_thread(table: &mut Table) -> Outcome<()> {
    measure(table, 1, "1 thread, 8 items: get and put back", 1)
}

pub fn two_threads(table: &mut Table) -> Outcome<()> {
    measure(table, 2, "2 threads, 8 items: get and put back", 2)
}

fn measure(table: &mut Table, row: u8, what: &str, threads: u32) -> Outcome<()> {
    let (ours, r2d2) = contender::both(ITEMS)?;
    let mut times = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (our_time, peer_time) =
            (nanos_per_turn(&ours, threads), nanos_per_turn(&r2d2, threads));
        times.0.push(our_time);
        times.1.push(peer_time);
        times.2.push(our_time / peer_time);
    }
    let ours = format!("{:.0} ns", median(times.0));
    let peer = format!("r2d2 {:.0} ns", median(times.1));
    table.at_most(Figures { row, what, ours, peer }, median(times.2), BOUND, " x");
    Ok(())
}

fn nanos_per_turn(contender: &impl Contender, threads: u32) -> f64 {
    let start = Barrier::new(threads as usize);
    let run = || {
        start.wait();
        let began = Instant::now();
        (0..TURNS).for_each(|_| contender.turn(|| ()));
        (began, Instant::now())
    };
    let (began, ended) = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let spans =
            running.into_iter().map(|thread| thread.join().expect("a thread that ends well"));
        spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).expect("at least one thread")
    });
    (ended - began).as_nanos() as f64 / f64::from(TURNS * threads)
}
