//! What the embedded server promises to the tests that use it.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::test_server::{Fault, Reply, SeenRequest, ServerStats, TestServer};
use serde_json::{Value, json};

/// Long enough for a loaded machine; nothing that works waits this long.
const SOON: Duration = Duration::from_secs(5);

/// An agent that gives answers of every status back with their bodies.
fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(SOON))
        .build()
        .into()
}

fn ask(text: &str) -> String {
    json!({"model": "m", "messages": [{"role": "user", "content": text}]}).to_string()
}

fn ask_stream(text: &str) -> String {
    json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": text}]})
        .to_string()
}

/// A chat over `agent`: status, body.
fn chat(agent: &ureq::Agent, server: &TestServer) -> Result<(u16, Value), ureq::Error> {
    let mut answer = agent.post(server.chat_url()).send(ask("hi"))?;
    let text = answer.body_mut().read_to_string()?;
    Ok((answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null)))
}

/// A connection without a client library.
struct Raw(BufReader<TcpStream>);

/// A raw answer: its status line and headers as sent, and its body.
struct RawAnswer {
    head: String,
    body: String,
}

impl Raw {
    fn to(server: &TestServer) -> Self {
        let stream = TcpStream::connect(server.addr()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Self(BufReader::new(stream))
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    fn post(&mut self, body: &str) {
        let length = body.len();
        self.send(format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}"
        ));
    }

    fn get(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"));
    }

    fn head(&mut self) -> std::io::Result<String> {
        let mut head = String::new();
        loop {
            let before = head.len();
            if self.0.read_line(&mut head)? == 0 || &head[before..] == "\r\n" {
                return Ok(head);
            }
        }
    }

    /// Reads a whole answer with a content-length.
    fn answer(&mut self) -> RawAnswer {
        let head = self.head().unwrap();
        let length = header(&head, "content-length").map_or(0, |it| it.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        RawAnswer { head, body: String::from_utf8(body).unwrap() }
    }

    /// All that comes before the server closes, and how it closes.
    fn rest(&mut self) -> (String, Option<ErrorKind>) {
        let mut bytes = Vec::new();
        let error = self.0.read_to_end(&mut bytes).err().map(|it| it.kind());
        (String::from_utf8(bytes).unwrap(), error)
    }

    /// Whether the server has said nothing more for a moment.
    fn is_silent(&mut self) -> bool {
        let stream = self.0.get_mut();
        stream.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
        let silent = matches!(stream.read(&mut [0]), Err(error) if timed_out(&error));
        stream.set_read_timeout(Some(SOON)).unwrap();
        silent
    }
}

fn timed_out(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

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
        assert!(error["param"].is_null() && error["code"].is_null());
    }
}

