//! Groups of models: how a call goes on where another endpoint may do better, and where it does not.

#[path = "support/endpoints.rs"]
mod endpoints;
mod support;

use std::time::Instant;

use endpoints::*;
use llm_pool::balance::{BalanceConfig, Cause, Cooldown, Endpoint, Priority, RoundRobin, Sticky};
use llm_pool::chat::{ChatConfig, ChatRequest, ErrorKind, Message, Seen};
use llm_pool::keyed::ModelKey;
use llm_pool::llm::{Group, ModelGroups};
use llm_pool::test_server::{Fault, Reply};
use support::*;

/// No second round.
fn once() -> ChatConfig {
    ChatConfig::default().max_retries(0)
}

#[test]
fn a_call_that_fails_goes_on_at_another_endpoint_at_once() {
    for reply in [
        Reply::status(500),
        Reply::status(429).retry_after(secs(30)),
        Reply::status(401),
        Reply::status(404),
        Reply::fault(Fault::CloseBeforeAnswer),
        Reply::ok().body("not json"),
    ] {
        let servers = servers::<3>();
        let groups = groups_of(&servers, in_order(&servers));
        servers[0].plan(reply.clone());
        servers[1].plan(reply.clone());
        let began = Instant::now();
        let answer = groups.chat("all", "Hi").unwrap();
        assert_eq!((answer.text(), answer.tries()), ("You said: Hi", 3), "{reply:?}");
        assert!(began.elapsed() < secs(5), "it does not pause");
        assert_eq!(seen(&servers), [1, 1, 1], "{reply:?}");
        assert_eq!(groups.pool().stats().sum.in_use, 0);
    }
}

#[test]
fn what_every_endpoint_would_refuse_goes_nowhere_else() {
    let servers = servers::<2>();
    let groups = groups_of(&servers, in_order(&servers));
    servers[0].plan(Reply::status(400).message("no such field"));
    let error = groups.chat("all", "Hi").unwrap_err();
    assert_eq!((error.kind(), error.seen()), (ErrorKind::BadRequest, Seen::Yes));
    assert!(error.to_string().contains("endpoint \"0\" of group \"all\""), "{error}");
    assert_eq!(seen(&servers), [1, 0]);
    let stats = groups.stats("all").unwrap();
    assert_eq!(stats.endpoints[0].failures.of(Cause::Client), 1);
    assert!(groups.chat("all", "Hi").is_ok(), "and it rests for nothing");
    assert_eq!(seen(&servers), [2, 0]);
}

#[test]
fn an_endpoint_that_refused_rests_and_gets_no_calls() {
    let servers = servers::<2>();
    let groups = groups_of(&servers, in_order(&servers));
    servers[0].set_reply(Reply::status(401));
    for _ in 0..10 {
        assert!(groups.chat("all", "Hi").is_ok());
    }
    assert_eq!(seen(&servers), [1, 10]);
}

#[test]
fn an_endpoint_with_too_much_to_do_is_told_from_one_that_failed() {
    for (status, cause) in
        [(503, Cause::Overloaded), (529, Cause::Overloaded), (500, Cause::Server)]
    {
        let servers = servers::<2>();
        let groups = groups_of(&servers, in_order(&servers));
        servers[0].plan(Reply::status(status));
        assert!(groups.chat("all", "Hi").is_ok());
        let first = &groups.stats("all").unwrap().endpoints[0];
        assert_eq!((first.failures.of(cause), first.failures.total()), (1, 1), "{status}");
        assert_eq!(first.rests, 0, "one is not enough");
    }
}

#[test]
fn the_fallbacks_of_a_group_are_asked_when_it_has_no_more_to_offer() {
    let servers = servers::<3>();
    let group = |number: usize| Group::default().endpoint(key(number));
    let groups = ModelGroups::new(
        pool_with(&servers, once()),
        [("a", group(0).fallback("b").fallback("c")), ("b", group(1)), ("c", group(2))],
    );
    let groups = groups.unwrap();
    servers[0].plan(Reply::status(500));
    servers[1].plan(Reply::status(500));
    let answer = groups.chat("a", "Hi").unwrap();
    assert_eq!(answer.tries(), 3);
    assert_eq!(seen(&servers), [1, 1, 1]);
    servers.iter().for_each(|server| server.plan(Reply::status(500)));
    let error = groups.chat("a", "Hi").unwrap_err();
    assert_eq!((error.status(), error.tries()), (Some(500), 3), "of the last one");
    assert!(error.to_string().contains("group \"c\""), "{error}");
}

