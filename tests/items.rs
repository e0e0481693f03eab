//! What a pool says of each of its items.

mod support;

use std::sync::Arc;

use llm_pool::{ItemState, ItemStats, ManualClock};
use support::*;

fn by_state(pool: &TestPool, state: ItemState) -> Vec<ItemStats> {
    pool.items().into_iter().filter(|item| item.state == state).collect()
}

#[test]
fn each_item_tells_its_state_uses_age_and_last_use() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("each", 4, &time), &script);
    assert!(pool.items().is_empty());
    let used = pool.get().unwrap();
    time.advance(secs(5));
    let held = pool.get().unwrap();
    drop(used);
    time.advance(secs(10));

    let [idle] = by_state(&pool, ItemState::Idle)[..] else { panic!("{:?}", pool.items()) };
    assert_eq!((idle.uses, idle.age, idle.last_used), (1, secs(15), Some(secs(10))));
    assert_eq!((idle.last_check, idle.failures), (None, 0));
    let [in_use] = by_state(&pool, ItemState::InUse)[..] else { panic!("{:?}", pool.items()) };
    assert_eq!((in_use.uses, in_use.age, in_use.last_used), (1, secs(10), Some(secs(0))));

    drop(held);
    let gate = Gate::new();
    script.on_create.set(gate.before(succeed()));
    let leases = take(&pool, 2);
    let waiter = waiter(&pool, secs(30));
    gate.await_entered(1);
    time.advance(secs(2));
    let [creating] = by_state(&pool, ItemState::Creating)[..] else { panic!("{:?}", pool.items()) };
    assert_eq!((creating.uses, creating.age, creating.last_used), (0, secs(2), None));
    gate.open();
    drop((waiter.result().unwrap(), leases));
    // A slot that is used again begins anew.
    pool.reset();
    assert!(pool.items().is_empty());
    drop(pool.get().unwrap());
    assert_eq!((pool.items()[0].uses, pool.items()[0].age), (1, secs(0)));
}

#[test]
fn each_item_tells_how_its_last_check_went() {
    let (script, time) = (Script::new(), ManualClock::new());
    let config = manual("checks", 2, &time).min_idle(2).idle_timeout(None).max_lifetime(None);
    let pool = start(config.check_interval(None), &script);
    script.on_check.set(Arc::new(|n| if n == 1 { Err(Refusal("unwell")) } else { Ok(()) }));
    pool.check_all();
    assert_settled(&pool, &script);
    time.advance(secs(3));
    let [bad] = by_state(&pool, ItemState::Unhealthy)[..] else { panic!("{:?}", pool.items()) };
    let [good] = by_state(&pool, ItemState::Idle)[..] else { panic!("{:?}", pool.items()) };
    let told = |item: &ItemStats| item.last_check.map(|check| (check.ago, check.passed));
    assert_eq!((told(&bad), bad.failures, bad.last_used), (Some((secs(3), false)), 1, None));
    assert_eq!((told(&good), good.failures), (Some((secs(3), true)), 0));

    let gate = Gate::new();
    script.on_check.set(gate.before(succeed()));
    pool.check_all();
    gate.await_entered(2);
    assert_eq!(by_state(&pool, ItemState::Checking).len(), 2);
    gate.open();
    assert_settled(&pool, &script);
    assert!(pool.items().iter().all(|item| told(item) == Some((secs(0), true))));
    assert!(pool.items().iter().all(|item| item.failures == 0));
    assert_eq!(pool.last_check_error(), Some(("unwell".into(), secs(3))));
}
