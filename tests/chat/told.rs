//! What is told of a call of several tries, and of answers that are not quite what was asked for.

use std::time::Instant;

use llm_pool::chat::{ChatError, ChatRequest, ErrorKind, GigaChat, Seen, Token, TokenSource};
use llm_pool::llm::Provider;
use llm_pool::test_server::{Fault, Reply, TestServer};
use llm_pool::ureq::Agent;

use crate::support::*;
use crate::*;

#[test]
fn vectors_that_are_not_one_a_text_are_refused() {
    let server = TestServer::start().unwrap();
    let pool = once(&server);
    for data in [
        r#"[{"index":0,"embedding":[1.0]}]"#,
        r#"[{"index":7,"embedding":[1.0]},{"index":7,"embedding":[2.0]}]"#,
        r#"[{"index":0,"embedding":[1.0]},{"index":1,"embedding":[]}]"#,
        "[]",
    ] {
        server.plan(Reply::ok().body(format!("{{\"data\":{data}}}")));
        let error = pool.embed(&key(), &["a", "b"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{data}: {error}");
    }
    let unnumbered = r#"{"data":[{"embedding":[1.0]},{"embedding":[2.0]}]}"#;
    server.plan(Reply::ok().body(unnumbered));
    assert_eq!(pool.embed(&key(), &["a", "b"]).unwrap().vectors, [[1.0], [2.0]]);
}

#[test]
fn a_try_that_the_server_may_have_seen_counts_also_if_the_last_one_was_not_sent() {
    let server = TestServer::builder().delay(secs(5)).start().unwrap();
    let pool = pool(&server);
    let caller = spawn(move || pool.chat(&key(), &hi()).unwrap_err());
    server.wait_until(LIMIT, |seen| seen.in_flight == 1).unwrap();
    drop(server);
    let error = caller.result();
    assert_eq!((error.kind(), error.tries()), (ErrorKind::Unreachable, 3), "{error}");
    assert_eq!(error.seen(), Seen::Maybe);
}

#[test]
fn a_pool_that_is_closed_ends_the_pause_and_what_the_call_met_is_told() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    server.plan(Reply::status(503).retry_after(secs(60)));
    let handle = pool.clone();
    let caller = spawn(move || handle.chat(&key(), &hi()).unwrap_err());
    server.wait_until(LIMIT, |seen| seen.requests == 1 && seen.in_flight == 0).unwrap();
    eventually(|| in_use(&pool) == 0);
    let began = Instant::now();
    assert!(pool.drain(LIMIT));
    let error = caller.result();
    assert!(began.elapsed() < secs(2));
    assert_eq!((error.kind(), error.status()), (ErrorKind::Server, Some(503)));
    assert_eq!(error.request_id(), Some("req-1"));
    assert!(error.to_string().contains("there was no client: the pool is closed"), "{error}");
}

#[test]
fn a_time_out_names_the_limit_that_was_met() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    server.plan(Reply::fault(Fault::Stall));
    let request = ChatRequest::new(hi().to_vec()).within(millis(60));
    let error = pool.chat(&key(), request).unwrap_err();
    assert_eq!(error.message(), "the deadline has passed", "{error}");
}

#[test]
fn an_answer_of_another_good_status_keeps_it() {
    let server = TestServer::start().unwrap();
    for status in [202, 204] {
        let error = failing(&server, Reply::status(status).body(""));
        assert_eq!((error.kind(), error.status()), (ErrorKind::Malformed, Some(status)));
    }
}

#[test]
fn a_connection_that_cannot_be_had_is_told_with_its_url() {
    let provider = Provider::new("http://127.0.0.1:1/v1").api_key(KEY);
    let pool = pool_of(provider, chat_config().max_retries(0));
    let said = pool.chat(&key(), &hi()).unwrap_err().to_string();
    assert!(said.contains("http://127.0.0.1:1/v1/chat/completions"), "{said}");
}

#[test]
fn a_text_where_a_stream_was_asked_for_is_told_with_its_type() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::ok().body("data: {}\n\n").content_type("text/plain"));
    let error = once(&server).stream(&key(), &hi()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    assert!(error.to_string().contains("\"text/plain\" came"), "{error}");
}

