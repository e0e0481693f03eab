//! What a model answered, and where the time went.

use std::fmt;
use std::iter::Sum;
use std::ops::AddAssign;
use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::http::HeaderMap;

use crate::balance::RateLimits;

use super::draft::Draft;
use super::headers;
use super::message::{Message, Role, ToolCall};
use super::rate_limits::rate_limits;

/// A whole answer.
#[derive(Clone)]
pub struct ChatReply {
    pub(super) draft: Draft,
    pub(super) headers: HeaderMap,
    pub(super) timing: Timing,
    pub(super) tries: u32,
}

/// Why a model stopped.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Finish {
    /// It had said all, or came to a stop text.
    Stop,
    /// It had no tokens left.
    Length,
    /// It wants tools called.
    ToolCalls,
    /// The provider held it back.
    ContentFilter,
    /// Anything else, as the provider calls it.
    Other(String),
}

/// How many tokens a call took, as far as the provider says. Those of several calls can be added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Of what was asked.
    pub input: Option<u64>,
    /// Of the answer, reasoning included.
    pub output: Option<u64>,
    /// Of both, where the provider says it.
    pub told_total: Option<u64>,
    /// Of the input, those that the provider had in a cache.
    pub cached: Option<u64>,
    /// Of the output, those of the reasoning.
    pub reasoning: Option<u64>,
}

/// Where the time of a call went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// Waiting for a client of the pool; zero for all but the first call with a lease.
    pub waited: Duration,
    /// Opening a connection, TLS included; `None` if an open one was used.
    pub connecting: Option<Duration>,
    /// From the start of the try that was answered until the headers of the answer were there.
    pub first_byte: Duration,
    /// From the start of that try until the first piece of a stream was there, be it text,
    /// reasoning or part of a tool call; `None` for an answer that came whole.
    pub first_piece: Option<Duration>,
    /// From the call to the last byte of the answer, all tries and the pauses between them
    /// included.
    pub total: Duration,
}

impl ChatReply {
    /// What the model said; empty if it only wants tools called.
    #[must_use]
    pub fn text(&self) -> &str {
        self.draft.text()
    }

    /// The same, to keep.
    #[must_use]
    pub fn into_text(self) -> String {
        self.draft.text
    }

    /// The text as JSON of your own. A model may have put more around it, such as a fence of
    /// backticks, unless a [`ResponseFormat`](super::ResponseFormat) holds it to JSON.
    ///
    /// # Errors
    /// It is no such JSON.
    pub fn json<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.text())
    }

    /// What the model thought, where the provider tells; may be empty.
    #[must_use]
    pub fn reasoning(&self) -> Option<&str> {
        self.draft.reasoning.as_deref()
    }

    /// The tools that the model wants called.
    #[must_use]
    pub fn tool_calls(&self) -> &[ToolCall] {
        &self.draft.tool_calls
    }

    /// Why the model stopped; `None` if the provider does not say.
    #[must_use]
    pub fn finish(&self) -> Option<&Finish> {
        self.draft.finish.as_ref()
    }

    /// How many tokens it took.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.draft.usage
    }

    /// The model that answered, by the provider's name for it.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.draft.model.as_deref()
    }

    /// The answer's own id.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.draft.id.as_deref()
    }

    /// What the provider wants to know when asked about this call.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        headers::request_id(&self.headers)
    }

    /// What may still be asked, where the provider tells.
    #[must_use]
    pub fn rate_limits(&self) -> RateLimits {
        rate_limits(&self.headers)
    }

    /// A header of the answer; of several of one name the first.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Where the time went.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// How many tries it took, from 1.
    #[must_use]
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// The answer as the next message of the conversation, with its reasoning and tool calls.
    #[must_use]
    pub fn to_message(&self) -> Message {
        Message {
            reasoning: self.draft.reasoning.clone(),
            tool_calls: self.draft.tool_calls.clone(),
            ..Message::new(Role::Assistant, self.text())
        }
    }
}

impl Usage {
    /// What was asked and what was answered; zero if the provider says neither.
    #[must_use]
    pub fn total(&self) -> u64 {
        let sum = || self.input.unwrap_or(0).saturating_add(self.output.unwrap_or(0));
        self.told_total.unwrap_or_else(sum)
    }
}

impl AddAssign for Usage {
    /// What one of the two does not say counts as zero.
    fn add_assign(&mut self, other: Self) {
        let sum = |one: Option<u64>, two: Option<u64>| match (one, two) {
            (Some(one), Some(two)) => Some(one.saturating_add(two)),
            (one, two) => one.or(two),
        };
        let told = self.told_total.or(other.told_total);
        *self = Self {
            input: sum(self.input, other.input),
            output: sum(self.output, other.output),
            told_total: told.map(|_| self.total().saturating_add(other.total())),
            cached: sum(self.cached, other.cached),
            reasoning: sum(self.reasoning, other.reasoning),
        };
    }
}

impl Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(usages: I) -> Self {
        usages.fold(Self::default(), |mut sum, usage| {
            sum += usage;
            sum
        })
    }
}

impl Finish {
    /// As OpenAI calls it; any other as its provider does.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Other(reason) => reason,
        }
    }
}

impl From<&str> for Finish {
    /// From OpenAI's names.
    fn from(reason: &str) -> Self {
        match reason {
            "stop" => Self::Stop,
            "length" => Self::Length,
            "tool_calls" | "function_call" => Self::ToolCalls,
            "content_filter" => Self::ContentFilter,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for Finish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ChatReply {
    /// Not the headers, which may hold a cookie.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatReply")
            .field("text", &self.text())
            .field("tool_calls", &self.tool_calls())
            .field("finish", &self.finish())
            .field("usage", &self.usage())
            .field("model", &self.model())
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}
