//! What is refused before or during the handshake.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use llm_pool::agent::{AgentConfig, AgentManager, Proxy, RootCerts};
use llm_pool::websocket::{ConnectRequest, WebSocketConfig, WebSocketError, WebSockets};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConnection, StreamOwned};

use crate::peers::{Peers, registry};
use crate::support::*;

/// A server that answers each request with these bytes, whatever it is asked.
fn answering(answer: impl Into<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/path?key=hunter2", listener.local_addr().unwrap());
    let answer = answer.into();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                asked.push(byte[0]);
            }
            // The body comes by itself.
            let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
            let _ = stream.write_all(format!("{head}\r\n\r\n").as_bytes());
            thread::sleep(millis(20));
            let _ = stream.write_all(body.as_bytes());
        }
    });
    url
}

#[track_caller]
fn refusal(request: impl Into<ConnectRequest>) -> WebSocketError {
    let config = WebSocketConfig::default().connect_timeout(millis(500));
    let sockets = registry(config);
    let error = sockets.connect("a", request).unwrap_err();
    assert!(sockets.is_empty(), "the id is free again");
    assert!(!error.to_string().contains("hunter2"), "{error}");
    error
}

#[test]
fn an_empty_id_and_a_bad_url_are_refused() {
    let sockets = registry(WebSocketConfig::default());
    assert!(matches!(sockets.connect("", "ws://127.0.0.1:1/"), Err(WebSocketError::EmptyId)));
    assert!(matches!(refusal("http://127.0.0.1/"), WebSocketError::BadUrl { .. }));
    assert!(matches!(refusal("ws://u:hunter2@127.0.0.1/"), WebSocketError::BadUrl { .. }));
}

#[test]
fn a_failed_handshake_tells_status_and_body_cut() {
    let body = "no such model\nplease ".repeat(200);
    let length = body.len();
    let error = refusal(answering(format!(
        "HTTP/1.1 403 Forbidden\r\nContent-Length: {length}\r\n\r\n{body}"
    )));
    let WebSocketError::Refused { status, body, url, .. } = &error else { panic!("{error}") };
    assert_eq!((*status, url.ends_with("/path")), (403, true));
    assert!(body.starts_with("no such model please") && body.ends_with(" ..."), "{body}");
    assert!(body.len() < 600);
    let error = refusal(answering("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"));
    assert!(error.to_string().contains("status 500: no body"), "{error}");
}

#[test]
fn an_answer_that_is_no_handshake_is_told() {
    for (answer, what) in [
        ("HTTP/1.1 101 Yes\r\n\r\n", "Upgrade"),
        (
            "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: wrong\r\n\r\n",
            "Accept",
        ),
        ("SSH-2.0-OpenSSH\r\n\r\n", "no WebSocket handshake"),
    ] {
        let error = refusal(answering(answer)).to_string();
        assert!(error.contains(what), "{error}");
    }
    let endless = format!("HTTP/1.1 101 Yes\r\nX: {}", "x".repeat(70_000));
    assert!(matches!(refusal(answering(endless)), WebSocketError::Handshake { .. }));
}

#[test]
fn nobody_there_and_nobody_who_answers_end_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let began = std::time::Instant::now();
    let error = refusal(&*url);
    assert!(matches!(error, WebSocketError::ConnectTimedOut { .. }), "{error}");
    assert!(began.elapsed() < secs(3));
    drop(listener);
    assert!(matches!(refusal(&*url), WebSocketError::Unreachable { .. }));
    let error = refusal("ws://no-such-host.invalid/");
    assert!(matches!(
        error,
        WebSocketError::Unreachable { .. } | WebSocketError::ConnectTimedOut { .. }
    ));
}

