//! Who plays everybody outside the lock in the tests against a model: callers, waiters, workers,
//! checkers. Carries out the outbox after every step, keeps its own account of every item and
//! every waiter, and checks both laws.

use std::collections::{BTreeMap, VecDeque};
use std::panic::Location;

use super::super::config::WhenUnhealthy;
use super::super::permits::{Grants, Permits};
use super::model_tests::Action;
use super::permit_model_tests::Pot;
use super::queue::MOMENT;
use super::*;

pub(super) struct Driver {
    pot: Option<Arc<Pot>>,
    pub(super) slots: Slots<u64, u32>,
    pub(super) now: Time,
    next_item: u64,
    next_waiter: u32,
    pub(super) leased: Vec<(usize, u64)>,
    pub(super) creating: Vec<usize>,
    /// Slots in which a `try_get` creates.
    creating_own: Vec<usize>,
    /// With the number of the check.
    checking: Vec<(usize, u64, u64)>,
    /// The same that were given up.
    pub(super) hanging: Vec<(usize, u64, u64)>,
    next_check: u64,
    checks_ended: u64,
    /// In order of arrival, as the driver saw it.
    pub(super) waiting: VecDeque<(u32, Ticket, Time)>,
    /// Every item there is, and whether it has left for good.
    pub(super) items: BTreeMap<u64, bool>,
    max_size: usize,
    most_leased: usize,
    closed: bool,
}

impl Driver {
    pub(super) fn new(config: &PoolConfig) -> Self {
        Self::under(config, None)
    }

    pub(super) fn under(config: &PoolConfig, pot: Option<Arc<Pot>>) -> Self {
        let permits = pot.clone().map(|pot| pot as Arc<dyn Permits>);
        Self {
            slots: Slots::new(config, permits),
            pot,
            now: Time::from_secs(1_000),
            next_item: 0,
            next_waiter: 0,
            leased: Vec::new(),
            creating: Vec::new(),
            creating_own: Vec::new(),
            checking: Vec::new(),
            hanging: Vec::new(),
            next_check: 0,
            checks_ended: 0,
            waiting: VecDeque::new(),
            items: BTreeMap::new(),
            max_size: config.max_size,
            most_leased: 0,
            closed: false,
        }
    }

    fn holder() -> Holder {
        Holder::here(Location::caller(), false)
    }

