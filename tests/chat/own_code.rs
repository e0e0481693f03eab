//! Dialects and token sources of one's own: what they can do to a call, and what they cannot.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Instant;

use crossbeam_channel::{Receiver, bounded};
use llm_pool::chat::{
    Ask, ChatError, Dialect, Draft, ErrorKind, Frame, HttpCall, Next, Piece, Token, TokenSource,
};
use llm_pool::test_server::{Fault, Reply, TestServer};
use llm_pool::ureq::Agent;
use serde_json::json;

use crate::support::*;
use crate::*;

/// Every event is more of the text, but for some words.
struct Plain;

impl Dialect for Plain {
    fn request(&self, ask: &Ask<'_>, _: &Draft) -> Result<HttpCall, ChatError> {
        assert!(ask.messages()[0].content != "panic", "asked to");
        HttpCall::post("ask", &json!({"prompt": ask.messages()[0].content}))
    }

    fn answer(&self, body: &[u8], draft: &mut Draft) -> Result<Next, ChatError> {
        assert!(body != b"panic", "asked to");
        draft.push_text(&String::from_utf8_lossy(body));
        Ok(Next::Done)
    }

    fn piece(&self, frame: Frame<'_>, draft: &mut Draft) -> Result<Next, ChatError> {
        assert!(frame.data != "panic", "asked to");
        draft.push_text(frame.data);
        match frame.data {
            "done" => Ok(Next::Done),
            "again" => Ok(Next::Again),
            "wrong" => Err(ChatError::malformed("it is wrong")),
            _ => Ok(Next::More),
        }
    }
}

fn plain(server: &TestServer, chat: ChatConfig) -> LlmPool {
    pool_of(Provider::new(format!("{}/v1", server.url())).dialect(Plain), chat)
}

fn event(data: &str) -> String {
    format!("data: {data}\n\n")
}

#[test]
fn what_came_with_an_error_comes_before_it() {
    let server = TestServer::start().unwrap();
    let pool = plain(&server, chat_config());
    for (last, refusal) in [
        // Read, and found wrong.
        ("data: wrong\n\n", None),
        // Half of the end is missing.
        ("data: no end", None),
        // The second request fails.
        ("data: again\n\n", Some(Reply::status(400))),
    ] {
        server.plan(Reply::ok().pieces([event("one"), last.to_owned()]));
        refusal.into_iter().for_each(|reply| server.plan(reply));
        let mut stream = pool.stream(&key(), &hi()).unwrap();
        let text = last.trim().trim_start_matches("data: ");
        assert_eq!(stream.next().unwrap().unwrap().text(), "one");
        assert_eq!(stream.next().unwrap().unwrap().text(), text);
        assert!(!stream.is_open() && in_use(&pool) == 0, "the client is not held for it");
        let error = stream.next().unwrap().unwrap_err();
        assert_eq!(error.text_so_far(), format!("one{text}"), "{error}");
        assert!(stream.next().is_none());
    }
}

#[test]
fn the_first_piece_of_a_second_answer_may_take_its_time_as_well() {
    let server = TestServer::start().unwrap();
    let pool = plain(&server, chat_config().piece_timeout(millis(60)));
    server.plan(Reply::ok().pieces([event("one"), event("again")]));
    let late = [":\n\n".to_owned(), event("two"), event("done")];
    server.plan(Reply::ok().pieces(late).pause(millis(150)));
    // Only the pause before the last one is too long.
    let error = pool.stream(&key(), &hi()).unwrap().finish().unwrap_err();
    assert_eq!((error.kind(), error.text_so_far()), (ErrorKind::Stalled, "oneagaintwo"));
}

#[test]
fn a_dialect_that_panics_costs_neither_a_client_nor_a_waiter() {
    let server = TestServer::start().unwrap();
    let pool = plain(&server, chat_config());
    for _ in 0..3 {
        for prompt in ["panic", "Hi"] {
            server.clear_plan();
            server.plan(Reply::ok().body("panic"));
            let handle = pool.clone();
            assert!(spawn(move || handle.chat(&key(), prompt)).outcome().is_err());
        }
        server.plan(Reply::ok().pieces([event("one"), event("panic")]));
        let handle = pool.clone();
        assert!(spawn(move || handle.stream(&key(), "Hi").unwrap().finish()).outcome().is_err());
    }
    eventually(|| in_use(&pool) == 0);
    let held = [pool.get(&key()).unwrap(), pool.get(&key()).unwrap()];
    drop(held);
    server.plan(Reply::ok().body("fine"));
    assert_eq!(pool.chat(&key(), "Hi").unwrap().text(), "fine");
}

