//! Items of one's own by model name and provider name: two adapters are kept for each pair, ten are
//! made at most. Cleaned up and checked by hand here, by a clock that the example moves; with the
//! system's both happen in the background.
//!
//! ```sh
//! cargo run --release --example adapters
//! ```

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::agent::{AgentConfig, AgentManager, Check, CheckError, PooledAgent};
use llm_pool::keyed::{AdapterKey, KeyError, KeyedConfig, KeyedPool, Setup};
use llm_pool::test_server::{Reply, TestServer};
use llm_pool::{Manage, ManualClock, PoolConfig, RequestStats, Stats, Terms};
use serde_json::{Value, json};

/// What is pooled: knows how one model of one provider is asked.
struct Adapter {
    agent: PooledAgent,
    url: String,
    model: String,
    asked: usize,
}

impl Adapter {
    fn ask(&mut self, prompt: &str) -> Result<String, Box<dyn Error>> {
        self.asked += 1;
        let question =
            json!({"model": self.model, "messages": [{"role": "user", "content": prompt}]});
        let mut response = self.agent.post(&self.url).send(question.to_string())?;
        let answer: Value = serde_json::from_str(&response.body_mut().read_to_string()?)?;
        let text = answer["choices"][0]["message"]["content"].as_str();
        Ok(text.ok_or("no answer")?.to_owned())
    }
}

/// Makes the adapters of one model, and checks them.
struct Adapters {
    agents: AgentManager,
    url: String,
    model: String,
}

impl Manage for Adapters {
    type Item = Adapter;
    type Error = CheckError;

    fn create(&self) -> Result<Adapter, CheckError> {
        let (agent, url) = (self.agents.create()?, self.url.clone());
        Ok(Adapter { agent, url, model: self.model.clone(), asked: 0 })
    }

    fn check(&self, adapter: &mut Adapter) -> Result<(), CheckError> {
        self.agents.check(&mut adapter.agent)
    }

    /// For the agent to keep to the deadline of a lease.
    fn lend(&self, adapter: &mut Adapter, terms: Terms) {
        self.agents.lend(&mut adapter.agent, terms);
    }

    fn requests(&self) -> RequestStats {
        self.agents.requests()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (alpha, beta) = (TestServer::start()?, TestServer::start()?);
    let bases = [("alpha", alpha.url()), ("beta", beta.url())];
    let bases = bases.map(|(name, url)| (name, format!("{url}/v1")));
    let agents = AgentManager::new(AgentConfig::default())?;
    let time = ManualClock::new();
    let common = PoolConfig::default().name("adapters").min_idle(2).max_size(10);
    let config = KeyedConfig::default().pool(common.clock(time.clock()));
    let pool = KeyedPool::new(config, move |key: &AdapterKey| {
        let known = bases.iter().find(|(name, _)| *name == key.provider());
        let (_, base) = known.ok_or_else(|| KeyError::new(key, "there is no such provider"))?;
        let agents = agents.checking(Check::models(base)).map_err(|e| KeyError::new(key, e))?;
        let url = format!("{base}/chat/completions");
        Ok(Setup::new(Adapters { agents, url, model: key.model().into() }))
    })?;

    let (small, large) = (AdapterKey::new("small", "alpha"), AdapterKey::new("large", "beta"));
    for key in [&small, &large, &small] {
        let mut adapter = pool.get(key)?;
        let answer = adapter.ask("Say hello.")?;
        println!("{key}, question {} to this adapter: {answer}", adapter.asked);
    } // the adapter is put back here
    show(&pool, "Two are kept, and one may have been made for the first caller");

    let leases = (0..10).map(|_| pool.get(&small)).collect::<Result<Vec<_>, _>>()?;
    if let Err(refused) = pool.try_get(&small) {
        println!("\nan eleventh: {refused}");
    }
    show(&pool, "Ten at most");
    drop(leases);

    time.advance(Duration::from_secs(6 * 60)); // idle_timeout is five minutes
    println!("\ncleaned up: {} adapters evicted", pool.clean_up());
    settle(&pool)?;
    show(&pool, "Two of each are left");

    alpha.set_reply(Reply::status(503));
    check(&pool)?;
    show(&pool, "alpha is down: its adapters are set aside as they fail their check");
    if let Err(refused) = pool.get(&small) {
        println!("a get fails at once: {refused}");
    }

    alpha.set_reply(Reply::ok());
    check(&pool)?;
    show(&pool, "alpha is back, and so are they");
    println!("small:alpha answers: {}", pool.get(&small)?.ask("Are you there?")?);

    println!("\nWhat cannot work is refused:");
    for key in [AdapterKey::new("small", "gamma"), AdapterKey::new("", " ")] {
        if let Err(refused) = pool.get(&key) {
            println!("- {refused}");
        }
    }
    Ok(())
}

/// Has every item checked, and waits for it.
fn check(pool: &KeyedPool<AdapterKey, Adapters>) -> Result<(), &'static str> {
    pool.check_all();
    settle(pool)
}

/// Waits until no item is being made or checked, nor due to be.
fn settle(pool: &KeyedPool<AdapterKey, Adapters>) -> Result<(), &'static str> {
    let began = Instant::now();
    loop {
        let Stats { creating, checking, checks_due, .. } = pool.stats().sum;
        if creating + checking == 0 && !checks_due {
            return Ok(());
        }
        if began.elapsed() > Duration::from_secs(20) {
            return Err("checks take too long");
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn show(pool: &KeyedPool<AdapterKey, Adapters>, title: &str) {
    println!("\n{title}:");
    println!("  {:12} {:>4} {:>6} {:>9} {:>8}", "key", "idle", "in use", "unhealthy", "requests");
    let mut keys = pool.stats().keys;
    keys.sort_by(|this, that| this.key.cmp(&that.key));
    for key in keys {
        let (name, requests) = (key.key.to_string(), key.requests.requests);
        let Stats { idle, in_use, unhealthy, .. } = key.pool;
        println!("  {name:12} {idle:>4} {in_use:>6} {unhealthy:>9} {requests:>8}");
    }
}
