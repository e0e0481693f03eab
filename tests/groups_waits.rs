//! How long calls to groups wait, whom they ask meanwhile, and what that costs.

#[path = "support/endpoints.rs"]
mod endpoints;
mod support;

use std::time::{Duration, Instant};

use endpoints::*;
use llm_pool::balance::{Endpoint, Limits};
use llm_pool::chat::{ChatConfig, ChatRequest, ErrorKind, Message};
use llm_pool::llm::{Group, ModelGroups};
use llm_pool::test_server::{Reply, TestServer};
use support::*;

fn ask(within: Duration) -> ChatRequest<'static> {
    ChatRequest::new(vec![Message::user("Hi")]).within(within)
}

/// One of which the endpoint takes one call at one time.
fn narrow(number: usize) -> Group {
    let one = Endpoint::new(number.to_string(), key(number));
    Group::default().endpoint(one.limits(Limits::default().max_in_use(1)))
}

/// "all", and "second" and "third", which it falls back to in this order.
fn three(servers: &[TestServer], groups: [Group; 3]) -> ModelGroups {
    let [all, second, third] = groups;
    let all = all.fallback("second").fallback("third");
    let groups = [("all", all), ("second", second), ("third", third)];
    ModelGroups::new(pool_with(servers, ChatConfig::default().max_retries(0)), groups).unwrap()
}

#[test]
fn a_fallback_without_room_is_not_waited_for_while_another_is_still_to_be_asked() {
    let servers = servers::<3>();
    let groups = three(&servers, [narrow(0), narrow(1), narrow(2)]);
    let _held = ["all", "second"].map(|name| groups.get(name).unwrap());
    let answer = groups.chat("all", ask(millis(500))).unwrap();
    assert_eq!(seen(&servers), [0, 0, 1]);
    assert!(answer.timing().waited < millis(400), "{:?}", answer.timing());
}

#[test]
fn a_call_without_a_deadline_waits_for_room_as_long_as_its_group_says_and_no_longer() {
    let servers = servers::<1>();
    let groups = groups_of(&servers, narrow(0).wait_timeout(millis(300)));
    let _held = groups.get("all").unwrap();
    let began = Instant::now();
    assert_eq!(groups.chat("all", "Hi").unwrap_err().kind(), ErrorKind::NoLease);
    let took = began.elapsed();
    assert!(took >= millis(300) && took < millis(550), "{took:?}");
}

#[test]
fn the_patience_before_fallbacks_is_part_of_the_deadline_where_there_are_none() {
    let servers = servers::<1>();
    let groups = groups_of(&servers, narrow(0).fallback_after(secs(9)));
    let _held = groups.get("all").unwrap();
    let began = Instant::now();
    assert_eq!(groups.chat("all", ask(millis(300))).unwrap_err().kind(), ErrorKind::NoLease);
    let took = began.elapsed();
    assert!(took >= millis(300) && took < millis(550), "{took:?}");
}

#[test]
fn once_the_deadline_has_passed_no_other_fallback_is_asked() {
    let servers = servers::<3>();
    servers[0].set_reply(Reply::status(500));
    servers[1].set_reply(Reply::ok().delay(secs(3600)));
    let groups = three(&servers, [narrow(0), narrow(1), narrow(2)]);
    let error = groups.chat("all", ask(millis(200))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(groups.stats("third").unwrap().endpoints[0].picks, 0);
}

#[test]
fn what_every_endpoint_would_refuse_ends_the_call_in_a_fallback_too() {
    let servers = servers::<3>();
    servers[0].set_reply(Reply::status(500));
    servers[1].set_reply(Reply::status(400));
    let groups = three(&servers, [narrow(0), narrow(1), narrow(2)]);
    assert_eq!(groups.chat("all", "Hi").unwrap_err().kind(), ErrorKind::BadRequest);
    assert_eq!(seen(&servers), [1, 1, 0]);
}

#[test]
fn a_restart_for_which_there_was_no_endpoint_costs_the_budget_nothing() {
    let servers = servers::<1>();
    // Ten are free, and there is no more.
    let groups = groups_of(&servers, narrow(0).retry_share(0.000_001));
    for _ in 0..11 {
        let mut stream = groups.stream("all", "Hi").unwrap();
        let error = stream.restart().unwrap_err();
        assert!(error.to_string().contains("has tried all 1 endpoints"), "{error}");
    }
}
