//! How a key comes to have a pool.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use llm_pool::keyed::{Key, KeyError, KeyedConfig, KeyedPool, Setup};
use llm_pool::{GetError, Lease, ManualClock, PoolConfig};

use crate::harness::{Name, config, keyed, manual, take};
use crate::support::{Gate, LIMIT, Maker, Script, eventually, millis, secs, spawn, succeed};

type Answer = Result<(), KeyError>;

/// A pool whose set-up does this, and how often it was asked.
fn with_setup(
    config: KeyedConfig,
    act: impl Fn(&Name) -> Answer + Send + Sync + 'static,
) -> (KeyedPool<Name, Maker>, Arc<AtomicUsize>) {
    let (script, asked) = (Script::new(), Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    let setup = move |key: &Name| {
        count.fetch_add(1, SeqCst);
        act(key).map(|()| Setup::new(script.maker()))
    };
    (KeyedPool::new(config, setup).unwrap(), asked)
}

#[test]
fn threads_that_ask_for_a_new_key_at_once_make_one_pool() {
    let gate = Gate::new();
    let (pool, asked) = with_setup(config(10), {
        let gate = gate.clone();
        move |_| {
            gate.pass();
            Ok(())
        }
    });
    let ask = || {
        let pool = pool.clone();
        spawn(move || pool.get_timeout(&"a", LIMIT).map(drop))
    };
    let tasks: Vec<_> = (0..4).map(|_| ask()).collect();
    gate.await_entered(1);
    assert_eq!(pool.keys(), Vec::<Name>::new(), "there is no pool yet");
    gate.open();
    for task in tasks {
        task.result().expect("a lease");
    }
    assert_eq!(asked.load(SeqCst), 1);
    assert_eq!((pool.keys(), pool.stats().pools_made), (vec!["a"], 1));
}

#[test]
fn a_refused_key_leaves_nothing_and_is_asked_about_again() {
    let refusals = Arc::new(AtomicUsize::new(2));
    let (pool, asked) = with_setup(config(1).max_pools(1), {
        let refusals = refusals.clone();
        move |key| {
            let refused = refusals.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok();
            if refused { Err(KeyError::new(key, "not today")) } else { Ok(()) }
        }
    });
    for _ in 0..2 {
        let error = pool.get(&"a").unwrap_err();
        assert_eq!(error.to_string(), "bad key \"a\": not today");
        assert!(pool.keys().is_empty() && pool.pool(&"a").is_none());
        assert_eq!(pool.stats().pools_made, 0);
    }
    drop(pool.get(&"a").expect("the third time it is not refused"));
    assert_eq!(asked.load(SeqCst), 3);
}

#[test]
fn a_set_up_that_panics_refuses_everybody_who_waited_for_it_and_the_next_one_asks_again() {
    let gate = Gate::new();
    let first = Arc::new(AtomicUsize::new(0));
    let (pool, asked) = with_setup(config(1), {
        let (gate, first) = (gate.clone(), first.clone());
        move |_| {
            if first.fetch_add(1, SeqCst) == 0 {
                gate.pass();
                panic!("no such thing");
            }
            Ok(())
        }
    });
    let maker = spawn({
        let pool = pool.clone();
        move || pool.get(&"a").map(drop)
    });
    gate.await_entered(1);
    let others: Vec<_> = (0..2)
        .map(|_| {
            let pool = pool.clone();
            spawn(move || pool.get_timeout(&"a", millis(100)).map(drop))
        })
        .collect();
    for other in others {
        let error = other.result().unwrap_err();
        assert!(matches!(error, GetError::KeyNotReady { .. }), "{error}");
    }
    let patient = spawn({
        let pool = pool.clone();
        move || pool.get(&"a").map(drop)
    });
    gate.open();
    let error = maker.result().unwrap_err();
    assert_eq!(error.to_string(), "bad key \"a\": its set-up panicked: no such thing");
    // Came while the set-up ran, or after it had failed: refused with it, or served by its own.
    let asked_before = match patient.result() {
        Err(error) => {
            assert!(matches!(error, GetError::Key(_)), "{error}");
            1
        }
        Ok(()) => 2,
    };
    assert_eq!(asked.load(SeqCst), asked_before);
    pool.get(&"a").map(drop).expect("asked again");
    assert_eq!(asked.load(SeqCst), 2);
}

#[test]
fn nobody_waits_for_the_set_up_or_the_creation_of_another_key() {
    let (gate, script) = (Gate::new(), Script::new());
    let setup = {
        let (gate, script) = (gate.clone(), script.clone());
        move |key: &Name| {
            if *key == "slow" {
                gate.pass();
            }
            Ok(Setup::new(script.maker()))
        }
    };
    let pool = KeyedPool::new(config(1), setup).unwrap();
    let slow = spawn({
        let pool = pool.clone();
        move || pool.get_timeout(&"slow", LIMIT).map(drop)
    });
    gate.await_entered(1);
    drop(pool.get_timeout(&"quick", LIMIT).expect("set up beside the slow one"));

    let creation = Gate::new();
    script.on_create.set(creation.before(succeed()));
    let hanging = spawn({
        let pool = pool.clone();
        move || pool.get_timeout(&"hanging", LIMIT).map(drop)
    });
    creation.await_entered(1);
    script.on_create.set(succeed());
    drop(pool.get_timeout(&"other", LIMIT).expect("created beside the hanging one"));
    drop(pool.get_timeout(&"quick", LIMIT).expect("there is an idle one"));
    assert!(!slow.is_done() && !hanging.is_done());
    creation.open();
    gate.open();
    slow.result().expect("a lease");
    hanging.result().expect("a lease");
}

#[test]
fn who_waits_for_the_set_up_of_another_thread_gives_up_at_its_deadline() {
    let (gate, time) = (Gate::new(), ManualClock::new());
    let (pool, asked) = with_setup(manual(1, &time), {
        let gate = gate.clone();
        move |_| {
            gate.pass();
            Ok(())
        }
    });
    let maker = spawn({
        let pool = pool.clone();
        move || pool.get_timeout(&"a", secs(60)).map(drop)
    });
    gate.await_entered(1);
    let error = pool.try_get(&"a").unwrap_err();
    assert!(matches!(error, GetError::KeyNotReady { .. }), "{error}");
    let waiter = spawn({
        let pool = pool.clone();
        move || pool.get_timeout(&"a", secs(5)).map(drop)
    });
    // It reads the clock when it comes, which cannot be seen from here.
    eventually(|| {
        time.advance(secs(1));
        std::thread::sleep(millis(1));
        waiter.is_done()
    });
    let error = waiter.result().unwrap_err().to_string();
    assert!(error.starts_with("the pool of key \"a\" is still being made after "), "{error}");
    gate.open();
    let _ = maker.outcome();
    assert_eq!(asked.load(SeqCst), 1);
}

#[test]
fn the_time_of_the_set_up_counts_towards_the_deadline() {
    let time = ManualClock::new();
    let (pool, _) = with_setup(manual(1, &time), {
        let time = time.clone();
        move |_| {
            time.advance(secs(3));
            Ok(())
        }
    });
    let lease = pool.get_within(&"a", secs(10)).unwrap();
    assert_eq!(Lease::remaining(&lease), Some(secs(7)));
    drop(lease);
    let lease = pool.get_within(&"a", secs(10)).unwrap();
    assert_eq!(Lease::remaining(&lease), Some(secs(10)), "now there is a pool");
    // With the deadline past, an item must be there at once, which is not so in a new pool.
    let error = pool.get_timeout(&"b", secs(3)).unwrap_err();
    assert!(matches!(error, GetError::Timeout { .. }), "{error}");
}

#[test]
fn bad_keys_are_refused_by_name_and_nothing_is_made_for_them() {
    let (pool, asked) = with_setup(config(1), |_| Ok(()));
    for key in ["", "  "] {
        let error = pool.get(&key).unwrap_err();
        assert_eq!(error.to_string(), format!("bad key \"{key}\": must be some text"));
        assert!(matches!(pool.try_get(&key), Err(GetError::Key(_))));
    }
    assert_eq!((asked.load(SeqCst), pool.stats().pools_made), (0, 0));
    assert!(pool.keys().is_empty() && pool.stats().hosts.is_empty());
}

#[test]
fn settings_of_a_key_that_cannot_work_are_told_with_the_key() {
    let script = Script::new();
    let setup = {
        let script = script.clone();
        move |key: &Name| {
            let max_size = if *key == "bad" { 0 } else { 3 };
            let config = PoolConfig::default().max_size(max_size).min_idle(0).name("ignored");
            Ok(Setup::new(script.maker()).config(config))
        }
    };
    let pool = KeyedPool::new(config(1), setup).unwrap();
    let error = pool.get(&"bad").unwrap_err().to_string();
    assert!(error.starts_with("bad key \"bad\": invalid PoolConfig: max_size: "), "{error}");
    assert!(pool.stats().keys.is_empty() && pool.stats().hosts.is_empty());
    drop(pool.get(&"good").unwrap());
    assert_eq!(pool.pool(&"good").unwrap().stats().max_size, 3);
    let shown = format!("{:?}", pool.pool(&"good").unwrap());
    assert!(shown.contains("\"keyed good\""), "{shown}");
}

#[test]
fn settings_of_the_keyed_pool_that_cannot_work_are_refused_together() {
    let bad = config(0).max_pools(0).max_total(0).max_per_host(0).max_open(4);
    let refused = KeyedPool::new(bad, |_: &Name| Ok(Setup::new(Script::new().maker())));
    let problems = refused.unwrap_err();
    assert_eq!(
        problems.problems(),
        [
            "max_size: must be at least 1",
            "max_pools: must be at least 1",
            "max_total: must be at least 1",
            "max_per_host: must be at least 1"
        ]
    );
    for config in [config(1).max_open(4), config(1).max_open(4).max_total(5)] {
        let refused = KeyedPool::new(config, |_: &Name| Ok(Setup::new(Script::new().maker())));
        let problems = refused.unwrap_err();
        assert_eq!(problems.problems().len(), 1);
        assert!(problems.problems()[0].starts_with("max_open: is 4"), "{problems}");
    }
}

#[test]
fn debug_output_shows_neither_managers_nor_items() {
    struct Secretive;
    #[derive(Debug)]
    struct Token(#[allow(dead_code)] &'static str);
    impl llm_pool::Manage for Secretive {
        type Item = Token;
        type Error = std::io::Error;
        fn create(&self) -> Result<Token, std::io::Error> {
            Ok(Token("hunter2"))
        }
    }
    impl fmt::Debug for Secretive {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("hunter2")
        }
    }
    let config = config(1).max_total(1);
    let pool = KeyedPool::new(config.clone(), |_: &Name| Ok(Setup::new(Secretive))).unwrap();
    let lease = pool.get(&"a").unwrap();
    let refused = pool.try_get(&"a").unwrap_err();
    let stats = pool.stats();
    let shown = [
        format!("{pool:?}"),
        format!("{lease:?}"),
        format!("{refused:?} {refused}"),
        format!("{stats:?} {stats}"),
        format!("{:?}", pool.advice()),
        format!("{:?}", pool.pool(&"a")),
        format!("{:?}", Setup::new(Secretive)),
        format!("{config:?}"),
    ];
    for text in shown {
        assert!(!text.is_empty() && !text.contains("hunter2"), "{text}");
    }
}

// ---- Keys whose own code is odd ----

/// All alike to a hash map.
#[derive(Clone, PartialEq, Eq)]
struct Alike(u32);

impl Hash for Alike {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(7);
    }
}