#[test]
fn a_group_that_stands_in_for_two_is_asked_once() {
    let servers = servers::<4>();
    let group = |number: usize| Group::default().endpoint(key(number));
    let groups = [
        ("a", group(0).fallback("b").fallback("c")),
        ("b", group(1).fallback("d")),
        ("c", group(2).fallback("d")),
        ("d", group(3)),
    ];
    let groups = ModelGroups::new(pool_with(&servers, once()), groups).unwrap();
    servers.iter().for_each(|server| server.set_reply(Reply::status(500)));
    assert_eq!(groups.chat("a", "Hi").unwrap_err().tries(), 4);
    assert_eq!(seen(&servers), [1, 1, 1, 1]);
}

#[test]
fn a_fallback_for_a_cause_is_asked_for_that_alone() {
    let servers = servers::<3>();
    let group = |number: usize| Group::default().endpoint(key(number));
    let small = group(0).fallback("other").fallback_for(ErrorKind::TooLong, "long");
    let groups = [("small", small), ("other", group(1)), ("long", group(2))];
    let groups = ModelGroups::new(pool(&servers), groups).unwrap();
    let too_long = r#"{"error":{"message":"m","code":"context_length_exceeded"}}"#;
    servers[0].plan(Reply::status(400).body(too_long));
    assert!(groups.chat("small", "Hi").is_ok());
    assert_eq!(seen(&servers), [1, 0, 1]);
    servers[0].plan(Reply::status(500));
    assert!(groups.chat("small", "Hi").is_ok());
    assert_eq!(seen(&servers), [2, 1, 1]);
}

#[test]
fn a_stream_that_began_is_not_begun_elsewhere() {
    let servers = servers::<2>();
    let groups = groups_of(&servers, in_order(&servers));
    servers[0].plan(Reply::status(503));
    assert_eq!(groups.stream("all", "Hi").unwrap().finish().unwrap().tries(), 2);
    servers[0].plan(Reply::ok().content("one two three four").error_mid_stream("boom"));
    let mut stream = groups.stream("all", "Hi").unwrap();
    assert_eq!(stream.key(), Some(&key(0)));
    let error = stream.find_map(Result::err).unwrap();
    assert!(error.text_so_far().starts_with("one "), "{error:?}");
    assert!(stream.next().is_none() && stream.key().is_none());
    assert_eq!(seen(&servers), [2, 1]);
    let stats = groups.stats("all").unwrap();
    let failures = &stats.endpoints[0].failures;
    assert_eq!((failures.of(Cause::Overloaded), failures.of(Cause::Server)), (1, 1));
    assert!(stats.endpoints.iter().all(|endpoint| endpoint.in_use == 0));
    drop(groups.stream("all", "Hi").unwrap());
    assert_eq!(groups.stats("all").unwrap().endpoints[0].abandoned, 1);
}

#[test]
fn tries_elsewhere_add_no_more_than_their_share() {
    let servers = servers::<2>();
    let group = in_order(&servers).retry_share(0.0);
    let groups = groups_of(&servers, group);
    servers[0].plan(Reply::status(500));
    assert_eq!(groups.chat("all", "Hi").unwrap_err().status(), Some(500));
    assert_eq!(seen(&servers), [1, 0]);

    let servers = self::servers::<2>();
    // The first keeps failing, and rests for nothing.
    let cooldown = Cooldown::default().base_rest(secs(0));
    let balance = BalanceConfig::default().strategy(Priority).cooldown(cooldown);
    let groups = groups_of(&servers, in_order(&servers).balance(balance));
    servers[0].set_reply(Reply::status(500));
    let answered = (0..100).filter(|_| groups.chat("all", "Hi").is_ok()).count();
    // Ten in reserve, and a fifth of the calls.
    assert!((28..=31).contains(&answered), "{answered}");
}

