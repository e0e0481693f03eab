//! Whether an agent's check says what its calls would meet.

use std::error::Error as _;
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::agent::{AgentManager, Check, CheckError};
use llm_pool::{Manage, Pool, PoolConfig, RequestStats, Terms};
use ureq::{Error, Timeout};

use crate::support::*;
use crate::tls::TlsServer;

const SECRET: &str = "sk-planted-secret";

fn checking(check: impl Into<Check>) -> AgentManager {
    AgentManager::new(config()).unwrap().checking(check).unwrap()
}

fn check(manager: &AgentManager) -> Result<(), CheckError> {
    manager.check(&mut manager.create().unwrap())
}

#[test]
fn without_a_check_every_agent_passes() {
    check(&AgentManager::new(config()).unwrap()).unwrap();
}

#[test]
fn a_check_fails_on_what_other_calls_would_meet_too() {
    let server = Server::start(|head, to| {
        let status = head.split(['/', ' ']).nth(2).unwrap();
        write!(to, "HTTP/1.1 {status} So\r\nContent-Length: 5\r\n\r\nhello")
    });
    let mut agent = AgentManager::new(config()).unwrap().create().unwrap();
    let mut status_of =
        |status: u16| match checking(server.url(&format!("/{status}"))).check(&mut agent) {
            Ok(()) => None,
            Err(CheckError::Refused { status, .. }) => Some(status),
            Err(error) => panic!("{error}"),
        };
    for status in [200, 204, 301, 307, 400, 404, 405, 410] {
        assert_eq!(status_of(status), None);
    }
    for status in [401, 402, 403, 407, 408, 429, 500, 502, 503, 504, 529] {
        assert_eq!(status_of(status), Some(status));
    }
    // A 204 has no body, whatever it says; the server sent one.
    assert_eq!(server.connections(), 2);
}

