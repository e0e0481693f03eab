//! The health of all endpoints and what was counted of them. Knows no clock and takes no lock: it is
//! told the time, and says what changed.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Time;

use super::cooldown::Cooldown;
use super::histogram::Recent;
use super::load::Load;
use super::outcome::{Cause, Failure, Outcome};
use super::stats::{EndpointStats, Failures, Health, Why};
use super::strategy::Fixed;
use super::window::Window;

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
    pub(super) waiting: usize,
}

struct Book {
    state: State,
    /// Changes with each rest and return, so that a call which began before either is known for
    /// what it is: it says nothing about the endpoint as it is now.
    generation: u64,
    /// Rests in a row.
    rests_in_a_row: u32,
    well_since: Time,
    /// Failed so that it should rest, and could not be spared. Logged once.
    kept: bool,
    window: Window,
    picks: u64,
    successes: u64,
    failures: Failures,
    abandoned: u64,
    rests: u64,
    recent: Recent,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
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
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    pub(super) index: usize,
    generation: u64,
    pub(super) probe: bool,
}

/// Whom a call may have.
pub(super) enum Offer {
    /// It must probe this one.
    Probe(usize),
    /// One of these.
    Choose {
        places: Arc<[u32]>,
        well: usize,
    },
    /// None now; the first rest is over at `earliest`.
    None {
        earliest: Option<Time>,
        probing: usize,
    },
    AllTried,
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

/// What a report came to.
#[derive(Default)]
pub(super) struct Ended {
    pub(super) change: Option<Change>,
    /// Whether somebody who waits may have an endpoint now, or must reckon anew.
    pub(super) wake: bool,
}

impl Books {
    pub(super) fn new(endpoints: usize, cooldown: Cooldown, decay: Duration, now: Time) -> Self {
        let book = |_| Book {
            state: State::Well,
            generation: 0,
            rests_in_a_row: 0,
            well_since: now,
            kept: false,
            window: Window::new(cooldown.window),
            picks: 0,
            successes: 0,
            failures: Failures::default(),
            abandoned: 0,
            rests: 0,
            recent: Recent::new(now),
        };
        let books = (0..endpoints).map(book).collect();
        let (well, next_due) = (Arc::default(), Time::NEVER);
        let mut books = Self { cooldown, decay, books, well, resting: 0, next_due, waiting: 0 };
        books.list();
        books
    }

    /// Whom a call may have that has tried `tried` already. One without a key probes what waits for
    /// it, so that who recovers is back soon; one with a key may belong elsewhere, so what waits is
    /// among its candidates only.
    pub(super) fn offer(&self, tried: &[usize], has_key: bool, now: Time) -> Offer {
        let due = self.next_due <= now;
        if due && !has_key {
            if let Some(index) = self.due(tried, now).next() {
                return Offer::Probe(index);
            }
        }
        if tried.is_empty() && !due && !self.well.is_empty() {
            return Offer::Choose { places: self.well.clone(), well: self.well.len() };
        }
        let untried = |place: &u32| !tried.contains(&(*place as usize));
        let mut places: Vec<u32> = self.well.iter().copied().filter(untried).collect();
        let well = places.len();
        if has_key {
            places.extend(self.due(tried, now).map(|index| index as u32));
        }
        if !places.is_empty() {
            return Offer::Choose { places: places.into(), well };
        }
        let mut left = false;
        let (mut earliest, mut probing) = (None, 0);
        for (index, book) in self.books.iter().enumerate() {
            if tried.contains(&index) {
                continue;
            }
            left = true;
            match book.state {
                State::Resting { until, .. } => {
                    earliest = Some(earliest.map_or(until, |earliest: Time| earliest.min(until)));
                }
                State::Probing { .. } => probing += 1,
                State::Well => {}
            }
        }
        if left { Offer::None { earliest, probing } } else { Offer::AllTried }
    }

    fn due<'a>(&'a self, tried: &'a [usize], now: Time) -> impl Iterator<Item = usize> + 'a {
        let due =
            move |book: &Book| matches!(book.state, State::Resting { until, .. } if until <= now);
        let all = self.books.iter().enumerate();
        all.filter(move |(index, book)| due(book) && !tried.contains(index)).map(|(index, _)| index)
    }

    /// Begins a call, unless the endpoint cannot have it (any more).
    pub(super) fn take(&mut self, index: usize, load: &Load, now: Time) -> Option<Ticket> {
        let book = self.books.get_mut(index)?;
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
        let ticket = Ticket { index, generation: book.generation, probe };
        if probe {
            self.find_next_due();
        }
        Some(ticket)
    }

    /// A probe has shown that its endpoint is well, and goes on as any other call.
    pub(super) fn prove(&mut self, ticket: &mut Ticket, now: Time) -> Ended {
        let book = self.books.get(ticket.index);
        if !ticket.probe || book.is_none_or(|book| book.generation != ticket.generation) {
            return Ended::default();
        }
        let ended = self.bring_back(ticket.index, now);
        let generation = self.books.get(ticket.index).map(|book| book.generation);
        *ticket = Ticket { generation: generation.unwrap_or_default(), probe: false, ..*ticket };
        ended
    }

