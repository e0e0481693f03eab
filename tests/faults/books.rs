//! What became of every lease, for these tests and for the example `soak`.

// Each of them uses its own part of this, and reports by panicking, as tests do.
#![allow(dead_code)]

use std::fmt;

use llm_pool::{EvictReason, Stats};

/// The leases of a pool none of which is out, by how they ended. Items must not end by age, by
/// `resize` or `reset`, or by their pool's end while they are leased: of those the statistics do not
/// tell whether they were leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Books {
    pub gets: u64,
    pub put_back: u64,
    pub discarded: u64,
    pub detached: u64,
    /// Stopped, used up, or held by a thread that panicked.
    pub failed: u64,
}

impl Books {
    pub fn of(stats: &Stats) -> Self {
        let failed = [EvictReason::Broken, EvictReason::Panicked, EvictReason::Uses];
        Self {
            gets: stats.gets,
            put_back: stats.put_back,
            discarded: stats.evicted_for(EvictReason::Discarded),
            detached: stats.detached,
            failed: failed.iter().map(|reason| stats.evicted_for(*reason)).sum(),
        }
    }

    pub fn balance(&self) -> bool {
        self.gets == self.put_back + self.discarded + self.detached + self.failed
    }
}

impl fmt::Display for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gets, put_back, discarded, detached, failed } = self;
        write!(
            f,
            "gets {gets} = put back {put_back} + discarded {discarded} + detached {detached} \
             + failed {failed}"
        )
    }
}

/// What is wrong with a pool that nobody uses; none if it is whole.
pub fn problem(stats: &Stats) -> Option<String> {
    let (books, size) = (Books::of(stats), stats.size());
    let under_way = stats.in_use + stats.creating + stats.checking + stats.waiting;
    let told = format!("{stats}; {books}");
    if under_way > 0 {
        return Some(format!("something is still under way: {told}"));
    }
    if !books.balance() {
        return Some(format!("a lease is unaccounted for: {told}"));
    }
    if stats.created != stats.evicted + stats.detached + size as u64 {
        return Some(format!("an item is unaccounted for: {told}"));
    }
    (size > stats.max_size).then(|| format!("more items than slots: {told}"))
}

#[track_caller]
pub fn assert_whole(stats: &Stats) {
    assert_eq!(problem(stats), None);
}
