//! Handshakes, counted by the server, and who may vouch for it.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use llm_pool::Manage;
use llm_pool::agent::{AgentConfig, AgentManager, RootCerts};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};

use crate::support::*;

pub struct TlsServer {
    pub server: Server,
    /// Of the certificate it vouches for itself with.
    pub pem: String,
    full: Arc<AtomicUsize>,
    resumed: Arc<AtomicUsize>,
}

impl TlsServer {
    pub fn start() -> Self {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        let (full, resumed) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let (count_full, count_resumed) = (full.clone(), resumed.clone());
        let server = Server::accept(move |stream| {
            let tls = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
            let mut stream = StreamOwned::new(tls, stream);
            while read_request(&mut stream)?.is_some() {
                ok(&mut stream, "hello")?;
                stream.flush()?;
                match stream.conn.handshake_kind() {
                    Some(HandshakeKind::Resumed) => count_resumed.fetch_add(1, SeqCst),
                    _ => count_full.fetch_add(1, SeqCst),
                };
            }
            Ok(())
        });
        Self { server, pem: own.cert.pem(), full, resumed }
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}/", self.server.addr.port())
    }

    pub fn trusted(&self) -> AgentConfig {
        config().root_certs(RootCerts::Pem(self.pem.clone().into_bytes()))
    }

    /// Requests that came over connections of full and of resumed handshakes.
    pub fn handshakes(&self) -> (usize, usize) {
        // Counted after the answer was sent.
        self.server.closed_after();
        (self.full.load(SeqCst), self.resumed.load(SeqCst))
    }
}

#[test]
fn twenty_agents_in_turn_cost_one_full_handshake() {
    let tls = TlsServer::start();
    let manager = AgentManager::new(tls.trusted()).unwrap();
    for _ in 0..20 {
        assert_eq!(get(&manager.create().unwrap(), &tls.url()).unwrap(), "hello");
    }
    assert_eq!(tls.handshakes(), (1, 19));
    assert_eq!(tls.server.connections(), 20);
}

#[test]
fn requests_with_settings_of_their_own_resume_handshakes_too() {
    let tls = TlsServer::start();
    let manager = AgentManager::new(tls.trusted()).unwrap();
    for _ in 0..5 {
        let agent = manager.create().unwrap();
        let request = agent.get(tls.url()).config().accept("text/plain").build();
        assert_eq!(request.call().unwrap().into_body().read_to_string().unwrap(), "hello");
    }
    assert_eq!(tls.handshakes(), (1, 4));
}

#[test]
fn a_request_with_tls_settings_of_its_own_gets_those() {
    let (trusted, other) = (TlsServer::start(), TlsServer::start());
    let agent = agent(trusted.trusted());
    get(&agent, &trusted.url()).unwrap();
    let insecure = ureq::tls::TlsConfig::builder().disable_verification(true).build();
    for _ in 0..2 {
        agent.get(other.url()).call().unwrap_err();
        agent.get(other.url()).config().tls_config(insecure.clone()).build().call().unwrap();
    }
}

#[test]
fn a_tls_connection_is_used_again() {
    let tls = TlsServer::start();
    let agent = agent(tls.trusted());
    for _ in 0..3 {
        get(&agent, &tls.url()).unwrap();
    }
    assert_eq!(tls.server.connections(), 1);
}

#[test]
fn a_server_that_nobody_trusted_vouches_for_is_refused() {
    let (tls, other) = (TlsServer::start(), TlsServer::start());
    for config in [config(), other.trusted()] {
        let error = get(&agent(config), &tls.url()).unwrap_err().to_string();
        assert!(error.contains("certificate"), "{error}");
    }
    assert_eq!(tls.handshakes(), (0, 0));
}

#[test]
fn a_server_may_think_over_tls_too() {
    let tls = TlsServer::start();
    let slow = Server::accept({
        let to = tls.server.addr;
        move |client| {
            let server = std::net::TcpStream::connect(to)?;
            let (mut from, mut back) = (client.try_clone()?, client);
            let mut there = server.try_clone()?;
            std::thread::spawn(move || io::copy(&mut from, &mut there));
            // Every answer, handshakes included, is late.
            relay_late(server, &mut back)
        }
    });
    let agent = agent(tls.trusted().read_timeout(std::time::Duration::from_millis(300)));
    let url = format!("https://localhost:{}/", slow.addr.port());
    assert_eq!(get(&agent, &url).unwrap(), "hello");
}

/// Passes everything on, the first flight (the handshake) at once, the next ones late.
fn relay_late(mut from: std::net::TcpStream, to: &mut dyn Write) -> io::Result<()> {
    let mut buf = [0; 16 * 1024];
    let mut asked = false;
    loop {
        let n = io::Read::read(&mut from, &mut buf)?;
        if n == 0 {
            return Ok(());
        }
        if asked {
            pause(400);
        }
        asked = true;
        to.write_all(&buf[..n])?;
    }
}
