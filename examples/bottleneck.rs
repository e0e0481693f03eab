//! 500 threads call one slow server, each with 1.2 s for everything: first through a limit that is
//! too small, then as the pool itself advises.
//!
//! `cargo run --release --example bottleneck`

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::agent::{AgentConfig, CheckError, OriginPool};
use llm_pool::keyed::{KeyedConfig, LimitOf, Origin};
use llm_pool::test_server::TestServer;
use llm_pool::{GetError, Lease, PoolConfig, SharedLimit};

const THREADS: usize = 500;
const ANSWER: Duration = Duration::from_millis(400);
const DEADLINE: Duration = Duration::from_millis(1200);

fn main() -> Result<(), Box<dyn Error>> {
    let server = TestServer::start()?;
    server.set_delay(ANSWER);
    let url = server.url();
    println!(
        "{THREADS} threads, answers of {ANSWER:?}, {DEADLINE:?} for the wait and the call together"
    );

    let common = PoolConfig::default().name("bottleneck").max_size(1000).min_idle(0);
    let config = KeyedConfig::default().pool(common).max_per_host(30);
    let pool = OriginPool::new(config, AgentConfig::default())?;

    println!("\nmax_per_host 30");
    Table::of(run(&pool, url)).print();

    let advice = pool.pools().advice();
    println!("\nthe pool advises:");
    for one in &advice {
        println!("  {one}");
        match &one.limit {
            LimitOf::Host(host) => pool.pools().set_max_of_host(host, one.to)?,
            LimitOf::Key(origin) => resize(&pool, origin, one.to)?,
            _ => pool.pools().set_max_total(one.to)?,
        }
    }

    println!("\nas advised");
    Table::of(run(&pool, url)).print();
    Ok(())
}

fn resize(pool: &OriginPool, origin: &Origin, max_size: usize) -> Result<(), Box<dyn Error>> {
    if let Some(pool) = pool.pools().pool(origin) {
        pool.resize(max_size)?;
    }
    Ok(())
}

/// What became of one call, and where its time went.
struct Outcome {
    kind: Kind,
    waited: Duration,
    called: Duration,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Answered,
    /// The deadline came in the call.
    CutOff,
    /// The deadline came before there was an agent.
    KeptByHost,
    KeptOtherwise,
}

fn run(pool: &OriginPool, url: &str) -> Vec<Outcome> {
    thread::scope(|scope| {
        let calls: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| call(pool, url))).collect();
        calls.into_iter().filter_map(|call| call.join().ok()).collect()
    })
}

fn call(pool: &OriginPool, url: &str) -> Outcome {
    let began = Instant::now();
    match pool.get_within(url, DEADLINE) {
        Ok(agent) => {
            let waited = Lease::waited(&agent);
            let answer = agent.get(format!("{url}/v1/models")).call();
            let read = answer.and_then(|mut answer| answer.body_mut().read_to_string());
            let kind = if read.is_ok() { Kind::Answered } else { Kind::CutOff };
            Outcome { kind, waited, called: began.elapsed().saturating_sub(waited) }
        }
        Err(error) => {
            Outcome { kind: kept_by(&error), waited: began.elapsed(), called: Duration::ZERO }
        }
    }
}

fn kept_by(error: &GetError<CheckError>) -> Kind {
    match error {
        GetError::Timeout { picture, .. } => match picture.shared_limit {
            Some(SharedLimit::Host { .. }) => Kind::KeptByHost,
            _ => Kind::KeptOtherwise,
        },
        _ => Kind::KeptOtherwise,
    }
}

/// How many calls ended in which way, and their mean times.
struct Table(Vec<Outcome>);

impl Table {
    fn of(outcomes: Vec<Outcome>) -> Self {
        Self(outcomes)
    }

    fn print(&self) {
        println!("  {:<36} {:>6} {:>12} {:>12}", "", "calls", "mean wait", "mean call");
        self.line("answered", Kind::Answered);
        self.line("agent came too late for the answer", Kind::CutOff);
        self.line("time over waiting for max_per_host", Kind::KeptByHost);
        self.line("no agent for another reason", Kind::KeptOtherwise);
    }

    fn line(&self, name: &str, kind: Kind) {
        let of_kind: Vec<_> = self.0.iter().filter(|outcome| outcome.kind == kind).collect();
        let mean = |part: fn(&Outcome) -> Duration| {
            let sum: Duration = of_kind.iter().map(|outcome| part(outcome)).sum();
            sum / u32::try_from(of_kind.len().max(1)).unwrap_or(u32::MAX)
        };
        let (waited, called) = (mean(|o| o.waited), mean(|o| o.called));
        println!("  {name:<36} {:>6} {waited:>12.1?} {called:>12.1?}", of_kind.len());
    }
}
