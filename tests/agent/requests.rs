//! What a manager counts of the requests made with its agents.

use std::time::Duration;

use llm_pool::agent::{AgentManager, AgentPool};
use llm_pool::{Manage, Pool, PoolConfig, RequestStats};

use crate::support::*;

fn manager() -> AgentManager {
    AgentManager::new(config()).unwrap()
}

/// Answers `/404` with 404, and so on.
fn statuses() -> Server {
    Server::start(|head, to| {
        let status = head.split(['/', ' ']).nth(2).unwrap();
        write!(to, "HTTP/1.1 {status} So\r\nContent-Length: 0\r\n\r\n")
    })
}

fn counts(manager: &AgentManager) -> (u64, u64) {
    let RequestStats { requests, failures, .. } = manager.requests();
    (requests, failures)
}

#[test]
fn refusals_that_are_the_server_s_trouble_are_failures_and_others_are_not() {
    let (server, manager) = (statuses(), manager());
    let agent = manager.create().unwrap();
    for status in [200, 204, 400, 401, 404, 418] {
        get(&agent, &server.url(&format!("/{status}"))).unwrap();
    }
    assert_eq!(counts(&manager), (6, 0));
    for (n, status) in (1..).zip([408, 429, 500, 502, 503, 529]) {
        get(&agent, &server.url(&format!("/{status}"))).unwrap();
        assert_eq!(counts(&manager), (6 + n, n));
    }
    assert_eq!(manager.requests().success_rate(), Some(0.5));
}

#[test]
fn a_status_counts_alike_if_a_request_wants_it_as_an_error() {
    let (server, manager) = (statuses(), manager());
    let agent = manager.create().unwrap();
    for (status, counted) in [(404, (1, 0)), (503, (2, 1))] {
        let request = agent.get(server.url(&format!("/{status}")));
        request.config().http_status_as_error(true).build().call().unwrap_err();
        assert_eq!(counts(&manager), counted);
    }
}

#[test]
fn a_request_without_an_answer_is_a_failure() {
    let manager = manager();
    let closed = Server::accept(|_| Ok(()));
    manager.create().unwrap().get(closed.url("/")).call().unwrap_err();
    assert_eq!(counts(&manager), (1, 1));

    let pool: AgentPool = Pool::new(PoolConfig::default().max_size(1), manager).unwrap();
    pool.get_within(Duration::ZERO).unwrap().get(closed.url("/")).call().unwrap_err();
    assert_eq!(counts(pool.manager()), (2, 2));
    // Never sent: it took no time and no connection.
    assert_eq!(closed.connections(), 1);
}

#[test]
fn the_time_to_the_headers_is_counted_and_the_body_s_is_not() {
    let server = Server::start(|_, to| {
        pause(60);
        to.write_all(CHUNKED.as_bytes())?;
        pause(600);
        chunk(to, "late")?;
        to.write_all(b"0\r\n\r\n")
    });
    let manager = manager();
    assert_eq!(manager.requests().mean_response_time(), None);
    assert_eq!(get(&manager.create().unwrap(), &server.url("/")).unwrap(), "late");
    let took = manager.requests().response_time;
    assert!(took >= Duration::from_millis(60) && took < Duration::from_millis(600), "{took:?}");
    assert_eq!(manager.requests().mean_response_time(), Some(took));
}

#[test]
fn clones_count_together_and_managers_with_own_totals_apart() {
    let (server, first) = (statuses(), manager());
    let (clone, apart) = (first.clone(), first.with_own_totals());
    for (manager, times) in [(&first, 1), (&clone, 2), (&apart, 4)] {
        let agent = manager.create().unwrap();
        for _ in 0..times {
            get(&agent, &server.url("/200")).unwrap();
        }
    }
    assert_eq!((counts(&first), counts(&clone), counts(&apart)), ((3, 0), (3, 0), (4, 0)));
}

#[test]
fn connections_opened_are_counted_and_those_used_again_are_not() {
    let server = Server::start(|_, to| ok(to, "an answer"));
    let manager = AgentManager::new(config()).unwrap();
    let agent = manager.create().unwrap();
    for _ in 0..3 {
        agent.get(server.url("/")).call().unwrap().into_body().read_to_string().unwrap();
    }
    let other = manager.create().unwrap();
    other.get(server.url("/")).call().unwrap().into_body().read_to_string().unwrap();
    let RequestStats { requests, connections, .. } = manager.requests();
    assert_eq!((requests, connections), (4, 2));
}

#[test]
fn answers_are_counted_by_class_and_each_has_its_time() {
    let (server, manager) = (statuses(), manager());
    let agent = manager.create().unwrap();
    for status in [200, 204, 304, 404, 429, 400, 500, 599, 777] {
        get(&agent, &server.url(&format!("/{status}"))).unwrap();
    }
    let closed = Server::accept(|_| Ok(()));
    agent.get(closed.url("/")).call().unwrap_err();
    let counted = manager.requests();
    assert_eq!((counted.by_class, counted.unanswered), ([0, 2, 1, 3, 3], 1));
    assert_eq!((counted.requests, counted.response.count()), (10, 10));
    assert_eq!(counted.response.sum(), counted.response_time);
    let mut twice = counted.clone();
    twice += &counted;
    assert_eq!((twice.requests, twice.by_class), (20, [0, 4, 2, 6, 6]));
    assert_eq!((twice.response.count(), twice.response.max()), (20, counted.response.max()));
}
