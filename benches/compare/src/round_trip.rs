//! Rows 1 and 2: what it costs to get an item and to put it back while enough are idle.
//!
//! The contenders take turns in short rounds, on the same threads. A round's figure is wall time,
//! from the first thread's start to the last one's end, by the number of operations of all threads
//! together. The ratio is taken round by round, so that both sides of it had the same neighbours
//! on the machine, and its median counts. On a busy machine the two threads of row 2 may have to
//! share one core; they then show what row 1 shows.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use crate::Outcome;
use crate::contender::{self, Contender};
use crate::report::{Figures, Table, median};

const ITEMS: u32 = 8;
pub const ROUNDS: usize = 21;
const TURNS: u32 = 100_000;
const BOUND: f64 = 0.33;

pub fn one_thread(table: &mut Table) -> Outcome<()> {
    measure(table, 1, "1 thread, 8 items: get and put back", 1)
}

pub fn two_threads(table: &mut Table) -> Outcome<()> {
    measure(table, 2, "2 threads, 8 items: get and put back", 2)
}

fn measure(table: &mut Table, row: u8, what: &str, threads: u32) -> Outcome<()> {
    let (ours, r2d2) = contender::both(ITEMS)?;
    let start = Barrier::new(threads as usize);
    let run = || {
        let rounds = (0..ROUNDS).map(|_| (timed(&ours, &start), timed(&r2d2, &start)));
        rounds.unzip::<_, _, Vec<_>, Vec<_>>()
    };
    let (ours, peer): (Vec<_>, Vec<_>) = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        running.into_iter().map(|thread| thread.join().expect("a thread that ends well")).unzip()
    });

    let (ours, peer) = (nanos_per_turn(&ours), nanos_per_turn(&peer));
    let ratio = median(ours.iter().zip(&peer).map(|(ours, peer)| ours / peer).collect());
    let (ours, peer) = (median(ours), median(peer));
    let (ours, peer) = (format!("{ours:.0} ns"), format!("r2d2 {peer:.0} ns"));
    table.at_most(Figures { row, what, ours, peer }, ratio, BOUND, " x");
    Ok(())
}

/// When a thread's round began and ended.
pub type Span = (Instant, Instant);

pub fn timed(contender: &impl Contender, start: &Barrier) -> Span {
    start.wait();
    let began = Instant::now();
    (0..TURNS).for_each(|_| contender.turn(|| ()));
    (began, Instant::now())
}

/// By round, over all threads.
pub fn nanos_per_turn(threads: &[Vec<Span>]) -> Vec<f64> {
    let turns = f64::from(TURNS) * threads.len() as f64;
    let of_round = |round: usize| {
        let began = threads.iter().map(|spans| spans[round].0).min();
        let ended = threads.iter().map(|spans| spans[round].1).max();
        let wall = began.zip(ended).map_or(0, |(began, ended)| (ended - began).as_nanos());
        wall as f64 / turns
    };
    (0..ROUNDS).map(of_round).collect()
}
