//! The books against a simple model, under random actions.
//!
//! The [`Driver`] plays everybody outside the lock: callers, waiters, workers. It carries out the
//! outbox after every step, keeps its own account of every item and every waiter, and checks both
//! laws. The first test runs it with all settings on; the second also predicts, from a model of a
//! few lines, exactly which item each caller gets.

use std::collections::{BTreeMap, VecDeque};
use std::panic::Location;
use std::time::Duration;

use proptest::prelude::*;

use super::create::spread;
use super::queue::MOMENT;
use super::*;

#[derive(Clone, Debug)]
enum Action {
    Get,
    TryGet,
    PutBack(usize),
    Discard(usize),
    Detach(usize),
    CreateEnds { which: usize, well: bool },
    OwnCreateEnds { which: usize, well: bool },
    CheckEnds { which: usize, well: bool },
    Look(usize),
    GiveUp(usize),
    Pass(Duration),
    Sweep,
    CheckAll,
    Resize(usize),
    Reset,
    Close,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let which = 0..8_usize;
    let action = prop_oneof![
        20 => Just(Action::Get),
        3 => Just(Action::TryGet),
        15 => which.clone().prop_map(Action::PutBack),
        4 => which.clone().prop_map(Action::Discard),
        1 => which.clone().prop_map(Action::Detach),
        15 => (which.clone(), prop::bool::weighted(0.8))
            .prop_map(|(which, well)| Action::CreateEnds { which, well }),
        3 => (which.clone(), prop::bool::weighted(0.8))
            .prop_map(|(which, well)| Action::OwnCreateEnds { which, well }),
        6 => (which.clone(), any::<bool>())
            .prop_map(|(which, well)| Action::CheckEnds { which, well }),
        4 => which.clone().prop_map(Action::Look),
        4 => which.prop_map(Action::GiveUp),
        10 => prop_oneof![
            Just(Duration::from_micros(50)),
            Just(MOMENT),
            Just(Duration::from_secs(20)),
            Just(Duration::from_secs(400)),
        ]
        .prop_map(Action::Pass),
        4 => Just(Action::Sweep),
        1 => Just(Action::CheckAll),
        2 => (1..7_usize).prop_map(Action::Resize),
        1 => Just(Action::Reset),
    ];
    // At most one close, near the end, or most of a run would be about a closed pool.
    (prop::collection::vec(action, 1..120), any::<bool>(), 0..20_usize).prop_map(
        |(mut actions, close, before_end)| {
            if close {
                let at = actions.len().saturating_sub(before_end);
                actions.insert(at, Action::Close);
            }
            actions
        },
    )
}

struct Driver {
    slots: Slots<u64, u32>,
    now: Time,
    next_item: u64,
    next_waiter: u32,
    leased: Vec<(usize, u64)>,
    creating: Vec<usize>,
    /// Slots in which a `try_get` creates.
    creating_own: Vec<usize>,
    checking: Vec<(usize, u64)>,
    /// In order of arrival, as the driver saw it.
    waiting: VecDeque<(u32, Ticket, Time)>,
    /// Every item there is, and whether it has left for good.
    items: BTreeMap<u64, bool>,
    max_size: usize,
    most_leased: usize,
    closed: bool,
}

