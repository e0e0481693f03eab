//! What the server tells about what it saw.

use super::*;

#[test]
fn counters_tell_reuse() {
    let server = TestServer::start().unwrap();
    let agent = agent();
    for _ in 0..5 {
        chat(&agent, &server).unwrap();
    }
    let stats = server.stats();
    assert_eq!((stats.connections, stats.open), (1, 1));
    assert_eq!((stats.requests, stats.in_flight, stats.max_in_flight), (5, 0, 1));
    let connections: Vec<u64> = server.requests().iter().map(SeenRequest::connection).collect();
    assert_eq!(connections, [1; 5]);
    drop(agent);
    server.wait_until(SOON, |stats| stats.open == 0).unwrap();
}

#[test]
fn the_highest_number_in_flight_is_kept() {
    let server = TestServer::start().unwrap();
    server.set_reply(Reply::fault(Fault::Stall));
    let mut raws: Vec<Raw> = (0..4).map(|_| Raw::to(&server)).collect();
    raws.iter_mut().for_each(|raw| raw.get("/v1/models"));
    server.wait_until(SOON, |stats| stats.in_flight == 4).unwrap();
    raws.clear();
    let stats = server.wait_until(SOON, |stats| stats.in_flight == 0).unwrap();
    assert_eq!(stats.max_in_flight, 4);
}

#[test]
fn more_at_one_time_than_it_serves_are_refused_and_use_up_no_plan() {
    let server = TestServer::builder().max_at_once(2).start().unwrap();
    server.plan(Reply::fault(Fault::Stall).times(2));
    server.plan(Reply::status(418));
    let mut raws: Vec<Raw> = (0..2).map(|_| Raw::to(&server)).collect();
    raws.iter_mut().for_each(|raw| raw.get("/v1/models"));
    server.wait_until(SOON, |stats| stats.in_flight == 2).unwrap();
    let agent = agent();
    for refused in 1..=3 {
        let (status, body) = chat(&agent, &server).unwrap();
        assert_eq!((status, &body["error"]["code"]), (429, &json!("rate_limit_exceeded")));
        let stats = server.stats();
        assert_eq!((stats.refused, stats.in_flight, stats.planned), (refused, 2, 1));
    }
    raws.pop();
    server.wait_until(SOON, |stats| stats.in_flight == 1).unwrap();
    assert_eq!(chat(&agent, &server).unwrap().0, 418);
}

#[test]
fn waiting_for_counters_in_vain_gives_the_counters_as_they_are() {
    let server = TestServer::start().unwrap();
    let wait = server.wait_until(Duration::from_millis(20), |stats| stats.requests > 0);
    assert_eq!(wait, Err(ServerStats::default()));
}

#[test]
fn requests_are_seen_in_order_with_their_headers() {
    let server = TestServer::builder().remember(2).start().unwrap();
    let agent = agent();
    for path in ["/a", "/b", "/c?key=sk-in-query"] {
        let mut answer = agent
            .get(format!("{}{path}", server.url()))
            .header("authorization", "Bearer sk-secret")
            .header("X-Other", "shown")
            .call()
            .unwrap();
        answer.body_mut().read_to_string().unwrap();
        assert_eq!(answer.headers()["x-connection-number"], "1");
        let number = server.stats().requests.to_string();
        assert_eq!(answer.headers()["x-request-number"], number.as_str());
    }
    let seen = server.requests();
    assert_eq!(seen.iter().map(SeenRequest::number).collect::<Vec<_>>(), [2, 3]);
    let last = &seen[1];
    assert_eq!((last.method(), last.path()), ("GET", "/c?key=sk-in-query"));
    assert_eq!(last.header("Authorization"), Some("Bearer sk-secret"));
    assert_eq!(last.header("x-other"), Some("shown"));
    assert_eq!(last.header("absent"), None);
    assert!(last.headers().any(|(name, _)| name == "host"));
    let shown = format!("{last:?}");
    assert!(shown.contains("shown") && shown.contains("[redacted]"), "{shown}");
    assert!(!shown.contains("sk-"), "{shown}");
    server.forget_requests();
    assert!(server.requests().is_empty());
}
