//! GigaChat over HTTP: tokens, requests, answers, streams and errors, replayed as they are known to
//! come.

// A helper reports by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code)]
#[path = "../agent/support.rs"]
mod raw;

mod answers;
mod errors;
mod load;
mod requests;
mod tokens;

use std::thread;
use std::time::{Duration, SystemTime};

use llm_pool::agent::{AgentConfig, Proxy, RootCerts};
use llm_pool::chat::{
    ChatConfig, ChatError, ChatRequest, ErrorKind, Finish, GigaChat, Message, Piece,
    ResponseFormat, Role, Scope, Tool, ToolCall, ToolChoice,
};
use llm_pool::keyed::ModelKey;
use llm_pool::llm::{LlmConfig, LlmPool, Provider};
use llm_pool::test_server::{Fault, Reply, SeenRequest, TestServer};
use serde_json::{Value, json};
use support::*;

const KEY: &str = "Y2xpZW50LWlkOmNsaWVudC1zZWNyZXQ=";
const OAUTH: &str = "/api/v2/oauth";
const CHAT: &str = "/api/v1/chat/completions";
const MODELS: &str = "/api/v1/models";

/// As recorded: no id, and what came from the cache in the usage.
const ANSWER: &str = r#"{"choices":[{"message":{"content":"Привет!","role":"assistant"},"index":0,"finish_reason":"stop"}],"created":1748000000,"model":"GigaChat-2:2.0.28.2","object":"chat.completion","usage":{"prompt_tokens":18,"completion_tokens":5,"total_tokens":23,"precached_prompt_tokens":4}}"#;

const CALLED: &str = r#"{"choices":[{"message":{"content":"","role":"assistant","functions_state_id":"77d3fb14-457a-46ba-937e-8d856156d003","function_call":{"name":"weather","arguments":{"city":"Москва","days":2}}},"index":0,"finish_reason":"function_call"}],"created":1748000000,"model":"GigaChat-2:2.0.28.2","object":"chat.completion","usage":{"prompt_tokens":60,"completion_tokens":20,"total_tokens":80,"precached_prompt_tokens":0}}"#;

/// Where time stands in Sber's first token reply.
fn in_half_an_hour() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() + 1_800_000
}

fn token(secret: &str) -> Reply {
    let at = in_half_an_hour();
    Reply::ok().at(OAUTH).body(format!(r#"{{"access_token":"{secret}","expires_at":{at}}}"#))
}

fn chat(body: &str) -> Reply {
    Reply::ok().at(CHAT).body(body)
}

fn refusal(status: u16, body: &str) -> Reply {
    Reply::status(status).at(CHAT).body(body)
}

fn stream(pieces: &[&str]) -> Reply {
    Reply::ok().at(CHAT).pieces(pieces.iter().map(|piece| piece.as_bytes()))
}

/// A server that gives the token `access-1` and answers as [`ANSWER`].
fn server() -> TestServer {
    let server = TestServer::start().unwrap();
    server.set_reply(token("access-1"));
    server.set_reply(chat(ANSWER));
    server.set_reply(Reply::ok().at(MODELS).body(r#"{"object":"list","data":[]}"#));
    server
}

fn gigachat(server: &TestServer) -> GigaChat {
    let url = server.url();
    GigaChat::new(KEY).oauth_url(format!("{url}{OAUTH}")).base_url(format!("{url}/api/v1"))
}

fn config(provider: impl Into<Provider>) -> LlmConfig {
    LlmConfig::default()
        .agents(AgentConfig::default().proxy(Proxy::Direct))
        .chat(ChatConfig::default().max_retries(0))
        .provider("giga", provider)
}

fn pool_of(server: &TestServer) -> LlmPool {
    config(gigachat(server)).build().unwrap()
}

fn key() -> ModelKey {
    ModelKey::new("giga", "GigaChat-2")
}

fn seen_at(server: &TestServer, path: &str) -> Vec<SeenRequest> {
    server.requests().into_iter().filter(|request| request.path() == path).collect()
}

/// What the only chat asked.
fn asked<'a>(request: impl Into<ChatRequest<'a>>) -> Value {
    let server = server();
    pool_of(&server).chat(&key(), request).unwrap();
    seen_at(&server, CHAT)[0].json().unwrap()
}

/// Why it cannot be asked; nothing is sent.
fn refused<'a>(request: impl Into<ChatRequest<'a>>) -> String {
    let server = server();
    let pool = pool_of(&server);
    let error = pool.chat(&key(), request).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(seen_at(&server, CHAT).is_empty() && seen_at(&server, OAUTH).is_empty());
    error.to_string()
}

fn failure(reply: Reply) -> ChatError {
    let server = server();
    server.plan(reply);
    let error = pool_of(&server).chat(&key(), "Секретный вопрос про завод").unwrap_err();
    for secret in [KEY, "access-1", "Секретный вопрос"] {
        assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
    }
    error
}

fn weather() -> Tool {
    Tool::new("weather", "Погода в городе", json!({"type": "object", "properties": {}}))
}
