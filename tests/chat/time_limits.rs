//! How long calls take at most. The pauses are real: `ureq` has no clock to move.

use std::time::{Duration, Instant};

use llm_pool::chat::{ChatRequest, ErrorKind, Seen};
use llm_pool::test_server::{Fault, Reply, TestServer};

use crate::support::*;
use crate::*;

#[test]
fn a_try_takes_no_longer_than_the_total_time_out_whatever_the_agents_own_is() {
    let server = TestServer::builder().delay(secs(5)).start().unwrap();
    let pool = pool_with(&server, chat_config().total_timeout(millis(80)));
    let began = Instant::now();
    let error = pool.chat(&key(), &hi()).unwrap_err();
    assert_eq!((error.kind(), error.seen()), (ErrorKind::TimedOut, Seen::Maybe), "{error}");
    assert_eq!(error.tries(), 1, "the time was its own to take");
    assert!(error.message().contains("total_timeout (80ms)"), "{error}");
    assert!(began.elapsed() >= millis(80) && began.elapsed() < secs(2));
}

#[test]
fn within_covers_wait_tries_and_answer() {
    let server = TestServer::builder().delay(secs(5)).start().unwrap();
    let pool = pool(&server);
    let held = [pool.get(&key()).unwrap(), pool.get(&key()).unwrap()];
    let handle = pool.clone();
    let caller = spawn(move || {
        let began = Instant::now();
        let error = handle.chat(&key(), ChatRequest::new(&hi()).within(millis(200))).unwrap_err();
        (error, began.elapsed())
    });
    eventually(|| pool.stats().sum.waiting == 1);
    std::thread::sleep(millis(50));
    drop(held);
    let (error, took) = caller.result();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    assert!(took >= millis(190) && took < secs(2), "{took:?}");
}

#[test]
fn a_deadline_may_be_later_than_the_total_time_out() {
    let server = TestServer::builder().delay(millis(150)).start().unwrap();
    let pool = pool_with(&server, chat_config().total_timeout(millis(50)));
    let request = ChatRequest::new(hi().to_vec()).within(secs(10));
    assert!(pool.chat(&key(), request.clone()).is_ok());
    assert!(pool.get(&key()).unwrap().chat(request).is_ok());
    assert!(pool.get_within(&key(), secs(10)).unwrap().chat(&hi()).is_ok());
    let early = ChatRequest::new(hi().to_vec()).within(millis(60));
    let error = pool.get_within(&key(), secs(10)).unwrap().chat(early).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "the sooner of two holds");
}

#[test]
fn a_server_may_think_for_longer_than_it_may_pause() {
    let server = TestServer::builder().delay(millis(150)).start().unwrap();
    let pool = pool_with(&server, chat_config().piece_timeout(millis(60)));
    assert!(pool.chat(&key(), &hi()).is_ok());
    assert!(pool.stream(&key(), &hi()).unwrap().finish().is_ok());
}

#[test]
fn a_whole_answer_that_stops_coming_is_given_up() {
    let server = TestServer::start().unwrap();
    let pool = pool_with(&server, chat_config().piece_timeout(millis(60)));
    server.plan(Reply::fault(Fault::StallDuringAnswer));
    let error = pool.chat(&key(), &hi()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.message().contains("piece_timeout (60ms)"), "{error}");
}

#[test]
fn a_refusal_whose_body_never_ends_is_told_soon() {
    let server = TestServer::start().unwrap();
    let pool = once(&server);
    let refusal = Reply::status(503).message("Too many of you. ".repeat(20));
    for streams in [false, true] {
        server.plan(refusal.clone().with_fault(Fault::StallDuringAnswer));
        let began = Instant::now();
        let error = match streams {
            false => pool.chat(&key(), &hi()).unwrap_err(),
            true => pool.stream(&key(), &hi()).unwrap_err(),
        };
        assert_eq!((error.kind(), error.status()), (ErrorKind::Server, Some(503)), "{error}");
        assert!(error.message().contains("Too many of you"), "what came of it is told: {error}");
        assert!(began.elapsed() < secs(10), "{:?}", began.elapsed());
        assert_eq!(in_use(&pool), 0);
    }
}

#[test]
fn a_time_beyond_all_clocks_is_no_limit() {
    let server = TestServer::builder().delay(millis(150)).start().unwrap();
    let pool = pool_with(&server, chat_config().total_timeout(millis(50)));
    let request = ChatRequest::new(hi().to_vec()).within(Duration::MAX);
    pool.chat(&key(), request.clone()).unwrap();
    pool.get(&key()).unwrap().chat(request.clone()).unwrap();
    pool.stream(&key(), request).unwrap().finish().unwrap();
    let none = ChatRequest::new(hi().to_vec()).within(Duration::ZERO);
    assert_eq!(pool.get(&key()).unwrap().chat(none).unwrap_err().kind(), ErrorKind::TimedOut);
}