#[test]
fn a_subprotocol_and_headers_are_sent_and_what_comes_with_the_handshake_is_not_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = spawn(move || {
        use tungstenite::handshake::derive_accept_key;
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = String::new();
        while !asked.ends_with("\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            asked.push(byte[0] as char);
        }
        let value = |name: &str| {
            let line = asked.lines().find(|line| line.to_lowercase().starts_with(name));
            line.and_then(|line| line.split_once(": ")).unwrap().1.to_owned()
        };
        assert_eq!(
            (value("authorization"), value("sec-websocket-protocol")),
            ("yes".into(), "b, a".into())
        );
        assert!(!asked.to_lowercase().contains("sec-websocket-extensions"));
        let key = derive_accept_key(value("sec-websocket-key").as_bytes());
        // The first message in the same packet as the handshake.
        let answer = format!(
            "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Accept: {key}\r\n\r\n\u{1}\u{5}hel"
        );
        let mut answer = answer.into_bytes();
        let at = answer.len() - 5;
        answer[at] = 0x81;
        stream.write_all(&answer).unwrap();
        stream.write_all(b"lo").unwrap();
        let _ = stream.read(&mut [0; 100]);
    });
    let sockets = registry(WebSocketConfig::default());
    let request = ConnectRequest::new(url).header("Authorization", "yes");
    sockets.connect("a", request.subprotocol("b").subprotocol("a")).unwrap();
    let mut socket = sockets.get("a").unwrap();
    assert_eq!(socket.subprotocol(), Some("a"), "of those that were offered");
    assert_eq!(socket.receive(LIMIT).unwrap(), "hello".into());
    drop(socket);
    sockets.remove("a").unwrap();
    server.result();
}

pub type TlsSocket = tungstenite::WebSocket<StreamOwned<ServerConnection, TcpStream>>;

/// Peers over TLS whose certificate is for `localhost`; their port, and the certificate.
pub fn tls_peers(part: impl Fn(&mut TlsSocket) + Send + Sync + 'static) -> (u16, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let (config, part) = (Arc::new(config), Arc::new(part));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let tls = ServerConnection::new(config.clone()).unwrap();
            let tls = StreamOwned::new(tls, stream.unwrap());
            let part = part.clone();
            thread::spawn(move || {
                let Ok(mut socket) = tungstenite::accept(tls) else { return };
                part(&mut socket);
            });
        }
    });
    (port, made.cert.pem())
}

pub fn tls_echo(socket: &mut TlsSocket) {
    while let Ok(message) = socket.read() {
        let data = message.is_text() || message.is_binary();
        if data && socket.send(message).is_err() {
            return;
        }
    }
}

/// A registry that trusts this certificate.
pub fn trusting(pem: String, config: WebSocketConfig) -> WebSockets {
    let agents = AgentConfig::default().proxy(Proxy::Direct).root_certs(RootCerts::Pem(pem.into()));
    WebSockets::with_agents(config, &AgentManager::new(agents).unwrap()).unwrap()
}

#[test]
fn a_certificate_must_verify_by_those_the_agents_trust() {
    let (port, pem) = tls_peers(tls_echo);
    let url = format!("wss://localhost:{port}/");
    let error = refusal(&*url);
    assert!(matches!(&error, WebSocketError::Tls { .. }), "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");

    let sockets = trusting(pem, WebSocketConfig::default());
    sockets.connect("a", &*url).unwrap();
    let mut socket = sockets.get("a").unwrap();
    let big = "x".repeat(2 << 20);
    socket.send(&*big).unwrap();
    assert_eq!(socket.receive(LIMIT).unwrap().as_text(), Some(&*big));
    assert!(socket.receive(millis(5)).is_err());
    drop(socket);
    assert_eq!(sockets.check_all().answered, 1);
    // Not its name.
    let error = sockets.connect("b", format!("wss://127.0.0.1:{port}/")).unwrap_err();
    assert!(matches!(error, WebSocketError::Tls { .. }), "{error}");
}

#[test]
fn a_host_behind_a_proxy_is_refused_and_not_reached_past_it() {
    let peers = Peers::echo();
    let config = AgentConfig::default().proxy(Proxy::Url("http://127.0.0.1:1".into()));
    let agents = AgentManager::new(config).unwrap();
    let sockets = WebSockets::with_agents(WebSocketConfig::default(), &agents).unwrap();
    let error = sockets.connect("a", peers.url()).unwrap_err();
    assert!(error.to_string().contains("Proxy::Direct"), "{error}");
}

#[test]
fn a_client_that_comes_is_accepted_or_told_of() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let (ours, theirs) =
        (registry(WebSocketConfig::default()), registry(WebSocketConfig::default()));
    let accepting = spawn(move || {
        ours.add("a", ours.accept(listener.accept().unwrap().0).unwrap()).unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let error = ours.accept(listener.accept().unwrap().0).unwrap_err();
        assert!(matches!(error, WebSocketError::Handshake { .. }), "{error}");
        ours
    });
    theirs.connect("a", url).unwrap();
    let ours = accepting.result();
    ours.send("a", "to you").unwrap();
    assert_eq!(theirs.get("a").unwrap().receive(LIMIT).unwrap(), "to you".into());
    assert_eq!(ours.check_all().checked, 1);
}
