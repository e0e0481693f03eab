//! What one agent does with its one connection, and what it says to the server.

use std::time::Duration;

use llm_pool::Manage;
use llm_pool::agent::{AgentConfig, AgentManager, Proxy};

use crate::support::*;

#[test]
fn the_requests_of_an_agent_share_a_connection() {
    let server = Server::start(|_, to| ok(to, "hello"));
    let agent = agent(config());
    for _ in 0..5 {
        assert_eq!(get(&agent, &server.url("/")).unwrap(), "hello");
        let posted = agent.post(server.url("/")).send("a body").unwrap();
        posted.into_body().read_to_string().unwrap();
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn agents_of_one_manager_have_connections_of_their_own() {
    let server = Server::start(|_, to| ok(to, ""));
    let manager = AgentManager::new(config()).unwrap();
    for _ in 0..3 {
        get(&manager.create().unwrap(), &server.url("/")).unwrap();
    }
    assert_eq!(server.connections(), 3);
}

#[test]
fn refusals_come_with_headers_and_body_and_keep_the_connection() {
    let server = Server::start(|head, to| {
        let status = if head.starts_with("GET /429") { "429 Too Many" } else { "500 Oh" };
        write!(to, "HTTP/1.1 {status}\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nwait")
    });
    let agent = agent(config());
    for path in ["/429", "/500"].repeat(5) {
        let mut response = agent.get(server.url(path)).call().unwrap();
        assert_eq!(response.status().as_str(), &path[1..]);
        assert_eq!(response.headers()["retry-after"], "7");
        assert_eq!(response.body_mut().read_to_string().unwrap(), "wait");
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_compressed_body_read_to_its_end_keeps_the_connection() {
    const HELLO: [u8; 28] = [
        31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 203, 72, 205, 201, 201, 87, 200, 64, 39, 1, 227, 81, 61,
        141, 23, 0, 0, 0,
    ];
    let server = Server::start(|head, to| {
        assert_eq!(header(head, "accept-encoding"), Some("gzip"));
        if head.starts_with("GET /chunked") {
            let encoding = "Content-Encoding: gzip\r\nTransfer-Encoding: chunked";
            write!(to, "HTTP/1.1 200 OK\r\n{encoding}\r\n\r\n{:x}\r\n", HELLO.len())?;
            to.write_all(&HELLO)?;
            to.write_all(b"\r\n0\r\n\r\n")
        } else {
            let encoding = format!("Content-Encoding: gzip\r\nContent-Length: {}", HELLO.len());
            write!(to, "HTTP/1.1 200 OK\r\n{encoding}\r\n\r\n")?;
            to.write_all(&HELLO)
        }
    });
    let agent = agent(config());
    for path in ["/chunked", "/length"].repeat(3) {
        assert_eq!(get(&agent, &server.url(path)).unwrap(), "hello hello hello hello");
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_connection_that_the_server_closed_after_its_answer_is_not_used_again() {
    // Once the close has arrived; `open` falls when the server's end is gone.
    let server = Server::accept(|mut stream| {
        read_request(&mut stream)?;
        ok(&mut stream, "once")
    });
    let agent = agent(config());
    for connections in 1..=3 {
        assert_eq!(get(&agent, &server.url("/")).unwrap(), "once");
        server.closed_after();
        assert_eq!(server.connections(), connections);
    }
}

#[test]
fn bytes_that_nobody_asked_for_end_the_connection() {
    let server = Server::start(|_, to| {
        ok(to, "hello")?;
        to.flush()?;
        pause(20);
        to.write_all(b"more")
    });
    let agent = agent(config());
    assert_eq!(get(&agent, &server.url("/")).unwrap(), "hello");
    pause(60);
    assert_eq!(get(&agent, &server.url("/")).unwrap(), "hello");
    assert_eq!(server.connections(), 2);
}

#[test]
fn an_idle_connection_is_kept_no_longer_than_was_said() {
    let server = Server::start(|_, to| ok(to, ""));
    let agent = agent(config().keep_alive(Duration::from_millis(30)));
    get(&agent, &server.url("/")).unwrap();
    pause(60);
    get(&agent, &server.url("/")).unwrap();
    assert_eq!(server.connections(), 2);
}

#[test]
fn headers_may_be_larger_than_the_buffer() {
    let server = Server::start(|head, to| {
        let kib: usize = head.split(['/', ' ']).nth(2).unwrap().parse().unwrap();
        to.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n")?;
        for n in 0..kib {
            write!(to, "X-{n:04}: {}\r\n", "x".repeat(1024 - 10))?;
        }
        to.write_all(b"\r\nhello")
    });
    let agent = agent(config());
    for kib in [15, 16, 17, 40, 60, 1] {
        let mut response = agent.get(server.url(&format!("/{kib}"))).call().unwrap();
        assert_eq!(response.headers().len(), kib + 1);
        assert_eq!(response.body_mut().read_to_string().unwrap(), "hello");
    }
    assert_eq!(server.connections(), 1);
    let refused = agent.get(server.url("/70")).call().unwrap_err();
    assert!(matches!(refused, ureq::Error::LargeResponseHeader(..)), "{refused}");
}

#[test]
fn a_body_after_large_headers_arrives_whole() {
    let sent = (0..40_000).map(|n| char::from(b'a' + (n % 26) as u8)).collect::<String>();
    let body = sent.clone();
    let server = Server::start(move |head, to| {
        write!(to, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n")?;
        for n in 0..20 {
            write!(to, "X-{n}: {}\r\n", "x".repeat(1000))?;
        }
        to.write_all(b"\r\n")?;
        // As one piece, and so that chunks are torn apart.
        let size = if head.starts_with("GET /large") { 7_000 } else { 9 };
        for part in body.as_bytes().chunks(size) {
            chunk(to, std::str::from_utf8(part).unwrap())?;
        }
        to.write_all(b"0\r\n\r\n")
    });
    let agent = agent(config().buffer_size(4 * 1024));
    for path in ["/large", "/small"].repeat(2) {
        assert_eq!(get(&agent, &server.url(path)).unwrap(), sent);
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn the_user_agent_is_the_configured_one() {
    let server = Server::start(|head, to| ok(to, header(head, "user-agent").unwrap_or("none")));
    let own = concat!("llm-pool/", env!("CARGO_PKG_VERSION"));
    for (config, seen) in [
        (config(), own),
        (config().user_agent("my-program/1.0"), "my-program/1.0"),
        (config().user_agent(""), "none"),
    ] {
        assert_eq!(get(&agent(config), &server.url("/")).unwrap(), seen);
    }
}

#[test]
fn https_only_refuses_http() {
    let server = Server::start(|_, to| ok(to, ""));
    let error = get(&agent(config().https_only(true)), &server.url("/")).unwrap_err();
    assert!(matches!(error, ureq::Error::RequireHttpsOnly(_)), "{error}");
    assert_eq!(server.connections(), 0);
}

#[test]
fn no_secret_is_in_the_debug_of_anything() {
    let proxy = Proxy::Url("http://us3r:hunter2@localhost:8080".into());
    let manager = AgentManager::new(AgentConfig::default().proxy(proxy)).unwrap();
    let shown = format!("{manager:?} {:?} {:?}", manager.config(), manager.create().unwrap());
    assert!(!shown.contains("hunter2") && !shown.contains("us3r"), "{shown}");
}
