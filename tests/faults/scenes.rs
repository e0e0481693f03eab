//! Faults that no single call shows.

use std::io::Read;
use std::time::{Duration, Instant};

use llm_pool::agent::{self, OriginPool};
use llm_pool::keyed::KeyedConfig;
use llm_pool::test_server::{Fault, Reply, TestServer};
use llm_pool::{Lease, PoolConfig};
use ureq::{Error, Timeout};

use crate::books;
use crate::wire::{Wire, good_call, millis};
use crate::{assert_whole, pool_with, raw, word};

/// Each byte comes long before `read_timeout`.
#[test]
fn one_byte_a_second_holds_a_caller_no_longer_than_its_total_timeout() {
    let server = TestServer::start().unwrap();
    server.set_reply(Reply::fault(Fault::Drip).pause(Duration::from_secs(1)).at("/slow"));
    let total = millis(1300);
    let pool = pool_with(raw::config().total_timeout(total), 1);
    let url = format!("{}/slow", server.url());
    let ended = |call: &dyn Fn() -> Error, limit: Duration| {
        let began = Instant::now();
        assert!(matches!(call(), Error::Timeout(Timeout::Global)));
        let took = began.elapsed();
        assert!(took >= limit - millis(20) && took < limit + millis(900), "{took:?}");
    };
    ended(&|| pool.get().unwrap().get(&url).call().unwrap_err(), total);
    // Nor than its lease, if that has a deadline.
    let short = millis(200);
    ended(&|| pool.get_within(short).unwrap().get(&url).call().unwrap_err(), short);
    good_call(&pool.get().unwrap(), &server.chat_url(), word()).unwrap();
    assert_whole(&pool);
}

/// The server is gone and has said nothing, so that the connection looks open.
#[test]
fn a_half_open_connection_costs_one_call_of_one_agent_its_time_and_no_other_anything() {
    let server = TestServer::start().unwrap();
    let url = server.chat_url();
    let pool = pool_with(raw::config().total_timeout(millis(300)), 4);
    let agents: Vec<_> = (0..4).map(|_| pool.get().unwrap()).collect();
    for agent in &agents {
        server.plan(Reply::fault(Fault::StallAfterAnswer));
        good_call(agent, &url, word()).unwrap();
    }
    for agent in &agents {
        let error = good_call(agent, &url, word()).unwrap_err();
        assert!(matches!(error, Error::Timeout(Timeout::Global)), "{error:?}");
        good_call(agent, &url, word()).unwrap();
    }
    drop(agents);
    assert_eq!((server.stats().connections, server.stats().requests), (8, 8));
    assert_whole(&pool);
}

#[test]
fn a_server_that_does_not_take_a_large_body_is_given_up_in_time() {
    // Reads the head, and some of what follows.
    let server = raw::Server::accept(|mut stream| {
        stream.read_exact(&mut [0; 100])?;
        raw::pause(500);
        Ok(())
    });
    let good = TestServer::start().unwrap();
    let pool = pool_with(raw::config(), 1);
    let body = vec![b' '; 32 << 20];
    let began = Instant::now();
    let agent = pool.get_within(millis(150)).unwrap();
    let error = agent.post(server.url("/")).send(&body[..]).unwrap_err();
    assert!(matches!(error, Error::Timeout(Timeout::Global)), "{error:?}");
    assert!(began.elapsed() < millis(450), "{:?}", began.elapsed());
    drop(agent);
    good_call(&pool.get().unwrap(), &good.chat_url(), word()).unwrap();
    assert_whole(&pool);
}

/// However the answer breaks off that a body with a lease is reading.
#[test]
fn a_body_that_keeps_its_lease_gives_it_back_with_every_fault_of_an_answer() {
    let wire = Wire::start();
    let pool = pool_with(wire.config().read_timeout(millis(100)), 1);
    for name in ["closed-during", "reset-during", "stall-during", "chunks-cut", "chunks-reset"] {
        let lease = pool.get().unwrap();
        let answer = lease.get(format!("{}/{name}", wire.good.url())).call().unwrap();
        let mut body = agent::hold(lease, answer).into_body();
        assert_eq!(pool.stats().in_use, 1);
        body.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(pool.stats().in_use, 0, "{name}: before the body is dropped");
        wire.good_call(&pool.get().unwrap(), word()).unwrap();
    }
    assert_whole(&pool);
}

#[test]
fn faults_of_one_host_leave_the_shared_limits_to_the_others() {
    let wire = Wire::start();
    let each = PoolConfig::default().max_size(4).min_idle(0);
    let config = KeyedConfig::default().pool(each).max_per_host(3).max_total(4).max_open(4);
    let pool = OriginPool::with_agents(config, wire.manager()).unwrap();
    let silent = raw::Server::accept(|mut stream| {
        std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
    });
    std::thread::scope(|scope| {
        for caller in 0..8 {
            let (pool, wire, silent) = (&pool, &wire, &silent);
            scope.spawn(move || {
                for _ in 0..10 {
                    if caller % 2 == 0 {
                        let agent =
                            pool.get_within(&silent.url(""), Duration::from_secs(20)).unwrap();
                        let request =
                            agent.get(silent.url("/")).config().timeout_global(Some(millis(5)));
                        request.build().call().unwrap_err();
                        if word() % 3 == 0 {
                            Lease::discard(agent);
                        }
                    } else {
                        let agent = pool.get(wire.good.url()).unwrap();
                        wire.good_call(&agent, word()).unwrap();
                    }
                }
            });
        }
    });
    let stats = pool.pools().stats();
    books::assert_whole(&stats.sum);
    assert_eq!(stats.sum.gets, 80);
    assert!(stats.open <= 4, "{stats}");
    // All of each limit can still be had.
    let leases: Vec<_> = (0..3).map(|_| pool.get(wire.good.url()).unwrap()).collect();
    let last = pool.get(&silent.url("")).unwrap();
    assert!(pool.try_get(&silent.url("")).is_err());
    drop((leases, last));
    books::assert_whole(&pool.pools().stats().sum);
}
