//! Requests of a lease that has a deadline. The pauses are real: `ureq` has no clock to move.

use std::io::{self, Read};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use llm_pool::agent::{AgentConfig, AgentManager, AgentPool, Proxy, hold};
use llm_pool::{Lease, Manage, Pool, PoolConfig, Terms};
use ureq::{Error, RequestExt, Timeout, http};

use crate::support::*;
use crate::tls::TlsServer;

const SHORT: Duration = Duration::from_millis(120);
const LONG: Duration = Duration::from_secs(20);

/// A pool of one.
fn pool(config: AgentConfig) -> AgentPool {
    let manager = AgentManager::new(config).unwrap();
    Pool::new(PoolConfig::default().max_size(1), manager).unwrap()
}

/// Answers after a time that no test waits for.
fn thinking() -> Server {
    Server::start(|_, to| {
        pause(3000);
        ok(to, "late")
    })
}

/// Answers at once, with a body that never ends.
fn dripping() -> Server {
    Server::start(|_, to| {
        to.write_all(CHUNKED.as_bytes())?;
        loop {
            chunk(to, "x")?;
            pause(10);
        }
    })
}

fn is_global(error: &Error) -> bool {
    matches!(error, Error::Timeout(Timeout::Global))
}

#[track_caller]
fn ends_in_time<T>(request: impl FnOnce() -> Result<T, Error>) {
    let began = Instant::now();
    match request() {
        Err(error) => assert!(is_global(&error), "{error}"),
        Ok(_) => panic!("the request did not end"),
    }
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
}

#[test]
fn every_way_of_calling_ends_with_the_lease_s_deadline() {
    let (server, pool) = (thinking(), pool(config()));
    let url = server.url("/");
    let request = |url: &str| http::Request::get(url).body(()).unwrap();
    ends_in_time(|| pool.get_within(SHORT).unwrap().get(&url).call());
    ends_in_time(|| pool.get_within(SHORT).unwrap().post(&url).send("a body"));
    ends_in_time(|| pool.get_within(SHORT).unwrap().run(request(&url)));
    ends_in_time(|| {
        let lease = pool.get_within(SHORT).unwrap();
        request(&url).with_agent(&**lease).configure().accept("text/plain").run()
    });
    ends_in_time(|| {
        let lease = pool.get_within(SHORT).unwrap();
        lease.get(&url).config().timeout_global(None).build().call()
    });
}

#[test]
fn what_comes_first_ends_the_request() {
    let server = thinking();
    let patient = pool(config().total_timeout(LONG));
    ends_in_time(|| patient.get_within(SHORT).unwrap().get(server.url("/")).call());
    ends_in_time(|| {
        let lease = patient.get_within(SHORT).unwrap();
        lease.get(server.url("/")).config().timeout_global(Some(LONG)).build().call()
    });
    ends_in_time(|| {
        let lease = patient.get_within(LONG).unwrap();
        lease.get(server.url("/")).config().timeout_global(Some(SHORT)).build().call()
    });
    // A time-out of another kind is told as what it is.
    let lease = patient.get_within(LONG).unwrap();
    let first_byte = lease.get(server.url("/")).config().timeout_recv_response(Some(SHORT)).build();
    assert!(matches!(first_byte.call(), Err(Error::Timeout(Timeout::RecvResponse))));
}

/// 120 s are 120 s, though the agent's own total time-out is 60 s.
#[test]
fn a_deadline_further_away_stands_in_the_place_of_the_total_timeout() {
    let server = Server::start(|_, to| {
        pause(240);
        ok(to, "an answer")
    });
    let pool = pool(config().total_timeout(SHORT));
    let lease = pool.get_within(LONG).unwrap();
    let answer = lease.get(server.url("/")).call().unwrap().into_body().read_to_string();
    assert_eq!(answer.unwrap(), "an answer");
    drop(lease);
    ends_in_time(|| pool.get().unwrap().get(server.url("/")).call());
}

#[test]
fn a_body_ends_with_the_deadline_of_its_request_whoever_has_the_agent_by_then() {
    let (server, pool) = (dripping(), pool(config()));
    let read = |mut body: Box<dyn Read>| -> Result<usize, Error> {
        Ok(body.read_to_end(&mut Vec::new())?)
    };
    ends_in_time(|| {
        let lease = pool.get_within(SHORT).unwrap();
        let response = lease.get(server.url("/")).call()?;
        read(Box::new(hold(lease, response).into_body()))
    });
    ends_in_time(|| {
        let lease = pool.get_within(SHORT).unwrap();
        let response = lease.get(server.url("/")).call()?;
        drop(lease);
        let _next = pool.get().unwrap();
        read(Box::new(response.into_body().into_reader()))
    });
}

