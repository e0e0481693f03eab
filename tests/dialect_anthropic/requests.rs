//! What is sent, and what is not.

use llm_pool::chat::{
    Anthropic, ChatRequest, ErrorKind, Message, ResponseFormat, Role, ToolCall, ToolChoice,
};
use serde_json::json;

use crate::replay::*;
use crate::support::eventually;

#[test]
fn a_request_goes_to_messages_with_key_and_version_and_4096_tokens() {
    let server = server();
    server.plan(whole(text("Yes."), "end_turn").at("/v1/messages"));
    pool_of(&server).chat(&key(), "Hi").unwrap();
    let seen = &server.requests()[0];
    assert_eq!((seen.method(), seen.path()), ("POST", "/v1/messages"));
    assert_eq!(seen.header("x-api-key"), Some(KEY));
    assert_eq!(seen.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.header("authorization"), None);
    let hi = json!([{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]);
    let body = json!({"model": "claude-sonnet-4-5", "max_tokens": 4096, "messages": hi});
    assert_eq!(seen.json().unwrap(), body);
}

#[test]
fn checks_ask_for_the_models_with_key_and_version() {
    let server = server();
    let pool = pool_of(&server);
    drop(pool.get(&key()).unwrap());
    pool.check_all();
    eventually(|| !server.requests().is_empty());
    let seen = &server.requests()[0];
    assert_eq!((seen.method(), seen.path()), ("GET", "/v1/models"));
    assert_eq!(seen.header("x-api-key"), Some(KEY));
    assert_eq!(seen.header("anthropic-version"), Some("2023-06-01"));
}

#[test]
fn all_parameters_have_their_names() {
    let request = ChatRequest::new(vec![Message::user("Hi")])
        .temperature(0.5)
        .top_p(0.75)
        .max_tokens(50)
        .stop("five")
        .extra("top_k", 3);
    let body = sent(&key(), &request);
    assert_eq!(body["temperature"], 0.5);
    assert_eq!(body["top_p"], 0.75);
    assert_eq!(body["max_tokens"], 50);
    assert_eq!(body["stop_sequences"], json!(["five"]));
    assert_eq!(body["top_k"], 3);
    assert_eq!(body.get("stream"), None);
}

#[test]
fn the_limit_of_tokens_is_the_requests_or_the_keys_or_the_dialects() {
    let hi = ChatRequest::from("Hi");
    assert_eq!(sent(&key().max_tokens(9), &hi)["max_tokens"], 9);
    assert_eq!(sent(&key().max_tokens(9), &hi.clone().max_tokens(5))["max_tokens"], 5);
    let server = server();
    server.plan(whole(text("Yes."), "end_turn"));
    let terse = provider(&server).dialect(Anthropic::default().max_tokens(100));
    let pool = config().provider("anthropic", terse).build().unwrap();
    pool.chat(&key(), "Hi").unwrap();
    assert_eq!(server.requests()[0].json().unwrap()["max_tokens"], 100);
    assert_eq!(server.requests()[0].header("x-api-key"), Some(KEY));
}

#[test]
fn extra_fields_take_the_place_of_those_that_are_there() {
    let request = ChatRequest::from("Hi")
        .max_tokens(50)
        .extra("max_tokens", 60)
        .extra("system", json!([{"type": "text", "text": "Be brief."}]))
        .extra("thinking", json!({"type": "enabled", "budget_tokens": 1024}));
    let body = sent(&key(), &request);
    assert_eq!(body["max_tokens"], 60);
    assert_eq!(body["system"][0]["text"], "Be brief.");
    assert_eq!(body["thinking"]["budget_tokens"], 1024);
}

#[test]
fn system_messages_go_to_the_top_with_a_blank_line_between_two() {
    let messages = [
        Message::system("Be brief."),
        Message::user("Hi"),
        Message::new(Role::Developer, "No jokes."),
        Message::system("  "),
    ];
    let body = sent(&key(), &(&messages).into());
    assert_eq!(body["system"], "Be brief.\n\nNo jokes.");
    let hi = json!([{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]);
    assert_eq!(body["messages"], hi);
}

#[test]
fn a_conversation_with_tools_is_told_in_blocks() {
    let messages = [
        Message::user("Weather in Oslo and Rome?"),
        Message::assistant("")
            .reasoning("Two cities, two calls.")
            .tool_call(ToolCall::new("toolu_1", "get_weather", r#"{"city": "Oslo"}"#))
            .tool_call(ToolCall::new("toolu_2", "get_weather", "")),
        Message::tool("toolu_1", "Snow."),
        Message::tool("toolu_2", ""),
        Message::assistant("Snow in Oslo.").tool_call(ToolCall::new("toolu_3", "look", "{}")),
        Message::tool("toolu_3", "Up."),
        Message::user("Thanks."),
    ];
    let request = ChatRequest::from(&messages).tool(weather());
    let body = sent(&key(), &request);
    let expected = json!([
        {"role": "user", "content": [{"type": "text", "text": "Weather in Oslo and Rome?"}]},
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Oslo"}},
            {"type": "tool_use", "id": "toolu_2", "name": "get_weather", "input": {}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "Snow."},
            {"type": "tool_result", "tool_use_id": "toolu_2"},
        ]},
        {"role": "assistant", "content": [
            {"type": "text", "text": "Snow in Oslo."},
            {"type": "tool_use", "id": "toolu_3", "name": "look", "input": {}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_3", "content": "Up."},
        ]},
        {"role": "user", "content": [{"type": "text", "text": "Thanks."}]},
    ]);
    assert_eq!(body["messages"], expected);
    assert_eq!(
        body["tools"],
        json!([{"name": "get_weather", "description": "Tells the weather.",
            "input_schema": weather().parameters}])
    );
    assert_eq!(body.get("tool_choice"), None);
}

#[test]
fn each_choice_of_tools_has_its_word() {
    for (choice, told) in [
        (ToolChoice::None, json!({"type": "none"})),
        (ToolChoice::Required, json!({"type": "any"})),
        (ToolChoice::Tool("get_weather".into()), json!({"type": "tool", "name": "get_weather"})),
    ] {
        let request = ChatRequest::from("Hi").tool(weather()).tool_choice(choice);
        assert_eq!(sent(&key(), &request)["tool_choice"], told);
    }
    let without = ChatRequest::from("Hi").tool_choice(ToolChoice::None);
    assert_eq!(sent(&key(), &without).get("tool_choice"), None);
}

#[test]
fn what_cannot_be_asked_is_refused_with_a_reason_and_not_sent() {
    let hi = || ChatRequest::from("Hi");
    let schema = ResponseFormat::JsonSchema { name: "x".into(), schema: json!({}) };
    let of = |messages: Vec<Message>| ChatRequest::new(messages);
    let call = |arguments: &str| {
        of(vec![
            Message::user("Hi"),
            Message::assistant("").tool_call(ToolCall::new("toolu_1", "look", arguments)),
        ])
    };
    for (request, reason) in [
        (hi().seed(1), "no seed"),
        (hi().response_format(ResponseFormat::JsonObject), "require a tool"),
        (hi().response_format(schema), "output_config"),
        (hi().temperature(1.5), "temperature must be 0 to 1 here"),
        (of(vec![Message::system("Be brief.")]), "system messages only"),
        (of(vec![Message::user("Hi"), Message::assistant(" \n")]), "message 2: it is empty"),
        (of(vec![Message::new(Role::Other("critic".into()), "Hm")]), "unknown role"),
        (call("my secret thoughts"), "message 2: the arguments of a tool call are no JSON object"),
        (call("[1]"), "no JSON object"),
    ] {
        let said = refused(&request);
        assert!(said.contains(reason), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
    let both = refused(&hi().seed(1).response_format(ResponseFormat::JsonObject));
    assert!(both.contains("no seed") && both.contains("require a tool"), "{both}");
}

#[test]
fn a_dialect_that_allows_no_tokens_sends_nothing() {
    let server = server();
    let none = provider(&server).dialect(Anthropic::default().max_tokens(0));
    let pool = config().provider("anthropic", none).build().unwrap();
    let error = pool.chat(&key(), "Hi").unwrap_err();
    assert!(error.message().contains("max_tokens"), "{error}");
    assert_eq!((error.kind(), server.stats().requests), (ErrorKind::Invalid, 0));
}
