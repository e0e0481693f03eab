//! Who holds a lease: kept with every leased slot, for leak reports and for telling a thread
//! that it may be waiting for itself.

use std::cell::Cell;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sync::thread::{self, Thread};
use crate::sync::thread_local;

/// The thread and the source line that took a lease.
#[derive(Clone, Debug)]
pub(crate) struct Holder {
    thread: ThreadTag,
    /// Only where leaks are reported: naming a thread costs more than the rest of a get.
    named: Option<Thread>,
    place: &'static Location<'static>,
}

impl Holder {
    /// The calling thread, at `place`.
    #[inline]
    pub(crate) fn here(place: &'static Location<'static>, named: bool) -> Self {
        Self { thread: ThreadTag::current(), named: named.then(thread::current), place }
    }

    pub(crate) fn thread(&self) -> ThreadTag {
        self.thread
    }

    pub(crate) fn place(&self) -> &'static Location<'static> {
        self.place
    }

    pub(crate) fn thread_name(&self) -> &str {
        self.named.as_ref().and_then(Thread::name).unwrap_or("unnamed")
    }
}

/// A thread's number: like `ThreadId`, but had in a nanosecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThreadTag(u64);

thread_local! {
    static TAG: Cell<u64> = const { Cell::new(0) };
    /// Leases, of any pool, that this thread took and has not itself dropped. Never too low: a
    /// lease dropped by another thread stays counted, which only costs a closer look.
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

impl ThreadTag {
    #[inline]
    pub(crate) fn current() -> Self {
        // A thread whose locals are already gone counts as one of its own, number 0.
        let known = TAG.try_with(Cell::get).unwrap_or(0);
        if known != 0 { Self(known) } else { Self::new() }
    }

    #[cold]
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let tag = NEXT.fetch_add(1, Ordering::Relaxed);
        match TAG.try_with(|own| own.set(tag)) {
            Ok(()) => Self(tag),
            Err(_) => Self(0),
        }
    }

    /// Notes that the calling thread took a lease.
    #[inline]
    pub(crate) fn note_taken() {
        let _ = TAKEN.try_with(|taken| taken.set(taken.get() + 1));
    }

    /// Notes that the calling thread dropped a lease that this thread had taken.
    #[inline]
    pub(crate) fn note_dropped(self) {
        if self == Self::current() {
            let _ = TAKEN.try_with(|taken| taken.set(taken.get().saturating_sub(1)));
        }
    }

    /// Whether the calling thread may hold a lease of any pool; false is certain.
    pub(crate) fn may_hold() -> bool {
        TAKEN.try_with(Cell::get).unwrap_or(0) > 0
    }
}
