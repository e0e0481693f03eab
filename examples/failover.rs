//! One model at three endpoints: one is slow, one dies half-way, and every call is answered.
//!
//! ```sh
//! cargo run --release --example failover
//! ```

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::PoolConfig;
use llm_pool::balance::{BalanceConfig, Endpoint, PeakEwma};
use llm_pool::chat::ChatError;
use llm_pool::keyed::{KeyedConfig, ModelKey};
use llm_pool::llm::{Group, LlmConfig, ModelGroups, Provider};
use llm_pool::test_server::{Reply, TestServer};

const THREADS: usize = 20;
const CALLS: usize = 200;
const FAST: Duration = Duration::from_millis(40);
const SLOW: Duration = Duration::from_millis(400);

/// With how long each takes to answer.
const ENDPOINTS: [(&str, Duration); 3] = [("steady", FAST), ("slow", SLOW), ("dying", FAST)];

fn main() -> Result<(), Box<dyn Error>> {
    let mut config = LlmConfig::default().max_size(THREADS);
    let mut group = Group::default().balance(BalanceConfig::default().strategy(PeakEwma));
    let mut servers = Vec::new();
    for (name, delay) in ENDPOINTS {
        let server = TestServer::builder().delay(delay).start()?;
        config = config.provider(name, Provider::new(format!("{}/v1", server.url())));
        group = group.endpoint(Endpoint::new(name, ModelKey::new(name, "small")));
        servers.push(server);
    }
    let each = PoolConfig::default().name("failover").min_idle(0).max_size(THREADS);
    let pool = config.pools(KeyedConfig::default().pool(each)).build()?;
    let groups = ModelGroups::new(pool, [("small", group)])?;

    println!("{CALLS} calls from {THREADS} threads, three endpoints; one dies half-way\n");
    let next = AtomicUsize::new(0);
    let mut calls: Vec<Result<(u32, Duration), ChatError>> = Vec::new();
    thread::scope(|scope| {
        let call = || {
            let mut made = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= CALLS {
                    return made;
                }
                if number == CALLS / 2 {
                    servers[2].set_reply(Reply::status(503).delay(Duration::ZERO));
                }
                let began = Instant::now();
                let answer = groups.chat("small", format!("Question {number}?"));
                made.push(answer.map(|answer| (answer.tries(), began.elapsed())));
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(call)).collect();
        calls.extend(threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()));
    });

    let answered: Vec<_> = calls.iter().flatten().collect();
    let elsewhere = answered.iter().filter(|(tries, _)| *tries > 1).count();
    let longest = answered.iter().map(|(_, took)| took.as_millis()).max().unwrap_or_default();
    if let Some(stats) = groups.stats("small") {
        println!("{:>8} {:>7} {:>7} {:>7} {:>9}  health", "", "calls", "served", "failed", "mean");
        for it in &stats.endpoints {
            let mean = it.latency.map_or("-".into(), |time| format!("{} ms", time.as_millis()));
            let failed = it.failures.total();
            let (name, health) = (&it.name, &it.health);
            let why = it.why.map_or(String::new(), |why| format!(" ({why})"));
            println!(
                "{name:>8} {:>7} {:>7} {failed:>7} {mean:>9}  {health}{why}",
                it.picks, it.successes
            );
        }
    }
    println!(
        "\n{} of {CALLS} answered, {elsewhere} of them by a second endpoint; the longest took {longest} ms",
        answered.len(),
    );
    for error in calls.iter().filter_map(|call| call.as_ref().err()) {
        println!("not answered: {error}");
    }
    if answered.len() == CALLS { Ok(()) } else { Err("some calls were not answered".into()) }
}
