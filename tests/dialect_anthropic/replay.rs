//! Pools whose provider is the embedded server, and what Anthropic's API would say there.

pub use crate::one_call::weather;
use crate::one_call::{refused_by, sent_to, streamed_by};
use llm_pool::agent::{AgentConfig, Proxy};
use llm_pool::chat::{ChatConfig, ChatError, ChatReply, ChatRequest, Piece};
use llm_pool::keyed::ModelKey;
use llm_pool::llm::{LlmConfig, LlmPool, Provider};
use llm_pool::test_server::{Reply, TestServer};
use serde_json::{Value, json};

pub const KEY: &str = "sk-ant-api03-of-the-test";

/// Of agents that heed no proxy of the environment, and of calls that are tried once.
pub fn config() -> LlmConfig {
    let agents = AgentConfig::default().proxy(Proxy::Direct);
    LlmConfig::default().agents(agents).chat(ChatConfig::default().max_retries(0))
}

pub fn provider(server: &TestServer) -> Provider {
    Provider::anthropic(KEY).base_url(format!("{}/v1", server.url()))
}

pub fn pool_of(server: &TestServer) -> LlmPool {
    config().provider("anthropic", provider(server)).build().unwrap()
}

pub fn key() -> ModelKey {
    ModelKey::new("anthropic", "claude-sonnet-4-5")
}

pub fn server() -> TestServer {
    TestServer::start().unwrap()
}

/// A whole answer with this content, and the rest as given.
pub fn whole(content: Value, stop_reason: &str) -> Reply {
    let body = json!({
        "id": "msg_01", "type": "message", "role": "assistant",
        "model": "claude-sonnet-4-5-20250929", "content": content, "stop_reason": stop_reason, "stop_sequence": null,
        "usage": {"input_tokens": 12, "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0, "output_tokens": 6},
    });
    Reply::ok().body(body.to_string()).header("request-id", "req_whole")
}

pub fn text(text: &str) -> Value {
    json!([{"type": "text", "text": text}])
}

/// One event as the API writes it.
pub fn event(data: Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap())
}

pub fn message_start() -> String {
    event(json!({"type": "message_start", "message": {
        "id": "msg_02", "type": "message", "role": "assistant", "content": [],
        "model": "claude-sonnet-4-5-20250929", "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": 25, "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0, "output_tokens": 1},
    }}))
}

pub fn ping() -> String {
    event(json!({"type": "ping"}))
}

pub fn block_start(index: u64, block: Value) -> String {
    event(json!({"type": "content_block_start", "index": index, "content_block": block}))
}

pub fn delta(index: u64, delta: Value) -> String {
    event(json!({"type": "content_block_delta", "index": index, "delta": delta}))
}

pub fn text_delta(index: u64, text: &str) -> String {
    delta(index, json!({"type": "text_delta", "text": text}))
}

pub fn input_delta(index: u64, json: &str) -> String {
    delta(index, json!({"type": "input_json_delta", "partial_json": json}))
}

pub fn block_stop(index: u64) -> String {
    event(json!({"type": "content_block_stop", "index": index}))
}

pub fn message_delta(stop_reason: &str, output_tokens: u64) -> String {
    event(json!({"type": "message_delta",
        "delta": {"stop_reason": stop_reason, "stop_sequence": null},
        "usage": {"output_tokens": output_tokens}}))
}

pub fn message_stop() -> String {
    event(json!({"type": "message_stop"}))
}

pub fn hello() -> Vec<String> {
    vec![
        message_start(),
        block_start(0, json!({"type": "text", "text": ""})),
        ping(),
        text_delta(0, "Hello"),
        text_delta(0, " wörld"),
        block_stop(0),
        message_delta("end_turn", 6),
        message_stop(),
    ]
}

fn both() -> (TestServer, LlmPool) {
    let server = server();
    let pool = pool_of(&server);
    (server, pool)
}

/// What was sent for this request.
pub fn sent(key: &ModelKey, request: &ChatRequest<'_>) -> Value {
    sent_to(both(), key, request, whole(text("Yes."), "end_turn"))
}

/// What is said about a request that is not sent.
pub fn refused(request: &ChatRequest<'_>) -> String {
    refused_by(both(), &key(), request)
}

pub fn answered(reply: Reply) -> Result<ChatReply, ChatError> {
    let server = server();
    server.plan(reply);
    pool_of(&server).chat(&key(), "Hi")
}

/// The pieces of a stream, and what it came to.
pub fn streamed(reply: Reply) -> (Vec<Piece>, Result<ChatReply, ChatError>) {
    streamed_by(both(), &key(), reply)
}
