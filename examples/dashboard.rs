//! The status page under load: two groups over four embedded servers, one of them sick now and then, and
//! some WebSockets.
//!
//! ```sh
//! cargo run --release --example dashboard -- --seconds 0 # for ever; open the address it prints
//! ```
//!
//! Without `--seconds` it runs for 5. The load rises and falls, so that callers wait; one server asks
//! to be left alone every twenty seconds, and another has its connections cut. With `--port` the page
//! is at a port that you choose; the token for its actions is `a-token-for-the-page`.

use std::error::Error;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::admin::{Admin, AdminConfig};
use llm_pool::balance::{BalanceConfig, Cooldown, Endpoint, Limits, PeakEwma};
use llm_pool::chat::ChatRequest;
use llm_pool::keyed::{KeyedConfig, ModelKey};
use llm_pool::llm::{Group, LlmConfig, ModelGroups, Provider};
use llm_pool::metrics::Metrics;
use llm_pool::test_server::{Fault, Reply, TestServer};
use llm_pool::websocket::{Side, WebSocketConfig, WebSockets};
use llm_pool::{EventLog, PoolConfig};

const THREADS: usize = 60;

const SOCKETS: usize = 24;

/// With how long each takes to answer.
const ENDPOINTS: [(&str, u64); 4] =
    [("rack-1", 180), ("rack-2", 260), ("paid", 90), ("spare", 400)];

/// What the calls came to.
#[derive(Default)]
struct Came {
    answered: AtomicUsize,
    failed: AtomicUsize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let (seconds, port) = arguments()?;
    let events = EventLog::default();
    let (groups, servers) = groups(&events)?;
    let (sockets, peers) = sockets(&events)?;
    let config =
        AdminConfig::default().listen(([127, 0, 0, 1], port)).token("a-token-for-the-page");
    let admin = Admin::new(config)?.pool("models", groups.pool().clone()).groups(groups.clone());
    let metrics = Metrics::new().pool("models", groups.pool().clone());
    let metrics = metrics.groups("groups", groups.clone()).sockets("talks", sockets.clone());
    let admin = admin
        .sockets("talks", sockets.clone())
        .events(events)
        .metrics(move || metrics.text())
        .serve()?;
    match seconds {
        0 => println!("{} shows the pools until you press Ctrl-C", admin.url()),
        _ => println!("{} shows the pools for {seconds} s", admin.url()),
    }

    let (came, stop, began) = (Came::default(), AtomicBool::new(false), Instant::now());
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (groups, came, stop) = (&groups, &came, &stop);
            scope.spawn(move || call(number, groups, began, came, stop));
        }
        for number in 0..SOCKETS {
            let (sockets, stop) = (&sockets, &stop);
            scope.spawn(move || talk(number, sockets, stop));
        }
        while seconds == 0 || began.elapsed() < Duration::from_secs(seconds) {
            thread::sleep(Duration::from_millis(100));
            trouble(&servers, began.elapsed());
            echo(&peers);
        }
        stop.store(true, Ordering::Relaxed);
    });

    let pool = groups.pool();
    println!("\n{}", pool.stats());
    pool.advice().iter().for_each(|advice| println!("{advice}"));
    let (answered, failed) = (came.answered.into_inner(), came.failed.into_inner());
    println!("\n{answered} calls answered, {failed} not");
    let page = llm_pool::ureq::get(admin.url()).call()?.body_mut().read_to_string()?;
    admin.stop();
    if answered > 0 && page.contains("llm-pool") { Ok(()) } else { Err("nothing was shown".into()) }
}

/// How long to run, and where to listen.
fn arguments() -> Result<(u64, u16), Box<dyn Error>> {
    let (mut seconds, mut port) = (5, 0);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or("an option has no value")?;
        match word.as_str() {
            "--seconds" => seconds = value.parse()?,
            "--port" => port = value.parse()?,
            _ => return Err(format!("{word} is not known; --seconds and --port are").into()),
        }
    }
    Ok((seconds, port))
}

