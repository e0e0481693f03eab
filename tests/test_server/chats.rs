//! Chat requests: what is refused, and what limits an answer.

use super::*;

fn refused_param(server: &TestServer, more: Value) -> String {
    let error = refused(server, &ask_with("hi", more));
    error["param"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn every_role_is_taken_and_an_unknown_one_is_named() {
    let server = TestServer::start().unwrap();
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let mut messages = json!([
        {"role": "system", "content": "s"},
        {"role": "developer", "content": "d"},
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "t"},
        {"role": "user", "content": "v"},
    ]);
    let answer = answered(&server, &ask_with("", json!({"messages": messages})));
    assert_eq!(answer["choices"][0]["message"]["content"], "You said: v");
    messages[5]["role"] = json!("robot");
    let error = refused(&server, &ask_with("", json!({"messages": messages})));
    assert_eq!(
        (&error["param"], &error["code"]),
        (&json!("messages.[5].role"), &json!("invalid_value"))
    );
    assert!(error["message"].as_str().unwrap().contains("robot"), "{error}");
}

#[test]
fn messages_that_are_empty_or_no_messages_are_refused() {
    let server = TestServer::start().unwrap();
    for (messages, param) in [
        (json!([]), "messages"),
        (json!("hi"), "messages"),
        (json!(null), "messages"),
        (json!([{"content": "hi"}]), "messages.[0].role"),
        (json!([{"role": "user"}]), "messages.[0].content"),
        (json!(["hi"]), "messages.[0].role"),
        (json!([{"role": "system", "content": null}]), "messages.[0].content"),
    ] {
        assert_eq!(refused_param(&server, json!({"messages": messages})), param);
    }
}

#[test]
fn parameters_out_of_their_range_are_refused_and_null_is_as_good_as_absent() {
    let server = TestServer::start().unwrap();
    for (name, wrong, right) in [
        ("temperature", json!(2.1), json!(2)),
        ("temperature", json!(-0.1), json!(0.0)),
        ("temperature", json!("hot"), json!(null)),
        ("top_p", json!(1.5), json!(1)),
        ("presence_penalty", json!(-3), json!(-2)),
        ("frequency_penalty", json!(3), json!(2)),
        ("n", json!(2), json!(1)),
        ("n", json!(0), json!(null)),
        ("seed", json!(0.5), json!(-5)),
        ("max_tokens", json!(0), json!(1)),
        ("max_completion_tokens", json!(-1), json!(1)),
        ("stop", json!(["a", "b", "c", "d", "e"]), json!(["a", "b", "c", "d"])),
        ("stop", json!([1]), json!(null)),
        ("stop", json!(""), json!("x")),
        ("tools", json!([]), json!(null)),
        ("tool_choice", json!("required"), json!("none")),
    ] {
        assert_eq!(refused_param(&server, json!({name: wrong})), name, "{wrong}");
        answered(&server, &ask_with("hi", json!({name: right})));
    }
    let both = json!({"max_tokens": 1, "max_completion_tokens": 1});
    assert_eq!(refused_param(&server, both), "max_tokens");
    for format in [json!({}), json!({"type": "xml"}), json!("text")] {
        let param = refused_param(&server, json!({"response_format": format}));
        assert_eq!(param, "response_format.type");
    }
    let format = json!({"type": "json_schema", "json_schema": {"name": "n"}});
    let param = refused_param(&server, json!({"response_format": format}));
    assert_eq!(param, "response_format.json_schema.schema");
}

#[test]
fn an_answer_ends_after_as_many_words_as_it_may_have_tokens() {
    let server = TestServer::start().unwrap();
    for (name, most, content, reason, tokens) in [
        ("max_tokens", 3, "You said: a", "length", 3),
        ("max_completion_tokens", 1, "You", "length", 1),
        ("max_tokens", 4, "You said: a  b", "stop", 4),
        ("max_tokens", 400, "You said: a  b", "stop", 4),
    ] {
        let answer = answered(&server, &ask_with("a  b", json!({name: most})));
        let choice = &answer["choices"][0];
        assert_eq!(choice["message"]["content"], content);
        assert_eq!(choice["finish_reason"], reason);
        assert_eq!(answer["usage"]["completion_tokens"], tokens);
        assert_eq!(answer["usage"]["total_tokens"], tokens + 2);
    }
}

#[test]
fn an_answer_ends_before_the_first_of_the_stops() {
    let server = TestServer::start().unwrap();
    let ends = |more: Value| {
        let answer = answered(&server, &ask_with("one two three", more));
        let choice = &answer["choices"][0];
        let content = choice["message"]["content"].as_str().unwrap().to_owned();
        (content, choice["finish_reason"].as_str().unwrap().to_owned())
    };
    let owned = |content: &str, reason: &str| (content.to_owned(), reason.to_owned());
    assert_eq!(ends(json!({"stop": " two"})), owned("You said: one", "stop"));
    assert_eq!(ends(json!({"stop": ["three", "two"]})), owned("You said: one ", "stop"));
    assert_eq!(ends(json!({"stop": "four"})), owned("You said: one two three", "stop"));
    assert_eq!(ends(json!({"stop": " two", "max_tokens": 3})), owned("You said: one", "stop"));
    assert_eq!(ends(json!({"stop": " two", "max_tokens": 2})), owned("You said:", "length"));
}

#[test]
fn a_seed_is_known_again_by_the_fingerprint() {
    let server = TestServer::start().unwrap();
    let print = |seed: Value| {
        let answer = answered(&server, &ask_with("hi", json!({"seed": seed})));
        answer["system_fingerprint"].as_str().unwrap().to_owned()
    };
    assert!(print(json!(null)).starts_with("fp_"));
    assert_eq!(print(json!(7)), print(json!(7)));
    assert_ne!(print(json!(7)), print(json!(-7)));
}

#[test]
fn json_is_answered_where_json_is_asked_for() {
    let server = TestServer::start().unwrap();
    let said = |format: Value| -> Value {
        let answer = answered(&server, &ask_with("a \"b\"", json!({"response_format": format})));
        let content = answer["choices"][0]["message"]["content"].as_str().unwrap();
        serde_json::from_str(content).unwrap()
    };
    assert_eq!(said(json!({"type": "json_object"})), json!({"answer": "You said: a \"b\""}));
    let schema = json!({
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "age": {"type": "integer", "minimum": 18},
            "score": {"type": ["number", "null"]},
            "paid": {"type": "boolean"},
            "kind": {"enum": ["new", "old"]},
            "version": {"const": 2},
            "tags": {"type": "array", "items": {"type": "string"}},
            "pair": {"type": "array", "items": {"type": "number"}, "minItems": 2},
            "place": {"$ref": "#/$defs/place"},
            "either": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "nothing": {"type": "null"},
            "left_out": {"type": "string"},
        },
        "required": ["name", "age", "score", "paid", "kind", "version", "tags", "pair", "place",
                     "either", "nothing"],
        "$defs": {"place": {"properties": {"city": {"type": "string"}}, "required": ["city"]}},
    });
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
    let sample = json!({
        "name": "text", "age": 18, "score": 0, "paid": false, "kind": "new", "version": 2,
        "tags": [], "pair": [0, 0], "place": {"city": "text"}, "either": "text", "nothing": null,
    });
    assert_eq!(said(format), sample);
    server.plan(Reply::ok().content("{\"planned\": 1}"));
    assert_eq!(said(json!({"type": "json_object"})), json!({"planned": 1}));
}

#[test]
fn a_schema_that_requires_itself_or_too_much_is_answered_all_the_same() {
    let server = TestServer::start().unwrap();
    let twice = json!({"$ref": "#"});
    let itself = json!({"type": "object", "properties": {"a": twice, "b": twice},
                        "required": ["a", "b"]});
    let many = json!({"type": "array", "items": {"type": "string"}, "minItems": u64::MAX});
    for schema in [itself, many, json!({"$ref": "#"}), json!({"$ref": "elsewhere"})] {
        let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
        let answer = answered(&server, &ask_with("hi", json!({"response_format": format})));
        let content = answer["choices"][0]["message"]["content"].as_str().unwrap();
        serde_json::from_str::<Value>(content).unwrap();
        assert!(content.len() < 100_000, "{}", content.len());
    }
}
