//! All endpoints together: who can have which, and what a call's end comes to. Knows no clock and
//! takes no lock: it is told the time, and says what changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::Time;

use super::book::{Book, State, Ticket};
use super::cap::Changed;
use super::cooldown::Cooldown;
use super::limits::{Limits, Room, Taken};
use super::load::Load;
use super::offer::{Nothing, Offer};
use super::outcome::{Cause, Failure, Outcome};
use super::pick::Call;
use super::queue::{Place, Queue};
use super::rate_limits::RateLimits;
use super::stats::{EndpointStats, Why};
use super::strategy::Fixed;

pub(super) struct Books {
    cooldown: Cooldown,
    decay: Duration,
    books: Vec<Book>,
    /// The endpoints in service, by place. Shared with those who choose without the lock.
    well: Arc<[u32]>,
    /// How many are not.
    resting: usize,
    /// When the first rest that no call probes yet is over.
    next_due: Time,
    /// Whether any endpoint has a limit, be it one that it told us.
    limited: bool,
    /// Whether none rests and none has a limit, to be read without the lock. A pick that finds it
    /// out of date is put right by [`take`](Self::take).
    pub(super) all_ready: Arc<AtomicBool>,
    pub(super) queue: Queue,
}

/// For the log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Change {
    Rests {
        rest: Duration,
        why: Why,
    },
    /// Should rest, but too many do.
    Kept {
        why: Why,
        resting: usize,
    },
    Back,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct End {
    /// None for one that was abandoned.
    pub(super) outcome: Option<Outcome>,
    /// Tokens used, if that is known.
    pub(super) tokens: Option<u64>,
    /// Nothing of it came to the endpoint.
    pub(super) unsent: bool,
}

/// What that came to, for the log.
#[derive(Default)]
pub(super) struct Ended {
    pub(super) change: Option<Change>,
    /// Of its cap, which may change by the same report.
    pub(super) cap: Option<Changed>,
}

impl Books {
    pub(super) fn new(
        rooms: impl Iterator<Item = Room>,
        cooldown: Cooldown,
        decay: Duration,
        now: Time,
    ) -> Self {
        let books: Vec<_> = rooms.map(|room| Book::new(&cooldown, room, now)).collect();
        let limited = books.iter().any(|book| !book.room.is_unlimited());
        let (well, next_due, queue) = (Arc::default(), Time::NEVER, Queue::default());
        let all_ready = Arc::default();
        let resting = 0;
        let mut books =
            Self { cooldown, decay, books, well, resting, next_due, limited, all_ready, queue };
        books.list();
        books
    }

    /// Whom `call` may have, which waits at `place` unless it has just come. One without a key
    /// probes what waits for it, so that who recovers is back soon; one with a key may belong
    /// elsewhere, so what waits is among its candidates only.
    pub(super) fn offer(
        &self,
        call: &Call<'_>,
        place: Option<&Place>,
        loads: &[Load],
        now: Time,
    ) -> Offer {
        let due = self.next_due <= now;
        let everything = call.tried.is_empty() && !self.limited && self.queue.is_empty();
        if everything && !due && !self.well.is_empty() {
            return Offer::Choose { places: self.well.clone(), well: self.well.len() };
        }
        let wanted =
            |index: usize| !call.tried.contains(&index) && !self.queue.is_spoken_for(index, place);
        let free = |index: usize| {
            wanted(index) && self.taken(index, call, loads, now) == Some(Taken::Free)
        };
        let due = || self.due(now).filter(|index| free(*index));
        if call.key.is_none() {
            if let Some(index) = due().next() {
                return Offer::Probe(index);
            }
        }
        let well = self.well.iter().copied();
        let mut places: Vec<u32> = well.filter(|place| free(*place as usize)).collect();
        let well = places.len();
        if call.key.is_some() {
            places.extend(due().map(|index| index as u32));
        }
        if places.is_empty() {
            return self.nothing(call, place, loads, now);
        }
        Offer::Choose { places: places.into(), well }
    }

    fn nothing(&self, call: &Call<'_>, place: Option<&Place>, loads: &[Load], now: Time) -> Offer {
        let mut none = Nothing { behind: true, ..Nothing::default() };
        none.why.ahead = self.queue.count_ahead(place);
        let mut left = false;
        for (index, book) in self.books.iter().enumerate() {
            if call.tried.contains(&index) {
                continue;
            }
            left = true;
            none.behind &= self.queue.is_spoken_for(index, place);
            let ready = match (book.state, self.taken(index, call, loads, now)) {
                (State::Probing { .. }, _) => {
                    none.why.probing += 1;
                    continue;
                }
                (_, Some(Taken::Full)) => {
                    none.why.full += 1;
                    continue;
                }
                // Ready, and for who waits before: no time is to be waited for.
                (State::Resting { until, .. }, Some(Taken::Free)) if until <= now => {
                    none.why.promised += 1;
                    continue;
                }
                (State::Resting { until, .. }, taken) => {
                    none.why.resting += 1;
                    if let Some(Taken::Until(at)) = taken { until.max(at) } else { until }
                }
                (State::Well, Some(Taken::Until(at))) => {
                    none.why.limited += 1;
                    at
                }
                (State::Well, _) => {
                    none.why.promised += 1;
                    continue;
                }
            };
            none.earliest = Some(none.earliest.map_or(ready, |earliest| earliest.min(ready)));
        }
        if left { Offer::None(none) } else { Offer::AllTried }
    }

