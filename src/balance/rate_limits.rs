//! What an endpoint says may still be asked of it.

use std::time::Duration;

/// What may still be asked of an endpoint, as it says itself with an answer; all none where it says
/// nothing.
///
/// With the feature `chat` it is read from the headers of an answer:
/// `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` (OpenAI, LiteLLM and others) and
/// `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimits {
    /// Of requests.
    pub requests: RateLimit,
    /// Of tokens, those of questions and answers together.
    pub tokens: RateLimit,
    /// Of tokens of questions.
    pub input_tokens: RateLimit,
    /// Of tokens of answers.
    pub output_tokens: RateLimit,
}

/// One limit of an endpoint's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimit {
    /// So much in a time that the endpoint knows.
    pub limit: Option<u64>,
    /// So much of it is left.
    pub remaining: Option<u64>,
    /// In so long, counted from when this is read, all of it is there again.
    pub reset: Option<Duration>,
}

impl RateLimit {
    /// Whether the endpoint says anything of it.
    #[must_use]
    pub fn is_known(&self) -> bool {
        *self != Self::default()
    }
}
