//! Pools whose provider is the embedded server, and what Yandex's API would say there.

pub use crate::one_call::weather;
use crate::one_call::{refused_by, sent_to, streamed_by};
use llm_pool::agent::{AgentConfig, Proxy};
use llm_pool::chat::{ChatConfig, ChatError, ChatReply, ChatRequest, Piece, YandexAuth};
use llm_pool::keyed::ModelKey;
use llm_pool::llm::{LlmConfig, LlmPool, Provider};
use llm_pool::test_server::{Reply, TestServer};
use serde_json::{Value, json};

pub const KEY: &str = "AQVN-of-the-test";

pub const FOLDER: &str = "b1gfolder";

pub const PATH: &str = "/foundationModels/v1/completion";

pub fn server() -> TestServer {
    TestServer::start().unwrap()
}

pub fn base(server: &TestServer) -> String {
    format!("{}/foundationModels/v1", server.url())
}

pub fn provider(server: &TestServer) -> Provider {
    Provider::yandex(FOLDER, YandexAuth::ApiKey(KEY.into())).base_url(base(server))
}

/// Of agents that heed no proxy of the environment, and of calls that are tried once.
pub fn pool_with(provider: Provider) -> LlmPool {
    let agents = AgentConfig::default().proxy(Proxy::Direct);
    let chat = ChatConfig::default().max_retries(0);
    LlmConfig::default().agents(agents).chat(chat).provider("yandex", provider).build().unwrap()
}

pub fn pool_of(server: &TestServer) -> LlmPool {
    pool_with(provider(server))
}

pub fn key() -> ModelKey {
    ModelKey::new("yandex", "yandexgpt")
}

/// An answer, or a line of a stream, with all of the text so far.
pub fn said(text: &str, status: &str) -> Value {
    of_message(json!({"role": "assistant", "text": text}), status)
}

pub fn of_message(message: Value, status: &str) -> Value {
    json!({"result": {
        "alternatives": [{"message": message, "status": format!("ALTERNATIVE_STATUS_{status}")}],
        "usage": {"inputTextTokens": "19", "completionTokens": "6", "totalTokens": "25",
            "completionTokensDetails": {"reasoningTokens": "2"}},
        "modelVersion": "23.10.2024",
    }})
}

pub fn calls(calls: &[(&str, Value)]) -> Value {
    let call = |(name, arguments): &(&str, Value)| {
        let function = json!({"name": name, "arguments": arguments});
        json!({"functionCall": function})
    };
    let calls: Vec<_> = calls.iter().map(call).collect();
    json!({"role": "assistant", "toolCallList": {"toolCalls": calls}})
}

pub fn whole(answer: &Value) -> Reply {
    Reply::ok().body(answer.to_string())
}

/// JSON, one a line, as the gateway before the gRPC service sends it.
pub fn lines(lines: &[Value]) -> Reply {
    let lines = lines.iter().map(|line| format!("{line}\n"));
    Reply::ok().pieces(lines).content_type("application/json")
}

/// An error in the shape that recordings have.
pub fn refusal(grpc: u16, http: u16, message: &str, status: &str) -> Value {
    json!({"error": {"grpcCode": grpc, "httpCode": http, "message": message,
        "httpStatus": status, "details": []}})
}

fn both() -> (TestServer, LlmPool) {
    let server = server();
    let pool = pool_of(&server);
    (server, pool)
}

/// What was sent for this request.
pub fn sent(key: &ModelKey, request: &ChatRequest<'_>) -> Value {
    sent_to(both(), key, request, whole(&said("Да.", "FINAL")))
}

/// What is said about a request that is not sent.
pub fn refused(request: &ChatRequest<'_>) -> String {
    refused_by(both(), &key(), request)
}

pub fn answered(reply: Reply) -> Result<ChatReply, ChatError> {
    let server = server();
    server.plan(reply);
    pool_of(&server).chat(&key(), "Привет")
}

/// The pieces of a stream, and what it came to.
pub fn streamed(reply: Reply) -> (Vec<Piece>, Result<ChatReply, ChatError>) {
    streamed_by(both(), &key(), reply)
}