    fn due(&self, now: Time) -> impl Iterator<Item = usize> {
        let all = self.books.iter().enumerate();
        all.filter(move |(_, book)| book.is_due(now)).map(|(index, _)| index)
    }

    fn taken(&self, index: usize, call: &Call<'_>, loads: &[Load], now: Time) -> Option<Taken> {
        let (book, load) = (self.books.get(index)?, loads.get(index)?);
        Some(book.room.for_one_more(load.in_use(), call.tokens, now))
    }

    /// Begins a call, unless the endpoint cannot have it (any more), or one who waits came first.
    pub(super) fn take(
        &mut self,
        index: usize,
        call: &Call<'_>,
        place: Option<&Place>,
        load: &Load,
        now: Time,
    ) -> Option<Ticket> {
        if self.queue.is_spoken_for(index, place) {
            return None;
        }
        let book = self.books.get_mut(index)?;
        if book.room.for_one_more(load.in_use(), call.tokens, now) != Taken::Free {
            return None;
        }
        let probe = match book.state {
            State::Well => false,
            State::Resting { until, why } if until <= now => {
                book.state = State::Probing { why };
                true
            }
            _ => return None,
        };
        book.picks += 1;
        load.begin();
        let share = book.room.begin(call.tokens, now);
        let ticket = Ticket { index, generation: book.generation, probe, share };
        if probe {
            self.find_next_due();
        }
        Some(ticket)
    }

    /// A call has what it waited for, or gives up: whoever is next may have something now.
    pub(super) fn leave(&mut self, place: &Place) {
        self.queue.leave(place);
        self.queue.rouse();
    }

    /// A probe has shown that its endpoint is well, and goes on as any other call.
    pub(super) fn prove(&mut self, ticket: &mut Ticket, now: Time) -> Option<Change> {
        let book = self.books.get(ticket.index);
        if !ticket.probe || book.is_none_or(|book| book.generation != ticket.generation) {
            return None;
        }
        let change = self.bring_back(ticket.index, now);
        let generation = self.books.get(ticket.index).map(|book| book.generation);
        *ticket = Ticket { generation: generation.unwrap_or_default(), probe: false, ..*ticket };
        change
    }

    /// What the endpoint said, in its answer to a call, that it still takes.
    pub(super) fn told(&mut self, ticket: &Ticket, limits: &RateLimits, now: Time) {
        if let Some(book) = self.books.get_mut(ticket.index) {
            book.room.told(ticket.share, limits, now);
            if !self.limited && !book.room.is_unlimited() {
                self.limited = true;
                self.list();
            }
            // It may take the next call sooner than it said before.
            self.queue.rouse();
        }
    }

    /// Other limits from now on, with all of their rates there.
    pub(super) fn set_limits(&mut self, index: usize, limits: Limits, now: Time) {
        if let Some(book) = self.books.get_mut(index) {
            book.room = Room::new(limits, book.room.number(), now);
        }
        self.limited = self.books.iter().any(|book| !book.room.is_unlimited());
        self.list();
    }

    /// Ends a call that took so long, with a chance from 0 to 1.
    pub(super) fn end(
        &mut self,
        ticket: Ticket,
        end: End,
        took: Duration,
        load: &Load,
        now: Time,
        chance: f64,
    ) -> Ended {
        let Some(book) = self.books.get_mut(ticket.index) else { return Ended::default() };
        let in_use = load.in_use();
        load.end();
        match end.outcome {
            None if end.unsent => book.room.give_back(ticket.share, now),
            _ => book.room.settle(ticket.share, end.tokens, now),
        }
        // Not for a call that a rest or a return has overtaken.
        let speaks = ticket.generation == book.generation;
        let mut cap = None;
        let change = match end.outcome {
            Some(Outcome::Success) | Some(Outcome::SuccessIn(_)) => {
                let took =
                    if let Some(Outcome::SuccessIn(took)) = end.outcome { took } else { took };
                cap = book.room.served(ticket.share, took, in_use);
                self.served(ticket, took, load, speaks, now)
            }
            Some(Outcome::Failure(failure)) => {
                book.failures.add(failure.cause);
                cap = book.room.failed(ticket.share, failure.cause, in_use);
                if failure.cause.counts() {
                    load.feed_failed(took, failure.cause == Cause::TimedOut, now, self.decay);
                    self.failed(ticket, failure, speaks, now, chance)
                } else {
                    self.no_verdict(ticket, speaks, now)
                }
            }
            None => {
                book.abandoned += 1;
                self.no_verdict(ticket, speaks, now)
            }
        };
        // There is room for one more now, or a cap that has grown has room for two.
        self.queue.rouse();
        Ended { change, cap }
    }

