//! What the pool and the balancer themselves cost: `cargo bench`, about 10 s. Numbers of one machine at one moment,
//! for comparing two versions of the code; `benches/compare` compares with other libraries.
//!
//! Each figure is the best and the median of several short rounds: the best is what the code
//! costs, the median what else went on. With `--test`, as `cargo test --benches` runs it, each
//! round does a few operations only, to see that it works.

#![allow(clippy::print_stdout, reason = "a table is what it is for")]

use std::convert::Infallible;
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::agent::{AgentConfig, AgentManager, Proxy};
use llm_pool::balance::{BalanceConfig, Balancer, Call, Endpoint};
use llm_pool::keyed::{KeyedConfig, KeyedPool, Setup};
use llm_pool::metrics::Metrics;
use llm_pool::test_server::TestServer;
use llm_pool::{Histogram, Lease, Manage, Pool, PoolConfig, RequestStats};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    // `cargo bench` passes --bench, `cargo test` does not.
    let brief = !std::env::args().any(|arg| arg == "--bench");
    let bench = Bench { rounds: if brief { 2 } else { 21 }, brief };
    println!("{:<52} {:>12} {:>12}", "", "best", "median");
    get_and_put_back(&bench)?;
    hand_off(&bench)?;
    creation(&bench)?;
    queue_length(&bench)?;
    idle_items(&bench)?;
    picks(&bench)?;
    scrapes(&bench)?;
    agents(&bench)
}

// ---- What is measured ----

fn get_and_put_back(bench: &Bench) -> Outcome {
    let pool = numbers(PoolConfig::default().min_idle(8_usize).max_size(8_usize))?;
    for threads in [1, 2] {
        bench.each(&format!("get and put back, {threads} thread(s)"), 100_000, |turns| {
            on_threads(threads, turns, || drop(black_box(pool.get())))
        });
    }
    bench.each("try_get and put back", 100_000, |turns| {
        on_threads(1, turns, || drop(black_box(pool.try_get())))
    });
    bench.each("stats", 100_000, |turns| on_threads(1, turns, || _ = black_box(pool.stats())));
    Ok(())
}

/// From the put-back until the waiter runs. The waiter has waited for longer than its first
/// moment, in which it may be overtaken, so the item is handed to it.
fn hand_off(bench: &Bench) -> Outcome {
    let pool = numbers(PoolConfig::default().min_idle(1_usize).max_size(1_usize))?;
    bench.each("hand-off to a waiter, put-back to running", 20, |turns| {
        let mut sum = Duration::ZERO;
        for _ in 0..turns {
            let Ok(lease) = pool.get() else { continue };
            let waiter = thread::spawn({
                let pool = pool.clone();
                move || pool.get().map(|lease| (Instant::now(), lease)).map(|(at, _)| at)
            });
            await_waiting(&pool, 1);
            thread::sleep(Duration::from_millis(1));
            let put_back = Instant::now();
            drop(lease);
            if let Ok(Ok(ran)) = waiter.join() {
                sum += ran - put_back;
            }
        }
        sum
    });
    Ok(())
}

/// From `get` on an empty pool until it has the item that a worker made for it.
fn creation(bench: &Bench) -> Outcome {
    let pool = numbers(PoolConfig::default().min_idle(0_usize).max_size(1_usize))?;
    bench.each("get with creation by a worker", 100, |turns| {
        on_threads(1, turns, || {
            if let Ok(lease) = pool.get() {
                Lease::discard(lease);
            }
        })
    });
    bench.each("try_get with creation on the spot", 1000, |turns| {
        on_threads(1, turns, || {
            if let Ok(lease) = pool.try_get() {
                Lease::discard(lease);
            }
        })
    });
    Ok(())
}

/// Threads stand in line for the only item; each puts it back at once. From the first put-back
/// until the last thread is gone, by thread.
fn queue_length(bench: &Bench) -> Outcome {
    let few = Bench { rounds: bench.rounds.div_ceil(3), ..*bench };
    for waiters in [10, 100, 1000] {
        let pool = numbers(PoolConfig::default().min_idle(1_usize).max_size(1_usize))?;
        few.each(&format!("hand-off along a queue of {waiters}"), waiters, |waiters| {
            let Ok(lease) = pool.get() else { return Duration::ZERO };
            thread::scope(|scope| {
                let running: Vec<_> = (0..waiters)
                    .map(|_| {
                        let small = thread::Builder::new().stack_size(64 << 10);
                        small.spawn_scoped(scope, || drop(pool.get()))
                    })
                    .collect();
                await_waiting(&pool, running.iter().flatten().count());
                // The last one's first moment, in which it may be overtaken.
                thread::sleep(Duration::from_millis(1));
                let began = Instant::now();
                drop(lease);
                running.into_iter().flatten().for_each(|thread| _ = thread.join());
                began.elapsed()
            })
        });
    }
    Ok(())
}