    /// The item that a get took at once, if any.
    pub(super) fn step(&mut self, action: &Action) -> Option<u64> {
        let now = self.now;
        let mut took = None;
        match *action {
            Action::Get => {
                let id = self.next_waiter;
                self.next_waiter += 1;
                // With admission, some are told to be too late when their turn comes.
                let in_time = Duration::from_micros(300 * u64::from(id % 5));
                let use_until = if id % 3 == 0 { Time::NEVER } else { now.after(in_time) };
                match self.slots.join(id, now, Self::holder(), use_until) {
                    Ok(Joined::Item(slot, item)) => took = Some(self.got_at_once(slot, item)),
                    Ok(Joined::Waits(ticket)) => self.waiting.push_back((id, ticket, now)),
                    Err(Refused::Closed) => assert!(self.closed),
                    Err(Refused::Unhealthy) => assert!(self.slots.refuses_as_unhealthy()),
                    Err(Refused::QueueFull) => assert!(self.waiting.len() >= 5),
                }
            }
            Action::TryGet => {
                if let Some((slot, item)) = self.slots.take(now, Self::holder()) {
                    took = Some(self.got_at_once(slot, item));
                } else if let Some(slot) = self.slots.reserve_own(now) {
                    self.creating_own.push(slot);
                    self.carry_out();
                    assert!(self.waiting.is_empty(), "room belongs to those who wait");
                }
            }
            Action::PutBack(which) => {
                if let Some((slot, item)) = pick(&mut self.leased, which) {
                    self.slots.put_back(slot, item, now);
                }
            }
            Action::Discard(which) => {
                if let Some((slot, item)) = pick(&mut self.leased, which) {
                    self.slots.put_back_bad(slot, item, EvictReason::Discarded, now);
                }
            }
            Action::Detach(which) => {
                if let Some((slot, item)) = pick(&mut self.leased, which) {
                    self.leaves(item);
                    self.slots.detach(slot, now);
                }
            }
            Action::CreateEnds { which, well } => self.create_ends(which, well),
            Action::OwnCreateEnds { which, well } => self.own_create_ends(which, well),
            Action::CheckStarts => {
                self.next_check += 1;
                if let Some((slot, item)) = self.slots.start_check(self.next_check, now) {
                    self.checking.push((slot, item, self.next_check));
                }
            }
            Action::CheckEnds { which, well } => {
                let out = self.checking.len() + self.hanging.len();
                let hangs = out > 0 && which % out >= self.checking.len();
                let list = if hangs { &mut self.hanging } else { &mut self.checking };
                if let Some((slot, item, check)) = pick(list, which) {
                    self.checks_ended += u64::from(!hangs);
                    let outcome = if well { Ok(()) } else { Err("unwell".into()) };
                    self.slots.checked(slot, check, item, outcome, now);
                }
            }
            Action::Look(which) => self.look(which),
            Action::GiveUp(which) => {
                if !self.waiting.is_empty() {
                    let at = which % self.waiting.len();
                    if let Some((_, ticket, _)) = self.waiting.remove(at) {
                        let gave_up = self.slots.give_up(ticket, now).map(|gave_up| gave_up.place);
                        assert_eq!(gave_up, Some(at + 1));
                    }
                }
            }
            Action::Pass(time) => self.now = now.after(time),
            Action::Sweep => {
                self.slots.sweep(now);
            }
            Action::CheckAll => self.slots.make_all_due(now),
            Action::WarmUp(wanted) => {
                self.slots.warm_up(wanted, true, now);
            }
            Action::Resize(max_size) => {
                self.max_size = max_size;
                self.slots.resize(max_size, now);
            }
            Action::Reset => self.slots.reset(now),
            Action::Close => {
                self.closed = true;
                self.slots.close();
            }
        }
        self.carry_out();
        self.check_laws();
        took
    }

    /// Closes, and ends all that is out, until nothing is left.
    pub(super) fn close_and_bring_home(&mut self) {
        self.step(&Action::Close);
        while self.slots.size() + self.hanging.len() > 0 {
            self.step(&Action::PutBack(0));
            self.step(&Action::CreateEnds { which: 0, well: true });
            self.step(&Action::OwnCreateEnds { which: 0, well: true });
            self.step(&Action::CheckEnds { which: 0, well: true });
        }
    }

    fn got_at_once(&mut self, slot: usize, item: u64) -> u64 {
        // Those in front may have been served in the same step.
        self.carry_out();
        if let Some(&(_, _, since)) = self.waiting.front() {
            assert!(self.now < since.after(MOMENT), "overtook a waiter past its moment");
        }
        self.leased.push((slot, item));
        item
    }

    fn new_item(&mut self) -> u64 {
        let item = self.next_item;
        self.next_item += 1;
        self.items.insert(item, true);
        item
    }

    fn create_ends(&mut self, which: usize, well: bool) {
        let Some(slot) = pick(&mut self.creating, which) else { return };
        if well {
            let item = self.new_item();
            self.slots.created(slot, item, self.now);
        } else {
            let for_nobody = self.is_abandoned(slot) || self.under_way() >= self.waiting.len();
            let heard = self.slots.create_failed(slot, self.now);
            let first = if for_nobody { None } else { self.waiting.pop_front() };
            let first = first.map(|(id, ..)| id);
            assert_eq!(heard, first, "the first waiter hears of a failed creation");
        }
    }

    /// Creations on which somebody counts.
    fn under_way(&self) -> usize {
        self.creating.iter().filter(|&&slot| !self.is_abandoned(slot)).count()
    }

    fn is_abandoned(&self, slot: usize) -> bool {
        matches!(self.slots.slots[slot].place, Place::Creating(Purpose::Nobody))
    }

