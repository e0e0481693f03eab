//! Rows 13 and 14: what it costs to be watched. The answers of the admin endpoints, and what a get and
//! a put-back cost more with an observer and a log of events. The library's own figures: the bounds
//! are absolute, and generous on any machine of these years.
//!
//! The answers of row 13 are those of [`Admin::handle`], from the request to the bytes of the body,
//! without a connection. `details` has a history that has just begun, as the page asks for what is
//! new since its last look.
//!
//! In row 14 all pools have their histograms, which cannot be switched off. The watched ones also have
//! an [`EventLog`], with it an observer that does nothing, and one that counts gets and put-backs, each
//! by an atomic addition. They take turns in short rounds, and the difference to the bare pool is
//! taken round by round, as in row 8. The target is for what the library adds.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use llm_pool::admin::{Admin, AdminConfig};
use llm_pool::keyed::{KeyedConfig, KeyedPool, ModelKey, Setup};
use llm_pool::ureq::http::Request;
use llm_pool::{EventLog, Observer, Pool, PoolConfig};

use crate::Outcome;
use crate::contender::Numbers;
use crate::report::{Figures, Table, median, millis};

const ROUNDS: usize = 21;
const TURNS: u32 = 100_000;

pub fn answers(table: &mut Table) -> Outcome<()> {
    for (keys, path, bound) in [
        (100, "/v1/pool/stats", Some(1.0)),
        (1000, "/v1/pool/stats", None),
        (100, "/v1/pool/details", None),
        (1000, "/v1/pool/details", None),
    ] {
        let (admin, log) = (admin(keys)?, path.ends_with("details"));
        let request = Request::get(path).header("host", "localhost").body(Vec::new())?;
        let mut bytes = 0;
        let mut timed = || -> Outcome<f64> {
            let began = Instant::now();
            let answer = admin.handle(&request);
            let took = millis(began.elapsed());
            bytes = answer.body().len();
            if answer.status() != 200 {
                Err(format!("{path}: {}", answer.status()).into())
            } else {
                Ok(took)
            }
        };
        // One more, the first: it is the one that adds to the history.
        timed()?;
        let found = median((0..ROUNDS).map(|_| timed()).collect::<Outcome<_>>()?);
        let with = if log { " and 100 events" } else { "" };
        let what = format!("{path}, {keys} keys{with}");
        let ours = format!("{:.0} kB", bytes as f64 / 1e3);
        let figures = Figures { row: 13, what: &what, ours, peer: String::new() };
        match bound {
            Some(bound) => table.at_most(figures, found, bound, " ms"),
            None => table.note(figures, &format!("{found:.2} ms")),
        }
    }
    Ok(())
}

/// Tells of so many keys, each of which was used, over 50 hosts.
fn admin(keys: usize) -> Outcome<Admin> {
    let log = EventLog::default();
    let config = PoolConfig::default().min_idle(2).observer(log.clone());
    let config = KeyedConfig::default().pool(config).max_pools(keys);
    let setup = |key: &ModelKey| Ok(Setup::new(Numbers).host(key.provider()));
    let pool = KeyedPool::new(config, setup)?;
    for number in 0..keys {
        let host = format!("host-{}", number % 50);
        drop(pool.get(&ModelKey::new(host, format!("model-{number}")))?);
    }
    while pool.stats().sum.idle < 2 * keys {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(Admin::new(AdminConfig::default())?.pool("models", pool).events(log))
}

#[derive(Default)]
struct Counting {
    gets: AtomicU64,
    put_backs: AtomicU64,
}

impl Observer for Counting {
    fn got(&self, _: &Arc<str>, _: Duration) {
        self.gets.fetch_add(1, Ordering::Relaxed);
    }

    fn put_back(&self, _: &Arc<str>, _: Duration) {
        self.put_backs.fetch_add(1, Ordering::Relaxed);
    }
}

/// Does nothing: what is left is the cost of telling.
struct Deaf;

impl Observer for Deaf {}

pub fn turns(table: &mut Table) -> Outcome<()> {
    let counted = Arc::new(Counting::default());
    let of = |config: PoolConfig| Pool::new(config.min_idle(8).max_size(8), Numbers);
    let pools = [
        of(PoolConfig::default())?,
        of(PoolConfig::default().observer(EventLog::default()))?,
        of(PoolConfig::default().observer((Deaf, EventLog::default())))?,
        of(PoolConfig::default().observer((counted.clone(), EventLog::default())))?,
    ];
    let rounds: Vec<_> = (0..ROUNDS).map(|_| pools.each_ref().map(nanos_per_turn)).collect();
    let seen = counted.put_backs.load(Ordering::Relaxed);
    if seen != ROUNDS as u64 * u64::from(TURNS) {
        return Err(format!("the observer was told of {seen} put-backs").into());
    }
    let of = |figure: &dyn Fn(&[f64; 4]) -> f64| median(rounds.iter().map(figure).collect());
    let bare = of(&|round| round[0]);
    for (place, what, bound) in [
        (1, "get and put back with a log of events", None),
        (2, "the same and an observer that does nothing", Some(15.0)),
        // Two atomic additions of the observer's own.
        (3, "the same and one that counts both", None),
    ] {
        let (more, ratio) =
            (of(&|round| round[place] - round[0]), of(&|round| round[place] / round[0]));
        let ours = format!("{:.0} ns", of(&|round| round[place]));
        let peer = format!("bare {bare:.0}, {ratio:.2} x");
        let figures = Figures { row: 14, what, ours, peer };
        match bound {
            Some(bound) => table.at_most(figures, more, bound, " ns"),
            None => table.note(figures, &format!("{more:.1} ns")),
        }
    }
    Ok(())
}

fn nanos_per_turn(pool: &Pool<Numbers>) -> f64 {
    let began = Instant::now();
    for _ in 0..TURNS {
        let lease = pool.get().expect("an item within 30 s");
        black_box(&*lease);
    }
    began.elapsed().as_nanos() as f64 / f64::from(TURNS)
}
