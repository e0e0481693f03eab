//! The series of keys: how many, with which labels, and what becomes of those that are gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use llm_pool::ManualClock;
use llm_pool::keyed::{AdapterKey, BaseUrl, KeyedConfig, KeyedPool, ModelKey, Origin, Setup};
use llm_pool::metrics::{MetricKey, Metrics};

use crate::parse::{Text, scrape};
use crate::support::*;

fn keyed<K: MetricKey>(config: KeyedConfig) -> KeyedPool<K, Maker> {
    let script = Script::new();
    KeyedPool::new(config, move |_: &K| Ok(Setup::new(script.maker()))).expect("good settings")
}

fn settings(max_pools: usize) -> KeyedConfig {
    KeyedConfig::default().pool(manual("keys", 2, &ManualClock::new())).max_pools(max_pools)
}

/// A pool in which each of these keys was got so often.
fn used<K: MetricKey>(keys: impl IntoIterator<Item = (K, usize)>) -> KeyedPool<K, Maker> {
    let pool = keyed(settings(2000));
    for (key, times) in keys {
        (0..times).for_each(|_| drop(pool.try_get(&key).expect("a lease")));
    }
    pool
}

/// The labels of all series of a family, as they are written.
fn labels(read: &Text, name: &str) -> Vec<String> {
    let of = |series: &String| Some(series.strip_prefix(name)?.strip_prefix('{')?.to_owned());
    read.samples.keys().filter_map(of).collect()
}

#[track_caller]
fn labels_of<K: MetricKey>(keys: impl IntoIterator<Item = K>) -> Vec<String> {
    let pool = used(keys.into_iter().map(|key| (key, 1)));
    labels(&scrape(&Metrics::new().pool("p", pool)), "llm_pool_key_gets_total")
}

