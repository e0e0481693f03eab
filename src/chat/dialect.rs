//! How a provider is spoken to: the one trait behind every provider.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;

use serde::Serialize;
use serde_json::{Map, Value};
use ureq::http::HeaderMap;

use super::draft::Draft;
use super::error::ChatError;
use super::frames::{Frame, Framing};
use super::message::Message;
use super::models::{Embeddings, Model};
use super::request::{ChatRequest, ResponseFormat, Tool, ToolChoice};
use super::server_error;
use crate::keyed::ModelKey;

/// How a provider is spoken to.
///
/// A dialect does no input or output and keeps no state: what it must remember of a call is in the
/// call's [`Draft`]. It is asked for a request, then given the answer, whole or piece by piece, and
/// says whether that was all. Retries, time limits, leases, tokens and statistics are none of its
/// business.
///
/// ```
/// use llm_pool::chat::{Ask, ChatError, Dialect, Draft, Frame, HttpCall, Next};
/// use serde_json::{Value, json};
///
/// /// Asks with `{"prompt": ...}` and is answered with `{"answer": ...}`.
/// struct Plain;
///
/// impl Dialect for Plain {
///     fn request(&self, ask: &Ask<'_>, _: &Draft) -> Result<HttpCall, ChatError> {
///         let prompt: Vec<_> = ask.messages().iter().map(|said| said.content.as_str()).collect();
///         HttpCall::post("ask", &json!({"model": ask.model(), "prompt": prompt.join("\n")}))
///     }
///
///     fn answer(&self, body: &[u8], draft: &mut Draft) -> Result<Next, ChatError> {
///         let answer: Value = serde_json::from_slice(body).map_err(ChatError::malformed)?;
///         draft.push_text(answer["answer"].as_str().unwrap_or_default());
///         Ok(Next::Done)
///     }
///
///     fn piece(&self, frame: Frame<'_>, draft: &mut Draft) -> Result<Next, ChatError> {
///         if frame.data == "[DONE]" {
///             return Ok(Next::Done);
///         }
///         draft.push_text(frame.data);
///         Ok(Next::More)
///     }
/// }
/// ```
pub trait Dialect: Send + Sync + 'static {
    /// The request to send for `ask`: the first one of the call if the draft is empty, or the one
    /// that [`Next::Again`] asked for.
    ///
    /// # Errors
    /// [`ChatError::invalid`] for what the provider has no word for.
    fn request(&self, ask: &Ask<'_>, draft: &Draft) -> Result<HttpCall, ChatError>;

    /// Reads a whole answer of status 2xx.
    ///
    /// # Errors
    /// [`ChatError::malformed`] for what it does not understand, or what the provider says went
    /// wrong although the status does not.
    fn answer(&self, body: &[u8], draft: &mut Draft) -> Result<Next, ChatError>;

    /// Reads one piece of a streamed answer. Called for the answer to a call that wanted no stream
    /// too if that is one.
    ///
    /// # Errors
    /// As [`answer`](Self::answer).
    fn piece(&self, frame: Frame<'_>, draft: &mut Draft) -> Result<Next, ChatError>;

    /// The stream has ended, and nothing said that it was [`Done`](Next::Done). The default is that
    /// it was cut short, which is [`Next::More`]: more should have come.
    fn end(&self, draft: &mut Draft) -> Next {
        let _ = draft;
        Next::More
    }

    /// How a stream comes. Default server-sent events.
    fn framing(&self) -> Framing {
        Framing::Events
    }

    /// Says what an answer of another status than 2xx means. The default reads objects, strings
    /// and pages of the shapes that are commonly seen.
    fn error(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> ChatError {
        server_error::read(status, headers, body)
    }

    /// With `GET` of which path below the base URL a client is checked, unless
    /// [`Provider::check`](crate::llm::Provider::check) says otherwise. Default `models`; with
    /// none, not at all.
    fn check_path(&self) -> Option<&str> {
        Some("models")
    }

    /// The temperatures that the provider takes. Default 0 to 2.
    fn temperatures(&self) -> RangeInclusive<f64> {
        0.0..=2.0
    }

    /// Whether the provider knows a role that is not one of [`Role`](super::Role)'s own. Default no,
    /// so that such a message is refused.
    fn knows_role(&self, role: &str) -> bool {
        let _ = role;
        false
    }

    /// The request for embeddings of `texts`.
    ///
    /// # Errors
    /// By default that there are none here.
    fn embed(&self, model: &str, texts: &[&str]) -> Result<HttpCall, ChatError> {
        let _ = (model, texts);
        Err(ChatError::invalid("this dialect has no embeddings"))
    }

    /// Reads the answer to [`embed`](Self::embed).
    ///
    /// # Errors
    /// As [`answer`](Self::answer).
    fn embeddings(&self, body: &[u8]) -> Result<Embeddings, ChatError> {
        let _ = body;
        Err(ChatError::malformed("this dialect has no embeddings"))
    }

    /// The request for the list of models.
    ///
    /// # Errors
    /// By default that there is none here.
    fn list_models(&self) -> Result<HttpCall, ChatError> {
        Err(ChatError::invalid("this dialect has no list of models"))
    }

    /// Reads the answer to [`list_models`](Self::list_models).
    ///
    /// # Errors
    /// As [`answer`](Self::answer).
    fn models(&self, body: &[u8]) -> Result<Vec<Model>, ChatError> {
        let _ = body;
        Err(ChatError::malformed("this dialect has no list of models"))
    }
}

/// How a call goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// There is more to come in this answer.
    More,
    /// The answer is whole. What else the server sends is not looked at.
    Done,
    /// One more request is needed, and [`Dialect::request`] is asked for it. What is left of this
    /// answer is not looked at.
    Again,
}

/// What is to be asked: the request over the key.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    key: &'a ModelKey,
    request: &'a ChatRequest<'a>,
    streams: bool,
}

