//! Streams: events, and what becomes of those that do not end as they should.

use llm_pool::chat::{ErrorKind, Finish, Message, Piece, ToolCall};
use llm_pool::test_server::{Fault, Reply};
use serde_json::json;

use crate::replay::*;

#[test]
fn a_stream_ends_with_message_stop_and_needs_no_done() {
    let server = server();
    // What comes after the end is not looked at.
    let late = [event(json!({"type": "error", "error": {"type": "api_error", "message": "late"}}))];
    server.plan(Reply::ok().pieces(hello().into_iter().chain(late)));
    let stream = pool_of(&server).stream(&key(), "Hi").unwrap();
    let reply = stream.finish().unwrap();
    assert_eq!(reply.text(), "Hello wörld");
    assert_eq!(reply.finish(), Some(&Finish::Stop));
    assert_eq!((reply.id(), reply.model()), (Some("msg_02"), Some("claude-sonnet-4-5-20250929")));
    let seen = &server.requests()[0];
    assert_eq!(seen.json().unwrap()["stream"], true);
    assert_eq!(seen.header("accept"), Some("text/event-stream"));
}

#[test]
fn the_output_tokens_told_last_count_and_are_not_added_up() {
    let (_, reply) = streamed(Reply::ok().pieces(hello()));
    let usage = reply.unwrap().usage();
    assert_eq!((usage.input, usage.output, usage.total()), (Some(25), Some(6), 31));
}

#[test]
fn input_told_at_the_end_counts_in_place_of_that_told_first() {
    let start = event(json!({"type": "message_start", "message": {"content": [], "usage":
        {"input_tokens": 5, "cache_creation_input_tokens": 100, "output_tokens": 1}}}));
    let end = event(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage":
        {"input_tokens": 8, "cache_read_input_tokens": 1000, "output_tokens": 2}}));
    let (_, reply) = streamed(Reply::ok().pieces([start, end, message_stop()]));
    let usage = reply.unwrap().usage();
    assert_eq!((usage.input, usage.cached, usage.output), (Some(1108), Some(1000), Some(2)));
}

#[test]
fn a_stream_may_be_cut_anywhere() {
    let bytes = hello().concat().replace('\n', "\r\n").into_bytes();
    for size in [1, 2, 3, 7, 64] {
        let (pieces, reply) = streamed(Reply::ok().pieces(bytes.chunks(size)));
        assert_eq!(reply.unwrap().text(), "Hello wörld");
        assert_eq!(pieces, [Piece::Text("Hello".into()), Piece::Text(" wörld".into())]);
    }
}

