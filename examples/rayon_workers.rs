//! Inside rayon: 8 workers, 3 agents. A worker blocks until an agent is free, in line.
//!
//! Take one lease a task and give it back before anything that may run another task on the same
//! stack (`join`, `scope`, a nested `par_iter`): a worker that waits while it holds a lease may be
//! waiting for itself. The pool's documentation tells which size cannot lock up.
//!
//! ```sh
//! cargo run --release --example rayon_workers
//! ```

use std::error::Error;
use std::time::{Duration, Instant};

use llm_pool::agent::{AgentConfig, AgentManager};
use llm_pool::test_server::TestServer;
use llm_pool::{Pool, PoolConfig};
use rayon::prelude::*;
use serde_json::{Value, json};

const WORKERS: usize = 8;
const AGENTS: usize = 3;
const DOCUMENTS: usize = 24;

fn main() -> Result<(), Box<dyn Error>> {
    let server = TestServer::builder().delay(Duration::from_millis(100)).start()?;
    let manager = AgentManager::new(AgentConfig::default())?;
    let config = PoolConfig::default().name("rayon").min_idle(AGENTS).max_size(AGENTS);
    let pool = Pool::new(config, manager)?;
    let workers = rayon::ThreadPoolBuilder::new().num_threads(WORKERS).build()?;

    let began = Instant::now();
    let url = server.chat_url();
    let summaries: Vec<String> = workers.install(|| {
        (1..=DOCUMENTS)
            .into_par_iter()
            .map(|number| summarise(&pool, &url, number).map_err(|error| error.to_string()))
            .collect::<Result<_, String>>()
    })?;
    let took = began.elapsed();

    for summary in &summaries {
        println!("{summary}");
    }
    println!("\n{DOCUMENTS} documents, {WORKERS} workers, {AGENTS} agents: {took:.1?}");
    println!("{}", pool.stats());
    let seen = server.stats();
    println!("most requests in flight at once: {}", seen.max_in_flight);
    Ok(())
}

fn summarise(
    pool: &Pool<AgentManager>,
    url: &str,
    number: usize,
) -> Result<String, Box<dyn Error>> {
    let prompt = format!("Summarise document {number}.");
    let question = json!({"model": "embedded", "messages": [{"role": "user", "content": prompt}]});
    let agent = pool.get()?;
    let body = agent.post(url).send(question.to_string())?.body_mut().read_to_string()?;
    drop(agent); // before the work on the answer: another worker can use it meanwhile
    let answer: Value = serde_json::from_str(&body)?;
    Ok(answer["choices"][0]["message"]["content"].as_str().unwrap_or("no answer").to_owned())
}
