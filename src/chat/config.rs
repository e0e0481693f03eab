//! The settings of calls.

use std::time::Duration;

use crate::ConfigError;
use crate::error::Problems;
use crate::setters::setters;

/// How models are called. Part of [`LlmConfig`](crate::llm::LlmConfig), or of one
/// [`Provider`](crate::llm::Provider::chat).
///
/// Zero is refused as a time limit; none is no limit. The time to connect is
/// [`connect_timeout`](crate::agent::AgentConfig#structfield.connect_timeout) of the agents, and to
/// the first byte of an answer [`first_byte_timeout`](crate::agent::AgentConfig#structfield.first_byte_timeout):
/// 10 s and none unless set.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ChatConfig {
    /// How long one try may take, from the look-up of the name to the last byte of the answer, also
    /// if the provider wants several requests for it. In place of the agents' own. The deadline of a
    /// lease or a request stands in its place, sooner or later. Default 600 s.
    pub total_timeout: Option<Duration>,
    /// How long a stream may bring nothing new once something came, whatever comments the server
    /// sends meanwhile; and how long the server may pause in the midst of a whole answer. Default
    /// 60 s.
    pub piece_timeout: Option<Duration>,
    /// Most bytes of an answer, after decompression. Default 32 MiB.
    pub max_answer: usize,
    /// How often a call that failed is tried again: after status 408, 409, 429 and 5xx, and when the
    /// connection could not be had or broke. Zero for never. Default 2.
    pub max_retries: u32,
    /// The pause before the second try, which doubles with every further one; each pause is
    /// shortened by chance, by up to a quarter. What the server asks for stands in its place; more
    /// than 120 s is not waited for. Default 0.5 s.
    pub first_pause: Duration,
    /// The longest pause, unless the server asks for a longer one. Default 8 s.
    pub max_pause: Duration,
    /// Tries once more at once, and does not count it, if a connection that had been used before
    /// broke before anything came: commonly the server had closed it meanwhile. It may also have
    /// seen the request. Default yes.
    pub retry_stale: bool,
}

impl Default for ChatConfig {
    fn default() -> Self {
        Self {
            total_timeout: Some(Duration::from_secs(600)),
            piece_timeout: Some(Duration::from_secs(60)),
            max_answer: 32 << 20,
            max_retries: 2,
            first_pause: Duration::from_millis(500),
            max_pause: Duration::from_secs(8),
            retry_stale: true,
        }
    }
}

setters! {
    ChatConfig {
        total_timeout: impl Into<Option<Duration>>,
        piece_timeout: impl Into<Option<Duration>>,
        max_answer: usize,
        max_retries: u32,
        first_pause: Duration,
        max_pause: Duration,
        retry_stale: bool,
    }
}

impl ChatConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let mut problems = Problems::of("ChatConfig");
        problems.zero(self.total_timeout, "total_timeout");
        problems.zero(self.piece_timeout, "piece_timeout");
        problems.unless(self.max_answer > 0, "max_answer", "must be at least 1 byte");
        problems.unless(
            self.first_pause <= self.max_pause,
            "first_pause",
            format_args!(
                "must be at most max_pause ({:?}), is {:?}",
                self.max_pause, self.first_pause
            ),
        );
        problems.check()
    }
}
