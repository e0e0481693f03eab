//! Functions that a request offers, their calls and their results.

use super::*;

/// A request that offers `get` and `get_weather`.
fn offer(text: &str, more: Value) -> Value {
    let parameters = json!({
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"},
                       "unit": {"enum": ["C", "F"]}},
        "required": ["city", "unit"],
    });
    let tools = json!([
        {"type": "function", "function": {"name": "get"}},
        {"type": "function", "function": {"name": "get_weather", "parameters": parameters}},
    ]);
    let mut body = ask_with(text, json!({"tools": tools}));
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// The names of the functions called.
fn called(server: &TestServer, body: &Value) -> Vec<String> {
    let answer = answered(server, body);
    let choice = &answer["choices"][0];
    let calls = choice["message"]["tool_calls"].as_array().cloned().unwrap_or_default();
    let reason = if calls.is_empty() { "stop" } else { "tool_calls" };
    assert_eq!(choice["finish_reason"], reason);
    assert_eq!(choice["message"]["content"].is_null(), !calls.is_empty());
    calls.iter().map(|it| it["function"]["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_function_that_the_user_names_is_called_with_its_required_arguments() {
    let server = TestServer::start().unwrap();
    let answer = answered(&server, &offer("Do get_weather, please.", json!({})));
    let choice = &answer["choices"][0];
    let arguments = "{\"city\":\"text\",\"unit\":\"C\"}";
    let call = json!({"id": "call_1", "type": "function",
                      "function": {"name": "get_weather", "arguments": arguments}});
    let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
    assert_eq!(choice["message"], message);
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(
        answer["usage"],
        json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5})
    );
}

#[test]
fn which_function_is_called_is_a_matter_of_the_choice_and_of_what_the_user_names() {
    let server = TestServer::start().unwrap();
    let this = json!({"type": "function", "function": {"name": "get_weather"}});
    for (text, more, names) in [
        ("hello", json!({}), &[][..]),
        ("get_weather_now or forget it", json!({}), &[]),
        ("get_weather", json!({"tool_choice": "auto"}), &["get_weather"]),
        ("get_weather", json!({"tool_choice": "none"}), &[]),
        ("get_weather", json!({"tool_choice": "required"}), &["get_weather"]),
        ("hello", json!({"tool_choice": "required"}), &["get"]),
        ("get", json!({"tool_choice": this}), &["get_weather"]),
        ("get_weather, get", json!({}), &["get", "get_weather"]),
        ("get_weather, get", json!({"parallel_tool_calls": false}), &["get"]),
    ] {
        assert_eq!(called(&server, &offer(text, more.clone())), names, "{text} {more}");
    }
}

#[test]
fn offers_and_choices_that_are_not_proper_are_refused() {
    let server = TestServer::start().unwrap();
    let absent = json!({"type": "function", "function": {"name": "absent"}});
    let nameless = json!([{"type": "function", "function": {}}]);
    for (more, param) in [
        (json!({"tool_choice": absent}), "tool_choice"),
        (json!({"tool_choice": "maybe"}), "tool_choice"),
        (json!({"tool_choice": {}}), "tool_choice"),
        (json!({"tools": "get"}), "tools"),
        (json!({"tools": nameless}), "tools[0].function.name"),
        (json!({"tools": [{"function": {"name": "f"}}]}), "tools[0].type"),
    ] {
        assert_eq!(refused(&server, &offer("hi", more))["param"], param);
    }
}

/// A conversation in which two functions were called, and what came after.
fn after_calls(after: Value) -> Value {
    let call = |id: &str| {
        json!({"id": id, "type": "function",
                                 "function": {"name": "get", "arguments": "{}"}})
    };
    let mut messages = vec![
        json!({"role": "user", "content": "get"}),
        json!({"role": "assistant", "content": null, "tool_calls": [call("a"), call("b")]}),
    ];
    messages.extend(after.as_array().unwrap().iter().cloned());
    offer("", json!({"messages": messages, "tool_choice": "required"}))
}

#[test]
fn what_the_tools_said_is_quoted() {
    let server = TestServer::start().unwrap();
    let one = json!({"role": "tool", "tool_call_id": "b", "content": "21 °C"});
    let two = json!({"role": "tool", "tool_call_id": "a",
                     "content": [{"type": "text", "text": "sunny"}]});
    let answer = answered(&server, &after_calls(json!([one, two])));
    let choice = &answer["choices"][0];
    assert_eq!(choice["message"]["content"], "The tool said: 21 °C\nsunny");
    assert_eq!(choice["finish_reason"], "stop");
}

#[test]
fn a_result_without_its_call_and_a_call_without_its_result_are_refused() {
    let server = TestServer::start().unwrap();
    let tool = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "x"});
    let user = json!({"role": "user", "content": "x"});
    for (after, param) in [
        (json!([tool("c")]), "messages.[2].tool_call_id"),
        (json!([{"role": "tool", "content": "x"}]), "messages.[2].tool_call_id"),
        (json!([]), "messages.[2].role"),
        (json!([tool("a")]), "messages.[3].role"),
        (json!([tool("a"), user]), "messages.[3].role"),
        (json!([tool("a"), tool("b"), user, tool("a")]), "messages.[5].role"),
    ] {
        assert_eq!(refused(&server, &after_calls(after))["param"], param);
    }
    let error = refused(&server, &ask_with("", json!({"messages": [tool("a")]})));
    assert_eq!(error["param"], "messages.[0].role");
}
