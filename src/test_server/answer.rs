//! What is answered: the status, the body and, for a stream, its pieces.

use std::io::Write;

use super::chat;
use super::read::{Method, Request};
use super::reply::Reply;

pub(super) const CHAT_PATH: &str = "/v1/chat/completions";
const MODELS_PATH: &str = "/v1/models";

/// An answer before it is sent. One per connection, its memory used again.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    /// The value of `Allow`.
    pub(super) allow: Option<&'static str>,
    pub(super) body: Vec<u8>,
    /// Where the pieces of a stream end in `body`; empty for an answer in one.
    pub(super) pieces: Vec<usize>,
}

impl Answer {
    pub(super) fn new() -> Self {
        Self { status: 200, content_type: JSON, allow: None, body: Vec::new(), pieces: Vec::new() }
    }

    /// Makes the answer to `request` that `reply` asks for.
    pub(super) fn compose(&mut self, request: &Request<'_>, reply: &Reply, number: u64) {
        self.clear();
        if let Some(body) = &reply.body {
            self.status = reply.status;
            self.body.extend_from_slice(&body.bytes);
            self.pieces.extend_from_slice(&body.ends);
            self.content_type = if body.in_pieces { EVENTS } else { JSON };
        } else if reply.status != 200 {
            match &reply.message {
                Some(message) => self.refuse(reply.status, message),
                None => {
                    let message = format!("the test server was told to answer {}", reply.status);
                    self.refuse(reply.status, &message);
                }
            }
        } else {
            self.route(request, reply, number);
        }
    }

    /// Makes an error object in OpenAI's shape the answer.
    pub(super) fn refuse(&mut self, status: u16, message: &str) {
        self.clear();
        self.status = status;
        let (kind, code) = match status {
            401 => ("authentication_error", "\"invalid_api_key\""),
            403 => ("permission_error", "null"),
            429 => ("rate_limit_error", "\"rate_limit_exceeded\""),
            500.. => ("server_error", "null"),
            _ => ("invalid_request_error", "null"),
        };
        self.text("{\"error\":{\"message\":");
        self.json(message);
        self.text(",\"type\":\"");
        self.text(kind);
        self.text("\",\"param\":null,\"code\":");
        self.text(code);
        self.text("}}");
    }

    /// Appends to the body.
    pub(super) fn text(&mut self, text: &str) {
        self.body.extend_from_slice(text.as_bytes());
    }

    /// Appends a number to the body.
    pub(super) fn number(&mut self, number: u64) {
        // Writing to a Vec does not fail.
        let _ = write!(self.body, "{number}");
    }

    /// Appends a string to the body, quoted and escaped.
    pub(super) fn json(&mut self, text: &str) {
        // Writing to a Vec does not fail.
        let _ = serde_json::to_writer(&mut self.body, text);
    }

    fn clear(&mut self) {
        self.status = 200;
        self.content_type = JSON;
        self.allow = None;
        self.body.clear();
        self.pieces.clear();
    }

    fn route(&mut self, request: &Request<'_>, reply: &Reply, number: u64) {
        match (request.path, request.method) {
            (CHAT_PATH, Method::Post) => {
                if let Err(message) = chat::complete(request.body, reply, number, self) {
                    self.refuse(400, &message);
                }
            }
            (CHAT_PATH, _) => self.refuse_method("POST"),
            (MODELS_PATH, Method::Get | Method::Head) => self.text(MODELS),
            (MODELS_PATH, _) => self.refuse_method("GET, HEAD"),
            (path, _) => self.refuse(404, &format!("there is nothing at {path}")),
        }
    }

    fn refuse_method(&mut self, allow: &'static str) {
        self.refuse(405, &format!("the method is not allowed here; use {allow}"));
        self.allow = Some(allow);
    }
}

const JSON: &str = "application/json";
pub(super) const EVENTS: &str = "text/event-stream";

const MODELS: &str = "{\"object\":\"list\",\"data\":[{\"id\":\"test-model\",\"object\":\"model\",\
                      \"created\":1700000000,\"owned_by\":\"llm-pool\"}]}";
