//! Other settings for pools that run.

use std::time::{Duration, Instant};

use llm_pool::Lease;
use llm_pool::keyed::ModelKey;
use llm_pool::settings::Settings;
use llm_pool::test_server::TestServer;

const OLD: &str = "
[pools]
max_total = 2
max_per_host = 2
max_open = 4
[pools.pool]
max_size = 3
min_idle = 0
[agents]
proxy = 'direct'
[providers.own]
base_url = 'URL/v1'
headers = { x-who = 'secret-1' }
[groups.small]
endpoints = [
    { provider = 'own', model = 'a', weight = 1 },
    { provider = 'own', model = 'b', limits = { requests_per_minute = 1 } },
]
[groups.old]
endpoints = [{ provider = 'own', model = 'c' }]
";

fn settings(text: &str, server: &TestServer) -> Settings {
    Settings::parse(&text.replace("URL", server.url())).unwrap()
}

#[test]
fn shared_limits_and_sizes_are_applied_to_what_runs() {
    let server = TestServer::start().unwrap();
    let mut running = settings(OLD, &server);
    let pool = running.build().unwrap();
    let key = ModelKey::new("own", "a");
    let held = [pool.get(&key).unwrap(), pool.get(&key).unwrap()];
    assert!(pool.try_get(&key).is_err());

    let text = OLD.replace("max_total = 2", "max_total = 8").replace("max_per_host = 2", "");
    let text = text.replace("max_open = 4", "max_open = 9").replace("max_size = 3", "max_size = 5");
    let new = settings(&text, &server);
    let done = running.reload(&pool, &new).unwrap();
    assert_eq!(
        done.applied,
        [
            "pools.max_open: 4 -> 9",
            "pools.max_per_host: 2 -> \"none\"",
            "pools.max_total: 2 -> 8",
            "pools.pool.max_size: 3 -> 5",
        ]
    );
    assert_eq!(done.needs_restart, [""; 0]);
    let more: Vec<_> = (0..3).map(|_| pool.try_get(&key).unwrap()).collect();
    assert!(pool.try_get(&key).is_err(), "five are out");
    drop((held, more));
    let stats = pool.stats();
    assert_eq!((stats.max_total, stats.max_open), (Some(8), Some(9)));

    // And back: what was applied is now what it was built with.
    let done = running.reload(&pool, &settings(OLD, &server)).unwrap();
    assert_eq!(done.applied.len(), 4, "{done:?}");
    assert_eq!(pool.pool(&key).unwrap().stats().max_size, 3);
    assert_eq!(done.needs_restart, [""; 0]);
    assert_eq!(pool.stats().max_total, Some(2));
}

#[test]
fn weights_and_limits_of_endpoints_are_applied() {
    let server = TestServer::start().unwrap();
    let mut running = settings(OLD, &server);
    let groups = running.build_groups().unwrap();
    let text =
        OLD.replace("weight = 1", "weight = 7").replace("per_minute = 1 ", "per_minute = 5 ");
    let done = running.reload_groups(&groups, &settings(&text, &server)).unwrap();
    assert_eq!(
        done.applied,
        [
            "groups.small.endpoints[0].weight: 1.0 -> 7.0",
            "groups.small.endpoints[1].limits.requests_per_minute: 1 -> 5",
        ]
    );
    assert_eq!(done.needs_restart, [""; 0]);
    let endpoints = groups.stats("small").unwrap().endpoints;
    assert_eq!(endpoints[1].requests_left, Some(5));
    // Without groups nothing can be done about them.
    let done = running.reload(groups.pool(), &settings(OLD, &server)).unwrap();
    assert_eq!((done.applied.len(), done.needs_restart.len()), (0, 2), "{done:?}");
}

#[test]
fn calls_follow_a_new_weight() {
    let server = TestServer::start().unwrap();
    let text = "
        [agents]
        proxy = 'direct'
        [providers.own]
        base_url = 'URL/v1'
        [groups.small]
        balance = { strategy = 'round_robin' }
        endpoints = [
            { provider = 'own', model = 'a', weight = 1 },
            { provider = 'own', model = 'b' },
        ]";
    let mut running = settings(text, &server);
    let groups = running.build_groups().unwrap();
    running
        .reload_groups(&groups, &settings(&text.replace("weight = 1", "weight = 3"), &server))
        .unwrap();
    for _ in 0..8 {
        groups.chat("small", "Hi").unwrap();
    }
    let served: Vec<_> =
        groups.stats("small").unwrap().endpoints.iter().map(|it| it.successes).collect();
    assert_eq!(served, [6, 2]);
}