fn idle_items(bench: &Bench) -> Outcome {
    for items in [10_usize, 100, 1000, 10_000] {
        let pool = numbers(PoolConfig::default().min_idle(items).max_size(items))?;
        bench.each(&format!("get and put back, {items} items idle"), 100_000, |turns| {
            on_threads(1, turns, || drop(black_box(pool.get())))
        });
        bench.each(&format!("clean_up, {items} items idle"), 100, |turns| {
            on_threads(1, turns, || {
                black_box(pool.clean_up());
            })
        });
    }
    Ok(())
}

/// With the default strategy.
fn picks(bench: &Bench) -> Outcome {
    for count in [3, 30, 300] {
        let endpoints = (0..count).map(|number| Endpoint::new(format!("{number}"), number));
        let balancer = Balancer::new(BalanceConfig::default(), endpoints)?;
        for threads in [1, 2] {
            let what = format!("pick and report, {count} endpoints, {threads} thread(s)");
            bench.each(&what, 100_000, |turns| {
                on_threads(threads, turns, || {
                    if let Ok(pick) = black_box(balancer.pick(Call::new())) {
                        pick.success();
                    }
                })
            });
        }
    }
    Ok(())
}

/// What Prometheus is given of many keys, whose times are spread over many buckets.
fn scrapes(bench: &Bench) -> Outcome {
    const KEYS: usize = 1000;
    let config = PoolConfig::default().min_idle(0_usize).nearly_full(None).slow_wait(None);
    let config = KeyedConfig::default().pool(config).max_pools(KEYS);
    let mut response = Histogram::new();
    (1..500).for_each(|ms| response.add(Duration::from_millis(ms * ms)));
    let asked = RequestStats { requests: response.count(), response, ..RequestStats::default() };
    let pool = KeyedPool::new(config, move |_: &usize| Ok(Setup::new(Asked(asked.clone()))))?;
    for key in 0..KEYS {
        drop(pool.try_get(&key)?);
    }
    for series in [0, 100, KEYS] {
        let metrics = Metrics::new().max_series(series).pool("bench", pool.clone());
        bench.each(&format!("a scrape of {KEYS} keys, {series} with series"), 10, |turns| {
            on_threads(1, turns, || drop(black_box(metrics.text())))
        });
    }
    Ok(())
}

/// Making an agent, and what a pooled one adds to the bare exchange over a socket.
fn agents(bench: &Bench) -> Outcome {
    let manager = AgentManager::new(AgentConfig::default().proxy(Proxy::Direct))?;
    bench.each("an agent made and dropped", 10_000, |turns| {
        on_threads(1, turns, || drop(black_box(manager.create())))
    });

    let server = TestServer::builder().remember(0).start()?;
    let pool = Pool::new(PoolConfig::default().min_idle(1_usize).max_size(1_usize), manager)?;
    let port = server.addr().port();
    for host in [Ipv4Addr::LOCALHOST.to_string(), "localhost".into()] {
        let url = format!("http://{host}:{port}/v1/models");
        bench.each(&format!("GET and its answer, pooled, {host}"), 500, |turns| {
            on_threads(1, turns, || {
                let answer = pool.get().map(|agent| agent.get(&url).call());
                let body = answer.map(|answer| answer.map(|it| it.into_body().read_to_vec()));
                drop(black_box(body));
            })
        });
    }
    Ok(())
}

// ---- How ----

#[derive(Clone, Copy)]
struct Bench {
    rounds: usize,
    brief: bool,
}

impl Bench {
    /// `work` does so many operations, and says how long they took together.
    fn each(&self, what: &str, operations: u32, mut work: impl FnMut(u32) -> Duration) {
        let operations = if self.brief { operations.min(10) } else { operations };
        let mut rounds: Vec<_> =
            (0..self.rounds).map(|_| nanos(work(operations)) / f64::from(operations)).collect();
        rounds.sort_by(f64::total_cmp);
        let (best, median) = (rounds[0], rounds[rounds.len() / 2]);
        println!("{what:<52} {:>12} {:>12}", readable(best), readable(median));
    }
}

/// `turns` of `turn` on each thread; the time from the first start to the last end, by thread.
fn on_threads(threads: u32, turns: u32, turn: impl Fn() + Sync) -> Duration {
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

fn await_waiting<M: Manage>(pool: &Pool<M>, threads: usize) {
    while pool.stats().waiting < threads {
        thread::yield_now();
    }
}

fn nanos(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

fn readable(nanos: f64) -> String {
    match nanos {
        it if it < 1e3 => format!("{it:.1} ns"),
        it if it < 1e6 => format!("{:.2} us", it / 1e3),
        it => format!("{:.2} ms", it / 1e6),
    }
}

struct Numbers;

impl Manage for Numbers {
    type Item = u64;
    type Error = Infallible;

    fn create(&self) -> Result<u64, Infallible> {
        Ok(7)
    }
}

/// Says that it made these requests.
struct Asked(RequestStats);

impl Manage for Asked {
    type Item = u64;
    type Error = Infallible;

    fn create(&self) -> Result<u64, Infallible> {
        Ok(7)
    }

    fn requests(&self) -> RequestStats {
        self.0.clone()
    }
}

fn numbers(config: PoolConfig) -> Result<Pool<Numbers>, Box<dyn std::error::Error>> {
    Ok(Pool::new(config.nearly_full(None).slow_wait(None), Numbers)?)
}
