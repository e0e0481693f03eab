//! Groups whose endpoints take only so much: where calls go, how long they wait, and what is learnt.

#[path = "support/endpoints.rs"]
mod endpoints;
mod support;

use std::thread;
use std::time::{Duration, Instant};

use endpoints::*;
use llm_pool::balance::{Adaptive, BalanceConfig, Endpoint, Limits, Priority};
use llm_pool::chat::{ChatConfig, ChatRequest, ErrorKind, Message};
use llm_pool::keyed::ModelKey;
use llm_pool::llm::{Group, ModelGroups};
use llm_pool::test_server::{Reply, TestServer};
use support::*;

fn limited(servers: &[TestServer], limits: &Limits) -> Group {
    let mut group = in_order(servers);
    for endpoint in &mut group.endpoints {
        endpoint.limits = limits.clone();
    }
    group
}

fn ask(within: Duration) -> ChatRequest<'static> {
    ChatRequest::new(vec![Message::user("Hi")]).within(within)
}

#[test]
fn a_call_waits_for_its_endpoints_rate_within_its_deadline_and_the_wait_is_told() {
    let servers = servers::<1>();
    // One every 50 ms, once the minute's amount is used up.
    let limits = Limits::default().requests_per_minute(1200);
    let groups = groups_of(&servers, limited(&servers, &limits));
    let waited = || groups.chat("all", ask(secs(20))).unwrap().timing().waited;
    // Refilled meanwhile, so it takes a few more than a minute's amount.
    let before = (0..5000).take_while(|_| waited() < millis(20)).count();
    assert!((1200..5000).contains(&before), "{before}");
    let began = Instant::now();
    let error = groups.chat("all", ask(millis(5))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoLease);
    assert!(error.to_string().contains("1 is at its rate"), "{error}");
    assert!(error.retry_after().is_some() && began.elapsed() < secs(5));
    assert_eq!(groups.stats("all").unwrap().endpoints[0].requests_left, Some(0));
}

#[test]
fn what_an_answer_says_of_rates_is_kept_to_without_a_refusal() {
    let window = secs(3600);
    let start = || TestServer::builder().rate_limit(3, 10_000).rate_window(window).start();
    let servers = [(); 2].map(|()| start().unwrap());
    let groups = groups_of(&servers, in_order(&servers));
    for _ in 0..6 {
        assert_eq!(groups.chat("all", "Hi").unwrap().tries(), 1);
    }
    assert_eq!(seen(&servers), [3, 3], "none of them refused a call");
    let error = groups.chat("all", ask(millis(50))).unwrap_err();
    assert!(error.to_string().contains("2 are at their rate"), "{error}");
    assert_eq!(seen(&servers), [3, 3]);
}

#[test]
fn what_answers_use_counts_towards_the_rate_of_tokens() {
    let servers = servers::<1>();
    let limits = Limits::default().tokens_per_minute(1000);
    let groups = groups_of(&servers, limited(&servers, &limits));
    let left = |groups: &ModelGroups| groups.stats("all").unwrap().endpoints[0].tokens_left;
    servers[0].plan(Reply::ok().usage(300, 200));
    groups.chat("all", "Hi").unwrap();
    let after = left(&groups).unwrap();
    assert!((500..530).contains(&after), "{after}");
    servers[0].plan(Reply::ok().usage(300, 100));
    groups.stream("all", "Hi").unwrap().finish().unwrap();
    let after = left(&groups).unwrap();
    assert!((100..160).contains(&after), "{after}");
    // What it may say at most is more than is left now, and less than comes within a minute.
    let long = ask(millis(20)).max_tokens(400);
    assert_eq!(groups.chat("all", long).unwrap_err().kind(), ErrorKind::NoLease);
    assert!(groups.chat("all", ask(secs(5)).max_tokens(50)).is_ok());
}