impl Driver {
    fn new(config: &PoolConfig) -> Self {
        Self {
            slots: Slots::new(config, None),
            now: Time::from_secs(1_000),
            next_item: 0,
            next_waiter: 0,
            leased: Vec::new(),
            creating: Vec::new(),
            creating_own: Vec::new(),
            checking: Vec::new(),
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
    fn step(&mut self, action: &Action) -> Option<u64> {
        let now = self.now;
        let mut took = None;
        match *action {
            Action::Get => {
                let id = self.next_waiter;
                self.next_waiter += 1;
                match self.slots.join(id, now, Self::holder()) {
                    Ok(Joined::Item(slot, item)) => took = Some(self.got_at_once(slot, item)),
                    Ok(Joined::Waits(ticket)) => self.waiting.push_back((id, ticket, now)),
                    Err(Refused::Closed) => assert!(self.closed),
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
            Action::CheckEnds { which, well } => {
                if let Some((slot, item)) = pick(&mut self.checking, which) {
                    self.slots.checked(slot, item, well, now);
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

    fn carry_out(&mut self) {
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
                Grant::Look => {}
            }
        }
        for job in outbox.jobs {
            match job {
                Job::Create(slot) => self.creating.push(slot),
                Job::Check(slot, item) => self.checking.push((slot, item)),
            }
        }
        for (item, _) in outbox.trash {
            self.leaves(item);
        }
    }

    fn check_laws(&mut self) {
        let stats = self.slots.stats();
        assert_eq!(stats.in_use, self.leased.len());
        assert_eq!(stats.creating, self.creating.len() + self.creating_own.len());
        assert_eq!(stats.checking, self.checking.len());
        assert_eq!(stats.waiting, self.waiting.len());
        // Law 1: every item is in exactly one place, and the places are within the cap.
        let resting: Vec<u64> = self.resting();
        assert_eq!(resting.len(), stats.idle + stats.unhealthy);
        let out = self.leased.iter().chain(&self.checking).map(|&(_, item)| item);
        let mut there: Vec<u64> = resting.into_iter().chain(out).collect();
        there.sort_unstable();
        let expected: Vec<u64> =
            self.items.iter().filter(|&(_, there)| *there).map(|(&item, _)| item).collect();
        assert_eq!(there, expected);
        let size = there.len() + stats.creating;
        assert_eq!(size, self.slots.size());
        if self.leased.len() + stats.creating + self.checking.len() <= self.max_size {
            assert!(size <= self.max_size, "{size} items under a cap of {}", self.max_size);
        }
        if self.leased.len() > self.most_leased {
            assert!(self.leased.len() <= self.max_size, "a lease beyond the cap");
        }
        self.most_leased = self.leased.len();
        let balance = stats.evicted + stats.detached + there.len() as u64;
        assert_eq!(stats.created, balance);
        self.check_service(&stats, size);
    }

    /// Law 2: nothing is free that a waiter could use.
    fn check_service(&self, stats: &Stats, size: usize) {
        let Some(&(_, _, since)) = self.waiting.front() else { return };
        assert!(!self.closed, "nobody waits for a closed pool");
        if self.now >= since.after(MOMENT) && self.now != since {
            // Time alone hands nothing over: the waiter itself looks when its moment is over.
            let told = self.slots.waiters.front().is_some_and(|first| first.was_nudged());
            assert!(stats.idle == 0 || told, "an idle item and a waiter that does not know");
        }
        if size < self.max_size && self.under_way() + self.creating_own.len() < 3 {
            assert!(self.under_way() >= stats.waiting, "room, and too little being created");
        }
    }

    fn resting(&self) -> Vec<u64> {
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

fn config() -> PoolConfig {
    PoolConfig::default().max_size(4).min_idle(2).max_creating(3).max_waiting(5)
}

/// Idle items as a stack, waiters as a queue: all there is to say where nothing expires.
#[derive(Default)]
struct Model {
    idle: Vec<u64>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn both_laws_hold_after_every_step(actions in actions(), uses in prop::option::of(1..4_u64)) {
        let mut driver = Driver::new(&config().max_uses(uses).leak_after(Duration::from_secs(30)));
        driver.slots.fill(driver.now);
        driver.carry_out();
        for action in &actions {
            driver.step(action);
        }
        // Whatever happened, the pool can be brought home: all comes back, and nothing is left.
        driver.step(&Action::Close);
        while driver.slots.size() > 0 {
            driver.step(&Action::PutBack(0));
            driver.step(&Action::CreateEnds { which: 0, well: true });
            driver.step(&Action::OwnCreateEnds { which: 0, well: true });
            driver.step(&Action::CheckEnds { which: 0, well: true });
        }
        prop_assert!(driver.items.values().all(|&there| !there));
    }

    #[test]
    fn a_caller_gets_the_item_put_back_last(actions in actions()) {
        let settings = config().max_lifetime(None).idle_timeout(None).check_interval(None);
        let mut driver = Driver::new(&settings.max_size(8));
        let mut model = Model::default();
        for action in &actions {
            if !matches!(action, Action::Get | Action::PutBack(_) | Action::CreateEnds { .. }) {
                continue;
            }
            // Waiters are always past their moment, so that order is strict.
            driver.now = driver.now.after(MOMENT);
            let leased_before = driver.leased.clone();
            let queue_before = driver.waiting.len();
            let took = driver.step(action);
            match action {
                Action::Get if queue_before == 0 => prop_assert_eq!(took, model.idle.pop()),
                Action::Get => prop_assert_eq!(took, None),
                _ if queue_before == 0 => {
                    // What came home or was made lies on top.
                    let gone = leased_before.iter().filter(|lease| !driver.leased.contains(lease));
                    model.idle.extend(gone.map(|&(_, item)| item));
                    let made = driver.resting().into_iter().filter(|item| !model.idle.contains(item));
                    let made: Vec<u64> = made.collect();
                    model.idle.extend(made);
                }
                // Somebody waited: nothing may have come to rest.
                _ => prop_assert!(model.idle.is_empty()),
            }
            let mut resting = driver.resting();
            resting.sort_unstable();
            let mut expected = model.idle.clone();
            expected.sort_unstable();
            prop_assert_eq!(resting, expected);
        }
    }
}

#[test]
fn lifetimes_are_spread_over_the_last_tenth() {
    let lifetime = Duration::from_secs(1_000);
    let mut all: Vec<Duration> = (0..10).map(|nth| spread(lifetime, nth)).collect();
    all.sort_unstable();
    assert!(all.iter().all(|l| (Duration::from_secs(900)..=lifetime).contains(l)), "{all:?}");
    let closest = all.windows(2).map(|pair| pair[1] - pair[0]).min();
    assert!(closest > Some(Duration::from_secs(3)), "two end together: {all:?}");
    assert!(spread(Duration::MAX, 7) > Duration::from_secs(1));
}

#[test]
fn a_nudged_waiter_that_gives_up_passes_the_nudge_on() {
    let mut driver = Driver::new(&config().max_size(1).min_idle(0));
    driver.step(&Action::Get);
    driver.step(&Action::CreateEnds { which: 0, well: true });
    driver.step(&Action::Get);
    driver.step(&Action::Get);
    driver.step(&Action::PutBack(0));
    assert!(driver.slots.waiters[0].was_nudged() && !driver.slots.waiters[1].was_nudged());
    driver.step(&Action::GiveUp(0));
    assert!(driver.slots.waiters[0].was_nudged());
}

#[test]
fn a_failed_creation_is_not_begun_again_while_others_cover_those_who_wait() {
    let mut driver = Driver::new(&config());
    driver.slots.fill(driver.now);
    driver.carry_out();
    driver.step(&Action::Get);
    // Two for refill and one for the waiter: each failure leaves one less, the last is told.
    for left in [2, 1, 0] {
        driver.step(&Action::CreateEnds { which: 0, well: false });
        assert_eq!(driver.creating.len(), left);
    }
    assert!(driver.waiting.is_empty());
}
