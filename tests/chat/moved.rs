//! Streams that are read on another thread than the one that opened them.

use std::thread;
use std::time::{Duration, Instant};

use llm_pool::chat::{ChatRequest, ErrorKind};
use llm_pool::llm::{ChatStream, Llm};
use llm_pool::test_server::{Fault, Reply, TestServer};

use crate::support::*;
use crate::*;

#[test]
fn its_deadline_goes_along() {
    let server = TestServer::builder().pause(millis(20)).start().unwrap();
    let pool = pool(&server);
    let long = [Message::user("word ".repeat(1000))];
    let began = Instant::now();
    let stream = pool.stream(&key(), ChatRequest::new(&long).within(millis(200))).unwrap();
    let error = spawn(move || stream.finish().unwrap_err()).result();
    check(&error, began.elapsed());
    assert_eq!(in_use(&pool), 0);

    let began = Instant::now();
    let llm = pool.get_within(&key(), millis(200)).unwrap();
    let stream = llm.stream(&long).unwrap();
    let read = |stream: ChatStream<&Llm>| stream.finish().unwrap_err();
    let error = thread::scope(|scope| scope.spawn(|| read(stream)).join().unwrap());
    check(&error, began.elapsed());
}

fn check(error: &ChatError, took: Duration) {
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    assert!(took >= millis(190) && took < secs(1), "{took:?}");
    assert!(error.text_so_far().starts_with("You said"), "{error:?}");
}

#[test]
fn its_total_time_out_goes_along() {
    let server = TestServer::builder().pause(millis(20)).start().unwrap();
    let pool = pool_with(&server, chat_config().total_timeout(millis(150)));
    let began = Instant::now();
    let stream = pool.stream(&key(), "word ".repeat(1000).as_str()).unwrap();
    let error = spawn(move || stream.finish().unwrap_err()).result();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    assert!(began.elapsed() < secs(1), "{:?}", began.elapsed());
}

#[test]
fn its_stalls_are_noticed_there_from_the_last_piece_on() {
    let server = TestServer::start().unwrap();
    let pool = pool_with(&server, chat_config().piece_timeout(millis(120)));
    server.plan(Reply::fault(Fault::StallDuringAnswer).content("one two three four five six"));
    let mut stream = pool.stream(&key(), &hi()).unwrap();
    stream.next().unwrap().unwrap();
    let reader = spawn(move || {
        let began = Instant::now();
        let error = stream.find_map(Result::err).unwrap();
        (error, began.elapsed())
    });
    let (error, took) = reader.result();
    assert_eq!(error.kind(), ErrorKind::Stalled, "{error}");
    assert!(took >= millis(60) && took < secs(1), "{took:?}");
    assert_eq!(in_use(&pool), 0);
}

#[test]
fn a_thread_may_read_two_streams_by_turns_and_call_in_between() {
    let server = TestServer::builder().pause(millis(1)).start().unwrap();
    let pool = pool(&server);
    let mut left = pool.stream(&key(), "a b c d e f").unwrap();
    // A deadline of one is none of the other's.
    let request = ChatRequest::from("g h i j k l").within(secs(10));
    let mut right = spawn({
        let pool = pool.clone();
        move || pool.stream(&key(), request).unwrap()
    })
    .result();
    loop {
        let (one, other) = (left.next(), right.next());
        if one.is_none() && other.is_none() {
            break;
        }
        one.transpose().unwrap();
        other.transpose().unwrap();
        if !left.is_open() {
            assert_eq!(pool.chat(&key(), "x").unwrap().text(), "You said: x");
        }
    }
    assert_eq!(left.reply().text(), "You said: a b c d e f");
    assert_eq!(right.reply().text(), "You said: g h i j k l");
}