#[test]
fn json_as_deep_as_the_parser_goes_fits_the_stack() {
    let server = TestServer::start().unwrap();
    let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
    let body = format!("{{\"model\": \"m\", \"messages\": [], \"x\": {deep}}}");
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
fn pipelined_requests_are_answered_in_order() {
    let server = TestServer::start().unwrap();
    let mut raw = Raw::to(&server);
    let one = "GET /a HTTP/1.1\r\nhost: x\r\n\r\n";
    raw.send(format!("{one}{}{}", one.replace("/a", "/b"), one.replace("/a", "/c")));
    for path in ["/a", "/b", "/c"] {
        assert!(raw.answer().body.contains(&format!("nothing at {path}\"")));
    }
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
fn connections_stay_open_unless_the_client_says_otherwise() {
    let server = TestServer::start().unwrap();
    for (version, option, stays) in [
        ("1.1", "x: y", true),
        ("1.1", "connection: close", false),
        ("1.0", "x: y", false),
        ("1.0", "connection: Keep-Alive", true),
    ] {
        let mut raw = Raw::to(&server);
        raw.send(format!("GET /v1/models HTTP/{version}\r\n{option}\r\n\r\n"));
        let answer = raw.answer();
        if stays {
            raw.get("/v1/models");
            assert!(raw.answer().head.starts_with("HTTP/1.1 200"), "{version} {option}");
        } else {
            assert_eq!(header(&answer.head, "connection"), Some("close"));
            assert_eq!(raw.rest(), (String::new(), None), "{version} {option}");
        }
    }
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

#[test]
fn a_delay_holds_the_answer_back_and_can_be_changed_while_running() {
    let server = TestServer::builder().delay(Duration::from_millis(60)).start().unwrap();
    let agent = agent();
    let time = || {
        let start = Instant::now();
        chat(&agent, &server).unwrap();
        start.elapsed()
    };
    assert!(time() >= Duration::from_millis(60));
    server.set_delay(Duration::ZERO);
    assert!(time() < Duration::from_millis(60));
    server.plan(Reply::ok().delay(Duration::from_millis(60)));
    assert!(time() >= Duration::from_millis(60));
}

#[test]
fn a_status_is_forced_for_the_next_requests_and_then_no_more() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::status(429).retry_after(Duration::from_millis(1500)).times(2));
    server.plan(Reply::status(418).message("I am a \"teapot\"").header("retry-after", "0.05"));
    server.plan(Reply::status(500).times(0));
    assert_eq!(server.stats().planned, 3);
    let agent = agent();
    for (status, after) in [(429, "2"), (429, "2"), (418, "0.05")] {
        let mut answer = agent.post(server.chat_url()).send(ask("hi")).unwrap();
        assert_eq!(answer.status().as_u16(), status);
        assert_eq!(answer.headers()["retry-after"], after);
        let text = answer.body_mut().read_to_string().unwrap();
        let error = &serde_json::from_str::<Value>(&text).unwrap()["error"];
        if status == 429 {
            assert_eq!(error["code"], "rate_limit_exceeded");
        } else {
            assert_eq!(error["message"], "I am a \"teapot\"");
        }
    }
    assert_eq!(chat(&agent, &server).unwrap().0, 200);
    assert_eq!(server.stats().connections, 1, "a refusal does not cost the connection");
}

#[test]
fn replies_are_set_for_all_requests_and_a_plan_goes_before_them() {
    let server = TestServer::builder().reply(Reply::ok().content("same")).start().unwrap();
    let agent = agent();
    let said = || chat(&agent, &server).unwrap().1["choices"][0]["message"]["content"].clone();
    assert_eq!(said(), "same");
    server.plan(Reply::ok().content("planned"));
    assert_eq!((said(), said()), (json!("planned"), json!("same")));
    server.plan(Reply::status(500).times(9));
    server.clear_plan();
    server.set_reply(Reply::ok().body("{\"own\": 1}"));
    assert_eq!(chat(&agent, &server).unwrap(), (200, json!({"own": 1})));
    server.set_reply(Reply::status(204));
    assert_eq!(chat(&agent, &server).unwrap().0, 204);
    assert_eq!(chat(&agent, &server).unwrap().0, 204);
    assert_eq!(server.stats().connections, 1);
}

/// Sends a chat on a connection of its own, planned to fail, and gives back what came of it.
fn faulty(server: &TestServer, fault: Fault, body: &str) -> (String, Option<ErrorKind>) {
    server.plan(Reply::fault(fault));
    let mut raw = Raw::to(server);
    raw.post(body);
    raw.rest()
}

/// The head, the length it tells and the body of an answer.
fn parts(text: &str) -> (&str, usize, &str) {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head, header(head, "content-length").unwrap().parse().unwrap(), body)
}