struct NoToken;

impl TokenSource for NoToken {
    fn fetch(&self, _: &Agent) -> Result<Token, ChatError> {
        Ok(Token::new(" "))
    }
}

#[test]
fn an_empty_token_is_not_sent() {
    let server = TestServer::start().unwrap();
    let provider = Provider::new(format!("{}/v1", server.url())).tokens(NoToken);
    let error = pool_of(provider, chat_config()).chat(&key(), &hi()).unwrap_err();
    assert_eq!((error.message(), error.seen()), ("the token is empty", Seen::No));
    assert_eq!(server.stats().requests, 0);
}

#[test]
fn settings_in_headers_are_words_and_keys_are_secrets() {
    let server = TestServer::start().unwrap();
    let base_url = format!("{}/v1", server.url());
    let provider = Provider::new(base_url).header("x-mode", "json").header("x-api-key", KEY);
    let pool = pool_of(provider, chat_config().max_retries(0));
    server.plan(Reply::status(400).message(format!("no application/json with {KEY}")));
    let error = pool.chat(&key(), &hi()).unwrap_err();
    assert_eq!(error.message(), "no application/json with ***");
}

#[test]
fn a_server_that_refused_a_token_has_seen_the_call_also_if_there_is_no_other_token() {
    let server = TestServer::start().unwrap();
    let url = server.url();
    let gigachat = GigaChat::new("a2V5").oauth_url(format!("{url}/oauth")).base_url(url);
    let pool = pool_of(Provider::from(gigachat), chat_config().max_retries(0));
    let token = r#"{"access_token":"of-today","expires_at":0}"#;
    server.set_reply(Reply::ok().at("/oauth").body(token));
    server.set_reply(Reply::ok().at("/chat/completions").body(crate::hostile::GOOD));
    pool.chat(&key(), &hi()).unwrap();
    server.set_reply(Reply::status(403).at("/oauth").message("no more"));
    server.plan(Reply::status(401).at("/chat/completions").body("{}"));
    let error = pool.chat(&key(), &hi()).unwrap_err();
    assert_eq!((error.kind(), error.seen()), (ErrorKind::Unauthorized, Seen::Yes), "{error}");
}

#[test]
fn a_stream_that_is_finished_after_it_failed_still_tells_what_it_was() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    server.plan(Reply::status(503).body("{}"));
    server.plan(Reply::ok().pieces([said("half ")]));
    let mut stream = pool.stream(&key(), &hi()).unwrap();
    assert!(stream.by_ref().any(|piece| piece.is_err()));
    let error = stream.finish().unwrap_err();
    assert_eq!((error.seen(), error.tries()), (Seen::Yes, 2), "{error:?}");
    assert_eq!(error.text_so_far(), "half ", "the stream itself is gone");
    assert!(error.to_string().starts_with("test:small: "), "{error}");
}

#[test]
fn the_time_of_a_stream_that_failed_does_not_go_on() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::ok().pieces([said("half ")]));
    let mut stream = once(&server).stream(&key(), &hi()).unwrap();
    let error = stream.by_ref().find_map(Result::err).unwrap();
    std::thread::sleep(millis(2));
    assert_eq!(stream.reply().timing(), error.partial().unwrap().timing());
}

#[test]
fn what_is_said_further_stands_beside_what_was_said_before() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    let refusal = Reply::status(404).header("x-should-retry", "true").retry_after(secs(60));
    server.plan(refusal.body("{}"));
    let handle = pool.clone();
    let caller = spawn(move || handle.chat(&key(), &hi()).unwrap_err());
    server.wait_until(LIMIT, |seen| seen.requests == 1 && seen.in_flight == 0).unwrap();
    eventually(|| in_use(&pool) == 0);
    assert!(pool.drain(LIMIT));
    let said = caller.result().to_string();
    assert!(said.contains("/v1/chat/completions; and for another try"), "{said}");
}

#[test]
fn an_empty_vector_is_told_as_what_it_is() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::ok().body(r#"{"data":[{"index":0,"embedding":[]}]}"#));
    let error = once(&server).embed(&key(), &["a"]).unwrap_err();
    assert_eq!(error.message(), "an empty vector came");
}