impl fmt::Display for Alike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Key for Alike {}

#[test]
fn keys_with_one_hash_are_told_apart_and_counted() {
    let script = Script::new();
    let setup = move |_: &Alike| Ok(Setup::new(script.maker()));
    let pool = KeyedPool::new(config(1).max_pools(2), setup).unwrap();
    let first = pool.get(&Alike(1)).unwrap();
    let second = pool.get(&Alike(2)).unwrap();
    assert_ne!(first.number, second.number);
    let error = pool.try_get(&Alike(3)).unwrap_err();
    assert!(matches!(error, GetError::TooManyKeys { max_pools: 2, .. }), "{error}");
    drop(first);
    drop(pool.get(&Alike(3)).expect("in the place of the first"));
    let keys: Vec<_> = pool.keys().iter().map(|key| key.0).collect();
    assert_eq!(keys, [2, 3]);
    assert_eq!(pool.stats().pools_evicted, 1);
}

/// Its hash takes its time when it is told to.
#[derive(Clone)]
struct SlowHash(&'static str, Option<Arc<Gate>>);

impl PartialEq for SlowHash {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for SlowHash {}

impl Hash for SlowHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        if let Some(gate) = &self.1 {
            gate.pass();
        }
        self.0.hash(state);
    }
}

impl fmt::Display for SlowHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Key for SlowHash {}