    /// Ends a call that took so long, with a chance from 0 to 1; one without an outcome was
    /// abandoned.
    pub(super) fn end(
        &mut self,
        ticket: Ticket,
        outcome: Option<Outcome>,
        took: Duration,
        load: &Load,
        now: Time,
        chance: f64,
    ) -> Ended {
        let Some(book) = self.books.get_mut(ticket.index) else { return Ended::default() };
        load.end();
        // Not for a call that a rest or a return has overtaken.
        let speaks = ticket.generation == book.generation;
        match outcome {
            Some(Outcome::Success) => self.served(ticket, took, load, speaks, now),
            Some(Outcome::SuccessIn(took)) => self.served(ticket, took, load, speaks, now),
            Some(Outcome::Failure(failure)) => {
                book.failures.add(failure.cause);
                if !failure.cause.counts() {
                    return self.no_verdict(ticket, speaks, now);
                }
                load.feed_failed(took, failure.cause == Cause::TimedOut, now, self.decay);
                self.failed(ticket, failure, speaks, now, chance)
            }
            None => {
                book.abandoned += 1;
                self.no_verdict(ticket, speaks, now)
            }
        }
    }

    fn served(
        &mut self,
        ticket: Ticket,
        took: Duration,
        load: &Load,
        speaks: bool,
        now: Time,
    ) -> Ended {
        load.feed(took, now, self.decay);
        let Some(book) = self.books.get_mut(ticket.index) else { return Ended::default() };
        book.successes += 1;
        book.recent.add(took, now);
        if !speaks {
            return Ended::default();
        }
        if ticket.probe {
            return self.bring_back(ticket.index, now);
        }
        book.window.add(false, now);
        Ended::default()
    }

    /// A probe that found nothing out lets the next call try.
    fn no_verdict(&mut self, ticket: Ticket, speaks: bool, now: Time) -> Ended {
        if let Some(book) = self.books.get_mut(ticket.index) {
            if let (true, State::Probing { why }) = (speaks, book.state) {
                book.state = State::Resting { until: now, why };
                self.find_next_due();
                return Ended { change: None, wake: true };
            }
        }
        Ended::default()
    }

    fn failed(
        &mut self,
        ticket: Ticket,
        failure: Failure,
        speaks: bool,
        now: Time,
        chance: f64,
    ) -> Ended {
        let most = self.cooldown.most_resting(self.books.len());
        let Some(book) = self.books.get_mut(ticket.index) else { return Ended::default() };
        let asked = failure.asked();
        if !speaks {
            // A call of before the rest: it changes nothing, but what the endpoint asks for it gets.
            if let (State::Resting { until, why }, Some(asked)) = (book.state, asked) {
                book.state = State::Resting { until: until.max(now.after(asked)), why };
                self.find_next_due();
                return Ended { change: None, wake: true };
            }
            return Ended::default();
        }
        let cause = failure.cause;
        let why = if ticket.probe {
            Why::Probe(cause)
        } else {
            book.window.add(true, now);
            let sample = book.window.sample(now);
            if cause.rests_at_once() || asked.is_some() {
                Why::AtOnce(cause)
            } else if self.cooldown.is_too_much(sample) {
                Why::Ratio { failed: sample.failed, of: sample.of, last: cause }
            } else if self.cooldown.is_too_long(book.window.in_a_row()) {
                Why::InARow { failed: book.window.in_a_row(), last: cause }
            } else {
                return Ended::default();
            }
        };
        if self.cooldown.is_off() {
            return Ended::default();
        }
        // A probe's endpoint has its place among those that rest.
        if !ticket.probe && self.resting >= most {
            let first = !std::mem::replace(&mut book.kept, true);
            let change = first.then_some(Change::Kept { why, resting: self.resting });
            return Ended { change, wake: false };
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
        Ended { change: Some(Change::Rests { rest, why }), wake: true }
    }

    /// Puts an endpoint back in service.
    pub(super) fn bring_back(&mut self, index: usize, now: Time) -> Ended {
        match self.books.get_mut(index) {
            Some(book) if book.state != State::Well => {
                book.state = State::Well;
                book.generation += 1;
                book.well_since = now;
                book.window.clear();
            }
            _ => return Ended::default(),
        }
        // There is room for one more to rest now, and that is worth a line again.
        self.books.iter_mut().for_each(|book| book.kept = false);
        self.list();
        Ended { change: Some(Change::Back), wake: true }
    }

    /// After a change of who is in service.
    fn list(&mut self) {
        let all = self.books.iter().zip(0_u32..);
        self.well =
            all.filter(|(book, _)| book.state == State::Well).map(|(_, place)| place).collect();
        self.resting = self.books.len() - self.well.len();
        self.find_next_due();
    }

    fn find_next_due(&mut self) {
        let due = |book: &Book| match book.state {
            State::Resting { until, .. } => until,
            _ => Time::NEVER,
        };
        self.next_due = self.books.iter().map(due).min().unwrap_or(Time::NEVER);
    }

    pub(super) fn stats(
        &mut self,
        fixed: &[Fixed],
        loads: &[Load],
        now: Time,
    ) -> Vec<EndpointStats> {
        let seconds = |secs| Duration::try_from_secs_f64(secs).unwrap_or(Duration::MAX);
        let one = |((book, fixed), load): ((&mut Book, &Fixed), &Load)| {
            let [p50, p95, p99] = book.recent.quantiles([0.5, 0.95, 0.99], now);
            let (health, why) = match book.state {
                State::Well => (Health::Well, None),
                State::Resting { until, why } => {
                    (Health::Resting { remaining: until.since(now) }, Some(why))
                }
                State::Probing { why } => (Health::Probing, Some(why)),
            };
            EndpointStats {
                name: fixed.name.clone(),
                picks: book.picks,
                successes: book.successes,
                failures: book.failures.clone(),
                abandoned: book.abandoned,
                in_use: load.in_use(),
                latency: load.ewma().map(seconds),
                p50,
                p95,
                p99,
                rests: book.rests,
                health,
                why,
            }
        };
        self.books.iter_mut().zip(fixed).zip(loads).map(one).collect()
    }
}
