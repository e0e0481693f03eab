//! The books under shared limits, with a [`Pot`] in the place of the other pools.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use proptest::prelude::*;

use super::super::permits::{Granted, Grants, Permits, Permitted, PutBack, SharedLimit};
use super::model_driver::Driver;
use super::model_tests::{actions, config, when_unhealthy};
use super::*;

/// Shared limits with nobody but the pool under test and a hand that takes and gives.
#[derive(Default)]
pub(super) struct Pot(Mutex<State>);

#[derive(Default)]
pub(super) struct State {
    pub(super) permits: Share,
    pub(super) items: Share,
    pub(super) wants_permit: Option<Time>,
    pub(super) wants_item: bool,
    /// Another pool wants to make an item.
    pub(super) others_want: bool,
}

/// What is free, and what the pool has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    pub(super) free: usize,
    pub(super) used: usize,
}

impl Share {
    fn take(&mut self) -> bool {
        let may = self.free > 0;
        self.free -= usize::from(may);
        self.used += usize::from(may);
        may
    }

    fn put_back(&mut self, count: usize) {
        self.used -= count;
        self.free += count;
    }
}

impl Pot {
    fn new(free: usize) -> Arc<Self> {
        let share = Share { free, used: 0 };
        Arc::new(Self(Mutex::new(State { permits: share, items: share, ..State::default() })))
    }

    pub(super) fn state(&self) -> parking_lot::MutexGuard<'_, State> {
        self.0.lock()
    }
}

impl State {
    pub(super) fn grants(&mut self) -> Grants {
        let mut grants: Grants = Vec::new();
        if self.wants_permit.is_some() && self.permits.take() {
            self.wants_permit = None;
            grants.push((Weak::<Nobody>::new(), Granted::Permit));
        }
        if self.wants_item && self.items.take() {
            self.wants_item = false;
            grants.push((Weak::<Nobody>::new(), Granted::Open));
        }
        grants
    }
}

struct Nobody;

impl Permitted for Nobody {
    fn granted(self: Arc<Self>, _: Granted) {}

    fn give_up_idle(self: Arc<Self>) -> bool {
        false
    }
}

impl Permits for Pot {
    fn bind(&self, _: Weak<dyn Permitted>) {}

    fn take(&self) -> bool {
        self.state().permits.take()
    }

    fn take_or_want(&self, since: Time) -> bool {
        let mut state = self.state();
        let took = state.permits.take();
        state.wants_permit = (!took).then_some(since);
        took
    }

    fn stop_wanting(&self) {
        self.state().wants_permit = None;
    }

    fn put_back(&self, permits: usize, waits: Option<Time>) -> PutBack {
        let mut state = self.state();
        state.permits.put_back(permits);
        state.wants_permit = waits.or(state.wants_permit);
        let kept = state.wants_permit.is_some() && state.permits.take();
        if kept {
            state.wants_permit = None;
        }
        PutBack { kept, grants: state.grants() }
    }

    fn full(&self) -> Option<SharedLimit> {
        let Share { free, used } = self.state().permits;
        (free == 0).then_some(SharedLimit::Total { max: used, in_use: used })
    }

    fn open(&self, wanted: bool) -> bool {
        let mut state = self.state();
        let may = state.items.take();
        state.wants_item |= wanted && !may;
        may
    }

    fn stop_opening(&self) {
        self.state().wants_item = false;
    }

    fn full_open(&self) -> Option<SharedLimit> {
        None
    }

    fn closed(&self, items: usize) -> Grants {
        let mut state = self.state();
        state.items.put_back(items);
        state.grants()
    }

    fn is_open_wanted(&self) -> bool {
        self.state().others_want
    }

    fn reclaim(&self) {}
}

/// What the others do between two steps of the pool.
#[derive(Clone, Debug)]
enum Hand {
    GivesPermit,
    TakesPermit,
    GivesItem,
    TakesItem,
    WantsItem(bool),
}

fn hands() -> impl Strategy<Value = Vec<Option<Hand>>> {
    let hand = prop_oneof![
        4 => Just(Hand::GivesPermit),
        4 => Just(Hand::TakesPermit),
        2 => Just(Hand::GivesItem),
        2 => Just(Hand::TakesItem),
        1 => Just(Hand::WantsItem(true)),
        2 => Just(Hand::WantsItem(false)),
    ];
    prop::collection::vec(prop::option::of(hand), 120)
}

impl Driver {
    fn hand(&mut self, pot: &Pot, hand: &Hand) {
        {
            let mut state = pot.state();
            match hand {
                Hand::GivesPermit => state.permits.free += 1,
                Hand::TakesPermit => state.permits.free = state.permits.free.saturating_sub(1),
                Hand::GivesItem => state.items.free += 1,
                Hand::TakesItem => state.items.free = state.items.free.saturating_sub(1),
                Hand::WantsItem(wants) => state.others_want = *wants,
            }
        }
        if matches!(hand, Hand::WantsItem(true)) {
            while self.slots.give_up_idle(self.now) {}
        }
        let grants = pot.state().grants();
        self.take_grants(grants);
        self.carry_out();
        self.check_laws();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn both_laws_hold_under_shared_limits_and_no_permit_is_lost_or_kept(
        actions in actions(),
        hands in hands(),
        free in 0..5_usize,
        when_unhealthy in when_unhealthy(),
    ) {
        let pot = Pot::new(free);
        let config = config().max_uses(3).when_unhealthy(when_unhealthy).admission(true);
        let mut driver = Driver::under(&config, Some(pot.clone()));
        driver.slots.fill(driver.now);
        driver.carry_out();
        for (action, hand) in actions.iter().zip(&hands) {
            if let Some(hand) = hand {
                driver.hand(&pot, hand);
            }
            driver.step(action);
        }
        driver.close_and_bring_home();
        let state = pot.state();
        prop_assert_eq!((state.permits.used, state.items.used), (0, 0));
        prop_assert!(state.wants_permit.is_none());
    }
}
