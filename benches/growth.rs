//! How cost grows: with the size of a pool, with those who wait for it, and with the keys of a keyed
//! pool. `cargo bench --bench growth`, a minute or two.
//!
//! A line has what one operation costs, the best of several rounds, where there are so many. What
//! grows with the logarithm, or because less of it is in the processor's cache, is flat here; what
//! grows as the number does would make many of them a square, and is a bug. Bytes are those on the
//! heap; a thread that waits also has its stack.

#![allow(clippy::print_stdout, reason = "a table is what it is for")]

mod how;

use std::hint::black_box;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::agent::{AgentConfig, AgentManager, Proxy};
use llm_pool::keyed::{KeyedConfig, KeyedPool, Setup};
use llm_pool::test_server::TestServer;
use llm_pool::{Lease, Manage, Pool, Stats};

use how::{Bench, Numbers, Outcome, numbers, on_threads, quiet, readable};

fn main() -> Outcome {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let bench = Bench::from_args();
    let sizes: &[usize] = if bench.brief { &[1, 10] } else { &[1, 10, 100, 1000, 10_000] };
    let table = Table { sizes };
    table.head("items in a pool");
    sizes_of_a_pool(&bench, &table)?;
    table.head("threads that wait");
    waiters(&bench, &table)?;
    table.head("keys");
    keys(&bench, &table)
}

// ---- What is measured ----

fn sizes_of_a_pool(bench: &Bench, table: &Table) -> Outcome {
    table.times("get and put back, all idle", |size| {
        let pool = numbers(size)?;
        Ok(bench.cost(100_000, |turns| on_threads(1, turns, || drop(black_box(pool.get())))).0)
    })?;
    table.times("get and put back, all but one in use", |size| {
        let pool = numbers(size)?;
        let held: Vec<_> = (1..size).map(|_| pool.try_get()).collect();
        let best =
            bench.cost(100_000, |turns| on_threads(1, turns, || drop(black_box(pool.get()))));
        drop(held);
        Ok(best.0)
    })?;
    table.times("all taken, then all put back: each", |size| {
        let pool = numbers(size)?;
        let all = || drop((0..size).map(|_| pool.try_get()).collect::<Vec<_>>());
        Ok(bench.cost(10, |turns| on_threads(1, turns, all)).0 / size as f64)
    })?;
    table.times("clean_up, for each idle", |size| {
        let pool = numbers(size)?;
        let clean_up = || _ = black_box(pool.clean_up());
        Ok(bench.cost(100, |turns| on_threads(1, turns, clean_up)).0 / size as f64)
    })?;
    table.bytes("memory of an idle agent", |size| {
        let pool = agents(size)?;
        Ok(kept(|| drop((0..size).map(|_| pool.try_get()).collect::<Vec<_>>())))
    })?;
    let server = TestServer::builder().remember(0).start()?;
    let url = format!("{}/v1/models", server.url());
    table.bytes("the same with its connection, http", |size| {
        // Two files each, and a thread of the server's.
        if size > 1000 {
            return Ok(f64::NAN);
        }
        let pool = agents(size)?;
        let connect = |lease: &Lease<AgentManager>| {
            let answer = lease.get(&url).call().map(|answer| answer.into_body().read_to_vec());
            answer.map(drop).is_ok()
        };
        let mut connected = 0;
        let bytes = kept(|| {
            let leases: Vec<_> = (0..size).filter_map(|_| pool.try_get().ok()).collect();
            connected = leases.iter().filter(|lease| connect(lease)).count();
        });
        if connected == size { Ok(bytes) } else { Err("not all agents have a connection".into()) }
    })
}

fn waiters(bench: &Bench, table: &Table) -> Outcome {
    let few = bench.at_most(5);
    // The waiters have waited for longer than their first moment, in which they may be overtaken.
    table.times("handed along the queue, from one to the next", |waiters| {
        let pool = numbers(1)?;
        let wait = || drop(pool.get());
        Ok(few.cost(1, |_| in_line(waiters, &pool, wait)).0 / waiters as f64)
    })?;
    table.times("the same threads without a pool", |waiters| {
        Ok(few.cost(1, |_| chain(waiters)).0 / waiters as f64)
    })?;
    table.times("a deadline that passes for all at once: each", |waiters| {
        let pool = numbers(1)?;
        // Long enough for all of them to be there.
        let timeout = Duration::from_millis(100) + Duration::from_micros(100) * waiters as u32;
        let spent = few.cost(1, |_| {
            let Ok(_lease) = pool.get() else { return Duration::ZERO };
            let until = Instant::now() + timeout;
            on_small_threads(waiters, || {
                let left = until.saturating_duration_since(Instant::now());
                let _ = black_box(pool.get_timeout(left));
            });
            until.elapsed()
        });
        Ok(spent.0 / waiters as f64)
    })?;
    table.bytes("memory of one that waits", |waiters| {
        let pool = numbers(1)?;
        let bytes = AtomicUsize::new(0);
        in_line(waiters, &pool, || {
            // At the most, which is while it waits.
            let counts = allocation_counter::measure(|| drop(pool.get()));
            bytes.fetch_add(counts.bytes_max as usize, Relaxed);
        });
        Ok(bytes.into_inner() as f64)
    })
}

