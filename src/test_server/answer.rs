//! What is answered: the status, the body and, for a stream, its pieces.

use std::io::Write;

use super::openai::{self, Rules};
use super::refusal::Refusal;
use super::reply::Reply;
use crate::http1::Request;

/// An answer before it is sent. One per connection, its memory used again.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    /// Beside those that every answer has.
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    /// Where the pieces of a stream end in `body`; empty for an answer in one.
    pub(super) pieces: Vec<usize>,
}

impl Answer {
    pub(super) fn new() -> Self {
        Self {
            status: 200,
            content_type: JSON,
            headers: Vec::new(),
            body: Vec::new(),
            pieces: Vec::new(),
        }
    }

    /// Makes the answer to `request` that `reply` asks for.
    pub(super) fn compose(
        &mut self,
        request: &Request<'_>,
        reply: &Reply,
        number: u64,
        rules: &Rules,
    ) {
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
        } else if let Err(refusal) = openai::answer(request, reply, number, rules, self) {
            self.refuse_with(&refusal);
        }
        if let Some(message) = &reply.error_mid_stream {
            self.break_off(message);
        }
    }

    /// Makes an error object in OpenAI's shape the answer.
    pub(super) fn refuse(&mut self, status: u16, message: &str) {
        self.refuse_with(&Refusal::of_status(status, message));
    }

    /// The same with all that can be told.
    pub(super) fn refuse_with(&mut self, refusal: &Refusal) {
        self.clear();
        self.status = refusal.status;
        self.error(refusal);
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

    /// Appends a number to the body in 16 hexadecimal digits.
    pub(super) fn hex(&mut self, number: i64) {
        // Writing to a Vec does not fail.
        let _ = write!(self.body, "{number:016x}");
    }

    /// Appends an array of numbers to the body.
    pub(super) fn numbers(&mut self, numbers: &[f32]) {
        // Writing to a Vec does not fail.
        let _ = serde_json::to_writer(&mut self.body, numbers);
    }

    /// Appends a string to the body, quoted and escaped.
    pub(super) fn json(&mut self, text: &str) {
        // Writing to a Vec does not fail.
        let _ = serde_json::to_writer(&mut self.body, text);
    }

    /// The same; none is `null`.
    pub(super) fn json_or_null(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.json(text),
            None => self.text("null"),
        }
    }

    /// Ends a piece of a stream here.
    pub(super) fn end_piece(&mut self) {
        self.pieces.push(self.body.len());
    }

    fn error(&mut self, refusal: &Refusal) {
        self.text("{\"error\":{\"message\":");
        self.json(&refusal.message);
        self.text(",\"type\":\"");
        self.text(refusal.kind);
        self.text("\",\"param\":");
        self.json_or_null(refusal.param.as_deref());
        self.text(",\"code\":");
        self.json_or_null(refusal.code);
        self.text("}}");
    }

    /// Puts an error in the place of a stream's second half.
    fn break_off(&mut self, message: &str) {
        if self.pieces.is_empty() {
            return;
        }
        self.pieces.truncate(self.pieces.len() / 2);
        self.body.truncate(self.pieces.last().copied().unwrap_or(0));
        self.text("data: ");
        self.error(&Refusal::of_status(500, message));
        self.text("\n\n");
        self.end_piece();
    }

    fn clear(&mut self) {
        self.status = 200;
        self.content_type = JSON;
        self.headers.clear();
        self.body.clear();
        self.pieces.clear();
    }
}

const JSON: &str = "application/json";
pub(super) const EVENTS: &str = "text/event-stream";
