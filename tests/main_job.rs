//! The main job: threads that share fewer agents than there are of them, over real sockets.

mod support;

use std::thread;
use std::time::Duration;

use llm_pool::agent::{AgentConfig, AgentManager, AgentPool, Proxy};
use llm_pool::test_server::TestServer;
use llm_pool::{GetError, Lease, Pool, PoolConfig};
use support::{secs, spawn};

const QUESTION: &str = r#"{"model": "m", "messages": [{"role": "user", "content": "hi"}]}"#;

fn agents(config: PoolConfig) -> AgentPool {
    let manager = AgentManager::new(AgentConfig::default().proxy(Proxy::Direct)).unwrap();
    Pool::new(config, manager).unwrap()
}

#[test]
fn twelve_threads_ask_through_three_agents_and_three_connections() {
    let server = TestServer::builder().delay(Duration::from_millis(20)).start().unwrap();
    let pool = agents(PoolConfig::default().name("main job").min_idle(3).max_size(3));
    let url = server.chat_url();
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                let agent = pool.get().unwrap();
                let answer = agent.post(&url).send(QUESTION).unwrap().into_body().read_to_string();
                assert!(answer.unwrap().contains("You said: hi"));
            });
        }
    });
    let (seen, stats) = (server.stats(), pool.stats());
    assert_eq!((seen.connections, seen.requests, seen.max_in_flight), (3, 12, 3));
    assert_eq!((stats.gets, stats.created, stats.idle, stats.in_use), (12, 3, 3, 0));
    assert!(stats.waits >= 9 && stats.longest_wait >= Duration::from_millis(20), "{stats}");
}

#[test]
fn a_response_held_by_its_lease_keeps_the_cap() {
    let server = TestServer::start().unwrap();
    let pool = agents(PoolConfig::default().name("held").max_size(1));
    let agent = pool.get().unwrap();
    let response = agent.get(format!("{}/v1/models", server.url())).call().unwrap();
    let held = llm_pool::agent::hold(agent, response);
    assert!(matches!(pool.try_get(), Err(GetError::Exhausted { .. })));
    drop(held);
    assert_eq!(Lease::waited(&pool.try_get().unwrap()), Duration::ZERO);
    assert_eq!(server.stats().connections, 1);
}

#[test]
fn a_rayon_worker_that_waits_for_itself_is_told_so() {
    let pool = agents(PoolConfig::default().name("rayon").max_size(1));
    let error = spawn(move || {
        let workers = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        // The lease is held while rayon runs another task on the same stack.
        workers.install(|| {
            let _lease = pool.get().unwrap();
            let (error, ()) =
                rayon::join(|| pool.get_timeout(Duration::from_millis(20)).unwrap_err(), || ());
            error
        })
    })
    .result();
    assert!(error.to_string().contains("may be waiting for itself"), "{error}");
    assert!(error.to_string().contains("main_job.rs:"), "{error}");
    let GetError::Timeout { waited, .. } = error else { panic!("{error}") };
    assert!(waited < secs(5));
}
