//! Bodies that keep their lease, and what their drop does for the connection.

use std::io::{self, BufRead, BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use llm_pool::agent::{LeasedBody, Leftover, hold, hold_with};
use ureq::Body;
use ureq::http::Response;

use crate::support::*;

/// A stream of events as chat APIs send it; its end follows a little after the last event.
fn events() -> Server {
    Server::start(|_, to| {
        to.write_all(CHUNKED.as_bytes())?;
        chunk(to, "data: 1\n\n")?;
        chunk(to, "data: [DONE]\n\n")?;
        pause(3);
        to.write_all(b"0\r\n\r\n")
    })
}

/// Sends without end, `pause_millis` between two chunks.
fn endless(pause_millis: u64) -> Server {
    Server::start(move |_, to| {
        to.write_all(CHUNKED.as_bytes())?;
        loop {
            chunk(to, &"x".repeat(100))?;
            pause(pause_millis);
        }
    })
}

/// Reads a byte, so that a drop finds a body under way.
fn begin(mut body: LeasedBody<Arc<()>>) -> LeasedBody<Arc<()>> {
    body.read_exact(&mut [0]).unwrap();
    body
}

fn took(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

#[test]
fn streams_stopped_at_their_last_event_share_a_connection() {
    let server = events();
    let agent = agent(config());
    for _ in 0..10 {
        let response = hold(agent.clone(), agent.get(server.url("/")).call().unwrap());
        let lines = BufReader::new(response.into_body()).lines();
        let seen =
            lines.map_while(|line| Some(line.unwrap()).filter(|line| line != "data: [DONE]"));
        assert_eq!(seen.collect::<Vec<_>>(), ["data: 1", ""]);
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn the_lease_ends_with_the_read_that_finds_the_end() {
    let server = events();
    let lease = Arc::new(());
    let response = agent(config()).get(server.url("/")).call().unwrap();
    let mut body = hold(lease.clone(), response).into_body();
    assert!(body.is_open());
    assert_eq!(body.read(&mut []).unwrap(), 0);
    assert_eq!(Arc::strong_count(&lease), 2);

    let mut text = String::new();
    body.read_to_string(&mut text).unwrap();
    assert_eq!(text, "data: 1\n\ndata: [DONE]\n\n");
    assert_eq!(Arc::strong_count(&lease), 1);
    assert!(!body.is_open());
    assert_eq!(body.read(&mut [0]).unwrap(), 0);
}

#[test]
fn the_lease_ends_when_the_body_fails() {
    let server = Server::start(|_, to| {
        to.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")?;
        Err(io::Error::other("hang up"))
    });
    let lease = Arc::new(());
    let response = agent(config()).get(server.url("/")).call().unwrap();
    let mut body = hold(lease.clone(), response).into_body();
    body.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(Arc::strong_count(&lease), 1);
    // Not an end, for who missed the failure.
    body.read(&mut [0]).unwrap_err();
}

#[test]
fn a_read_interrupted_by_a_signal_is_not_the_end() {
    struct Interrupted(bool);
    impl Read for Interrupted {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            self.0 = !self.0;
            if self.0 { Err(io::ErrorKind::Interrupted.into()) } else { Ok(0) }
        }
    }
    let response = Response::new(Body::builder().reader(Interrupted(false)));
    let mut body = hold((), response).into_body();
    body.read(&mut [0]).unwrap_err();
    assert!(body.is_open());
    body.read_to_end(&mut Vec::new()).unwrap();
    assert!(!body.is_open());
}

#[test]
fn the_connection_is_free_before_the_lease_ends() {
    /// Stands for the next holder of the lease.
    struct Next(ureq::Agent, String);
    impl Drop for Next {
        fn drop(&mut self) {
            get(&self.0, &self.1).unwrap();
        }
    }
    let server = events();
    let agent = agent(config());
    let stream = || {
        let next = Next(agent.clone(), server.url("/"));
        hold(next, agent.get(server.url("/")).call().unwrap()).into_body()
    };
    stream().read_to_end(&mut Vec::new()).unwrap();
    stream().read_exact(&mut [0]).unwrap();
    drop(stream());
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_dropped_body_that_never_ends_closes_its_connection_in_time() {
    let agent = agent(config());
    // One is over the limit of bytes, one over that of time, and one never sends again.
    let (fast, slow, mute) = (endless(0), endless(10), endless(5_000));
    for (server, least, most) in [(&fast, 0, 300), (&slow, 50, 300), (&mute, 50, 300)] {
        let lease = Arc::new(());
        let response = agent.get(server.url("/")).call().unwrap();
        let body = begin(hold(lease.clone(), response).into_body());
        let took = took(|| drop(body));
        assert!(took >= Duration::from_millis(least), "{took:?}");
        assert!(took <= Duration::from_millis(most), "{took:?}");
        assert_eq!(Arc::strong_count(&lease), 1);
    }
    fast.closed_after();
    slow.closed_after();
    // The agent goes on.
    assert_eq!(get(&agent, &Server::start(|_, to| ok(to, "hello")).url("/")).unwrap(), "hello");
}

#[test]
fn zero_limits_close_at_once() {
    let server = endless(20);
    let agent = agent(config());
    let (no_bytes, no_time) =
        (Leftover::default().bytes(0), Leftover::default().time(Duration::ZERO));
    for leftover in [Leftover::NONE, no_bytes, no_time] {
        let response = agent.get(server.url("/")).call().unwrap();
        let body = begin(hold_with(Arc::new(()), response, leftover).into_body());
        assert!(took(|| drop(body)) < Duration::from_millis(45));
    }
    assert_eq!(server.connections(), 3);
}

#[test]
fn a_connection_that_closes_anyhow_is_not_waited_for() {
    let server = Server::start(|_, to| {
        to.write_all(b"HTTP/1.1 200 OK\r\nConnection: Close\r\n\r\nhello")?;
        pause(200);
        Ok(())
    });
    let response = agent(config()).get(server.url("/")).call().unwrap();
    let body = begin(hold(Arc::new(()), response).into_body());
    assert!(took(|| drop(body)) < Duration::from_millis(45));
}

#[test]
fn limits_can_be_as_large_as_they_come() {
    let server = Server::start(|_, to| ok(to, &"x".repeat(1_000_000)));
    let agent = agent(config());
    let leftover = Leftover::default().bytes(usize::MAX).time(Duration::MAX);
    for _ in 0..3 {
        let response = agent.get(server.url("/")).call().unwrap();
        drop(hold_with((), response, leftover));
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_thread_that_panics_does_not_read_on() {
    let server = endless(20);
    let agent = agent(config());
    let lease = Arc::new(());
    let response = agent.get(server.url("/")).call().unwrap();
    let body = begin(hold(lease.clone(), response).into_body());
    let start = Instant::now();
    let panicked = catch_unwind(AssertUnwindSafe(move || {
        let _body = body;
        std::panic::resume_unwind(Box::new("on purpose"));
    }));
    assert!(panicked.is_err() && start.elapsed() < Duration::from_millis(45));
    assert_eq!(Arc::strong_count(&lease), 1);
}

#[test]
fn a_body_whose_rest_panics_can_be_dropped() {
    struct Panics;
    impl Read for Panics {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            std::panic::resume_unwind(Box::new("on purpose"))
        }
    }
    let lease = Arc::new(());
    drop(hold(lease.clone(), Response::new(Body::builder().reader(Panics))));
    assert_eq!(Arc::strong_count(&lease), 1);
}

#[test]
fn a_body_can_be_read_on_another_thread() {
    let server = events();
    let agent = agent(config());
    let response = hold(agent.clone(), agent.get(server.url("/")).call().unwrap());
    let read = std::thread::spawn(move || {
        let mut text = String::new();
        response.into_body().read_to_string(&mut text).map(|_| text)
    });
    assert!(read.join().unwrap().unwrap().ends_with("[DONE]\n\n"));
}