#[test]
fn closing_before_the_answer_leaves_nothing_and_no_reset() {
    let server = TestServer::start().unwrap();
    assert_eq!(faulty(&server, Fault::CloseBeforeAnswer, &ask("hi")), (String::new(), None));
    assert_eq!(server.stats().in_flight, 0);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn closing_during_the_answer_leaves_half_the_body_or_half_the_stream() {
    let server = TestServer::start().unwrap();
    let (text, error) = faulty(&server, Fault::CloseDuringAnswer, &ask("hi"));
    let (_, told, body) = parts(&text);
    assert_eq!((body.len(), error), (told / 2, None));

    let (text, error) = faulty(&server, Fault::CloseDuringAnswer, &ask_stream("a b"));
    assert_eq!((text.matches("data: ").count(), error), (3, None));
    assert!(!text.contains("[DONE]"));
    let client = agent();
    server.plan(Reply::fault(Fault::CloseDuringAnswer));
    assert!(chat(&client, &server).is_err());
}

#[test]
fn closing_after_the_answer_says_keep_alive_all_the_same() {
    let server = TestServer::start().unwrap();
    let (text, error) = faulty(&server, Fault::CloseAfterAnswer, &ask("hi"));
    let (head, told, body) = parts(&text);
    assert_eq!((body.len(), error), (told, None));
    assert_eq!(header(head, "connection"), Some("keep-alive"));
    let (text, error) = faulty(&server, Fault::CloseAfterAnswer, &ask_stream("a b"));
    assert!(text.ends_with("0\r\n\r\n") && error.is_none());
}

#[test]
fn a_wrong_length_is_too_long_and_closes_or_too_short_and_goes_on() {
    let server = TestServer::start().unwrap();
    for body in [ask("hi"), ask_stream("hi")] {
        let (text, error) = faulty(&server, Fault::LengthTooLong, &body);
        let (_, told, body) = parts(&text);
        assert_eq!((body.len() + 16, error), (told, None));
    }
    server.plan(Reply::fault(Fault::LengthTooShort));
    let mut raw = Raw::to(&server);
    raw.post(&ask("hi"));
    let half = raw.answer();
    let mut rest = vec![0; half.body.len()];
    raw.0.read_exact(&mut rest).unwrap();
    raw.send("GET /v1/models HTTP/1.1\r\nconnection: close\r\n\r\n");
    assert!(raw.rest().0.contains("HTTP/1.1 200 OK"));
}

#[test]
fn a_garbage_status_line_is_no_http() {
    let server = TestServer::start().unwrap();
    let (text, error) = faulty(&server, Fault::GarbageStatusLine, &ask("hi"));
    assert_eq!((text.as_str(), error), ("this is not HTTP\r\n\r\n", None));
    server.plan(Reply::fault(Fault::GarbageStatusLine));
    assert!(chat(&agent(), &server).is_err());
}

#[test]
#[cfg(target_os = "linux")]
fn a_reset_resets_before_or_during_the_answer() {
    let server = TestServer::start().unwrap();
    let reset = Some(ErrorKind::ConnectionReset);
    assert_eq!(faulty(&server, Fault::Reset, &ask("hi")), (String::new(), reset));
    let (text, error) = faulty(&server, Fault::ResetDuringAnswer, &ask("hi"));
    let (_, told, body) = parts(&text);
    assert_eq!((body.len(), error), (told / 2, reset));
    assert_eq!(server.requests().len(), 2, "the requests were read all the same");
}

#[test]
#[cfg(target_os = "linux")]
fn a_reset_hits_a_connection_that_was_idle_when_it_was_planned_and_no_other() {
    let server = TestServer::start().unwrap();
    let (mut one, mut two) = (Raw::to(&server), Raw::to(&server));
    for raw in [&mut one, &mut two] {
        raw.get("/v1/models");
        raw.answer();
    }
    // Two at once, so that the other connection holds a byte of its own meanwhile.
    server.plan(Reply::ok());
    server.plan(Reply::fault(Fault::Reset));
    one.send("GET /v1/models HTTP/1.1\r\nconnection: close\r\n\r\n");
    let (text, error) = one.rest();
    assert!(text.starts_with("HTTP/1.1 200") && error.is_none(), "{error:?}");
    two.get("/v1/models");
    assert_eq!(two.rest(), (String::new(), Some(ErrorKind::ConnectionReset)));
}

#[test]
fn a_stall_lasts_until_the_client_goes_away() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::fault(Fault::Stall));
    let mut raw = Raw::to(&server);
    raw.post(&ask("hi"));
    server.wait_until(SOON, |stats| stats.in_flight == 1).unwrap();
    assert!(raw.is_silent());
    drop(raw);
    server.wait_until(SOON, |stats| stats.in_flight == 0 && stats.open == 0).unwrap();
}

