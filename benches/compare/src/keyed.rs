//! Row 8: what a pool per key costs. A warm look-up, by the same method as row 1, and a thousand keys of
//! two agents each. The library's own figures: the bounds are absolute, and generous on any machine
//! of these years.

use std::process::Command;
use std::time::{Duration, Instant};

use llm_pool::agent::{AgentConfig, AgentManager, Proxy};
use llm_pool::keyed::{KeyedConfig, KeyedPool, ModelKey, Setup};
use llm_pool::{Pool, PoolConfig};

use crate::Outcome;
use crate::report::{Figures, Table, median, millis};
use crate::tls::resident_bytes;

const ROUNDS: usize = 21;
const TURNS: u32 = 100_000;
const KEYS: usize = 1000;
const AGENTS: usize = 2;

pub fn measure(table: &mut Table) -> Outcome<()> {
    look_up(table)?;
    thousand_keys(table)
}

/// Limits and all, beside the same pool without a key.
fn look_up(table: &mut Table) -> Outcome<()> {
    let agents = AgentManager::new(AgentConfig::default().proxy(Proxy::Direct))?;
    let plain = Pool::new(PoolConfig::default(), agents.clone())?;
    let limits = KeyedConfig::default().max_total(100).max_per_host(50).max_open(200);
    let keyed = KeyedPool::new(limits, move |_: &ModelKey| Ok(Setup::new(agents.clone())))?;
    let key = ModelKey::new("openai", "gpt-4o-mini").temperature(0.2);

    let rounds = (0..ROUNDS).map(|_| {
        let plain = nanos_per_turn(|| drop(plain.get()));
        (plain, nanos_per_turn(|| drop(keyed.get(&key))))
    });
    let (plain, keyed): (Vec<_>, Vec<_>) = rounds.unzip();
    let more = median(plain.iter().zip(&keyed).map(|(plain, keyed)| keyed - plain).collect());
    let what = "a warm key, 1 thread: more than the pool itself";
    let (ours, peer) =
        (format!("{:.0} ns", median(keyed)), format!("pool {:.0} ns", median(plain)));
    table.at_most(Figures { row: 8, what, ours, peer }, more, 100.0, " ns");
    Ok(())
}

fn nanos_per_turn(turn: impl Fn()) -> f64 {
    let began = Instant::now();
    (0..TURNS).for_each(|_| turn());
    began.elapsed().as_nanos() as f64 / f64::from(TURNS)
}

type Models = KeyedPool<ModelKey, AgentManager>;

fn thousand_keys(table: &mut Table) -> Outcome<()> {
    let keyed = keyed()?;
    let began = Instant::now();
    ask_for_each(&keyed)?;
    let each = began.elapsed().as_nanos() as f64 / 1e3 / KEYS as f64;
    // In a process of its own: what the rows before have left is used again here.
    let memory = Command::new(std::env::current_exe()?).arg("--as-keyed").output()?;
    let memory: f64 = String::from_utf8(memory.stdout)?.trim().parse()?;

    let note = |what: &str, ours: String| {
        table.note(Figures { row: 8, what, ours, peer: String::new() }, "");
    };
    note("1000 keys of 2 agents: a new key's first get", format!("{each:.0} us"));
    note("the same: memory of a key and its 2 agents", format!("{memory:.1} kB"));
    let mut bounded = |what: &str, found: f64, bound: f64, unit: &str| {
        let figures = Figures { row: 8, what, ours: String::new(), peer: String::new() };
        table.at_most(figures, found, bound, unit);
    };
    let pass = median((0..ROUNDS).map(|_| millis(timed(|| _ = keyed.clean_up()))).collect());
    bounded("the same: one clean-up pass", pass, 5.0, " ms");
    let snapshot = median((0..ROUNDS).map(|_| millis(timed(|| drop(keyed.stats())))).collect());
    bounded("the same: one statistics snapshot", snapshot * 1e3, 200.0, " us");
    Ok(())
}

/// What the process does that shows the memory: prints it, in kB a key.
pub fn memory() -> Outcome<()> {
    let keyed = keyed()?;
    let before = resident_bytes()?;
    ask_for_each(&keyed)?;
    println!("{}", (resident_bytes()? - before) / 1e3 / KEYS as f64);
    Ok(())
}

fn keyed() -> Outcome<Models> {
    let agents = AgentManager::new(AgentConfig::default().proxy(Proxy::Direct))?;
    let config = KeyedConfig::default().pool(PoolConfig::default().min_idle(AGENTS));
    let setup = move |key: &ModelKey| Ok(Setup::new(agents.with_own_totals()).host(key.provider()));
    let keyed = KeyedPool::new(config, setup)?;
    // What is made once is not a key's.
    drop(keyed.get(&ModelKey::new("first", "of all"))?);
    Ok(keyed)
}

/// Over 50 hosts; until all agents are there.
fn ask_for_each(keyed: &Models) -> Outcome<()> {
    for number in 1..KEYS {
        let host = format!("host-{}", number % 50);
        drop(keyed.get(&ModelKey::new(host, format!("model-{number}")))?);
    }
    while keyed.stats().sum.idle < KEYS * AGENTS {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}
