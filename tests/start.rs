//! Settings that are refused, and how a pool starts.

mod support;

use std::time::Duration;

use llm_pool::{ManualClock, Pool, PoolConfig, StartError};
use log::Level;
use support::*;

/// What is wrong with `config`, one entry a problem; nothing may have been created.
#[track_caller]
fn problems(config: PoolConfig) -> Vec<String> {
    let script = Script::new();
    let Err(StartError::Config(error)) = Pool::new(config, script.maker()) else {
        unreachable!("this config must be refused");
    };
    assert_eq!(script.on_create.calls(), 0, "nothing is created");
    for problem in error.problems() {
        assert!(error.to_string().contains(problem), "{error}");
    }
    error.problems().to_vec()
}

#[test]
fn every_setting_that_cannot_work_is_refused_by_name() {
    let default = PoolConfig::default;
    let zero = Duration::ZERO;
    let cases = [
        ("max_size", default().min_idle(0).max_size(0)),
        ("min_idle", default().min_idle(11).max_size(10)),
        ("max_creating", default().max_creating(0)),
        ("max_check_failures", default().max_check_failures(0)),
        ("max_uses", default().max_uses(0)),
        ("nearly_full", default().nearly_full(0)),
        ("nearly_full", default().nearly_full(101)),
        ("wait_timeout", default().wait_timeout(zero)),
        ("idle_timeout", default().idle_timeout(zero)),
        ("max_lifetime", default().max_lifetime(zero)),
        ("check_interval", default().check_interval(zero)),
        ("maintenance_interval", default().maintenance_interval(zero)),
        ("leak_after", default().leak_after(zero)),
        ("slow_wait", default().slow_wait(zero)),
    ];
    for (name, config) in cases {
        let problems = problems(config);
        let [problem] = &problems[..] else { panic!("{name}: {problems:?}") };
        assert!(problem.starts_with(&format!("{name}: ")), "{problem}");
    }
}

#[test]
fn all_that_is_wrong_is_refused_in_one_error() {
    let zero = Duration::ZERO;
    let config = PoolConfig::default()
        .max_size(0)
        .min_idle(3)
        .max_creating(0)
        .max_check_failures(0)
        .max_uses(0)
        .nearly_full(200)
        .wait_timeout(zero)
        .idle_timeout(zero)
        .max_lifetime(zero)
        .check_interval(zero)
        .maintenance_interval(zero)
        .leak_after(zero)
        .slow_wait(zero);
    let problems = problems(config);
    assert_eq!(problems.len(), 13, "{problems:#?}");
    assert!(problems.contains(&"min_idle: is 3, more than max_size (0)".into()), "{problems:?}");
}

#[test]
fn limits_that_are_set_to_none_are_accepted() {
    let script = Script::new();
    let config = config("no limits", 2)
        .idle_timeout(None)
        .max_lifetime(None)
        .max_uses(None)
        .max_waiting(None)
        .check_interval(None)
        .leak_after(None)
        .slow_wait(None)
        .nearly_full(None);
    let pool = start(config, &script);
    drop(take(&pool, 2));
    assert_settled(&pool, &script);
}

#[test]
fn a_pool_starts_with_min_idle_items() {
    let script = Script::new();
    let pool = start(config("ready", 5).min_idle(3), &script);
    let stats = pool.stats();
    assert_eq!((stats.idle, stats.created, stats.creating), (3, 3, 0));
}

#[test]
fn a_min_idle_of_zero_creates_nothing_until_asked() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("lazy", 5, &time).min_idle(0), &script);
    pool.clean_up();
    assert_eq!((script.on_create.calls(), pool.stats().idle), (0, 0));
    drop(pool.get().unwrap());
    assert_eq!(script.on_create.calls(), 1);
}

/// Behaviour 17: several at a time, but no more than the cap.
#[test]
fn the_first_items_are_created_max_creating_at_a_time() {
    let (script, time) = (Script::new(), ManualClock::new());
    let gate = Gate::new();
    script.on_create.set(gate.before(succeed()));
    let maker = script.maker();
    let config = manual("few at a time", 8, &time).min_idle(8).max_creating(3);
    let starting = spawn(move || Pool::new(config, maker));
    gate.await_entered(3);
    assert_eq!(script.on_create.calls(), 3);
    gate.open();
    let pool = starting.result().unwrap();
    assert_eq!((pool.stats().idle, script.on_create.calls()), (8, 8));
}

/// Behaviour 17: creations for a burst of waiters are capped as well.
#[test]
fn a_burst_of_waiters_creates_max_creating_at_a_time_and_no_more_than_wanted() {
    let (script, time) = (Script::new(), ManualClock::new());
    let pool = start(manual("burst", 20, &time).max_creating(2), &script);
    let gate = Gate::new();
    script.on_create.set(gate.before(succeed()));
    let waiters: Vec<_> = (0..6).map(|_| waiter(&pool, secs(30))).collect();
    gate.await_entered(2);
    assert_eq!((pool.stats().creating, gate.entered()), (2, 2));
    gate.open();
    for waiter in waiters {
        drop(waiter.result().unwrap());
    }
    assert_settled(&pool, &script);
    assert!(script.made() <= 6, "made {} for six", script.made());
}

