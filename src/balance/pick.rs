//! A call under way, and what is known of it before.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Time;

use super::Shared;
use super::book::Ticket;
use super::books::{End, Ended};
use super::outcome::{Cause, Failure, Outcome};
use super::random::hash;
use super::rate_limits::RateLimits;

/// An endpoint picked for one call, which counts as in use until this is reported or dropped.
///
/// Report what came of the call, once. Dropped without a report it counts as abandoned, which says
/// nothing about the endpoint; of a probe it lets the next call probe.
#[must_use = "dropped at once, it counts as an abandoned call"]
pub struct Pick<T> {
    shared: Arc<Shared<T>>,
    ticket: Ticket,
    began: Time,
    tokens: Option<u64>,
    /// Until it has ended.
    open: bool,
}

impl<T> Pick<T> {
    pub(super) fn new(shared: Arc<Shared<T>>, ticket: Ticket, began: Time) -> Self {
        Self { shared, ticket, began, tokens: None, open: true }
    }

    /// The [value](super::Endpoint#structfield.value) of the endpoint.
    #[must_use]
    pub fn value(&self) -> &T {
        // The place of a ticket is always that of an endpoint.
        &self.shared.values[self.ticket.index]
    }

    /// The name of the endpoint.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.shared.fixed[self.ticket.index].name
    }

    /// The place of the endpoint among all, for [`Call::tried`].
    #[must_use]
    pub fn index(&self) -> usize {
        self.ticket.index
    }

    /// Whether this call finds out if the endpoint has recovered. A good call to make is one that
    /// can be repeated elsewhere; until its end, or until it is [answered](Self::answered), the
    /// endpoint gets no other.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.ticket.probe
    }

    /// Says of a probe that it is answered, though not to the end: its endpoint is back in service,
    /// and this call goes on as any other. For a stream whose first piece has come, which may take
    /// minutes to its last. Does nothing to a call that is no probe.
    pub fn answered(&mut self) {
        if !self.ticket.probe {
            return;
        }
        let shared = &*self.shared;
        let now = shared.clock.now();
        let change = shared.books.lock().prove(&mut self.ticket, now);
        shared.tell(self.ticket.index, change);
    }

    /// Says what the endpoint told of its own limits, with its answer to this call. They are kept to
    /// from now on, together with [`Limits`](super::Limits) of ours.
    pub fn told(&mut self, limits: &RateLimits) {
        let shared = &*self.shared;
        let now = shared.clock.now();
        shared.books.lock().told(&self.ticket, limits, now);
    }

    /// Says how many tokens the call used, its question and its answer together, before it is
    /// reported. Without it, what was [reserved](Call::tokens) stands.
    pub fn used(&mut self, tokens: u64) {
        self.tokens = Some(tokens);
    }

    /// How long ago it was picked: the latency that [`success`](Self::success) would report.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.shared.clock.now().since(self.began)
    }

    /// Says what came of the call.
    pub fn report(mut self, outcome: Outcome) {
        self.end(Some(outcome), false);
    }

    /// Says that nothing of the call came to the endpoint: it counts as abandoned, and not towards
    /// the endpoint's rates.
    pub fn unsent(mut self) {
        self.end(None, true);
    }

    /// Reports [`Outcome::Success`].
    pub fn success(self) {
        self.report(Outcome::Success);
    }

    /// Reports [`Outcome::Failure`], of a [`Cause`] or a [`Failure`].
    pub fn failure(self, failure: impl Into<Failure>) {
        self.report(Outcome::Failure(failure.into()));
    }

    fn end(&mut self, outcome: Option<Outcome>, unsent: bool) {
        if !std::mem::replace(&mut self.open, false) {
            return;
        }
        let shared = &*self.shared;
        let now = shared.clock.now();
        let took = now.since(self.began);
        let failed = matches!(outcome, Some(Outcome::Failure(_)));
        let chance = if failed { shared.random.fraction() } else { 0.0 };
        let load = &shared.loads[self.ticket.index];
        let end = End { outcome, tokens: self.tokens, unsent };
        let Ended { change, cap } =
            shared.books.lock().end(self.ticket, end, took, load, now, chance);
        shared.tell(self.ticket.index, change);
        shared.tell_cap(self.ticket.index, cap);
    }
}

impl<T> Drop for Pick<T> {
    fn drop(&mut self) {
        self.end(None, false);
    }
}

impl<T> fmt::Debug for Pick<T> {
    /// Not the value, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pick")
            .field("name", self.name())
            .field("probe", &self.ticket.probe)
            .finish_non_exhaustive()
    }
}

/// What the picking needs to know of a call. The default is a call of its own that has tried
/// nothing.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Call<'a> {
    pub(super) tried: &'a [usize],
    pub(super) key: Option<u64>,
    pub(super) tokens: Option<u64>,
}

impl<'a> Call<'a> {
    /// A call of its own that has tried nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Endpoints not to pick, by [index](Pick::index): those this call has tried.
    #[must_use]
    pub fn tried(mut self, tried: &'a [usize]) -> Self {
        self.tried = tried;
        self
    }

    /// What calls have in common that should go to one endpoint, such as a conversation's name. The
    /// same text finds the same endpoint in every process. For [`Sticky`](super::Sticky).
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.key_hash(hash(key))
    }

    /// The same, hashed already.
    #[must_use]
    pub fn key_hash(mut self, key: u64) -> Self {
        self.key = Some(key);
        self
    }

    /// How many tokens it may use, its question and its answer together: so many must be left of
    /// the endpoint's [rate](super::Limits#structfield.tokens_per_minute), or all that there can be,
    /// for the call to begin. Without it, what the endpoint's calls used of late.
    #[must_use]
    pub fn tokens(mut self, tokens: u64) -> Self {
        self.tokens = Some(tokens);
        self
    }
}

impl From<Cause> for Outcome {
    fn from(cause: Cause) -> Self {
        Self::Failure(cause.into())
    }
}
