//! What this process holds of what can leak, for these tests and for the example `soak`.

// Each of them uses its own part of this.
#![allow(dead_code)]

use std::fmt;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// As Linux counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub threads: usize,
    pub descriptors: usize,
    /// Of memory that no file is behind.
    pub kib: usize,
}

impl Held {
    /// None on systems that do not tell.
    pub fn now() -> Option<Self> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let number = |name: &str| -> Option<usize> {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        // Less the one that reads the list.
        let descriptors = fs::read_dir("/proc/self/fd").ok()?.count().checked_sub(1)?;
        Some(Self { threads: number("Threads:")?, descriptors, kib: number("RssAnon:")? })
    }

    /// Once all that is about to end has ended: when nothing more has changed for a moment.
    pub fn at_rest() -> Option<Self> {
        let (began, mut held, mut same) = (Instant::now(), Self::now()?, 0);
        while same < 10 && began.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(10));
            let now = Self::now()?;
            let counts = |held: &Self| (held.threads, held.descriptors);
            same = if counts(&now) == counts(&held) { same + 1 } else { 0 };
            held = now;
        }
        Some(held)
    }

    /// What of it is more than `before`, but for so many KiB of memory; none if nothing is. Threads
    /// and descriptors have `patience` to end.
    pub fn more_than(before: Self, allowed_kib: usize, patience: Duration) -> Option<String> {
        let began = Instant::now();
        loop {
            let now = Self::now()?;
            let ended = now.threads <= before.threads && now.descriptors <= before.descriptors;
            if ended && now.kib <= before.kib + allowed_kib {
                return None;
            }
            // Memory does not come back by waiting.
            if ended || began.elapsed() > patience {
                return Some(format!("{before}, and then {now}"));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { threads, descriptors, kib } = self;
        write!(f, "{threads} threads, {descriptors} descriptors, {kib} KiB")
    }
}
