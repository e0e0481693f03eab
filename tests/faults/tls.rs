//! Servers that vouch for themselves with certificates of every quality.

use std::io;
use std::sync::Arc;

use llm_pool::test_server::TestServer;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What is wrong with a certificate for `localhost`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// Nobody was told to trust it.
    Unknown,
    /// It was good until 2001.
    Expired,
    /// It is made out to somebody else.
    OtherName,
}

/// A server at `https://localhost`, and what a client must trust for it.
pub fn start(certificate: Certificate) -> (TestServer, String) {
    let name = if certificate == Certificate::OtherName { "other.test" } else { "localhost" };
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    if certificate == Certificate::Expired {
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
    }
    let key = KeyPair::generate().unwrap();
    let own = params.self_signed(&key).unwrap();
    let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.der().clone()], secret)
        .unwrap();
    let config = Arc::new(config);
    let server = TestServer::builder()
        .remember(0)
        .scheme("https")
        .host("localhost")
        .wrap(move |socket| {
            let tls = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
            Ok(Box::new(StreamOwned::new(tls, socket)))
        })
        .start()
        .unwrap();
    let trusted = if certificate == Certificate::Unknown { String::new() } else { own.pem() };
    (server, trusted)
}
