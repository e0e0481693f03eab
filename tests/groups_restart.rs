//! A group's stream that broke, begun again elsewhere because its reader says so.

#[path = "support/endpoints.rs"]
mod endpoints;
mod support;

use std::time::{Duration, Instant};

use endpoints::*;
use llm_pool::balance::Cause;
use llm_pool::chat::{ChatError, ChatRequest, ErrorKind, Message, Seen};
use llm_pool::llm::{Group, GroupStream, ModelGroups};
use llm_pool::test_server::{Fault, Reply};
use support::*;

fn breaking() -> Reply {
    Reply::ok().content("one two three four").with_fault(Fault::CloseDuringAnswer)
}

fn hi(within: Duration) -> ChatRequest<'static> {
    ChatRequest::new(vec![Message::user("Hi")]).within(within)
}

/// All of the text, or what had come of it and the error.
fn read(stream: &mut GroupStream) -> Result<String, (String, ChatError)> {
    let mut text = String::new();
    for piece in stream {
        match piece {
            Ok(piece) => text.push_str(piece.text()),
            Err(error) => return Err((text, error)),
        }
    }
    Ok(text)
}

/// A stream that has broken, with some text.
#[track_caller]
fn broken(groups: &ModelGroups, request: impl Into<ChatRequest<'static>>) -> GroupStream {
    let mut stream = groups.stream("all", request).unwrap();
    let (text, error) = read(&mut stream).unwrap_err();
    assert!(text.starts_with("one ") && error.kind() == ErrorKind::CutShort, "{text}: {error}");
    stream
}

#[track_caller]
fn assert_free(groups: &ModelGroups) {
    let in_use = || groups.stats("all").unwrap().endpoints.iter().any(|it| it.in_use > 0);
    assert!(!in_use() && groups.pool().stats().sum.in_use == 0);
}

#[test]
fn a_stream_that_failed_does_not_finish_as_if_it_were_whole() {
    let servers = servers::<1>();
    let groups = groups_of(&servers, in_order(&servers));
    servers[0].plan(breaking());
    let error = broken(&groups, "Hi").finish().unwrap_err();
    assert!(error.text_so_far().starts_with("one "), "{error:?}");
}

#[test]
fn a_broken_stream_starts_over_at_an_endpoint_that_was_not_tried() {
    let servers = servers::<2>();
    let groups = groups_of(&servers, in_order(&servers));
    servers[0].plan(breaking());
    let mut stream = broken(&groups, "Hi");
    stream.restart().unwrap();
    assert_eq!(stream.key(), Some(&key(1)));
    assert_eq!(read(&mut stream).unwrap(), "You said: Hi", "from the start");
    let reply = stream.finish().unwrap();
    assert_eq!((reply.text(), reply.tries()), ("You said: Hi", 2));
    assert_eq!(seen(&servers), [1, 1]);
    let stats = groups.stats("all").unwrap();
    let told = |number: usize| {
        let it = &stats.endpoints[number];
        (it.failures.of(Cause::Broken), it.failures.total(), it.successes, it.abandoned)
    };
    assert_eq!((told(0), told(1)), ((1, 1, 0, 0), (0, 0, 1, 0)), "each once");
    assert_free(&groups);
}

#[test]
fn a_restart_goes_on_past_those_who_refuse_and_to_the_fallbacks() {
    let servers = servers::<3>();
    let first = in_order(&servers[..2]).fallback("paid");
    let paid = Group::default().endpoint(key(2));
    let groups = ModelGroups::new(pool(&servers), [("all", first), ("paid", paid)]).unwrap();
    servers[0].plan(breaking());
    servers[1].plan(Reply::status(401));
    let mut stream = broken(&groups, "Hi");
    stream.restart().unwrap();
    assert_eq!(stream.key(), Some(&key(2)));
    assert_eq!(stream.finish().unwrap().tries(), 3);
    assert_eq!(seen(&servers), [1, 1, 1]);
}

#[test]
fn a_fallback_for_what_breaks_streams_is_asked() {
    let servers = servers::<2>();
    let first = Group::default().endpoint(key(0)).fallback_for(ErrorKind::CutShort, "steady");
    let groups = [("all", first), ("steady", Group::default().endpoint(key(1)))];
    let groups = ModelGroups::new(pool(&servers), groups).unwrap();
    servers[0].plan(breaking());
    let mut stream = broken(&groups, "Hi");
    stream.restart().unwrap();
    assert_eq!(stream.finish().unwrap().text(), "You said: Hi");
}

#[test]
fn when_all_have_broken_there_is_nobody_left() {
    let servers = servers::<2>();
    let groups = groups_of(&servers, in_order(&servers));
    servers.iter().for_each(|server| server.set_reply(breaking()));
    let mut stream = broken(&groups, "Hi");
    stream.restart().unwrap();
    let (text, error) = read(&mut stream).unwrap_err();
    assert!(text.starts_with("one ") && !text.contains("one two three four"), "{text}");
    assert_eq!(error.tries(), 2);
    for _ in 0..2 {
        let error = stream.restart().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoLease);
        assert_eq!((error.tries(), error.seen()), (2, Seen::Yes));
        assert!(error.to_string().contains("the call has tried all 2 endpoints"), "{error}");
        assert!(stream.next().is_none() && stream.key().is_none());
    }
    assert!(stream.finish().is_err());
    assert_eq!(seen(&servers), [1, 1]);
    let stats = groups.stats("all").unwrap();
    assert!(stats.endpoints.iter().all(|it| (it.picks, it.failures.total()) == (1, 1)));
    assert_free(&groups);
}

