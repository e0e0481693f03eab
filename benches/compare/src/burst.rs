//! Row 7: five hundred threads and a server that takes its time, with a connection for each and
//! with thirty for all.

use std::sync::{Barrier, Mutex};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use llm_pool::agent::{AgentConfig, AgentManager, Proxy};
use llm_pool::{Pool, PoolConfig};

use crate::Outcome;
use crate::child::Server;
use crate::report::{Figures, Table, millis};

const THREADS: usize = 500;
const ANSWER: Duration = Duration::from_millis(400);

pub fn measure(table: &mut Table) -> Outcome<()> {
    let mut server = Server::http()?;
    server.set_delay(ANSWER)?;
    let url = format!("{}/v1/models", server.url);
    connection_each(table, &url)?;
    in_line_for_thirty(table, &url)
}

fn pool(max_size: usize, wait_timeout: Duration) -> Outcome<Pool<AgentManager>> {
    let manager = AgentManager::new(AgentConfig::default().proxy(Proxy::Direct))?;
    let config = PoolConfig::default().min_idle(0_usize);
    Ok(Pool::new(config.max_size(max_size).wait_timeout(wait_timeout), manager)?)
}

fn ask(pool: &Pool<AgentManager>, url: &str) -> Outcome<()> {
    pool.get()?.get(url).call()?.body_mut().read_to_vec()?;
    Ok(())
}

/// One round makes the connections; the next is measured, from the moment that all threads are
/// let go until the last has its answer.
fn connection_each(table: &mut Table, url: &str) -> Outcome<()> {
    let pool = pool(THREADS, Duration::from_secs(10))?;
    let start = Barrier::new(THREADS + 1);
    let (succeeded, took) = thread::scope(|scope| {
        let work = || {
            let warm = ask(&pool, url);
            start.wait();
            warm.and_then(|()| ask(&pool, url))
        };
        let running: Vec<_> = (0..THREADS).map(|_| spawn(scope, work)).collect();
        start.wait();
        let began = Instant::now();
        (count_ok(running), began.elapsed())
    });

    let what = "500 threads, cap 500, 400 ms each: succeed";
    let (ours, peer) = (succeeded.to_string(), String::new());
    table.exactly(Figures { row: 7, what, ours, peer }, succeeded as u64, THREADS as u64, "");
    let what = "  wall time of all, by one answer's";
    let (ours, peer) = (format!("{:.0} ms", millis(took)), String::new());
    let ratio = took.as_secs_f64() / ANSWER.as_secs_f64();
    table.at_most(Figures { row: 7, what, ours, peer }, ratio, 1.3, " x");
    Ok(())
}

/// The threads come one by one: each is started when the one before it has its lease or stands
/// in line. Then they must get their leases in that order. Thirty items come back at about the
/// same moment, and the threads that get them note it as they wake up, which is in no certain
/// order; so a place is right if it is off by less than thirty.
fn in_line_for_thirty(table: &mut Table, url: &str) -> Outcome<()> {
    const CAP: usize = 30;
    // Seventeen rounds of answers, and some more.
    let pool = pool(CAP, Duration::from_secs(9))?;
    let served = Mutex::new(Vec::new());
    let began = Instant::now();
    let succeeded = thread::scope(|scope| {
        let (pool, served) = (&pool, &served);
        let mut running = Vec::new();
        for nth in 0..THREADS {
            running.push(spawn(scope, move || {
                let agent = pool.get()?;
                served.lock().expect("nobody panics with it").push(nth);
                agent.get(url).call()?.body_mut().read_to_vec()?;
                Ok(())
            }));
            wait_until_come(pool, nth + 1);
        }
        count_ok(running)
    });
    let took = began.elapsed();

    let what = "500 threads, cap 30, 400 ms each: succeed";
    let (ours, peer) = (succeeded.to_string(), String::new());
    table.exactly(Figures { row: 7, what, ours, peer }, succeeded as u64, THREADS as u64, "");
    let served = served.into_inner()?;
    let off = served.iter().enumerate().map(|(place, nth)| place.abs_diff(*nth)).max();
    let what = "  off the order of arrival, at most";
    let off = off.unwrap_or(THREADS);
    let (ours, peer) = (format!("{off} places"), String::new());
    table.at_most(Figures { row: 7, what, ours, peer }, off as f64, (CAP - 1) as f64, "");
    let what = "  wall time of all; 17 answers are 6.8 s";
    let (ours, peer) = (format!("{:.1} s", took.as_secs_f64()), String::new());
    table.note(Figures { row: 7, what, ours, peer }, "");
    Ok(())
}

/// Until so many threads in all have their lease or stand in line for one.
fn wait_until_come(pool: &Pool<AgentManager>, threads: usize) {
    let give_up = Instant::now() + Duration::from_secs(5);
    loop {
        let stats = pool.stats();
        if stats.gets + stats.waiting as u64 >= threads as u64 || Instant::now() > give_up {
            return;
        }
        thread::yield_now();
    }
}

fn spawn<'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> Outcome<()> + Send + 'scope,
) -> ScopedJoinHandle<'scope, Outcome<()>> {
    // Enough for a request, and little enough for five hundred.
    let small = thread::Builder::new().stack_size(256 << 10);
    small.spawn_scoped(scope, work).expect("five hundred threads can be had")
}

/// How many ended well; the first that did not is told.
fn count_ok(threads: Vec<ScopedJoinHandle<'_, Outcome<()>>>) -> usize {
    let ends = threads.into_iter().map(|thread| thread.join().expect("a thread that ends well"));
    let (good, bad): (Vec<_>, Vec<_>) = ends.partition(Result::is_ok);
    if let Some(Err(error)) = bad.into_iter().next() {
        println!("    one of the failures: {error}");
    }
    good.len()
}
