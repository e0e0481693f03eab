//! How the last request of a lease went, for who must tell an endpoint's health by it.
//!
//! One number, so that a request costs a store and no lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use ureq::http::{HeaderMap, Response, header};
use ureq::{Body, Error, Timeout};

use super::trace::Trace;

/// Of one agent. Clones share it.
///
/// From the lowest bit: 10 for what came, 17 for the seconds of `Retry-After`, 37 for the
/// microseconds that it took.
#[derive(Clone, Default)]
pub(crate) struct Last(Arc<AtomicU64>);

/// How a request went, up to the head of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastRequest {
    pub(crate) came: Came,
    /// What the server asks for, in whole seconds; up to a day and a half.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) took: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    Status(u16),
    NoConnection,
    TimedOut,
    Broken,
}

const CODE_BITS: u32 = 10;
const ASKED_BITS: u32 = 17;
const MOST_ASKED: u64 = (1 << ASKED_BITS) - 1;
const MOST_TOOK: u64 = (1 << (64 - CODE_BITS - ASKED_BITS)) - 1;

impl Last {
    // Relaxed, here and below: it guards no other memory, and a lease that goes to another thread
    // takes what was stored before along.
    #[inline]
    pub(super) fn clear(&self) {
        self.0.store(0, Relaxed);
    }

    /// Whether no request was sent since the agent was lent.
    pub(crate) fn is_unused(&self) -> bool {
        self.0.load(Relaxed) == 0
    }

    /// `None` if there was no request since the agent was lent, or the last one says nothing.
    pub(crate) fn read(&self) -> Option<LastRequest> {
        let bits = self.0.load(Relaxed);
        let came = match bits & ((1 << CODE_BITS) - 1) {
            0 | STOPPED => return None,
            NO_CONNECTION => Came::NoConnection,
            TIMED_OUT => Came::TimedOut,
            BROKEN => Came::Broken,
            status => Came::Status(u16::try_from(status).unwrap_or_default()),
        };
        let asked = (bits >> CODE_BITS) & MOST_ASKED;
        let retry_after = (asked > 0).then_some(Duration::from_secs(asked));
        let took = Duration::from_micros(bits >> (CODE_BITS + ASKED_BITS));
        Some(LastRequest { came, retry_after, took })
    }

    /// For a request that its caller ended, which says nothing.
    pub(super) fn keep_stopped(&self) {
        self.0.store(STOPPED, Relaxed);
    }

    /// Keeps how a request went, if that says anything about who was asked.
    pub(super) fn keep(
        &self,
        answer: &Result<Response<Body>, Error>,
        trace: Trace,
        took: Duration,
    ) {
        let (code, asked) = match answer {
            Ok(response) => (response.status().as_u16().into(), asked(response.headers())),
            // A request can ask for this in place of an answer.
            Err(Error::StatusCode(status)) => ((*status).into(), 0),
            // There was no request.
            Err(Error::BadUri(_) | Error::Http(_) | Error::RequireHttpsOnly(_)) => return,
            Err(Error::Timeout(Timeout::Resolve | Timeout::Connect)) => (NO_CONNECTION, 0),
            Err(Error::Timeout(_)) => (TIMED_OUT, 0),
            Err(_) if trace.sent == 0 => (NO_CONNECTION, 0),
            Err(_) => (BROKEN, 0),
        };
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).min(MOST_TOOK);
        let bits = code | asked << CODE_BITS | took << (CODE_BITS + ASKED_BITS);
        self.0.store(bits, Relaxed);
    }
}

// Less than any status.
const NO_CONNECTION: u64 = 1;
const TIMED_OUT: u64 = 2;
const BROKEN: u64 = 3;
const STOPPED: u64 = 4;

/// A date is left to who reads the answer.
fn asked(headers: &HeaderMap) -> u64 {
    let text = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let asked = text.and_then(|text| text.trim().parse::<u64>().ok());
    asked.unwrap_or_default().min(MOST_ASKED)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICROS: fn(u64) -> Duration = Duration::from_micros;

    fn kept(answer: Result<Response<Body>, Error>, sent: u64, took: Duration) -> Last {
        let last = Last::default();
        last.keep(&answer, Trace { sent, ..Trace::default() }, took);
        last
    }

    fn answer(status: u16, retry_after: &str) -> Result<Response<Body>, Error> {
        let response = Response::builder().status(status).header("retry-after", retry_after);
        Ok(response.body(Body::builder().data("")).unwrap())
    }

    #[test]
    fn what_came_what_was_asked_for_and_how_long_it_took_is_kept_whatever_the_numbers() {
        for (status, text, asked) in [
            (200, "", None),
            (429, "0", None),
            (503, " 7 ", Some(7)),
            (999, "99999999999999", Some(MOST_ASKED)),
            (100, "Wed, 21 Oct 2026 07:28:00 GMT", None),
        ] {
            for (took, read) in [
                (Duration::ZERO, Duration::ZERO),
                (MICROS(1_234_567), MICROS(1_234_567)),
                (Duration::MAX, MICROS(MOST_TOOK)),
            ] {
                let last = kept(answer(status, text), 1, took);
                let retry_after = asked.map(Duration::from_secs);
                let wanted = LastRequest { came: Came::Status(status), retry_after, took: read };
                assert_eq!(last.read(), Some(wanted));
                last.clear();
                assert_eq!(last.read(), None);
            }
        }
    }

    #[test]
    fn a_failure_is_told_by_how_far_the_request_came() {
        let io = || Error::Io(std::io::ErrorKind::ConnectionReset.into());
        for (error, sent, came) in [
            (Error::StatusCode(404), 1, Some(Came::Status(404))),
            (Error::Timeout(Timeout::Connect), 0, Some(Came::NoConnection)),
            (Error::Timeout(Timeout::Global), 0, Some(Came::TimedOut)),
            (io(), 0, Some(Came::NoConnection)),
            (io(), 1, Some(Came::Broken)),
            (Error::BadUri("x".into()), 0, None),
        ] {
            let said = format!("{error}");
            let read = kept(Err(error), sent, Duration::ZERO).read();
            assert_eq!(read.map(|last| last.came), came, "{said}");
        }
    }
}
