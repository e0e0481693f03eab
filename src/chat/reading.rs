//! A call under way: its requests, and its answer as it comes.
//!
//! ```text
//!          ┌── Again ──┐
//!   start ─▶ requested ─▶ open: pieces come ─▶ ended
//!                 └─ a whole answer ───────────▶ ┘   failed: from anywhere
//! ```
//!
//! A whole answer and a stream are read the same way; for the first, nobody asks for the pieces.
//! No lock: one thread reads.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::http::HeaderMap;

use super::call::{Answered, Line, Until, too_large};
use super::dialect::{Ask, Next};
use super::draft::{Draft, Piece};
use super::error::{ChatError, Seen};
use super::error_kind::ErrorKind;
use super::frames::{FrameError, Frames, Framing};
use super::headers::content_type;
use super::rate_limits::rate_limits;
use super::reply::{ChatReply, Timing, Usage};
use super::request::ChatRequest;
use super::retry::Began;
use super::validate::validate;
use crate::agent::{LeasedBody, Totals, hold, read_until};
use crate::balance::RateLimits;
use crate::keyed::ModelKey;

/// One try of a call.
pub(crate) struct Reading<'r> {
    key: ModelKey,
    request: Request<'r>,
    streams: bool,
    began: Began,
    /// Of this try: over all of its requests.
    until: Until,
    /// When the last request began.
    asked: Instant,
    draft: Draft,
    /// Of the last answer; zero before the first.
    status: u16,
    headers: HeaderMap,
    timing: Timing,
    requests: u32,
    state: State,
    /// Where its tokens are counted, once it is over.
    totals: Option<Arc<Totals>>,
    /// To be told after the pieces that came before it.
    failure: Option<ChatError>,
}

enum State {
    /// Between two requests.
    Requested,
    Open(Box<Open>),
    Ended,
    Failed,
}

struct Open {
    body: LeasedBody<()>,
    frames: Frames,
    bytes: usize,
    /// Since when nothing new has come; none before the first piece.
    quiet_since: Option<Instant>,
}

/// What is asked. Kept, since a further request may be needed, and what is quoted must be known.
pub(crate) enum Request<'r> {
    Borrowed(&'r ChatRequest<'r>),
    /// For all the tries of a stream.
    Shared(Arc<ChatRequest<'static>>),
}

impl Request<'_> {
    fn get(&self) -> &ChatRequest<'_> {
        match self {
            Self::Borrowed(request) => request,
            Self::Shared(request) => request,
        }
    }
}

impl<'r> Reading<'r> {
    /// Asks, and returns when the answer is whole or, for a stream, has begun.
    pub(crate) fn start(
        line: Line<'_>,
        request: Request<'r>,
        streams: bool,
        began: Began,
    ) -> Result<Self, ChatError> {
        line.note_try(began);
        let now = Instant::now();
        let mut reading = Self {
            key: line.key.clone(),
            request,
            streams,
            began,
            until: line.until(began, now),
            asked: now,
            draft: if streams { Draft::in_pieces() } else { Draft::default() },
            status: 0,
            headers: HeaderMap::new(),
            timing: Timing::default(),
            requests: 0,
            state: State::Requested,
            totals: Some(line.agent.totals().clone()),
            failure: None,
        };
        let started = reading.ask(line).and_then(|()| match streams {
            true => Ok(()),
            false => reading.run_to_end(line),
        });
        match started {
            Ok(()) => Ok(reading),
            Err(error) => {
                reading.count_tokens();
                let error = reading.begun(error);
                Err(line.told(error, &reading.request.get().texts(), reading.began))
            }
        }
    }

    /// The next piece; `None` once the answer is whole, and after an error.
    pub(crate) fn next_piece(&mut self, line: Line<'_>) -> Option<Result<Piece, ChatError>> {
        loop {
            if let Some(piece) = self.left_piece() {
                return Some(piece);
            }
            if !self.is_open() {
                return None;
            }
            if let Err(error) = self.step(line) {
                // Closes the connection, and so must come before the lease is given back.
                self.fail();
                let error = self.begun(error).with_partial(self.reply());
                let told = line.told(error, &self.request.get().texts(), self.began);
                self.failure = Some(told);
            }
        }
    }

    /// A piece of what has come already, or why no more will.
    pub(crate) fn left_piece(&mut self) -> Option<Result<Piece, ChatError>> {
        self.draft.next_piece().map(Ok).or_else(|| self.failure.take().map(Err))
    }

