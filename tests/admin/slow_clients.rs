//! Clients that never finish a request keep nobody from an answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use llm_pool::admin::AdminConfig;

use crate::house::*;
use crate::support::*;

const SLOW: usize = 200;

/// How long an ordinary request took.
fn ordinary(addr: SocketAddr) -> Duration {
    let began = Instant::now();
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(secs(30))).unwrap();
    let get = "GET /v1/pool/stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(get.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
    began.elapsed()
}

#[test]
fn two_hundred_clients_that_never_finish_do_not_stop_an_ordinary_one() {
    for begun in [
        "",
        "GET /v1/pool/sta",
        "POST /v1/pool/resize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
    ] {
        let pool = adapters(&Script::new(), 2);
        drop(pool.get(&gpt()).unwrap());
        // So long that none of them is cut for its slowness.
        let config = AdminConfig::default().request_timeout(secs(600)).idle_timeout(secs(600));
        let admin = llm_pool::admin::Admin::new(config.max_connections(16)).unwrap();
        let server = admin.pool("adapters", pool).serve().unwrap();
        let addr = server.addr();
        let slow: Vec<_> = (0..SLOW)
            .map(|_| {
                let mut stream = TcpStream::connect(addr).unwrap();
                let _ = stream.write_all(begun.as_bytes());
                stream
            })
            .collect();
        // Two hundred connections, sixteen of which make room each tenth of a second.
        let took = ordinary(addr);
        assert!(took < secs(10), "{begun:?}: {took:?}");
        let took = ordinary(addr);
        assert!(took < secs(5), "{begun:?}, once they are all in: {took:?}");
        drop(slow);
        let began = Instant::now();
        server.stop();
        assert!(began.elapsed() < secs(5));
    }
}

#[test]
fn a_client_that_keeps_its_connection_makes_room_first() {
    let pool = adapters(&Script::new(), 2);
    let config = AdminConfig::default().max_connections(1);
    let admin = llm_pool::admin::Admin::new(config).unwrap().pool("adapters", pool);
    let server = admin.serve().unwrap();
    let mut kept = TcpStream::connect(server.addr()).unwrap();
    kept.set_read_timeout(Some(secs(20))).unwrap();
    kept.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    kept.read_exact(&mut [0; 12]).unwrap();
    ordinary(server.addr());
    let mut rest = Vec::new();
    kept.read_to_end(&mut rest).unwrap();
    ordinary(server.addr());
}

#[test]
fn clients_that_do_not_take_their_answer_make_room_too() {
    let pool = adapters(&Script::new(), 2);
    let config = AdminConfig::default().max_connections(2).request_timeout(secs(600));
    let admin = llm_pool::admin::Admin::new(config).unwrap().pool("adapters", pool);
    // More than the system buffers.
    let server = admin.metrics(|| "x".repeat(32 << 20)).serve().unwrap();
    let slow: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = TcpStream::connect(server.addr()).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            stream
        })
        .collect();
    let took = ordinary(server.addr());
    assert!(took < secs(10), "{took:?}");
    drop(slow);
}

#[test]
fn when_all_connections_are_being_handled_one_more_is_told_so() {
    let script = Script::new();
    let pool = adapters(&script, 2);
    let gate = Gate::new();
    let held = gate.clone();
    let config = AdminConfig::default().max_connections(1);
    let admin = llm_pool::admin::Admin::new(config).unwrap().pool("adapters", pool);
    let admin = admin.metrics(move || {
        held.pass();
        "up 1\n".into()
    });
    let server = admin.serve().unwrap();
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(server.addr()).unwrap();
        stream.set_read_timeout(Some(secs(20))).unwrap();
        let get = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(get.as_bytes()).unwrap();
        stream
    };
    let read = |mut stream: TcpStream| {
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    };
    let first = ask("/metrics");
    gate.await_entered(1);
    // A reset may overtake what it is told.
    let second = read(ask("/healthz"));
    assert!(second.is_empty() || second.starts_with("HTTP/1.1 503 "), "{second}");
    gate.open();
    assert!(read(first).ends_with("up 1\n"));
    ordinary(server.addr());
}
