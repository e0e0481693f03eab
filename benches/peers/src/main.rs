//! One Rust client under load, in a process of its own: `llm-pool-peers CLIENT URL PEM_FILE IN_FLIGHT
//! SECONDS`. So many threads ask for the list of models over and over and read the answers; then one
//! line says what that came to. `run.py` runs this beside clients of Python.
//!
//! All clients have a time limit on the whole request, as any program should, and otherwise their
//! defaults, but that each may keep as many connections as there are threads. HTTPS is by the same
//! `rustls` with the same cryptography.

use std::error::Error;
use std::fs;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::agent::{AgentConfig, AgentManager, Proxy, RootCerts};
use llm_pool::{Pool, PoolConfig};
use rustix::time::{ClockId, clock_gettime};
use ureq::tls::{Certificate, TlsConfig};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;
/// One request; gives the length of the answer.
type Ask = Arc<dyn Fn() -> Outcome<usize> + Send + Sync>;

const TOTAL_TIMEOUT: Duration = Duration::from_secs(60);
/// Enough for each client here, and little enough for hundreds.
const STACK: usize = 512 * 1024;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [client, url, pem, in_flight, seconds] = &args[..] else {
        eprintln!("llm-pool-peers CLIENT URL PEM_FILE IN_FLIGHT SECONDS; see run.py");
        return ExitCode::FAILURE;
    };
    match run(client, url, pem, in_flight, seconds) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{client}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(client: &str, url: &str, pem: &str, in_flight: &str, seconds: &str) -> Outcome<String> {
    let in_flight: usize = in_flight.parse()?;
    let time = Duration::from_secs_f64(seconds.parse()?);
    let pem = if url.starts_with("https") { Some(fs::read(pem)?) } else { None };
    let url = format!("{url}/v1/models");
    let ask = match client {
        "llm-pool" => pool(url, pem, in_flight)?,
        "ureq" => ureq_shared(url, pem, in_flight)?,
        "reqwest" => reqwest_blocking(url, pem, in_flight)?,
        other => return Err(format!("no client is named {other}").into()),
    };
    measure(&ask, in_flight, time)
}

fn pool(url: String, pem: Option<Vec<u8>>, in_flight: usize) -> Outcome<Ask> {
    let mut config = AgentConfig::default().total_timeout(TOTAL_TIMEOUT).proxy(Proxy::Direct);
    if let Some(pem) = pem {
        config = config.root_certs(RootCerts::Pem(pem));
    }
    let pools = PoolConfig::default().min_idle(0_usize).max_size(in_flight);
    let pool = Pool::new(pools, AgentManager::new(config)?)?;
    Ok(Arc::new(move || read(pool.get()?.get(&url).call()?)))
}

fn ureq_shared(url: String, pem: Option<Vec<u8>>, in_flight: usize) -> Outcome<Ask> {
    let mut config = ureq::Agent::config_builder()
        .timeout_global(Some(TOTAL_TIMEOUT))
        .proxy(None)
        .max_idle_connections(in_flight)
        .max_idle_connections_per_host(in_flight);
    if let Some(pem) = pem {
        let certificate = Certificate::from_pem(&pem)?;
        let tls = TlsConfig::builder().root_certs([certificate].into_iter().into()).build();
        config = config.tls_config(tls);
    }
    let agent = ureq::Agent::from(config.build());
    Ok(Arc::new(move || read(agent.get(&url).call()?)))
}

fn read(mut answer: ureq::http::Response<ureq::Body>) -> Outcome<usize> {
    Ok(answer.body_mut().read_to_vec()?.len())
}

fn reqwest_blocking(url: String, pem: Option<Vec<u8>>, in_flight: usize) -> Outcome<Ask> {
    // Another may have been quicker, in a program with others.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::blocking::Client::builder()
        .timeout(TOTAL_TIMEOUT)
        .no_proxy()
        .pool_max_idle_per_host(in_flight);
    if let Some(pem) = pem {
        builder = builder.tls_certs_only([reqwest::Certificate::from_pem(&pem)?]);
    }
    let client = builder.build()?;
    Ok(Arc::new(move || {
        let answer = client.get(&url).send()?.error_for_status()?;
        Ok(answer.bytes()?.len())
    }))
}

/// Each thread asks twice before the time begins, so that all has been made that is made once.
fn measure(ask: &Ask, in_flight: usize, time: Duration) -> Outcome<String> {
    let (ready, over) = (Arc::new(Barrier::new(in_flight + 1)), Arc::new(AtomicBool::new(false)));
    let threads: Vec<_> = (0..in_flight)
        .map(|_| {
            let (ask, ready, over) = (ask.clone(), ready.clone(), over.clone());
            thread::Builder::new().stack_size(STACK).spawn(move || -> Outcome<Vec<u64>> {
                let warm = (0..2).map(|_| ask().map(drop)).collect::<Outcome<Vec<()>>>();
                ready.wait();
                warm?;
                let mut took = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    if ask()? == 0 {
                        return Err("an answer without a body".into());
                    }
                    took.push(u64::try_from(began.elapsed().as_micros())?);
                }
                Ok(took)
            })
        })
        .collect::<Result<_, _>>()?;
    ready.wait();
    let (began, cpu) = (Instant::now(), cpu_seconds());
    thread::sleep(time);
    over.store(true, Ordering::Relaxed);
    let mut took = Vec::new();
    for thread in threads {
        took.extend(thread.join().map_err(|_| "a thread panicked")??);
    }
    let seconds = began.elapsed().as_secs_f64();
    let cpu = cpu_seconds() - cpu;
    took.sort_unstable();
    let at = |share: f64| took.get((took.len() as f64 * share) as usize).copied().unwrap_or(0);
    let (requests, p50, p99) = (took.len(), at(0.5), at(0.99));
    let memory = peak_memory()?;
    Ok(format!(
        r#"{{"requests": {requests}, "seconds": {seconds}, "p50": {p50}, "p99": {p99}, "cpu": {cpu}, "memory": {memory}}}"#
    ))
}

/// The processor time of this process so far, in seconds, of all threads there were.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The most memory this process held, in kilobytes.
fn peak_memory() -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kilobytes.ok_or("no VmHWM")?.parse()?)
}
