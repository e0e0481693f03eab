//! Sends an answer, properly or with its fault.

use std::io::{self, Write};

use super::answer::Answer;
use super::reply::Fault;
use super::socket::Connection;
use super::state::{InFlight, Order, Shared};
use crate::http1::{Method, Request};

/// A connection's outgoing side: the bytes of the next write.
pub(super) struct Sender<'a> {
    shared: &'a Shared,
    connection: u64,
    out: Vec<u8>,
}

/// What is to become of the connection.
pub(super) enum After {
    GoOn,
    Close,
    Reset,
    Stall,
}

impl<'a> Sender<'a> {
    pub(super) fn new(shared: &'a Shared, connection: u64) -> Self {
        Self { shared, connection, out: Vec::new() }
    }

    /// Sends a refusal of what could not be read, and says that the connection closes.
    pub(super) fn refuse(&mut self, answer: &Answer, to: &mut dyn Connection) -> io::Result<()> {
        self.out.clear();
        self.status_line(answer.status);
        self.header("content-type", answer.content_type);
        self.number_header("content-length", answer.body.len() as u64);
        self.header("connection", "close");
        self.text("\r\n");
        self.out.extend_from_slice(&answer.body);
        self.flush(to)
    }

    /// Sends `answer` as `order` has it. Ends the flight before the last byte.
    pub(super) fn send(
        &mut self,
        answer: &Answer,
        request: &Request<'_>,
        order: &Order,
        to: &mut dyn Connection,
        flight: &mut InFlight<'_>,
    ) -> io::Result<After> {
        self.out.clear();
        let fault = order.reply.fault;
        match fault {
            Some(Fault::CloseBeforeAnswer) => return Ok(After::Close),
            Some(Fault::Reset) => return Ok(After::Reset),
            Some(Fault::Stall) => return Ok(After::Stall),
            Some(Fault::GarbageStatusLine) => {
                self.text("this is not HTTP\r\n\r\n");
                flight.end();
                self.flush(to)?;
                return Ok(After::Close);
            }
            _ => {}
        }

        let bodiless = matches!(answer.status, 100..200 | 204 | 304);
        let body = if bodiless || request.method == Method::Head { &[] } else { &answer.body[..] };
        let pieces = match fault {
            // A wrong length needs a length to be said, even for a stream.
            Some(Fault::LengthTooLong | Fault::LengthTooShort) => &[],
            _ => &answer.pieces[..],
        };
        let framing = match (bodiless, pieces.is_empty(), request.old) {
            (true, ..) => Framing::None,
            (_, true, _) => Framing::Length(told_length(answer.body.len(), fault)),
            (_, _, false) => Framing::Chunks,
            (_, _, true) => Framing::UntilClose,
        };
        let keep_alive = request.keep_alive && framing != Framing::UntilClose;
        self.head(answer, order, framing, keep_alive, request.old);
        match fault {
            Some(Fault::StallDuringHead) => {
                self.out.truncate(self.out.len() / 2);
                self.flush(to)?;
                return Ok(After::Stall);
            }
            Some(Fault::Drip) => {
                self.whole(body, pieces, framing);
                let more = self.drip(order, to, flight)?;
                return Ok(if more && keep_alive { After::GoOn } else { After::Close });
            }
            _ => {}
        }

        let cut = fault.and_then(|fault| match fault {
            Fault::CloseDuringAnswer => Some(After::Close),
            Fault::ResetDuringAnswer => Some(After::Reset),
            Fault::StallDuringAnswer => Some(After::Stall),
            _ => None,
        });
        if pieces.is_empty() || body.is_empty() {
            let sent = if cut.is_some() { &body[..body.len() / 2] } else { body };
            self.out.extend_from_slice(sent);
            if !matches!(cut, Some(After::Stall)) {
                flight.end();
            }
            self.flush(to)?;
        } else {
            let sent = if cut.is_some() { &pieces[..pieces.len() / 2] } else { pieces };
            let last = sent.len().saturating_sub(1);
            if sent.is_empty() {
                // Half of one piece is none, and the head goes out all the same.
                self.flush(to)?;
            }
            let mut start = 0;
            for (index, &end) in sent.iter().enumerate() {
                if index > 0 && !self.shared.wait(order.pause) {
                    return Ok(After::Close);
                }
                self.piece(&body[start..end], framing);
                start = end;
                if index == last && cut.is_none() {
                    if framing == Framing::Chunks {
                        self.text("0\r\n\r\n");
                    }
                    flight.end();
                }
                self.flush(to)?;
            }
        }
        Ok(match (cut, fault) {
            (Some(cut), _) => cut,
            (None, Some(Fault::CloseAfterAnswer | Fault::LengthTooLong)) => After::Close,
            (None, Some(Fault::ResetAfterAnswer)) => After::Reset,
            (None, Some(Fault::StallAfterAnswer)) => After::Stall,
            _ if keep_alive => After::GoOn,
            _ => After::Close,
        })
    }