#[test]
fn a_stall_during_the_answer_sends_half_and_then_nothing() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::fault(Fault::StallDuringAnswer));
    let mut raw = Raw::to(&server);
    raw.post(&ask("hi"));
    let head = raw.head().unwrap();
    let told: usize = header(&head, "content-length").unwrap().parse().unwrap();
    raw.0.read_exact(&mut vec![0; told / 2]).unwrap();
    assert!(raw.is_silent());
    assert_eq!(server.stats().in_flight, 1);
}

#[test]
fn counters_tell_reuse() {
    let server = TestServer::start().unwrap();
    let agent = agent();
    for _ in 0..5 {
        chat(&agent, &server).unwrap();
    }
    let stats = server.stats();
    assert_eq!((stats.connections, stats.open), (1, 1));
    assert_eq!((stats.requests, stats.in_flight, stats.max_in_flight), (5, 0, 1));
    let connections: Vec<u64> = server.requests().iter().map(SeenRequest::connection).collect();
    assert_eq!(connections, [1; 5]);
    drop(agent);
    server.wait_until(SOON, |stats| stats.open == 0).unwrap();
}

#[test]
fn the_highest_number_in_flight_is_kept() {
    let server = TestServer::start().unwrap();
    server.set_reply(Reply::fault(Fault::Stall));
    let mut raws: Vec<Raw> = (0..4).map(|_| Raw::to(&server)).collect();
    raws.iter_mut().for_each(|raw| raw.get("/v1/models"));
    server.wait_until(SOON, |stats| stats.in_flight == 4).unwrap();
    raws.clear();
    let stats = server.wait_until(SOON, |stats| stats.in_flight == 0).unwrap();
    assert_eq!(stats.max_in_flight, 4);
}

#[test]
fn waiting_for_counters_in_vain_gives_the_counters_as_they_are() {
    let server = TestServer::start().unwrap();
    let wait = server.wait_until(Duration::from_millis(20), |stats| stats.requests > 0);
    assert_eq!(wait, Err(ServerStats::default()));
}

#[test]
fn requests_are_seen_in_order_with_their_headers() {
    let server = TestServer::builder().remember(2).start().unwrap();
    let agent = agent();
    for path in ["/a", "/b", "/c?key=sk-in-query"] {
        let mut answer = agent
            .get(format!("{}{path}", server.url()))
            .header("authorization", "Bearer sk-secret")
            .header("X-Other", "shown")
            .call()
            .unwrap();
        answer.body_mut().read_to_string().unwrap();
        assert_eq!(answer.headers()["x-connection-number"], "1");
        let number = server.stats().requests.to_string();
        assert_eq!(answer.headers()["x-request-number"], number.as_str());
    }
    let seen = server.requests();
    assert_eq!(seen.iter().map(SeenRequest::number).collect::<Vec<_>>(), [2, 3]);
    let last = &seen[1];
    assert_eq!((last.method(), last.path()), ("GET", "/c?key=sk-in-query"));
    assert_eq!(last.header("Authorization"), Some("Bearer sk-secret"));
    assert_eq!(last.header("x-other"), Some("shown"));
    assert_eq!(last.header("absent"), None);
    assert!(last.headers().any(|(name, _)| name == "host"));
    let shown = format!("{last:?}");
    assert!(shown.contains("shown") && shown.contains("[redacted]"), "{shown}");
    assert!(!shown.contains("sk-"), "{shown}");
    server.forget_requests();
    assert!(server.requests().is_empty());
}

#[test]
fn six_hundred_connections_are_carried_at_once_and_end_with_the_server() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::fault(Fault::Stall).times(200));
    server.plan(Reply::ok().delay(Duration::from_secs(60)).times(200));
    let mut raws: Vec<Raw> = (0..600).map(|_| Raw::to(&server)).collect();
    for raw in &mut raws[..400] {
        raw.get("/v1/models");
    }
    // The last 200 are idle.
    server.wait_until(SOON, |stats| stats.open == 600 && stats.in_flight == 400).unwrap();
    let start = Instant::now();
    drop(server);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    for raw in &mut raws {
        assert_eq!(raw.rest().0, "");
    }
}