#[test]
fn labels_are_those_of_the_kind_of_key() {
    let model = ModelKey::new("acme", "small").temperature(0.5);
    assert_eq!(labels_of([model]), [r#"pool="p",provider="acme",model="small"}"#]);
    let adapter = AdapterKey::new("small", "acme");
    assert_eq!(labels_of([adapter]), [r#"pool="p",provider="acme",model="small"}"#]);
    let origin = Origin::parse("https://api.example.com:8443/v1").unwrap();
    assert_eq!(labels_of([origin]), [r#"pool="p",host="api.example.com:8443"}"#]);
    let url = |path: &str| BaseUrl::parse(&format!("https://api.example.com/{path}")).unwrap();
    assert_eq!(labels_of([url("bot/s3cret"), url("v1")]), [r#"pool="p",host="api.example.com"}"#]);
    assert_eq!(labels_of(["team a"]), [r#"pool="p",key="team a"}"#]);
    assert_eq!(labels_of([7_u64]), [r#"pool="p",key="7"}"#]);
}

#[test]
fn the_host_that_the_setup_names_is_a_label_too() {
    let script = Script::new();
    let setup = move |_: &&'static str| Ok(Setup::new(script.maker()).host("u:hush@h.example"));
    let pool = KeyedPool::new(settings(9), setup).unwrap();
    drop(pool.try_get(&"a").unwrap());
    let read = scrape(&Metrics::new().pool("p", pool));
    let found = labels(&read, "llm_pool_key_gets_total");
    assert_eq!(found, [r#"pool="p",host="***@h.example",key="a"}"#]);
}

#[test]
fn models_with_other_parameters_are_one_series() {
    let key = |temperature| ModelKey::new("acme", "small").temperature(temperature);
    let pool = used((0..50_u8).map(|n| (key(f64::from(n)), 2)));
    let read = scrape(&Metrics::new().pool("p", pool));
    let labels = r#"{pool="p",provider="acme",model="small"}"#;
    assert_eq!(read.value(&format!("llm_pool_key_gets_total{labels}")), 100.0);
    assert_eq!(read.value(&format!("llm_pool_key_use_seconds_count{labels}")), 100.0);
    assert_eq!(read.value(&format!("llm_pool_key_max_size{labels}")), 100.0);
    assert_eq!(read.value("llm_pool_keys{pool=\"p\"}"), 50.0);
}

#[test]
fn odd_keys_cannot_break_the_text_and_are_cut() {
    let odd = ["a\"} 1\nforged_total{x=\"", "back\\slash\\", "tab\tnul\0", "\u{202e}rtl", "ключ"];
    let long = "x".repeat(5000);
    let keys: Vec<_> = odd.into_iter().map(str::to_owned).chain([long]).collect();
    // The parser refuses what is not as it should be.
    let found = labels_of(keys);
    assert_eq!(found.len(), 6, "{found:?}");
    assert!(found.contains(&r#"pool="p",key="a_} 1_forged_total{x=_"}"#.to_owned()), "{found:?}");
    assert!(found.contains(&r#"pool="p",key="ключ"}"#.to_owned()));
    let cut = format!(r#"pool="p",key="{}..."}}"#, "x".repeat(125));
    assert!(found.contains(&cut));
}

#[test]
fn no_label_has_the_secrets_of_a_url() {
    let pool = used([
        ("https://user:hush@api.example.com/v1".to_owned(), 1),
        ("https://api.example.com/v1?key=hush#hush".to_owned(), 1),
    ]);
    let metrics = Metrics::new().pool("wss://hush@here?hush", pool);
    let text = metrics.text() + &metrics.open_metrics() + &format!("{metrics:?}");
    assert!(text.contains("api.example.com"), "{text}");
    assert!(!text.contains("hush"), "{text}");
}

#[test]
fn only_the_keys_with_the_most_gets_have_series_and_the_sum_has_all() {
    let pool = used((0..10_usize).map(|n| (n, n + 1)));
    let metrics = Metrics::new().max_series(3).pool("p", pool.clone());
    let read = scrape(&metrics);
    let found = labels(&read, "llm_pool_key_gets_total");
    assert_eq!(found, [r#"pool="p",key="7"}"#, r#"pool="p",key="8"}"#, r#"pool="p",key="9"}"#]);
    assert_eq!(read.value("llm_pool_gets_total{pool=\"p\"}"), 55.0);
    let none = Metrics::new().max_series(0).pool("p", pool.clone());
    let read = scrape(&none);
    assert!(!none.text().contains("llm_pool_key_"), "no family without a series");
    assert_eq!(read.value("llm_pool_gets_total{pool=\"p\"}"), 55.0);
    // 100 unless set.
    let many = used((0..120_usize).map(|n| (n, 1)));
    let read = scrape(&Metrics::new().pool("p", many));
    assert_eq!(read.series("llm_pool_key_gets_total"), 100);
    assert_eq!(read.sum("llm_pool_gets_total"), 120.0);
}

#[test]
fn a_series_does_not_fall_when_one_of_its_keys_goes_and_ends_with_the_last() {
    let key = |n: u8| ModelKey::new("acme", "small").temperature(f64::from(n));
    let pool = used([(key(1), 30), (key(2), 5)]);
    let metrics = Metrics::new().pool("p", pool.clone());
    let gets = |read: &Text| {
        let labels = r#"{pool="p",provider="acme",model="small"}"#;
        read.samples.get(&format!("llm_pool_key_gets_total{labels}")).copied()
    };
    assert_eq!(gets(&scrape(&metrics)), Some(35.0));
    assert!(pool.close_key(&key(1)));
    let read = scrape(&metrics);
    assert_eq!((gets(&read), read.value("llm_pool_keys{pool=\"p\"}")), (Some(35.0), 1.0));
    let items = r#"llm_pool_key_items{pool="p",provider="acme",model="small",state="idle"}"#;
    assert_eq!(read.value(items), 1.0, "what is there now is of keys that are there");
    drop(pool.try_get(&key(1)).unwrap());
    assert_eq!(gets(&scrape(&metrics)), Some(36.0));
    assert!(pool.close_key(&key(1)) && pool.close_key(&key(2)));
    let read = scrape(&metrics);
    assert_eq!((gets(&read), read.sum("llm_pool_gets_total")), (None, 36.0));
    drop(pool.try_get(&key(2)).unwrap());
    assert_eq!(gets(&scrape(&metrics)), Some(1.0), "it begins anew");
}

#[test]
fn no_total_falls_and_every_text_is_whole_while_keys_come_and_go_under_two_scrapers() {
    let script = Script::new();
    let config = KeyedConfig::default().pool(config("crowd", 2)).max_pools(3);
    let setup = move |_: &ModelKey| Ok(Setup::new(script.maker()));
    let pool = KeyedPool::new(config, setup).unwrap();
    let metrics = Metrics::new().pool("p", pool.clone());
    let stop = Arc::new(AtomicBool::new(false));
    let users: Vec<_> = (0..2_usize)
        .map(|user| {
            let (pool, stop) = (pool.clone(), stop.clone());
            spawn(move || {
                for turn in user.. {
                    if stop.load(SeqCst) {
                        return;
                    }
                    // Two models, each with three temperatures.
                    let model = if turn % 2 == 0 { "even" } else { "odd" };
                    let key = ModelKey::new("acme", model).temperature((turn / 2 % 3) as f64);
                    drop(pool.get_timeout(&key, millis(50)));
                    if turn % 5 == 0 {
                        pool.close_key(&key);
                    }
                }
            })
        })
        .collect();
    thread::scope(|scope| {
        let scrapers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut before = scrape(&metrics);
                    for _ in 0..60 {
                        let now = scrape(&metrics);
                        for (series, value) in now.growing() {
                            // A series of keys may end and begin anew; that of a pool never.
                            let was = before.samples.get(series).copied().unwrap_or_default();
                            let of_keys = series.starts_with("llm_pool_key_");
                            assert!(of_keys || was <= value, "{series} fell: {was} to {value}");
                        }
                        before = now;
                    }
                })
            })
            .collect();
        scrapers.into_iter().for_each(|scraper| scraper.join().unwrap());
    });
    stop.store(true, SeqCst);
    users.into_iter().for_each(Task::result);
    eventually(|| pool.stats().sum.in_use == 0);
    let read = scrape(&metrics);
    assert_eq!(read.sum("llm_pool_gets_total"), pool.stats().sum.gets as f64);
    assert_eq!(read.sum("llm_pool_use_seconds_count"), read.sum("llm_pool_gets_total"));
    assert!(read.sum("llm_pool_key_gets_total") <= read.sum("llm_pool_gets_total"));
    assert!(read.sum("llm_pool_gets_total") > 0.0);
}