fn groups(events: &EventLog) -> Result<(ModelGroups, Vec<TestServer>), Box<dyn Error>> {
    let each =
        PoolConfig::default().name("models").min_idle(1).max_size(12).observer(events.clone());
    let each = each.wait_timeout(Duration::from_millis(1500));
    let pools = KeyedConfig::default().pool(each).max_total(40);
    let (mut config, mut servers) = (LlmConfig::default().pools(pools), Vec::new());
    for (name, delay) in ENDPOINTS {
        let server = TestServer::builder().delay(Duration::from_millis(delay)).start()?;
        config = config.provider(name, Provider::new(format!("{}/v1", server.url())));
        servers.push(server);
    }
    let balance = || {
        let cooldown = Cooldown::default().base_rest(Duration::from_secs(4));
        let config = BalanceConfig::default().strategy(PeakEwma).cooldown(cooldown);
        config.observer(events.clone())
    };
    let endpoint = |name: &str, model: &str| Endpoint::new(name, ModelKey::new(name, model));
    let limits = Limits::default().max_in_use(6).requests_per_minute(3000);
    let large = Group::default()
        .balance(balance())
        .endpoint(endpoint("rack-1", "large"))
        .endpoint(endpoint("rack-2", "large"))
        .endpoint(endpoint("paid", "large").limits(limits))
        .wait_timeout(Duration::from_millis(1500));
    let small = Group::default()
        .balance(balance())
        .endpoint(endpoint("rack-1", "small"))
        .endpoint(endpoint("spare", "small"))
        .wait_timeout(Duration::from_millis(1500));
    let groups = ModelGroups::new(config.build()?, [("large", large), ("small", small)])?;
    Ok((groups, servers))
}

/// One thread: asks while the load is high enough for it, sometimes a model itself, whose pool has
/// then more callers than items.
fn call(number: usize, groups: &ModelGroups, began: Instant, came: &Came, stop: &AtomicBool) {
    let direct = ModelKey::new("spare", "small");
    while !stop.load(Ordering::Relaxed) {
        // Waves of half a minute, from a sixth of the threads to all of them.
        let phase = (began.elapsed().as_secs_f64() / 30.0 + 0.3) * std::f64::consts::TAU;
        let wanted = THREADS as f64 * (0.58 - 0.42 * phase.cos());
        if number as f64 > wanted {
            thread::sleep(Duration::from_millis(100));
            continue;
        }
        let request = ChatRequest::from("How is the weather?").within(Duration::from_secs(4));
        let answered = match number % 10 {
            // Some have no patience: these are the waits that time out.
            5 => groups.pool().get_timeout(&direct, Duration::from_millis(200)).is_ok(),
            0 | 1 | 6 => groups.pool().chat(&direct, request).is_ok(),
            2 | 7 => groups.chat("small", request).is_ok(),
            _ => groups.chat("large", request).is_ok(),
        };
        let count = if answered { &came.answered } else { &came.failed };
        count.fetch_add(1, Ordering::Relaxed);
        if number % 10 == 5 {
            thread::sleep(Duration::from_secs(1));
        } else if !answered {
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A registry, and the one with the other ends of its sockets.
fn sockets(events: &EventLog) -> Result<(WebSockets, WebSockets), Box<dyn Error>> {
    let config = WebSocketConfig::default().max_connections(2 * SOCKETS).observer(events.clone());
    // So that pings are seen at work.
    let sockets = WebSockets::new(config.check_interval(Duration::from_secs(2)))?;
    let peers = WebSocketConfig::default().read_interval(Duration::from_millis(100));
    let peers = WebSockets::new(peers.idle_timeout(None))?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    for number in 0..SOCKETS {
        let id = format!("visitor-{number:02}");
        let near = TcpStream::connect(listener.local_addr()?)?;
        sockets.add(&id, sockets.wrap(near, Side::Client)?)?;
        peers.add(&id, peers.wrap(listener.accept()?.0, Side::Server)?)?;
    }
    Ok((sockets, peers))
}

/// Sends back what came.
fn echo(peers: &WebSockets) {
    for id in peers.ids() {
        let Ok(mut peer) = peers.try_get(&id) else { continue };
        while let Ok(Some(message)) = peer.try_receive() {
            let _ = peer.send(message);
        }
    }
}

/// One thread: holds a socket for a while now and then, three threads the same one.
fn talk(number: usize, sockets: &WebSockets, stop: &AtomicBool) {
    let id = format!("visitor-{:02}", number / 3 * 3);
    while !stop.load(Ordering::Relaxed) {
        // One that was closed by the page is gone.
        let Ok(mut socket) = sockets.get(&id) else { return };
        while let Ok(Some(_)) = socket.try_receive() {}
        if socket.send("How is the weather?").is_err() {
            return;
        }
        thread::sleep(Duration::from_millis(300));
        drop(socket);
        thread::sleep(Duration::from_millis(500 + 70 * (number % 5) as u64));
    }
}

/// What goes wrong, and when.
fn trouble(servers: &[TestServer], elapsed: Duration) {
    let (Some(second), Some(paid)) = (servers.get(1), servers.get(2)) else { return };
    let tenths = elapsed.as_millis() / 100;
    if tenths % 200 == 20 {
        paid.plan(Reply::status(429).retry_after(Duration::from_secs(6)));
    }
    if tenths % 300 == 100 {
        second.plan(Reply::fault(Fault::CloseBeforeAnswer).times(12));
    }
}
