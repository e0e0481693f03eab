//! Taking an item: at once, or by waiting in line.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::error::{GetError, Refusal};
use super::holder::{Holder, ThreadTag};
use super::lease::Lease;
use super::manage::Manage;
use super::shared::{Drops, Message, Shared};
use super::slots::{GaveUp, Grant, Joined, Late, Look, Offer, Refused, Ticket};
use super::stats::EvictReason;
use crate::caught::say;
use crate::clock::Time;
use crate::sync::channel::{Receiver, RecvTimeoutError, bounded};

type Got<M> = Result<Lease<M>, GetError<<M as Manage>::Error>>;
type Line = &'static Location<'static>;

impl<M: Manage> Shared<M> {
    // Always: outlined, as compilers do where a program has pools of many kinds, it returns the lease
    // through memory, which costs a sixth of a get.
    #[inline(always)]
    pub(super) fn get(self: &Arc<Self>, timeout: Duration, line: Line) -> Got<M> {
        match self.take_idle(line, Time::NEVER) {
            Some(lease) => Ok(lease),
            None => self.wait(self.clock().now().after(timeout), line, Time::NEVER),
        }
    }

    /// With one deadline for the wait and for the use of the item.
    pub(super) fn get_within(self: &Arc<Self>, timeout: Duration, line: Line) -> Got<M> {
        let deadline = self.clock().now().after(timeout);
        match self.take_idle(line, deadline) {
            Some(lease) => Ok(lease),
            None => self.wait(deadline, line, deadline),
        }
    }

    // As above.
    #[inline(always)]
    fn take_idle(self: &Arc<Self>, line: Line, use_until: Time) -> Option<Lease<M>> {
        let holder = self.holder(line);
        let taker = holder.thread();
        let (slot, item) = self.with(Drops::Elsewhere, |books, now| books.take(now, holder))?;
        Some(Lease::new(self.clone(), slot, item, taker, Duration::ZERO, use_until))
    }

    #[inline]
    fn holder(&self, line: Line) -> Holder {
        Holder::here(line, self.config.leak_after.is_some())
    }

    /// Takes an idle item or creates one here and now; never waits for anybody.
    pub(super) fn try_get(self: &Arc<Self>, line: Line) -> Got<M> {
        if let Some(lease) = self.take_idle(line, Time::NEVER) {
            return Ok(lease);
        }
        let holder = self.holder(line);
        let taker = holder.thread();
        let offer =
            self.with_exact_time(Drops::Elsewhere, |books, now| books.take_or_reserve(now, holder));
        let slot = match offer {
            Offer::Item(slot, item) => {
                let waited = Duration::ZERO;
                return Ok(Lease::new(self.clone(), slot, item, taker, waited, Time::NEVER));
            }
            Offer::Room(slot) => slot,
            Offer::Nothing => {
                return Err(GetError::Exhausted {
                    picture: self.picture(Refusal::Exhausted, None),
                });
            }
            Offer::Closed => return Err(GetError::Closed),
            Offer::Unhealthy => return Err(self.unhealthy()),
        };
        let began = self.clock().now();
        let item = self.create().map_err(|error| {
            self.with_exact_time(Drops::Here, |books, now| books.own_create_failed(slot, now));
            GetError::from(error)
        })?;
        let holder = self.holder(line);
        let adopted =
            self.with_exact_time(Drops::Here, |books, now| books.adopt(slot, item, now, holder));
        let waited = self.clock().now().since(began);
        match adopted {
            Ok(item) => Ok(Lease::new(self.clone(), slot, item, taker, waited, Time::NEVER)),
            Err(EvictReason::Closed) => Err(GetError::Closed),
            Err(_) => Err(GetError::Exhausted { picture: self.picture(Refusal::Exhausted, None) }),
        }
    }

    /// Waits in line until an item is handed over, the deadline passes or the pool closes.
    #[cold]
    fn wait(self: &Arc<Self>, deadline: Time, line: Line, use_until: Time) -> Got<M> {
        self.warn_if_waiting_for_itself(line);
        // Room for a `Look` and for the last word; see `Shared::send`.
        let (wake, messages) = bounded(2);
        let holder = self.holder(line);
        let began = self.clock().now();
        let covers_use = use_until != Time::NEVER;
        let joined = self.with_exact_time(Drops::Elsewhere, |books, now| {
            match books.too_late(now, deadline, covers_use) {
                Some(late) => Err(late),
                None => Ok(books.join(wake, now, holder, use_until)),
            }
        });
        let joined = joined.map_err(|late| self.too_late(late))?;
        let ticket = match joined {
            Ok(Joined::Waits(ticket)) => ticket,
            Ok(Joined::Item(slot, item)) => {
                let taker = ThreadTag::current();
                let waited = Duration::ZERO;
                return Ok(Lease::new(self.clone(), slot, item, taker, waited, use_until));
            }
            Err(Refused::Closed) => return Err(GetError::Closed),
            Err(Refused::Unhealthy) => return Err(self.unhealthy()),
            Err(Refused::QueueFull) => {
                let max_waiting = self.config.max_waiting.unwrap_or(usize::MAX);
                let picture = self.picture(Refusal::QueueFull { max_waiting }, None);
                return Err(GetError::QueueFull { picture });
            }
        };
        let wait = Wait { shared: self, ticket, messages, began, deadline, use_until };
        let lease = wait.run()?;
        self.warn_if_slow(Lease::waited(&lease), line);
        Ok(lease)
    }

    fn too_late(&self, Late { estimate, given }: Late) -> GetError<M::Error> {
        GetError::TooLate { estimate, given, picture: self.picture(Refusal::TooLate, None) }
    }

