//! Whom a call may have, and what to do if nobody.

use std::sync::Arc;

use crate::clock::Time;

use super::error::{NotReady, PickError};

/// Whom a call may have.
pub(super) enum Offer {
    /// It must probe this one.
    Probe(usize),
    /// One of these.
    Choose {
        places: Arc<[u32]>,
        well: usize,
    },
    /// None now.
    None(Nothing),
    AllTried,
}

/// Why a call can have no endpoint now.
#[derive(Default)]
pub(super) struct Nothing {
    pub(super) why: NotReady,
    /// When, by time alone, the first is ready.
    pub(super) earliest: Option<Time>,
    /// Whether others who wait before may want every one of them.
    pub(super) behind: bool,
}

impl Nothing {
    /// Until when to wait before looking again; `None` where that is of no use.
    pub(super) fn wait_until(&self, now: Time, deadline: Time) -> Option<Time> {
        let in_time = self.earliest.filter(|at| *at <= deadline);
        if deadline <= now || (in_time.is_none() && !self.why.may_end_at_any_time()) {
            return None;
        }
        // Who stands behind another is woken when that one has gone.
        Some(in_time.filter(|_| !self.behind).unwrap_or(deadline))
    }

    pub(super) fn error(self, name: Arc<str>, now: Time) -> PickError {
        let earliest = self.earliest.map(|at| at.since(now));
        PickError::NoneReady { name, earliest, why: self.why }
    }
}
