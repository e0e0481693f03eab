//! Clients by provider, model and temperature: 0.2 and 0.8 are two pools, with three clients each
//! made ahead.
//!
//! ```sh
//! cargo run --release --example by_model
//! ```

use std::error::Error;
use std::thread;
use std::time::Duration;

use llm_pool::chat::ChatRequest;
use llm_pool::keyed::ModelKey;
use llm_pool::llm::{LlmConfig, LlmPool, Provider};
use llm_pool::test_server::TestServer;

/// Of the kind that crosses threads.
type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let server = TestServer::builder().delay(Duration::from_millis(50)).start()?;
    let base_url = format!("{}/v1", server.url()); // such as https://api.example.com/v1
    let provider = Provider::new(base_url).api_key("sk-...");
    let pool = LlmConfig::default().provider("example", provider).build()?;

    let careful = ModelKey::new("example", "small").temperature(0.2);
    let playful = ModelKey::new("example", "small").temperature(0.8);

    // Without this the first get of a key would have them made, and not wait for all.
    for key in [&careful, &playful] {
        println!("{key}: {} made and checked ahead", pool.warm_up(key, 3)?);
    }

    {
        let _llm = pool.get(&careful)?;
        println!("inside the block:  {}", counts(&pool, &careful));
    } // the client is put back here
    println!("after the block:   {}\n", counts(&pool, &careful));

    thread::scope(|scope| {
        let asking: Vec<_> = (1..=6)
            .map(|number| {
                let (pool, key) = (&pool, if number % 3 == 0 { &playful } else { &careful });
                scope.spawn(move || ask(pool, key, &format!("Say hello to thread {number}.")))
            })
            .collect();
        asking.into_iter().try_for_each(|thread| {
            println!("{}", thread.join().map_err(|_| "a thread panicked")??);
            Ok::<_, Failure>(())
        })
    })?;

    println!("\n{:36} {:>5} {:>5} {:>9} {:>10}", "key", "gets", "idle", "succeeded", "mean time");
    let mut keys = pool.stats().keys;
    keys.sort_by(|this, that| this.key.cmp(&that.key));
    for key in keys {
        let rate = key.requests.success_rate().unwrap_or_default() * 100.0;
        let mean = key.requests.mean_response_time().unwrap_or_default();
        let (name, counts) = (key.key.to_string(), key.pool);
        println!("{name:36} {:>5} {:>5} {rate:>7.0} % {mean:>10.1?}", counts.gets, counts.idle);
    }

    println!("\nWhat cannot work is refused, and nothing is made for it:");
    for key in [
        ModelKey::new("exmaple", "small"),
        ModelKey::new("example", "small").temperature(f64::NAN),
        ModelKey::new("example", "").temperature(-1.0),
    ] {
        if let Err(refused) = pool.get(&key) {
            println!("- {refused}");
        }
    }
    println!("{} pools were made in all", pool.stats().pools_made);
    Ok(())
}

fn ask(pool: &LlmPool, key: &ModelKey, prompt: &str) -> Result<String, Failure> {
    // Two minutes for everything, the wait for a client included.
    let request = ChatRequest::from(prompt).within(Duration::from_secs(120));
    Ok(format!("{key}: {}", pool.chat(key, request)?.text()))
}

fn counts(pool: &LlmPool, key: &ModelKey) -> String {
    let stats = pool.pool(key).map(|pool| pool.stats()).unwrap_or_default();
    format!("{} in use, {} idle", stats.in_use, stats.idle)
}
