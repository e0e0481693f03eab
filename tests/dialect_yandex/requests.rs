//! What is sent, and what is not.

use std::time::Duration;

use llm_pool::chat::{
    ChatError, ChatRequest, ErrorKind, Message, ResponseFormat, Role, Token, TokenSource, ToolCall,
    ToolChoice, Yandex, YandexAuth,
};
use llm_pool::keyed::ModelKey;
use llm_pool::llm::Provider;
use llm_pool::test_server::SeenRequest;
use serde_json::json;
use ureq::Agent;

use crate::replay::*;

/// What came of one call to this provider.
fn seen(of: impl Fn(String) -> Provider) -> SeenRequest {
    let server = server();
    server.plan(whole(&said("Да.", "FINAL")).at(PATH));
    pool_with(of(base(&server))).chat(&key(), "Привет").unwrap();
    server.requests()[0].clone()
}

#[test]
fn a_request_goes_to_completion_with_the_key_and_without_the_folder_header() {
    let seen = seen(|base| Provider::yandex(FOLDER, YandexAuth::ApiKey(KEY.into())).base_url(base));
    assert_eq!((seen.method(), seen.path()), ("POST", PATH));
    assert_eq!(seen.header("authorization"), Some(&*format!("Api-Key {KEY}")));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.header("x-folder-id"), None);
    let body = json!({
        "modelUri": "gpt://b1gfolder/yandexgpt/latest",
        "completionOptions": {"stream": false},
        "messages": [{"role": "user", "text": "Привет"}],
    });
    assert_eq!(seen.json().unwrap(), body);
}

#[test]
fn an_iam_token_is_a_bearer_and_that_of_a_user_goes_with_the_folder() {
    let seen = seen(|base| {
        Provider::yandex(FOLDER, YandexAuth::IamToken("t1.token".into()))
            .base_url(base)
            .dialect(Yandex::new(FOLDER).folder_header(true))
    });
    assert_eq!(seen.header("authorization"), Some("Bearer t1.token"));
    assert_eq!(seen.header("x-folder-id"), Some(FOLDER));
}

#[test]
fn iam_tokens_that_expire_come_from_a_source() {
    struct Fixed;
    impl TokenSource for Fixed {
        fn fetch(&self, _: &Agent) -> Result<Token, ChatError> {
            Ok(Token::new("t1.fetched").expires_in(Duration::from_secs(3600)))
        }
    }
    let seen =
        seen(|base| Provider::yandex(FOLDER, YandexAuth::TokenSource).base_url(base).tokens(Fixed));
    let all: Vec<_> = seen.headers().filter(|(name, _)| *name == "authorization").collect();
    assert_eq!(all, [("authorization", "Bearer t1.fetched")]);
}

#[test]
fn clients_are_not_checked() {
    let server = server();
    let pool = pool_of(&server);
    drop(pool.get(&key()).unwrap());
    pool.check_all();
    pool.chat(&key(), ChatRequest::from("Привет").seed(1)).unwrap_err();
    assert_eq!(server.stats().requests, 0);
}

#[test]
fn the_model_is_told_as_a_uri() {
    for (model, uri) in [
        ("yandexgpt-lite", "gpt://b1gfolder/yandexgpt-lite/latest"),
        ("yandexgpt/rc", "gpt://b1gfolder/yandexgpt/rc"),
        ("gpt://other/yandexgpt", "gpt://other/yandexgpt"),
        ("ds://tuned", "ds://tuned"),
    ] {
        let body = sent(&ModelKey::new("yandex", model), &"Привет".into());
        assert_eq!(body["modelUri"], uri);
    }
}

#[test]
fn a_model_without_a_folder_is_not_asked() {
    let server = server();
    let auth = YandexAuth::ApiKey(KEY.into());
    let pool = pool_with(Provider::yandex("", auth).base_url(base(&server)));
    let error = pool.chat(&key(), "Привет").unwrap_err();
    assert_eq!((error.kind(), server.stats().requests), (ErrorKind::Invalid, 0));
    assert!(error.message().contains("the folder is empty"), "{error}");
    server.plan(whole(&said("Да.", "FINAL")));
    pool.chat(&ModelKey::new("yandex", "gpt://b1g/yandexgpt"), "Привет").unwrap();
}

#[test]
fn options_go_together_and_the_limit_of_tokens_as_text() {
    let request = ChatRequest::from("Привет")
        .temperature(0.5)
        .max_tokens(50)
        .extra("parallelToolCalls", false)
        .extra("completionOptions", json!({"reasoningOptions": {"mode": "ENABLED_HIDDEN"}}));
    let body = sent(&key(), &request);
    let options = json!({"stream": false, "temperature": 0.5, "maxTokens": "50",
        "reasoningOptions": {"mode": "ENABLED_HIDDEN"}});
    assert_eq!(body["completionOptions"], options);
    assert_eq!(body["parallelToolCalls"], false);
}

