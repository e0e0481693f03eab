//! How a call went, as far as its endpoint is concerned.

use std::fmt;
use std::time::Duration;

/// How a call went: what [`Pick::report`](super::Pick::report) is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Served. The latency is the time from the pick to the report.
    Success,
    /// Served, with this for its latency: the time to the first piece of a stream, say, when the
    /// report comes at the stream's end.
    SuccessIn(Duration),
    /// Not served.
    Failure(Failure),
}

/// A failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// Why.
    pub cause: Cause,
    /// For how long the endpoint asks to be left alone. It then rests at once, at least that long,
    /// at most a day. Default none; zero is none.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// Sets [`retry_after`](Self#structfield.retry_after).
    #[must_use]
    pub fn retry_after(mut self, retry_after: impl Into<Option<Duration>>) -> Self {
        self.retry_after = retry_after.into();
        self
    }

    /// What the endpoint asks for, within reason.
    pub(super) fn asked(&self) -> Option<Duration> {
        let asked = self.retry_after.filter(|_| self.cause.counts())?;
        // A slip of the endpoint's, such as a date in the next century, must not end it for good.
        (!asked.is_zero()).then_some(asked.min(DAY))
    }
}

const DAY: Duration = Duration::from_secs(24 * 3600);

impl From<Cause> for Failure {
    fn from(cause: Cause) -> Self {
        Self { cause, retry_after: None }
    }
}

/// Why a call failed, and with that what it says about the endpoint's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The key is not accepted, such as status 401. Rests at once.
    Unauthorized,
    /// The key is not allowed this, such as status 403. Rests at once.
    Forbidden,
    /// The model or path is not there, such as status 404. Rests at once.
    NotFound,
    /// Too many calls, such as status 429. Rests at once.
    RateLimited,
    /// No connection could be had. Rests at once.
    ConnectRefused,
    /// The endpoint failed, such as status 500. Counts towards the ratio.
    Server,
    /// The endpoint has too much to do, whoever asks: status 503 and 529. Counts towards the ratio.
    Overloaded,
    /// It took too long. Counts towards the ratio.
    TimedOut,
    /// The connection broke or the answer made no sense. Counts towards the ratio.
    Broken,
    /// The call itself was wrong: status 400, 413, 422, or content that is refused. Says nothing
    /// about the endpoint and never counts.
    Client,
}

impl Cause {
    /// All of them.
    pub const ALL: &'static [Cause] = &[
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::RateLimited,
        Self::ConnectRefused,
        Self::Server,
        Self::Overloaded,
        Self::TimedOut,
        Self::Broken,
        Self::Client,
    ];

    /// Whether one such failure is enough for the endpoint to rest.
    pub(crate) const fn rests_at_once(self) -> bool {
        matches!(
            self,
            Self::Unauthorized
                | Self::Forbidden
                | Self::NotFound
                | Self::RateLimited
                | Self::ConnectRefused
        )
    }

    /// Whether it says anything about the endpoint's health: all but [`Client`](Self::Client).
    pub(crate) const fn counts(self) -> bool {
        !matches!(self, Self::Client)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not found",
            Self::RateLimited => "rate limited",
            Self::ConnectRefused => "connection refused",
            Self::Server => "server error",
            Self::Overloaded => "overloaded",
            Self::TimedOut => "timed out",
            Self::Broken => "broken",
            Self::Client => "client error",
        })
    }
}
