//! What stands between an agent and its requests: counts them, keeps how the last one went, and
//! holds them to the deadline of the lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ureq::http::{Request, Response};
use ureq::middleware::{Middleware, MiddlewareNext};
use ureq::{Body, Error, RequestExt, SendBody, Timeout};

use super::deadline::{Deadline, Until};
use super::trace;
#[cfg(feature = "chat")]
use super::{last::Last, pooled::Stop};
use crate::RequestStats;
use crate::histogram::SharedHistogram;

/// The middleware of one agent.
pub(super) struct Watch {
    pub(super) deadline: Deadline,
    /// The agent's own, which a later deadline takes the place of.
    pub(super) total_timeout: Option<Duration>,
    pub(super) totals: Arc<Totals>,
    #[cfg(feature = "chat")]
    pub(super) stop: Arc<Stop>,
    #[cfg(feature = "chat")]
    pub(super) last: Last,
}

/// Marks, as an extension, a request that is neither counted nor held to a deadline.
#[derive(Clone, Copy)]
pub(super) struct Unwatched;

/// Marks, as an extension, a request whose total time-out is its own and was chosen with the
/// deadline in view.
#[derive(Clone, Copy)]
pub(crate) struct OwnTotal;

impl Middleware for Watch {
    fn handle(
        &self,
        request: Request<SendBody>,
        next: MiddlewareNext,
    ) -> Result<Response<Body>, Error> {
        if request.extensions().get::<Unwatched>().is_some() {
            return Until::NEVER.hold(|| next.handle(request));
        }
        let until = self.deadline.until();
        let own_total = request.extensions().get::<OwnTotal>().is_some();
        let began = Instant::now();
        let remaining = until.remaining();
        let (answer, trace) = trace::of(|| match remaining {
            // Before anything could be lost: the connection stays.
            Some(Duration::ZERO) => Err(Error::Timeout(Timeout::Global)),
            Some(remaining)
                if !own_total && self.total_timeout.is_some_and(|total| total < remaining) =>
            {
                without_total(request).and_then(|request| until.hold(|| next.handle(request)))
            }
            _ => until.hold(|| next.handle(request)),
        });
        let took = began.elapsed();
        self.totals.count(took, status_of(&answer), trace.opened);
        #[cfg(feature = "chat")]
        match &answer {
            // It came too late to be sent.
            Err(_) if remaining == Some(Duration::ZERO) => {}
            Err(_) if self.stop.is_set() => self.last.keep_stopped(),
            _ => self.last.keep(&answer, trace, took),
        }
        answer
    }
}

/// The request without a total time-out: nobody tells whether it is the agent's or its own.
fn without_total(request: Request<SendBody>) -> Result<Request<SendBody>, Error> {
    let config = request.middleware_config();
    let config = config.ok_or_else(|| Error::Other("a request without its agent".into()))?;
    Ok(config.timeout_global(None).build())
}

fn status_of(answer: &Result<Response<Body>, Error>) -> Option<u16> {
    match answer {
        Ok(response) => Some(response.status().as_u16()),
        // A request can ask for this in place of an answer.
        Err(Error::StatusCode(status)) => Some(*status),
        Err(_) => None,
    }
}

fn is_failure(status: Option<u16>) -> bool {
    status.is_none_or(|status| status >= 500 || matches!(status, 408 | 429))
}

/// What the requests of the agents that share it came to.
#[derive(Default)]
pub(crate) struct Totals {
    by_class: [AtomicU64; 5],
    unanswered: AtomicU64,
    failures: AtomicU64,
    connections: AtomicU64,
    response: SharedHistogram,
    retries: AtomicU64,
    tokens_in: AtomicU64,
    tokens_out: AtomicU64,
}

impl Totals {
    // Relaxed, here and below: sums that guard no other memory.
    fn count(&self, took: Duration, status: Option<u16>, opened: u64) {
        // There is none below 100; what is above all classes is as good as the last.
        let class = status.map(|status| usize::from(status / 100).saturating_sub(1).min(4));
        let answers = class.and_then(|class| self.by_class.get(class));
        answers.unwrap_or(&self.unanswered).fetch_add(1, Relaxed);
        if is_failure(status) {
            self.failures.fetch_add(1, Relaxed);
        }
        if opened > 0 {
            self.connections.fetch_add(opened, Relaxed);
        }
        self.response.add(took);
    }

    /// A try of a call to a model that is not its first.
    #[cfg(feature = "chat")]
    pub(crate) fn count_retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    /// What a provider says that a call took.
    #[cfg(feature = "chat")]
    pub(crate) fn count_tokens(&self, asked: Option<u64>, answered: Option<u64>) {
        for (sum, more) in [(&self.tokens_in, asked), (&self.tokens_out, answered)] {
            if let Some(more) = more {
                // Cannot fail: the closure always answers.
                let _ = sum.fetch_update(Relaxed, Relaxed, |sum| Some(sum.saturating_add(more)));
            }
        }
    }

    /// Each sum read for itself, so that a request which ends meanwhile may be in some only.
    pub(super) fn read(&self) -> RequestStats {
        // First, so that they are not more than there are requests.
        let failures = self.failures.load(Relaxed);
        let by_class = self.by_class.each_ref().map(|answers| answers.load(Relaxed));
        let unanswered = self.unanswered.load(Relaxed);
        let response = self.response.read();
        RequestStats {
            requests: by_class.iter().sum::<u64>() + unanswered,
            failures,
            connections: self.connections.load(Relaxed),
            response_time: response.sum(),
            response,
            by_class,
            unanswered,
            retries: self.retries.load(Relaxed),
            tokens_in: self.tokens_in.load(Relaxed),
            tokens_out: self.tokens_out.load(Relaxed),
        }
    }
}
