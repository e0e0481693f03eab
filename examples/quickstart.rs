//! The main job: 12 threads share 3 agents, each asks an LLM server one question.
//!
//! Asks an embedded server, offline; or, with `OPENAI_API_KEY` set, OpenAI's, or the one at
//! `OPENAI_BASE_URL` (the part before `/chat/completions`), for `OPENAI_MODEL`.
//!
//! ```sh
//! cargo run --release --example quickstart
//! ```

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, thread};

use llm_pool::agent::{AgentConfig, AgentManager};
use llm_pool::test_server::TestServer;
use llm_pool::{Lease, Pool, PoolConfig};
use serde_json::{Value, json};

const THREADS: usize = 12;
const AGENTS: usize = 3;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quickstart: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Of the kind that crosses threads.
type Failure = Box<dyn Error + Send + Sync>;

fn run() -> Result<(), Failure> {
    let target = Target::from_env()?;
    let whom = if target.embedded.is_some() { "an embedded stand-in for " } else { "" };
    println!("{THREADS} threads share {AGENTS} agents and ask {whom}{}", target.model);
    println!("at {}\n", target.url);

    let manager = AgentManager::new(AgentConfig::default())?;
    let config = PoolConfig::default().name("quickstart").min_idle(AGENTS).max_size(AGENTS);
    let pool = Pool::new(config, manager)?;

    thread::scope(|scope| {
        let asking: Vec<_> = (1..=THREADS)
            .map(|number| {
                let (pool, target) = (&pool, &target);
                scope.spawn(move || ask_and_print(pool, target, number))
            })
            .collect();
        asking.into_iter().try_for_each(|thread| thread.join().unwrap_or(Err("panicked".into())))
    })?;

    let stats = pool.stats();
    println!("\n{stats}");
    println!("mean hold {:.1?}", stats.hold_time / u32::try_from(stats.gets)?.max(1));
    if let Some(server) = &target.embedded {
        let seen = server.stats();
        println!("the server saw {} connections for {} requests", seen.connections, seen.requests);
    }
    Ok(())
}

fn ask_and_print(pool: &Pool<AgentManager>, target: &Target, number: usize) -> Result<(), Failure> {
    let agent = pool.get()?; // waits its turn
    let answer = target.ask(&agent, &format!("Say hello to thread {number}."))?;
    let waited = Lease::waited(&agent).as_millis();
    println!("thread {number:2}, after waiting {waited:3} ms: {answer}");
    Ok(()) // the agent is put back here, with its open connection
}

/// Whom to ask.
struct Target {
    url: String,
    model: String,
    key: Option<String>,
    embedded: Option<TestServer>,
}

impl Target {
    fn from_env() -> Result<Self, Failure> {
        let model = env::var("OPENAI_MODEL").unwrap_or("gpt-4o-mini".into());
        if let Ok(key) = env::var("OPENAI_API_KEY") {
            let base = env::var("OPENAI_BASE_URL").unwrap_or("https://api.openai.com/v1".into());
            let url = format!("{}/chat/completions", base.trim_end_matches('/'));
            return Ok(Self { url, model, key: Some(key), embedded: None });
        }
        let server = TestServer::builder().delay(Duration::from_millis(200)).start()?;
        Ok(Self { url: server.chat_url(), model, key: None, embedded: Some(server) })
    }

    fn ask(&self, agent: &ureq::Agent, prompt: &str) -> Result<String, Failure> {
        let question =
            json!({"model": self.model, "messages": [{"role": "user", "content": prompt}]});
        let mut request = agent.post(&self.url).content_type("application/json");
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let mut response = request
            .send(question.to_string())
            .map_err(|error| format!("cannot reach {}: {error}", self.url))?;
        let body = response.body_mut().read_to_string()?;
        let answer: Value = serde_json::from_str(&body).unwrap_or_default();
        match answer["choices"][0]["message"]["content"].as_str() {
            Some(text) if response.status().is_success() => Ok(text.to_owned()),
            _ => {
                let why = answer["error"]["message"].as_str().unwrap_or("no answer in its body");
                Err(format!("{} answered {}: {why}", self.url, response.status()).into())
            }
        }
    }
}
