//! Which pause of the server ends a request. The pauses are real: `ureq` has no clock to move.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use ureq::{Error, Timeout};

use crate::support::*;

/// A server that pauses once, for longer than [`impatient`] waits between two bytes.
fn pausing(before: &'static str, after: &'static str) -> Server {
    Server::start(move |_, to| {
        to.write_all(before.as_bytes())?;
        pause(300);
        to.write_all(after.as_bytes())
    })
}

fn impatient() -> ureq::Agent {
    agent(config().read_timeout(Duration::from_millis(150)))
}

fn timeout(error: Error) -> Timeout {
    match error {
        Error::Timeout(which) => which,
        error => panic!("{error}"),
    }
}

#[test]
fn a_server_may_think_for_longer_than_the_read_timeout() {
    let server = pausing("", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    let agent = impatient();
    // Also on a connection that was used before, and after a body.
    assert_eq!(get(&agent, &server.url("/")).unwrap(), "hello");
    let posted = agent.post(server.url("/")).send("think").unwrap();
    assert_eq!(posted.into_body().read_to_string().unwrap(), "hello");
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_server_may_think_after_it_asked_for_the_body() {
    let server = Server::accept(|mut stream| {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        stream.read_exact(&mut [0; 5])?;
        pause(300);
        ok(&mut stream, "hello")
    });
    let request = impatient().post(server.url("/")).header("expect", "100-continue");
    assert_eq!(request.send("think").unwrap().into_body().read_to_string().unwrap(), "hello");
}

#[test]
fn a_pause_within_the_headers_is_too_long() {
    let server = pausing("HTTP/1.1 200 OK\r\nContent-", "Length: 5\r\n\r\nhello");
    let error = get(&impatient(), &server.url("/")).unwrap_err();
    assert_eq!(timeout(error), Timeout::PerRead);
}

#[test]
fn a_pause_within_the_body_is_too_long() {
    let server = pausing("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", "hello");
    let agent = impatient();
    for _ in 0..2 {
        let error = get(&agent, &server.url("/")).unwrap_err();
        assert_eq!(timeout(error), Timeout::PerRead);
    }
    assert_eq!(server.connections(), 2);
}

#[test]
fn pauses_shorter_than_the_read_timeout_add_up_to_any_length() {
    let server = Server::start(|_, to| {
        to.write_all(CHUNKED.as_bytes())?;
        for _ in 0..8 {
            pause(30);
            chunk(to, "x")?;
        }
        to.write_all(b"0\r\n\r\n")
    });
    assert_eq!(get(&impatient(), &server.url("/")).unwrap(), "xxxxxxxx");
}

#[test]
fn the_first_byte_timeout_ends_the_thinking() {
    let server = pausing("", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let agent = agent(config().first_byte_timeout(Duration::from_millis(100)));
    let error = get(&agent, &server.url("/")).unwrap_err();
    assert_eq!(timeout(error), Timeout::RecvResponse);
}

#[test]
fn the_total_timeout_ends_a_body_that_drips() {
    let server = Server::start(|_, to| {
        to.write_all(CHUNKED.as_bytes())?;
        loop {
            chunk(to, "x")?;
            pause(10);
        }
    });
    let agent = agent(config().total_timeout(Duration::from_millis(200)));
    let start = Instant::now();
    let mut body = agent.get(server.url("/")).call().unwrap().into_body().into_reader();
    let error = body.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(timeout(error.into()), Timeout::Global);
    // No second more for the read that was under way.
    assert!(start.elapsed() < Duration::from_millis(700), "{:?}", start.elapsed());
}

#[test]
fn the_longest_duration_is_no_limit() {
    let server = Server::start(|_, to| ok(to, "hello"));
    let longest = config()
        .connect_timeout(Duration::MAX)
        .first_byte_timeout(Duration::MAX)
        .read_timeout(Duration::MAX)
        .total_timeout(Duration::MAX)
        .keep_alive(Duration::MAX)
        .dns_ttl(Duration::MAX);
    let century = Duration::from_secs(100 * 365 * 24 * 3600);
    let long = config()
        .connect_timeout(century)
        .first_byte_timeout(century)
        .read_timeout(century)
        .total_timeout(century)
        .keep_alive(century)
        .dns_ttl(century);
    let none = config()
        .connect_timeout(None)
        .first_byte_timeout(None)
        .read_timeout(None)
        .total_timeout(None);
    for config in [longest, long, none] {
        let agent = agent(config);
        for _ in 0..2 {
            let by_name = format!("http://localhost:{}/", server.addr.port());
            assert_eq!(get(&agent, &by_name).unwrap(), "hello");
        }
    }
    assert_eq!(server.connections(), 3);
}
