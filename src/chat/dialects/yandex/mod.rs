//! YandexGPT's own API, which came before the one that is compatible with OpenAI's.

mod answer;
mod request;

use std::fmt;
use std::ops::RangeInclusive;

use ureq::http::HeaderMap;

use super::super::dialect::{Ask, Dialect, HttpCall, Next};
use super::super::draft::Draft;
use super::super::error::ChatError;
use super::super::frames::{Frame, Framing};

/// Yandex Cloud's Foundation Models in their own REST API, `TextGeneration.Completion`. Made for
/// [`Provider::yandex`](crate::llm::Provider::yandex).
///
/// A [`ModelKey`](crate::keyed::ModelKey) names the model as `yandexgpt`, which is the folder's at
/// its version `latest`, as `yandexgpt/rc` with its version, or as a whole URI such as
/// `gpt://folder/yandexgpt/rc` or `ds://tuned`.
///
/// What is different here, by the API's own definition (`yandex-cloud/cloudapi`) and Yandex's
/// documentation:
///
/// - A stream may change its mind about what it said:
///   [`Piece::Rewrite`](crate::chat::Piece::Rewrite) is to be expected.
/// - Temperatures are 0 to 1. Stop texts, a seed and `top_p` are refused. Names of messages and
///   reasoning are not sent, and of a JSON schema its name is not.
/// - Tool calls have no ids there, and get [ids that count](crate::chat::ToolCall); a result goes
///   back under the name of the function, found by the id in the assistant's messages before it.
///   Arguments must be a JSON object. What an assistant says beside its tool calls becomes a message
///   of its own.
/// - The [extra](crate::chat::ChatRequest#structfield.extra) field `completionOptions`, if it is an
///   object, replaces only what it has, as in `{"reasoningOptions": {"mode": "ENABLED_HIDDEN"}}`.
/// - Of errors of the kind [`RateLimited`](crate::chat::ErrorKind::RateLimited), the code is
///   `concurrency` if too many answers were being made at a time (10, unless Yandex grants more:
///   lower `max_per_host`), and `rate` if too many requests came in some time.
/// - Clients are not checked, since nothing there answers a GET.
///
/// Yandex logs what is asked unless the header `x-data-logging-enabled: false` is set with
/// [`Provider::header`](crate::llm::Provider::header).
#[derive(Clone, Debug)]
pub struct Yandex {
    folder: String,
    folder_header: bool,
}

impl Yandex {
    /// With the models of the folder of this id.
    #[must_use]
    pub fn new(folder: impl Into<String>) -> Self {
        Self { folder: folder.into(), folder_header: false }
    }

    /// Whether the header `x-folder-id` is sent, which the IAM token of a user needs; Yandex's
    /// documentation says that those of service accounts are to be sent without. Default no.
    #[must_use]
    pub fn folder_header(mut self, send: bool) -> Self {
        self.folder_header = send;
        self
    }
}

/// How Yandex Cloud knows who asks. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum YandexAuth {
    /// The key of a service account, which does not expire by itself.
    ApiKey(String),
    /// An IAM token, which is good for 12 hours at most. A program that runs for longer wants
    /// [`TokenSource`](Self::TokenSource).
    IamToken(String),
    /// IAM tokens from the source that is given with
    /// [`Provider::tokens`](crate::llm::Provider::tokens), renewed in time. Without one, the server
    /// lets nobody in.
    TokenSource,
}

impl YandexAuth {
    /// The value of `Authorization`, if it is always the same.
    pub(crate) fn header(&self) -> Option<String> {
        match self {
            Self::ApiKey(key) => Some(format!("Api-Key {key}")),
            Self::IamToken(token) => Some(format!("Bearer {token}")),
            Self::TokenSource => None,
        }
    }
}

impl fmt::Debug for YandexAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ApiKey(_) => "ApiKey(***)",
            Self::IamToken(_) => "IamToken(***)",
            Self::TokenSource => "TokenSource",
        })
    }
}

impl Dialect for Yandex {
    fn request(&self, ask: &Ask<'_>, _: &Draft) -> Result<HttpCall, ChatError> {
        let call = HttpCall::post("completion", &request::body(ask, &self.folder)?)?;
        Ok(if self.folder_header { call.header("x-folder-id", &self.folder) } else { call })
    }

    fn answer(&self, body: &[u8], draft: &mut Draft) -> Result<Next, ChatError> {
        answer::whole(body, draft)
    }

    fn piece(&self, frame: Frame<'_>, draft: &mut Draft) -> Result<Next, ChatError> {
        answer::line(frame.data.as_bytes(), draft)
    }

    fn end(&self, draft: &mut Draft) -> Next {
        answer::end(draft)
    }

    fn framing(&self) -> Framing {
        Framing::Lines
    }

    fn error(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> ChatError {
        answer::named(ChatError::from_body(status, headers, body))
    }

    fn check_path(&self) -> Option<&str> {
        None
    }

    fn temperatures(&self) -> RangeInclusive<f64> {
        0.0..=1.0
    }
}
