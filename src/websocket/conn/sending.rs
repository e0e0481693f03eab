//! What goes to the peer: at once as far as it goes, the rest later and ahead of anything else.

use std::time::Instant;

use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::{Bytes, Error, Message as Wire};

use super::super::error::{CloseReason, WebSocketError};
use super::super::outbox::fits;
use super::{Conn, Ping, SLICE, would_block};
use crate::clock::Time;

/// Something waits to be sent: since when, and how much had gone by then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Unsent {
    since: Time,
    went: u64,
}

/// A peer must take as much of what waits within `write_timeout`: one that takes a byte now and then
/// would hold its holder for ever.
const SLOWEST: u64 = 16 * 1024;

impl Unsent {
    /// What is to be noted when so much has gone.
    fn now(noted: Option<Self>, went: u64, now: Time) -> Self {
        let slow = |noted: &Self| went.saturating_sub(noted.went) < SLOWEST;
        noted.filter(slow).unwrap_or(Self { since: now, went })
    }
}

/// The longest header of a frame (RFC 6455, section 5.2).
const OF_A_FRAME: usize = 14;

/// What it takes at most to send a message of this size in frames of at most `max`.
pub(in super::super) fn to_send(size: usize, max: usize) -> usize {
    let frames = size.div_ceil(max.max(1)).max(1);
    size.saturating_add(frames.saturating_mul(OF_A_FRAME))
}

impl Conn {
    /// Sends a message, and waits until it has gone to the system. What comes meanwhile is kept, so
    /// that a peer that sends before it reads holds nothing up. One that takes too little
    /// within `write_timeout` ends the connection.
    pub(in super::super) fn send(&mut self, message: Wire) -> Result<(), WebSocketError> {
        self.queue(message)?;
        while self.unsent.is_some() && self.ending.is_none() {
            self.ws.get_mut().wait_to_write(Instant::now().checked_add(SLICE));
            self.flush();
            self.judge_unsent();
            if self.unsent.is_some() {
                self.read_on();
            }
        }
        if self.ending.is_some() { Err(self.ended()) } else { Ok(()) }
    }

    /// Sends as much of a message as goes at once.
    pub(in super::super) fn queue(&mut self, message: Wire) -> Result<(), WebSocketError> {
        if self.ending.is_some() {
            return Err(self.ended());
        }
        let (size, max) = (message.len(), self.limits.write_buffer);
        if size > max {
            return Err(WebSocketError::TooLarge { size, max });
        }
        let waits = self.unsent_bytes();
        if !fits(waits, size, max) {
            return Err(WebSocketError::WriteBufferFull);
        }
        let waits = waits.saturating_add(to_send(size, self.limits.max_frame));
        let written = self.ws.get_ref().written();
        self.handed = written.saturating_add(u64::try_from(waits).unwrap_or(u64::MAX));
        self.ws.get_mut().wait_until(None);
        for frame in in_frames(message, self.limits.max_frame) {
            match self.ws.write(frame) {
                Ok(()) => {}
                Err(error) if would_block(&error) => self.note_unsent(),
                Err(error) => {
                    self.fail_by(error);
                    return Err(self.ended());
                }
            }
        }
        self.traffic.sent(size);
        self.flush();
        if self.ending.is_some() { Err(self.ended()) } else { Ok(()) }
    }

    /// What waits to be sent, pings and pongs apart.
    pub(in super::super) fn unsent_bytes(&self) -> usize {
        if self.unsent.is_none() {
            return 0;
        }
        let waits = self.handed.saturating_sub(self.ws.get_ref().written());
        usize::try_from(waits).unwrap_or(usize::MAX)
    }

    /// Sends what waits, without waiting, and ends the connection if nothing went for too long.
    pub(super) fn send_on(&mut self) {
        if self.ending.is_none() {
            self.ws.get_mut().wait_until(None);
            self.flush();
            self.judge_unsent();
        }
    }

    pub(super) fn send_ping(&mut self, now: Time) {
        self.pings = self.pings.wrapping_add(1);
        let payload = self.pings.to_be_bytes();
        match self.ws.write(Wire::Ping(payload.to_vec().into())) {
            Ok(()) => {}
            Err(error) if would_block(&error) => self.note_unsent(),
            // So much waits to be sent that this is what is to be seen to.
            Err(Error::WriteBufferFull(_)) => return self.note_unsent(),
            Err(error) => return self.fail_by(error),
        }
        let due = now.after(self.limits.ping_timeout);
        self.ping = Some(Ping { payload, sent: now, due });
        self.flush();
    }

    /// Sends what waits, as far as it goes.
    pub(super) fn flush(&mut self) {
        match self.ws.flush() {
            Ok(()) => self.unsent = None,
            Err(error) if would_block(&error) => self.note_unsent(),
            Err(error) => self.fail_by(error),
        }
    }

    fn note_unsent(&mut self) {
        let (went, now) = (self.ws.get_ref().went(), self.clock.now());
        self.unsent = Some(Unsent::now(self.unsent, went, now));
    }

    fn judge_unsent(&mut self) {
        let stuck = self.unsent.as_ref();
        if stuck.is_some_and(|it| self.clock.now().since(it.since) >= self.limits.write_timeout) {
            self.fail(CloseReason::Stuck, "");
        }
    }
}

/// A message in frames of which none is larger: the peer may well have the bound that we have.
fn in_frames(message: Wire, max: usize) -> Vec<Wire> {
    if message.len() <= max {
        return vec![message];
    }
    let (mut kind, mut rest): (_, Bytes) = match message {
        Wire::Text(text) => (Data::Text, text.into()),
        Wire::Binary(bytes) => (Data::Binary, bytes),
        other => return vec![other],
    };
    let mut frames = Vec::with_capacity(rest.len().div_ceil(max.max(1)));
    loop {
        let part = rest.split_to(rest.len().min(max.max(1)));
        let last = rest.is_empty();
        frames.push(Wire::Frame(Frame::message(part, OpCode::Data(kind), last)));
        if last {
            return frames;
        }
        kind = Data::Continue;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_takes_a_byte_now_and_then_gains_no_time() {
        let began = Unsent::now(None, 0, Time::from_secs(1));
        let slow = Unsent::now(Some(began), SLOWEST - 1, Time::from_secs(9));
        assert_eq!(slow, began);
        let well = Unsent::now(Some(slow), SLOWEST, Time::from_secs(9));
        assert_eq!((well.since, well.went), (Time::from_secs(9), SLOWEST));
    }

    #[test]
    fn a_message_goes_in_frames_that_are_not_too_large() {
        for (size, max, sizes) in
            [(0, 10, vec![0]), (10, 10, vec![10]), (11, 10, vec![10, 1]), (3, 1, vec![1; 3])]
        {
            let frames = in_frames(Wire::Binary(vec![7; size].into()), max);
            let payload = |frame: &Wire| match frame {
                Wire::Frame(frame) => frame.payload().len(),
                whole => whole.len(),
            };
            assert_eq!(frames.iter().map(payload).collect::<Vec<_>>(), sizes);
        }
    }
}