#[test]
fn redirects_have_one_deadline_together() {
    let server = Server::start(|_, to| {
        pause(40);
        to.write_all(b"HTTP/1.1 302 Found\r\nLocation: /on\r\nContent-Length: 0\r\n\r\n")
    });
    let pool = pool(config());
    ends_in_time(|| pool.get_within(SHORT).unwrap().get(server.url("/")).call());
}

#[test]
fn tls_and_proxies_have_no_longer_to_be_set_up() {
    // Takes connections and says nothing.
    let silent = Server::accept(|mut stream| {
        let _ = io::copy(&mut stream, &mut io::sink());
        Ok(())
    });
    let to_tls = pool(config());
    let url = format!("https://{}/", silent.addr);
    ends_in_time(|| to_tls.get_within(SHORT).unwrap().get(&url).call());
    let through = pool(config().proxy(Proxy::Url(silent.url(""))));
    ends_in_time(|| through.get_within(SHORT).unwrap().get("http://nowhere.test/").call());
}

#[test]
fn nothing_is_sent_once_the_deadline_has_passed_and_the_connection_stays() {
    let server = Server::start(|_, to| ok(to, "hello"));
    let pool = pool(config());
    for answered in [0, 1, 1] {
        let late = pool.get_within(Duration::ZERO).unwrap();
        assert_eq!(late.remaining(), Some(Duration::ZERO));
        assert!(is_global(&late.get(server.url("/")).call().unwrap_err()));
        drop(late);
        assert_eq!(server.connections(), answered);
        assert_eq!(get(&pool.get().unwrap(), &server.url("/")).unwrap(), "hello");
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_lease_inherits_no_deadline() {
    let server = Server::start(|_, to| {
        pause(200);
        ok(to, "hello")
    });
    let pool = pool(config());
    for within in [Duration::ZERO, SHORT] {
        let short = pool.get_within(within).unwrap();
        assert!(is_global(&short.get(server.url("/")).call().unwrap_err()));
        drop(short);
        let lease = pool.get().unwrap();
        assert_eq!((lease.remaining(), Lease::remaining(&lease)), (None, None));
        assert_eq!(get(&lease, &server.url("/")).unwrap(), "hello");
    }
    let lease = pool.get_within(LONG).unwrap();
    assert!(lease.remaining().is_some_and(|left| left <= LONG && left > LONG / 2));
    assert_eq!(get(&lease, &server.url("/")).unwrap(), "hello");
}

#[test]
fn a_detached_agent_can_be_freed_of_its_deadline() {
    let server = Server::start(|_, to| ok(to, "hello"));
    let pool = pool(config());
    let agent = Lease::detach(pool.get_within(Duration::ZERO).unwrap());
    assert!(is_global(&agent.get(server.url("/")).call().unwrap_err()));
    assert_eq!(get(&agent.into_agent(), &server.url("/")).unwrap(), "hello");
}

#[test]
fn leases_with_a_deadline_use_connections_again_and_resume_handshakes() {
    let tls = TlsServer::start();
    let manager = AgentManager::new(tls.trusted()).unwrap();
    for _ in 0..4 {
        let pool = Pool::new(PoolConfig::default().max_size(1), manager.clone()).unwrap();
        for _ in 0..3 {
            let lease = pool.get_within(LONG).unwrap();
            assert_eq!(get(&lease, &tls.url()).unwrap(), "hello");
        }
    }
    assert_eq!(tls.server.connections(), 4);
    // Counted by the request: three of the first connection, nine of the others.
    assert_eq!(tls.handshakes(), (3, 9));
}

#[test]
fn a_connection_that_is_not_taken_is_no_longer_waited_for() {
    // So many connections that no more fit the queue of who does not accept; the next is dropped,
    // and tried again by the system after a second.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&addr, Duration::from_millis(50)) {
        queued.push(stream);
        if queued.len() > 200 {
            // A system that queues more: nothing to be seen here.
            return;
        }
    }
    let pool = pool(config());
    let url = format!("http://{addr}/");
    ends_in_time(|| pool.get_within(SHORT).unwrap().get(&url).call());
}

#[test]
fn an_agent_is_made_without_a_deadline() {
    let manager = AgentManager::new(config()).unwrap();
    let mut agent = manager.create().unwrap();
    assert_eq!(agent.remaining(), None);
    manager.lend(&mut agent, Terms::default().remaining(Some(Duration::MAX)));
    assert_eq!(agent.remaining(), None);
    manager.lend(&mut agent, Terms::default().remaining(Some(LONG)));
    assert!(agent.remaining().is_some());
}
