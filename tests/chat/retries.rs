//! Which calls are tried again, how often, and after how long.

use std::time::{Duration, Instant};

use llm_pool::chat::{ChatRequest, ErrorKind};
use llm_pool::test_server::{Fault, Reply, TestServer};

use crate::support::*;
use crate::*;

#[test]
fn two_failures_are_made_up_for_and_three_are_not() {
    let server = TestServer::start().unwrap();
    // One on a connection that was used before would not count.
    let pool = pool_with(&server, chat_config().retry_stale(false));
    for reply in [
        Reply::status(408),
        Reply::status(409),
        Reply::status(429),
        Reply::status(500),
        Reply::status(503),
        Reply::fault(Fault::CloseBeforeAnswer),
        Reply::fault(Fault::CloseDuringAnswer),
    ] {
        // The pool's and the client's own, which both try again.
        server.plan(reply.clone().times(2));
        assert_eq!(pool.chat(&key(), &hi()).unwrap().tries(), 3, "{reply:?}");
        server.plan(reply.clone().times(2));
        assert_eq!(pool.get(&key()).unwrap().chat(&hi()).unwrap().tries(), 3, "{reply:?}");
    }
    server.plan(Reply::status(503).times(3));
    let error = pool.chat(&key(), &hi()).unwrap_err();
    assert_eq!((error.tries(), error.status()), (3, Some(503)));
    assert!(error.to_string().contains("3 tries"), "{error}");
}

#[test]
fn what_another_try_does_not_mend_is_not_tried_again() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    let quota = r#"{"error":{"message":"m","code":"insufficient_quota"}}"#;
    for reply in [
        Reply::status(400),
        Reply::status(401),
        Reply::status(403),
        Reply::status(404),
        Reply::status(422),
        Reply::status(429).body(quota),
        Reply::status(503).header("x-should-retry", "false"),
        Reply::status(503).retry_after(secs(121)),
        Reply::ok().body("not json"),
    ] {
        let before = server.stats().requests;
        server.plan(reply.clone());
        assert_eq!(pool.chat(&key(), &hi()).unwrap_err().tries(), 1, "{reply:?}");
        assert_eq!(server.stats().requests, before + 1, "{reply:?}");
    }
    server.plan(Reply::status(400).header("x-should-retry", "true"));
    assert_eq!(pool.chat(&key(), &hi()).unwrap().tries(), 2, "the server knows better");
}

#[test]
fn the_server_says_how_long_to_pause() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    for (name, value, at_least) in [
        ("retry-after-ms", "120", 120),
        ("retry-after", "0.15", 150),
        ("retry-after", "soon", 0),
        ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT", 0),
    ] {
        server.plan(Reply::status(429).header(name, value));
        let began = Instant::now();
        assert_eq!(pool.chat(&key(), &hi()).unwrap().tries(), 2);
        let took = began.elapsed();
        assert!(took >= millis(at_least) && took < secs(5), "{name}: {value}: {took:?}");
    }
    let tomorrow = jiff_date(Duration::from_secs(24 * 3600));
    let error = failing(&server, Reply::status(429).header("retry-after", tomorrow));
    let after = error.retry_after().unwrap();
    assert!(after > secs(23 * 3600) && after <= secs(24 * 3600), "{after:?}");
    let both = Reply::status(429).header("retry-after-ms", "1500").header("retry-after", "9");
    assert_eq!(failing(&server, both).retry_after(), Some(millis(1500)));
}

/// An HTTP date this far away.
fn jiff_date(away: Duration) -> String {
    let then = jiff::Timestamp::now() + jiff::SignedDuration::try_from(away).unwrap();
    then.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[test]
fn no_try_begins_that_would_end_past_the_deadline() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    server.plan(Reply::status(429).retry_after(secs(2)));
    let began = Instant::now();
    let error = pool.chat(&key(), ChatRequest::new(&hi()).within(secs(1))).unwrap_err();
    assert!(began.elapsed() < millis(500), "it does not wait for nothing");
    assert_eq!((error.tries(), error.retry_after()), (1, Some(secs(2))));

    server.plan(Reply::status(429).retry_after(secs(2)));
    let llm = pool.get_within(&key(), secs(1)).unwrap();
    assert_eq!(llm.chat(&hi()).unwrap_err().tries(), 1, "a lease's deadline is one too");
}

