//! The embedded server, in a process of its own: the clients' figures are then free of its
//! threads, its allocator and its memory. This is that process; [`crate::child`] is its other end.
//!
//! It prints its URL, then for HTTPS its certificate on one line, then answers each line on its
//! standard input. It stops when that ends, so also when its parent is gone.

use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use llm_pool::test_server::{Connection, Socket, TestServer, TestServerBuilder};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};

use crate::Outcome;

pub fn run(scheme: &str) -> Outcome<()> {
    // Remembering requests would cost time and serve nobody.
    let builder = TestServer::builder().remember(0);
    let handshakes = Arc::new(Handshakes::default());
    let (server, pem) = match scheme {
        "http" => (builder.start()?, None),
        "http-on-one-core" => {
            crate::on_one_core();
            (builder.start()?, None)
        }
        "https" => {
            let (builder, pem) = with_tls(builder, handshakes.clone())?;
            (builder.start()?, Some(pem))
        }
        other => return Err(format!("no such scheme: {other}").into()),
    };

    let mut out = io::stdout();
    writeln!(out, "{}", server.url())?;
    if let Some(pem) = pem {
        writeln!(out, "{}", pem.replace('\n', "|"))?;
    }
    for line in io::stdin().lock().lines() {
        match line?.split_once(' ') {
            None => {
                let stats = server.stats();
                let (full, resumed) = handshakes.counts();
                writeln!(out, "{} {full} {resumed}", stats.connections)?;
            }
            Some((_, millis)) => {
                server.set_delay(Duration::from_millis(millis.parse()?));
                writeln!(out, "done")?;
            }
        }
        out.flush()?;
    }
    Ok(())
}

#[derive(Default)]
struct Handshakes {
    full: AtomicU64,
    resumed: AtomicU64,
}

impl Handshakes {
    fn count(&self, kind: Option<HandshakeKind>) {
        let counter = match kind {
            Some(HandshakeKind::Resumed) => &self.resumed,
            _ => &self.full,
        };
        counter.fetch_add(1, Ordering::SeqCst);
    }

    fn counts(&self) -> (u64, u64) {
        (self.full.load(Ordering::SeqCst), self.resumed.load(Ordering::SeqCst))
    }
}

/// TLS as `rustls` does it by default, with a certificate made out to `localhost` that lasts as
/// long as this process.
fn with_tls(
    builder: TestServerBuilder,
    handshakes: Arc<Handshakes>,
) -> Outcome<(TestServerBuilder, String)> {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)?;
    let config = Arc::new(config);
    let wrap = move |mut socket: Socket| {
        let mut tls = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        handshakes.count(tls.handshake_kind());
        Ok(Box::new(StreamOwned::new(tls, socket)) as Box<dyn Connection>)
    };
    Ok((builder.scheme("https").host("localhost").wrap(wrap), own.cert.pem()))
}
