//! What is planned to be said.

use super::*;

#[test]
fn calls_and_thoughts_are_planned_whatever_is_offered() {
    let server = TestServer::start().unwrap();
    let reply = Reply::ok().reasoning("Hm, well.").tool_call("f", "{\"a\": 1}");
    server.plan(reply.tool_call("g", "not JSON"));
    let answer = answered(&server, &ask_with("hi", json!({})));
    let call = |id: &str, name: &str, arguments: &str| {
        let function = json!({"name": name, "arguments": arguments});
        json!({"id": id, "type": "function", "function": function})
    };
    let choice = &answer["choices"][0];
    let calls = [call("call_1", "f", "{\"a\": 1}"), call("call_1_2", "g", "not JSON")];
    assert_eq!(
        choice["message"],
        json!({"role": "assistant", "content": null,
                                         "reasoning_content": "Hm, well.", "tool_calls": calls})
    );
    assert_eq!(choice["finish_reason"], "tool_calls");
    let usage = &answer["usage"];
    assert_eq!((&usage["completion_tokens"], &usage["total_tokens"]), (&json!(8), &json!(9)));
    assert_eq!(usage["completion_tokens_details"], json!({"reasoning_tokens": 2}));
}

#[test]
fn planned_content_is_said_instead_of_a_call() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::ok().content("I would rather not."));
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let answer = answered(&server, &ask_with("f", json!({"tools": tools})));
    let message = json!({"role": "assistant", "content": "I would rather not."});
    assert_eq!(answer["choices"][0]["message"], message);
}

#[test]
fn thoughts_use_up_the_words_that_may_be_said() {
    let server = TestServer::start().unwrap();
    server.set_reply(Reply::ok().reasoning("one two").content("three four"));
    for (most, thought, said, reason) in [
        (1, "one", "", "length"),
        (2, "one two", "", "length"),
        (3, "one two", "three", "length"),
        (4, "one two", "three four", "stop"),
    ] {
        let answer = answered(&server, &ask_with("hi", json!({"max_tokens": most})));
        let choice = &answer["choices"][0];
        assert_eq!(choice["message"]["reasoning_content"], thought);
        assert_eq!(choice["message"]["content"], said);
        assert_eq!(choice["finish_reason"], reason);
        assert_eq!(answer["usage"]["completion_tokens"], most);
    }
}

#[test]
fn the_reason_and_the_usage_are_told_as_planned() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::ok().finish_reason("content_filter").usage(1000, u64::MAX));
    let answer = answered(&server, &ask_with("hi", json!({})));
    assert_eq!(answer["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(answer["choices"][0]["message"]["content"], "You said: hi");
    let usage =
        json!({"prompt_tokens": 1000, "completion_tokens": u64::MAX, "total_tokens": u64::MAX});
    assert_eq!(answer["usage"], usage);
}
