//! What one can do with a lease.

mod support;

use std::time::Duration;

use llm_pool::{Lease, Manage, ManualClock, Pool, PoolConfig};
use support::*;

#[test]
fn a_lease_is_its_item_and_drop_puts_it_back_as_it_is() {
    struct Words;
    impl Manage for Words {
        type Item = String;
        type Error = std::convert::Infallible;
        fn create(&self) -> Result<String, Self::Error> {
            Ok("new".into())
        }
    }
    let pool = Pool::new(PoolConfig::default().min_idle(1), Words).unwrap();
    pool.get().unwrap().push_str(" and used");
    let lease = pool.get().unwrap();
    assert_eq!((lease.as_str(), lease.len()), ("new and used", 12));
    assert_eq!(Lease::waited(&lease), Duration::ZERO);
}

#[test]
fn a_lease_may_be_sent_to_another_thread_and_dropped_there() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("moved", 1, &time), &script);
    let lease = pool.get().unwrap();
    let waiter = waiter(&pool, secs(30));
    assert_eq!(spawn(move || lease.number).result(), 1);
    assert_eq!(waiter.result().unwrap().number, 1);
    assert_settled(&pool, &script);
}

#[test]
fn leases_handles_and_errors_may_cross_threads() {
    fn crosses<T: Send + 'static>() {}
    fn is_shared<T: Send + Sync + 'static>() {}
    crosses::<Lease<Maker>>();
    is_shared::<Pool<Maker>>();
    is_shared::<llm_pool::GetError<Refusal>>();
    is_shared::<llm_pool::StartError<Refusal>>();
    is_shared::<PoolConfig>();
}

#[test]
fn a_lease_that_waited_says_how_long() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("how long", 1, &time), &script);
    let lease = pool.get().unwrap();
    assert_eq!(Lease::waited(&lease), Duration::ZERO);
    let waiter = waiter(&pool, secs(30));
    time.advance(secs(7));
    drop(lease);
    assert_eq!(Lease::waited(&waiter.result().unwrap()), secs(7));
}

#[test]
fn the_wait_of_a_lease_includes_the_creation() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("long creation", 1, &time), &script);
    let moved = time.clone();
    script.on_create.set(std::sync::Arc::new(move |_| {
        moved.advance(secs(3));
        Ok(())
    }));
    let own = pool.try_get().unwrap();
    assert_eq!(Lease::waited(&own), secs(3));
    Lease::discard(own);
    assert_eq!(Lease::waited(&pool.get().unwrap()), secs(3));
}

#[test]
fn creation_runs_off_the_callers_thread_save_in_try_get() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("whose thread", 2, &time), &script);
    let (tell, told) = crossbeam_channel::unbounded();
    script.on_create.set(std::sync::Arc::new(move |_| {
        tell.send(std::thread::current().id()).unwrap();
        Ok(())
    }));
    let leases = (pool.get().unwrap(), pool.try_get().unwrap());
    let me = std::thread::current().id();
    assert_ne!(told.recv_timeout(LIMIT).unwrap(), me);
    assert_eq!(told.recv_timeout(LIMIT).unwrap(), me);
    drop(leases);
}

#[test]
fn a_pool_hands_out_its_manager() {
    let script = Script::new();
    let pool = start(config("manager", 1), &script);
    assert!(std::sync::Arc::ptr_eq(&pool.manager().0, &script));
}