impl<'a> Ask<'a> {
    /// For a test of a [`Dialect`]: what a call with this key and this request asks.
    #[must_use]
    pub fn new(key: &'a ModelKey, request: &'a ChatRequest<'a>, streams: bool) -> Self {
        Self { key, request, streams }
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &'a str {
        self.key.model()
    }

    /// The conversation, of at least one message.
    #[must_use]
    pub fn messages(&self) -> &'a [Message] {
        &self.request.messages
    }

    /// Whether the answer is wanted as a stream.
    #[must_use]
    pub fn streams(&self) -> bool {
        self.streams
    }

    /// The request's temperature, or else the key's.
    #[must_use]
    pub fn temperature(&self) -> Option<f64> {
        self.request.temperature.or(self.key.get_temperature())
    }

    /// The request's, or else the key's.
    #[must_use]
    pub fn top_p(&self) -> Option<f64> {
        self.request.top_p.or(self.key.get_top_p())
    }

    /// The request's, or else the key's.
    #[must_use]
    pub fn max_tokens(&self) -> Option<u32> {
        self.request.max_tokens.or(self.key.get_max_tokens())
    }

    /// What ends the answer.
    #[must_use]
    pub fn stop(&self) -> &'a [String] {
        &self.request.stop
    }

    /// For answers that can be had again.
    #[must_use]
    pub fn seed(&self) -> Option<i64> {
        self.request.seed
    }

    /// What the answer must be.
    #[must_use]
    pub fn response_format(&self) -> &'a ResponseFormat {
        &self.request.response_format
    }

    /// What the model may want called.
    #[must_use]
    pub fn tools(&self) -> &'a [Tool] {
        &self.request.tools
    }

    /// Whether it must.
    #[must_use]
    pub fn tool_choice(&self) -> &'a ToolChoice {
        &self.request.tool_choice
    }

    /// The further fields: the request's, and those of the key's parameters that it has not, be it
    /// here or as a setting: a `seed` of the key's gives way to [`seed`](Self::seed). A parameter,
    /// which is text, is passed as the JSON that it is, or else as text.
    #[must_use]
    pub fn extra(&self) -> Cow<'a, Map<String, Value>> {
        if self.key.params().len() == 0 {
            return Cow::Borrowed(&self.request.extra);
        }
        let mut extra = self.request.extra.clone();
        for (name, text) in self.key.params().filter(|(name, _)| !self.request.sets(name)) {
            let value = || serde_json::from_str(text).unwrap_or_else(|_| text.into());
            extra.entry(name).or_insert_with(value);
        }
        Cow::Owned(extra)
    }
}

/// A request as a dialect wants it sent, below the provider's base URL and with its headers.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpCall {
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    /// A GET if there is none.
    pub(super) body: Option<Vec<u8>>,
}

impl HttpCall {
    /// `POST path` with `body` as JSON.
    ///
    /// # Errors
    /// [`ChatError::invalid`] for what is no JSON, such as a map of which a key is no text.
    pub fn post(path: impl Into<String>, body: &impl Serialize) -> Result<Self, ChatError> {
        // Most requests fit, so that it does not grow.
        let mut bytes = Vec::with_capacity(1024);
        serde_json::to_writer(&mut bytes, body).map_err(ChatError::invalid)?;
        Ok(Self { path: path.into(), headers: Vec::new(), body: Some(bytes) })
    }

    /// `GET path`.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self { path: path.into(), headers: Vec::new(), body: None }
    }

    /// Below the base URL.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The JSON; none for a GET.
    #[must_use]
    pub fn body(&self) -> Option<&[u8]> {
        self.body.as_deref()
    }

    /// The headers that were added, as names and values.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl fmt::Debug for HttpCall {
    /// Neither what is asked nor the values of headers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("HttpCall")
            .field("path", &self.path)
            .field("headers", &headers)
            .field("body_bytes", &self.body.as_ref().map(Vec::len))
            .finish()
    }
}
