//! What a call says of its endpoint.

use crate::agent::{Came, Last};
use crate::balance::{Cause, Failure, Outcome, Pick, RateLimits};
use crate::chat::{ChatError, ErrorKind, Usage};
use crate::keyed::ModelKey;

/// Tells the endpoint's limits what the head of an answer says of them.
pub(super) fn tell_limits(pick: &mut Pick<ModelKey>, limits: &RateLimits) {
    // Most say nothing, and telling takes a lock.
    if *limits != RateLimits::default() {
        pick.told(limits);
    }
}

/// And what the whole answer used, if it says.
pub(super) fn tell_usage(pick: &mut Pick<ModelKey>, usage: Usage) {
    if usage.total() > 0 {
        pick.used(usage.total());
    }
}

/// What an error says of its endpoint.
pub(super) fn failure(error: &ChatError) -> Failure {
    let cause = match error.kind() {
        ErrorKind::Unauthorized if error.status() == Some(403) => Cause::Forbidden,
        ErrorKind::Unauthorized => Cause::Unauthorized,
        ErrorKind::NotFound => Cause::NotFound,
        ErrorKind::RateLimited | ErrorKind::Quota => Cause::RateLimited,
        ErrorKind::Unreachable => Cause::ConnectRefused,
        ErrorKind::Server if is_overload(error.status()) => Cause::Overloaded,
        ErrorKind::Server => Cause::Server,
        ErrorKind::TimedOut => Cause::TimedOut,
        ErrorKind::Broken | ErrorKind::CutShort | ErrorKind::Stalled | ErrorKind::Malformed => {
            Cause::Broken
        }
        ErrorKind::Invalid
        | ErrorKind::NoLease
        | ErrorKind::Stopped
        | ErrorKind::TooLong
        | ErrorKind::ContentRefused
        | ErrorKind::BadRequest
        | ErrorKind::TooLarge => Cause::Client,
    };
    Failure::from(cause).retry_after(error.retry_after())
}

/// 529 is what Anthropic has for 503: <https://docs.anthropic.com/en/api/errors>.
fn is_overload(status: Option<u16>) -> bool {
    matches!(status, Some(503 | 529))
}

/// What the last request of a lease says; `None` if there was none that says anything.
pub(super) fn outcome(last: &Last) -> Option<Outcome> {
    let last = last.read()?;
    let cause = match last.came {
        Came::Status(status) => of_status(status),
        Came::NoConnection => Some(Cause::ConnectRefused),
        Came::TimedOut => Some(Cause::TimedOut),
        Came::Broken => Some(Cause::Broken),
    };
    Some(match cause {
        Some(cause) => Outcome::Failure(Failure::from(cause).retry_after(last.retry_after)),
        None => Outcome::SuccessIn(last.took),
    })
}

/// As [`failure`] has it, where the status alone says so: whoever is told what was wrong with his
/// request was served.
fn of_status(status: u16) -> Option<Cause> {
    Some(match status {
        401 => Cause::Unauthorized,
        403 => Cause::Forbidden,
        404 => Cause::NotFound,
        402 | 429 => Cause::RateLimited,
        status if is_overload(Some(status)) => Cause::Overloaded,
        408 | 500.. => Cause::Server,
        _ => return None,
    })
}