#[test]
fn a_failed_check_says_what_and_where_and_no_secret() {
    let server =
        Server::start(|_, to| to.write_all(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"));
    let url = format!("http://user:{SECRET}@{}/v1/models?key={SECRET}", server.addr);
    let manager = checking(Check::get(url).header("authorization", SECRET));
    let refused = check(&manager).unwrap_err();
    let shown = format!("GET http://{}/v1/models", server.addr);
    assert_eq!(refused.to_string(), format!("{shown}: status 503"));
    assert!(!format!("{refused:?} {manager:?}").contains(SECRET));

    let closed = Server::accept(|_| Ok(()));
    let unanswered = check(&checking(closed.url("/v1/models?key=k"))).unwrap_err();
    let cause = unanswered.source().unwrap().to_string();
    assert_eq!(unanswered.to_string(), format!("GET {}: {cause}", closed.url("/v1/models")));
}

#[test]
fn a_check_sends_its_headers_and_follows_no_redirect_with_them() {
    let elsewhere = Server::start(|_, to| ok(to, ""));
    let there = elsewhere.url("/");
    let server = Server::start(move |head, to| {
        assert_eq!(header(head, "x-api-key"), Some(SECRET));
        assert!(head.starts_with("GET /v1/models?all=1 "), "{head}");
        write!(to, "HTTP/1.1 302 Found\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n")
    });
    let base = server.url("/v1?all=1");
    check(&checking(Check::models(&base).header("x-api-key", SECRET))).unwrap();
    assert_eq!((server.connections(), elsewhere.connections()), (1, 0));
}

#[test]
fn a_check_leaves_a_connection_that_serves_and_is_not_counted() {
    let server = Server::start(|_, to| ok(to, &"x".repeat(1_000_000)));
    let manager = checking(server.url("/"));
    let mut agent = manager.create().unwrap();
    for _ in 0..3 {
        manager.check(&mut agent).unwrap();
    }
    assert_eq!(manager.requests(), RequestStats::default());
    get(&agent, &server.url("/")).unwrap();
    assert_eq!((manager.requests().requests, server.connections()), (1, 1));
}

#[test]
fn an_answer_beyond_all_measure_passes_and_costs_its_connection() {
    let server = Server::start(|_, to| ok(to, &"x".repeat(5_000_000)));
    let manager = checking(server.url("/"));
    let mut agent = manager.create().unwrap();
    for _ in 0..2 {
        manager.check(&mut agent).unwrap();
    }
    assert_eq!(server.connections(), 2);
}

#[test]
fn an_answer_that_breaks_off_fails() {
    let server = Server::accept(|mut stream| {
        read_request(&mut stream)?;
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
    });
    let error = check(&checking(server.url("/"))).unwrap_err();
    assert!(matches!(error, CheckError::NoAnswer { .. }), "{error}");
}

#[test]
fn the_check_timeout_alone_bounds_the_whole_check() {
    let server = Server::start(|_, to| {
        to.write_all(CHUNKED.as_bytes())?;
        for _ in 0..30 {
            pause(20);
            chunk(to, "x")?;
        }
        to.write_all(b"0\r\n\r\n")
    });
    let short = Duration::from_millis(100);
    let hasty = AgentManager::new(config().check_timeout(short)).unwrap();
    let began = Instant::now();
    match check(&hasty.checking(server.url("/")).unwrap()) {
        Err(CheckError::NoAnswer { cause: Error::Timeout(Timeout::Global), .. }) => {}
        other => panic!("{other:?}"),
    }
    assert!(began.elapsed() < Duration::from_millis(590), "{:?}", began.elapsed());

    for forever in [Duration::from_secs(20), Duration::MAX] {
        let patient = config().total_timeout(short).check_timeout(forever);
        check(&AgentManager::new(patient).unwrap().checking(server.url("/")).unwrap()).unwrap();
    }
}

#[test]
fn a_check_heeds_no_lease_s_deadline() {
    let server = Server::start(|_, to| ok(to, ""));
    let manager = checking(server.url("/"));
    let mut agent = manager.create().unwrap();
    manager.lend(&mut agent, Terms::default().remaining(Some(Duration::ZERO)));
    manager.check(&mut agent).unwrap();
    // And leaves it.
    assert_eq!(agent.remaining(), Some(Duration::ZERO));
}

#[test]
fn a_manager_made_of_another_shares_tickets_and_the_check() {
    let tls = TlsServer::start();
    let first = AgentManager::new(tls.trusted()).unwrap();
    get(&first.create().unwrap(), &tls.url()).unwrap();
    let second = first.checking(tls.url()).unwrap();
    check(&second).unwrap();
    check(&second.with_own_totals()).unwrap();
    assert_eq!(tls.handshakes(), (1, 2));
}

#[test]
fn a_pool_sets_an_agent_aside_whose_check_fails() {
    let server =
        Server::start(|_, to| to.write_all(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"));
    let config = PoolConfig::default().max_size(1).min_idle(1_usize);
    let pool = Pool::new(config, checking(server.url("/"))).unwrap();
    pool.check_all();
    let began = Instant::now();
    while pool.stats().check_failures == 0 {
        assert!(began.elapsed() < Duration::from_secs(10), "{}", pool.stats());
        thread::yield_now();
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_check_that_cannot_be_made_is_refused_without_its_secrets() {
    let manager = AgentManager::new(config().https_only(true)).unwrap();
    let with_header =
        |name: &str, value: &str| Check::get("https://host.test/").header(name, value);
    for (check, what) in [
        (Check::get(""), "url: must be an http or https URL"),
        (Check::get("/v1/models"), "url: must be an http or https URL"),
        (Check::get("host.test"), "url: must be an http or https URL"),
        (Check::get(format!("ftp://{SECRET}@host.test/")), "url: must be an http or https URL"),
        (Check::get(format!("http://{SECRET}@host.test/")), "url: must be https, since"),
        (with_header(&format!("two {SECRET}"), "value"), "header: one has a name"),
        (with_header("x-key", &format!("{SECRET}\n")), "header: the value of x-key"),
    ] {
        assert!(!format!("{check:?} {check:#?}").contains(SECRET) || what.contains("a name"));
        let error = manager.checking(check).unwrap_err();
        assert_eq!(error.problems().len(), 1, "{error}");
        let told = error.to_string();
        assert!(told.contains(what) && !told.contains(SECRET), "{told}");
    }
}
