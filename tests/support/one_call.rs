//! One call at a provider that is the embedded server, for the tests of a dialect.

use llm_pool::chat::{ChatError, ChatReply, ChatRequest, ErrorKind, Piece, Seen, Tool};
use llm_pool::keyed::ModelKey;
use llm_pool::llm::LlmPool;
use llm_pool::test_server::{Reply, TestServer};
use serde_json::{Value, json};

/// What was sent for this request, which is answered with `reply`.
pub fn sent_to(
    (server, pool): (TestServer, LlmPool),
    key: &ModelKey,
    request: &ChatRequest<'_>,
    reply: Reply,
) -> Value {
    server.plan(reply);
    pool.chat(key, request.clone()).unwrap();
    server.requests()[0].json().unwrap()
}

/// What is said about a request that is not sent.
pub fn refused_by(
    (server, pool): (TestServer, LlmPool),
    key: &ModelKey,
    request: &ChatRequest<'_>,
) -> String {
    let error = pool.chat(key, request.clone()).unwrap_err();
    assert_eq!((error.kind(), error.seen()), (ErrorKind::Invalid, Seen::No), "{error}");
    let streamed = pool.stream(key, request.clone()).unwrap_err();
    assert_eq!(streamed.to_string(), error.to_string());
    assert_eq!(server.stats().requests, 0);
    error.message().to_owned()
}

/// The pieces of a stream, and what it came to.
pub fn streamed_by(
    (server, pool): (TestServer, LlmPool),
    key: &ModelKey,
    reply: Reply,
) -> (Vec<Piece>, Result<ChatReply, ChatError>) {
    server.plan(reply);
    let mut stream = pool.stream(key, "Hi").unwrap();
    let mut pieces = Vec::new();
    for piece in &mut stream {
        match piece {
            Ok(piece) => pieces.push(piece),
            Err(error) => return (pieces, Err(error)),
        }
    }
    (pieces, Ok(stream.reply()))
}

pub fn weather() -> Tool {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    Tool::new("get_weather", "Tells the weather.", schema)
}
