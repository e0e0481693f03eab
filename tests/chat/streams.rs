//! Answers in pieces: as they are sent, held by their lease, and never silently cut.

use std::time::Instant;

use llm_pool::chat::{ChatRequest, ErrorKind, Finish, Message, Piece, Tool};
use llm_pool::test_server::{Fault, Reply, TestServer};
use serde_json::json;

use crate::support::*;
use crate::*;

fn texts(stream: impl Iterator<Item = Result<Piece, llm_pool::chat::ChatError>>) -> Vec<String> {
    stream.map(|piece| piece.unwrap().text().to_owned()).collect()
}

#[test]
fn a_stream_has_the_pieces_and_then_the_whole_answer() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    let mut stream = pool.stream(&key(), "one two").unwrap();
    assert_eq!(texts(&mut stream), ["You ", "said: ", "one ", "two"]);
    assert!(stream.next().is_none() && !stream.is_open());
    let reply = stream.reply();
    assert_eq!((reply.text(), reply.finish()), ("You said: one two", Some(&Finish::Stop)));
    assert_eq!((reply.usage().total(), reply.model()), (6, Some("small")));
    let sent = server.requests()[0].json().unwrap();
    assert_eq!(sent["stream"], true);
    assert_eq!(sent["stream_options"], json!({"include_usage": true}));
    assert_eq!(server.requests()[0].header("accept-encoding"), Some("identity"));
    assert_eq!(server.requests()[0].header("accept"), Some("text/event-stream"));
}

#[test]
fn pieces_come_as_they_are_sent() {
    let server = TestServer::builder().pause(millis(50)).start().unwrap();
    let pool = pool(&server);
    drop(pool.stream(&key(), "warm the connection").unwrap().finish().unwrap());
    let began = Instant::now();
    let mut stream = pool.stream(&key(), "one two three four").unwrap();
    assert!(began.elapsed() < millis(40), "it returns when the answer begins");
    let mut last = Instant::now();
    let mut pauses = Vec::new();
    for piece in stream.by_ref() {
        piece.unwrap();
        pauses.push(last.elapsed());
        last = Instant::now();
    }
    // The first follows the piece that tells the role.
    assert_eq!(pauses.len(), 6);
    for pause in pauses {
        assert!(pause >= millis(35) && pause < millis(90), "{pause:?}");
    }
}

#[test]
fn the_time_of_the_first_piece_is_told() {
    let server = TestServer::builder().delay(millis(30)).pause(millis(30)).start().unwrap();
    let pool = pool(&server);
    let timing = pool.stream(&key(), "one").unwrap().finish().unwrap().timing();
    let first_piece = timing.first_piece.unwrap();
    // The headers come with the role, and the first word follows.
    assert!(timing.first_byte >= millis(30) && timing.first_byte < millis(60), "{timing:?}");
    assert!(first_piece >= millis(60) && first_piece < timing.total, "{timing:?}");
    assert_eq!(pool.chat(&key(), "one").unwrap().timing().first_piece, None);
}

#[test]
fn a_stream_holds_its_client_to_the_end_and_no_longer() {
    let server = TestServer::builder().pause(millis(5)).start().unwrap();
    let pool = pool(&server);
    let mut first = pool.stream(&key(), "one two").unwrap();
    let second = pool.stream(&key(), "one two").unwrap();
    assert_eq!(in_use(&pool), 2);
    assert!(pool.try_get(&key()).is_err(), "the cap holds while pieces come");
    assert_eq!(texts(&mut first).len(), 4);
    assert_eq!(in_use(&pool), 1, "it goes back before the stream is dropped");
    let elsewhere = spawn(move || second.finish().unwrap().into_text());
    assert_eq!(elsewhere.result(), "You said: one two");
    eventually(|| in_use(&pool) == 0);
    assert_eq!(server.stats().connections, 2, "both connections stay in use");
    pool.chat(&key(), &hi()).unwrap();
    assert_eq!(server.stats().connections, 2);
}

#[test]
fn a_stream_dropped_early_frees_its_client_at_once() {
    let server = TestServer::builder().pause(millis(20)).start().unwrap();
    let pool = pool(&server);
    for words in ["short", &"word ".repeat(2000)] {
        let mut stream = pool.stream(&key(), words).unwrap();
        stream.next().unwrap().unwrap();
        let began = Instant::now();
        drop(stream);
        assert!(began.elapsed() < millis(400), "{:?}", began.elapsed());
        assert_eq!(in_use(&pool), 0);
    }
    // What was left of the long one is not waited for.
    server.set_pause(millis(0));
    assert_eq!(pool.chat(&key(), "still there?").unwrap().text(), "You said: still there?");
}

