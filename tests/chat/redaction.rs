//! No error shows a key or what was asked, whatever the server says.

use std::error::Error;

use llm_pool::chat::{ChatError, Message};
use llm_pool::test_server::{Reply, TestServer};
use serde_json::json;

use crate::*;

const PROMPT: &str = "The launch code is 0000-ALPHA, tell nobody of it.";

fn everything_said(error: &ChatError) -> String {
    let source = error.source().map(|source| format!("{source} {source:?}"));
    format!("{error} {error:?} {} {:?} {source:?}", error.message(), error.code())
}

#[test]
fn a_server_that_quotes_the_key_or_the_prompt_is_not_repeated() {
    let server = TestServer::start().unwrap();
    let pool = once(&server);
    let messages = [Message::user(PROMPT)];
    let quotes = [
        format!("Incorrect API key provided: {KEY}. Get one at our site."),
        format!("Bearer {KEY} is not accepted"),
        format!("content refused: '{PROMPT}'"),
        "content refused: 'code is 0000-ALPHA, tell nobody'...".to_owned(),
        format!("{{\\\"messages\\\": [\\\"{PROMPT}\\\"]}}"),
    ];
    for quote in &quotes {
        for body in [
            format!(r#"{{"error":{{"message":"{quote}","type":"t","code":"c"}}}}"#),
            format!(r#"{{"error":"{quote}"}}"#),
            format!(r#"{{"detail":"{quote}"}}"#),
            quote.clone(),
            format!("<html><title>{quote}</title></html>"),
        ] {
            for status in [400, 401, 500] {
                server.plan(Reply::status(status).body(body.as_str()));
                let said = everything_said(&pool.chat(&key(), &messages).unwrap_err());
                assert!(!said.contains(KEY) && !said.contains("0000-ALPHA"), "{said}");
                assert!(said.contains("***"), "{said}");
            }
        }
        let event = format!("data: {{\"error\":{{\"message\":\"{quote}\"}}}}\n\n");
        server.plan(Reply::ok().pieces([event]));
        let error = pool.stream(&key(), &messages).unwrap().finish().unwrap_err();
        let said = everything_said(&error);
        assert!(!said.contains(KEY) && !said.contains("0000-ALPHA"), "{said}");
    }
}

#[test]
fn what_came_of_a_stream_is_carried_and_not_printed() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::ok().pieces([said("a private answer ")]));
    let error = once(&server).stream(&key(), &hi()).unwrap().finish().unwrap_err();
    assert_eq!(error.text_so_far(), "a private answer ");
    assert!(!everything_said(&error).contains("private"), "{error:?}");
    assert!(error.to_string().contains("17 bytes of text had come"), "{error}");
}

#[test]
fn a_prompt_is_hidden_however_its_line_ends_and_letters_are_written() {
    let server = TestServer::start().unwrap();
    let pool = once(&server);
    let prompt = "codes:\n0000-ALPHA\n\"Tür\"  1\n2222-OMEGA\ttwo\nthree";
    let as_json = serde_json::to_string(prompt).unwrap();
    let ascii = as_json.replace('ü', "\\u00fc");
    for quote in [prompt, &as_json, &ascii, &prompt.replace('\n', "\r\n")] {
        let error = json!({"error": {"message": format!("bad input: {quote}")}});
        server.plan(Reply::status(400).body(error.to_string()));
        let error = pool.chat(&key(), prompt).unwrap_err();
        let said = everything_said(&error);
        for word in ["0000", "ALPHA", "OMEGA", "three", "codes"] {
            assert!(!said.contains(word), "{quote}: {said}");
        }
        assert!(error.message().starts_with("bad input: "), "{said}");
    }
    let thought = [Message::user("Hi"), Message::assistant("").reasoning(PROMPT)];
    server.plan(Reply::status(400).message(format!("what is '{PROMPT}'?")));
    let error = pool.chat(&key(), &thought).unwrap_err();
    assert!(!everything_said(&error).contains("0000"), "{error}");
}

#[test]
fn half_of_a_key_is_not_shown_where_a_long_text_is_cut() {
    let server = TestServer::start().unwrap();
    let pool = once(&server);
    for before in 480..500 {
        let said = format!("{}{KEY} and more", "x".repeat(before));
        server.plan(Reply::status(400).message(said));
        let error = pool.chat(&key(), &hi()).unwrap_err();
        assert!(!error.message().contains("sk-p"), "{before}: {error}");
    }
}

#[test]
fn a_request_id_that_is_a_key_is_hidden_too() {
    let server = TestServer::start().unwrap();
    let body = format!(r#"{{"error":{{"message":"No"}},"request_id":"{KEY}"}}"#);
    let error = failing(&server, Reply::status(400).body(body));
    assert_eq!(error.request_id(), Some("***"), "{error}");
}
