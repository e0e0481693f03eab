//! Row 9: three hosts share a total of 3 leases, held for 20 ms each. One host has 150 threads, the
//! others have 3: at their fair share, one lease a host, they would wait for two others each. The
//! same three threads with a pool of one item, at the same time, show what that is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::keyed::{KeyedConfig, KeyedPool, Setup};
use llm_pool::{Lease, PoolConfig};

use crate::Outcome;
use crate::contender::Numbers;
use crate::report::{Figures, Table, millis};

const HOLD: Duration = Duration::from_millis(20);
const RUN: Duration = Duration::from_secs(2);
const BUSY: usize = 150;
const OTHERS: usize = 3;

type Hosts = KeyedPool<&'static str, Numbers>;

pub fn measure(table: &mut Table) -> Outcome<()> {
    let shared = hosts(KeyedConfig::default().max_total(3))?;
    let alone = hosts(KeyedConfig::default().max_total(1))?;
    let stop = AtomicBool::new(false);
    let (busy, others, alone) = thread::scope(|scope| {
        let run = |pool, host, threads| -> Vec<_> {
            let stop = &stop;
            (0..threads).map(|_| scope.spawn(move || worst_wait(pool, host, stop))).collect()
        };
        let busy = run(&shared, "busy", BUSY);
        // The queue stands before the others come.
        thread::sleep(HOLD * 5);
        let others = [run(&shared, "second", OTHERS), run(&shared, "third", OTHERS)];
        let alone = run(&alone, "alone", OTHERS);
        thread::sleep(RUN);
        stop.store(true, Ordering::Relaxed);
        let worst = |threads: Vec<thread::ScopedJoinHandle<'_, Duration>>| {
            threads.into_iter().map(|thread| thread.join().expect("a thread that ends well")).max()
        };
        let [second, third] = others.map(worst);
        (worst(busy), second.max(third), worst(alone))
    });
    let [busy, others, alone] = [busy, others, alone].map(|wait| millis(wait.unwrap_or_default()));

    let what = "3 hosts, one 50 times as busy: others' worst wait";
    let (ours, peer) = (format!("{others:.0} ms"), format!("alone {alone:.0} ms"));
    table.at_most(Figures { row: 9, what, ours, peer }, others / alone, 2.0, " x");
    let what = "the same: the busy one's worst wait";
    let ours = format!("{busy:.0} ms");
    table.note(Figures { row: 9, what, ours, peer: String::new() }, "");
    Ok(())
}

fn hosts(config: KeyedConfig) -> Outcome<Hosts> {
    let common = PoolConfig::default().max_size(200).min_idle(0).nearly_full(None).slow_wait(None);
    Ok(KeyedPool::new(config.pool(common), |_: &&'static str| Ok(Setup::new(Numbers)))?)
}

fn worst_wait(pool: &Hosts, host: &'static str, stop: &AtomicBool) -> Duration {
    let mut worst = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let Ok(lease) = pool.get(&host) else { continue };
        worst = worst.max(began.elapsed());
        thread::sleep(HOLD);
        drop::<Lease<_>>(lease);
    }
    worst
}
