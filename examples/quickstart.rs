//! The main job: 12 threads share 3 clients, each asks a model one question.
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

use llm_pool::PoolConfig;
use llm_pool::keyed::{KeyedConfig, ModelKey};
use llm_pool::llm::{LlmConfig, LlmPool, Provider};
use llm_pool::test_server::TestServer;

const THREADS: usize = 12;
const CLIENTS: usize = 3;

/// Of the kind that crosses threads.
type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quickstart: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let (provider, embedded) = provider()?;
    let model = env::var("OPENAI_MODEL").unwrap_or("gpt-4o-mini".into());
    let whom = if embedded.is_some() { "an embedded stand-in for " } else { "" };
    println!("{THREADS} threads share {CLIENTS} clients and ask {whom}{model}\n");

    let each = PoolConfig::default().name("quickstart").max_size(CLIENTS);
    let pools = KeyedConfig::default().pool(each);
    let pool = LlmConfig::default().pools(pools).provider("openai", provider).build()?;
    let key = ModelKey::new("openai", model).temperature(0.2);

    thread::scope(|scope| {
        let asking: Vec<_> = (1..=THREADS)
            .map(|number| {
                let (pool, key) = (&pool, &key);
                scope.spawn(move || ask_and_print(pool, key, number))
            })
            .collect();
        asking.into_iter().try_for_each(|thread| thread.join().unwrap_or(Err("panicked".into())))
    })?;

    for of in pool.stats().keys {
        println!("\n{}\n  {}\n  {}", of.key, of.pool, of.requests);
    }
    if let Some(server) = embedded {
        let seen = server.stats();
        println!(
            "  the server saw {} connections for {} requests",
            seen.connections, seen.requests
        );
    }
    Ok(())
}

fn ask_and_print(pool: &LlmPool, key: &ModelKey, number: usize) -> Result<(), Failure> {
    // Waits its turn for a client, and has given it back when it returns.
    let reply = pool.chat(key, format!("Say hello to thread {number}."))?;
    let (waited, tokens) = (reply.timing().waited.as_millis(), reply.usage().total());
    println!("thread {number:2} waited {waited:3} ms: {} ({tokens} tokens)", reply.text());
    Ok(())
}

/// Whom to ask. An embedded server lives as long as it is held.
fn provider() -> Result<(Provider, Option<TestServer>), Failure> {
    if let Ok(key) = env::var("OPENAI_API_KEY") {
        let openai = Provider::openai(key);
        return Ok(match env::var("OPENAI_BASE_URL") {
            Ok(base_url) => (openai.base_url(base_url), None),
            Err(_) => (openai, None),
        });
    }
    let server = TestServer::builder().delay(Duration::from_millis(200)).start()?;
    Ok((Provider::new(format!("{}/v1", server.url())), Some(server)))
}
