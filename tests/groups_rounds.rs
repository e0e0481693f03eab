//! Groups of which no endpoint serves: they are tried again after a pause, as one model is.

#[path = "support/endpoints.rs"]
mod endpoints;
mod support;

use std::time::{Duration, Instant};

use endpoints::*;
use llm_pool::balance::{BalanceConfig, Cooldown, Priority};
use llm_pool::chat::{ChatConfig, ChatRequest, ErrorKind, Message, Seen};
use llm_pool::llm::{Group, ModelGroups};
use llm_pool::test_server::{Fault, Reply};
use log::Level;
use support::*;

/// With pauses that a test can wait for.
fn quick() -> ChatConfig {
    ChatConfig::default().first_pause(millis(20)).max_pause(millis(40)).retry_stale(false)
}

/// Where the only endpoint rests as well.
fn all_may_rest(base_rest: Duration) -> BalanceConfig {
    let cooldown = Cooldown::default().base_rest(base_rest).jitter(0.0);
    BalanceConfig::default().strategy(Priority).cooldown(cooldown.rest_last(true).max_resting(1.0))
}

fn hi() -> ChatRequest<'static> {
    ChatRequest::new(vec![Message::user("Hi")])
}

#[test]
fn the_only_endpoint_is_tried_again_after_a_pause() {
    for reply in [Reply::status(503), Reply::fault(Fault::Reset)] {
        let servers = servers::<1>();
        let groups = groups_with(&servers, in_order(&servers), quick());
        servers[0].plan(reply.clone());
        let began = Instant::now();
        let answer = groups.chat("all", "Hi").unwrap();
        assert_eq!((answer.text(), answer.tries()), ("You said: Hi", 2), "{reply:?}");
        // Chance shortens it by a quarter.
        assert!(began.elapsed() >= millis(15));
        servers[0].plan(reply);
        assert_eq!(groups.stream("all", "Hi").unwrap().finish().unwrap().tries(), 2);
        assert_eq!(seen(&servers), [4]);
    }
}

#[test]
fn two_endpoints_that_both_fail_once_serve_in_the_second_round() {
    logs::install();
    let servers = servers::<2>();
    let group = in_order(&servers);
    let groups = ModelGroups::new(pool_with(&servers, quick()), [("twofold", group)]).unwrap();
    servers.iter().for_each(|server| server.plan(Reply::status(503)));
    let answer = groups.chat("twofold", "Hi").unwrap();
    assert_eq!((answer.tries(), seen(&servers)), (3, vec![2, 1]));
    let stats = groups.stats("twofold").unwrap();
    assert!(stats.endpoints.iter().all(|it| it.abandoned == 0 && it.in_use == 0));
    let said = |line: &logs::Line| {
        let about = "group \"twofold\": no endpoint serves, and they are tried again in";
        line.level == Level::Info && line.text.contains(about)
    };
    assert_eq!(logs::all().iter().filter(|line| said(line)).count(), 1);
}

#[test]
fn there_are_as_many_rounds_as_retries_whatever_the_number_of_endpoints() {
    for (retries, rounds) in [(0, 1), (1, 2), (2, 3)] {
        let servers = servers::<3>();
        let groups = groups_with(&servers, in_order(&servers), quick().max_retries(retries));
        servers.iter().for_each(|server| server.set_reply(Reply::status(500)));
        let error = groups.chat("all", "Hi").unwrap_err();
        assert_eq!(error.tries(), rounds * 3);
        assert_eq!(seen(&servers), [u64::from(rounds); 3]);
    }
}

#[test]
fn a_round_goes_through_the_fallbacks_too() {
    let servers = servers::<2>();
    let group = |number: usize| Group::default().endpoint(key(number));
    let groups = [("a", group(0).fallback("b")), ("b", group(1))];
    let groups = ModelGroups::new(pool_with(&servers, quick()), groups).unwrap();
    servers[0].plan(Reply::status(500).times(2));
    servers[1].plan(Reply::status(500));
    assert_eq!(groups.chat("a", "Hi").unwrap().tries(), 4);
    assert_eq!(seen(&servers), [2, 2]);
}

#[test]
fn the_pause_that_the_only_endpoint_asks_for_is_given() {
    let servers = servers::<1>();
    let groups = groups_with(&servers, in_order(&servers), quick());
    servers[0].plan(Reply::status(429).retry_after(secs(1)));
    let began = Instant::now();
    assert_eq!(groups.chat("all", "Hi").unwrap().tries(), 2);
    assert!(began.elapsed() >= secs(1));
    assert_eq!(groups.pool().stats().sum.in_use, 0);
}

#[test]
fn a_rest_that_is_longer_than_the_pause_is_waited_for_in_its_place() {
    let servers = servers::<2>();
    let group = in_order(&servers).balance(all_may_rest(millis(300)));
    let groups = groups_with(&servers, group, quick());
    servers.iter().for_each(|server| server.plan(Reply::status(429)));
    let began = Instant::now();
    assert_eq!(groups.chat("all", "Hi").unwrap().tries(), 3);
    assert!(began.elapsed() >= millis(300), "{:?}", began.elapsed());
}

