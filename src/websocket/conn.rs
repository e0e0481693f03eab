//! One connection: what it is doing, what has come for its next holder, and the ping it waits for.
//!
//! Knows no lock: whoever has it, has it alone. Each step waits until the moment it was given, or
//! not at all.

mod ending;
mod sending;

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tungstenite::protocol::{Role, WebSocketConfig as Bounds};
use tungstenite::{Error, Message as Wire, WebSocket};

use super::config::WebSocketConfig;
use super::error::{CloseReason, Ending, WebSocketError};
use super::message::Message;
use super::stats::Traffic;
use super::stream::Stream;
use super::{SocketState, allowance::Allowance};
use crate::Clock;
use crate::clock::Time;

pub(super) use sending::to_send;

/// See the page of the module.
pub(super) struct Conn {
    ws: WebSocket<Stream>,
    state: SocketState,
    /// What the server chose of what it was offered.
    pub(super) subprotocol: Option<Box<str>>,
    /// Why it ends, once it does.
    ending: Option<Ending>,
    /// The peer broke the protocol: what it sends means nothing any more.
    draining: bool,
    /// Messages for the next holder, and their bytes with something for each.
    kept: VecDeque<Message>,
    kept_bytes: usize,
    /// More has come than was read in one visit.
    has_more: bool,
    ping: Option<Ping>,
    pings: u64,
    /// Since it was last taken from the books.
    round_trips: Vec<Duration>,
    allowance: Allowance,
    unsent: Option<sending::Unsent>,
    /// What the stream will have written when all is sent that was to be; kept while there is
    /// something unsent.
    handed: u64,
    limits: Limits,
    clock: Clock,
    traffic: Arc<Traffic>,
}

/// One that was sent and not answered.
struct Ping {
    payload: [u8; 8],
    sent: Time,
    due: Time,
}

struct Limits {
    max_kept: usize,
    max_frame: usize,
    write_buffer: usize,
    write_timeout: Duration,
    ping_timeout: Duration,
}

/// What a read brought.
enum Step {
    Message(Message),
    /// Something that is no message.
    Other,
    Nothing,
    Ended,
}

/// A message without bytes needs memory all the same.
const OF_A_MESSAGE: usize = 64;
/// Frames, and bytes, that are read in one visit of the background.
const MOST_FRAMES: usize = 1024;
const MOST_BYTES: usize = 256 * 1024;
/// They are read in as many pieces, and commonly all in less time.
const PIECES: usize = 16;
const LABORIOUS: Duration = Duration::from_millis(5);
/// Round trips that are kept between two visits of the books.
const MOST_ROUND_TRIPS: usize = 64;
/// For a close, pings and pongs, beyond what messages may take: as many pongs as may come due by
/// default before a peer that does not read is closed.
const RESERVE: usize = 128 * 1024;
/// Who waits for the peer sends what can be sent as often.
const SLICE: Duration = Duration::from_millis(5);

impl Conn {
    /// One whose handshake is done.
    pub(super) fn new(
        stream: Stream,
        role: Role,
        config: &WebSocketConfig,
        traffic: &Arc<Traffic>,
    ) -> Box<Self> {
        let messages = to_send(config.write_buffer_size, config.max_frame_size);
        let bounds = Bounds::default()
            .read_buffer_size(config.read_buffer_size)
            .write_buffer_size(0)
            .max_write_buffer_size(messages.saturating_add(RESERVE))
            .max_message_size(Some(config.max_message_size))
            .max_frame_size(Some(config.max_frame_size));
        let limits = Limits {
            max_kept: config.max_kept,
            max_frame: config.max_frame_size,
            write_buffer: config.write_buffer_size,
            write_timeout: config.write_timeout,
            ping_timeout: config.ping_timeout,
        };
        Box::new(Self {
            ws: WebSocket::from_raw_socket(stream, role, Some(bounds)),
            state: SocketState::Open,
            subprotocol: None,
            ending: None,
            draining: false,
            kept: VecDeque::new(),
            kept_bytes: 0,
            has_more: false,
            ping: None,
            pings: 0,
            round_trips: Vec::new(),
            allowance: Allowance::new(config.max_pings, config.clock.now()),
            unsent: None,
            handed: 0,
            limits,
            clock: config.clock.clone(),
            traffic: traffic.clone(),
        })
    }

