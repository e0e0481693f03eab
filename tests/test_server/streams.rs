//! Streams of what is more than plain content, and streams that end in an error.

use super::*;

/// The events of a stream, which is to be one, and whether it ended with `[DONE]`.
fn events(server: &TestServer, text: &str, more: Value) -> (Vec<Value>, bool) {
    let mut body = ask_with(text, more);
    body["stream"] = json!(true);
    let mut answer = agent().post(server.chat_url()).send(body.to_string()).unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let text = answer.body_mut().read_to_string().unwrap();
    assert!(text.ends_with("\n\n"), "{text}");
    let mut data: Vec<_> =
        text.split_terminator("\n\n").map(|it| it.strip_prefix("data: ").unwrap()).collect();
    let done = data.last() == Some(&"[DONE]");
    data.truncate(data.len() - usize::from(done));
    (data.into_iter().map(|it| serde_json::from_str(it).unwrap()).collect(), done)
}

fn deltas(events: &[Value]) -> Vec<Value> {
    events.iter().map(|it| it["choices"][0]["delta"].clone()).collect()
}

#[test]
fn thoughts_come_before_words_and_all_events_tell_the_same_answer() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::ok().reasoning("Hm, well.").content("A b"));
    let (events, done) = events(&server, "hi", json!({"seed": 3}));
    assert!(done);
    assert_eq!(
        deltas(&events),
        [
            json!({"role": "assistant", "content": ""}),
            json!({"reasoning_content": "Hm, "}),
            json!({"reasoning_content": "well."}),
            json!({"content": "A "}),
            json!({"content": "b"}),
            json!({}),
        ]
    );
    for event in &events {
        assert_eq!(event["id"], "chatcmpl-1");
        assert_eq!(event["system_fingerprint"], events[0]["system_fingerprint"]);
        assert!(event.get("usage").is_none());
    }
    assert!(events[..5].iter().all(|it| it["choices"][0]["finish_reason"].is_null()));
    assert_eq!(events[5]["choices"][0]["finish_reason"], "stop");
}

#[test]
fn a_call_comes_with_its_name_first_and_its_arguments_in_fragments() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::ok().tool_call("f", "{\"ж\": 1}").tool_call("g", ""));
    let (events, done) = events(&server, "hi", json!({"stream_options": {"include_usage": true}}));
    assert!(done);
    let call = |call: Value| json!({"tool_calls": [call]});
    let opened = |index: u64, id: &str, name: &str| {
        call(json!({"index": index, "id": id, "type": "function",
                    "function": {"name": name, "arguments": ""}}))
    };
    let (last, chunks) = events.split_last().unwrap();
    assert_eq!(
        deltas(chunks),
        [
            json!({"role": "assistant", "content": null}),
            opened(0, "call_1", "f"),
            call(json!({"index": 0, "function": {"arguments": "{\"ж\""}})),
            call(json!({"index": 0, "function": {"arguments": ": 1}"}})),
            opened(1, "call_1_2", "g"),
            json!({}),
        ]
    );
    assert!(chunks.iter().all(|it| it.get("usage") == Some(&Value::Null)));
    assert_eq!(chunks[5]["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(last["choices"], json!([]));
    let usage = json!({"prompt_tokens": 1, "completion_tokens": 4, "total_tokens": 5});
    assert_eq!(last["usage"], usage);
}

#[test]
fn calls_limits_and_reasons_are_the_same_in_a_stream() {
    let server = TestServer::start().unwrap();
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let (called, _) = events(&server, "call f", json!({"tools": tools}));
    assert_eq!(called[1]["choices"][0]["delta"]["tool_calls"][0]["function"]["name"], "f");
    let (cut, _) = events(&server, "hi", json!({"max_tokens": 1}));
    assert_eq!(deltas(&cut)[1..], [json!({"content": "You"}), json!({})]);
    assert_eq!(cut[2]["choices"][0]["finish_reason"], "length");
    server.plan(Reply::ok().content("").finish_reason("content_filter"));
    let (empty, _) = events(&server, "hi", json!({}));
    assert_eq!(empty.len(), 2);
    assert_eq!(empty[1]["choices"][0]["finish_reason"], "content_filter");
}

#[test]
fn an_error_mid_stream_takes_the_place_of_the_second_half() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::ok().error_mid_stream("over\nloaded"));
    let (events, done) = events(&server, "a b", json!({}));
    assert!(!done);
    assert_eq!(deltas(&events[..3])[2], json!({"content": "said: "}));
    let error =
        json!({"message": "over\nloaded", "type": "server_error", "param": null, "code": null});
    assert_eq!(events[3..], [json!({"error": error})]);

    server.plan(Reply::ok().pieces(["data: 1\n\n", "data: 2\n\n"]).error_mid_stream("x"));
    let text = agent().get(server.url()).call().unwrap().body_mut().read_to_string().unwrap();
    assert!(
        text.starts_with("data: 1\n\ndata: {\"error\":") && !text.contains("data: 2"),
        "{text}"
    );
    server.plan(Reply::ok().error_mid_stream("x"));
    assert_eq!(chat(&agent(), &server).unwrap().0, 200, "what is no stream stays whole");
}

#[test]
fn a_stream_that_is_refused_is_no_stream() {
    let server = TestServer::start().unwrap();
    let error = refused(&server, &ask_with("hi", json!({"stream": true, "temperature": 3})));
    assert_eq!(error["param"], "temperature");
}