fn keys(bench: &Bench, table: &Table) -> Outcome {
    table.times("get and put back, of one key", |keys| {
        let pool = keyed(keys, |config| config)?;
        Ok(bench.cost(100_000, |turns| on_threads(1, turns, || drop(pool.get(&0)))).0)
    })?;
    table.times("get and put back, of one key after another", |keys| {
        let pool = keyed(keys, |config| config)?;
        let turn = AtomicUsize::new(0);
        let get = || drop(pool.get(&(turn.fetch_add(1, Relaxed) % keys)));
        Ok(bench.cost(100_000, |turns| on_threads(1, turns, get)).0)
    })?;
    table.times("a new key, which evicts another", |keys| {
        let pool = keyed(keys, |config| config.max_pools(keys))?;
        let new = AtomicUsize::new(keys);
        let get = || drop(black_box(pool.try_get(&new.fetch_add(1, Relaxed))));
        Ok(bench.cost(100, |turns| on_threads(1, turns, get)).0)
    })?;
    table.times("stats, for each key", |keys| {
        let pool = keyed(keys, |config| config)?;
        let stats = || drop(black_box(pool.stats()));
        Ok(bench.cost(10, |turns| on_threads(1, turns, stats)).0 / keys as f64)
    })?;
    table.times("clean_up, for each key", |keys| {
        let pool = keyed(keys, |config| config)?;
        let clean_up = || _ = black_box(pool.clean_up());
        Ok(bench.cost(10, |turns| on_threads(1, turns, clean_up)).0 / keys as f64)
    })?;
    table.times("all keys closed: each", |keys| {
        let closing = bench.at_most(3).cost(1, |_| {
            let Ok(pool) = keyed(keys, |config| config) else { return Duration::ZERO };
            on_threads(1, 1, || pool.close())
        });
        Ok(closing.0 / keys as f64)
    })?;
    table.times("an item given up for one of another key", |keys| {
        // Half of the keys have an item.
        let most = keys.div_ceil(2);
        let pool = keyed(keys, |config| config.max_total(most).max_open(most))?;
        let turn = AtomicUsize::new(0);
        let get = || drop(black_box(pool.get(&(turn.fetch_add(1, Relaxed) % keys))));
        Ok(bench.cost(50, |turns| on_threads(1, turns, get)).0)
    })?;
    let few = bench.at_most(5);
    for (what, hosts) in [
        ("a thread at each key, max_total handed on", Hosts::One),
        ("the same, where each key has its host", Hosts::OfEachKey),
    ] {
        table.times(what, |keys| {
            let pool = keyed_at(hosts, keys, |config| config.max_total(1))?;
            let turn = AtomicUsize::new(0);
            let wait = || drop(pool.get(&turn.fetch_add(1, Relaxed)));
            let handed_on = few.cost(1, |_| {
                turn.store(0, Relaxed);
                let Ok(lease) = pool.get(&0) else { return Duration::ZERO };
                in_line_for(keys, lease, || pool.stats().sum, wait)
            });
            Ok(handed_on.0 / keys as f64)
        })?;
    }
    table.bytes("memory of a key, with one item", |keys| {
        let mut made = None;
        let bytes = kept(|| made = keyed(keys, |config| config).ok());
        drop(made);
        Ok(bytes)
    })
}

#[derive(Clone, Copy)]
enum Hosts {
    One,
    OfEachKey,
}

/// With an item of each key.
fn keyed(
    keys: usize,
    with: impl Fn(KeyedConfig) -> KeyedConfig,
) -> Result<KeyedPool<usize, Numbers>, Box<dyn std::error::Error>> {
    keyed_at(Hosts::One, keys, with)
}

