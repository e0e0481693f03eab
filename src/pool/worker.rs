//! The user's code, run off the lock and off the caller's thread: short-lived workers create items
//! and drop them, the checkers of all pools check them. One that hangs in user code holds up no
//! caller past its deadline, and no other worker.

use std::sync::Arc;

use super::checkers::Checked;
use super::error::CreateError;
use super::manage::Manage;
use super::shared::{Books, Drops, Message, PoolOutbox, Shared};
use super::slots::Job;
use crate::caught::{caught, one_line, say};
use crate::clock::Time;
use crate::sync::{Mutex, thread};

impl<M: Manage> Shared<M> {
    /// Starts a thread that does `work`.
    pub(super) fn start_worker(self: &Arc<Self>, work: impl FnOnce(&Arc<Self>) + Send + 'static) {
        // In a cell, so that the work is still at hand if no thread can be had.
        let work = Arc::new(Mutex::new(Some(work)));
        let on_thread = {
            let (shared, work) = (self.clone(), work.clone());
            move || do_once(&work, &shared)
        };
        let spawned = thread::Builder::new().name("llm-pool-worker".into()).spawn(on_thread);
        if let Err(error) = spawned {
            // It must be done all the same, or slots and waiters are lost.
            let pool = self.name();
            say!(
                Warn,
                { pool = **pool, key:? = self.key(), event = "no_thread", reason:% = error },
                "pool \"{pool}\": cannot start a worker thread: {error}"
            );
            do_once(&work, self);
        }
    }

    pub(super) fn work(self: &Arc<Self>, first: Job) {
        let mut next = Some(first);
        while let Some(Job::Create(slot)) = next {
            next = self.create_for_queue(slot);
        }
    }

    fn create_for_queue(self: &Arc<Self>, slot: usize) -> Option<Job> {
        match self.create() {
            Ok(item) => {
                let ((), outbox) = self.locked(|books, now| books.created(slot, item, now));
                self.carry_out_but_one(outbox)
            }
            #[cfg(llm_pool_shuttle)]
            Err(CreateError::Panicked(_)) if crate::Bug::LostSlot.is_planted() => None,
            Err(error) => self.enter_create_failed(slot, error),
        }
    }

    fn enter_create_failed(
        self: &Arc<Self>,
        slot: usize,
        error: CreateError<M::Error>,
    ) -> Option<Job> {
        // Held across the step: whoever sees that creation has settled finds its error here.
        let mut unclaimed = self.unclaimed_error.lock();
        let (waiter, outbox) = self.locked(|books, now| books.create_failed(slot, now));
        let (claimed, replaced) = match waiter {
            Some(wake) => (Some((wake, error)), None),
            None => (None, unclaimed.replace(error)),
        };
        drop(unclaimed);
        if let Err(said) = caught(|| drop(replaced)) {
            self.log_panic("an error's drop", &said);
        }
        if let Some((wake, error)) = claimed {
            self.send(&wake, Message::CreateFailed(error));
        }
        self.carry_out_but_one(outbox)
    }

    /// Runs the user's `check`, and logs how it went.
    fn check(&self, item: &mut M::Item) -> Result<(), Arc<str>> {
        // To text at once: printing and dropping the error are the user's code too.
        let probe = || self.manager().check(item).map_err(|error| one_line(&error.to_string()));
        match caught(probe) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                let pool = self.name();
                say!(
                    Debug,
                    { pool = **pool, key:? = self.key(), event = "check_failed", reason = *error },
                    "pool \"{pool}\": an item failed its check: {error}"
                );
                Err(error.into())
            }
            Err(said) => {
                self.log_panic("check", &said);
                Err(format!("check panicked: {}", one_line(&said)).into())
            }
        }
    }

    /// A step that begins or ends a check, after which the maintenance comes in time for the end
    /// of the first check, and for the next check of an unhealthy item.
    fn check_step<R>(self: &Arc<Self>, step: impl FnOnce(&mut Books<M>, Time) -> R) -> R {
        let (result, next) = self.with_exact_time(Drops::Elsewhere, |books, now| {
            let result = step(books, now);
            (result, books.next_upkeep(now).map(|next| next.since(now)))
        });
        self.come_within(next);
        result
    }

    /// Carries out what was asked for, but keeps one job for the calling worker, which no drop
    /// shall hold up.
    fn carry_out_but_one(self: &Arc<Self>, mut outbox: PoolOutbox<M>) -> Option<Job> {
        let next = outbox.jobs.pop();
        self.carry_out(outbox, Drops::Elsewhere);
        next
    }

    /// Runs the user's `create`, and logs how it went.
    pub(super) fn create(&self) -> Result<M::Item, CreateError<M::Error>> {
        let (pool, began) = (self.name(), self.clock().now());
        // To text at once: printing the error is the user's code too.
        let attempt =
            || self.manager().create().map_err(|error| (one_line(&error.to_string()), error));
        let (text, error) = match caught(attempt) {
            Ok(Ok(item)) => {
                let took = self.clock().now().since(began).as_secs_f64();
                say!(
                    Debug,
                    { pool = **pool, key:? = self.key(), event = "created", took = took },
                    "pool \"{pool}\": created an item"
                );
                self.trouble_is_over();
                return Ok(item);
            }
            Ok(Err((text, error))) => (text, CreateError::Failed(error)),
            Err(said) => {
                self.log_panic("create", &said);
                let error = CreateError::Panicked(said);
                (one_line(&error.to_string()), error)
            }
        };
        let took = self.clock().now().since(began).as_secs_f64();
        say!(
            Warn,
            {
                pool = **pool,
                key:? = self.key(),
                event = "create_failed",
                reason = *text,
                took = took,
            },
            "pool \"{pool}\": cannot create an item: {text}"
        );
        self.note_trouble(&text);
        self.tell_create_failed(&text);
        Err(error)
    }

    pub(super) fn take_unclaimed_error(&self) -> Option<CreateError<M::Error>> {
        self.unclaimed_error.lock().take()
    }
}

impl<M: Manage> Checked for Shared<M> {
    fn check_one(self: Arc<Self>, check: u64) {
        let started = self.check_step(|books, now| books.start_check(check, now));
        if let Some((slot, mut item)) = started {
            let outcome = self.check(&mut item);
            self.check_step(|books, now| books.checked(slot, check, item, outcome, now));
        }
    }
}

fn do_once<S>(work: &Mutex<Option<impl FnOnce(&S)>>, shared: &S) {
    let work = work.lock().take();
    if let Some(work) = work {
        work(shared);
    }
}