    /// Whether there is more to read, or to do.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_) | State::Requested)
    }

    /// Drops what is left of the body, reading it within limits.
    pub(crate) fn close(&mut self) {
        if self.is_open() {
            self.fail();
        }
    }

    /// For who wants the answer after the error was told.
    pub(crate) fn failed_before(&self) -> ChatError {
        ChatError::new(ErrorKind::CutShort, "the stream had failed before")
            .of_model(format_args!("{}:{}", self.key.provider(), self.key.model()))
            .after(self.began.tries)
            // There was an answer, or there would be no stream.
            .with_seen(Seen::Yes)
            .with_partial(self.reply())
    }

    /// What has come so far.
    pub(crate) fn reply(&self) -> ChatReply {
        let (draft, headers) = (self.draft.clone(), self.headers.clone());
        let tries = self.began.tries.saturating_add(1);
        ChatReply { draft, headers, timing: self.timing(), tries }
    }

    /// What the head of the last answer says.
    pub(crate) fn rate_limits(&self) -> RateLimits {
        rate_limits(&self.headers)
    }

    /// As far as the answer said so far.
    pub(crate) fn usage(&self) -> Usage {
        self.draft.usage
    }

    pub(crate) fn into_reply(self) -> ChatReply {
        let (timing, tries) = (self.timing(), self.began.tries.saturating_add(1));
        ChatReply { draft: self.draft, headers: self.headers, timing, tries }
    }

    fn timing(&self) -> Timing {
        let total = match self.state {
            State::Ended | State::Failed => self.timing.total,
            _ => self.began.at.elapsed(),
        };
        Timing { waited: self.began.waited, total, ..self.timing }
    }

    /// Sends requests until an answer is whole or has begun to come in pieces.
    fn ask(&mut self, line: Line<'_>) -> Result<(), ChatError> {
        let dialect = &*line.service.dialect;
        loop {
            self.requests += 1;
            if self.requests > MAX_REQUESTS {
                let what = format_args!("the provider wanted more than {MAX_REQUESTS} requests");
                return Err(ChatError::malformed(what));
            }
            let ask = Ask::new(&self.key, self.request.get(), self.streams);
            if self.requests == 1 {
                validate(&ask, dialect)?;
            }
            let call = dialect.request(&ask, &self.draft)?;
            if std::mem::take(&mut self.status) != 0 {
                self.began.seen = Seen::Yes;
            }
            if self.requests > 1 {
                self.asked = Instant::now();
            }
            let Answered { response, connecting, first_byte } =
                line.exchange(&call, self.until, self.asked, self.streams)?;
            self.timing.connecting = self.timing.connecting.or(connecting);
            self.timing.first_byte = first_byte;
            let kind = content_type(response.headers());
            self.status = response.status().as_u16();
            let in_pieces = match dialect.framing() {
                Framing::Events => kind.eq_ignore_ascii_case("text/event-stream"),
                // A page is best told as what it is.
                Framing::Lines => self.streams && !kind.eq_ignore_ascii_case("text/html"),
            };
            if in_pieces {
                let frames = Frames::new(dialect.framing(), line.service.config.max_answer);
                let (head, body) = hold((), response).into_parts();
                self.headers = head.headers;
                let open = Open { body, frames, bytes: 0, quiet_since: None };
                // What came in an answer before is no piece of this one.
                self.draft.take_progress();
                self.state = State::Open(Box::new(open));
                return Ok(());
            }
            let (head, body) = response.into_parts();
            self.headers = head.headers;
            let kind = content_type(&self.headers);
            let body = line.read(&self.headers, body, self.until)?;
            let next = match dialect.answer(&body, &mut self.draft) {
                Err(error) if error.kind() == ErrorKind::Malformed && is_page(kind, &body) => {
                    let what = format_args!("a page came where an answer should ({kind})");
                    Err(ChatError::malformed(what))
                }
                Err(error) if error.kind() == ErrorKind::Malformed && self.streams => {
                    let what = format_args!("where a stream was asked for, {kind:?} came");
                    Err(error.with_more(what))
                }
                next => next,
            };
            match next? {
                Next::Done => {
                    self.end();
                    return Ok(());
                }
                Next::Again => {}
                Next::More => return Err(cut_short()),
            }
        }
    }

    fn run_to_end(&mut self, line: Line<'_>) -> Result<(), ChatError> {
        while self.is_open() {
            self.step(line)?;
        }
        Ok(())
    }

    /// Looks at one frame, or reads more.
    fn step(&mut self, line: Line<'_>) -> Result<(), ChatError> {
        let State::Open(open) = &mut self.state else {
            return self.ask(line);
        };
        let dialect = &*line.service.dialect;
        let frame = open.frames.next().map_err(frame_error)?;
        let next = match frame {
            Some(frame) => {
                let next = dialect.piece(frame, &mut self.draft)?;
                self.time_first_piece();
                next
            }
            None => {
                // Not before: its reader may have taken his time over what came at once.
                if self.draft.take_progress() {
                    open.quiet_since = Some(Instant::now());
                }
                if open.read(line, self.until)? {
                    return Ok(());
                }
                let begun = open.quiet_since.is_some();
                let last = open.frames.last().map_err(frame_error);
                let next = last.and_then(|frame| match frame {
                    Some(frame) => dialect.piece(frame, &mut self.draft),
                    None => Ok(Next::More),
                });
                let next = match next {
                    // Half of it: a body that nobody says the length of can end anywhere.
                    Err(error) if begun && error.kind() == ErrorKind::Malformed => Next::More,
                    Ok(Next::More) => dialect.end(&mut self.draft),
                    next => next?,
                };
                self.time_first_piece();
                next.or_cut_short()?
            }
        };
        match next {
            Next::More => {}
            Next::Done => self.end(),
            Next::Again => {
                self.state = State::Requested;
                self.ask(line)?;
            }
        }
        Ok(())
    }

    /// An error of an answer that has begun, if one has.
    fn begun(&self, error: ChatError) -> ChatError {
        if self.status == 0 { error } else { error.of_begun(self.status) }
    }

    fn time_first_piece(&mut self) {
        if self.timing.first_piece.is_none() && self.draft.has_begun() {
            self.timing.first_piece = Some(self.asked.elapsed());
        }
    }

    /// Counts, once, the tokens that were told of.
    fn count_tokens(&mut self) {
        if let Some(totals) = self.totals.take() {
            totals.count_tokens(self.draft.usage.input, self.draft.usage.output);
        }
    }

    /// Closes what is open.
    fn fail(&mut self) {
        self.count_tokens();
        self.timing.total = self.began.at.elapsed();
        self.state = State::Failed;
    }

    fn end(&mut self) {
        self.draft.end();
        self.count_tokens();
        self.timing.total = self.began.at.elapsed();
        self.state = State::Ended;
    }
}

