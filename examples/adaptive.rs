//! How many calls at one time does a server take? It serves 20 and refuses more; nobody told us.
//!
//! ```sh
//! cargo run --release --example adaptive
//! ```

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::balance::{Adaptive, Endpoint, Limits};
use llm_pool::keyed::ModelKey;
use llm_pool::llm::{Group, LlmConfig, ModelGroups, Provider};
use llm_pool::test_server::TestServer;

const THREADS: usize = 60;
const CALLS: usize = 2000;
const AT_ONCE: usize = 20;
const ANSWER: Duration = Duration::from_millis(40);

fn main() -> Result<(), Box<dyn Error>> {
    let server = TestServer::builder().max_at_once(AT_ONCE).delay(ANSWER).start()?;
    let provider = Provider::new(format!("{}/v1", server.url()));
    let pool = LlmConfig::default().provider("own", provider).max_size(THREADS).build()?;
    let limits = Limits::default().adaptive(Adaptive::default());
    let endpoint = Endpoint::new("own", ModelKey::new("own", "small")).limits(limits);
    let groups = ModelGroups::new(pool, [("small", Group::default().endpoint(endpoint))])?;

    println!("{CALLS} calls from {THREADS} threads; the server takes {AT_ONCE} at one time\n");
    println!("{:>6} {:>8} {:>14} {:>8}", "calls", "refused", "at most", "waiting");
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while next.fetch_add(1, Ordering::Relaxed) < CALLS {
                    if let Err(error) = groups.chat("small", "Why pool connections?") {
                        println!("{error}");
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let mut shown = 0;
        while shown < CALLS {
            let (seen, Some(stats)) = (server.stats(), groups.stats("small")) else { break };
            let Some(own) = stats.endpoints.first() else { break };
            let done = own.successes as usize;
            if done >= shown {
                let most = own.max_in_use.unwrap_or_default();
                println!(
                    "{done:>6} {:>8} {most:>3} at one time {:>8}",
                    seen.refused, stats.waiting
                );
                shown += if shown < 200 { 50 } else { 300 };
            }
            thread::sleep(Duration::from_millis(2));
        }
    });

    let (took, refused) = (began.elapsed(), server.stats().refused);
    let share = 100.0 * refused as f64 / server.stats().requests as f64;
    let best = ANSWER * (CALLS / AT_ONCE) as u32;
    println!(
        "\n{refused} calls refused ({share:.1} %) and tried again; {took:.1?} in all, at best {best:.1?}"
    );
    match failed.into_inner() {
        0 => Ok(()),
        failed => Err(format!("{failed} calls were not answered").into()),
    }
}
