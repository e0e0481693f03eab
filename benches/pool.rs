//! What the pool and the balancer themselves cost: `cargo bench`, about 10 s. Numbers of one machine at one moment,
//! for comparing two versions of the code; `growth` shows how cost grows, and `benches/compare` compares with
//! other libraries. With `--test`, as `cargo test --benches` runs it, each round does a few operations
//! only, to see that it works.

#![allow(clippy::print_stdout, reason = "a table is what it is for")]

mod how;

use std::convert::Infallible;
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::agent::{AgentConfig, AgentManager, Proxy};
use llm_pool::balance::{BalanceConfig, Balancer, Call, Endpoint};
use llm_pool::keyed::{KeyedConfig, KeyedPool, Setup};
use llm_pool::metrics::Metrics;
use llm_pool::test_server::TestServer;
use llm_pool::{Histogram, Lease, Manage, Pool, PoolConfig, RequestStats};

use how::{Bench, Numbers, Outcome, numbers, on_threads, quiet};

fn main() -> Outcome {
    let bench = Bench::from_args();
    println!("{:<52} {:>12} {:>12}", "", "best", "median");
    get_and_put_back(&bench)?;
    hand_off(&bench)?;
    creation(&bench)?;
    picks(&bench)?;
    scrapes(&bench)?;
    agents(&bench)
}

// ---- What is measured ----

fn get_and_put_back(bench: &Bench) -> Outcome {
    let pool = numbers(8)?;
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
    let pool = numbers(1)?;
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
    let pool = Pool::new(quiet().min_idle(0_usize).max_size(1_usize), Numbers)?;
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
    let config = quiet().min_idle(0_usize);
    let config = KeyedConfig::default().pool(config).max_pools(KEYS);
    let mut response = Histogram::new();
    (1..500).for_each(|ms| response.add(Duration::from_millis(ms * ms)));
    let asked = RequestStats::default().requests(response.count()).response(response);
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

fn await_waiting<M: Manage>(pool: &Pool<M>, threads: usize) {
    while pool.stats().waiting < threads {
        thread::yield_now();
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
