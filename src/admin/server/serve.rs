//! One connection's thread: reads a request, has it answered, and again.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use ureq::http::{self, HeaderName, HeaderValue, Uri};

use super::line::Line;
use super::open::{Open, Phase};
use crate::admin::Admin;
use crate::admin::answer::{self, Answer};
use crate::http1::{Bounds, Method, ReadError, Reader, Request};

/// Serves a connection until either side closes it.
pub(super) fn run(admin: &Admin, open: &Open, id: u64, socket: Arc<TcpStream>) {
    let config = &admin.config;
    let bounds = Bounds { head: config.max_head, body: config.max_body };
    let mut line = Line::new(socket);
    let mut reader = Reader::new();
    let mut first = true;
    loop {
        // The first request is to come at once; another one may.
        line.allow(if first { config.request_timeout } else { config.idle_timeout });
        if !reader.has_more() && !line.wait_for_more() {
            return;
        }
        if !first {
            if !open.enter(id, Phase::Reading) {
                return;
            }
            line.allow(config.request_timeout);
        }
        first = false;
        let read = reader.next(&mut line, bounds);
        if !open.enter(id, Phase::Handling) {
            return;
        }
        let (answer, wants_body, keep_alive) = match read {
            Ok(request) => {
                let answer = handle(admin, &request);
                (answer, request.method != Method::Head, request.keep_alive)
            }
            Err(ReadError::Bad(status, why)) => (answer::refused(status, why), true, false),
            Err(ReadError::Gone) if line.is_overdue() => {
                (answer::refused(408, "the request took too long to come"), true, false)
            }
            Err(ReadError::Gone) => return,
        };
        let keep_alive = keep_alive && !open.is_stopping();
        if !open.enter(id, Phase::Writing) {
            return;
        }
        line.allow(config.request_timeout);
        if send(&answer, wants_body, keep_alive, &mut line).is_err() {
            return;
        }
        if !keep_alive {
            return line.close_in_order();
        }
        if !open.enter(id, Phase::Idle) {
            return;
        }
    }
}

/// Tells a client that there is no room for it. On the accepting thread, so without waiting.
pub(super) fn refuse(admin: &Admin, socket: Arc<TcpStream>) {
    let most = admin.config.max_connections;
    let answer = answer::refused(503, format_args!("all {most} connections are in use"));
    let mut line = Line::new(socket);
    line.allow(Duration::from_millis(10));
    let _ = send(&answer, true, false, &mut line);
}

fn handle(admin: &Admin, request: &Request<'_>) -> Answer {
    let Some(request) = translated(request) else {
        return answer::refused(400, "the request's head is not HTTP/1");
    };
    admin.handle(&request)
}

/// The request in the words of the `http` crate.
fn translated(request: &Request<'_>) -> Option<http::Request<Vec<u8>>> {
    let mut lines = request.head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let mut words = lines.next()?.split(|&byte| byte == b' ');
    let mut translated = http::Request::new(request.body.to_vec());
    *translated.method_mut() = http::Method::from_bytes(words.next()?).ok()?;
    *translated.uri_mut() = Uri::try_from(words.next()?).ok()?;
    for line in lines.filter(|line| !line.is_empty()) {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (name, value) = line.split_at_checked(colon)?;
        let name = HeaderName::from_bytes(name).ok()?;
        let value = HeaderValue::from_bytes(value.get(1..)?.trim_ascii()).ok()?;
        translated.headers_mut().try_append(name, value).ok()?;
    }
    Some(translated)
}

fn send(answer: &Answer, with_body: bool, keep_alive: bool, to: &mut Line) -> io::Result<()> {
    let (status, body) = (answer.status(), answer.body());
    let reason = status.canonical_reason().unwrap_or("Status");
    let mut out = Vec::with_capacity(body.len().saturating_add(1024));
    write!(out, "HTTP/1.1 {} {reason}\r\n", status.as_str())?;
    for (name, value) in answer.headers() {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    let date = Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT");
    let connection = if keep_alive { "keep-alive" } else { "close" };
    write!(
        out,
        "date: {date}\r\nconnection: {connection}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )?;
    if with_body {
        out.extend_from_slice(body);
    }
    to.write_all(&out)
}
