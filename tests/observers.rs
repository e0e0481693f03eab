//! Observers: what they are told, in which order, and what they may do.

mod support;

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use llm_pool::keyed::{KeyedConfig, KeyedPool, Setup};
use llm_pool::pool::SharedLimit;
use llm_pool::{EvictReason, Lease, ManualClock, Observer, StateChange};
use log::Level;
use support::*;

/// Keeps all that it is told, as text.
#[derive(Default)]
struct Recorder(Mutex<Vec<String>>);

impl Recorder {
    fn note(&self, text: String) {
        self.0.lock().unwrap().push(text);
    }

    fn told(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Waits until so much was told since the last time, and forgets it.
    #[track_caller]
    fn take(&self, count: usize) -> Vec<String> {
        eventually(|| self.0.lock().unwrap().len() >= count);
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observer for Recorder {
    fn created(&self, pool: &Arc<str>, took: Duration) {
        self.note(format!("{pool}: created in {took:?}"));
    }

    fn create_failed(&self, pool: &Arc<str>, message: &str) {
        self.note(format!("{pool}: create failed: {message}"));
    }

    fn got(&self, pool: &Arc<str>, waited: Duration) {
        self.note(format!("{pool}: got after {waited:?}"));
    }

    fn put_back(&self, pool: &Arc<str>, held: Duration) {
        self.note(format!("{pool}: put back after {held:?}"));
    }

    fn detached(&self, pool: &Arc<str>, held: Duration) {
        self.note(format!("{pool}: detached after {held:?}"));
    }

    fn evicted(&self, pool: &Arc<str>, reason: EvictReason) {
        self.note(format!("{pool}: evicted: {reason}"));
    }

    fn timed_out(&self, pool: &Arc<str>, waited: Duration, limit: Option<&SharedLimit>) {
        let limit = limit.map_or("its own".into(), ToString::to_string);
        self.note(format!("{pool}: timed out after {waited:?}, by {limit}"));
    }

    fn state_changed(&self, pool: &Arc<str>, change: &StateChange) {
        self.note(format!("{pool}: {change}"));
    }
}

#[test]
fn every_event_of_a_run_is_told_in_order() {
    let (script, time, recorder) = (Script::new(), ManualClock::new(), Arc::<Recorder>::default());
    let config = manual("p", 1, &time).observer(recorder.clone()).leak_after(secs(20));
    let pool = start(config.max_uses(2), &script);
    let gate = Gate::new();
    script.on_create.set(gate.before(succeed()));
    let first = waiter(&pool, Duration::MAX);
    gate.await_entered(1);
    time.advance(secs(3));
    gate.open();
    let lease = first.result().unwrap();
    assert_eq!(recorder.take(3), ["p: created in 3s", "p: nearly full", "p: got after 3s"]);
    time.advance(secs(5));
    drop(lease);
    assert_eq!(recorder.take(1), ["p: put back after 5s"]);
    let lease = pool.get().unwrap();
    let late = waiter(&pool, secs(2));
    time.advance(secs(2));
    assert!(late.result().is_err());
    let expected = ["p: got after 0ns", "p: timed out after 2s, by its own"];
    assert_eq!(recorder.take(2), expected);
    time.advance(secs(18));
    pool.clean_up();
    assert_eq!(recorder.take(1), ["p: a lease has been held for 20.0s"]);
    drop(lease);
    assert_eq!(recorder.take(1), ["p: evicted: max_uses"]);
    script.on_create.set(fail("refused"));
    assert!(pool.get().is_err());
    assert!(pool.try_get().is_err());
    assert_eq!(recorder.take(2), ["p: create failed: refused"; 2]);
    script.on_create.set(succeed());
    Lease::discard(pool.try_get().unwrap());
    let expected = ["p: created in 0ns", "p: got after 0ns", "p: evicted: discarded by its holder"];
    assert_eq!(recorder.take(3), expected);
    let item = Lease::detach(pool.get().unwrap());
    let expected = ["p: created in 0ns", "p: got after 0ns", "p: detached after 0ns"];
    assert_eq!(recorder.take(3), expected);
    drop((item, pool.get().unwrap()));
    let expected = ["p: created in 0ns", "p: got after 0ns", "p: put back after 0ns"];
    assert_eq!(recorder.take(3), expected);
    script.on_check.set(fail("down"));
    pool.check_all();
    assert_eq!(recorder.take(1), ["p: an item failed its check: down"]);
    pool.check_all();
    eventually(|| pool.stats().check_failures == 2);
    script.on_check.set(succeed());
    eventually(|| pool.stats().unhealthy == 1);
    pool.check_all();
    assert_eq!(recorder.take(1), ["p: an unhealthy item passed its check again"], "once each");
    pool.reset();
    assert_eq!(recorder.take(2), ["p: reset", "p: evicted: reset"]);
    drop(pool.get().unwrap());
    recorder.take(3);
    pool.resize(5).unwrap();
    pool.close();
    pool.close();
    let expected = ["p: max_size is now 5", "p: closed", "p: evicted: pool closed"];
    assert_eq!(recorder.take(3), expected);
}

/// Takes its time, in which others could overtake it.
struct Slow(Arc<Recorder>);

impl Observer for Slow {
    fn created(&self, pool: &Arc<str>, took: Duration) {
        std::thread::sleep(millis(20));
        self.0.created(pool, took);
    }

    fn got(&self, pool: &Arc<str>, waited: Duration) {
        self.0.got(pool, waited);
    }

    fn put_back(&self, pool: &Arc<str>, held: Duration) {
        std::thread::sleep(millis(20));
        self.0.put_back(pool, held);
    }
}

#[test]
fn a_step_is_told_before_those_who_waited_for_it_go_on() {
    let (script, time, recorder) = (Script::new(), ManualClock::new(), Arc::<Recorder>::default());
    let pool = start(manual("p", 1, &time).observer(Slow(recorder.clone())), &script);
    let lease = pool.get().unwrap();
    assert_eq!(recorder.take(2), ["p: created in 0ns", "p: got after 0ns"]);
    let next = waiter(&pool, LIMIT);
    time.advance(secs(1));
    drop(lease);
    drop(next.result().unwrap());
    let expected = ["p: put back after 1s", "p: got after 1s", "p: put back after 0ns"];
    assert_eq!(recorder.take(3), expected);
}

#[test]
fn a_check_that_is_given_up_is_told_and_its_item_once() {
    let (script, time, recorder) = (Script::new(), ManualClock::new(), Arc::<Recorder>::default());
    let pool = start(manual("p", 1, &time).observer(recorder.clone()).nearly_full(None), &script);
    drop(pool.get().unwrap());
    recorder.take(3);
    let gate = Gate::new();
    script.on_check.set(gate.before(succeed()));
    pool.check_all();
    gate.await_entered(1);
    time.advance(secs(11));
    pool.clean_up();
    let told = recorder.take(2);
    assert_eq!(told[0], "p: gave up a check that had run for 11.0s");
    assert_eq!(told[1], "p: evicted: failed its checks");
    gate.open();
    eventually(|| script.live() == 0);
    assert_eq!(recorder.told(), Vec::<String>::new());
}

/// Panics at everything.
struct Clumsy(Arc<AtomicU64>);

impl Clumsy {
    fn stumble(&self) {
        self.0.fetch_add(1, SeqCst);
        panic!("an observer\nthat panics");
    }
}

impl Observer for Clumsy {
    fn created(&self, _: &Arc<str>, _: Duration) {
        self.stumble();
    }

    fn got(&self, _: &Arc<str>, _: Duration) {
        self.stumble();
    }

    fn put_back(&self, _: &Arc<str>, _: Duration) {
        self.stumble();
    }

    fn evicted(&self, _: &Arc<str>, _: EvictReason) {
        self.stumble();
    }

    fn state_changed(&self, _: &Arc<str>, _: &StateChange) {
        self.stumble();
    }
}

impl Drop for Clumsy {
    fn drop(&mut self) {
        self.stumble();
    }
}

#[test]
fn a_panic_is_caught_costs_nothing_and_is_logged_once_a_pool() {
    let (script, time, calls) = (Script::new(), ManualClock::new(), Arc::new(AtomicU64::new(0)));
    for name in ["clumsy", "clumsy too"] {
        let observer = Clumsy(calls.clone());
        let pool = start(manual(name, 1, &time).observer(observer), &script);
        calls.store(0, SeqCst);
        for _ in 0..10 {
            drop(pool.get().unwrap());
        }
        Lease::discard(pool.get().unwrap());
        // Created, nearly full, got 11 times, put back 10 times, evicted.
        assert_eq!(calls.load(SeqCst), 1 + 1 + 11 + 10 + 1);
        let before = pool.stats();
        assert_eq!((before.gets, before.in_use, before.evicted), (11, 0, 1));
        drop(pool);
        eventually(|| calls.load(SeqCst) == 24 + 2);
        let told = logs::matching(name, Level::Error, "panicked");
        let line = "its observer panicked, which is logged once: an observer that panics";
        assert_eq!(told, [format!("pool \"{name}\": {line}")]);
    }
}

/// Asks its pool for all sorts of things whenever it is told something.
#[derive(Default)]
struct Curious {
    pool: OnceLock<Mutex<Option<TestPool>>>,
    calls: AtomicU64,
    got: AtomicU64,
}

impl Curious {
    fn ask(&self) {
        self.calls.fetch_add(1, SeqCst);
        let pool = self.pool.get().and_then(|pool| pool.lock().unwrap().clone());
        let Some(pool) = pool else { return };
        assert_eq!(pool.snapshot().name, "curious".into());
        let _ = (pool.items(), pool.last_check_error(), pool.is_closed());
        pool.clean_up();
        // A lease of its own now and then: what it is told of that it does not answer with another.
        if self.calls.load(SeqCst) % 16 == 0 {
            self.got.fetch_add(u64::from(pool.try_get().is_ok()), SeqCst);
        }
    }
}

impl Observer for Curious {
    fn created(&self, _: &Arc<str>, _: Duration) {
        self.ask();
    }

    fn got(&self, _: &Arc<str>, _: Duration) {
        self.ask();
    }

    fn put_back(&self, _: &Arc<str>, _: Duration) {
        self.ask();
    }

    fn evicted(&self, _: &Arc<str>, _: EvictReason) {
        self.ask();
    }

    fn timed_out(&self, _: &Arc<str>, _: Duration, _: Option<&SharedLimit>) {
        self.ask();
    }

    fn state_changed(&self, _: &Arc<str>, _: &StateChange) {
        self.ask();
    }
}

#[test]
fn an_observer_may_call_the_pool() {
    let (script, curious) = (Script::new(), Arc::<Curious>::default());
    let pool = start(config("curious", 2).observer(curious.clone()), &script);
    curious.pool.get_or_init(|| Mutex::new(Some(pool.clone())));
    let users: Vec<_> = (0..4)
        .map(|_| {
            let pool = pool.clone();
            spawn(move || {
                for turn in 0..200 {
                    let Ok(lease) = pool.get_timeout(millis(turn % 3)) else { continue };
                    if turn % 5 == 0 { Lease::discard(lease) } else { drop(lease) }
                }
            })
        })
        .collect();
    users.into_iter().for_each(Task::result);
    assert!(curious.got.load(SeqCst) > 0, "it had leases of its own");
    pool.close();
    *curious.pool.get().unwrap().lock().unwrap() = None;
    assert_settled(&pool, &script);
    assert_eq!(logs::matching("curious", Level::Error, ""), Vec::<String>::new());
}

/// Lets a put-back go on only once nobody waits any more.
struct Patient(Arc<OnceLock<TestPool>>);

impl Observer for Patient {
    fn put_back(&self, _: &Arc<str>, _: Duration) {
        eventually(|| self.0.get().is_none_or(|pool| pool.stats().waiting == 0));
    }
}

/// What was to make it look for an item is then under way to nobody, which is no fault.
#[test]
fn a_waiter_may_give_up_before_it_is_told_to_look() {
    let (script, own) = (Script::new(), Arc::<OnceLock<TestPool>>::default());
    let pool = start(config("gives up", 1).observer(Patient(own.clone())), &script);
    assert!(own.set(pool.clone()).is_ok());
    for _ in 0..200 {
        let lease = pool.get().unwrap();
        let waiter = spawn({
            let pool = pool.clone();
            move || drop(pool.get_timeout(Duration::from_micros(300)))
        });
        // Within the first moment of its wait, most times.
        while pool.stats().waiting == 0 && !waiter.is_done() {}
        drop(lease);
        waiter.result();
    }
    assert_eq!(logs::matching("gives up", Level::Error, ""), Vec::<String>::new());
    pool.close();
    assert_settled(&pool, &script);
}

#[test]
fn a_keyed_pool_tells_of_each_key_by_name_and_which_limit_kept_a_waiter() {
    let (script, time, recorder) = (Script::new(), ManualClock::new(), Arc::<Recorder>::default());
    let common = manual("k", 2, &time).observer(recorder.clone()).nearly_full(None);
    let own = script.clone();
    let setup = move |_: &&str| {
        // Settings of its own, which name no observer.
        Ok(Setup::new(own.maker()).config(config("", 2).nearly_full(None)).host("h"))
    };
    let config = KeyedConfig::default().pool(common).max_per_host(1);
    let pool = KeyedPool::new(config, setup).unwrap();
    let lease = pool.get(&"a").unwrap();
    assert_eq!(recorder.take(2), ["k a: created in 0ns", "k a: got after 0ns"]);
    let late = spawn({
        let pool = pool.clone();
        move || pool.get_timeout(&"b", secs(9)).is_err()
    });
    eventually(|| pool.stats().sum.waiting == 1);
    time.advance(secs(9));
    assert!(late.result());
    let expected = "k b: timed out after 9s, by max_per_host of h (1 of 1 in use)";
    assert_eq!(recorder.take(1), [expected]);
    drop(lease);
    recorder.take(1);
    assert!(pool.close_key(&"a"));
    assert_eq!(recorder.take(2), ["k a: closed", "k a: evicted: pool closed"]);
}
