//! Whole answers.

use llm_pool::chat::{ErrorKind, Finish, Message, ToolCall};
use llm_pool::test_server::Reply;
use serde_json::json;

use crate::replay::*;

#[test]
fn a_whole_answer_is_read_and_its_usage_though_it_is_text() {
    let reply = answered(whole(&said("Да.", "FINAL"))).unwrap();
    assert_eq!((reply.text(), reply.finish()), ("Да.", Some(&Finish::Stop)));
    assert_eq!((reply.model(), reply.id()), (Some("23.10.2024"), None));
    let usage = reply.usage();
    assert_eq!((usage.input, usage.output, usage.told_total), (Some(19), Some(6), Some(25)));
    assert_eq!((usage.reasoning, usage.cached), (Some(2), None));
}

#[test]
fn usage_may_be_numbers_or_not_there_and_the_wrapper_may_be_missing() {
    let mut answer = said("Да.", "FINAL")["result"].take();
    answer["usage"] = json!({"inputTextTokens": 19, "completionTokens": 6, "totalTokens": null});
    let reply = answered(whole(&answer)).unwrap();
    let usage = reply.usage();
    assert_eq!((reply.text(), usage.input, usage.told_total), ("Да.", Some(19), None));
    assert_eq!(reply.model(), Some("23.10.2024"));
    answer["usage"] = json!({"inputTextTokens": "many"});
    assert_eq!(answered(whole(&answer)).unwrap().usage().input, None);
}

#[test]
fn every_status_has_its_meaning() {
    for (status, finish) in [
        ("FINAL", Finish::Stop),
        ("TRUNCATED_FINAL", Finish::Length),
        ("CONTENT_FILTER", Finish::ContentFilter),
        ("TOOL_CALLS", Finish::ToolCalls),
        ("OF_TOMORROW", Finish::Other("OF_TOMORROW".into())),
    ] {
        let reply = answered(whole(&said("Да.", status))).unwrap();
        assert_eq!(reply.finish(), Some(&finish));
        let (_, reply) = streamed(lines(&[said("Д", "PARTIAL"), said("Да.", status)]));
        let reply = reply.unwrap();
        assert_eq!((reply.finish(), reply.text()), (Some(&finish), "Да."));
    }
    let unspecified = answered(whole(&said("Да.", "UNSPECIFIED"))).unwrap();
    assert_eq!((unspecified.text(), unspecified.finish()), ("Да.", None));
}

#[test]
fn a_whole_answer_that_is_not_final_was_cut_short() {
    let error = answered(whole(&said("Д", "PARTIAL"))).unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::CutShort, Some(200)));
}

#[test]
fn calls_get_ids_and_their_results_go_back_under_the_functions_name() {
    let server = server();
    let wanted =
        calls(&[("get_weather", json!({"city": "Oslo"})), ("look", serde_json::Value::Null)]);
    server.plan(whole(&of_message(wanted, "TOOL_CALLS")));
    server.plan(whole(&said("Снег.", "FINAL")));
    let pool = pool_of(&server);
    let mut messages = vec![Message::user("Погода?")];
    let reply = pool.chat(&key(), &messages).unwrap();
    assert_eq!((reply.text(), reply.finish()), ("", Some(&Finish::ToolCalls)));
    let expected = [
        ToolCall::new("call_0", "get_weather", r#"{"city":"Oslo"}"#),
        ToolCall::new("call_1", "look", "{}"),
    ];
    assert_eq!(reply.tool_calls(), expected);
    messages.push(reply.to_message());
    messages.extend([Message::tool("call_1", "Up."), Message::tool("call_0", "Snow.")]);
    assert_eq!(pool.chat(&key(), &messages).unwrap().text(), "Снег.");
    let results = &server.requests()[1].json().unwrap()["messages"][2]["toolResultList"];
    let expected = json!({"toolResults": [
        {"functionResult": {"name": "look", "content": "Up."}},
        {"functionResult": {"name": "get_weather", "content": "Snow."}},
    ]});
    assert_eq!(*results, expected);
}

#[test]
fn what_is_no_answer_is_malformed() {
    for body in ["{}", "", "[]", r#"{"result": {"alternatives": []}}"#, r#"{"result": {"alt"#] {
        let error = answered(Reply::ok().body(body)).unwrap_err();
        assert_eq!((error.kind(), error.status()), (ErrorKind::Malformed, Some(200)), "{error}");
    }
    let page = Reply::ok().body("<html><title>Вход</title></html>").content_type("text/html");
    let error = answered(page).unwrap_err();
    assert!(error.message().contains("a page"), "{error}");
}