    fn own_create_ends(&mut self, which: usize, well: bool) {
        let Some(slot) = pick(&mut self.creating_own, which) else { return };
        if !well {
            return self.slots.own_create_failed(slot, self.now);
        }
        let item = self.new_item();
        match self.slots.adopt(slot, item, self.now, Self::holder()) {
            Ok(item) => self.leased.push((slot, item)),
            Err(EvictReason::Closed) => assert!(self.closed),
            Err(reason) => assert_eq!(reason, EvictReason::Resized),
        }
    }

    fn look(&mut self, which: usize) {
        if self.waiting.is_empty() {
            return;
        }
        let at = which % self.waiting.len();
        let (_, ticket, since) = self.waiting[at];
        match self.slots.look(ticket, self.now) {
            Look::Item(slot, item) => {
                assert_eq!(at, 0, "only the first in line may take");
                self.waiting.pop_front();
                self.leased.push((slot, item));
            }
            Look::Later(at) => assert!(at == Time::NEVER || at == since.after(MOMENT)),
            Look::Granted => panic!("nothing was granted to it"),
        }
    }

    fn leaves(&mut self, item: u64) {
        let was_there = self.items.insert(item, false);
        assert_eq!(was_there, Some(true), "an item leaves once");
    }

    pub(super) fn carry_out(&mut self) {
        let Some(outbox) = self.slots.take_outbox() else { return };
        for (id, grant) in outbox.grants {
            let first = self.waiting.front().map(|&(id, ..)| id);
            assert_eq!(Some(id), first, "grants go to the first in line");
            match grant {
                Grant::Item(slot, item) => {
                    self.waiting.pop_front();
                    self.leased.push((slot, item));
                }
                Grant::Closed => {
                    assert!(self.closed);
                    self.waiting.pop_front();
                }
                Grant::TooLate(_) => {
                    assert!(self.slots.rules.admission);
                    self.waiting.pop_front();
                }
                Grant::Unhealthy => {
                    assert_eq!(self.slots.rules.when_unhealthy, WhenUnhealthy::Fail);
                    self.waiting.pop_front();
                }
                Grant::Look => {}
            }
        }
        self.take_grants(outbox.shared);
        for job in outbox.jobs {
            match job {
                Job::Create(slot) => self.creating.push(slot),
            }
        }
        for alert in outbox.alerts {
            if let Alert::CheckGivenUp { check, .. } = alert {
                self.checks_ended += 1;
                let at = self.checking.iter().position(|one| one.2 == check);
                self.hanging.push(self.checking.swap_remove(at.expect("it was under way")));
            }
        }
        for (item, _) in outbox.trash {
            self.leaves(item);
        }
    }

    pub(super) fn check_laws(&mut self) {
        let stats = self.slots.stats();
        assert_eq!(stats.in_use, self.leased.len());
        assert_eq!(stats.creating, self.creating.len() + self.creating_own.len());
        assert_eq!(stats.checking, self.checking.len());
        assert_eq!(stats.waiting, self.waiting.len());
        // Law 1: every item is in exactly one place, and the places are within the cap.
        let resting: Vec<u64> = self.resting();
        // Those that hang are counted as unhealthy while their slot is kept, else not at all.
        let is_absent = |&&(slot, _, check): &&(usize, u64, u64)| matches!(self.slots.slots[slot].place, Place::Absent(number) if number == check);
        let (absent, gone): (Vec<_>, Vec<_>) = self.hanging.iter().partition(is_absent);
        assert_eq!(resting.len() + absent.len(), stats.idle + stats.unhealthy);
        let out = self.leased.iter().map(|&(_, item)| item);
        let out = out.chain(self.checking.iter().map(|&(_, item, _)| item));
        let out = out.chain(absent.iter().map(|&&(_, item, _)| item));
        let mut there: Vec<u64> = resting.into_iter().chain(out).collect();
        there.sort_unstable();
        let expected: Vec<u64> =
            self.items.iter().filter(|&(_, there)| *there).map(|(&item, _)| item).collect();
        let is_gone = |item: &u64| gone.iter().any(|one| one.1 == *item);
        let expected: Vec<u64> = expected.into_iter().filter(|item| !is_gone(item)).collect();
        assert_eq!(there, expected);
        let size = there.len() + stats.creating;
        assert_eq!(size, self.slots.size());
        assert_eq!(stats.checks, self.checks_ended);
        if self.leased.len() + stats.creating + self.checking.len() <= self.max_size {
            assert!(size <= self.max_size, "{size} items under a cap of {}", self.max_size);
        }
        if self.leased.len() > self.most_leased {
            assert!(self.leased.len() <= self.max_size, "a lease beyond the cap");
        }
        self.most_leased = self.leased.len();
        let balance = stats.evicted + stats.detached + there.len() as u64;
        assert_eq!(stats.created, balance);
        self.check_permits(size);
        self.check_service(&stats, size);
    }

