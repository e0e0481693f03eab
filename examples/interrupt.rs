//! Ctrl-C in the midst of a hundred calls: each is stopped, gives its lease back, and the program ends
//! within a second.
//!
//! A call that is still connecting, or looking a name up, is not stopped: `connect_timeout` ends it.
//!
//! `cargo run --release --example interrupt`, and press Ctrl-C; `-- --calls N` for another number.

use std::collections::HashMap;
use std::env;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::agent::{AgentConfig, AgentLease, AgentManager, AgentPool, Proxy, Stopper};
use llm_pool::test_server::TestServer;
use llm_pool::{EvictReason, GetError, Pool, PoolConfig};

/// The exit status of a program that Ctrl-C ended.
const STATUS: u8 = 130;

/// Longer than anybody watches.
const ANSWER: Duration = Duration::from_secs(600);

fn main() -> ExitCode {
    match calls().and_then(|calls| run(calls).map_err(|error| error.to_string())) {
        Ok(status) => status,
        Err(wrong) => {
            eprintln!("interrupt: {wrong}");
            2.into()
        }
    }
}

fn calls() -> Result<usize, String> {
    let words: Vec<_> = env::args().skip(1).collect();
    let number = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => return Ok(100),
        ["--calls", number] => number,
        ["--calls"] => return Err("--calls needs a value".into()),
        [other, ..] => return Err(format!("unknown argument {other:?}; there is --calls N")),
    };
    let number = number.parse().ok().filter(|number| (1..=1000).contains(number));
    number.ok_or("--calls must be a whole number from 1 to 1000".into())
}

fn run(calls: usize) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let server = TestServer::builder().delay(ANSWER).start()?;
    let config = AgentConfig::default().proxy(Proxy::Direct).total_timeout(None);
    // Room for all calls but a few, so that some wait for their agent when it happens.
    let pools = PoolConfig::default().max_size(calls.div_ceil(10) * 9).min_idle(0);
    let pool = Pool::new(pools.wait_timeout(ANSWER), AgentManager::new(config)?)?;

    static STOP: OnceLock<Stop> = OnceLock::new();
    let stop = STOP.get_or_init(|| Stop::of(pool.clone()));
    // `ctrlc` has a thread for this, so it may lock and wait, as a signal handler itself may not.
    ctrlc::set_handler(|| STOP.get().into_iter().for_each(Stop::stop))?;

    let outcomes = thread::scope(|scope| {
        let url = format!("{}/v1/models", server.url());
        let threads: Vec<_> = (0..calls)
            .map(|_| {
                scope.spawn({
                    let url = url.clone();
                    move || call(stop, &url)
                })
            })
            .collect();
        let at_work = |pool: &AgentPool| pool.stats().in_use + pool.stats().waiting;
        while (at_work(&pool) < calls || server.stats().in_flight < pool.stats().max_size)
            && !stop.is_set.load(SeqCst)
        {
            thread::sleep(Duration::from_millis(1));
        }
        println!("{calls} calls on {calls} threads: {}; press Ctrl-C", pool.stats());
        let ended = threads.into_iter().map(|thread| thread.join().unwrap_or(Outcome::Panicked));
        ended.collect::<Vec<_>>()
    });

    let took = stop.since().unwrap_or_default();
    let count = |wanted: Outcome| outcomes.iter().filter(|&&it| it == wanted).count();
    let (stopped, waiting) = (count(Outcome::Stopped), count(Outcome::NoAgent));
    println!("{stopped} calls stopped, {waiting} that waited turned away, all within {took:.1?}");
    let stats = pool.stats();
    let (gets, back) = (stats.gets, stats.evicted_for(EvictReason::Broken));
    println!("{gets} leases given out, {back} stopped ones returned, {} still out", stats.in_use);
    let whole = stats.in_use == 0 && gets == back && stopped + waiting == calls;
    Ok(if whole { STATUS.into() } else { ExitCode::FAILURE })
}

/// How a call ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Stopped,
    NoAgent,
    Answered,
    Panicked,
}

fn call(stop: &Stop, url: &str) -> Outcome {
    let agent = match stop.pool.get() {
        Ok(agent) => agent,
        Err(GetError::Closed) => return Outcome::NoAgent,
        Err(error) => {
            eprintln!("interrupt: {error}");
            return Outcome::NoAgent;
        }
    };
    let _listed = stop.list(&agent);
    match agent.get(url).call() {
        Ok(_) => Outcome::Answered,
        Err(_) => Outcome::Stopped,
    }
}

/// Ends all calls at once.
struct Stop {
    pool: AgentPool,
    is_set: AtomicBool,
    began: OnceLock<Instant>,
    /// Of the calls under way, by number.
    stoppers: Mutex<HashMap<u64, Stopper>>,
    numbers: AtomicU64,
}

impl Stop {
    fn of(pool: AgentPool) -> Self {
        let (is_set, began, stoppers, numbers) = Default::default();
        Self { pool, is_set, began, stoppers, numbers }
    }

    /// Those who wait for an agent get none, and those who have one find their call failed.
    fn stop(&self) {
        self.began.get_or_init(Instant::now);
        self.pool.close();
        self.is_set.store(true, SeqCst);
        let stoppers = self.stoppers.lock().unwrap_or_else(PoisonError::into_inner);
        stoppers.values().for_each(Stopper::stop);
    }

    fn since(&self) -> Option<Duration> {
        self.began.get().map(Instant::elapsed)
    }

    /// Has the calls of this agent stopped too, until what it returns is dropped.
    fn list(&self, agent: &AgentLease) -> Listed<'_> {
        let (stopper, number) = (agent.stopper(), self.numbers.fetch_add(1, SeqCst));
        let mut stoppers = self.stoppers.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_set.load(SeqCst) {
            stopper.stop();
        }
        stoppers.insert(number, stopper);
        Listed { stop: self, number }
    }
}

struct Listed<'a> {
    stop: &'a Stop,
    number: u64,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        let stoppers = &self.stop.stoppers;
        stoppers.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}
