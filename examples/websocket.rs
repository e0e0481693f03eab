//! 200 WebSockets by name to two embedded echo servers: a broadcast, then one server is killed, the
//! registry notices and opens its sockets again once the server is back.
//!
//! `cargo run --release --example websocket`

use std::error::Error;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::agent::{AgentConfig, AgentManager, Proxy};
use llm_pool::websocket::{
    CloseReason, Message, Reconnect, SocketStats, WebSocketConfig, WebSockets,
};
use tungstenite::Message as Wire;

const SOCKETS: usize = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let mut servers = [Echo::start("127.0.0.1:0".parse()?)?, Echo::start("127.0.0.1:0".parse()?)?];
    let again = Reconnect::default().first_pause(Duration::from_millis(100));
    let config = WebSocketConfig::default().name("talks").reconnect(again);
    let agents = AgentManager::new(AgentConfig::default().proxy(Proxy::Direct))?;
    let sockets = WebSockets::with_agents(config, &agents)?;

    let began = Instant::now();
    for n in 0..SOCKETS {
        let addr = servers[n % servers.len()].addr;
        sockets.connect(&format!("talk-{n:03}"), format!("ws://{addr}/"))?;
    }
    println!("opened {SOCKETS} sockets to two servers in {:.0?}", began.elapsed());

    let began = Instant::now();
    let done = sockets.broadcast("good morning")?;
    println!("broadcast to {} in {:.1?}", done.sent + done.queued, began.elapsed());
    let echoes = echoes(&sockets, "good morning");
    println!("{echoes} of {SOCKETS} echoes came");

    let report = sockets.check_all();
    println!("checked {}: {} answered", report.checked, report.answered);
    print_table("with both servers", &sockets.stats());

    servers[0].kill();
    println!("\nkilled one server");
    wait(&sockets, "the registry notices", |stats| stats.connecting == SOCKETS / 2)?;
    print_table("with one server", &sockets.stats());

    servers[0] = Echo::start(servers[0].addr)?;
    println!("\nstarted it again");
    wait(&sockets, "all are open again", |stats| stats.connecting == 0)?;
    let done = sockets.broadcast("good evening")?;
    let evening = self::echoes(&sockets, "good evening");
    println!("broadcast to {}, {evening} echoes came", done.sent + done.queued);
    print_table("in the end", &sockets.stats());

    // Closes them all, with a handshake each.
    let began = Instant::now();
    sockets.close();
    println!("\nclosed all in {:.0?}", began.elapsed());
    if (echoes, evening) == (SOCKETS, SOCKETS) { Ok(()) } else { Err("echoes are missing".into()) }
}

/// How many sockets bring this back.
fn echoes(sockets: &WebSockets, text: &str) -> usize {
    let came = |id: &Arc<str>| {
        let mut socket = sockets.get(id).ok()?;
        socket.receive(Duration::from_secs(5)).ok()
    };
    let ids = sockets.ids();
    ids.iter().filter_map(came).filter(|message| *message == Message::from(text)).count()
}

fn wait(
    sockets: &WebSockets,
    what: &str,
    is_done: impl Fn(&SocketStats) -> bool,
) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    while !is_done(&sockets.stats()) {
        if began.elapsed() > Duration::from_secs(20) {
            return Err(format!("{what}: not within 20 s").into());
        }
        thread::sleep(Duration::from_millis(10));
    }
    println!("{what}, after {:.1?}", began.elapsed());
    Ok(())
}

fn print_table(when: &str, stats: &SocketStats) {
    println!("\n{when}");
    let shown = |time: Option<Duration>| time.map_or("-".into(), |time| format!("{time:.0?}"));
    for (what, figure) in [
        ("sockets", format!("{} of {}", stats.total_connections, stats.max_connections)),
        ("open", (stats.total_connections - stats.connecting).to_string()),
        ("being opened", stats.connecting.to_string()),
        ("opened so far", stats.opened.to_string()),
        ("lost", stats.closed(CloseReason::Lost).to_string()),
        ("messages out, in", format!("{}, {}", stats.messages_sent, stats.messages_received)),
        ("bytes out, in", format!("{}, {}", stats.bytes_sent, stats.bytes_received)),
        ("pong p50", shown(stats.ping_p50())),
        ("pong p99", shown(stats.ping_p99())),
    ] {
        println!("  {what:<18}{figure:>14}");
    }
}

/// A server that sends back what comes: a registry is for either side, but this one is made by hand,
/// a thread a connection, so that it can be killed.
struct Echo {
    addr: SocketAddr,
    connections: Arc<Mutex<Vec<TcpStream>>>,
    over: Arc<AtomicBool>,
}

impl Echo {
    fn start(addr: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let listener = TcpListener::bind(addr)?;
        let addr = listener.local_addr()?;
        let (connections, over): (Arc<Mutex<Vec<TcpStream>>>, Arc<AtomicBool>) = Default::default();
        let (list, ended) = (connections.clone(), over.clone());
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let copy = connection.try_clone();
                list.lock().unwrap_or_else(PoisonError::into_inner).extend(copy);
                thread::spawn(move || echo(connection));
            }
        });
        Ok(Self { addr, connections, over })
    }

    /// Cuts all connections without a word.
    fn kill(&self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.addr);
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        for connection in connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn echo(connection: TcpStream) {
    let Ok(mut socket) = tungstenite::accept(connection) else { return };
    while let Ok(message) = socket.read() {
        let is_data = matches!(message, Wire::Text(_) | Wire::Binary(_));
        if is_data && socket.send(message).is_err() {
            return;
        }
    }
    let _ = socket.get_mut().shutdown(Shutdown::Both);
}
