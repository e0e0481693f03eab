//! What it means that a request failed, and what of it a caller is told.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use ureq::http::{HeaderMap, HeaderValue, Response, header};
use ureq::{Body, Error, Timeout};

use super::call::{Line, Until};
use super::config::ChatConfig;
use super::dialect::HttpCall;
use super::error::{ChatError, Seen};
use super::error_kind::ErrorKind;
use super::headers;
use super::hide::hide;
use super::retry::{Began, chance, pause_after};
use crate::agent::read_until;
use crate::agent::trace::Trace;

impl Line<'_> {
    /// An error as the caller gets it: with the model's name, and without what it must not show.
    /// It knows whether the call is to be tried again, and what became of the tries before.
    pub(super) fn told(&self, mut error: ChatError, said: &[&str], began: Began) -> ChatError {
        error.rewrite(|text| {
            let shown = hide(text, &[self.headers], said);
            match &self.service.tokens {
                Some(tokens) => tokens.hidden(shown),
                None => shown,
            }
        });
        let pause = pause_after(&error, began.pauses, &self.service.config, chance());
        let seen = error.seen().max(began.seen);
        let error = error.after(began.tries).with_pause(pause).with_seen(seen);
        error.of_model(format_args!("{}:{}", self.key.provider(), self.key.model()))
    }

    /// There was no answer.
    pub(super) fn no_answer(
        &self,
        error: Error,
        trace: Trace,
        call: &HttpCall,
        until: Until,
    ) -> ChatError {
        let seen = match trace {
            Trace { received: 1.., .. } => Seen::Yes,
            Trace { sent: 1.., .. } => Seen::Maybe,
            _ => Seen::No,
        };
        let kind = match &error {
            Error::BadUri(_) | Error::Http(_) | Error::RequireHttpsOnly(_) => ErrorKind::Invalid,
            _ if seen == Seen::No => ErrorKind::Unreachable,
            _ => ErrorKind::Broken,
        };
        let said = match &error {
            _ if self.agent.is_stopped() => stopped(),
            Error::Timeout(timeout) => self.timed_out(*timeout, until),
            error => ChatError::new(kind, format_args!("{}: {error}", self.url(call))),
        };
        said.with_seen(seen).with_source(error)
    }

    /// A body could not be read to its end, which is of this kind unless it is known why.
    pub(super) fn broken_body(&self, error: io::Error, until: Until, kind: ErrorKind) -> ChatError {
        let error = Error::from(error);
        let said = match &error {
            _ if self.agent.is_stopped() => stopped(),
            Error::Timeout(timeout) => self.timed_out(*timeout, until),
            error => ChatError::new(kind, error),
        };
        said.with_source(error)
    }

    /// Which limit it was.
    pub(super) fn timed_out(&self, timeout: Timeout, until: Until) -> ChatError {
        let ChatConfig { total_timeout, piece_timeout, .. } = &self.service.config;
        let what = match timeout {
            Timeout::Global => match total_timeout.filter(|_| !until.is_given) {
                Some(total) => format!("total_timeout ({total:?}) has passed"),
                None => "the deadline has passed".to_owned(),
            },
            Timeout::RecvResponse => "no answer came for first_byte_timeout".to_owned(),
            Timeout::PerRead => match piece_timeout {
                Some(pause) => format!("nothing more came for piece_timeout ({pause:?})"),
                None => "nothing more came".to_owned(),
            },
            Timeout::Resolve | Timeout::Connect => {
                format!("{}: connect_timeout has passed ({timeout})", self.base)
            }
            other => other.to_string(),
        };
        let kind = match timeout {
            Timeout::Resolve | Timeout::Connect => ErrorKind::Unreachable,
            _ => ErrorKind::TimedOut,
        };
        ChatError::new(kind, what)
    }

    /// What an answer of another status than 2xx says.
    pub(super) fn refused(
        &self,
        response: Response<Body>,
        token: Option<&HeaderValue>,
        call: &HttpCall,
    ) -> ChatError {
        let status = response.status().as_u16();
        let (head, body) = response.into_parts();
        // What can be had of it is enough.
        let body = read_start(body, &self.service.config);
        let mut error = match headers::text(&head.headers, "location") {
            Some(to) if (300..400).contains(&status) => redirected(to),
            _ => self.service.dialect.error(status, &head.headers, &body),
        };
        if error.kind() == ErrorKind::NotFound {
            error = error.with_more(format_args!("at {}", self.url(call)));
        }
        if let (None, Some(id)) = (error.request_id(), headers::request_id(&head.headers)) {
            error = error.with_request_id(id.to_owned());
        }
        // Last, since any of it may quote the token.
        if let Some(token) = token {
            let sent = HeaderMap::from_iter([(header::AUTHORIZATION, token.clone())]);
            error.rewrite(|text| hide(text, &[&sent], &[]));
        }
        let retry = headers::should_retry(&head.headers);
        error.with_status(status).with_should_retry(retry).with_seen(Seen::Yes)
    }

    /// Without a query, which may be a secret.
    fn url(&self, call: &HttpCall) -> String {
        self.base.join(call.path.split(['?', '#']).next().unwrap_or_default())
    }
}

/// Most bytes of a refusal that are read.
const REFUSAL: u64 = 64 * 1024;

/// It is read for so long, and no longer than a pause may be: its status is known, and the client
/// may be wanted elsewhere.
const REFUSAL_TIME: Duration = Duration::from_secs(2);

/// What comes of a refusal's body within limits; a failure ends it.
pub(super) fn read_start(body: Body, config: &ChatConfig) -> Vec<u8> {
    let mut bytes = Vec::new();
    let longest = config.piece_timeout.unwrap_or(REFUSAL_TIME).min(REFUSAL_TIME);
    let until = Instant::now().checked_add(longest);
    // What was read before it failed is kept.
    let _ = read_until(until, || body.into_reader().take(REFUSAL).read_to_end(&mut bytes));
    bytes
}

pub(super) fn stopped() -> ChatError {
    ChatError::new(ErrorKind::Stopped, "a stopper ended the call")
}

fn redirected(to: &str) -> ChatError {
    // What comes after may be a secret.
    let to = to.split(['?', '#']).next().unwrap_or_default();
    let what = format_args!("it redirects to {to}, where keys are not sent: see the base URL");
    ChatError::new(ErrorKind::BadRequest, what)
}
