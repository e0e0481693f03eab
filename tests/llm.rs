//! Clients by provider, model and parameters: which share a pool, what they send, and what is told
//! of them.

mod support;

use std::time::{Duration, Instant};

use llm_pool::agent::{AgentConfig, Proxy};
use llm_pool::keyed::{KeyStats, KeyedConfig, ModelKey};
use llm_pool::llm::{LlmConfig, LlmLease, LlmPool, Provider};
use llm_pool::test_server::{Reply, SeenRequest, TestServer};
use llm_pool::{EvictReason, GetError, Lease, ManualClock, PoolConfig};
use support::*;
use ureq::{Error, Timeout};

const KEY: &str = "sk-of-the-test";

/// Of agents that heed no proxy of the environment.
fn llm_config() -> LlmConfig {
    LlmConfig::default().agents(AgentConfig::default().proxy(Proxy::Direct))
}

fn provider(server: &TestServer) -> Provider {
    Provider::new(format!("{}/v1", server.url())).header("x-api-key", KEY)
}

fn pool_of(server: &TestServer) -> LlmPool {
    llm_config().provider("test", provider(server)).build().unwrap()
}

/// The same with at most so many clients a model.
fn pool_of_at_most(max_size: usize, server: &TestServer) -> LlmPool {
    let pools = KeyedConfig::default().pool(PoolConfig::default().name("llm").max_size(max_size));
    llm_config().pools(pools).provider("test", provider(server)).build().unwrap()
}

/// Waits until all clients of `key` are made and idle, and counts them.
fn at_rest(pool: &LlmPool, key: &ModelKey) -> usize {
    drop(pool.get(key).unwrap());
    eventually(|| stats_of(pool, key).pool.creating == 0);
    stats_of(pool, key).pool.idle
}

fn small() -> ModelKey {
    ModelKey::new("test", "small")
}

fn ask(llm: &LlmLease) -> u16 {
    let question = r#"{"model": "small", "messages": [{"role": "user", "content": "Hi"}]}"#;
    let mut answer = llm.post("chat/completions").send(question).unwrap();
    answer.body_mut().read_to_string().unwrap();
    answer.status().as_u16()
}

fn stats_of(pool: &LlmPool, key: &ModelKey) -> KeyStats<ModelKey> {
    pool.stats().keys.into_iter().find(|it| it.key == *key).expect("the key has a pool")
}

fn seen_at(server: &TestServer, path: &str) -> Vec<SeenRequest> {
    server.requests().into_iter().filter(|request| request.path() == path).collect()
}

#[test]
fn two_temperatures_are_two_pools_with_three_clients_each_made_ahead() {
    let server = TestServer::start().unwrap();
    let pool = pool_of(&server);
    let (calm, lively) = (small().temperature(0.2), small().temperature(0.8));
    assert_eq!(pool.stats().pools_made, 0);
    let (one, other) = (pool.get(&calm).unwrap(), pool.get(&lively).unwrap());
    assert_eq!((one.key(), other.key()), (&calm, &lively));
    assert_eq!(pool.stats().pools_made, 2);
    for key in [&calm, &lively] {
        // One of the three goes to the caller, or else one more is made for it.
        eventually(|| stats_of(&pool, key).pool.creating == 0);
        let KeyStats { pool: counts, .. } = stats_of(&pool, key);
        assert!((2..=3).contains(&counts.idle) && counts.in_use == 1, "{counts}");
    }
    drop((one, other));
    drop(pool.get(&calm).unwrap());
    assert_eq!(stats_of(&pool, &calm).pool.gets, 2);
    assert_eq!(stats_of(&pool, &lively).pool.gets, 1);
    assert_eq!(server.stats().requests, 0, "clients are made without a request");
}

