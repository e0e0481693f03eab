//! 1C:Naparnik over HTTP: conversations, streams, tools that are declined and errors, replayed as
//! they are known to come.

// A helper reports by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod echoes;
mod errors;
mod requests;

use llm_pool::agent::{AgentConfig, Proxy};
use llm_pool::chat::{
    ChatConfig, ChatError, ChatReply, ChatRequest, ErrorKind, Finish, Message, Naparnik, Piece,
    ResponseFormat, Tool, ToolCall, ToolChoice,
};
use llm_pool::keyed::ModelKey;
use llm_pool::llm::{LlmConfig, LlmPool, Provider};
use llm_pool::test_server::{Fault, Reply, SeenRequest, TestServer};
use serde_json::{Value, json};
use support::*;

const TOKEN: &str = "naparnik-token-1";
const NEW: &str = "/chat_api/v1/conversations/";
const ASK: &str = "/chat_api/v1/conversations/c0ffee-01/messages";

const QUESTION: &str = "Как прочитать JSON в 1С?";

/// The server opens conversations; what it is asked is planned.
fn server() -> TestServer {
    let server = TestServer::start().unwrap();
    server.set_reply(Reply::ok().at(NEW).body(r#"{"uuid":"c0ffee-01","root_message_uuid":"r-0"}"#));
    server
}

fn pool_with(server: &TestServer, naparnik: Naparnik) -> LlmPool {
    let provider = Provider::from(naparnik).base_url(format!("{}/chat_api/v1", server.url()));
    LlmConfig::default()
        .agents(AgentConfig::default().proxy(Proxy::Direct))
        .chat(ChatConfig::default().max_retries(0))
        .provider("1c", provider)
        .build()
        .unwrap()
}

fn pool_of(server: &TestServer) -> LlmPool {
    pool_with(server, Naparnik::new(TOKEN))
}

fn key() -> ModelKey {
    ModelKey::new("1c", "naparnik")
}

fn seen_at(server: &TestServer, path: &str) -> Vec<SeenRequest> {
    server.requests().into_iter().filter(|request| request.path() == path).collect()
}

fn event(event: &Value) -> String {
    format!("data: {event}\n\n")
}

/// The question, told again.
fn echo() -> String {
    let content = json!({"content": {"instruction": QUESTION}});
    event(
        &json!({"uuid": "u-1", "parent_uuid": null, "role": "user", "finished": true, "content": content, "content_delta": null}),
    )
}

fn delta(delta: impl Into<Value>) -> String {
    event(
        &json!({"uuid": "a-1", "role": null, "finished": false, "content": null, "content_delta": delta.into()}),
    )
}

fn finished(uuid: &str, content: impl Into<Value>) -> String {
    let details = json!({"finish_reason": "stop", "max_context_length": 262_144, "usage": {"total_tokens": 77}});
    event(
        &json!({"uuid": uuid, "parent_uuid": "u-1", "role": "assistant", "finished": true, "content": content.into(), "content_delta": null, "details": details}),
    )
}

fn wants_tools(uuid: &str, ids: &[&str]) -> String {
    let call = |id: &&str| json!({"id": id, "type": "function", "function": {"name": "mcp__knowledge-hub__Search_ITS", "arguments": "{\"query\":\"JSON\"}"}});
    let calls: Vec<_> = ids.iter().map(call).collect();
    let details = json!({"finish_reason": "tool_calls", "usage": {"total_tokens": 50}});
    event(
        &json!({"uuid": uuid, "role": "assistant", "finished": true, "content": {"content": "Поищу.", "tool_calls": calls}, "details": details}),
    )
}

fn stream(events: &[String]) -> Reply {
    Reply::ok().at(ASK).pieces(events.iter().map(String::as_str))
}

/// The answer to a question that is answered so, whole and as a stream: they must be the same.
fn answered(events: &[String]) -> ChatReply {
    let server = server();
    server.plan(stream(events).times(2));
    let pool = pool_of(&server);
    let whole = pool.chat(&key(), QUESTION).unwrap();
    let mut shown = String::new();
    let mut streamed = pool.stream(&key(), QUESTION).unwrap();
    for piece in &mut streamed {
        match piece.unwrap() {
            Piece::Rewrite(text) => shown = text,
            piece => shown += piece.text(),
        }
    }
    assert_eq!((whole.text(), &*shown), (streamed.reply().text(), whole.text()));
    whole
}

fn failed(reply: Reply) -> ChatError {
    let server = server();
    server.plan(reply);
    let error = pool_of(&server).stream(&key(), QUESTION).and_then(|it| it.finish()).unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(TOKEN) && !shown.contains("прочитать JSON"), "{shown}");
    error
}