/// Gives out numbered tokens, once somebody lets it.
struct Slow(Receiver<()>, AtomicUsize);

impl TokenSource for Slow {
    fn fetch(&self, _: &Agent) -> Result<Token, ChatError> {
        let _ = self.0.recv_timeout(LIMIT);
        Ok(Token::new(format!("token-{}", self.1.fetch_add(1, SeqCst))))
    }
}

#[test]
fn every_call_waits_for_a_token_no_longer_than_the_total_time_out() {
    let server = TestServer::start().unwrap();
    let (let_it, allowed) = bounded(1);
    let provider = Provider::new(format!("{}/v1", server.url()));
    let provider = provider.tokens(Slow(allowed, AtomicUsize::new(0))).check(None);
    let pool = Arc::new(pool_of(provider, chat_config().total_timeout(millis(150))));
    let handle = pool.clone();
    let first = spawn(move || handle.chat(&key(), &hi()).map(|_| ()));
    eventually(|| in_use(&pool) == 1);
    std::thread::sleep(millis(20));
    for call in 0..3 {
        let handle = pool.clone();
        let began = Instant::now();
        let error = spawn(move || match call {
            0 => handle.chat(&key(), &hi()).map(|_| ()).unwrap_err(),
            1 => handle.embed(&key(), &["a"]).map(|_| ()).unwrap_err(),
            _ => handle.models(&key()).map(|_| ()).unwrap_err(),
        });
        let error = error.result();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{call}: {error}");
        assert!(began.elapsed() < secs(5), "{call}: {:?}", began.elapsed());
    }
    let_it.send(()).unwrap();
    let _ = first.result();
}

#[test]
fn a_client_that_was_stopped_asks_for_no_token() {
    let server = TestServer::start().unwrap();
    let (let_it, allowed) = bounded(1);
    let_it.send(()).unwrap();
    let provider = Provider::new(format!("{}/v1", server.url()));
    let provider = provider.tokens(Slow(allowed, AtomicUsize::new(0))).check(None);
    let pool = pool_of(provider, chat_config());
    let llm = pool.get(&key()).unwrap();
    llm.stopper().stop();
    let error = llm.chat(&hi()).unwrap_err();
    assert_eq!((error.kind(), error.tries()), (ErrorKind::Stopped, 1), "{error}");
    assert!(let_it.is_full(), "nobody fetched one");
}

#[test]
fn a_refused_token_is_renewed_although_the_refusal_never_ends() {
    let server = TestServer::start().unwrap();
    let (let_it, allowed) = bounded(2);
    (0..2).for_each(|_| let_it.send(()).unwrap());
    let provider = Provider::new(format!("{}/v1", server.url()));
    let provider = provider.tokens(Slow(allowed, AtomicUsize::new(0))).check(None);
    let pool = pool_of(provider, chat_config());
    pool.chat(&key(), &hi()).unwrap();
    server.plan(Reply::status(401).with_fault(Fault::StallDuringAnswer));
    let began = Instant::now();
    let pieces: Vec<_> = pool.stream(&key(), "Hi").unwrap().map(Result::unwrap).collect();
    assert_eq!(pieces.last(), Some(&Piece::Text("Hi".into())));
    assert!(began.elapsed() < secs(10), "{:?}", began.elapsed());
    let seen = server.requests();
    assert_eq!(seen.last().unwrap().header("authorization"), Some("Bearer token-1"));
}

#[test]
fn the_first_piece_is_timed_also_if_nothing_ends_its_event() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::ok().pieces(["data: done"]));
    let reply = plain(&server, chat_config()).stream(&key(), "a").unwrap().finish().unwrap();
    assert!(reply.text() == "done" && reply.timing().first_piece.is_some(), "{reply:?}");
}