    /// Every lease has a permit, every item its leave, and no more are kept than are of use.
    fn check_permits(&self, size: usize) {
        let Some(pot) = &self.pot else { return };
        let (spare, may_open, opening) = self.slots.allowance.unused();
        let state = pot.state();
        assert_eq!(state.permits.used, self.leased.len() + self.creating_own.len() + spare);
        assert_eq!((state.items.used, may_open), (size, 0));
        let in_prospect = (self.under_way() + opening).min(self.waiting.len());
        assert!(spare <= in_prospect, "{spare} permits kept for {in_prospect} waiters");
        assert!(state.wants_permit.is_none() || state.permits.free == 0, "wants what is free");
        let keeps = state.others_want && !self.slots.idle.is_empty() && self.waiting.is_empty();
        assert!(!keeps, "keeps what others need");
    }

    /// What the shared limits gave.
    pub(super) fn take_grants(&mut self, grants: Grants) {
        for (_, what) in grants {
            self.slots.granted(what, self.now);
            self.carry_out();
        }
    }

    /// Law 2: nothing is free that a waiter could use.
    fn check_service(&self, stats: &Stats, size: usize) {
        let Some(&(_, _, since)) = self.waiting.front() else { return };
        assert!(!self.closed, "nobody waits for a closed pool");
        if let Some(pot) = &self.pot {
            let state = pot.state();
            let (spare, ..) = self.slots.allowance.unused();
            let unserved = self.under_way().min(spare) < stats.waiting;
            let room = size < self.max_size && self.creating.len() + self.creating_own.len() < 3;
            let held_back = self.slots.is_held_back();
            // The one thing that may not be: blocked by a shared limit that does not know of it, and
            // not about to look, as a waiter is that was told of an item which another one took.
            let looks = self.slots.waiters.front().is_some_and(|first| first.was_nudged());
            if room && unserved && spare == 0 && !held_back && stats.idle == 0 && !looks {
                assert!(state.wants_permit.is_some(), "waits for a permit that nobody will bring");
            }
            if self.slots.allowance.unused().2 > 0 {
                assert!(state.wants_item, "waits for leave that nobody will give");
            }
            // The first takes what is idle when its moment is over, and then the next are served.
            let blocked = state.permits.free == 0 || state.items.free == 0;
            if blocked || stats.idle > 0 || looks {
                return;
            }
        }
        if self.now >= since.after(MOMENT) && self.now != since {
            // Time alone hands nothing over: the waiter itself looks when its moment is over.
            let told = self.slots.waiters.front().is_some_and(|first| first.was_nudged());
            assert!(stats.idle == 0 || told, "an idle item and a waiter that does not know");
        }
        assert!(!self.slots.refuses_as_unhealthy(), "waits where it should be refused");
        if self.slots.is_held_back() {
            assert_eq!(self.under_way(), 0, "creates what it should wait for");
        } else if size < self.max_size && self.under_way() + self.creating_own.len() < 3 {
            assert!(self.under_way() >= stats.waiting, "room, and too little being created");
        }
    }

    pub(super) fn resting(&self) -> Vec<u64> {
        let item_in = |slot: &Slot<u64>| match slot.place {
            Place::Idle(item) | Place::Unhealthy(item) => Some(item),
            _ => None,
        };
        self.slots.slots.iter().filter_map(item_in).collect()
    }
}

/// Removes one of `list`, if there is any.
fn pick<T>(list: &mut Vec<T>, which: usize) -> Option<T> {
    if list.is_empty() { None } else { Some(list.swap_remove(which % list.len())) }
}