    pub(super) fn state(&self) -> SocketState {
        self.state
    }

    /// Why it ends, if it does.
    pub(super) fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// The pongs that came since it was last asked.
    pub(super) fn take_round_trips(&mut self) -> impl Iterator<Item = Duration> + '_ {
        self.round_trips.drain(..)
    }

    // ---- For the holder ----

    /// The next message; none if there was none until then or, without a moment, if there is none.
    pub(super) fn receive(
        &mut self,
        until: Option<Instant>,
    ) -> Result<Option<Message>, WebSocketError> {
        if let Some(message) = self.kept.pop_front() {
            self.kept_bytes = self.kept_bytes.saturating_sub(cost(&message));
            return Ok(Some(message));
        }
        // Who does not wait is not held by a peer that sends no message, but without end.
        self.ws.get_mut().read_at_most(until.is_none().then_some(MOST_BYTES));
        let received = loop {
            match self.await_step(until) {
                Step::Message(message) => break Ok(Some(message)),
                Step::Nothing => break Ok(None),
                Step::Ended => break Err(self.ended()),
                Step::Other if until.is_some_and(|until| until <= Instant::now()) => {
                    break Ok(None);
                }
                Step::Other => {}
            }
        };
        self.ws.get_mut().read_at_most(None);
        received
    }

    /// Sends a ping and waits for its pong. What comes meanwhile is kept.
    pub(super) fn round_trip(
        &mut self,
        until: Instant,
    ) -> Result<Option<Duration>, WebSocketError> {
        let sent = self.clock.now();
        self.ping = None;
        self.ws.get_mut().wait_until(None);
        self.send_ping(sent);
        if self.ping.is_none() && self.ending.is_none() {
            return Err(WebSocketError::WriteBufferFull);
        }
        while self.ping.is_some() && !self.is_full() {
            match self.await_step(Some(until)) {
                Step::Message(message) => self.keep(message),
                Step::Other if Instant::now() < until => {}
                Step::Nothing | Step::Other => return Ok(None),
                Step::Ended => return Err(self.ended()),
            }
        }
        if self.ping.is_some() { Ok(None) } else { Ok(Some(self.clock.now().since(sent))) }
    }

    /// Waits for what comes. What waits to be sent goes meanwhile: the peer may say nothing before
    /// it has all of it.
    fn await_step(&mut self, until: Option<Instant>) -> Step {
        loop {
            self.send_on();
            let soon = self.unsent.is_some().then(|| Instant::now().checked_add(SLICE)).flatten();
            let slice = until.map(|until| soon.map_or(until, |soon| soon.min(until)));
            self.ws.get_mut().wait_to_read(slice);
            match self.step() {
                Step::Nothing if slice < until && self.ending.is_none() => {}
                step => return step,
            }
        }
    }

    // ---- For the background; nothing here waits ----

    /// Reads what has come, keeps it, and sends what waits.
    pub(super) fn attend(&mut self) {
        self.read_on();
        self.send_on();
    }

    /// Reads what has come, and keeps it.
    fn read_on(&mut self) {
        self.ws.get_mut().wait_until(None);
        let (mut frames, mut pieces) = (0..MOST_FRAMES, 0..PIECES);
        let began = Instant::now();
        // A peer whose bytes are laborious to read, such as empty frames without end, has to wait.
        let in_time = || began.elapsed() < LABORIOUS;
        self.ws.get_mut().read_at_most(Some(MOST_BYTES / PIECES));
        let read_all = loop {
            if frames.next().is_none() || self.is_full() {
                break false;
            }
            match self.step() {
                Step::Message(message) => self.keep(message),
                Step::Other => {}
                Step::Nothing if !self.ws.get_ref().has_read_most() => break true,
                Step::Nothing if in_time() && pieces.next().is_some() => {
                    self.ws.get_mut().read_at_most(Some(MOST_BYTES / PIECES));
                }
                Step::Nothing => break false,
                Step::Ended => break true,
            }
        };
        self.has_more = !read_all && !self.is_full();
        self.ws.get_mut().read_at_most(None);
    }

    /// Sends a ping unless one is on its way. One whose messages nobody fetches is not asked.
    pub(super) fn ping(&mut self) {
        if self.ping.is_none() && self.ending.is_none() && !self.is_full() {
            self.ws.get_mut().wait_until(None);
            self.send_ping(self.clock.now());
        }
    }

    /// Whether it is to be looked at again soon: there is more to read, or to send.
    pub(super) fn is_restless(&self) -> bool {
        (self.has_more || self.unsent.is_some()) && self.ending.is_none()
    }

    pub(super) fn awaits_pong(&self) -> bool {
        self.ping.is_some() && self.ending.is_none()
    }

    /// Ends the connection if its pong is overdue.
    pub(super) fn judge(&mut self) {
        let now = self.clock.now();
        if self.is_full() {
            // Its pong may be behind what nobody fetches.
            self.ping = None;
        }
        if self.awaits_pong() && self.ping.as_ref().is_some_and(|ping| ping.due <= now) {
            let what = format!("within {:.1?}", self.limits.ping_timeout);
            self.fail(CloseReason::NoPong, &what);
        }
    }

    /// A holder had it, who may not have read: the pong has its time again.
    pub(super) fn was_held(&mut self) {
        let due = self.clock.now().after(self.limits.ping_timeout);
        if let Some(ping) = &mut self.ping {
            ping.due = due;
        }
    }

    // ---- Below both ----

    fn step(&mut self) -> Step {
        if self.ending.is_some() {
            return Step::Ended;
        }
        match self.ws.read() {
            Ok(Wire::Text(text)) => self.came(Message::Text(text.as_str().to_owned())),
            Ok(Wire::Binary(bytes)) => self.came(Message::Binary(bytes.into())),
            Ok(Wire::Pong(payload)) => {
                let now = self.clock.now();
                match self.ping.take_if(|ping| ping.payload[..] == payload[..]) {
                    Some(ping) if self.round_trips.len() < MOST_ROUND_TRIPS => {
                        self.round_trips.push(now.since(ping.sent));
                    }
                    Some(_) => {}
                    None => self.spend(now),
                }
                Step::Other
            }
            Ok(Wire::Ping(_)) => {
                // Tungstenite answers by itself, with its next read or flush.
                self.flush();
                self.spend(self.clock.now());
                Step::Other
            }
            Ok(Wire::Close(frame)) => {
                let code = frame.as_ref().map(|frame| u16::from(frame.code));
                let said = frame.as_ref().map_or("", |frame| frame.reason.as_str());
                self.ending = Some(Ending::new(CloseReason::ByPeer, code, said));
                self.state = SocketState::ClosingByPeer;
                self.ws.get_mut().wait_until(None);
                if self.ws.flush().is_ok_and(|()| true) {
                    self.state = SocketState::Closed;
                }
                Step::Ended
            }
            Ok(Wire::Frame(_)) => Step::Other,
            Err(error) if would_block(&error) => Step::Nothing,
            Err(error) => {
                self.fail_by(error);
                Step::Ended
            }
        }
    }

    fn came(&mut self, message: Message) -> Step {
        self.traffic.received(message.len());
        Step::Message(message)
    }

    fn spend(&mut self, now: Time) {
        if !self.allowance.take(now) {
            self.fail(CloseReason::Flood, "");
        }
    }

    fn is_full(&self) -> bool {
        self.kept_bytes >= self.limits.max_kept
    }

    fn keep(&mut self, message: Message) {
        self.kept_bytes = self.kept_bytes.saturating_add(cost(&message));
        self.kept.push_back(message);
    }

    fn ended(&self) -> WebSocketError {
        let lost = || Ending::bare(CloseReason::Lost);
        WebSocketError::Ended(self.ending.clone().unwrap_or_else(lost))
    }
}

fn cost(message: &Message) -> usize {
    message.len().saturating_add(OF_A_MESSAGE)
}

fn would_block(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == ErrorKind::WouldBlock)
}