#[test]
fn calls_that_wait_are_served_by_whoever_has_room_first() {
    let servers = servers::<2>();
    servers[0].set_reply(Reply::ok().delay(secs(3600)));
    servers[1].set_reply(Reply::ok().delay(millis(20)));
    let limits = Limits::default().max_in_use(1);
    let groups = groups_of(&servers, limited(&servers, &limits));
    thread::scope(|scope| {
        let stuck = scope.spawn(|| groups.chat("all", ask(secs(2))));
        eventually(|| seen(&servers) == [1, 0]);
        let calls: Vec<_> = (0..10).map(|_| scope.spawn(|| groups.chat("all", "Hi"))).collect();
        for call in calls {
            assert!(call.join().unwrap().is_ok());
        }
        assert_eq!(seen(&servers), [1, 10]);
        assert_eq!(stuck.join().unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
    });
    assert_eq!(servers[1].stats().max_in_flight, 1);
}

#[test]
fn a_group_that_is_full_sends_calls_to_its_fallback_as_soon_as_it_says() {
    for (after, waited) in [(Duration::ZERO, false), (millis(50), true)] {
        let servers = servers::<2>();
        let own = Endpoint::new("own", key(0)).limits(Limits::default().max_in_use(1));
        let own = Group::default().endpoint(own).fallback("paid").fallback_after(after);
        let paid = Group::default().endpoint(key(1));
        let groups = ModelGroups::new(pool(&servers), [("all", own), ("paid", paid)]).unwrap();
        let held = groups.get("all").unwrap();
        let answer = groups.chat("all", "Hi").unwrap();
        assert_eq!(seen(&servers), [0, 1]);
        assert_eq!(answer.timing().waited >= millis(50), waited, "{:?}", answer.timing());
        drop(held);
        groups.chat("all", "Hi").unwrap();
        assert_eq!(seen(&servers), [1, 1]);
    }
}

/// However many of its own endpoints are down: the paid one serves all the calls, and the own ones
/// are left alone.
#[test]
fn a_fallback_serves_every_call_while_its_group_is_down() {
    for own in [1, 3] {
        for reply in [Reply::status(503), Reply::status(401)] {
            let servers = servers::<4>();
            servers[..own].iter().for_each(|server| server.set_reply(reply.clone()));
            let group = Group::default().fallback("paid");
            let group = (0..own).fold(group, |group, number| group.endpoint(key(number)));
            let paid = Group::default().endpoint(key(3));
            let pool = pool_with(&servers, ChatConfig::default().max_retries(0));
            let groups = ModelGroups::new(pool, [("all", group), ("paid", paid)]).unwrap();
            for _ in 0..200 {
                groups.chat("all", "Hi").unwrap();
            }
            let asked: u64 = seen(&servers)[..own].iter().sum();
            assert!(asked <= own as u64 * 8, "{own}, {reply:?}: {asked}");
        }
    }
}

#[test]
fn two_of_three_endpoints_may_be_down() {
    let servers = servers::<3>();
    servers[1..].iter().for_each(|server| server.set_reply(Reply::status(503)));
    let group = Group::default().endpoint(key(0)).endpoint(key(1)).endpoint(key(2));
    let groups = groups_of(&servers, group);
    for _ in 0..200 {
        groups.chat("all", "Hi").unwrap();
    }
}

#[test]
fn an_endpoint_that_shows_its_number_by_refusing_more_is_kept_to_it() {
    let servers = [TestServer::builder().max_at_once(20).delay(millis(20)).start().unwrap()];
    let limits = Limits::default().adaptive(Adaptive::default()).max_in_use(100);
    let endpoint = Endpoint::new("own", key(0)).limits(limits);
    let balance = BalanceConfig::default().strategy(Priority);
    let group = Group::default().endpoint(endpoint).balance(balance).retry_share(1.0);
    let pool = serving(&servers).max_size(100).build().unwrap();
    let groups = ModelGroups::new(pool, [("all", group)]).unwrap();
    let most = |groups: &ModelGroups| groups.stats("all").unwrap().endpoints[0].max_in_use.unwrap();
    thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| (0..40).for_each(|_| drop(groups.chat("all", ask(secs(60))).unwrap())));
        }
    });
    let stats = servers[0].stats();
    let share = stats.refused as f64 / stats.requests as f64;
    println!("at most {} of {}, {} refused", most(&groups), stats.requests, stats.refused);
    assert!((14..=26).contains(&most(&groups)), "{}", most(&groups));
    assert!(share < 0.05, "{share}");
}

#[test]
fn without_a_limit_of_its_own_an_endpoint_has_that_of_the_pool() {
    let servers = servers::<2>();
    let more = Endpoint::new("more", ModelKey::new("1", "m"));
    let more = more.limits(Limits::default().max_in_use(50));
    let group = Group::default().endpoint(key(0)).endpoint(more);
    let groups = groups_of(&servers, group);
    let most: Vec<_> =
        groups.stats("all").unwrap().endpoints.iter().map(|it| it.max_in_use).collect();
    assert_eq!(most, [Some(10), Some(50)]);
}
