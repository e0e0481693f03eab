//! What is asked, and the answers without a fault.

use super::*;

#[test]
fn a_chat_is_answered_in_openai_shape() {
    let server = TestServer::start().unwrap();
    let (status, answer) = chat(&agent(), &server).unwrap();
    assert_eq!(status, 200);
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["id"], "chatcmpl-1");
    assert!(answer["created"].as_u64().unwrap() > 1_700_000_000);
    assert_eq!(answer["model"], "m");
    let choice = &answer["choices"][0];
    assert_eq!(choice["index"], 0);
    assert_eq!(choice["message"], json!({"role": "assistant", "content": "You said: hi"}));
    assert_eq!(choice["finish_reason"], "stop");
    let usage = json!({"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4});
    assert_eq!(answer["usage"], usage);
}

#[test]
fn the_last_user_message_is_echoed_with_its_parts_put_together_and_escaped() {
    let server = TestServer::start().unwrap();
    let body = json!({"model": "m \"x\"", "messages": [
        {"role": "user", "content": "first"},
        {"role": "user", "content": [{"type": "text", "text": "a\"\n"},
                                     {"type": "image_url", "image_url": {"url": "x"}},
                                     {"type": "text", "text": "ж"}]},
        {"role": "assistant", "content": "last"},
    ]});
    let mut answer = agent().post(server.chat_url()).send(body.to_string()).unwrap();
    let answer: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "You said: a\"\nж");
    assert_eq!(answer["model"], "m \"x\"");
}

#[test]
fn models_are_listed() {
    let server = TestServer::start().unwrap();
    let url = format!("{}/v1/models?limit=5", server.url());
    let text = agent().get(url).call().unwrap().body_mut().read_to_string().unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(list["object"], "list");
    assert_eq!(list["data"][0]["id"], "test-model");
}

#[test]
fn head_is_answered_like_get_without_the_body_and_the_connection_goes_on() {
    let server = TestServer::start().unwrap();
    let mut raw = Raw::to(&server);
    raw.get("/v1/models");
    let length = raw.answer().body.len().to_string();
    raw.send("HEAD /v1/models HTTP/1.1\r\nhost: x\r\n\r\n");
    let head = raw.head().unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(header(&head, "content-length"), Some(length.as_str()));
    raw.get("/v1/models");
    assert!(raw.answer().head.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn what_is_wrong_is_told_in_openai_shape() {
    let server = TestServer::start().unwrap();
    let agent = agent();
    let url = |path: &str| format!("{}{path}", server.url());
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let answers = [
        (400, agent.post(server.chat_url()).send("{not json").unwrap()),
        (400, agent.post(server.chat_url()).send(&deep).unwrap()),
        (400, agent.post(server.chat_url()).send("{\"messages\": []}").unwrap()),
        (400, agent.post(server.chat_url()).send("{\"model\": \"m\"}").unwrap()),
        (404, agent.get(url("/nowhere")).call().unwrap()),
        (405, agent.get(server.chat_url()).call().unwrap()),
        (405, agent.post(url("/v1/models")).send("").unwrap()),
    ];
    for (status, mut answer) in answers {
        assert_eq!(answer.status().as_u16(), status);
        assert_eq!(answer.headers().contains_key("allow"), status == 405);
        let text = answer.body_mut().read_to_string().unwrap();
        let error = &serde_json::from_str::<Value>(&text).unwrap()["error"];
        assert!(error["message"].is_string(), "{text}");
        assert_eq!(error["type"], "invalid_request_error");
        let missing = error["code"] == "missing_required_parameter";
        assert_eq!(error["param"].as_str(), missing.then_some("messages"));
        assert!(missing || error["code"].is_null(), "{text}");
    }
}

#[test]
fn json_as_deep_as_the_parser_goes_fits_the_stack() {
    let server = TestServer::start().unwrap();
    let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
    let body = ask("hi").replacen('{', &format!("{{\"x\": {deep}, "), 1);
    assert_eq!(agent().post(server.chat_url()).send(body).unwrap().status(), 200);
}

#[test]
fn bodies_come_by_length_or_in_chunks_and_are_logged_whole() {
    let server = TestServer::start().unwrap();
    let mut raw = Raw::to(&server);
    let body = ask("x y");
    raw.post(&body);
    assert!(raw.answer().body.contains("You said: x y"));

    let (one, two) = body.split_at(7);
    raw.send("POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n");
    raw.send(format!("7;ext=1\r\n{one}\r\n{:X}\r\n", two.len()));
    raw.send(format!("{two}\r\n0\r\ntrailer: t\r\n\r\n"));
    assert!(raw.answer().body.contains("You said: x y"));

    let seen = server.requests();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|it| it.body() == body.as_bytes()));
    assert_eq!(seen[1].json().unwrap()["model"], "m");
}

