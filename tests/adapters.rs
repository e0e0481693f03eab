//! Pools by model name and provider name, of items of the user's own.

mod support;

use std::collections::HashSet;

use llm_pool::GetError;
use llm_pool::keyed::{AdapterKey, KeyError, KeyStats, KeyedConfig, KeyedPool, Setup};
use support::*;

type Adapters = KeyedPool<AdapterKey, Maker>;

fn adapters(config: KeyedConfig, script: &std::sync::Arc<Script>) -> Adapters {
    let script = script.clone();
    KeyedPool::new(config, move |_: &AdapterKey| Ok(Setup::new(script.maker()))).unwrap()
}

fn stats_of(pool: &Adapters, key: &AdapterKey) -> KeyStats<AdapterKey> {
    pool.stats().keys.into_iter().find(|it| it.key == *key).expect("the key has a pool")
}

#[test]
fn an_adapters_pool_keeps_two_and_grows_to_ten_unless_told_otherwise() {
    let script = Script::new();
    let pool = adapters(KeyedConfig::default(), &script);
    let key = AdapterKey::new("gpt-4o", "openai");
    let leases: Vec<_> = (0..10).map(|_| pool.get(&key).unwrap()).collect();
    eventually(|| stats_of(&pool, &key).pool.creating == 0);
    let stats = stats_of(&pool, &key).pool;
    assert_eq!((stats.min_idle, stats.max_size, stats.in_use), (2, 10, 10));
    let refused = pool.try_get(&key).unwrap_err();
    assert!(matches!(refused, GetError::Exhausted { .. }), "{refused}");
    assert!(refused.to_string().contains("gpt-4o:openai"), "{refused}");
    assert!(refused.to_string().contains("max_size 10"), "{refused}");
    drop(leases);
    assert_eq!((script.most_live(), stats_of(&pool, &key).pool.idle), (10, 10));
}

#[test]
fn two_adapters_are_made_ahead_of_all_callers_but_the_first() {
    let script = Script::new();
    let pool = adapters(KeyedConfig::default(), &script);
    let key = AdapterKey::new("gpt-4o", "openai");
    let first = pool.get(&key).unwrap();
    eventually(|| stats_of(&pool, &key).pool.creating == 0);
    let made = script.made();
    assert!(made == 2 || made == 3, "one may be made for the caller: {made}");
    drop(first);
    for _ in 0..5 {
        drop(pool.get(&key).unwrap());
    }
    assert_eq!(script.made(), made);
}

#[test]
fn statistics_name_the_model_and_its_provider() {
    let pool = adapters(KeyedConfig::default(), &Script::new());
    drop(pool.get(&AdapterKey::new("gpt-4o", "openai")).unwrap());
    drop(pool.get(&AdapterKey::new("gpt-4o", "azure")).unwrap());
    drop(pool.get(&AdapterKey::new("o3", "openai")).unwrap());
    let stats = pool.stats();
    let keys: HashSet<_> = stats.keys.iter().map(|it| it.key.to_string()).collect();
    let hosts: Vec<_> = stats.hosts.iter().map(|it| (&*it.host, it.keys)).collect();
    let expected = ["gpt-4o:openai", "gpt-4o:azure", "o3:openai"];
    assert_eq!(keys, expected.map(String::from).into());
    assert_eq!(hosts, [("azure", 1), ("openai", 2)], "a provider counts as a host");
    for key in expected {
        assert!(stats.to_string().contains(&format!("key {key}: ")), "{stats}");
    }
}

#[test]
fn names_that_hold_a_colon_do_not_clash() {
    let pool = adapters(KeyedConfig::default(), &Script::new());
    let (one, other) = (AdapterKey::new("a:b", "c"), AdapterKey::new("a", "b:c"));
    assert_eq!(one.to_string(), other.to_string());
    let lease = pool.get(&one).unwrap();
    drop(pool.get(&other).unwrap());
    assert_eq!(pool.stats().pools_made, 2);
    assert_eq!(stats_of(&pool, &one).pool.in_use, 1);
    assert_eq!(stats_of(&pool, &other).pool.in_use, 0);
    assert!(pool.close_key(&other));
    assert_eq!(pool.keys(), [one]);
    drop(lease);
}

#[test]
fn empty_names_are_refused_both_at_once_and_nothing_is_made() {
    let script = Script::new();
    let pool = adapters(KeyedConfig::default(), &script);
    for (model, provider, says) in [
        ("", "openai", "model must be some text on one line, and is \"\""),
        ("gpt-4o", "", "provider must be some text on one line, and is \"\""),
        ("gpt-4o", " ", "provider must be some text on one line, and is \" \""),
        ("gpt\n4o", "openai", "model must be some text on one line, and is \"gpt\\n4o\""),
        (
            "",
            "",
            "model must be some text on one line, and is \"\"; provider must be some text on one \
             line, and is \"\"",
        ),
    ] {
        let key = AdapterKey::new(model, provider);
        let error = pool.get(&key).unwrap_err();
        assert_eq!(error.to_string(), format!("bad adapter key \"{key}\": {says}"));
        assert!(matches!(error, GetError::Key(_)), "{error:?}");
    }
    let stats = pool.stats();
    assert_eq!((stats.pools_made, stats.keys.len(), stats.hosts.len()), (0, 0, 0));
    assert_eq!(script.made(), 0);
}

#[test]
fn a_set_up_can_refuse_a_key_in_its_own_words() {
    let pool: Adapters = KeyedPool::new(KeyedConfig::default(), |key: &AdapterKey| {
        Err(KeyError::new(key, "only gpt-4o is to be had"))
    })
    .unwrap();
    let error = pool.get(&AdapterKey::new("o3", "openai")).unwrap_err();
    assert_eq!(error.to_string(), "bad key \"o3:openai\": only gpt-4o is to be had");
    assert_eq!(pool.stats().pools_made, 0);
}