#[test]
fn a_deadline_before_the_end_of_the_pause_or_the_rest_ends_the_call_at_once() {
    let slow = ChatConfig::default().first_pause(secs(2)).max_pause(secs(2));
    for (retry_after, base_rest) in [(secs(5), secs(0)), (secs(0), secs(5))] {
        let servers = servers::<1>();
        let group = in_order(&servers).balance(all_may_rest(base_rest));
        let groups = groups_with(&servers, group, slow.clone());
        servers[0].set_reply(Reply::status(429).retry_after(retry_after));
        let began = Instant::now();
        let error = groups.chat("all", hi().within(secs(4))).unwrap_err();
        assert!(began.elapsed() < secs(1), "{:?}", began.elapsed());
        let told = (error.kind(), error.status(), error.tries(), error.seen());
        assert_eq!(told, (ErrorKind::RateLimited, Some(429), 1, Seen::Yes));
        assert_eq!(seen(&servers), [1]);
    }
}

#[test]
fn what_a_pause_does_not_heal_is_not_paused_for() {
    for status in [401, 403, 404, 400] {
        let servers = servers::<2>();
        let groups = groups_of(&servers, in_order(&servers));
        servers.iter().for_each(|server| server.set_reply(Reply::status(status)));
        let began = Instant::now();
        assert_eq!(groups.chat("all", "Hi").unwrap_err().status(), Some(status));
        assert!(began.elapsed() < millis(370), "the shortest pause there is");
        assert!(seen(&servers).iter().all(|seen| *seen <= 1));
    }
}

#[test]
fn one_endpoint_that_a_pause_may_heal_is_enough_for_a_round() {
    let servers = servers::<2>();
    let groups = groups_with(&servers, in_order(&servers), quick());
    servers[0].plan(Reply::status(503));
    servers[1].set_reply(Reply::status(401));
    assert_eq!(groups.chat("all", "Hi").unwrap().tries(), 3);
    assert_eq!(seen(&servers), [2, 1]);
}

#[test]
fn rounds_add_no_more_than_the_share_of_retries() {
    let servers = servers::<1>();
    let groups = groups_with(&servers, in_order(&servers).retry_share(0.0), quick());
    servers[0].plan(Reply::status(503));
    assert_eq!(groups.chat("all", "Hi").unwrap_err().tries(), 1);

    let cooldown = Cooldown::default().base_rest(secs(0));
    let balance = BalanceConfig::default().cooldown(cooldown);
    let group = in_order(&servers).balance(balance).retry_share(0.001);
    let quicker = quick().first_pause(millis(1)).max_pause(millis(1));
    let groups = groups_with(&servers, group, quicker.max_retries(1));
    servers[0].set_reply(Reply::status(503));
    let tries: u32 = (0..30).map(|_| groups.chat("all", "Hi").unwrap_err().tries()).sum();
    assert_eq!(tries, 40, "ten in reserve");
}

#[test]
fn a_pause_holds_nothing_and_ends_when_the_pool_is_closed() {
    let servers = servers::<1>();
    let pool = serving(&servers).max_size(1).build().unwrap();
    let groups = ModelGroups::new(pool, [("all", in_order(&servers))]).unwrap();
    servers[0].plan(Reply::status(503).retry_after(secs(60)));
    let caller = spawn({
        let groups = groups.clone();
        move || groups.chat("all", "Hi").unwrap_err()
    });
    let stats = || groups.stats("all").unwrap().endpoints[0].clone();
    eventually(|| stats().failures.total() == 1);
    assert_eq!(stats().in_use, 0);
    // The only client there may be.
    assert!(groups.pool().get_timeout(&key(0), secs(5)).is_ok());
    let began = Instant::now();
    groups.pool().close();
    let error = caller.result();
    assert!(began.elapsed() < secs(5));
    assert_eq!((error.status(), error.tries()), (Some(503), 1));
    assert!(error.to_string().contains("the pool is closed"), "{error}");
    assert_eq!(seen(&servers), [1]);
}

#[test]
fn a_pool_without_a_client_hides_nothing_of_the_try_before() {
    let servers = servers::<2>();
    let mut config = serving(&servers).max_size(1);
    config.pools.pool = config.pools.pool.wait_timeout(millis(20));
    let groups = ModelGroups::new(config.build().unwrap(), [("all", in_order(&servers))]).unwrap();
    let _held = groups.pool().get(&key(1)).unwrap();
    servers[0].plan(Reply::status(401));
    let error = groups.chat("all", "Hi").unwrap_err();
    assert_eq!((error.status(), error.tries(), error.seen()), (Some(401), 1, Seen::Yes));
    assert_eq!(seen(&servers), [1, 0]);
}