#[test]
fn blocks_are_told_apart_by_their_index() {
    let events = [
        message_start(),
        block_start(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, json!({"type": "thinking_delta", "thinking": "Two cities, "})),
        delta(0, json!({"type": "thinking_delta", "thinking": "two calls."})),
        delta(0, json!({"type": "signature_delta", "signature": "EqQB..."})),
        block_stop(0),
        block_start(1, json!({"type": "text", "text": ""})),
        text_delta(1, "Looking."),
        block_stop(1),
        block_start(
            2,
            json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search",
            "input": {}}),
        ),
        input_delta(2, r#"{"query": "x"}"#),
        block_stop(2),
        block_start(
            3,
            json!({"type": "tool_use", "id": "toolu_1", "name": "get_weather",
            "input": {}}),
        ),
        input_delta(3, ""),
        ping(),
        input_delta(3, r#"{"city": "#),
        // Of several blocks at a time.
        block_start(4, json!({"type": "tool_use", "id": "toolu_2", "name": "look", "input": {}})),
        input_delta(3, r#""Oslo"}"#),
        input_delta(4, ""),
        block_stop(3),
        block_stop(4),
        message_delta("tool_use", 40),
        message_stop(),
    ];
    let (_, reply) = streamed(Reply::ok().pieces(events));
    let reply = reply.unwrap();
    assert_eq!(reply.reasoning(), Some("Two cities, two calls."));
    assert_eq!(reply.text(), "Looking.");
    let calls = [
        ToolCall::new("toolu_1", "get_weather", r#"{"city": "Oslo"}"#),
        ToolCall::new("toolu_2", "look", "{}"),
    ];
    assert_eq!(reply.tool_calls(), calls);
}

#[test]
fn a_call_comes_as_one_piece_with_its_whole_arguments() {
    let events = [
        message_start(),
        block_start(
            0,
            json!({"type": "tool_use", "id": "toolu_1", "name": "get_weather",
            "input": {}}),
        ),
        input_delta(0, r#"{"city""#),
        input_delta(0, r#": "Oslo"}"#),
        block_stop(0),
        message_delta("tool_use", 9),
        message_stop(),
    ];
    let (pieces, reply) = streamed(Reply::ok().pieces(events));
    let call = ToolCall::new("toolu_1", "get_weather", r#"{"city": "Oslo"}"#);
    assert_eq!(pieces, [Piece::ToolCall(call.clone())]);
    assert_eq!(reply.unwrap().to_message(), Message::assistant("").tool_call(call));
}

#[test]
fn unknown_events_pings_and_comments_are_passed_over() {
    let mut events = hello();
    events.insert(1, "event: of_tomorrow\ndata: no JSON at all\n\n".into());
    events.insert(3, ": keep-alive\n\n".into());
    events.insert(4, "event: of_tomorrow\ndata: {\"message\": \"text\"}\n\n".into());
    events.insert(5, delta(0, json!({"type": "delta_of_tomorrow", "text": "no"})));
    events.insert(6, block_start(7, json!({"type": "block_of_tomorrow", "text": "no"})));
    let (pieces, reply) = streamed(Reply::ok().pieces(events));
    assert_eq!(reply.unwrap().text(), "Hello wörld");
    assert_eq!(pieces.len(), 2);
}

#[test]
fn events_without_names_are_read_by_their_type() {
    let nameless = hello().concat();
    let nameless = nameless.lines().filter(|line| !line.starts_with("event:"));
    let nameless = nameless.collect::<Vec<_>>().join("\n") + "\n\n";
    let (_, reply) = streamed(Reply::ok().pieces([nameless]));
    assert_eq!(reply.unwrap().text(), "Hello wörld");
}

#[test]
fn an_error_after_status_200_is_known_by_its_type() {
    for (name, kind, retryable) in [
        ("overloaded_error", ErrorKind::Server, true),
        ("api_error", ErrorKind::Server, true),
        ("rate_limit_error", ErrorKind::RateLimited, true),
        ("authentication_error", ErrorKind::Unauthorized, false),
        ("request_too_large", ErrorKind::TooLong, false),
    ] {
        let error = event(json!({"type": "error", "error": {"type": name, "message": "Alas."},
            "request_id": "req_mid"}));
        let events = hello().into_iter().take(4).chain([error]);
        let (pieces, failed) = streamed(Reply::ok().pieces(events));
        let failed = failed.unwrap_err();
        assert_eq!((failed.kind(), failed.is_retryable()), (kind, retryable), "{failed}");
        assert_eq!((failed.status(), failed.code()), (Some(200), Some(name)));
        assert_eq!((failed.message(), failed.request_id()), ("Alas", Some("req_mid")));
        assert_eq!((failed.text_so_far(), pieces.len()), ("Hello", 1));
    }
}

#[test]
fn a_stream_without_message_stop_was_cut_short() {
    for whole in [4, 7] {
        let events = hello().into_iter().take(whole);
        let (_, failed) = streamed(Reply::ok().pieces(events));
        let failed = failed.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::CutShort, "{failed}");
        assert!(failed.text_so_far().starts_with("Hello"), "{failed}");
    }
    let half = "event: content_block_delta\ndata: {\"type\": \"content_bl".to_owned();
    let (_, failed) = streamed(Reply::ok().pieces(hello().into_iter().take(4).chain([half])));
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::CutShort);
    let cut = Reply::ok().pieces(hello()).with_fault(Fault::CloseDuringAnswer);
    let (_, failed) = streamed(cut);
    let failed = failed.unwrap_err();
    assert_eq!((failed.kind(), failed.text_so_far()), (ErrorKind::CutShort, "Hello"), "{failed}");
}

#[test]
fn an_event_that_is_no_json_is_malformed() {
    let events = [message_start(), "event: content_block_delta\ndata: {\"type\"\n\n".into()];
    let failed = streamed(Reply::ok().pieces(events)).1.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Malformed, "{failed}");
}