#[test]
fn the_client_is_given_back_while_its_call_pauses() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    server.plan(Reply::status(429).header("retry-after", "0.5"));
    let handle = pool.clone();
    let caller = spawn(move || handle.chat(&key(), &hi()).unwrap().tries());
    server.wait_until(LIMIT, |seen| seen.requests == 1 && seen.in_flight == 0).unwrap();
    let began = Instant::now();
    eventually(|| in_use(&pool) == 0);
    assert!(began.elapsed() < millis(400), "it pauses without a client");
    assert_eq!(caller.result(), 2);
}

#[test]
fn a_stopper_ends_the_pause_between_two_tries() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    server.plan(Reply::status(429).retry_after(secs(60)));
    let llm = pool.get(&key()).unwrap();
    let stopper = llm.stopper();
    let caller = spawn(move || llm.chat(&hi()).unwrap_err());
    server.wait_until(LIMIT, |seen| seen.requests == 1 && seen.in_flight == 0).unwrap();
    std::thread::sleep(millis(20));
    let began = Instant::now();
    stopper.stop();
    let error = caller.result();
    assert_eq!((error.kind(), error.tries()), (ErrorKind::Stopped, 2), "{error}");
    assert!(began.elapsed() < secs(1));
    assert_eq!(server.stats().requests, 1);
}

#[test]
fn a_provider_may_have_limits_of_its_own() {
    let server = TestServer::start().unwrap();
    let provider = llm_pool::llm::Provider::new(format!("{}/v1", server.url()));
    let pool = pool_of(provider.chat(chat_config().max_retries(0)), chat_config());
    server.plan(Reply::status(503));
    assert_eq!(pool.chat(&key(), &hi()).unwrap_err().tries(), 1);
}

#[test]
fn a_connection_that_the_server_closed_meanwhile_costs_no_try() {
    let server = TestServer::start().unwrap();
    let pool = pool_with(&server, chat_config().max_retries(0));
    let llm = pool.get(&key()).unwrap();
    for _ in 0..5 {
        assert_eq!(llm.chat(&hi()).unwrap().tries(), 1);
        // The request is read on the old connection, and nothing is answered.
        server.plan(Reply::fault(Fault::CloseBeforeAnswer));
    }
    server.clear_plan();
    let never = pool_with(&server, chat_config().max_retries(0).retry_stale(false));
    let llm = never.get(&key()).unwrap();
    llm.chat(&hi()).unwrap();
    server.plan(Reply::fault(Fault::CloseBeforeAnswer));
    assert_eq!(llm.chat(&hi()).unwrap_err().kind(), ErrorKind::Broken, "unless it is not wanted");
}

#[test]
fn a_new_connection_that_breaks_is_a_try_like_any_other() {
    let server = TestServer::start().unwrap();
    let error = failing(&server, Reply::fault(Fault::CloseBeforeAnswer));
    assert_eq!(error.kind(), ErrorKind::Broken);
    assert_eq!(server.stats().requests, 1);
}

#[test]
fn streams_embeddings_and_lists_of_models_are_tried_again_as_well() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    server.plan(Reply::status(503).times(2));
    assert_eq!(pool.stream(&key(), &hi()).unwrap().finish().unwrap().tries(), 3);
    server.plan(Reply::status(503).times(2));
    assert_eq!(pool.embed(&key(), &["a"]).unwrap().vectors.len(), 1);
    server.plan(Reply::status(503).times(2));
    assert_eq!(pool.models(&key()).unwrap().len(), 1);
    server.plan(Reply::status(503).times(2));
    let llm = pool.get(&key()).unwrap();
    assert_eq!(llm.stream(&hi()).unwrap().finish().unwrap().tries(), 3);
}
