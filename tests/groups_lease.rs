//! Clients of a group's endpoints: who gives one, and what the endpoint is told at the end.

#[path = "support/endpoints.rs"]
mod endpoints;
mod support;

use std::time::Instant;

use endpoints::*;
use llm_pool::ManualClock;
use llm_pool::agent::{AgentConfig, Proxy};
use llm_pool::balance::{BalanceConfig, Cause, Cooldown, EndpointStats, Health, Outcome, Priority};
use llm_pool::chat::{ChatConfig, ErrorKind};
use llm_pool::keyed::ModelKey;
use llm_pool::llm::{Group, GroupLease, LlmConfig, ModelGroups, Provider};
use llm_pool::test_server::{Fault, Reply, TestServer};
use support::*;
use ureq::Error;

/// Of the first endpoint of "all".
fn first(groups: &ModelGroups) -> EndpointStats {
    groups.stats("all").unwrap().endpoints[0].clone()
}

/// Picks, successes, failures and abandoned calls.
fn counts(stats: &EndpointStats) -> (u64, u64, u64, u64) {
    (stats.picks, stats.successes, stats.failures.total(), stats.abandoned)
}

fn ask(lease: &GroupLease) -> Result<u16, Error> {
    let question = r#"{"model": "m", "messages": [{"role": "user", "content": "Hi"}]}"#;
    let answer = lease.post("chat/completions").content_type("application/json").send(question)?;
    Ok(answer.status().as_u16())
}

fn quick() -> ChatConfig {
    ChatConfig::default().first_pause(millis(10)).max_pause(millis(10))
}

/// With one client a model, and short waits.
fn narrow(servers: &[TestServer], group: Group) -> ModelGroups {
    let mut config = serving(servers).max_size(1);
    config.pools.pool = config.pools.pool.wait_timeout(millis(50));
    let group = group.wait_timeout(millis(50));
    ModelGroups::new(config.build().unwrap(), [("all", group)]).unwrap()
}

#[test]
fn a_lease_is_of_an_endpoint_and_counts_as_in_use_until_it_ends() {
    let servers = servers::<2>();
    let groups = groups_of(&servers, in_order(&servers));
    let lease = groups.get("all").unwrap();
    assert_eq!((&**lease.endpoint(), lease.key()), ("0", &key(0)));
    assert_eq!(first(&groups).in_use, 1);
    drop(lease);
    assert_eq!(counts(&first(&groups)), (1, 0, 0, 1), "no request tells nothing");
    assert_eq!((first(&groups).in_use, groups.pool().stats().sum.in_use), (0, 0));
    let error = groups.get("al").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    fn is_send<T: Send + Sync>() {}
    is_send::<GroupLease>();
}

#[test]
fn a_lease_that_is_dropped_tells_what_its_last_request_met() {
    for (reply, cause) in [
        (Reply::ok(), None),
        (Reply::status(304), None),
        (Reply::status(400), None),
        (Reply::status(422), None),
        (Reply::status(401), Some(Cause::Unauthorized)),
        (Reply::status(403), Some(Cause::Forbidden)),
        (Reply::status(404), Some(Cause::NotFound)),
        (Reply::status(408), Some(Cause::Server)),
        (Reply::status(429), Some(Cause::RateLimited)),
        (Reply::status(500), Some(Cause::Server)),
        (Reply::status(503), Some(Cause::Overloaded)),
        (Reply::status(529), Some(Cause::Overloaded)),
        (Reply::fault(Fault::CloseBeforeAnswer), Some(Cause::Broken)),
        (Reply::fault(Fault::GarbageStatusLine), Some(Cause::Broken)),
    ] {
        let servers = servers::<1>();
        let groups = groups_of(&servers, in_order(&servers));
        let lease = groups.get("all").unwrap();
        servers[0].plan(Reply::status(502));
        assert_eq!(ask(&lease).unwrap(), 502);
        servers[0].plan(reply.clone());
        let _ = ask(&lease);
        assert_eq!(first(&groups).in_use, 1);
        drop(lease);
        let stats = first(&groups);
        let served = u64::from(cause.is_none());
        assert_eq!(counts(&stats), (1, served, 1 - served, 0), "{reply:?}");
        assert!(cause.is_none_or(|cause| stats.failures.of(cause) == 1), "{reply:?}: {stats:?}");
    }
}

#[test]
fn the_latency_of_a_lease_is_that_of_its_answer_not_of_the_time_it_was_held() {
    let (servers, time) = (servers::<1>(), ManualClock::new());
    let balance = BalanceConfig::default().clock(time.clock());
    let groups = groups_of(&servers, in_order(&servers).balance(balance));
    let lease = groups.get("all").unwrap();
    servers[0].plan(Reply::ok().delay(millis(40)));
    ask(&lease).unwrap();
    time.advance(secs(100));
    drop(lease);
    let latency = first(&groups).latency.unwrap();
    assert!(latency >= millis(40) && latency < secs(20), "{latency:?}");
    let lease = groups.get("all").unwrap();
    time.advance(secs(1000));
    lease.success();
    assert!(first(&groups).latency.unwrap() > secs(100), "since it was taken");
}