#[test]
fn a_key_that_takes_long_to_hash_holds_up_nobody_else() {
    let (script, gate) = (Script::new(), Gate::new());
    let setup = move |_: &SlowHash| Ok(Setup::new(script.maker()));
    let pool = KeyedPool::new(config(1), setup).unwrap();
    let slow = spawn({
        let (pool, gate) = (pool.clone(), gate.clone());
        move || pool.get_timeout(&SlowHash("slow", Some(gate)), LIMIT).map(drop)
    });
    gate.await_entered(1);
    let quick = spawn({
        let pool = pool.clone();
        move || pool.get_timeout(&SlowHash("quick", None), LIMIT).map(drop)
    });
    quick.result().expect("a lease");
    assert!(!slow.is_done());
    gate.open();
    slow.result().expect("a lease");
}

#[test]
fn a_key_whose_text_cannot_be_printed_is_refused_or_shown_as_such() {
    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Mute;
    impl fmt::Display for Mute {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("mute")
        }
    }
    impl Key for Mute {}
    let script = Script::new();
    let with_host = {
        let script = script.clone();
        move |_: &Mute| Ok(Setup::new(script.maker()).host("h"))
    };
    let pool = KeyedPool::new(config(1), with_host).unwrap();
    let lease = pool.get(&Mute).expect("its text is not needed");
    assert!(format!("{lease:?}").contains("keyed unprintable"));
    let pool = KeyedPool::new(config(1), move |_: &Mute| Ok(Setup::new(script.maker()))).unwrap();
    let error = pool.get(&Mute).unwrap_err().to_string();
    assert_eq!(error, "bad key \"unprintable\": its set-up panicked: mute");
}

#[test]
fn keys_that_share_a_script_have_pools_of_their_own() {
    let script = Script::new();
    let pool = keyed(config(2), &script);
    let a = take(&pool, "h/a", 2);
    let b = take(&pool, "h/b", 2);
    assert_eq!(script.live(), 4);
    drop((a, b));
    let stats = pool.stats();
    assert!(stats.keys.iter().all(|key| key.pool.idle == 2 && &*key.host == "h"));
}
