//! Requests ended from another thread.

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Instant;

use llm_pool::agent::{AgentConfig, AgentManager, Proxy};
use llm_pool::test_server::{Fault, Reply, TestServer};
use llm_pool::{EvictReason, Pool, PoolConfig};

use support::{LIMIT, millis, spawn};

fn pool() -> llm_pool::agent::AgentPool {
    let manager = AgentManager::new(AgentConfig::default().proxy(Proxy::Direct)).unwrap();
    Pool::new(PoolConfig::default().min_idle(0).max_size(1), manager).unwrap()
}

#[test]
fn a_request_that_waits_for_its_answer_is_ended_and_its_agent_goes() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::fault(Fault::Stall));
    let (pool, url) = (pool(), server.url().to_owned());
    let agent = pool.get().unwrap();
    let stopper = agent.stopper();
    let caller = spawn(move || agent.get(&url).call().map(|_| ()).unwrap_err());
    server.wait_until(LIMIT, |seen| seen.in_flight == 1).unwrap();
    let began = Instant::now();
    stopper.clone().stop();
    stopper.stop();
    assert!(matches!(caller.result(), ureq::Error::Io(_)));
    assert!(began.elapsed() < millis(500));
    // The next is another agent, which serves.
    let agent = pool.get().unwrap();
    assert!(!agent.is_stopped());
    assert_eq!(agent.get(format!("{}/v1/models", server.url())).call().unwrap().status(), 200);
    assert_eq!(pool.stats().evicted_for(EvictReason::Broken), 1);
}

#[test]
fn the_reading_of_an_answer_is_ended() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::fault(Fault::StallDuringAnswer));
    let agent = pool().get().unwrap();
    let stopper = agent.stopper();
    let mut body = agent.get(format!("{}/v1/models", server.url())).call().unwrap().into_body();
    stopper.stop();
    let mut text = String::new();
    // What had come may still be read.
    assert!(body.as_reader().read_to_string(&mut text).is_err());
    assert!(agent.is_stopped());
}

/// Of an answer whose only end is that of its connection.
#[test]
fn what_was_stopped_is_not_taken_for_a_whole_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let server = spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhalf of").unwrap();
        std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
    });
    let agent = pool().get().unwrap();
    let stopper = agent.stopper();
    let mut body = agent.get(format!("http://{addr}/")).call().unwrap().into_body();
    stopper.stop();
    let error = body.read_to_string().unwrap_err();
    assert!(error.to_string().contains("stopped"), "{error}");
    server.result();
}

#[test]
fn an_agent_that_was_stopped_sends_nothing_more() {
    let server = TestServer::start().unwrap();
    let agent = pool().get().unwrap();
    agent.stopper().stop();
    assert!(agent.get(server.url()).call().is_err());
    assert_eq!(server.stats().requests, 0);
    assert_eq!(format!("{:?}", agent.stopper()), "Stopper { stopped: true, .. }");
}
