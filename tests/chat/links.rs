//! Connections that are none: TLS to what speaks none, the reverse, and certificates of strangers.

use std::io;
use std::io::{Read, Write};
use std::sync::Arc;

use llm_pool::agent::RootCerts;
use llm_pool::chat::{ErrorKind, GigaChat, Seen};
use llm_pool::llm::Provider;
use llm_pool::test_server::TestServer;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::hostile::GOOD;
use crate::raw::{Server, ok, read_request};
use crate::support::*;
use crate::*;

const TOKEN: &str = r#"{"access_token":"t0ken","expires_at":0}"#;

/// A server for TLS, and the certificate that vouches for it.
fn tls_server() -> (Server, String) {
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
    let server = Server::accept(move |stream| {
        let tls = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(tls, stream);
        while let Some(head) = read_request(&mut stream)? {
            ok(&mut stream, if head.contains("/oauth ") { TOKEN } else { GOOD })?;
            stream.flush()?;
        }
        Ok(())
    });
    (server, own.cert.pem())
}

fn error_of(provider: Provider) -> llm_pool::chat::ChatError {
    let pool = pool_of(provider.api_key(KEY), chat_config().max_retries(0));
    let error = pool.chat(&key(), &hi()).unwrap_err();
    let streamed = pool.stream(&key(), &hi()).unwrap_err();
    assert_eq!((streamed.kind(), streamed.seen()), (error.kind(), error.seen()), "{streamed}");
    assert_eq!(in_use(&pool), 0);
    error
}

#[test]
fn a_trusted_certificate_serves_over_one_connection() {
    let (server, pem) = tls_server();
    let url = format!("https://localhost:{}", server.addr.port());
    let provider = Provider::new(url).root_certs(RootCerts::Pem(pem.into_bytes()));
    let pool = pool_of(provider, chat_config().max_retries(0));
    for _ in 0..3 {
        assert_eq!(pool.chat(&key(), &hi()).unwrap().text(), "Good.");
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_no_connection_and_nothing_is_sent() {
    let ((server, _), (_, other)) = (tls_server(), tls_server());
    let url = format!("https://localhost:{}", server.addr.port());
    let by_address = format!("https://127.0.0.1:{}", server.addr.port());
    let other = RootCerts::Pem(other.into_bytes());
    for provider in
        [Provider::new(&url), Provider::new(&url).root_certs(other), Provider::new(by_address)]
    {
        let error = error_of(provider);
        assert_eq!((error.kind(), error.seen()), (ErrorKind::Unreachable, Seen::No), "{error}");
        assert!(error.to_string().contains("certificate"), "{error}");
    }
}

#[test]
fn gigachats_certificate_is_for_its_tokens_and_its_models() {
    let ((tokens, pem), (models, other)) = (tls_server(), tls_server());
    let bare = || {
        GigaChat::new("a2V5")
            .oauth_url(format!("https://localhost:{}/oauth", tokens.addr.port()))
            .base_url(format!("https://localhost:{}", models.addr.port()))
    };
    let with = |certs: String| bare().root_certs(RootCerts::Pem(certs.into_bytes()));
    let pool = |gigachat: GigaChat| pool_of(gigachat.into(), chat_config().max_retries(0));
    let both = pool(with(format!("{pem}{other}")));
    assert_eq!(both.chat(&key(), &hi()).unwrap().text(), "Good.");
    // Without the one there is no token, and without the other no answer.
    for (gigachat, said) in [
        (bare(), "give the Russian Trusted Root CA to root_certs"),
        (with(other), "no token: "),
        (with(pem), "certificate"),
    ] {
        let error = pool(gigachat).chat(&key(), &hi()).unwrap_err();
        assert_eq!((error.kind(), error.seen()), (ErrorKind::Unreachable, Seen::No), "{error}");
        assert!(error.message().contains(said), "{error}");
    }
}

#[test]
fn tls_to_a_port_that_speaks_none_is_no_connection() {
    let plain = TestServer::start().unwrap();
    let silent = Server::accept(|mut stream| {
        stream.read_exact(&mut [0; 5])?;
        Ok(())
    });
    for port in [plain.url().rsplit(':').next().unwrap(), &silent.addr.port().to_string()] {
        let error = error_of(Provider::new(format!("https://localhost:{port}")));
        assert_eq!((error.kind(), error.seen()), (ErrorKind::Unreachable, Seen::No), "{error}");
    }
    assert_eq!(plain.stats().requests, 0);
}

#[test]
fn no_tls_to_a_port_that_wants_it_is_a_broken_connection_and_what_was_sent_is_not_shown() {
    let (server, _) = tls_server();
    let error = error_of(Provider::new(format!("http://localhost:{}", server.addr.port())));
    assert_eq!(error.kind(), ErrorKind::Broken, "{error}");
    assert!(error.seen() != Seen::No && !format!("{error:?}").contains(KEY), "{error:?}");
}

#[test]
fn a_handshake_that_never_ends_takes_no_longer_than_a_connection_may() {
    let silent = Server::accept(|mut stream| io::copy(&mut stream, &mut io::sink()).map(drop));
    let url = format!("https://localhost:{}", silent.addr.port());
    let pools = KeyedConfig::default().pool(PoolConfig::default().max_size(2).min_idle(0));
    let agents = AgentConfig::default().proxy(Proxy::Direct).connect_timeout(millis(150));
    let config = LlmConfig::default().pools(pools).agents(agents);
    let chat = chat_config().max_retries(0);
    let pool = config.chat(chat).provider("test", Provider::new(url)).build().unwrap();
    let began = std::time::Instant::now();
    let error = pool.chat(&key(), &hi()).unwrap_err();
    assert_eq!((error.kind(), error.seen()), (ErrorKind::Unreachable, Seen::No), "{error}");
    assert!(began.elapsed() < secs(2) && error.message().contains("connect_timeout"), "{error}");
    assert_eq!(in_use(&pool), 0);
}
