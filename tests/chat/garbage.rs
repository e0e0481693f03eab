//! Whatever comes, a dialect reads it or says that it cannot: none panics.

use llm_pool::chat::{Anthropic, Dialect, Draft, Frame, Naparnik, OpenAi, Yandex};
use llm_pool::chat::{ChatError, HttpCall, Next};
use llm_pool::llm::Provider;
use llm_pool::test_server::{Reply, TestServer};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::*;

/// Keys and words of all dialects, so that what is made of them is often nearly right.
const WORDS: &[&str] = &[
    "choices",
    "delta",
    "message",
    "content",
    "reasoning_content",
    "tool_calls",
    "index",
    "id",
    "function",
    "function_call",
    "name",
    "arguments",
    "finish_reason",
    "usage",
    "prompt_tokens",
    "error",
    "code",
    "type",
    "status",
    "text",
    "result",
    "alternatives",
    "toolCallList",
    "toolCalls",
    "functionCall",
    "inputTextTokens",
    "content_block",
    "content_block_start",
    "content_block_delta",
    "input_json_delta",
    "partial_json",
    "text_delta",
    "tool_use",
    "message_delta",
    "stop_reason",
    "role",
    "assistant",
    "finished",
    "content_delta",
    "uuid",
    "details",
    "<think>",
    "</think>",
    "ALTERNATIVE_STATUS_FINAL",
    "[DONE]",
    "stop",
    "",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => proptest::sample::select(WORDS).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((word(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn data() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => json_value().prop_map(|value| value.to_string()),
        2 => (json_value(), any::<proptest::sample::Index>()).prop_map(|(value, at)| {
            let text = value.to_string();
            let cut: String = text.chars().take(at.index(text.len() + 1)).collect();
            cut
        }),
        1 => any::<String>(),
    ]
}

fn dialects() -> Vec<Box<dyn Dialect>> {
    vec![
        Box::new(OpenAi::compatible()),
        Box::new(Anthropic::default()),
        Box::new(Yandex::new("folder")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_dialect_panics_on_any_events(
        events in proptest::collection::vec((word(), data()), 0..8),
        status in 100_u16..600,
    ) {
        for dialect in dialects() {
            let mut draft = Draft::default();
            for (name, data) in &events {
                let _ = dialect.piece(Frame::new(name, data), &mut draft);
                let _ = dialect.answer(data.as_bytes(), &mut draft);
                let _ = dialect.embeddings(data.as_bytes());
                let _ = dialect.models(data.as_bytes());
                let error = dialect.error(status, &Default::default(), data.as_bytes());
                prop_assert!(error.to_string().len() < 5000, "{error}");
            }
            let _ = dialect.end(&mut draft);
        }
    }
}

/// Those whose dialect has no name of its own are asked through their providers.
#[test]
fn no_provider_panics_on_any_answer() {
    let server = TestServer::start().unwrap();
    let token = json!({"access_token": "t0ken", "expires_at": 0}).to_string();
    let gigachat = llm_pool::chat::GigaChat::new("a2V5")
        .oauth_url(format!("{}/oauth", server.url()))
        .base_url(server.url());
    let naparnik = Provider::from(Naparnik::new("token")).base_url(server.url());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(150));
    for provider in [Provider::from(gigachat), naparnik] {
        let pool = pool_of(provider, chat_config().max_retries(0));
        let events = proptest::collection::vec(data(), 0..6);
        runner
            .run(&events, |events| {
                server.clear_plan();
                server.plan(Reply::ok().body(token.as_str()).at("/oauth"));
                let created = json!({"uuid": "u1"}).to_string();
                server.set_reply(Reply::ok().body(created).at("/conversations/"));
                let pieces: Vec<_> =
                    events.iter().map(|data| format!("data: {data}\n\n")).collect();
                let stream = Reply::ok().pieces(pieces);
                server.set_reply(stream.clone().at("/conversations/u1/messages"));
                server.set_reply(stream.at("/chat/completions"));
                let _ = pool.chat(&key(), &hi());
                if let Ok(stream) = pool.stream(&key(), &hi()) {
                    stream.for_each(drop);
                }
                prop_assert_eq!(in_use(&pool), 0);
                Ok(())
            })
            .unwrap();
    }
}

/// A dialect that wants one more request for ever.
struct Endless;

impl Dialect for Endless {
    fn request(&self, _: &llm_pool::chat::Ask<'_>, _: &Draft) -> Result<HttpCall, ChatError> {
        Ok(HttpCall::get("models"))
    }

    fn answer(&self, _: &[u8], _: &mut Draft) -> Result<Next, ChatError> {
        Ok(Next::Again)
    }

    fn piece(&self, _: Frame<'_>, _: &mut Draft) -> Result<Next, ChatError> {
        Ok(Next::Again)
    }
}

#[test]
fn a_dialect_cannot_ask_for_ever() {
    let server = TestServer::start().unwrap();
    let provider = Provider::new(format!("{}/v1", server.url())).dialect(Endless);
    let error = pool_of(provider, chat_config()).chat(&key(), &hi()).unwrap_err();
    assert!(error.message().contains("more than 25 requests"), "{error}");
    assert_eq!(server.stats().requests, 25);
}