    fn head(
        &mut self,
        answer: &Answer,
        order: &Order,
        framing: Framing,
        keep_alive: bool,
        old: bool,
    ) {
        self.status_line(answer.status);
        match framing {
            Framing::None => {}
            Framing::Length(length) => self.number_header("content-length", length),
            Framing::Chunks => self.header("transfer-encoding", "chunked"),
            Framing::UntilClose => {}
        }
        if framing != Framing::None {
            let told = order.reply.content_type.as_deref();
            self.header("content-type", told.unwrap_or(answer.content_type));
        }
        for (name, value) in &answer.headers {
            self.header(name, value);
        }
        self.number_header("x-request-number", order.number);
        self.number_header("x-connection-number", self.connection);
        let lies = matches!(
            order.reply.fault,
            Some(Fault::CloseAfterAnswer | Fault::ResetAfterAnswer | Fault::StallAfterAnswer)
        );
        if lies || (keep_alive && old) {
            self.header("connection", "keep-alive");
        } else if !keep_alive {
            self.header("connection", "close");
        }
        // A recorded answer may bring its own.
        if !order.reply.headers.iter().any(|(it, _)| it.eq_ignore_ascii_case("x-request-id")) {
            self.text("x-request-id: req-");
            let _ = write!(self.out, "{}\r\n", order.number);
        }
        for (name, value) in &order.reply.headers {
            self.header(name, value);
        }
        self.text("\r\n");
    }

    /// The body, all its pieces in one.
    fn whole(&mut self, body: &[u8], pieces: &[usize], framing: Framing) {
        if pieces.is_empty() || body.is_empty() {
            self.out.extend_from_slice(body);
            return;
        }
        let mut start = 0;
        for &end in pieces {
            self.piece(&body[start..end], framing);
            start = end;
        }
        if framing == Framing::Chunks {
            self.text("0\r\n\r\n");
        }
    }

    /// Sends what is there byte by byte. False when the server has stopped meanwhile.
    fn drip(
        &mut self,
        order: &Order,
        to: &mut dyn Connection,
        flight: &mut InFlight<'_>,
    ) -> io::Result<bool> {
        let last = self.out.len().saturating_sub(1);
        for (index, byte) in self.out.iter().enumerate() {
            if index > 0 && !self.shared.wait(order.pause) {
                return Ok(false);
            }
            if index == last {
                flight.end();
            }
            to.write_all(&[*byte])?;
            to.flush()?;
        }
        self.out.clear();
        Ok(true)
    }

    fn piece(&mut self, piece: &[u8], framing: Framing) {
        if framing == Framing::Chunks {
            // Writing to a Vec does not fail.
            let _ = write!(self.out, "{:x}\r\n", piece.len());
            self.out.extend_from_slice(piece);
            self.text("\r\n");
        } else {
            self.out.extend_from_slice(piece);
        }
    }

    fn status_line(&mut self, status: u16) {
        if status == 200 {
            self.text("HTTP/1.1 200 OK\r\n");
        } else {
            // Writing to a Vec does not fail.
            let _ = write!(self.out, "HTTP/1.1 {status:03} {}\r\n", reason(status));
        }
    }

    fn header(&mut self, name: &str, value: &str) {
        self.text(name);
        self.text(": ");
        self.text(value);
        self.text("\r\n");
    }

    fn number_header(&mut self, name: &str, value: u64) {
        // Writing to a Vec does not fail.
        let _ = write!(self.out, "{name}: {value}\r\n");
    }

    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn flush(&mut self, to: &mut dyn Connection) -> io::Result<()> {
        to.write_all(&self.out)?;
        self.out.clear();
        to.flush()
    }
}

/// How the client learns where the body ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// There is no body.
    None,
    Length(u64),
    Chunks,
    UntilClose,
}

fn told_length(length: usize, fault: Option<Fault>) -> u64 {
    let length = length as u64;
    match fault {
        Some(Fault::LengthTooLong) => length + 16,
        Some(Fault::LengthTooShort) => length / 2,
        _ => length,
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}