#[test]
fn no_connection_and_a_time_limit_are_told_and_what_the_caller_ended_is_not() {
    let config = LlmConfig::default()
        .agents(AgentConfig::default().proxy(Proxy::Direct))
        // Nobody listens there.
        .provider("0", Provider::new("http://127.0.0.1:1/v1").check(None));
    let group = Group::default().endpoint(key(0));
    let groups = ModelGroups::new(config.build().unwrap(), [("all", group)]).unwrap();
    let lease = groups.get("all").unwrap();
    assert!(ask(&lease).is_err());
    drop(lease);
    assert_eq!(first(&groups).failures.of(Cause::ConnectRefused), 1);
    let lease = groups.get("all").unwrap();
    assert!(lease.get("\u{7f}").call().is_err(), "no URL");
    drop(lease);
    assert_eq!(first(&groups).abandoned, 1);

    let servers = servers::<1>();
    let groups = groups_of(&servers, in_order(&servers));
    servers[0].set_reply(Reply::fault(Fault::Stall));
    let lease = groups.get_within("all", millis(100)).unwrap();
    assert!(matches!(ask(&lease), Err(Error::Timeout(_))));
    assert!(matches!(ask(&lease), Err(Error::Timeout(_))), "not sent, and not counted");
    drop(lease);
    assert_eq!(first(&groups).failures.of(Cause::TimedOut), 1);
    assert_eq!(seen(&servers), [1]);

    let lease = groups.get("all").unwrap();
    let stopper = lease.stopper();
    let asking = spawn(move || ask(&lease).is_err());
    eventually(|| seen(&servers) == [2]);
    stopper.stop();
    assert!(asking.result());
    assert_eq!(counts(&first(&groups)), (2, 0, 1, 1));
}

#[test]
fn a_client_knows_nothing_of_the_lease_before() {
    let servers = servers::<1>();
    let groups = narrow(&servers, in_order(&servers));
    servers[0].plan(Reply::status(500));
    let lease = groups.get("all").unwrap();
    ask(&lease).unwrap();
    drop(lease);
    drop(groups.get("all").unwrap());
    assert_eq!(counts(&first(&groups)), (2, 0, 1, 1), "the same client");
}

#[test]
fn what_the_caller_says_is_told_in_place_of_what_was_seen() {
    let servers = servers::<1>();
    let groups = groups_of(&servers, in_order(&servers));
    let asked = || {
        let lease = groups.get("all").unwrap();
        ask(&lease).unwrap();
        lease
    };
    asked().failure(Cause::Broken);
    assert_eq!(first(&groups).failures.of(Cause::Broken), 1);
    asked().report(Outcome::SuccessIn(secs(7)));
    servers[0].plan(Reply::status(500));
    asked().success();
    assert_eq!(counts(&first(&groups)), (3, 2, 1, 0));
    assert_eq!(groups.pool().stats().sum.in_use, 0);
}

#[test]
fn an_endpoint_that_asks_to_be_left_alone_is() {
    let servers = servers::<2>();
    let groups = groups_of(&servers, in_order(&servers));
    servers[0].plan(Reply::status(503).retry_after(secs(30)));
    let lease = groups.get("all").unwrap();
    assert_eq!(ask(&lease).unwrap(), 503);
    drop(lease);
    let health = first(&groups).health;
    assert!(
        matches!(health, Health::Resting { remaining, .. } if remaining > secs(25)),
        "{health:?}"
    );
    assert_eq!(&**groups.get("all").unwrap().endpoint(), "1");
}

#[test]
fn chat_tells_of_a_failure_at_once_and_of_a_success_at_the_end() {
    let servers = servers::<2>();
    let groups = groups_with(&servers, in_order(&servers), quick());
    let mut lease = groups.get("all").unwrap();
    servers[0].plan(Reply::status(503));
    assert_eq!(lease.chat("Hi").unwrap().tries(), 2, "at this endpoint");
    assert_eq!(counts(&first(&groups)), (1, 0, 0, 0));
    servers[0].plan(Reply::status(401));
    assert_eq!(lease.chat("Hi").unwrap_err().status(), Some(401));
    assert_eq!(counts(&first(&groups)), (1, 0, 1, 0), "before the end");
    assert!(lease.chat("Hi").is_ok());
    drop(lease);
    assert_eq!(counts(&first(&groups)), (1, 0, 1, 0), "once");

    let mut lease = groups.get("all").unwrap();
    assert_eq!(lease.chat("Hi").unwrap().text(), "You said: Hi");
    // An answer that makes no sense is one, whatever its status.
    servers[1].plan(Reply::ok().body("not json"));
    assert!(lease.chat("Hi").is_err());
    drop(lease);
    assert_eq!(groups.stats("all").unwrap().endpoints[1].failures.of(Cause::Broken), 1);
    assert_eq!(seen(&servers), [4, 2]);
}

