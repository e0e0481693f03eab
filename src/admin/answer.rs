//! Answers: JSON in one envelope, and the headers that all of them have.

use std::fmt;

use serde::Serialize;
use ureq::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use ureq::http::{HeaderName, HeaderValue, Response, StatusCode};

use crate::key_error::OneLine;

pub(super) type Answer = Response<Vec<u8>>;

pub(super) const JSON: &str = "application/json";

/// What every answer with data is.
#[derive(Serialize)]
struct Envelope<T> {
    success: bool,
    data: T,
    message: String,
}

/// What every refusal is.
#[derive(Serialize)]
struct Refused {
    success: bool,
    message: String,
}

/// A 200 with data.
pub(super) fn told(data: impl Serialize, message: impl fmt::Display) -> Answer {
    told_as(200, data, message)
}

/// The same with another status; not a success from 400 on.
pub(super) fn told_as(status: u16, data: impl Serialize, message: impl fmt::Display) -> Answer {
    let envelope = Envelope { success: status < 400, data, message: message.to_string() };
    match serde_json::to_vec(&envelope) {
        Ok(body) => text(status, JSON, body),
        Err(error) => refused(500, format_args!("the answer cannot be written: {error}")),
    }
}

/// A refusal.
pub(super) fn refused(status: u16, message: impl fmt::Display) -> Answer {
    let message = OneLine(&message.to_string()).to_string();
    let body = serde_json::to_vec(&Refused { success: false, message }).unwrap_or_default();
    text(status, JSON, body)
}

/// A refusal of a method, with those there are.
pub(super) fn wrong_method(allowed: &'static str) -> Answer {
    let message = format_args!("this path takes {allowed}");
    with(refused(405, message), ALLOW, allowed)
}

/// A refusal for want of a token.
pub(super) fn unauthorized(message: &str) -> Answer {
    with(refused(401, message), WWW_AUTHENTICATE, "Bearer")
}

/// Any text. Nothing may run in it, frame it, keep it or take it for something else.
pub(super) fn text(status: u16, content_type: &'static str, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    for (name, value) in [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
    ] {
        answer = with(answer, name, value);
    }
    answer
}

fn with(mut answer: Answer, name: HeaderName, value: &'static str) -> Answer {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}