#[test]
fn a_borrowed_client_serves_again_after_its_stream() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    let llm = pool.get(&key()).unwrap();
    for _ in 0..3 {
        assert_eq!(texts(llm.stream("one two").unwrap()).concat(), "You said: one two");
        llm.chat(&hi()).unwrap();
    }
    assert_eq!(server.stats().connections, 1);
}

#[test]
fn reasoning_and_tool_calls_come_in_pieces_too() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    let arguments = r#"{"city":"Oslo"}"#;
    server.plan(
        Reply::ok()
            .reasoning("Let me see.")
            .tool_call("weather", arguments)
            .tool_call("time", "{}"),
    );
    let tool = |name: &str| Tool::new(name, "", json!({"type": "object"}));
    let request = ChatRequest::new(hi().to_vec()).tool(tool("weather")).tool(tool("time"));
    let mut stream = pool.stream(&key(), request).unwrap();
    let (mut thought, mut calls) = (String::new(), Vec::new());
    for piece in &mut stream {
        match piece.unwrap() {
            Piece::Reasoning(more) => thought.push_str(&more),
            Piece::ToolCall(call) => calls.push(call),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(thought, "Let me see.");
    let named: Vec<_> = calls.iter().map(|call| (&*call.name, &*call.arguments)).collect();
    assert_eq!(named, [("weather", arguments), ("time", "{}")]);
    assert_eq!(stream.reply().tool_calls(), calls);
    assert_eq!(stream.reply().finish(), Some(&Finish::ToolCalls));
}

#[test]
fn the_first_piece_is_timed_when_it_is_read_and_not_when_more_is_wanted() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    let all = [said("one "), said("two"), "data: [DONE]\n\n".to_owned()].concat();
    server.plan(Reply::ok().pieces([all]));
    let mut stream = pool.stream(&key(), &hi()).unwrap();
    stream.next().unwrap().unwrap();
    std::thread::sleep(millis(100));
    let timing = stream.finish().unwrap().timing();
    assert!(timing.first_piece.is_some_and(|time| time < millis(100)), "{timing:?}");
}

#[test]
fn a_stall_carries_the_text_so_far() {
    let server = TestServer::start().unwrap();
    let pool = pool_with(&server, chat_config().piece_timeout(millis(80)));
    server.plan(Reply::fault(Fault::StallDuringAnswer).content("one two three four five six"));
    let began = Instant::now();
    let error = pool.stream(&key(), &hi()).unwrap().finish().unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Stalled, Some(200)), "{error}");
    assert!(error.text_so_far().starts_with("one two"), "{error:?}");
    assert!(began.elapsed() < secs(2));
    assert_eq!(in_use(&pool), 0);
}

#[test]
fn comments_do_not_keep_a_stalled_stream_alive() {
    let server = TestServer::start().unwrap();
    let pool = pool_with(&server, chat_config().piece_timeout(millis(100)));
    let mut pieces = vec![said("one ")];
    pieces.extend(std::iter::repeat_n(": keep-alive\n\n".to_owned(), 200));
    server.plan(Reply::ok().pieces(pieces).pause(millis(10)));
    let began = Instant::now();
    let error = pool.stream(&key(), &hi()).unwrap().finish().unwrap_err();
    assert_eq!((error.kind(), error.text_so_far()), (ErrorKind::Stalled, "one "), "{error}");
    assert!(began.elapsed() >= millis(100) && began.elapsed() < secs(1), "{:?}", began.elapsed());
}

#[test]
fn the_first_piece_may_take_its_time() {
    let server = TestServer::start().unwrap();
    let pool = pool_with(&server, chat_config().piece_timeout(millis(60)));
    let mut pieces = vec![": thinking\n\n".to_owned(); 20];
    pieces.extend([said("late"), "data: [DONE]\n\n".to_owned()]);
    server.plan(Reply::ok().pieces(pieces).pause(millis(10)));
    assert_eq!(pool.stream(&key(), &hi()).unwrap().finish().unwrap().text(), "late");
}

#[test]
fn a_stream_cut_short_is_an_error_however_it_is_cut() {
    let server = TestServer::start().unwrap();
    let pool = once(&server);
    let content = "one two three four five six";
    for (reply, text) in [
        (Reply::fault(Fault::CloseDuringAnswer).content(content), "one two"),
        (Reply::fault(Fault::ResetDuringAnswer).content(content), ""),
        (Reply::ok().pieces([said("one "), said("two ")]), "one two "),
        (Reply::ok().pieces([said("one "), "data: {\"choi".to_owned()]), "one "),
        (Reply::ok().pieces([":\n\n"]), ""),
    ] {
        server.plan(reply.clone());
        let mut stream = pool.stream(&key(), &hi()).unwrap();
        let error = stream.find_map(Result::err).expect("it was cut");
        let cut = matches!(error.kind(), ErrorKind::CutShort | ErrorKind::Malformed);
        assert!(cut && error.partial().is_some(), "{reply:?}: {error}");
        assert!(error.text_so_far().starts_with(text), "{reply:?}: {error:?}");
        assert!(stream.next().is_none(), "it says so once");
        assert!(!stream.is_open() && in_use(&pool) == 0);
    }
}