fn keyed_at(
    hosts: Hosts,
    keys: usize,
    with: impl Fn(KeyedConfig) -> KeyedConfig,
) -> Result<KeyedPool<usize, Numbers>, Box<dyn std::error::Error>> {
    let each = quiet().min_idle(0_usize).max_size(1_usize);
    let config = with(KeyedConfig::default().pool(each).max_pools(10_000));
    let pool = KeyedPool::new(config, move |key: &usize| {
        let host = match hosts {
            Hosts::One => "host".into(),
            Hosts::OfEachKey => format!("host {key}"),
        };
        Ok(Setup::new(Numbers).host(host))
    })?;
    for key in 0..keys {
        drop(pool.get(&key)?);
    }
    Ok(pool)
}

fn agents(size: usize) -> Result<Pool<AgentManager>, Box<dyn std::error::Error>> {
    let manager = AgentManager::new(AgentConfig::default().proxy(Proxy::Direct))?;
    Ok(Pool::new(quiet().min_idle(0_usize).max_size(size), manager)?)
}

// ---- How ----

/// A column for each size.
struct Table<'a> {
    sizes: &'a [usize],
}

type Cell = Result<f64, Box<dyn std::error::Error>>;

impl Table<'_> {
    fn head(&self, what: &str) {
        let sizes = self.sizes.iter().map(|size| format!("{size:>11}")).collect::<String>();
        println!("\n{what:<46}{sizes}");
    }

    fn times(&self, what: &str, cell: impl FnMut(usize) -> Cell) -> Outcome {
        self.row(what, cell, readable)
    }

    /// `cell` has those of all together.
    fn bytes(&self, what: &str, mut cell: impl FnMut(usize) -> Cell) -> Outcome {
        let each = |size| Ok(cell(size)? / size as f64);
        self.row(what, each, |bytes| format!("{bytes:.0} B"))
    }

    fn row(
        &self,
        what: &str,
        mut cell: impl FnMut(usize) -> Cell,
        readable: fn(f64) -> String,
    ) -> Outcome {
        let mut row = format!("{what:<46}");
        for &size in self.sizes {
            let cell = cell(size)?;
            row += &format!("{:>11}", if cell.is_nan() { "-".into() } else { readable(cell) });
        }
        println!("{row}");
        Ok(())
    }
}

/// Of a thread that only waits.
const STACK: usize = 64 << 10;

/// Bytes that this thread has allocated and not freed by the end of `work`.
fn kept(work: impl FnOnce()) -> f64 {
    allocation_counter::measure(work).bytes_current as f64
}

/// Threads that `wait` for the only item of `pool` one behind the other. The time from its first
/// put-back until the last thread is gone.
fn in_line<M: Manage>(threads: usize, pool: &Pool<M>, wait: impl Fn() + Sync) -> Duration {
    let Ok(lease) = pool.get() else { return Duration::ZERO };
    in_line_for(threads, lease, || pool.stats(), wait)
}

fn in_line_for<M: Manage>(
    threads: usize,
    lease: Lease<M>,
    stats: impl Fn() -> Stats,
    wait: impl Fn() + Sync,
) -> Duration {
    let mut began = Instant::now();
    thread::scope(|scope| {
        let running = start(scope, threads, &wait);
        while stats().waiting < running {
            thread::sleep(Duration::from_micros(200));
        }
        // The last one's first moment, in which it may be overtaken.
        thread::sleep(Duration::from_millis(1));
        began = Instant::now();
        drop(lease);
    });
    began.elapsed()
}

/// Threads of which each is woken by the one before, over a channel of its own: what the system asks
/// for it. The time from the first to the end of the last.
fn chain(threads: usize) -> Duration {
    let (first, mut wakened) = mpsc::sync_channel::<()>(1);
    let mut began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            let (next, then) = mpsc::sync_channel(1);
            let wakened = mem::replace(&mut wakened, then);
            let wait = move || _ = wakened.recv().map(|()| next.send(()));
            let _ = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, wait);
        }
        thread::sleep(Duration::from_millis(20));
        began = Instant::now();
        let _ = first.send(());
    });
    began.elapsed()
}

fn on_small_threads(threads: usize, work: impl Fn() + Sync) {
    thread::scope(|scope| _ = start(scope, threads, &work));
}

/// Says how many could be started.
fn start<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    threads: usize,
    work: &'scope (impl Fn() + Sync),
) -> usize {
    let small = || thread::Builder::new().stack_size(STACK);
    (0..threads).filter_map(|_| small().spawn_scoped(scope, work).ok()).count()
}
