//! Row 5: what pooled agents are worth beside the obvious thing, one `ureq::Agent` shared by all
//! threads.
//!
//! Each thread asks for the list of models, a small GET, over and over, and reads the answers.
//! Both sides have a time limit on the whole request, as any program should, and otherwise their
//! defaults: the shared agent then starts a thread for every request, to look up the host's
//! addresses, even of one that is an address, and keeps at most three idle connections to a host.
//! Both are among what a pool of agents cures.
//!
//! Measured for a host that is an address and for one that is a name. A single thread is measured
//! with client and server on one core: with a core each, most of the time of an exchange goes into
//! waking the other core from its sleep, twice, which on a virtual machine costs more than the
//! request and hides both contenders alike. That figure stands beside it without a target, and so
//! does a small chat request: the server shares the machine, and reading and writing its JSON
//! weighs on both sides. The contenders take turns, and both keep what they have (connections,
//! addresses) from slice to slice. The server counts the connections.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::agent::{AgentConfig, AgentManager, Proxy};
use llm_pool::{Pool, PoolConfig};

use crate::Outcome;
use crate::child::Server;
use crate::report::{Figures, Table, median};

const TOTAL_TIMEOUT: Duration = Duration::from_secs(60);
/// Many and short: where the scheduler puts client and server differs from one to the next, and
/// does more to the figures than anything else.
const SLICES: usize = 15;
const SLICE: Duration = Duration::from_millis(100);

pub fn measure(table: &mut Table) -> Outcome<()> {
    let one_core = thread::spawn(|| -> Outcome<Vec<Found>> {
        crate::on_one_core();
        let mut server = Server::http_on_one_core()?;
        let urls = Urls::of(&server);
        [&urls.address, &urls.name]
            .map(|url| compare(&mut server, 1, |agent| list_models(agent, url)))
            .into_iter()
            .collect()
    });
    let one_core = one_core.join().map_err(|_| "the measurement on one core panicked")??;
    for (host, found) in ["127.0.0.1", "localhost"].iter().zip(one_core) {
        found.hold_to(table, &format!("HTTP, {host}, 1 thread, one core; requests"), 1, 1.8);
    }

    let mut server = Server::http()?;
    let urls = Urls::of(&server);
    let found = compare(&mut server, 1, |agent| list_models(agent, &urls.address))?;
    found.note(table, "  a core each instead, 127.0.0.1");
    for (host, url) in [("127.0.0.1", &urls.address), ("localhost", &urls.name)] {
        let found = compare(&mut server, 16, |agent| list_models(agent, url))?;
        found.hold_to(table, &format!("HTTP, {host}, 16 threads; requests"), 16, 6.0);
    }
    for threads in [1, 16] {
        let found = compare(&mut server, threads, |agent| chat(agent, &urls.address))?;
        found.note(table, &format!("  a chat request instead, threads: {threads}"));
    }
    Ok(())
}

struct Urls {
    address: String,
    name: String,
}

impl Urls {
    fn of(server: &Server) -> Self {
        let address = server.url.clone();
        let name = address.replace("127.0.0.1", "localhost");
        Self { address, name }
    }
}

struct Found {
    /// Requests per second.
    ours: f64,
    peer: f64,
    ratio: f64,
    our_connections: u64,
    peer_connections: u64,
}

impl Found {
    fn hold_to(&self, table: &mut Table, what: &str, agents: u64, bound: f64) {
        table.at_least(self.rates(what), self.ratio, bound, " x");
        table.exactly(self.connections(), self.our_connections, agents, "");
    }

    fn note(&self, table: &mut Table, what: &str) {
        table.note(self.rates(what), &format!("{:.2} x", self.ratio));
    }

    fn rates<'a>(&self, what: &'a str) -> Figures<'a> {
        let (ours, peer) = (format!("{:.0} /s", self.ours), format!("ureq {:.0} /s", self.peer));
        Figures { row: 5, what, ours, peer }
    }

    fn connections(&self) -> Figures<'static> {
        let what = "  new connections, by as many agents";
        let peer = format!("ureq {}", self.peer_connections);
        Figures { row: 5, what, ours: self.our_connections.to_string(), peer }
    }
}

fn compare(
    server: &mut Server,
    threads: usize,
    ask: impl Fn(&ureq::Agent) -> Outcome<()> + Sync,
) -> Outcome<Found> {
    let config = AgentConfig::default().total_timeout(TOTAL_TIMEOUT).proxy(Proxy::Direct);
    let pool = Pool::new(
        PoolConfig::default().min_idle(0_usize).max_size(threads),
        AgentManager::new(config)?,
    )?;
    let config = ureq::Agent::config_builder().timeout_global(Some(TOTAL_TIMEOUT)).proxy(None);
    let shared = ureq::Agent::from(config.build());

    // All agents of the pool at once, so that each has made its connection, which count below.
    let before = server.counts()?.connections;
    all_at_once(threads, |start| {
        let agent = pool.get()?;
        start.wait();
        ask(&agent)
    })?;
    let mut our_connections = server.counts()?.connections - before;
    let mut peer_connections = 0;
    let (mut ours, mut peer, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..SLICES {
        let before = server.counts()?.connections;
        let our_rate = requests_per_second(threads, || ask(&*pool.get()?))?;
        let between = server.counts()?.connections;
        let peer_rate = requests_per_second(threads, || ask(&shared))?;
        our_connections += between - before;
        peer_connections += server.counts()?.connections - between;
        ours.push(our_rate);
        peer.push(peer_rate);
        ratios.push(our_rate / peer_rate);
    }
    let (ours, peer, ratio) = (median(ours), median(peer), median(ratios));
    Ok(Found { ours, peer, ratio, our_connections, peer_connections })
}

fn list_models(agent: &ureq::Agent, url: &str) -> Outcome<()> {
    let answer = agent.get(format!("{url}/v1/models")).call()?.body_mut().read_to_string()?;
    if answer.contains("\"list\"") { Ok(()) } else { Err(answer.into()) }
}

fn chat(agent: &ureq::Agent, url: &str) -> Outcome<()> {
    const CHAT: &str = r#"{"model":"small","messages":[{"role":"user","content":"Hello?"}]}"#;
    let request = agent.post(format!("{url}/v1/chat/completions"));
    let request = request.header("content-type", "application/json");
    let answer = request.send(CHAT)?.body_mut().read_to_string()?;
    if answer.contains("You said: Hello?") { Ok(()) } else { Err(answer.into()) }
}

fn requests_per_second(threads: usize, ask: impl Fn() -> Outcome<()> + Sync) -> Outcome<f64> {
    let over = AtomicBool::new(false);
    let began = Instant::now();
    let counts = thread::scope(|scope| {
        let over = &over;
        scope.spawn(move || {
            thread::sleep(SLICE);
            over.store(true, Ordering::Relaxed);
        });
        all_at_once(threads, |start| {
            start.wait();
            let mut done = 0_u64;
            while !over.load(Ordering::Relaxed) {
                ask()?;
                done += 1;
            }
            Ok(done)
        })
    })?;
    Ok(counts.iter().sum::<u64>() as f64 / began.elapsed().as_secs_f64())
}

/// Runs `work` on so many threads, with a barrier to start them together.
fn all_at_once<T: Send>(
    threads: usize,
    work: impl Fn(&Barrier) -> Outcome<T> + Sync,
) -> Outcome<Vec<T>> {
    let start = Barrier::new(threads);
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(&start))).collect();
        running.into_iter().map(|thread| thread.join().expect("a thread that ends well")).collect()
    })
}