#[test]
fn all_that_rest_are_waited_for_within_the_deadline_or_the_error_says_until_when() {
    let servers = servers::<1>();
    let cooldown = Cooldown::default().base_rest(millis(100)).rest_last(true).max_resting(1.0);
    let group = Group::default().endpoint(key(0));
    let groups = groups_of(&servers, group.balance(BalanceConfig::default().cooldown(cooldown)));
    servers[0].plan(Reply::status(401));
    assert!(groups.chat("all", "Hi").is_err());
    let short = ChatRequest::new(vec![Message::user("Hi")]).within(millis(5));
    let error = groups.chat("all", short).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoLease, "{error}");
    assert!(error.retry_after().is_some_and(|after| after <= millis(150)), "{error:?}");
    assert_eq!(seen(&servers), [1], "nobody is asked while it rests");
    let began = Instant::now();
    assert!(groups.chat("all", "Hi").is_ok(), "the first to be back is waited for");
    assert!(began.elapsed() < secs(5));
}

#[test]
fn a_conversation_stays_where_it_is() {
    let servers = servers::<3>();
    let balance = BalanceConfig::default().strategy(Sticky);
    let groups = groups_of(&servers, in_order(&servers).balance(balance));
    for _ in 0..10 {
        let request = ChatRequest::new(vec![Message::user("Hi")]).conversation("number 7");
        groups.chat("all", request).unwrap();
    }
    let mut seen = seen(&servers);
    seen.sort_unstable();
    assert_eq!(seen, [0, 0, 10]);
}

#[test]
fn calls_are_spread_and_each_endpoint_keeps_its_books() {
    let servers = servers::<2>();
    let balance = BalanceConfig::default().strategy(RoundRobin::new());
    let groups = groups_of(&servers, in_order(&servers).balance(balance));
    for _ in 0..10 {
        groups.chat("all", "Hi").unwrap();
    }
    assert_eq!(seen(&servers), [5, 5]);
    let stats = groups.stats("all").unwrap();
    assert!(stats.endpoints.iter().all(|it| (it.picks, it.successes, it.in_use) == (5, 5, 0)));
    assert!(groups.stats("none").is_none());
}

#[test]
fn a_pool_without_a_client_is_not_the_endpoints_fault() {
    let servers = servers::<2>();
    let groups = groups_of(&servers, in_order(&servers));
    groups.pool().close();
    let error = groups.chat("all", "Hi").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoLease);
    let stats = groups.stats("all").unwrap();
    assert!(stats.endpoints.iter().all(|it| it.failures.total() == 0));
}

#[test]
fn an_unknown_group_is_told_with_those_that_there_are() {
    let servers = servers::<1>();
    let groups = groups_of(&servers, in_order(&servers));
    let error = groups.chat("al", "Hi").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("no group \"al\"; known are: all"), "{error}");
}

#[test]
fn all_that_is_wrong_with_groups_is_in_one_error() {
    let one = || Group::default().endpoint(key(0));
    let groups = [
        ("empty", Group::default()),
        ("twice", one()),
        ("twice", one()),
        ("doubled", one().endpoint(key(0))),
        ("weighted", Group::default().endpoint(Endpoint::new("e", key(0)).weight(-1.0))),
        ("lost", one().fallback("nowhere")),
        ("circle", one().fallback("back")),
        ("back", one().fallback_for(ErrorKind::TooLong, "circle")),
        ("self", one().fallback("self")),
        ("greedy", one().retry_share(-0.5)),
        ("hasty", one().wait_timeout(secs(0))),
        ("keyless", Group::default().endpoint(ModelKey::new("", "m"))),
    ];
    let error = ModelGroups::new(pool(&servers::<1>()), groups).unwrap_err();
    let said = error.to_string();
    for what in [
        "empty: ",
        "twice: is the name of two groups",
        "doubled: ",
        "weighted: ",
        "lost: its fallback \"nowhere\" is no group",
        "circle: its fallbacks lead back to it",
        "back: its fallbacks lead back to it",
        "self: its fallbacks lead back to it",
        "greedy: retry_share",
        "hasty: wait_timeout",
        "keyless: ",
    ] {
        assert!(said.contains(what), "{said} says nothing of {what}");
    }
    let none: [(&str, Group); 0] = [];
    assert!(ModelGroups::new(pool(&servers::<1>()), none).is_err());
}
