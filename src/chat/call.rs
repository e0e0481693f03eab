//! One request to a provider and its answer: the path that every call takes.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use ureq::{Body, Error, RequestBuilder, Timeout};

use super::config::ChatConfig;
use super::dialect::{Dialect, HttpCall};
use super::error::{ChatError, Seen};
use super::error_kind::ErrorKind;
use super::failure::{read_start, stopped};
use super::models::{Embeddings, Model};
use super::retry::Began;
use super::token::{Sendable, SharedToken};
use crate::agent::headers::visible;
use crate::agent::trace::{self, Trace};
use crate::agent::{OwnTotal, PooledAgent, bounded};
use crate::keyed::{BaseUrl, ModelKey};

/// How a provider is to be spoken to.
pub(crate) struct Service {
    pub(crate) dialect: Arc<dyn Dialect>,
    pub(crate) tokens: Option<SharedToken>,
    pub(crate) config: ChatConfig,
}

/// A client with all that it needs for a call.
#[derive(Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) agent: &'a PooledAgent,
    pub(crate) key: &'a ModelKey,
    pub(crate) base: &'a BaseUrl,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) service: &'a Service,
}

/// When a try must have ended; never if nothing says.
#[derive(Clone, Copy)]
pub(super) struct Until {
    pub(super) at: Option<Instant>,
    /// By the caller or the lease, in place of the total time-out.
    pub(super) is_given: bool,
}

/// An answer of status 2xx, before its body was read.
pub(super) struct Answered {
    pub(super) response: Response<Body>,
    pub(super) connecting: Option<Duration>,
    pub(super) first_byte: Duration,
}