#[test]
fn three_clients_are_made_ahead_whatever_else_is_set() {
    let server = TestServer::start().unwrap();
    for (max_size, made) in [(2, 2), (10, 3)] {
        let pools = KeyedConfig::default().pool(PoolConfig::default().max_size(max_size));
        let config = llm_config().pools(pools).provider("test", provider(&server));
        let pool = config.build().unwrap();
        let ready = at_rest(&pool, &small());
        assert!(ready == made || ready == (made + 1).min(max_size), "{ready}");
        assert_eq!(stats_of(&pool, &small()).pool.min_idle, made);
    }
    let none = KeyedConfig::default().pool(PoolConfig::default().min_idle(0));
    let pool = llm_config().pools(none).provider("test", provider(&server)).build().unwrap();
    drop(pool.get(&small()).unwrap());
    assert_eq!(stats_of(&pool, &small()).pool.min_idle, 0);
}

#[test]
fn a_lease_is_ready_to_call_its_model() {
    let server = TestServer::start().unwrap();
    let pool = pool_of(&server);
    let llm = pool.get(&small().temperature(0.2).max_tokens(7)).unwrap();
    assert_eq!((llm.key().model(), llm.key().get_temperature()), ("small", Some(0.2)));
    assert_eq!(llm.url("chat/completions"), server.chat_url());
    assert_eq!(ask(&llm), 200);
    // With or without a slash: one URL.
    assert_eq!(llm.get("/models").call().unwrap().status(), 200);

    let seen = server.requests();
    let lines: Vec<_> = seen.iter().map(|it| (it.method(), it.path())).collect();
    assert_eq!(lines, [("POST", "/v1/chat/completions"), ("GET", "/v1/models")]);
    for request in &seen {
        let keys: Vec<_> = request.headers().filter(|(name, _)| *name == "x-api-key").collect();
        assert_eq!(keys, [("x-api-key", KEY)]);
    }
    assert_eq!(seen[0].json().unwrap()["model"], "small");
}

#[test]
fn a_redirect_is_answered_to_the_caller_and_takes_the_key_nowhere() {
    let elsewhere = TestServer::start().unwrap();
    let there = format!("{}/v1/models", elsewhere.url());
    let server = TestServer::start().unwrap();
    let pool = pool_of(&server);
    let llm = pool.get(&small()).unwrap();
    for status in [301, 302, 303, 307, 308] {
        server.plan(Reply::status(status).header("location", &there).times(3));
        assert_eq!(ask(&llm), status);
        assert_eq!(llm.get("models").call().unwrap().status(), status);
        let changed = llm.get("models").config().timeout_global(Some(secs(60))).build();
        assert_eq!(changed.call().unwrap().status(), status, "also with settings of its own");
    }
    assert_eq!(elsewhere.stats().requests, 0);
}

#[test]
fn headers_of_a_call_come_on_top_of_the_providers() {
    let server = TestServer::start().unwrap();
    let provider = provider(&server).header("x-two", "a").header("x-two", "b");
    let pool = llm_config().provider("test", provider).build().unwrap();
    let llm = pool.get(&small()).unwrap();
    llm.get("models").header("x-own", "c").call().unwrap();
    // What Llm knows nothing of is the agent's, and the provider's headers are not sent.
    llm.head(llm.url("models")).call().unwrap();
    let sent: Vec<Vec<_>> = (server.requests().iter())
        .map(|seen| {
            let of_ours = seen.headers().filter(|(name, _)| name.starts_with("x-"));
            of_ours.map(|(name, value)| format!("{name}: {value}")).collect()
        })
        .collect();
    assert_eq!(sent[0], ["x-api-key: sk-of-the-test", "x-two: a", "x-two: b", "x-own: c"]);
    assert!(sent[1].is_empty(), "{:?}", sent[1]);
}