#[test]
fn a_probe_by_chat_is_over_when_it_is_answered() {
    let servers = servers::<1>();
    let cooldown = Cooldown::default().base_rest(millis(20)).rest_last(true).max_resting(1.0);
    let balance = BalanceConfig::default().strategy(Priority).cooldown(cooldown);
    let groups = groups_of(&servers, in_order(&servers).balance(balance));
    groups.get("all").unwrap().failure(Cause::Unauthorized);
    let mut lease = groups.get("all").unwrap();
    assert_eq!(first(&groups).health, Health::Probing, "its rest was waited for");
    lease.chat("Hi").unwrap();
    assert_eq!(first(&groups).health, Health::Well);
    drop(lease);
    assert_eq!(counts(&first(&groups)), (2, 1, 1, 0));
}

#[test]
fn a_stream_takes_the_lease_along_and_can_be_restarted() {
    let servers = servers::<2>();
    let groups = groups_of(&servers, in_order(&servers));
    let broken = Reply::ok().content("one two three four").with_fault(Fault::CloseDuringAnswer);
    servers[0].plan(broken);
    let mut stream = groups.get("all").unwrap().stream("Hi").unwrap();
    assert_eq!(stream.key(), Some(&key(0)));
    assert!(stream.any(|piece| piece.is_err()));
    assert_eq!(counts(&first(&groups)), (1, 0, 1, 0));
    stream.restart().unwrap();
    assert_eq!(stream.key(), Some(&key(1)));
    assert_eq!(stream.finish().unwrap().tries(), 2);

    servers[0].plan(Reply::status(404));
    assert!(groups.get("all").unwrap().stream("Hi").is_err());
    assert_eq!(first(&groups).failures.of(Cause::NotFound), 1);
    let sum = groups.pool().stats().sum;
    assert_eq!((first(&groups).in_use, sum.in_use), (0, 0));
}

#[test]
fn an_endpoint_that_has_no_client_left_is_passed_over_without_blame() {
    let servers = servers::<2>();
    let groups = narrow(&servers, in_order(&servers));
    let one = groups.get("all").unwrap();
    let began = Instant::now();
    let two = groups.get("all").unwrap();
    assert_eq!((&**one.endpoint(), &**two.endpoint()), ("0", "1"));
    assert!(began.elapsed() < millis(50), "it does not wait for the first");
    let error = groups.get("all").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoLease);
    assert!(error.to_string().contains("no endpoint of \"all\" is ready: 2 are full"), "{error}");
    assert!(began.elapsed() >= millis(50), "it waits when none has one");
    let within = Instant::now();
    assert!(groups.get_within("all", millis(5)).is_err());
    assert!(within.elapsed() < secs(5));
    let stats = groups.stats("all").unwrap();
    assert!(stats.endpoints.iter().all(|it| it.failures.total() == 0 && it.in_use == 1));
    let waiter = spawn({
        let groups = groups.clone();
        move || groups.get_within("all", secs(10)).map(|lease| lease.endpoint().clone())
    });
    eventually(|| groups.stats("all").unwrap().waiting == 1);
    drop(two);
    assert_eq!(&*waiter.result().unwrap(), "1", "whoever has room first");
}

#[test]
fn an_endpoint_that_can_have_no_pool_is_passed_over() {
    let servers = servers::<1>();
    let group = Group::default()
        .balance(BalanceConfig::default().strategy(Priority))
        .endpoint(ModelKey::new("unknown", "m"))
        .fallback("own");
    let groups = [("all", group), ("own", Group::default().endpoint(key(0)))];
    let groups = ModelGroups::new(pool(&servers), groups).unwrap();
    assert_eq!(groups.get("all").unwrap().key(), &key(0));
    assert_eq!(first(&groups).failures.total(), 0);
    groups.pool().close();
    assert_eq!(groups.get("all").unwrap_err().kind(), ErrorKind::NoLease);
}

#[test]
fn the_deadline_of_a_lease_covers_the_wait_and_the_calls_of_all_kinds() {
    let servers = servers::<1>();
    servers[0].set_reply(Reply::fault(Fault::Stall));
    for waits in [false, true] {
        let groups = narrow(&servers, in_order(&servers));
        let holder = waits.then(|| {
            let (lease, groups) = (groups.get("all").unwrap(), groups.clone());
            spawn(move || {
                eventually(|| groups.stats("all").unwrap().waiting == 1);
                drop(lease);
            })
        });
        let began = Instant::now();
        let mut lease = groups.get_within("all", millis(200)).unwrap();
        assert!(lease.remaining().unwrap() < millis(200));
        let error = lease.chat("Hi").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        let took = began.elapsed();
        assert!(took >= millis(200) && took < secs(5), "{took:?}");
        assert!(ask(&lease).is_err());
        holder.into_iter().for_each(|holder| holder.result());
        drop(lease);
        assert_eq!(groups.get("all").unwrap().remaining(), None, "the next has none");
    }
}