#[test]
fn large_bodies_pass_and_too_large_ones_are_refused() {
    let server = TestServer::builder().max_body(300_000).start().unwrap();
    let agent = agent();
    let send = |body: String| agent.post(server.chat_url()).send(body).unwrap().status().as_u16();
    assert_eq!(send(ask(&"a".repeat(290_000))), 200);
    let chunked = || ureq::SendBody::from_owned_reader(std::io::repeat(b'a').take(400_000));
    let answer = agent.post(server.chat_url()).send(chunked()).unwrap();
    assert_eq!(answer.status().as_u16(), 413);
    assert_eq!(send("a".repeat(400_000)), 413);
    assert_eq!(server.stats().requests, 1);
}

#[test]
fn a_client_that_expects_100_continue_gets_it_before_its_body_or_a_refusal() {
    let server = TestServer::builder().max_body(1000).start().unwrap();
    let head = |length: usize| {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nexpect: 100-continue\r\n\
             content-length: {length}\r\n\r\n"
        )
    };
    let body = ask("hi");
    let mut raw = Raw::to(&server);
    raw.send(head(body.len()));
    assert_eq!(raw.head().unwrap(), "HTTP/1.1 100 Continue\r\n\r\n");
    raw.send(&body);
    assert!(raw.answer().head.starts_with("HTTP/1.1 200"));
    raw.send(head(1001));
    assert!(raw.answer().head.starts_with("HTTP/1.1 413"));
}

#[test]
fn what_is_not_http_is_refused_and_not_counted() {
    let server = TestServer::start().unwrap();
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(80_000));
    for (bytes, status) in [
        ("\x16\x03\x01\0\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\ncontent-length: +1\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "400"),
        ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\naXX\r\n", "400"),
        (&long, "431"),
    ] {
        let mut raw = Raw::to(&server);
        raw.send(bytes);
        let answer = raw.answer();
        assert!(answer.head.starts_with(&format!("HTTP/1.1 {status} ")), "{}", answer.head);
        assert!(answer.body.starts_with("{\"error\":"));
        assert_eq!(raw.rest(), (String::new(), None), "{bytes}");
    }
    assert_eq!(server.stats().requests, 0);
}

#[test]
fn a_stream_comes_as_events_each_sent_by_itself() {
    let server = TestServer::builder().pause(Duration::from_millis(10)).start().unwrap();
    let mut answer = agent().post(server.chat_url()).send(ask_stream("a b")).unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let start = Instant::now();
    let mut lines = BufReader::new(answer.body_mut().as_reader()).lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    assert_eq!(server.stats().in_flight, 1, "the first piece comes before the last is sent");
    let rest: Vec<String> = lines.filter(|it| !it.is_empty()).collect();
    assert!(start.elapsed() >= Duration::from_millis(40), "{:?}", start.elapsed());
    assert_eq!(server.stats().in_flight, 0);

    assert_eq!(rest.last().unwrap(), "data: [DONE]");
    let chunks: Vec<Value> = std::iter::once(&first)
        .chain(&rest[..rest.len() - 1])
        .map(|it| serde_json::from_str(it.strip_prefix("data: ").unwrap()).unwrap())
        .collect();
    assert!(chunks.iter().all(|it| it["object"] == "chat.completion.chunk"));
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let text: String =
        chunks.iter().filter_map(|it| it["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, "You said: a b");
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "stop");
}

#[test]
fn a_stream_tells_its_usage_when_asked_and_needs_no_chunks_for_http_1_0() {
    let server = TestServer::start().unwrap();
    let body = json!({"model": "m", "stream": true, "stream_options": {"include_usage": true},
                      "messages": [{"role": "user", "content": "a b"}]})
    .to_string();
    let mut raw = Raw::to(&server);
    raw.send(format!(
        "POST /v1/chat/completions HTTP/1.0\r\nconnection: keep-alive\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    ));
    let (text, error) = raw.rest();
    let (head, events) = text.split_once("\r\n\r\n").unwrap();
    assert_eq!(error, None);
    assert_eq!(header(head, "connection"), Some("close"));
    assert!(!head.contains("transfer-encoding"));
    let events: Vec<&str> = events.split_terminator("\n\n").collect();
    let usage = events[events.len() - 2].strip_prefix("data: ").unwrap();
    let usage: Value = serde_json::from_str(usage).unwrap();
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["total_tokens"], 6);
    assert!(events[0].ends_with(",\"usage\":null}"));
}
