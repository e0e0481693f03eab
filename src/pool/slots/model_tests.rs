//! The books against a simple model, under random actions.
//!
//! The [`Driver`] plays everybody outside the lock and checks both laws after every step. The first
//! test runs it with all settings on; the second also predicts, from a model of a
//! few lines, exactly which item each caller gets.

use std::time::Duration;

use proptest::prelude::*;

use super::super::config::WhenUnhealthy;
use super::create::spread;
use super::model_driver::Driver;
use super::queue::MOMENT;
use super::*;

#[derive(Clone, Debug)]
pub(super) enum Action {
    Get,
    TryGet,
    PutBack(usize),
    Discard(usize),
    Detach(usize),
    CreateEnds { which: usize, well: bool },
    OwnCreateEnds { which: usize, well: bool },
    CheckStarts,
    CheckEnds { which: usize, well: bool },
    Look(usize),
    GiveUp(usize),
    Pass(Duration),
    Sweep,
    CheckAll,
    WarmUp(usize),
    Resize(usize),
    Reset,
    Close,
}

pub(super) fn actions() -> impl Strategy<Value = Vec<Action>> {
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
        8 => Just(Action::CheckStarts),
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
        1 => (1..9_usize).prop_map(Action::WarmUp),
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

pub(super) fn when_unhealthy() -> impl Strategy<Value = WhenUnhealthy> {
    prop_oneof![Just(WhenUnhealthy::Replace), Just(WhenUnhealthy::Fail), Just(WhenUnhealthy::Wait)]
}

pub(super) fn config() -> PoolConfig {
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
    fn both_laws_hold_after_every_step(
        actions in actions(),
        uses in prop::option::of(1..4_u64),
        when_unhealthy in when_unhealthy(),
    ) {
        let config = config().max_uses(uses).leak_after(Duration::from_secs(30));
        let mut driver = Driver::new(&config.when_unhealthy(when_unhealthy));
        driver.slots.fill(driver.now);
        driver.carry_out();
        for action in &actions {
            driver.step(action);
        }
        // Whatever happened, the pool can be brought home: all comes back, and nothing is left.
        driver.close_and_bring_home();
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

/// The one item of a pool that fails its check, with callers that wait for it.
fn all_unhealthy(when: WhenUnhealthy) -> Driver {
    let mut driver = Driver::new(&config().max_size(2).min_idle(1).when_unhealthy(when));
    driver.slots.fill(driver.now);
    driver.carry_out();
    driver.step(&Action::CreateEnds { which: 0, well: true });
    driver.step(&Action::CheckAll);
    driver.step(&Action::CheckStarts);
    driver
}

#[test]
fn while_all_are_unhealthy_nothing_is_created_but_by_replace() {
    for when in [WhenUnhealthy::Replace, WhenUnhealthy::Fail, WhenUnhealthy::Wait] {
        let mut driver = all_unhealthy(when);
        driver.step(&Action::CheckEnds { which: 0, well: false });
        driver.step(&Action::Sweep);
        driver.step(&Action::Get);
        let replaces = when == WhenUnhealthy::Replace;
        assert_eq!(driver.creating.len(), usize::from(replaces), "{when:?}");
        assert_eq!(driver.waiting.len(), usize::from(when != WhenUnhealthy::Fail), "{when:?}");
        // Checked again and again, until it is evicted: then one is created in its place.
        for _ in 0..2 {
            driver.step(&Action::CheckAll);
            driver.step(&Action::CheckStarts);
            driver.step(&Action::CheckEnds { which: 0, well: false });
        }
        assert!(!driver.creating.is_empty(), "{when:?}");
    }
}

#[test]
fn a_check_given_up_frees_its_slot_or_keeps_it_as_unhealthy() {
    for when in [WhenUnhealthy::Replace, WhenUnhealthy::Fail] {
        let mut driver = all_unhealthy(when);
        driver.step(&Action::Pass(Duration::from_secs(10)));
        driver.step(&Action::Sweep);
        let stats = driver.slots.stats();
        let kept = usize::from(when == WhenUnhealthy::Fail);
        assert_eq!((stats.checking, stats.unhealthy, stats.check_timeouts), (0, kept, 1));
        assert_eq!(driver.creating.len(), 1 - kept, "replaced only where its slot is free");
        // As time goes by it fails again, and is evicted though its check never ends.
        for seconds in [60, 120] {
            driver.step(&Action::Pass(Duration::from_secs(seconds)));
            driver.step(&Action::Sweep);
        }
        assert_eq!((driver.slots.stats().unhealthy, driver.creating.len()), (0, 1), "{when:?}");
        driver.step(&Action::CheckEnds { which: 0, well: true });
        assert!(driver.items.values().all(|&there| !there), "it came too late");
    }
}
