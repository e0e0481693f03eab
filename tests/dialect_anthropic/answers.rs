//! Whole answers.

use std::time::Duration;

use llm_pool::chat::{ErrorKind, Finish, ToolCall};
use llm_pool::test_server::Reply;
use serde_json::json;

use crate::replay::*;

#[test]
fn a_whole_answer_is_read() {
    let server = server();
    server.plan(
        whole(text("Yes."), "end_turn")
            .header("anthropic-ratelimit-requests-limit", "50")
            .header("anthropic-ratelimit-requests-reset", "2001-09-09T01:46:40Z"),
    );
    let reply = pool_of(&server).chat(&key(), "Hi").unwrap();
    assert_eq!(reply.text(), "Yes.");
    assert_eq!(reply.finish(), Some(&Finish::Stop));
    assert_eq!((reply.id(), reply.model()), (Some("msg_01"), Some("claude-sonnet-4-5-20250929")));
    assert_eq!(reply.header("request-id"), Some("req_whole"));
    assert_eq!((reply.reasoning(), reply.tool_calls()), (None, &[][..]));
    let usage = reply.usage();
    assert_eq!((usage.input, usage.output, usage.cached), (Some(12), Some(6), Some(0)));
    assert_eq!((usage.told_total, usage.total()), (None, 18));
    // Times of day, not durations as OpenAI's.
    assert_eq!(reply.rate_limits().requests.reset, Some(Duration::ZERO));
}

#[test]
fn thoughts_calls_and_unknown_blocks_of_a_whole_answer_are_told_apart() {
    let content = json!([
        {"type": "thinking", "thinking": "Look it up.", "signature": "EqQB..."},
        {"type": "redacted_thinking", "data": "EmwK..."},
        {"type": "text", "text": "Let me "},
        {"type": "text", "text": "look."},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"q": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Oslo"}},
        {"type": "tool_use", "id": "toolu_2", "name": "look", "input": {}},
    ]);
    let reply = answered(whole(content, "tool_use")).unwrap();
    assert_eq!(reply.text(), "Let me look.");
    assert_eq!(reply.reasoning(), Some("Look it up."));
    let calls = [
        ToolCall::new("toolu_1", "get_weather", r#"{"city":"Oslo"}"#),
        ToolCall::new("toolu_2", "look", "{}"),
    ];
    assert_eq!(reply.tool_calls(), calls);
    assert_eq!(reply.finish(), Some(&Finish::ToolCalls));
}

#[test]
fn every_stop_reason_has_its_meaning() {
    for (reason, finish) in [
        ("end_turn", Finish::Stop),
        ("stop_sequence", Finish::Stop),
        ("max_tokens", Finish::Length),
        ("model_context_window_exceeded", Finish::Length),
        ("tool_use", Finish::ToolCalls),
        ("refusal", Finish::ContentFilter),
        ("pause_turn", Finish::Other("pause_turn".into())),
        ("of_tomorrow", Finish::Other("of_tomorrow".into())),
    ] {
        let reply = answered(whole(text("Yes."), reason)).unwrap();
        assert_eq!(reply.finish(), Some(&finish));
        let (_, reply) = streamed(Reply::ok().pieces([
            message_start(),
            message_delta(reason, 3),
            message_stop(),
        ]));
        assert_eq!(reply.unwrap().finish(), Some(&finish));
    }
}

#[test]
fn tokens_of_the_cache_count_as_input() {
    let body = json!({"content": text("Yes."), "usage": {"input_tokens": 10,
        "cache_creation_input_tokens": 200, "cache_read_input_tokens": 3000, "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 4}}});
    let usage = answered(Reply::ok().body(body.to_string())).unwrap().usage();
    assert_eq!((usage.input, usage.cached), (Some(3210), Some(3000)));
    assert_eq!((usage.output, usage.reasoning, usage.total()), (Some(7), Some(4), 3217));
}

#[test]
fn what_is_no_answer_is_malformed() {
    for body in ["{}", "", "[]", r#"{"content": "text"}"#, r#"{"id": "msg_01", "content": nul"#] {
        let error = answered(Reply::ok().body(body)).unwrap_err();
        assert_eq!((error.kind(), error.status()), (ErrorKind::Malformed, Some(200)), "{error}");
    }
    let page = Reply::ok().body("<html><title>Log in</title></html>").content_type("text/html");
    let error = answered(page).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    assert!(error.message().contains("a page"), "{error}");
}

#[test]
fn models_are_listed() {
    let server = server();
    let body = json!({"data": [{"type": "model", "id": "claude-sonnet-4-5-20250929",
        "display_name": "Claude Sonnet 4.5", "created_at": "2025-09-29T00:00:00Z"}],
        "has_more": false, "first_id": "a", "last_id": "b"});
    server.plan(Reply::ok().body(body.to_string()));
    let models = pool_of(&server).models(&key()).unwrap();
    let ids: Vec<_> = models.iter().map(|model| (&*model.id, model.kind.as_deref())).collect();
    assert_eq!(ids, [("claude-sonnet-4-5-20250929", Some("model"))]);
    assert_eq!(server.requests()[0].path(), "/v1/models?limit=1000");
    assert!(
        pool_of(&server).embed(&key(), &["text"]).unwrap_err().message().contains("embeddings")
    );
}