impl Line<'_> {
    /// Sends a request, which began at `began`, and waits for its answer. A `stream` is read with
    /// pauses of any length.
    pub(super) fn exchange(
        &self,
        call: &HttpCall,
        until: Until,
        began: Instant,
        stream: bool,
    ) -> Result<Answered, ChatError> {
        let mut renewed = false;
        loop {
            let sent = self.send_with_token(call, until, stream);
            let (token, response, trace) = sent.map_err(|error| match renewed {
                // It has refused the token before.
                true => error.with_seen(Seen::Yes),
                false => error,
            })?;
            let status = response.status().as_u16();
            if (200..300).contains(&status) {
                let connecting = (trace.opened > 0).then_some(trace.connecting);
                return Ok(Answered { response, connecting, first_byte: began.elapsed() });
            }
            if let (401, Some(tokens), Some(token)) = (status, &self.service.tokens, &token) {
                tokens.refused(&token.value);
                if !renewed && !token.fresh {
                    renewed = true;
                    // Read, so that its connection can be used again.
                    let _ = read_start(response.into_body(), &self.service.config);
                    continue;
                }
            }
            let token = token.as_ref().map(|token| &*token.value);
            return Err(self.refused(response, token, call));
        }
    }

    fn send_with_token(
        &self,
        call: &HttpCall,
        until: Until,
        stream: bool,
    ) -> Result<(Option<Sendable>, Response<Body>, Trace), ChatError> {
        if self.agent.is_stopped() {
            return Err(stopped());
        }
        let token = match &self.service.tokens {
            Some(tokens) => Some(tokens.get(self.left(until.at))?),
            None => None,
        };
        let authorization = token.as_ref().map(|token| &*token.value);
        let (response, trace) = self.send(call, authorization, until, stream)?;
        Ok((token, response, trace))
    }

    /// A try begins.
    pub(super) fn note_try(&self, began: Began) {
        if began.tries > 0 {
            self.agent.totals().count_retry();
        }
    }

    /// Texts as vectors.
    pub(crate) fn embed(&self, texts: &[&str], began: Began) -> Result<Embeddings, ChatError> {
        let dialect = &self.service.dialect;
        self.whole(
            || {
                if texts.iter().any(|text| text.is_empty()) || texts.is_empty() {
                    return Err(ChatError::invalid("there must be texts, and none may be empty"));
                }
                dialect.embed(self.key.model(), texts)
            },
            |body| {
                let made = dialect.embeddings(body)?;
                let (wanted, came) = (texts.len(), made.vectors.len());
                if wanted != came {
                    let what = format_args!("{wanted} vectors should have come, and {came} did");
                    return Err(ChatError::malformed(what));
                }
                if made.vectors.iter().any(Vec::is_empty) {
                    return Err(ChatError::malformed("an empty vector came"));
                }
                self.agent.totals().count_tokens(made.usage.input, made.usage.output);
                Ok(made)
            },
            began,
        )
        .map_err(|error| self.told(error, texts, began))
    }

    /// The models that there are.
    pub(crate) fn models(&self, began: Began) -> Result<Vec<Model>, ChatError> {
        let dialect = &self.service.dialect;
        self.whole(|| dialect.list_models(), |body| dialect.models(body), began)
            .map_err(|error| self.told(error, &[], began))
    }

    fn whole<T>(
        &self,
        call: impl FnOnce() -> Result<HttpCall, ChatError>,
        read: impl FnOnce(&[u8]) -> Result<T, ChatError>,
        began: Began,
    ) -> Result<T, ChatError> {
        self.note_try(began);
        let now = Instant::now();
        let until = self.until(began, now);
        let (head, body) = self.exchange(&call()?, until, now, false)?.response.into_parts();
        let read = self.read(&head.headers, body, until).and_then(|body| read(&body));
        read.map_err(|error| error.of_begun(head.status.as_u16()))
    }

    /// Reads a whole body.
    pub(super) fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
        until: Until,
    ) -> Result<Vec<u8>, ChatError> {
        let max = self.service.config.max_answer;
        let told = headers.get(header::CONTENT_LENGTH);
        let told = told.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if told.is_some_and(|length| length > max) {
            return Err(too_large(max));
        }
        match read_to_limit(body, max, told) {
            Ok(Some(body)) => Ok(body),
            Ok(None) => Err(too_large(max)),
            Err(error) => Err(self.broken_body(error, until, ErrorKind::Broken)),
        }
    }

    fn send(
        &self,
        call: &HttpCall,
        authorization: Option<&HeaderValue>,
        until: Until,
        stream: bool,
    ) -> Result<(Response<Body>, Trace), ChatError> {
        let url = self.base.join(&call.path);
        let own = headers_of(call)?;
        let mut may_be_stale = self.service.config.retry_stale;
        let mut sent_before = 0;
        loop {
            let total = self.left(until.at);
            if total.is_some_and(|total| total.is_zero()) {
                let seen = if sent_before > 0 { Seen::Maybe } else { Seen::No };
                return Err(self.timed_out(Timeout::Global, until).with_seen(seen));
            }
            let limits = Limits { total, pause: self.service.config.piece_timeout, stream };
            let (sent, mut trace) = trace::of(|| match &call.body {
                Some(body) => {
                    let request = self.agent.post(&url).content_type("application/json");
                    self.prepared(request, &own, authorization, limits).send(&body[..])
                }
                None => self.prepared(self.agent.get(&url), &own, authorization, limits).call(),
            });
            let silent = trace.opened == 0 && trace.sent > 0 && trace.received == 0;
            let broke = matches!(&sent, Err(error) if !matches!(error, Error::Timeout(_)));
            if may_be_stale && silent && broke && !self.agent.is_stopped() {
                may_be_stale = false;
                sent_before = trace.sent;
                continue;
            }
            trace.sent += sent_before;
            return match sent {
                Ok(response) => Ok((response, trace)),
                Err(error) => Err(self.no_answer(error, trace, call, until)),
            };
        }
    }

    fn prepared<B>(
        &self,
        mut request: RequestBuilder<B>,
        own: &HeaderMap,
        authorization: Option<&HeaderValue>,
        limits: Limits,
    ) -> RequestBuilder<B> {
        // None for a URL that is none, which the call will say.
        if let Some(headers) = request.headers_mut() {
            if self.headers.contains_key(header::CONTENT_TYPE) {
                headers.remove(header::CONTENT_TYPE);
            }
            for (name, value) in self.headers {
                headers.append(name.clone(), value.clone());
            }
            if limits.stream {
                // Compressed pieces come when the compressor has enough of them.
                headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            }
            for (name, value) in own {
                headers.insert(name.clone(), value.clone());
            }
            if let Some(value) = authorization {
                headers.insert(header::AUTHORIZATION, value.clone());
            }
        }
        let pause = if limits.stream { None } else { bounded(limits.pause) };
        request
            .extension(OwnTotal)
            .config()
            // The headers are for this server only.
            .max_redirects(0)
            .timeout_global(bounded(limits.total))
            .timeout_per_read(pause)
            .build()
    }

    /// The lease's deadline or the caller's, whichever comes first.
    pub(crate) fn given_until(&self, until: Option<Instant>) -> Option<Instant> {
        self.left(until).and_then(|left| Instant::now().checked_add(left))
    }

    /// When a try that begins now must have ended.
    pub(super) fn until(&self, began: Began, now: Instant) -> Until {
        let total = || now.checked_add(self.service.config.total_timeout?);
        Until { at: began.until.or_else(total), is_given: began.until.is_some() }
    }

    /// What is left of both.
    fn left(&self, until: Option<Instant>) -> Option<Duration> {
        let own = until.map(|at| at.saturating_duration_since(Instant::now()));
        match (self.agent.remaining(), own) {
            (Some(lease), Some(own)) => Some(lease.min(own)),
            (lease, own) => lease.or(own),
        }
    }
}

#[derive(Clone, Copy)]
struct Limits {
    total: Option<Duration>,
    pause: Option<Duration>,
    stream: bool,
}

/// Those that the dialect adds.
fn headers_of(call: &HttpCall) -> Result<HeaderMap, ChatError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &call.headers {
        let named: Option<HeaderName> = name.parse().ok();
        let Some((named, value)) = named.zip(visible(value)) else {
            let what = format_args!("the header {name} must have a name and be visible ASCII");
            return Err(ChatError::invalid(what));
        };
        headers.insert(named, value);
    }
    Ok(headers)
}

pub(super) fn too_large(max: usize) -> ChatError {
    let what = format_args!("it has more than max_answer ({max} bytes)");
    ChatError::new(ErrorKind::TooLarge, what)
}

/// All of a body, or `None` if it has more than `max` bytes.
fn read_to_limit(body: Body, max: usize, told: Option<usize>) -> io::Result<Option<Vec<u8>>> {
    // Room for all that is told, and to see that there is no more; the rest grows as it comes.
    let mut bytes = Vec::with_capacity(told.unwrap_or(1024).min(1 << 20) + 32);
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    body.into_reader().take(limit).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() <= max))
}