impl Next {
    fn or_cut_short(self) -> Result<Self, ChatError> {
        if self == Self::More { Err(cut_short()) } else { Ok(self) }
    }
}

impl Open {
    /// Reads what there is, or waits for it; `false` at the end.
    fn read(&mut self, line: Line<'_>, until: Until) -> Result<bool, ChatError> {
        let config = &line.service.config;
        let piece_timeout = self.quiet_since.and(config.piece_timeout);
        let quiet_until =
            self.quiet_since.zip(piece_timeout).and_then(|(since, time)| since.checked_add(time));
        // Comments keep the connection going, not the answer.
        if quiet_until.is_some_and(|until| Instant::now() >= until) {
            return Err(stalled(piece_timeout));
        }
        // All that may come is looked at before one byte more tells that there is more.
        let most = config.max_answer.saturating_sub(self.bytes).max(1);
        let room = self.frames.room();
        let most = most.min(room.len());
        let room = &mut room[..most];
        let read = loop {
            match read_until(quiet_until, || self.body.read(room)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        match read {
            Ok(0) => Ok(false),
            Ok(read) => {
                self.frames.filled(read);
                self.bytes = self.bytes.saturating_add(read);
                if self.bytes > config.max_answer {
                    return Err(too_large(config.max_answer));
                }
                Ok(true)
            }
            Err(error) => {
                let quiet = quiet_until.is_some_and(|until| Instant::now() >= until);
                let error = line.broken_body(error, until, ErrorKind::CutShort);
                let stalls = quiet && error.kind() == ErrorKind::TimedOut;
                Err(if stalls { stalled(piece_timeout) } else { error })
            }
        }
    }
}

/// Requests of one call; as many rounds as others allow who decline tools for their user.
const MAX_REQUESTS: u32 = 25;

fn is_page(content_type: &str, body: &[u8]) -> bool {
    content_type.eq_ignore_ascii_case("text/html") || body.trim_ascii_start().starts_with(b"<")
}

fn frame_error(error: FrameError) -> ChatError {
    let kind = match error {
        FrameError::TooLarge { .. } => ErrorKind::TooLarge,
        FrameError::NotUtf8 => ErrorKind::Malformed,
    };
    ChatError::new(kind, error)
}

fn cut_short() -> ChatError {
    ChatError::new(ErrorKind::CutShort, "it ended, and nothing said that this was all")
}

fn stalled(after: Option<Duration>) -> ChatError {
    let after = after.unwrap_or_default();
    ChatError::new(ErrorKind::Stalled, format_args!("nothing new came for {after:.1?}"))
}