#[test]
fn a_limit_on_a_host_holds_over_all_models_of_its_providers() {
    let server = TestServer::start().unwrap();
    let pools = KeyedConfig::default().max_per_host(2);
    let config = llm_config().pools(pools).provider("test", provider(&server));
    let pool = config.provider("same host", provider(&server)).build().unwrap();
    let large = ModelKey::new("test", "large");
    let held = (pool.get(&small()).unwrap(), pool.get(&large).unwrap());
    for key in [small(), large.clone(), ModelKey::new("same host", "small")] {
        let refused = pool.try_get(&key).unwrap_err();
        assert!(matches!(refused, GetError::Exhausted { .. }), "{refused}");
        assert!(refused.to_string().contains("max_per_host"), "{refused}");
    }
    let hosts = pool.stats().hosts;
    assert_eq!(hosts.len(), 1);
    assert_eq!(format!("http://{}", hosts[0].host), server.url());
    assert_eq!((hosts[0].keys, hosts[0].max, hosts[0].sum.in_use), (3, Some(2), 2));
    drop(held);
    drop(pool.try_get(&small()).unwrap());
}

#[test]
fn clients_are_checked_with_the_providers_models_and_headers() {
    let server = TestServer::start().unwrap();
    let pool = pool_of_at_most(3, &server);
    assert_eq!(at_rest(&pool, &small()), 3);
    pool.check_all();
    server.wait_until(LIMIT, |seen| seen.requests == 3).unwrap();
    for request in server.requests() {
        assert_eq!((request.method(), request.path()), ("GET", "/v1/models"));
        assert_eq!(request.header("x-api-key"), Some(KEY));
    }
    eventually(|| stats_of(&pool, &small()).pool.idle == 3);
    assert_eq!(stats_of(&pool, &small()).requests.requests, 0, "checks are not counted");
}

#[test]
fn clients_that_fail_their_check_are_set_aside_and_come_back() {
    let server = TestServer::start().unwrap();
    let pool = pool_of_at_most(3, &server);
    assert_eq!(at_rest(&pool, &small()), 3);
    server.set_reply(Reply::status(503));
    pool.check_all();
    eventually(|| stats_of(&pool, &small()).pool.unhealthy == 3);
    let stats = pool.stats();
    assert_eq!((stats.sum.check_failures, stats.health_rate()), (3, Some(0.0)));
    server.set_reply(Reply::ok());
    pool.check_all();
    eventually(|| stats_of(&pool, &small()).pool.idle == 3);
    let stats = pool.stats();
    assert_eq!((stats.sum.check_failures, stats.health_rate()), (3, Some(1.0)));
    assert_eq!(stats.sum.created, 3, "they are the same three");
    assert_eq!(ask(&pool.get(&small()).unwrap()), 200);
}

#[test]
fn a_provider_says_what_its_clients_are_checked_with_if_anything() {
    let server = TestServer::start().unwrap();
    server.set_reply(Reply::status(503));
    let path = String::from("/health?deep=1");
    let config = llm_config()
        .pools(KeyedConfig::default().pool(PoolConfig::default().max_size(3)))
        .provider("unchecked", provider(&server).check(None))
        .provider("health", provider(&server).check(path.as_str()));
    let pool = config.build().unwrap();
    let (unchecked, health) = (ModelKey::new("unchecked", "m"), ModelKey::new("health", "m"));
    for key in [&unchecked, &health] {
        assert_eq!(at_rest(&pool, key), 3);
    }
    pool.check_all();
    eventually(|| stats_of(&pool, &health).pool.unhealthy == 3);
    eventually(|| stats_of(&pool, &unchecked).pool.idle == 3);
    assert_eq!(stats_of(&pool, &unchecked).pool.check_failures, 0);
    assert_eq!(seen_at(&server, "/v1/health?deep=1").len(), 3);
    assert_eq!(server.stats().requests, 3);
}