    fn served(
        &mut self,
        ticket: Ticket,
        took: Duration,
        load: &Load,
        speaks: bool,
        now: Time,
    ) -> Option<Change> {
        load.feed(took, now, self.decay);
        let book = self.books.get_mut(ticket.index)?;
        book.successes += 1;
        book.recent.add(took, now);
        if !speaks {
            return None;
        }
        if ticket.probe {
            return self.bring_back(ticket.index, now);
        }
        book.window.add(false, now);
        None
    }

    /// A probe that found nothing out lets the next call try.
    fn no_verdict(&mut self, ticket: Ticket, speaks: bool, now: Time) -> Option<Change> {
        let book = self.books.get_mut(ticket.index)?;
        if let (true, State::Probing { why }) = (speaks, book.state) {
            book.state = State::Resting { until: now, why };
            self.find_next_due();
        }
        None
    }

    fn failed(
        &mut self,
        ticket: Ticket,
        failure: Failure,
        speaks: bool,
        now: Time,
        chance: f64,
    ) -> Option<Change> {
        let most = self.cooldown.most_resting(self.books.len());
        let book = self.books.get_mut(ticket.index)?;
        let asked = failure.asked();
        if !speaks {
            // A call of before the rest: it changes nothing, but what the endpoint asks for it gets.
            if let (State::Resting { until, why }, Some(asked)) = (book.state, asked) {
                book.state = State::Resting { until: until.max(now.after(asked)), why };
                self.find_next_due();
            }
            return None;
        }
        let cause = failure.cause;
        let why = if ticket.probe {
            Why::Probe(cause)
        } else {
            book.window.add(true, now);
            let sample = book.window.sample(now);
            // Too many calls are the adaptive cap's to deal with.
            let by_cap = cause == Cause::RateLimited && book.room.is_adaptive();
            if (cause.rests_at_once() && !by_cap) || asked.is_some() {
                Why::AtOnce(cause)
            } else if self.cooldown.is_too_much(sample) {
                Why::Ratio { failed: sample.failed, of: sample.of, last: cause }
            } else if self.cooldown.is_too_long(book.window.in_a_row()) {
                Why::InARow { failed: book.window.in_a_row(), last: cause }
            } else {
                return None;
            }
        };
        if self.cooldown.is_off() {
            return None;
        }
        // A probe's endpoint has its place among those that rest.
        if !ticket.probe && self.resting >= most {
            let first = !std::mem::replace(&mut book.kept, true);
            return first.then_some(Change::Kept { why, resting: self.resting });
        }
        if !ticket.probe && now.since(book.well_since) >= self.cooldown.reset_after {
            book.rests_in_a_row = 0;
        }
        let rest = self.cooldown.rest(book.rests_in_a_row, asked, chance);
        book.rests_in_a_row = book.rests_in_a_row.saturating_add(1);
        book.rests += 1;
        book.generation += 1;
        book.kept = false;
        book.state = State::Resting { until: now.after(rest), why };
        self.list();
        Some(Change::Rests { rest, why })
    }

    /// Puts an endpoint back in service.
    pub(super) fn bring_back(&mut self, index: usize, now: Time) -> Option<Change> {
        match self.books.get_mut(index) {
            Some(book) if book.state != State::Well => {
                book.state = State::Well;
                book.generation += 1;
                book.well_since = now;
                book.window.clear();
            }
            _ => return None,
        }
        // There is room for one more to rest now, and that is worth a line again.
        self.books.iter_mut().for_each(|book| book.kept = false);
        self.list();
        Some(Change::Back)
    }

    /// After a change of who is in service or has limits.
    fn list(&mut self) {
        let all = self.books.iter().zip(0_u32..);
        self.well =
            all.filter(|(book, _)| book.state == State::Well).map(|(_, place)| place).collect();
        self.resting = self.books.len() - self.well.len();
        // Relaxed: it guards no other memory.
        self.all_ready.store(self.resting == 0 && !self.limited, Ordering::Relaxed);
        self.find_next_due();
    }

    /// After a change of when who is in service again.
    fn find_next_due(&mut self) {
        let due = |book: &Book| match book.state {
            State::Resting { until, .. } => until,
            _ => Time::NEVER,
        };
        self.next_due = self.books.iter().map(due).min().unwrap_or(Time::NEVER);
        self.queue.rouse_all();
    }

    pub(super) fn stats(
        &mut self,
        fixed: &[Fixed],
        loads: &[Load],
        now: Time,
    ) -> Vec<EndpointStats> {
        let all = self.books.iter_mut().zip(fixed).zip(loads);
        all.map(|((book, fixed), load)| book.stats(fixed, load, now)).collect()
    }
}
