//! How the benchmarks measure: the best and the median of several short rounds. The best is what
//! the code costs, the median what else went on.

// Each benchmark uses some of it.
#![allow(dead_code)]

use std::convert::Infallible;
use std::error::Error;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::{Manage, Pool, PoolConfig};

pub type Outcome = Result<(), Box<dyn Error>>;

#[derive(Clone, Copy)]
pub struct Bench {
    pub rounds: usize,
    /// Each round does a few operations only, to see that it works.
    pub brief: bool,
}

impl Bench {
    /// Brief with `--test`, and as `cargo test` runs it: `cargo bench` passes --bench.
    pub fn from_args() -> Self {
        let has = |option: &str| std::env::args().any(|arg| arg == option);
        let brief = has("--test") || !has("--bench");
        Self { rounds: if brief { 2 } else { 21 }, brief }
    }

    /// The same with so many rounds, or fewer.
    pub fn at_most(self, rounds: usize) -> Self {
        Self { rounds: self.rounds.min(rounds), ..self }
    }

    /// A line with the cost of one of so many operations; `work` does them, and says how long they
    /// took together.
    pub fn each(&self, what: &str, operations: u32, work: impl FnMut(u32) -> Duration) {
        let (best, median) = self.cost(operations, work);
        println!("{what:<52} {:>12} {:>12}", readable(best), readable(median));
    }

    /// The best and the median cost of an operation, in nanoseconds.
    pub fn cost(&self, operations: u32, mut work: impl FnMut(u32) -> Duration) -> (f64, f64) {
        let operations = if self.brief { operations.min(10) } else { operations };
        let mut rounds: Vec<_> =
            (0..self.rounds).map(|_| nanos(work(operations)) / f64::from(operations)).collect();
        rounds.sort_by(f64::total_cmp);
        (rounds[0], rounds[rounds.len() / 2])
    }
}

/// `turns` of `turn` on each thread; the time from the first start to the last end, by thread.
pub fn on_threads(threads: u32, turns: u32, turn: impl Fn() + Sync) -> Duration {
    let start = Barrier::new(threads as usize);
    let run = || {
        start.wait();
        let began = Instant::now();
        (0..turns).for_each(|_| turn());
        (began, Instant::now())
    };
    let spans = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).collect::<Vec<_>>()
    });
    let began = spans.iter().map(|span| span.0).min();
    let ended = spans.iter().map(|span| span.1).max();
    began.zip(ended).map_or(Duration::ZERO, |(began, ended)| (ended - began) / threads)
}

fn nanos(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

pub fn readable(nanos: f64) -> String {
    match nanos {
        it if it < 1e3 => format!("{it:.1} ns"),
        it if it < 1e6 => format!("{:.2} us", it / 1e3),
        it => format!("{:.2} ms", it / 1e6),
    }
}

pub struct Numbers;

impl Manage for Numbers {
    type Item = u64;
    type Error = Infallible;

    fn create(&self) -> Result<u64, Infallible> {
        Ok(7)
    }
}

/// Without the log lines of a pool that is full on purpose.
pub fn quiet() -> PoolConfig {
    PoolConfig::default().nearly_full(None).slow_wait(None)
}

pub fn numbers(size: usize) -> Result<Pool<Numbers>, Box<dyn Error>> {
    Ok(Pool::new(quiet().min_idle(size).max_size(size), Numbers)?)
}