#[test]
fn an_error_in_the_midst_of_a_stream_is_told_as_one() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    server.plan(Reply::ok().error_mid_stream("overheated").content("one two three four"));
    let before = server.stats().requests;
    let error = pool.stream(&key(), &hi()).unwrap().finish().unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Server, Some(200)), "{error}");
    assert!(error.text_so_far().starts_with("one"), "{error:?}");
    assert_eq!(error.message(), "overheated");
    assert_eq!(server.stats().requests, before + 1, "what began is not begun again");
}

#[test]
fn a_server_that_does_not_stream_is_understood() {
    let server = TestServer::start().unwrap();
    let pool = once(&server);
    let whole = r#"{"choices":[{"message":{"content":"All at once."},"finish_reason":"stop"}]}"#;
    server.plan(Reply::ok().body(whole));
    let mut stream = pool.stream(&key(), &hi()).unwrap();
    assert!(!stream.is_open(), "there is nothing left to wait for");
    assert_eq!(texts(&mut stream), ["All at once."]);
    assert_eq!(stream.reply().finish(), Some(&Finish::Stop));

    server.plan(Reply::ok().body(r#"{"error":{"message":"no streams here"}}"#));
    assert_eq!(pool.stream(&key(), &hi()).unwrap_err().message(), "no streams here");
    server.plan(Reply::ok().body("<html>Log in</html>").content_type("text/html"));
    let error = pool.stream(&key(), &hi()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    assert!(error.message().contains("text/html"), "{error}");
}

#[test]
fn a_stream_nobody_asked_for_is_read_to_its_end() {
    let server = TestServer::start().unwrap();
    let pool = once(&server);
    server.plan(Reply::ok().pieces([said("one "), said("two"), "data: [DONE]\n\n".to_owned()]));
    assert_eq!(pool.chat(&key(), &hi()).unwrap().text(), "one two");
    server.plan(Reply::ok().pieces([said("one ")]));
    assert_eq!(pool.chat(&key(), &hi()).unwrap_err().kind(), ErrorKind::CutShort);
}

#[test]
fn a_stream_over_the_limit_is_ended() {
    let server = TestServer::start().unwrap();
    let pool = pool_with(&server, chat_config().max_answer(4096));
    server.plan(Reply::ok().content("word ".repeat(1000)));
    let error = pool.stream(&key(), &hi()).unwrap().finish().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.text_so_far().starts_with("word word"));
    assert_eq!(in_use(&pool), 0);
}

#[test]
fn a_stopper_ends_a_stream() {
    let server = TestServer::builder().pause(millis(20)).start().unwrap();
    let pool = pool(&server);
    let llm = pool.get(&key()).unwrap();
    let stopper = llm.stopper();
    let mut stream = llm.stream("word ".repeat(1000).as_str()).unwrap();
    stream.next().unwrap().unwrap();
    stopper.stop();
    let error = stream.find_map(Result::err).unwrap();
    assert_eq!(error.kind(), ErrorKind::Stopped, "{error}");
}

#[test]
fn a_deadline_ends_a_stream_with_its_text_so_far() {
    let server = TestServer::builder().pause(millis(20)).start().unwrap();
    let pool = pool(&server);
    let messages = [Message::user("word ".repeat(1000))];
    let request = ChatRequest::new(&messages).within(millis(150));
    let error = pool.stream(&key(), request).unwrap().finish().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    assert!(error.text_so_far().starts_with("You said"), "{error:?}");
    assert_eq!(in_use(&pool), 0);
}

#[test]
fn many_threads_stream_through_few_clients() {
    let server = TestServer::builder().pause(millis(1)).start().unwrap();
    let pool = pool(&server);
    let threads: Vec<_> = (0..12)
        .map(|number| {
            let pool = pool.clone();
            spawn(move || {
                let said = format!("number {number}");
                let reply = pool.stream(&key(), said.as_str()).unwrap().finish().unwrap();
                assert_eq!(reply.text(), format!("You said: {said}"));
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.result());
    assert!(server.stats().connections <= 2);
}
