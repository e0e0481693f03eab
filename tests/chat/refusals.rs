//! Bad input: refused with the reason, and nothing is sent.

use llm_pool::agent::{AgentConfig, Proxy};
use llm_pool::chat::{
    ChatConfig, ChatRequest, ErrorKind, Message, Role, Seen, Tool, ToolCall, ToolChoice,
};
use llm_pool::llm::{LlmConfig, Provider};
use llm_pool::test_server::TestServer;
use serde_json::json;

use crate::support::*;
use crate::*;

#[test]
fn what_cannot_be_asked_is_refused_before_anything_is_sent() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    let request = || ChatRequest::new(vec![Message::user("Hi")]);
    let of = |message: Message| ChatRequest::new(vec![message]);
    let tool = |name: &str| Tool::new(name, "", json!({}));
    let cases = [
        (ChatRequest::new(vec![]), "there are no messages"),
        (request().temperature(2.5), "temperature must be 0 to 2 here, and is 2.5"),
        (request().temperature(-0.1), "temperature"),
        (request().temperature(f64::NAN), "temperature"),
        (request().top_p(1.01), "top_p must be 0 to 1"),
        (request().max_tokens(0), "max_tokens must be at least 1"),
        (request().stop(""), "a stop text is empty"),
        (of(Message::new(Role::from("robot"), "Hi")), "message 1: unknown role \"robot\""),
        (of(Message::new(Role::Tool, "4 degrees")), "needs the id of the call"),
        (of(Message::user("Hi").tool_call(ToolCall::new("1", "f", ""))), "only the assistant's"),
        (request().tool(tool("two words")), "tool \"two words\""),
        (request().tool(Tool::new("f", "", json!("text"))), "must be a JSON schema"),
        (request().tool(tool("f")).tool_choice(ToolChoice::Tool("g".into())), "no tool of these"),
        (request().tool_choice(ToolChoice::Required), "there is none"),
    ];
    for (request, reason) in cases {
        let error = pool.chat(&key(), request.clone()).unwrap_err();
        assert_eq!((error.kind(), error.seen()), (ErrorKind::Invalid, Seen::No), "{error}");
        assert!(error.to_string().contains(reason), "{error} says nothing of {reason}");
        assert!(!error.is_retryable() && error.tries() == 1);
        assert!(pool.stream(&key(), request).is_err());
    }
    assert_eq!(server.stats().requests, 0);
    assert_eq!(in_use(&pool), 0);
}

#[test]
fn all_that_is_wrong_is_in_one_error() {
    let server = TestServer::start().unwrap();
    let wrong = ChatRequest::new(vec![]).temperature(9.0).max_tokens(0);
    let said = pool(&server).chat(&key(), wrong).unwrap_err().to_string();
    assert!(said.contains("no messages") && said.contains("temperature") && said.contains("max_t"));
}

#[test]
fn a_temperature_of_the_key_is_checked_as_well() {
    let server = TestServer::start().unwrap();
    let error = pool(&server).chat(&key().temperature(5.0), &hi()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(server.stats().requests, 0);
}

#[test]
fn a_key_with_a_line_break_is_refused_when_the_pool_is_built_and_not_shown() {
    for key in ["sk-planted\r\nx-evil: 1", "sk-planted\n", "sk-plänted"] {
        let error = LlmConfig::default().provider("p", Provider::openai(key)).build().unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(said.contains("authorization must be visible ASCII"), "{said}");
        assert!(!said.contains("sk-pl"), "{said}");
    }
}

#[test]
fn settings_that_cannot_work_are_refused_together() {
    let chat = ChatConfig::default()
        .total_timeout(secs(0))
        .piece_timeout(secs(0))
        .max_answer(0)
        .first_pause(secs(9));
    let agents = AgentConfig::default().proxy(Proxy::Direct);
    let provider = Provider::new("http://127.0.0.1:1");
    let config = LlmConfig::default().agents(agents).chat(chat).provider("p", provider);
    let error = config.build().unwrap_err();
    let names: Vec<_> =
        error.problems().iter().map(|problem| problem.split(':').next().unwrap()).collect();
    assert_eq!(names, ["total_timeout", "piece_timeout", "max_answer", "first_pause"]);
}

#[test]
fn settings_of_one_provider_are_checked_as_well() {
    let provider = Provider::new("http://127.0.0.1:1").chat(ChatConfig::default().max_answer(0));
    let error = LlmConfig::default().provider("p", provider).build().unwrap_err();
    assert!(error.to_string().contains("max_answer"), "{error}");
}

#[test]
fn the_defaults_suit_models() {
    let chat = ChatConfig::default();
    assert_eq!(chat.total_timeout, Some(secs(600)));
    assert_eq!(chat.piece_timeout, Some(secs(60)));
    assert_eq!((chat.max_answer, chat.max_retries), (32 << 20, 2));
    assert_eq!((chat.first_pause, chat.max_pause), (millis(500), secs(8)));
    assert!(chat.retry_stale);
    let agents = LlmConfig::default().agents;
    assert_eq!((agents.connect_timeout, agents.first_byte_timeout), (Some(secs(10)), None));
}
