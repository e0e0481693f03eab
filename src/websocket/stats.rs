//! Figures of a registry.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::error::CloseReason;
use crate::Histogram;

/// Figures of a registry at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SocketStats {
    /// The registry's name.
    pub name: Arc<str>,
    /// Sockets there are, those being opened included.
    pub total_connections: usize,
    /// How many there may be.
    pub max_connections: usize,
    /// Their ids, in order.
    pub connection_ids: Vec<Arc<str>>,
    /// Held by a lease.
    pub in_use: usize,
    /// Being opened, for the first time or again.
    pub connecting: usize,
    /// Said good-bye to, waiting for the peer's answer. They count for nothing else.
    pub closing: usize,
    /// Threads that wait for a socket.
    pub waiting: usize,
    /// Sockets that were added or opened so far, again included.
    pub opened: u64,
    /// Tries to open a lost one again that failed.
    pub reconnects_failed: u64,
    /// Messages of callers that went out, or wait to.
    pub messages_sent: u64,
    /// Messages that came.
    pub messages_received: u64,
    /// Bytes of those that went out, without frames and TLS.
    pub bytes_sent: u64,
    /// Bytes of those that came.
    pub bytes_received: u64,
    /// How long pongs took. Those of the background checks are seen when it next looks, which is
    /// after 1 ms at first and up to 50 ms later.
    pub round_trips: Histogram,
    pub(super) closed: [u64; CloseReason::ALL.len()],
}

impl SocketStats {
    /// How many nobody holds and nobody opens.
    #[must_use]
    pub fn idle(&self) -> usize {
        let taken = self.in_use.saturating_add(self.connecting);
        self.total_connections.saturating_sub(taken)
    }

    /// How many were closed so far for this reason.
    #[must_use]
    pub fn closed(&self, reason: CloseReason) -> u64 {
        let at = CloseReason::ALL.iter().position(|one| *one == reason);
        at.and_then(|at| self.closed.get(at)).copied().unwrap_or(0)
    }

    /// How many were closed so far, in all.
    #[must_use]
    pub fn closed_total(&self) -> u64 {
        self.closed.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Half of all pings were answered within this.
    #[must_use]
    pub fn ping_p50(&self) -> Option<Duration> {
        self.round_trips.p50()
    }

    /// 95 in 100 pings were answered within this.
    #[must_use]
    pub fn ping_p95(&self) -> Option<Duration> {
        self.round_trips.p95()
    }

    /// 99 in 100 pings were answered within this.
    #[must_use]
    pub fn ping_p99(&self) -> Option<Duration> {
        self.round_trips.p99()
    }
}

/// What all sockets of a registry count together, without a lock.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    sent: Flow,
    received: Flow,
}

#[derive(Debug, Default)]
struct Flow {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Traffic {
    pub(super) fn sent(&self, bytes: usize) {
        self.sent.add(bytes);
    }

    pub(super) fn received(&self, bytes: usize) {
        self.received.add(bytes);
    }

    /// Messages and bytes out, messages and bytes in.
    pub(super) fn read(&self) -> [u64; 4] {
        let Self { sent, received } = self;
        [&sent.messages, &sent.bytes, &received.messages, &received.bytes].map(|n| n.load(Relaxed))
    }
}

impl Flow {
    // Counts guard no other memory.
    fn add(&self, bytes: usize) {
        self.messages.fetch_add(1, Relaxed);
        self.bytes.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Relaxed);
    }
}

/// How a pass of health checks went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// Pinged, or waited for since an earlier ping.
    pub checked: usize,
    /// Of these, those whose pong came.
    pub answered: usize,
    /// Of these, those that ended: lost, closed by the peer, or without a pong.
    pub ended: usize,
    /// In use, so left alone, or taken by a holder before the pong was seen.
    pub left_alone: usize,
}