#[test]
fn extra_fields_take_the_place_of_those_that_are_there() {
    let request = ChatRequest::from("Привет")
        .max_tokens(50)
        .extra("modelUri", "cls://b1g/x")
        .extra("completionOptions", json!({"maxTokens": "60"}))
        .extra("messages", json!([{"role": "user", "text": "Пока"}]));
    let body = sent(&key(), &request);
    assert_eq!(body["modelUri"], "cls://b1g/x");
    assert_eq!(body["completionOptions"], json!({"stream": false, "maxTokens": "60"}));
    assert_eq!(body["messages"][0]["text"], "Пока");
    let odd = ChatRequest::from("Привет").extra("completionOptions", "all");
    assert_eq!(sent(&key(), &odd)["completionOptions"], "all");
}

#[test]
fn a_conversation_with_tools_is_told_with_the_names_of_the_functions() {
    let messages = [
        Message::new(Role::Developer, "Будь краток."),
        Message::user("Погода?"),
        Message::assistant("Смотрю.")
            .reasoning("Two cities, two calls.")
            .tool_call(ToolCall::new("call_0", "get_weather", r#"{"city": "Oslo"}"#))
            .tool_call(ToolCall::new("call_1", "look", "")),
        Message::tool("call_0", "Snow."),
        Message::tool("call_1", "Up."),
        // Ids count anew in each answer.
        Message::assistant("").tool_call(ToolCall::new("call_0", "look_again", "{}")),
        Message::tool("call_0", "Down."),
    ];
    let body = sent(&key(), &ChatRequest::from(&messages).tool(weather()));
    let expected = json!([
        {"role": "system", "text": "Будь краток."},
        {"role": "user", "text": "Погода?"},
        {"role": "assistant", "text": "Смотрю."},
        {"role": "assistant", "toolCallList": {"toolCalls": [
            {"functionCall": {"name": "get_weather", "arguments": {"city": "Oslo"}}},
            {"functionCall": {"name": "look", "arguments": {}}},
        ]}},
        {"role": "assistant", "toolResultList": {"toolResults": [
            {"functionResult": {"name": "get_weather", "content": "Snow."}},
            {"functionResult": {"name": "look", "content": "Up."}},
        ]}},
        {"role": "assistant", "toolCallList": {"toolCalls": [
            {"functionCall": {"name": "look_again", "arguments": {}}},
        ]}},
        {"role": "assistant", "toolResultList": {"toolResults": [
            {"functionResult": {"name": "look_again", "content": "Down."}},
        ]}},
    ]);
    assert_eq!(body["messages"], expected);
    let function = json!({"name": "get_weather", "description": "Tells the weather.",
        "parameters": weather().parameters});
    assert_eq!(body["tools"], json!([{"function": function}]));
    assert_eq!(body.get("toolChoice"), None);
}

#[test]
fn each_choice_of_tools_and_each_format_has_its_word() {
    for (choice, told) in [
        (ToolChoice::None, json!({"mode": "NONE"})),
        (ToolChoice::Required, json!({"mode": "REQUIRED"})),
        (ToolChoice::Tool("get_weather".into()), json!({"functionName": "get_weather"})),
    ] {
        let request = ChatRequest::from("Привет").tool(weather()).tool_choice(choice);
        assert_eq!(sent(&key(), &request)["toolChoice"], told);
    }
    let object = ChatRequest::from("JSON!").response_format(ResponseFormat::JsonObject);
    assert_eq!(sent(&key(), &object)["jsonObject"], true);
    let schema = json!({"type": "object"});
    let format = ResponseFormat::JsonSchema { name: "x".into(), schema: schema.clone() };
    let body = sent(&key(), &ChatRequest::from("JSON!").response_format(format));
    assert_eq!(body["jsonSchema"], json!({"schema": schema}));
    assert_eq!(body.get("jsonObject"), None);
}

#[test]
fn what_cannot_be_asked_is_refused_with_a_reason_and_not_sent() {
    let hi = || ChatRequest::from("Привет");
    let call = |arguments: &str| {
        ChatRequest::new(vec![
            Message::user("Привет"),
            Message::assistant("").tool_call(ToolCall::new("call_0", "look", arguments)),
        ])
    };
    let orphan = vec![
        Message::assistant("").tool_call(ToolCall::new("call_0", "look", "{}")),
        Message::tool("call_7", "Up."),
    ];
    // The call must come before its result.
    let late = vec![
        Message::tool("call_0", "Up."),
        Message::assistant("").tool_call(ToolCall::new("call_0", "look", "{}")),
    ];
    for (request, reason) in [
        (hi().stop("five"), "Yandex has no stop:"),
        (hi().seed(1).top_p(0.5), "Yandex has no seed, top_p:"),
        (hi().temperature(1.5), "temperature must be 0 to 1 here"),
        (call("my secret thoughts"), "message 2: the arguments of a tool call are no JSON object"),
        (call("[1]"), "no JSON object"),
        (ChatRequest::new(orphan), "message 2: no tool call before it has the id"),
        (ChatRequest::new(late), "message 1: no tool call before it has the id"),
    ] {
        let said = refused(&request);
        assert!(said.contains(reason), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn a_top_p_of_the_key_is_refused_too() {
    let server = server();
    let error = pool_of(&server).chat(&key().top_p(0.5), "Привет").unwrap_err();
    assert!(error.message().contains("of its key"), "{error}");
    assert_eq!(server.stats().requests, 0);
}
