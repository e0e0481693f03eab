//! Row 15 as well: what an idle WebSocket over TLS holds in memory. Its peers, and what they hold, are
//! in this process; the registry is in one of its own.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use llm_pool::agent::{AgentConfig, AgentManager, Proxy, RootCerts};
use llm_pool::websocket::{WebSocketConfig, WebSockets};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::report::{Figures, Table};
use crate::tls::resident_bytes;
use crate::{Outcome, child};

const SOCKETS: usize = 1000;

pub fn measure(table: &mut Table) -> Outcome<()> {
    let (port, pem) = serve()?;
    let kilobytes: f64 = child::run(&["--as-tls-sockets", &port, &pem])?.parse()?;
    let what = format!("{SOCKETS} idle sockets over TLS: memory of each");
    let ours = format!("{kilobytes:.1} kB");
    let figures = Figures { row: 15, what: &what, ours, peer: String::new() };
    table.at_most(figures, kilobytes, 20.0, " kB");
    Ok(())
}

/// The port, and the certificate, of peers that answer pings and closes, by one thread each.
fn serve() -> Outcome<(String, String)> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config =
        ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)?;
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().take(1 + SOCKETS).flatten() {
            let config = config.clone();
            let answers = thread::Builder::new().stack_size(256 * 1024);
            let _ = answers.spawn(move || answer(stream, config));
        }
    });
    Ok((port, made.cert.pem()))
}

fn answer(stream: TcpStream, config: Arc<ServerConfig>) -> Outcome<()> {
    stream.set_nodelay(true)?;
    let tls = StreamOwned::new(ServerConnection::new(config)?, stream);
    let mut socket = tungstenite::accept(tls)?;
    loop {
        // It answers by itself.
        socket.read()?;
    }
}

/// In its own process: prints the kilobytes of each socket, once each was pinged.
pub fn memory(port: &str, pem: &str) -> Outcome<()> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let roots = RootCerts::Pem(pem.as_bytes().to_vec());
    let agents = AgentConfig::default().proxy(Proxy::Direct).root_certs(roots);
    let day = Duration::from_secs(24 * 3600);
    let config = WebSocketConfig::default().max_connections(1 + SOCKETS).check_interval(None);
    let config = config.read_interval(day).close_timeout(Duration::from_millis(1));
    let sockets = WebSockets::with_agents(config, &AgentManager::new(agents)?)?;
    let url = format!("wss://localhost:{port}/");
    // What all share is there with the first.
    sockets.connect("first", url.clone())?;
    let before = resident_bytes()?;
    for n in 0..SOCKETS {
        sockets.connect(&n.to_string(), url.clone())?;
    }
    let report = sockets.check_all();
    if report.answered != 1 + SOCKETS {
        return Err(format!("{report:?}").into());
    }
    println!("{}", (resident_bytes()? - before) / SOCKETS as f64 / 1e3);
    Ok(())
}
