//! What is known of one endpoint: its health, its limits and what was counted of it.

use std::time::Duration;

use crate::clock::Time;

use super::cooldown::Cooldown;
use super::histogram::Recent;
use super::limits::{Room, Share};
use super::load::Load;
use super::stats::{EndpointStats, Failures, Health, Why};
use super::strategy::Fixed;
use super::window::Window;

pub(super) struct Book {
    pub(super) state: State,
    /// Changes with each rest and return, so that a call which began before either is known for
    /// what it is: it says nothing about the endpoint as it is now.
    pub(super) generation: u64,
    /// Rests in a row.
    pub(super) rests_in_a_row: u32,
    pub(super) well_since: Time,
    /// Failed so that it should rest, and could not be spared. Logged once.
    pub(super) kept: bool,
    pub(super) window: Window,
    pub(super) room: Room,
    pub(super) picks: u64,
    pub(super) successes: u64,
    pub(super) failures: Failures,
    pub(super) abandoned: u64,
    pub(super) rests: u64,
    pub(super) recent: Recent,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum State {
    Well,
    /// From `until` on, a call may probe it.
    Resting {
        until: Time,
        why: Why,
    },
    Probing {
        why: Why,
    },
}

/// Of a call under way.
#[derive(Clone, Copy)]
pub(super) struct Ticket {
    pub(super) index: usize,
    pub(super) generation: u64,
    pub(super) probe: bool,
    pub(super) share: Share,
}

impl Book {
    pub(super) fn new(cooldown: &Cooldown, room: Room, now: Time) -> Self {
        Self {
            state: State::Well,
            generation: 0,
            rests_in_a_row: 0,
            well_since: now,
            kept: false,
            window: Window::new(cooldown.window),
            room,
            picks: 0,
            successes: 0,
            failures: Failures::default(),
            abandoned: 0,
            rests: 0,
            recent: Recent::new(now),
        }
    }

    pub(super) fn is_due(&self, now: Time) -> bool {
        matches!(self.state, State::Resting { until, .. } if until <= now)
    }

    pub(super) fn stats(&mut self, fixed: &Fixed, load: &Load, now: Time) -> EndpointStats {
        let seconds = |secs| Duration::try_from_secs_f64(secs).unwrap_or(Duration::MAX);
        let [p50, p95, p99] = self.recent.quantiles([0.5, 0.95, 0.99], now);
        let (health, why) = match self.state {
            State::Well => (Health::Well, None),
            State::Resting { until, why } => {
                (Health::Resting { remaining: until.since(now) }, Some(why))
            }
            State::Probing { why } => (Health::Probing, Some(why)),
        };
        let (requests_left, tokens_left) = self.room.left(now);
        EndpointStats {
            name: fixed.name.clone(),
            picks: self.picks,
            successes: self.successes,
            failures: self.failures.clone(),
            abandoned: self.abandoned,
            in_use: load.in_use(),
            max_in_use: self.room.most(),
            requests_left,
            tokens_left,
            limited: self.room.limited_until(now).map(|until| until.since(now)),
            latency: load.ewma().map(seconds),
            p50,
            p95,
            p99,
            rests: self.rests,
            health,
            why,
        }
    }
}