/// Behaviour 19.
#[test]
fn a_pool_starts_with_what_there_is_and_goes_on_trying() {
    let (script, time) = (Script::new(), ManualClock::new());
    script
        .on_create
        .set(std::sync::Arc::new(|n| if n == 1 { Ok(()) } else { Err(Refusal("refused")) }));
    let pool = start(manual("degraded", 5, &time).min_idle(3), &script);
    assert_eq!(pool.stats().idle, 1);
    let told = logs::matching("degraded", Level::Warn, "starts with");
    assert_eq!(told, ["pool \"degraded\": starts with 1 of 3 items ready"]);
    script.on_create.set(succeed());
    pool.clean_up();
    eventually(|| pool.stats().idle == 3);
    assert_settled(&pool, &script);
}

/// Behaviour 19.
#[test]
fn a_start_waits_for_slow_items_no_longer_than_wait_timeout() {
    let (script, time) = (Script::new(), ManualClock::new());
    let gate = Gate::new();
    script.on_create.set(gate.before(succeed()));
    let (maker, config) = (script.maker(), manual("slow start", 5, &time).min_idle(2));
    let starting = spawn(move || Pool::new(config.wait_timeout(secs(10)), maker));
    gate.await_entered(2);
    assert!(!starting.is_done());
    time.advance(secs(10));
    let pool = starting.result().unwrap();
    assert_eq!((pool.stats().idle, pool.stats().creating), (0, 2));
    gate.open();
    eventually(|| pool.stats().idle == 2);
}

/// Behaviour 19.
#[test]
fn with_fail_fast_a_start_without_min_idle_items_fails_and_names_the_cause() {
    for (mishap, cause) in [(fail("refused"), "refused"), (blow_up("ouch"), "ouch")] {
        let (script, time) = (Script::new(), ManualClock::new());
        script.on_create.set(mishap);
        let config = manual("fail fast", 5, &time).min_idle(2).fail_fast(true);
        let error = Pool::new(config, script.maker()).err().unwrap();
        assert!(
            matches!(&error, StartError::NotReady { ready: 0, wanted: 2, cause: Some(_), .. }),
            "{error:?}"
        );
        let text = error.to_string();
        assert!(text.contains("\"fail fast\"") && text.contains("0 of 2"), "{text}");
        assert!(text.contains(cause), "{text}");
        assert!(std::error::Error::source(&error).is_some());
        eventually(|| script.manager_dropped());
        assert_eq!(script.live(), 0);
    }
}

/// Behaviours 12 and 19: what is created after the start failed is dropped.
#[test]
fn with_fail_fast_a_start_that_takes_too_long_fails_and_leaves_nothing_behind() {
    let (script, time) = (Script::new(), ManualClock::new());
    let gate = Gate::new();
    script.on_create.set(gate.before(succeed()));
    let config = manual("too slow", 5, &time).min_idle(2).fail_fast(true);
    let (maker, config) = (script.maker(), config.wait_timeout(secs(10)));
    let starting = spawn(move || Pool::new(config, maker));
    gate.await_entered(2);
    time.advance(secs(10));
    let error = starting.result().err().unwrap();
    assert!(matches!(&error, StartError::NotReady { cause: None, .. }), "{error:?}");
    assert!(error.to_string().contains("raise wait_timeout or lower min_idle"), "{error}");
    gate.open();
    eventually(|| script.made() == 2 && script.live() == 0 && script.manager_dropped());
}

#[test]
fn with_fail_fast_a_start_with_min_idle_items_succeeds() {
    let script = Script::new();
    let pool = start(config("quick", 5).min_idle(2).fail_fast(true), &script);
    assert_eq!(pool.stats().idle, 2);
}

#[test]
fn the_defaults_are_those_of_the_readme() {
    let pool = PoolConfig::default();
    assert_eq!((pool.name.as_str(), pool.max_size, pool.min_idle), ("pool", 10, None));
    assert_eq!((pool.wait_timeout, pool.idle_timeout), (secs(30), Some(secs(5 * 60))));
    assert_eq!((pool.max_lifetime, pool.max_uses), (Some(secs(30 * 60)), None));
    assert_eq!((pool.max_waiting, pool.max_creating), (None, 10));
    assert_eq!((pool.check_interval, pool.max_check_failures), (Some(secs(5 * 60)), 3));
    assert_eq!((pool.maintenance_interval, pool.leak_after), (secs(60), None));
    assert_eq!((pool.slow_wait, pool.nearly_full), (Some(secs(5)), Some(80)));
    assert!(!pool.fail_fast);
    let started = |config| Pool::new(config, Script::new().maker()).unwrap().stats();
    assert_eq!(started(PoolConfig::default()).idle, 2);
    assert_eq!(started(PoolConfig::default().max_size(1)).idle, 1);

    let agents = llm_pool::agent::AgentConfig::default();
    assert_eq!((agents.connect_timeout, agents.first_byte_timeout), (Some(secs(10)), None));
    assert_eq!((agents.read_timeout, agents.total_timeout), (Some(secs(30)), Some(secs(60))));
    assert_eq!((agents.keep_alive, agents.dns_ttl), (secs(30), secs(300)));
    assert_eq!((agents.buffer_size, agents.https_only), (16 * 1024, false));
}
