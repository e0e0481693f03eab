//! Agents by base URL: which URLs share a pool, what is refused, and what is told of each origin.

mod support;

use std::sync::Barrier;
use std::thread;

use llm_pool::agent::{AgentConfig, AgentManager, Check, OriginPool, Proxy};
use llm_pool::keyed::{KeyStats, KeyedConfig, Origin};
use llm_pool::test_server::{Reply, TestServer};
use llm_pool::{GetError, Manage, PoolConfig, RequestStats};
use support::*;

/// Heeds no proxy of the environment.
fn agents() -> AgentConfig {
    AgentConfig::default().proxy(Proxy::Direct)
}

/// Of pools that make their agents at need.
fn pools() -> KeyedConfig {
    KeyedConfig::default().pool(PoolConfig::default().name("origins").min_idle(0))
}

fn pool() -> OriginPool {
    OriginPool::new(pools(), agents()).unwrap()
}

fn requests(pool: &OriginPool, url: &str) -> RequestStats {
    stats_of(pool, url).requests
}

fn stats_of(pool: &OriginPool, url: &str) -> KeyStats<Origin> {
    let origin = Origin::parse(url).unwrap();
    pool.pools().stats().keys.into_iter().find(|it| it.key == origin).expect("it has a pool")
}

fn call(pool: &OriginPool, url: &str) -> u16 {
    let mut answer = pool.get(url).unwrap().get(url).call().unwrap();
    answer.body_mut().read_to_string().unwrap();
    answer.status().as_u16()
}

#[test]
fn urls_of_one_origin_share_a_pool() {
    for same in [
        &["http://localhost:80", "HTTP://LOCALHOST", "http://localhost./", "http://localhost/v1"],
        &["https://a.test", "https://A.test:443/", "https://a.test?a=b", "https://a.test/#x"],
        &["http://[::1]:81", "http://[0:0::1]:81/", "http://[::1]:81//", "http://[::1]:81/v1?q"],
    ] {
        let pool = pool();
        for url in same {
            drop(pool.get(url).unwrap());
        }
        let stats = pool.pools().stats();
        assert_eq!((stats.pools_made, stats.keys.len()), (1, 1), "{same:?}");
        assert_eq!((stats.sum.gets, stats.sum.created), (4, 1), "{same:?}");
    }
}

#[test]
fn threads_that_come_first_with_urls_of_one_origin_get_one_pool() {
    let urls = ["http://a.test", "HTTP://A.test:80/", "http://a.test./v1", "http://a.test?q"];
    for _ in 0..50 {
        let (pool, barrier) = (pool(), Barrier::new(urls.len()));
        thread::scope(|scope| {
            for url in urls {
                let (pool, barrier) = (&pool, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    pool.get(url).map(drop).unwrap();
                });
            }
        });
        let stats = pool.pools().stats();
        assert_eq!((stats.pools_made, stats.sum.gets), (1, 4));
    }
}

#[test]
fn scheme_host_and_port_part_pools_and_a_host_s_limit_does_not_heed_the_scheme() {
    let pool = pool();
    let urls = ["http://a.test", "https://a.test", "http://a.test:8080", "http://b.test"];
    for url in urls {
        drop(pool.get(url).unwrap());
    }
    let stats = pool.pools().stats();
    assert_eq!((stats.pools_made, stats.sum.created), (4, 4));
    let hosts: Vec<_> = stats.hosts.iter().map(|it| (&*it.host, it.keys)).collect();
    assert_eq!(hosts, [("a.test", 2), ("a.test:8080", 1), ("b.test", 1)]);
    let keys: Vec<_> = pool.pools().keys().iter().map(ToString::to_string).collect();
    assert_eq!(keys, urls, "the least recently used first");
}

