//! Connections: how many, how long, wrapped, and how they end.

use super::*;

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = TestServer::start().unwrap();
    let mut raw = Raw::to(&server);
    let one = "GET /a HTTP/1.1\r\nhost: x\r\n\r\n";
    raw.send(format!("{one}{}{}", one.replace("/a", "/b"), one.replace("/a", "/c")));
    for path in ["/a", "/b", "/c"] {
        assert!(raw.answer().body.contains(&format!("nothing at {path}\"")));
    }
}

#[test]
fn connections_stay_open_unless_the_client_says_otherwise() {
    let server = TestServer::start().unwrap();
    for (version, option, stays) in [
        ("1.1", "x: y", true),
        ("1.1", "connection: close", false),
        ("1.0", "x: y", false),
        ("1.0", "connection: Keep-Alive", true),
    ] {
        let mut raw = Raw::to(&server);
        raw.send(format!("GET /v1/models HTTP/{version}\r\n{option}\r\n\r\n"));
        let answer = raw.answer();
        if stays {
            raw.get("/v1/models");
            assert!(raw.answer().head.starts_with("HTTP/1.1 200"), "{version} {option}");
        } else {
            assert_eq!(header(&answer.head, "connection"), Some("close"));
            assert_eq!(raw.rest(), (String::new(), None), "{version} {option}");
        }
    }
}

/// Both ends of these tests' connections are in this process; 1024 is a common limit.
fn open_many_files() {
    let _ = rlimit::increase_nofile_limit(8192);
}

#[test]
fn six_hundred_connections_are_carried_at_once_and_end_with_the_server() {
    open_many_files();
    let server = TestServer::start().unwrap();
    server.plan(Reply::fault(Fault::Stall).times(200));
    server.plan(Reply::ok().delay(Duration::from_secs(60)).times(200));
    let mut raws: Vec<Raw> = (0..600).map(|_| Raw::to(&server)).collect();
    for raw in &mut raws[..400] {
        raw.get("/v1/models");
    }
    // The last 200 are idle.
    server.wait_until(SOON, |stats| stats.open == 600 && stats.in_flight == 400).unwrap();
    let start = Instant::now();
    drop(server);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    for raw in &mut raws {
        assert_eq!(raw.rest(), (String::new(), None));
    }
}

#[test]
fn five_hundred_connections_at_the_same_instant_are_all_answered_without_a_resend() {
    open_many_files();
    let server = TestServer::start().unwrap();
    let gate = Arc::new(std::sync::Barrier::new(500));
    let threads: Vec<_> = (0..500)
        .map(|_| {
            let (gate, addr) = (gate.clone(), server.addr());
            let call = move || {
                gate.wait();
                let start = Instant::now();
                let mut raw = Raw::connect(addr);
                let connected = start.elapsed();
                raw.get("/v1/models");
                assert!(raw.answer().head.starts_with("HTTP/1.1 200"));
                // Open until all are answered.
                (raw, connected, start.elapsed())
            };
            thread::Builder::new().stack_size(128 << 10).spawn(call).unwrap()
        })
        .collect();
    let calls: Vec<_> = threads.into_iter().map(|it| it.join().unwrap()).collect();
    let stats = server.stats();
    assert_eq!((stats.connections, stats.open, stats.requests), (500, 500, 500));
    let connected = calls.iter().map(|it| it.1).max().unwrap();
    let answered = calls.iter().map(|it| it.2).max().unwrap();
    // The client's system sends what was dropped again after a second.
    assert!(answered < Duration::from_millis(900), "{answered:?}, connected in {connected:?}");
}

#[test]
fn a_server_ends_at_once_while_it_writes_to_a_client_that_does_not_read() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::ok().body(vec![b'x'; 32 << 20]));
    let mut raw = Raw::to(&server);
    raw.get("/v1/models");
    raw.head().unwrap();
    let start = Instant::now();
    drop(server);
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
}

#[test]
fn all_connections_can_be_closed_and_new_ones_are_accepted() {
    let server = TestServer::start().unwrap();
    let mut raw = Raw::to(&server);
    raw.get("/v1/models");
    raw.answer();
    server.disconnect_all();
    assert_eq!(raw.rest(), (String::new(), None));
    server.wait_until(SOON, |stats| stats.open == 0).unwrap();
    assert_eq!(chat(&agent(), &server).unwrap().0, 200);
}

/// A server behind TLS and the client's settings that trust it.
fn tls_server() -> (TestServer, Arc<rustls::ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let server = TestServer::builder()
        .scheme("https")
        .host("localhost")
        .wrap(move |mut socket| {
            let mut tls =
                rustls::ServerConnection::new(config.clone()).map_err(std::io::Error::other)?;
            while tls.is_handshaking() {
                tls.complete_io(&mut socket)?;
            }
            Ok(Box::new(rustls::StreamOwned::new(tls, socket)))
        })
        .start()
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (server, Arc::new(client))
}

#[test]
fn a_wrapper_puts_tls_around_each_connection_and_faults_work_beneath_it() {
    let (server, config) = tls_server();
    assert_eq!(server.url(), format!("https://localhost:{}", server.addr().port()));
    let connect = || {
        let name = "localhost".try_into().unwrap();
        let tls = rustls::ClientConnection::new(config.clone(), name).unwrap();
        let tcp = TcpStream::connect(server.addr()).unwrap();
        tcp.set_read_timeout(Some(SOON)).unwrap();
        rustls::StreamOwned::new(tls, tcp)
    };
    let mut client = connect();
    for _ in 0..2 {
        client.write_all(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut text = String::new();
        while !text.ends_with("]}") {
            let mut bytes = [0; 1024];
            let count = client.read(&mut bytes).unwrap();
            text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"));
    }
    assert_eq!(server.stats().connections, 1);

    for (fault, answered) in [(Fault::Reset, false), (Fault::ResetDuringAnswer, true)] {
        server.plan(Reply::fault(fault));
        let mut client = connect();
        client.write_all(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut bytes = Vec::new();
        let error = client.read_to_end(&mut bytes).unwrap_err();
        assert_eq!((error.kind(), !bytes.is_empty()), (ErrorKind::ConnectionReset, answered));
    }
}

#[test]
fn a_connection_whose_wrapper_fails_or_panics_is_closed_and_the_server_lives() {
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let server = TestServer::builder()
        .wrap(move |socket| match calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Err(std::io::Error::other("no")),
            1 => panic!("a panic that this test wants"),
            _ => Ok(Box::new(socket)),
        })
        .start()
        .unwrap();
    for _ in 0..2 {
        assert_eq!(Raw::to(&server).rest(), (String::new(), None));
    }
    server.wait_until(SOON, |stats| stats.open == 0).unwrap();
    assert_eq!(chat(&agent(), &server).unwrap().0, 200);
}

#[test]
fn a_server_ends_at_once_while_a_handshake_hangs() {
    let (server, _) = tls_server();
    let _silent = TcpStream::connect(server.addr()).unwrap();
    server.wait_until(SOON, |stats| stats.open == 1).unwrap();
    let start = Instant::now();
    drop(server);
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
}
