//! What the requests made with the items of a pool came to.

use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

use super::stats::mean;
use crate::histogram::Histogram;
use crate::setters::setters;

/// What the requests made with the items of a pool came to, as far as its
/// [`Manage`](crate::Manage) counts them; that of yours sets by chaining what it counts.
///
/// ```
/// use llm_pool::RequestStats;
///
/// let counted = RequestStats::default().requests(40).failures(1);
/// assert_eq!(counted.success_rate(), Some(0.975));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestStats {
    /// Requests that ended, well or not.
    pub requests: u64,
    /// Those that failed.
    pub failures: u64,
    /// Connections opened for them: fewer than `requests` as far as connections were used again.
    pub connections: u64,
    /// All time spent waiting for answers, over all of `requests`.
    pub response_time: Duration,
    /// The same of each one.
    pub response: Histogram,
    /// Answers by the class of their status: first those of 1xx, last those of 5xx and above.
    pub by_class: [u64; 5],
    /// Requests that had no answer.
    pub unanswered: u64,
    /// Of calls to a model: tries after the first, at another endpoint included.
    pub retries: u64,
    /// Of calls to a model, as far as the provider tells: tokens of what was asked.
    pub tokens_in: u64,
    /// And of what was answered, reasoning included.
    pub tokens_out: u64,
}

setters! {
    RequestStats {
        requests: u64,
        failures: u64,
        connections: u64,
        response_time: Duration,
        response: Histogram,
        by_class: [u64; 5],
        unanswered: u64,
        retries: u64,
        tokens_in: u64,
        tokens_out: u64,
    }
}

impl RequestStats {
    /// The share that succeeded, 0 to 1; `None` before the first request.
    #[must_use]
    pub fn success_rate(&self) -> Option<f64> {
        let good = self.requests.saturating_sub(self.failures);
        (self.requests > 0).then(|| good as f64 / self.requests as f64)
    }

    /// The mean time to an answer; `None` before the first request.
    #[must_use]
    pub fn mean_response_time(&self) -> Option<Duration> {
        mean(self.response_time, self.requests)
    }
}

/// Of several managers together.
impl AddAssign<&Self> for RequestStats {
    fn add_assign(&mut self, other: &Self) {
        // By name, so that a new count cannot be forgotten.
        let Self {
            requests,
            failures,
            connections,
            response_time,
            response,
            by_class,
            unanswered,
            retries,
            tokens_in,
            tokens_out,
        } = other;
        let add = |sum: &mut u64, more: &u64| *sum = sum.saturating_add(*more);
        add(&mut self.requests, requests);
        add(&mut self.failures, failures);
        add(&mut self.connections, connections);
        self.response_time = self.response_time.saturating_add(*response_time);
        self.response += response;
        self.by_class.iter_mut().zip(by_class).for_each(|(sum, more)| add(sum, more));
        add(&mut self.unanswered, unanswered);
        add(&mut self.retries, retries);
        add(&mut self.tokens_in, tokens_in);
        add(&mut self.tokens_out, tokens_out);
    }
}

impl fmt::Display for RequestStats {
    /// Part of a line for a log or a console.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, failures, connections, .. } = self;
        write!(f, "requests {requests}, failures {failures}, connections {connections}")?;
        let mean = self.mean_response_time();
        mean.map_or(Ok(()), |mean| write!(f, ", mean response time {mean:.1?}"))
    }
}