/// Their calls at one time are those that the pool of a model has, unless they have their own.
#[test]
fn a_new_size_is_applied_to_endpoints_without_a_limit_of_their_own() {
    let server = TestServer::start().unwrap();
    let text = OLD.replace("model = 'a',", "model = 'a', limits = { max_in_use = 2 },");
    let mut running = settings(&text, &server);
    let groups = running.build_groups().unwrap();
    let most = || {
        let stats = groups.stats("small").unwrap();
        stats.endpoints.iter().map(|it| it.max_in_use.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(most(), [2, 3]);
    let new = settings(&text.replace("max_size = 3", "max_size = 5"), &server);
    let done = running.reload_groups(&groups, &new).unwrap();
    assert_eq!(most(), [2, 5]);
    assert_eq!(done.needs_restart, [""; 0]);
    running.reload_groups(&groups, &settings(&text, &server)).unwrap();
    assert_eq!(most(), [2, 3]);
}

#[test]
fn what_cannot_be_applied_is_named_and_secrets_are_not_shown() {
    let server = TestServer::start().unwrap();
    let mut running = settings(OLD, &server);
    let groups = running.build_groups().unwrap();
    let text = OLD
        .replace("min_idle = 0", "min_idle = 1\nidle_timeout = '1 min'")
        .replace("secret-1", "secret-2")
        .replace("model = 'b'", "model = 'd'")
        .replace("[groups.old]", "[groups.new]\nfallbacks = ['small']");
    let new = settings(&text, &server);
    let done = running.reload_groups(&groups, &new).unwrap();
    assert_eq!(done.applied, [""; 0]);
    assert_eq!(
        done.needs_restart,
        [
            "groups.old: gone",
            "groups.new: new",
            "groups.small.endpoints: [\"own:a\", \"own:b\"] -> [\"own:a\", \"own:d\"]",
            "pools.pool.idle_timeout: \"5 min\" -> \"1 min\"",
            "pools.pool.min_idle: 0 -> 1",
            "providers.own.headers.x-who: *** -> ***",
        ]
    );
    assert_eq!(running.pools.pool.min_idle, Some(0), "it is what runs");
    let again = running.reload_groups(&groups, &new).unwrap();
    assert_eq!(again, done, "said until it is so");
}

#[test]
fn wrong_settings_change_nothing() {
    let server = TestServer::start().unwrap();
    let mut running = settings(OLD, &server);
    let groups = running.build_groups().unwrap();
    let lease = groups.pool().get(&ModelKey::new("own", "a")).unwrap();
    let before = running.values();
    for wrong in [
        OLD.replace("max_total = 2", "max_total = 3")
            .replace("headers", "api_key_env = 'NOT_SET_X'\nheaders"),
        OLD.replace("max_total = 2", "max_total = 3")
            .replace("provider = 'own', model = 'c'", "provider = 'off', model = 'c'"),
    ] {
        let new = settings(&wrong, &server);
        assert!(running.reload_groups(&groups, &new).is_err());
        assert!(running.reload(groups.pool(), &new).is_err());
    }
    assert_eq!(running.values(), before);
    assert_eq!(groups.pool().stats().max_total, Some(2));
    Lease::discard(lease);
}

#[test]
fn new_times_are_applied() {
    let server = TestServer::start().unwrap();
    let mut running = settings(OLD, &server);
    let groups = running.build_groups().unwrap();
    let text = OLD.replace("max_size = 3", "max_size = 3\nwait_timeout = '20 ms'");
    let text = text.replace("[groups.small]", "[groups.small]\nwait_timeout = '30 ms'");
    let done = running.reload_groups(&groups, &settings(&text, &server)).unwrap();
    assert_eq!(
        done.applied,
        [
            "groups.small.wait_timeout: \"30 s\" -> \"30 ms\"",
            "pools.pool.wait_timeout: \"30 s\" -> \"20 ms\"",
        ]
    );
    assert_eq!(done.needs_restart, [""; 0]);
    let key = ModelKey::new("own", "a");
    let began = Instant::now();
    let _held = [groups.pool().get(&key).unwrap(), groups.pool().get(&key).unwrap()];
    assert!(groups.pool().get(&key).is_err(), "two are the most in all");
    assert!(began.elapsed() < Duration::from_secs(20));
}
