//! Registries of WebSockets: how they are read, and their families.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use super::families::{part, whole};
use super::labels::Labels;
use super::row::count;
use super::sources::{Reading, Source};
use super::writer::Writer;
use crate::histogram::Histogram;
use crate::websocket::{CloseReason, SocketStats, WebSockets};

pub(super) struct Sockets {
    pub(super) name: String,
    pub(super) sockets: WebSockets,
}

impl Source for Sockets {
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&self, _: usize, to: &mut Reading) {
        let labels = Labels::of([("sockets", &self.name)]);
        *to.sockets.entry(labels).or_default() += &self.sockets.stats();
    }
}

/// What the series of one registry are read from.
#[derive(Default)]
pub(super) struct SocketRow {
    idle: u64,
    in_use: u64,
    connecting: u64,
    closing: u64,
    max: u64,
    waiting: u64,
    opened: u64,
    /// In the order of [`CloseReason::ALL`].
    closed: [u64; REASONS],
    reconnects_failed: u64,
    messages_sent: u64,
    messages_received: u64,
    bytes_sent: u64,
    bytes_received: u64,
    round_trips: Histogram,
}

const REASONS: usize = CloseReason::ALL.len();

/// Another registry that was added under the same name.
impl AddAssign<&SocketStats> for SocketRow {
    fn add_assign(&mut self, other: &SocketStats) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.idle, count(other.idle()));
        add(&mut self.in_use, count(other.in_use));
        add(&mut self.connecting, count(other.connecting));
        add(&mut self.closing, count(other.closing));
        add(&mut self.max, count(other.max_connections));
        add(&mut self.waiting, count(other.waiting));
        add(&mut self.opened, other.opened);
        for (sum, reason) in self.closed.iter_mut().zip(CloseReason::ALL) {
            add(sum, other.closed(reason));
        }
        add(&mut self.reconnects_failed, other.reconnects_failed);
        add(&mut self.messages_sent, other.messages_sent);
        add(&mut self.messages_received, other.messages_received);
        add(&mut self.bytes_sent, other.bytes_sent);
        add(&mut self.bytes_received, other.bytes_received);
        self.round_trips += &other.round_trips;
    }
}

pub(super) fn families(to: &mut Writer<'_, '_>, rows: &BTreeMap<Labels, SocketRow>) -> fmt::Result {
    let help = "WebSockets there are, by what they do.";
    to.gauge("llm_pool_sockets", help, rows, |row| {
        [
            part("state", "idle", row.idle),
            part("state", "in_use", row.in_use),
            part("state", "connecting", row.connecting),
        ]
    })?;
    to.gauge("llm_pool_sockets_max", "Most WebSockets there may be.", rows, |row| {
        [whole(row.max)]
    })?;
    let help = "WebSockets said good-bye to, which count for nothing else.";
    to.gauge("llm_pool_sockets_closing", help, rows, |row| [whole(row.closing)])?;
    let help = "Threads that wait for a WebSocket.";
    to.gauge("llm_pool_sockets_waiting", help, rows, |row| [whole(row.waiting)])?;
    let help = "WebSockets added or opened, again included.";
    to.counter("llm_pool_sockets_opened", help, rows, |row| [whole(row.opened)])?;
    let help = "WebSockets closed, by reason.";
    to.counter("llm_pool_sockets_closed", help, rows, |row| {
        let reasons = CloseReason::ALL.iter().zip(row.closed);
        reasons.map(|(why, closed)| part("reason", reason(*why), closed)).collect::<Vec<_>>()
    })?;
    let help = "Tries to open a lost WebSocket again that failed.";
    to.counter("llm_pool_sockets_reconnect_failures", help, rows, |row| {
        [whole(row.reconnects_failed)]
    })?;
    to.counter("llm_pool_sockets_messages", "Messages, by their way.", rows, |row| {
        [
            part("direction", "sent", row.messages_sent),
            part("direction", "received", row.messages_received),
        ]
    })?;
    let help = "Bytes of messages, by their way, without frames and TLS.";
    to.counter("llm_pool_sockets_bytes", help, rows, |row| {
        [
            part("direction", "sent", row.bytes_sent),
            part("direction", "received", row.bytes_received),
        ]
    })?;
    let help = "How long the pongs of pings took.";
    to.short_times("llm_pool_sockets_round_trip", help, rows, |row| &row.round_trips)
}

/// Words for queries, unlike those for people.
fn reason(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Removed => "removed",
        CloseReason::Replaced => "replaced",
        CloseReason::Evicted => "evicted",
        CloseReason::Unused => "idle_timeout",
        CloseReason::RegistryClosed => "registry_closed",
        CloseReason::ByPeer => "by_peer",
        CloseReason::Lost => "lost",
        CloseReason::NoPong => "no_pong",
        CloseReason::Stuck => "stuck",
        CloseReason::Protocol => "protocol",
        CloseReason::NotText => "not_text",
        CloseReason::TooLarge => "too_large",
        CloseReason::Flood => "too_many_pings",
    }
}
