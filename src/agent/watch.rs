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
        self.totals.count(took, is_failure(&answer), trace.opened);
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

fn is_failure(answer: &Result<Response<Body>, Error>) -> bool {
    let status = match answer {
        Ok(response) => response.status().as_u16(),
        // A request can ask for this in place of an answer.
        Err(Error::StatusCode(status)) => *status,
        Err(_) => return true,
    };
    status >= 500 || matches!(status, 408 | 429)
}

/// What the requests of the agents that share it came to.
#[derive(Default)]
pub(super) struct Totals {
    requests: AtomicU64,
    failures: AtomicU64,
    connections: AtomicU64,
    nanos: AtomicU64,
}

impl Totals {
    // Relaxed, here and below: sums that guard no other memory.
    fn count(&self, took: Duration, failed: bool, opened: u64) {
        self.requests.fetch_add(1, Relaxed);
        if failed {
            self.failures.fetch_add(1, Relaxed);
        }
        if opened > 0 {
            self.connections.fetch_add(opened, Relaxed);
        }
        self.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Each sum read for itself, so that a request which ends meanwhile may be in some only.
    pub(super) fn read(&self) -> RequestStats {
        RequestStats {
            requests: self.requests.load(Relaxed),
            failures: self.failures.load(Relaxed),
            connections: self.connections.load(Relaxed),
            response_time: Duration::from_nanos(self.nanos.load(Relaxed)),
        }
    }
}