#[test]
fn a_bad_url_is_refused_with_the_reason_by_every_way_of_asking_and_nothing_is_made() {
    let pool = pool();
    for (url, says) in [
        ("", "it is empty"),
        ("a.test", "did you mean \"https://a.test\"?"),
        ("ftp://a.test", "its scheme must be http or https"),
        ("http://", "it has no host"),
        ("http://:80", "it has no host"),
        ("http://a.test:0", "its port must be 1 to 65535"),
        ("http://a.test:65536", "its port must be 1 to 65535"),
        ("http://a b.test", "it has a space"),
        ("http://user:planted@a.test", "it has a user or a password"),
    ] {
        let error = pool.get(url).unwrap_err();
        assert!(matches!(error, GetError::Key(_)), "{error}");
        let text = error.to_string();
        assert!(text.starts_with("bad URL \"") && text.contains(says), "{text}");
        assert!(!format!("{error} {error:?}").contains("planted"), "{error:?}");
        for error in [
            pool.try_get(url).unwrap_err(),
            pool.get_timeout(url, secs(1)).unwrap_err(),
            pool.get_within(url, secs(1)).unwrap_err(),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }
    let stats = pool.pools().stats();
    assert_eq!((stats.pools_made, stats.size(), stats.sum.gets), (0, 0, 0));
    assert!(stats.keys.is_empty() && stats.hosts.is_empty());
}

#[test]
fn requests_are_counted_for_each_origin() {
    let (one, other) = (TestServer::start().unwrap(), TestServer::start().unwrap());
    let pool = pool();
    let (one_url, other_url) = (format!("{}/v1/models", one.url()), other.url());
    assert_eq!([(); 3].map(|()| call(&pool, &one_url)), [200; 3]);
    other.plan(Reply::status(503));
    assert_eq!([(); 2].map(|()| call(&pool, other_url)), [503, 404]);

    let (of_one, of_other) = (requests(&pool, one.url()), requests(&pool, other_url));
    assert_eq!((of_one.requests, of_one.failures), (3, 0));
    assert_eq!((of_other.requests, of_other.failures), (2, 1));
    assert_eq!((of_one.success_rate(), of_other.success_rate()), (Some(1.0), Some(0.5)));
    assert_eq!((one.stats().connections, other.stats().connections), (1, 1), "they are kept");
}

#[test]
fn a_lease_of_an_origin_keeps_to_its_deadline() {
    let server = TestServer::start().unwrap();
    let pool = pool();
    let agent = pool.get_within(server.url(), secs(60)).unwrap();
    let remaining = agent.remaining().unwrap();
    assert!(remaining <= secs(60) && remaining > secs(30), "{remaining:?}");
    drop(agent);
    assert_eq!(pool.get(server.url()).unwrap().remaining(), None);
    let timeout = pool.get_timeout(server.url(), secs(60)).unwrap();
    assert_eq!(timeout.remaining(), None, "the wait alone has one");
}

#[test]
fn try_get_gives_what_there_is_room_for_and_never_waits() {
    let config = pools().max_total(1);
    let pool = OriginPool::new(config, agents()).unwrap();
    let lease = pool.try_get("http://a.test").unwrap();
    let refused = pool.try_get("http://b.test").unwrap_err();
    assert!(matches!(refused, GetError::Exhausted { .. }), "{refused}");
    assert!(refused.to_string().contains("max_total"), "{refused}");
    drop(lease);
    drop(pool.try_get("http://b.test").unwrap());
}

#[test]
fn a_bypass_works_while_no_lease_can_be_had_and_is_in_no_statistics() {
    let server = TestServer::start().unwrap();
    let url = format!("{}/v1/models", server.url());
    let manager = AgentManager::new(agents()).unwrap();
    let pool = OriginPool::with_agents(pools().max_total(1), manager.clone()).unwrap();
    let lease = pool.get(server.url()).unwrap();
    assert!(pool.try_get(server.url()).is_err());
    let before = pool.pools().stats();
    let bypass = pool.bypass();
    assert_eq!(bypass.get(&url).call().unwrap().status(), 200);
    assert_eq!(bypass.remaining(), None);
    let after = pool.pools().stats();
    assert_eq!(after.sum, before.sum);
    assert_eq!((after.open, after.pools_made), (before.open, before.pools_made));
    assert_eq!(requests(&pool, server.url()), RequestStats::default());
    assert_eq!(manager.requests(), RequestStats::default());
    assert_eq!(server.stats().requests, 1);

    drop(lease);
    pool.pools().close();
    assert_eq!(bypass.get(&url).call().unwrap().status(), 200, "it outlives the pools");
}

#[test]
fn the_least_recently_used_origin_goes_for_a_new_one_unless_it_is_in_use() {
    let pool = OriginPool::new(pools().max_pools(2), agents()).unwrap();
    let urls = ["http://a.test", "http://b.test", "http://c.test"];
    let there = || pool.pools().keys().iter().map(ToString::to_string).collect::<Vec<_>>();
    let held = pool.get(urls[0]).unwrap();
    drop(pool.get(urls[1]).unwrap());
    let also_held = pool.get(urls[2]).unwrap();
    assert_eq!(there(), [urls[0], urls[2]], "the first was held");
    let refused = pool.get(urls[1]).unwrap_err();
    assert!(matches!(refused, GetError::TooManyKeys { .. }), "{refused}");
    drop((held, also_held));
    drop(pool.get(urls[1]).unwrap());
    assert_eq!(there(), [urls[2], urls[1]]);
    let stats = pool.pools().stats();
    assert_eq!((stats.pools_made, stats.pools_evicted), (4, 2));
}

#[test]
fn a_manager_of_the_caller_s_own_checks_every_origin_s_agents_alike() {
    let server = TestServer::start().unwrap();
    let health = format!("{}/health", server.url());
    let manager = AgentManager::new(agents()).unwrap().checking(health).unwrap();
    let pool = OriginPool::with_agents(pools(), manager).unwrap();
    drop((pool.get("http://a.test").unwrap(), pool.get("http://b.test").unwrap()));
    server.set_reply(Reply::status(503));
    pool.pools().check_all();
    eventually(|| pool.pools().stats().sum.unhealthy == 2);
    assert!(server.requests().iter().all(|it| it.path() == "/health"));
    assert_eq!(requests(&pool, "http://a.test").requests, 0, "checks are not counted");
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let error = OriginPool::new(pools().max_pools(0), agents()).unwrap_err();
    assert_eq!(error.problems(), ["max_pools: must be at least 1"]);
    let error = OriginPool::new(pools(), agents().buffer_size(1)).unwrap_err();
    assert!(error.to_string().contains("buffer_size"), "{error}");
}

#[test]
fn a_clone_is_another_handle_and_leases_outlive_them_all() {
    let server = TestServer::start().unwrap();
    let pool = pool();
    let other = pool.clone();
    let lease = pool.get(server.url()).unwrap();
    drop(pool);
    assert_eq!(stats_of(&other, server.url()).pool.in_use, 1);
    assert!(!format!("{other:?}").is_empty());
    drop(other);
    assert_eq!(lease.get(server.url()).call().unwrap().status(), 404);
    drop(lease);
}

#[test]
fn each_origin_is_checked_as_its_owner_says() {
    let (ill, well) = (TestServer::start().unwrap(), TestServer::start().unwrap());
    ill.set_reply(Reply::status(503));
    let unchecked = TestServer::start().unwrap();
    let none = unchecked.url().to_owned();
    let pool = OriginPool::checking(pools(), agents(), move |origin| {
        (origin.as_str() != none).then(|| Check::get(origin.url("/health")))
    });
    let pool = pool.unwrap();
    for server in [&ill, &well, &unchecked] {
        drop(pool.get(server.url()).unwrap());
    }
    pool.pools().check_all();
    eventually(|| pool.pools().stats().sum.checks == 3);
    let error = pool.get(ill.url()).unwrap_err();
    assert!(error.to_string().contains("/health: status 503"), "{error}");
    assert!(pool.get(well.url()).is_ok() && pool.get(unchecked.url()).is_ok());
    let asked =
        |server: &TestServer| server.requests().iter().filter(|it| it.path() == "/health").count();
    assert_eq!((asked(&ill), asked(&well), asked(&unchecked)), (1, 1, 0));
}

#[test]
fn a_check_that_cannot_be_made_is_told_by_the_get_and_nothing_is_created() {
    let pool = OriginPool::checking(pools(), agents(), |_| Some(Check::get("no URL"))).unwrap();
    let error = pool.get("http://127.0.0.1:1").unwrap_err();
    assert!(error.to_string().contains("url: must be an http or https URL"), "{error}");
    assert_eq!(pool.pools().stats().pools_made, 0);
}
