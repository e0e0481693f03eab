//! What the requests of a thread did on the network, for those who must know how far one came.
//!
//! `ureq` tells of a failed request neither whether it was sent nor whether its connection was new.
//! The connector counts both here, and whoever makes a request looks before and after.

use std::cell::Cell;
use std::time::Duration;

thread_local! {
    static TOTAL: Cell<Trace> = const { Cell::new(Trace::NONE) };
}

/// Counts of what the calling thread did, for whichever agents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trace {
    /// Connections opened.
    pub(crate) opened: u64,
    /// Spent opening connections, also those that failed: TCP, proxy and TLS.
    pub(crate) connecting: Duration,
    /// Writes to a connection.
    pub(crate) sent: u64,
    /// Reads from a connection that brought something.
    pub(crate) received: u64,
}

impl Trace {
    const NONE: Self = Self { opened: 0, connecting: Duration::ZERO, sent: 0, received: 0 };

    pub(super) fn connected(&mut self, opened: bool, took: Duration) {
        self.opened += u64::from(opened);
        self.connecting = self.connecting.saturating_add(took);
    }

    fn since(self, before: Self) -> Self {
        Self {
            opened: self.opened - before.opened,
            connecting: self.connecting.saturating_sub(before.connecting),
            sent: self.sent - before.sent,
            received: self.received - before.received,
        }
    }
}

/// What `request`, run on this thread, does.
pub(crate) fn of<T>(request: impl FnOnce() -> T) -> (T, Trace) {
    let before = TOTAL.get();
    let done = request();
    (done, TOTAL.get().since(before))
}

pub(super) fn add(what: impl FnOnce(&mut Trace)) {
    let mut total = TOTAL.get();
    what(&mut total);
    TOTAL.set(total);
}