    fn unhealthy(&self) -> GetError<M::Error> {
        let picture = self.picture(Refusal::Unhealthy, None);
        let last_error = picture.last_check_error.as_ref().map(|(text, _)| text.clone());
        GetError::Unhealthy { last_error: last_error.unwrap_or_default(), picture }
    }

    fn warn_if_waiting_for_itself(self: &Arc<Self>, line: Line) {
        // Nearly always the thread itself knows better.
        if ThreadTag::may_hold() {
            let caller = ThreadTag::current();
            if self.with(Drops::Here, |books, now| books.may_warn_of_itself(caller, now)) {
                let picture = self.picture(Refusal::Timeout { place: None }, None);
                let (pool, stats) = (self.name(), &picture.stats);
                say!(
                    Warn,
                    {
                        pool = **pool,
                        key:? = self.key(),
                        event = "waits_for_itself",
                        at:% = line,
                        ..stats
                    },
                    "the wait that begins at {line} may be for its own thread: {picture}"
                );
            }
        }
    }

    fn warn_if_slow(self: &Arc<Self>, waited: Duration, line: Line) {
        let Some(limit) = self.config.slow_wait else { return };
        if waited >= limit && self.with(Drops::Here, |books, now| books.may_warn_slow(now)) {
            let (name, stats) = (self.name(), self.stats());
            say!(
                Warn,
                {
                    pool = **name,
                    key:? = self.key(),
                    event = "slow_wait",
                    waited = waited.as_secs_f64(),
                    at:% = line,
                    ..stats
                },
                "pool \"{name}\": a wait of {waited:.1?} at {line}: {stats}"
            );
        }
    }
}

/// One thread's wait.
struct Wait<'a, M: Manage> {
    shared: &'a Arc<Shared<M>>,
    ticket: Ticket,
    messages: Receiver<Message<M>>,
    began: Time,
    deadline: Time,
    use_until: Time,
}

impl<M: Manage> Wait<'_, M> {
    fn run(self) -> Got<M> {
        let mut look_at = Time::NEVER;
        loop {
            let message = match self.receive(self.deadline.min(look_at)) {
                Some(message) => message,
                None if look_at < self.deadline => Message::Grant(Grant::Look),
                None => match self.give_up() {
                    Some(gave_up) => return Err(self.timed_out(gave_up)),
                    #[cfg(llm_pool_shuttle)]
                    None if crate::Bug::LostHandOff.is_planted() => {
                        let gave_up = GaveUp { place: 1, limit: None, is_first: false };
                        return Err(self.timed_out(gave_up));
                    }
                    // Granted meanwhile: take it, so that nothing is lost between two threads.
                    None => match self.messages.recv() {
                        Ok(message) => message,
                        Err(_) => return Err(GetError::Closed),
                    },
                },
            };
            match message {
                Message::Grant(Grant::Item(slot, item)) => return Ok(self.lease(slot, item)),
                Message::Grant(Grant::Closed) => return Err(GetError::Closed),
                Message::Grant(Grant::TooLate(late)) => return Err(self.shared.too_late(late)),
                Message::Grant(Grant::Unhealthy) => return Err(self.shared.unhealthy()),
                Message::CreateFailed(error) => return Err(error.into()),
                Message::Grant(Grant::Look) => match self.look() {
                    Look::Item(slot, item) => return Ok(self.lease(slot, item)),
                    Look::Later(at) => look_at = at,
                    Look::Granted => look_at = Time::NEVER,
                },
            }
        }
    }

    fn look(&self) -> Look<M::Item> {
        self.shared.with_exact_time(Drops::Elsewhere, |books, now| books.look(self.ticket, now))
    }

    fn give_up(&self) -> Option<GaveUp> {
        self.shared.with_exact_time(Drops::Elsewhere, |books, now| books.give_up(self.ticket, now))
    }

    /// The next message, or `None` once `until` has come.
    fn receive(&self, until: Time) -> Option<Message<M>> {
        let clock = self.shared.clock();
        loop {
            let remaining = until.since(clock.now());
            if remaining.is_zero() {
                return self.messages.try_recv().ok();
            }
            match self.messages.recv_timeout(clock.nap(remaining)) {
                Ok(message) => return Some(message),
                Err(RecvTimeoutError::Timeout) => {}
                // Cannot be: the books hold our sender until they have sent through it.
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    fn lease(&self, slot: usize, item: M::Item) -> Lease<M> {
        let waited = self.shared.clock().now().since(self.began);
        Lease::new(self.shared.clone(), slot, item, ThreadTag::current(), waited, self.use_until)
    }

    fn timed_out(&self, GaveUp { place, limit, is_first }: GaveUp) -> GetError<M::Error> {
        let waited = self.shared.clock().now().since(self.began);
        self.shared.tell_timed_out(waited, limit.as_ref());
        let picture = self.shared.picture(Refusal::Timeout { place: Some(place) }, limit);
        let stats = picture.stats;
        let error = GetError::Timeout { waited, picture };
        // Every caller has the error; the log warns that there are some, and lists them for who asks.
        macro_rules! say_so {
            ($level:ident) => {
                say!(
                    $level,
                    {
                        pool = **self.shared.name(),
                        key:? = self.shared.key(),
                        event = "timed_out",
                        waited = waited.as_secs_f64(),
                        ..stats
                    },
                    "{error}"
                )
            };
        }
        if is_first {
            say_so!(Warn);
        } else {
            say_so!(Debug);
        }
        error
    }
}
