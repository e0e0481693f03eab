//! Why a model was not asked, or did not answer, told so that a caller can decide what to do.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use ureq::http::HeaderMap;

use super::error_kind::ErrorKind;
use super::reply::ChatReply;
use super::server_error;
use crate::agent::CheckError;
use crate::key_error::OneLine;
use crate::pool::GetError;

/// Why a call to a model failed.
///
/// It says what a caller must decide on: [of what kind](Self::kind) it is,
/// [whether another try is worth it](Self::is_retryable) and [after how long](Self::retry_after),
/// whether the server [saw the request](Self::seen), and what it said. It holds no key, and no text
/// of the messages: where a server quotes one of them, `***` stands in its place.
pub struct ChatError(Box<Parts>);

struct Parts {
    kind: ErrorKind,
    message: String,
    /// What else there is to say, where to and the like.
    more: Option<String>,
    model: Option<String>,
    status: Option<u16>,
    code: Option<String>,
    request_id: Option<String>,
    retry_after: Option<Duration>,
    /// What the server itself says of another try.
    should_retry: Option<bool>,
    seen: Seen,
    tries: u32,
    /// Before the next try, if there is to be one.
    pause: Option<Duration>,
    partial: Option<ChatReply>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// Whether a server saw a request, and so may have acted on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Seen {
    /// No: nothing was sent.
    No,
    /// Nobody knows: something was sent, and nothing came back.
    Maybe,
    /// Yes: it answered.
    Yes,
}

impl ChatError {
    /// An error of a dialect's own. The message says on one line what is wrong, and holds neither
    /// a key nor text of the request.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl fmt::Display) -> Self {
        Self(Box::new(Parts {
            kind,
            message: cut(&message.to_string()),
            more: None,
            model: None,
            status: None,
            code: None,
            request_id: None,
            retry_after: None,
            should_retry: None,
            seen: Seen::No,
            tries: 1,
            pause: None,
            partial: None,
            source: None,
        }))
    }

    /// For a request that a dialect cannot make.
    #[must_use]
    pub fn invalid(what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Invalid, what)
    }

    /// For an answer that a dialect cannot read.
    #[must_use]
    pub fn malformed(what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Malformed, what)
    }

    /// Reads the answer of a status other than 2xx, leniently: the reason may be an object or a
    /// text, at the top or below `error`, its code a text, a number or nothing, and all of it a
    /// page.
    #[must_use]
    pub fn from_body(status: u16, headers: &HeaderMap, body: &[u8]) -> Self {
        server_error::read(status, headers, body)
    }

    /// What an answer, or a piece of one, says went wrong although its status is good; `None` if it
    /// has no `error`, or an empty one.
    #[must_use]
    pub fn in_answer(json: &serde_json::Value) -> Option<Self> {
        server_error::in_answer(json)
    }

    /// Sets what the provider calls it.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<Option<String>>) -> Self {
        self.0.code = code.into().map(|code| cut(&code));
        self
    }

    /// Sets after how long another try is worth it.
    #[must_use]
    pub fn with_retry_after(mut self, after: impl Into<Option<Duration>>) -> Self {
        self.0.retry_after = after.into();
        self
    }

    /// Sets what the provider wants to know when asked about this call.
    #[must_use]
    pub fn with_request_id(mut self, id: impl Into<Option<String>>) -> Self {
        self.0.request_id = id.into().map(|id| cut(&id));
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What the server said, or what was seen, on one line.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The status of the answer, if there was one. An error in the midst of a stream has 200.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// What the provider calls it, such as `context_length_exceeded`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// What the provider wants to know when asked about this call.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// Whether the same request may well succeed later. `false` for what only another request,
    /// another key or more time would mend. The tries of the call itself are over in any case.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.should_retry.unwrap_or(self.0.kind.is_retryable())
    }

    /// After how long, where the server says.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether the server saw the request, of any of the tries.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.0.seen
    }

    /// How many tries there were, from 1.
    #[must_use]
    pub fn tries(&self) -> u32 {
        self.0.tries
    }

    /// What had come of a stream's answer.
    #[must_use]
    pub fn partial(&self) -> Option<&ChatReply> {
        self.0.partial.as_ref()
    }

    /// The text of [`partial`](Self::partial); empty if there is none.
    #[must_use]
    pub fn text_so_far(&self) -> &str {
        self.partial().map_or("", ChatReply::text)
    }

    /// Whether the call itself tries again: a stream that began is not begun again, and neither is
    /// a wait for a client.
    pub(super) fn is_tried_again(&self) -> bool {
        let once = matches!(
            self.0.kind,
            ErrorKind::NoLease | ErrorKind::Stalled | ErrorKind::CutShort | ErrorKind::Stopped
        );
        !once && self.0.partial.is_none() && self.is_retryable()
    }

    pub(crate) fn of_model(mut self, model: impl fmt::Display) -> Self {
        self.0.model.get_or_insert_with(|| model.to_string());
        self
    }

    pub(super) fn with_status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    /// Of an answer that had begun, with this status.
    pub(super) fn of_begun(mut self, status: u16) -> Self {
        self.0.seen = Seen::Yes;
        self.0.status = Some(status);
        self
    }

    /// Says more on the same line, after what was said so before.
    pub(crate) fn with_more(mut self, more: impl fmt::Display) -> Self {
        let more = cut(&more.to_string());
        self.0.more = Some(match self.0.more {
            Some(before) => format!("{before}; {more}"),
            None => more,
        });
        self
    }

    pub(super) fn with_should_retry(mut self, should: Option<bool>) -> Self {
        self.0.should_retry = should;
        self
    }

    pub(crate) fn with_seen(mut self, seen: Seen) -> Self {
        self.0.seen = seen;
        self
    }

    /// Before the next try; `None` if there is to be none.
    pub(crate) fn pause(&self) -> Option<Duration> {
        self.0.pause
    }

    pub(super) fn with_pause(mut self, pause: Option<Duration>) -> Self {
        self.0.pause = pause;
        self
    }

    /// There were so many tries before.
    pub(crate) fn after(mut self, tries: u32) -> Self {
        self.0.tries = tries.saturating_add(1);
        self
    }

    pub(super) fn with_partial(mut self, partial: ChatReply) -> Self {
        self.0.partial = Some(partial);
        self
    }

    pub(crate) fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    pub(super) fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The same for somebody else who waited for it, without its source and what had come.
    pub(super) fn shared(&self) -> Self {
        let Parts { kind, message, more, status, code, .. } = &*self.0;
        let Parts { request_id, retry_after, should_retry, .. } = &*self.0;
        let mut same = Self::new(*kind, "");
        same.0.message.clone_from(message);
        same.0.more.clone_from(more);
        same.0.code.clone_from(code);
        same.0.request_id.clone_from(request_id);
        (same.0.status, same.0.retry_after) = (*status, *retry_after);
        (same.0.should_retry, same.0.seen) = (*should_retry, self.0.seen);
        same
    }

    /// Rewrites all that came from the server, for it may quote what must not be shown.
    pub(super) fn rewrite(&mut self, hide: impl Fn(&str) -> String) {
        self.0.message = hide(&self.0.message);
        let Parts { code, request_id, more, .. } = &mut *self.0;
        for text in [code, request_id, more].into_iter().flatten() {
            *text = hide(text);
        }
    }
}

