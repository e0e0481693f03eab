//! What the embedded server promises to the tests that use it.

mod access;
mod answers;
mod chats;
mod connections;
mod counters;
mod embeddings;
mod faults;
mod replay;
mod said;
mod streams;
mod tools;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
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

/// Posts `body` to `path`: status, body.
fn post(server: &TestServer, path: &str, body: &Value) -> (u16, Value) {
    let url = format!("{}{path}", server.url());
    let mut answer = agent().post(url).send(body.to_string()).unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    (answer.status().as_u16(), serde_json::from_str(&text).unwrap())
}

/// A chat request with more to it: what is in `more` is added or replaced.
fn ask_with(text: &str, more: Value) -> Value {
    let mut body: Value = serde_json::from_str(&ask(text)).unwrap();
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// The answer to a chat request that is answered.
fn answered(server: &TestServer, body: &Value) -> Value {
    let (status, answer) = post(server, "/v1/chat/completions", body);
    assert_eq!(status, 200, "{answer}");
    answer
}

/// The error for a chat request that is refused, which is a 400.
fn refused(server: &TestServer, body: &Value) -> Value {
    let (status, answer) = post(server, "/v1/chat/completions", body);
    assert_eq!(status, 400, "{body} -> {answer}");
    let error = answer["error"].clone();
    assert!(error["message"].is_string(), "{error}");
    assert_eq!(error["type"], "invalid_request_error");
    error
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
        Self::connect(server.addr())
    }

    fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
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