#[test]
fn a_restart_is_paid_from_the_budget() {
    let servers = servers::<2>();
    let groups = groups_of(&servers, in_order(&servers).retry_share(0.0));
    servers[0].plan(breaking());
    let error = broken(&groups, "Hi").restart().unwrap_err();
    assert!(error.to_string().contains("the retry budget is spent"), "{error}");
    assert_eq!(seen(&servers), [1, 0]);
    assert_free(&groups);
}

#[test]
fn a_restart_keeps_to_the_deadline_of_the_call() {
    let servers = servers::<2>();
    let groups = groups_of(&servers, in_order(&servers));
    servers[0].plan(breaking());
    let mut stream = broken(&groups, hi(millis(300)));
    let left = Instant::now();
    servers[1].plan(Reply::fault(Fault::Stall));
    let error = stream.restart().unwrap_err();
    assert_eq!((error.kind(), error.tries()), (ErrorKind::TimedOut, 2), "{error}");
    assert!(left.elapsed() < secs(3));
    let error = stream.restart().unwrap_err();
    assert_eq!((error.kind(), error.tries()), (ErrorKind::TimedOut, 2));
    assert!(error.to_string().contains("the deadline has passed"), "{error}");
    assert_eq!(seen(&servers), [1, 1], "nobody is asked after it");
    assert_free(&groups);
}

#[test]
fn what_ended_well_or_would_fail_everywhere_is_not_restarted() {
    let servers = servers::<2>();
    let groups = groups_of(&servers, in_order(&servers));
    let mut stream = groups.stream("all", "Hi").unwrap();
    read(&mut stream).unwrap();
    let error = stream.restart().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("ended well"), "{error}");
    assert_eq!(stream.finish().unwrap().text(), "You said: Hi", "it keeps what it had");

    let event = r#"data: {"error":{"message":"no","code":"content_filter"}}"#;
    servers[0].plan(Reply::ok().pieces([format!("{event}\n\n")]));
    let mut stream = groups.stream("all", "Hi").unwrap();
    let (_, error) = read(&mut stream).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContentRefused);
    let error = stream.restart().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("content refused"), "{error}");
    assert_eq!(seen(&servers), [2, 0]);

    servers[0].plan(Reply::ok().content("one two").with_fault(Fault::StallDuringAnswer));
    let mut stream = groups.stream("all", "Hi").unwrap();
    stream.stopper().unwrap().stop();
    assert_eq!(read(&mut stream).unwrap_err().1.kind(), ErrorKind::Stopped);
    assert_eq!(stream.restart().unwrap_err().kind(), ErrorKind::Invalid, "who stops, stops");
    assert_eq!(seen(&servers), [3, 0]);
}

#[test]
fn a_stream_may_be_given_up_for_another_before_its_end() {
    let servers = servers::<2>();
    // Room for one client in all: it is given back first.
    let mut config = serving(&servers);
    config.pools = config.pools.max_total(1);
    config.pools.pool = config.pools.pool.wait_timeout(millis(100));
    let pool = config.build().unwrap();
    let groups = ModelGroups::new(pool, [("all", in_order(&servers))]).unwrap();
    servers[0].plan(Reply::ok().content("one two three four").with_fault(Fault::StallDuringAnswer));
    let mut stream = groups.stream("all", "Hi").unwrap();
    assert_eq!(stream.next().unwrap().unwrap().text(), "one ");
    stream.restart().unwrap();
    assert_eq!(read(&mut stream).unwrap(), "You said: Hi");
    assert_eq!(groups.stats("all").unwrap().endpoints[0].abandoned, 1, "which tells nothing");
    assert_free(&groups);
}

#[test]
fn a_stream_dropped_after_its_restart_frees_everything() {
    let servers = servers::<2>();
    let groups = groups_of(&servers, in_order(&servers));
    servers[0].plan(breaking());
    let mut stream = broken(&groups, "Hi");
    assert_free(&groups);
    stream.restart().unwrap();
    assert_eq!(groups.pool().stats().sum.in_use, 1);
    drop(stream);
    assert_free(&groups);
    assert_eq!(groups.stats("all").unwrap().endpoints[1].abandoned, 1);
}

#[test]
fn nothing_restarts_by_itself() {
    let servers = servers::<2>();
    let groups = groups_of(&servers, in_order(&servers));
    servers[0].plan(breaking());
    drop(broken(&groups, "Hi"));
    servers[0].plan(breaking());
    assert!(groups.stream("all", "Hi").unwrap().finish().is_err());
    assert_eq!(seen(&servers), [2, 0]);
}
