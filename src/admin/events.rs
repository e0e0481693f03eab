//! The last events, in words.

use jiff::Timestamp;
use serde::Serialize;

use crate::balance::EndpointChange;
use crate::key_error::OneLine;
use crate::pool::{EvictReason, StateChange};
#[cfg(feature = "websocket")]
use crate::websocket::SocketChange;
use crate::{Event, EventKind, EventLog};

/// How many are told.
const SHOWN: usize = 100;

#[derive(Serialize)]
pub(super) struct EventText {
    at: String,
    pool: String,
    kind: &'static str,
    text: String,
    /// Whether somebody may have to do something about it.
    bad: bool,
}

/// The newest first.
pub(super) fn last(log: &EventLog) -> Vec<EventText> {
    log.last(SHOWN).iter().map(EventText::of).collect()
}

impl EventText {
    fn of(event: &Event) -> Self {
        let at = Timestamp::try_from(event.at).unwrap_or(Timestamp::UNIX_EPOCH);
        Self {
            at: format!("{at:.3}"),
            pool: OneLine(&event.pool).to_string(),
            kind: event.what.name(),
            text: OneLine(&event.what.to_string()).to_string(),
            bad: is_bad(&event.what),
        }
    }
}

fn is_bad(what: &EventKind) -> bool {
    match what {
        EventKind::CreateFailed { .. } | EventKind::TimedOut { .. } => true,
        EventKind::Evicted(reason) => {
            matches!(reason, EvictReason::Broken | EvictReason::Panicked | EvictReason::Unhealthy)
        }
        EventKind::Changed(change) => matches!(
            change,
            StateChange::Unhealthy { .. }
                | StateChange::CheckGivenUp { .. }
                | StateChange::Leak { .. }
        ),
        EventKind::Endpoint(change) => !matches!(change, EndpointChange::Back),
        #[cfg(feature = "websocket")]
        EventKind::Socket { change, .. } => matches!(
            change,
            SocketChange::Lost { .. }
                | SocketChange::ReconnectFailed { .. }
                | SocketChange::GivenUp { .. }
        ),
        EventKind::Created { .. } | EventKind::Detached { .. } => false,
    }
}