/// The pauses are real: `ureq` has no clock to move.
#[test]
fn a_deadline_covers_the_queue_and_the_call() {
    const BUDGET: Duration = Duration::from_millis(300);
    const QUEUE: Duration = Duration::from_millis(150);
    let server = TestServer::builder().delay(secs(1)).start().unwrap();
    let pool = pool_of_at_most(1, &server);
    let lease = pool.get(&small()).unwrap();
    let handle = pool.clone();
    let caller = spawn(move || {
        let began = Instant::now();
        let llm = handle.get_within(&small(), BUDGET).unwrap();
        let (waited, remaining) = (Lease::waited(&llm), Lease::remaining(&llm).unwrap());
        let error = llm.post("chat/completions").send("{}").map(|_| ()).unwrap_err();
        (waited, remaining, error, began.elapsed())
    });
    eventually(|| stats_of(&pool, &small()).pool.waiting == 1);
    std::thread::sleep(QUEUE);
    drop(lease);
    let (waited, remaining, error, took) = caller.result();
    assert!(waited >= QUEUE - millis(20), "{waited:?}");
    assert!(remaining <= BUDGET - QUEUE + millis(20), "the queue counts: {remaining:?}");
    assert!(matches!(error, Error::Timeout(Timeout::Global)), "{error}");
    assert!(took >= BUDGET - millis(20) && took < millis(900), "{took:?}");
    // The next holder has no deadline.
    server.set_delay(Duration::ZERO);
    let llm = pool.get(&small()).unwrap();
    assert_eq!((Lease::remaining(&llm), ask(&llm)), (None, 200));
}

#[test]
fn each_model_has_statistics_of_its_own() {
    let (server, time) = (TestServer::start().unwrap(), ManualClock::new());
    let pools =
        KeyedConfig::default().pool(manual("llm", 4, &time).min_idle(1).check_interval(None));
    let config = llm_config().pools(pools).provider("test", provider(&server));
    let pool = config.build().unwrap();
    let large = ModelKey::new("test", "large");

    let llm = pool.get(&small()).unwrap();
    server.plan(Reply::ok().delay(millis(40)));
    server.plan(Reply::status(500));
    server.plan(Reply::status(404));
    let statuses: Vec<_> = (0..4).map(|_| ask(&llm)).collect();
    assert_eq!(statuses, [200, 500, 404, 200]);
    let other = pool.get(&large).unwrap();
    server.plan(Reply::status(429));
    assert_eq!(ask(&other), 429);

    let KeyStats { pool: counts, requests, .. } = stats_of(&pool, &small());
    assert_eq!((counts.max_size, counts.min_idle), (4, 1));
    assert_eq!((requests.requests, requests.failures), (4, 1));
    assert_eq!(requests.success_rate(), Some(0.75));
    let mean = requests.mean_response_time().unwrap();
    assert!(mean.abs_diff(requests.response_time / 4) < Duration::from_micros(1), "{mean:?}");
    assert!(requests.response_time >= millis(40) && requests.response_time < secs(10));
    let of_large = stats_of(&pool, &large).requests;
    assert_eq!((of_large.requests, of_large.success_rate()), (1, Some(0.0)));

    // One is discarded; of those that are idle for too long, one is kept.
    Lease::discard(llm);
    let four = [(); 4].map(|()| pool.get(&small()).unwrap());
    drop(four);
    time.advance(secs(301));
    // Those of the other model, of which one is out, have as little reason to stay.
    assert!(pool.clean_up() >= 3);
    let counts = stats_of(&pool, &small()).pool;
    assert_eq!(counts.evicted_for(EvictReason::Discarded), 1);
    assert_eq!(counts.evicted_for(EvictReason::Idle), 3);
    assert_eq!((counts.evicted, counts.idle, counts.in_use), (4, 1, 0));
    assert_eq!(stats_of(&pool, &large).pool.in_use, 1);
}

#[test]
fn a_closed_model_is_made_anew_with_new_statistics() {
    let server = TestServer::start().unwrap();
    let pool = pool_of(&server);
    assert_eq!(ask(&pool.get(&small()).unwrap()), 200);
    assert!(pool.close_key(&small()));
    assert!(!pool.close_key(&small()));
    assert_eq!(ask(&pool.get(&small()).unwrap()), 200);
    assert_eq!(pool.stats().pools_made, 2);
    assert_eq!(stats_of(&pool, &small()).requests.requests, 1);
}