/// For callers who take their lease themselves: as [`LlmPool::chat`](crate::llm::LlmPool::chat) has
/// it.
impl From<GetError<CheckError>> for ChatError {
    fn from(error: GetError<CheckError>) -> Self {
        // The same key will do no better, and neither will a pool that is closed.
        let hopeless = matches!(error, GetError::Key(_) | GetError::Closed);
        let said = Self::new(ErrorKind::NoLease, &error).with_source(error);
        said.with_should_retry(hopeless.then_some(false))
    }
}

impl fmt::Display for ChatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { kind, message, model, status, code, request_id, tries, .. } = &*self.0;
        if let Some(model) = model {
            write!(f, "{model}: ")?;
        }
        write!(f, "{}", kind.what())?;
        match (status, code) {
            (Some(status), Some(code)) => write!(f, " (status {status}, {code})")?,
            (Some(status), None) => write!(f, " (status {status})")?,
            (None, Some(code)) => write!(f, " ({code})")?,
            (None, None) => {}
        }
        write!(f, ": {message}")?;
        if let Some(more) = &self.0.more {
            write!(f, "; {more}")?;
        }
        if let Some(partial) = &self.0.partial {
            write!(f, "; {} bytes of text had come", partial.text().len())?;
        }
        match self.0.retry_after {
            Some(after) => write!(f, "; may succeed after {after:.1?}")?,
            None => f.write_str(kind.advice())?,
        }
        if *tries > 1 {
            write!(f, "; {tries} tries")?;
        }
        if let Some(id) = request_id {
            write!(f, "; request {id}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ChatError {
    /// Of what had come only how much it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatError")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("more", &self.0.more)
            .field("model", &self.0.model)
            .field("status", &self.0.status)
            .field("code", &self.0.code)
            .field("request_id", &self.0.request_id)
            .field("retry_after", &self.0.retry_after)
            .field("is_retryable", &self.is_retryable())
            .field("seen", &self.0.seen)
            .field("tries", &self.0.tries)
            .field("bytes_so_far", &self.text_so_far().len())
            .field("source", &self.0.source)
            .finish()
    }
}

impl Error for ChatError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// Most characters of a text from a server that an error shows.
const SHOWN: usize = 500;

/// Stands where more was.
pub(super) const CUT: &str = "...";

/// On one line, and not longer than anybody wants to read.
fn cut(text: &str) -> String {
    let line = one_line(text);
    // More is said after it.
    let line = line.trim_end_matches(['.', ';']);
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}{CUT}", &line[..end]),
        None => line.to_owned(),
    }
}

/// All of it as errors show it.
pub(super) fn one_line(text: &str) -> String {
    OneLine(&text.split_whitespace().collect::<Vec<_>>().join(" ")).to_string()
}