#[test]
fn a_burst_of_connections_is_not_dropped() {
    let server = TestServer::start().unwrap();
    let gate = Arc::new(std::sync::Barrier::new(10));
    let threads: Vec<_> = (0..10)
        .map(|_| {
            let (gate, addr) = (gate.clone(), server.addr());
            thread::spawn(move || {
                gate.wait();
                // A dropped SYN would be sent again only after a second.
                (0..50)
                    .map(|_| TcpStream::connect_timeout(&addr, Duration::from_millis(900)).unwrap())
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let _open: Vec<_> = threads.into_iter().map(|it| it.join().unwrap()).collect();
    server.wait_until(SOON, |stats| stats.open == 500).unwrap();
}

#[test]
fn a_server_ends_at_once_while_it_writes_to_a_client_that_does_not_read() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::ok().body(vec![b'x'; 32 << 20]));
    let mut raw = Raw::to(&server);
    raw.get("/v1/models");
    raw.head().unwrap();
    let start = Instant::now();
    drop(server);
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
}

#[test]
fn all_connections_can_be_closed_and_new_ones_are_accepted() {
    let server = TestServer::start().unwrap();
    let mut raw = Raw::to(&server);
    raw.get("/v1/models");
    raw.answer();
    server.disconnect_all();
    assert_eq!(raw.rest(), (String::new(), None));
    server.wait_until(SOON, |stats| stats.open == 0).unwrap();
    assert_eq!(chat(&agent(), &server).unwrap().0, 200);
}

/// A server behind TLS and the client's settings that trust it.
fn tls_server() -> (TestServer, Arc<rustls::ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let server = TestServer::builder()
        .scheme("https")
        .host("localhost")
        .wrap(move |mut socket| {
            let mut tls =
                rustls::ServerConnection::new(config.clone()).map_err(std::io::Error::other)?;
            while tls.is_handshaking() {
                tls.complete_io(&mut socket)?;
            }
            Ok(Box::new(rustls::StreamOwned::new(tls, socket)))
        })
        .start()
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (server, Arc::new(client))
}

#[test]
fn a_wrapper_puts_tls_around_each_connection_and_faults_work_beneath_it() {
    let (server, config) = tls_server();
    assert_eq!(server.url(), format!("https://localhost:{}", server.addr().port()));
    let connect = || {
        let name = "localhost".try_into().unwrap();
        let tls = rustls::ClientConnection::new(config.clone(), name).unwrap();
        let tcp = TcpStream::connect(server.addr()).unwrap();
        tcp.set_read_timeout(Some(SOON)).unwrap();
        rustls::StreamOwned::new(tls, tcp)
    };
    let mut client = connect();
    for _ in 0..2 {
        client.write_all(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut text = String::new();
        while !text.ends_with("]}") {
            let mut bytes = [0; 1024];
            let count = client.read(&mut bytes).unwrap();
            text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"));
    }
    assert_eq!(server.stats().connections, 1);

    if cfg!(target_os = "linux") {
        server.plan(Reply::fault(Fault::Reset));
        client.write_all(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let error = client.read(&mut [0; 64]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn a_connection_whose_wrapper_fails_or_panics_is_closed_and_the_server_lives() {
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let server = TestServer::builder()
        .wrap(move |socket| match calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Err(std::io::Error::other("no")),
            1 => panic!("a panic that this test wants"),
            _ => Ok(Box::new(socket)),
        })
        .start()
        .unwrap();
    for _ in 0..2 {
        assert_eq!(Raw::to(&server).rest(), (String::new(), None));
    }
    server.wait_until(SOON, |stats| stats.open == 0).unwrap();
    assert_eq!(chat(&agent(), &server).unwrap().0, 200);
}

#[test]
fn a_server_ends_at_once_while_a_handshake_hangs() {
    let (server, _) = tls_server();
    let _silent = TcpStream::connect(server.addr()).unwrap();
    server.wait_until(SOON, |stats| stats.open == 1).unwrap();
    let start = Instant::now();
    drop(server);
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
}
