//! What the types promise to those who build on them.

use std::fmt::{Debug, Display};
use std::time::Duration;

use llm_pool::agent::{
    AgentConfig, AgentManager, Check, CheckError, GlobalInUse, LeasedBody, PooledAgent, Proxy,
    RootCerts,
};
use llm_pool::balance::PickError;
use llm_pool::chat::{ChatError, ChatReply, ChatRequest};
use llm_pool::keyed::{KeyError, KeyedSnapshot, ModelKey};
use llm_pool::llm::{ChatStream, LlmLease, LlmPool, Provider};
use llm_pool::websocket::WebSocketError;
use llm_pool::{
    Clock, ConfigError, CreateError, EventLog, EvictReason, GetError, Histogram, Lease, Manage,
    ManualClock, Pool, PoolConfig, Snapshot, StartError, Stats, WarmUpError,
};

const SECRET: &str = "sk-planted-secret";

/// A manager and items that are full of secrets.
#[derive(Debug)]
struct Keys;

#[derive(Debug)]
struct Key(#[allow(dead_code, reason = "what its Debug would show")] &'static str);

impl Manage for Keys {
    type Item = Key;
    type Error = std::io::Error;

    fn create(&self) -> Result<Key, std::io::Error> {
        Ok(Key(SECRET))
    }
}

#[test]
fn everything_shared_between_threads_is_send_and_sync() {
    fn send_and_sync<T: Send + Sync>() {}
    send_and_sync::<Pool<AgentManager>>();
    send_and_sync::<Lease<AgentManager>>();
    send_and_sync::<GetError<ureq::Error>>();
    send_and_sync::<StartError<ureq::Error>>();
    send_and_sync::<PoolConfig>();
    send_and_sync::<AgentConfig>();
    send_and_sync::<AgentManager>();
    send_and_sync::<PooledAgent>();
    send_and_sync::<Check>();
    send_and_sync::<GetError<CheckError>>();
    send_and_sync::<ConfigError>();
    send_and_sync::<Stats>();
    send_and_sync::<EvictReason>();
    send_and_sync::<Snapshot>();
    send_and_sync::<Histogram>();
    send_and_sync::<KeyedSnapshot<ModelKey>>();
    send_and_sync::<EventLog>();
    send_and_sync::<Clock>();
    send_and_sync::<ManualClock>();
    send_and_sync::<llm_pool::test_server::TestServer>();

    fn send<T: Send>() {}
    send::<LeasedBody<Lease<AgentManager>>>();
}

#[test]
fn calls_their_streams_and_their_errors_go_from_thread_to_thread() {
    fn send_and_sync<T: Send + Sync + 'static>() {}
    send_and_sync::<LlmPool>();
    send_and_sync::<LlmLease>();
    send_and_sync::<Provider>();
    send_and_sync::<ChatRequest<'static>>();
    send_and_sync::<ChatReply>();
    send_and_sync::<ChatError>();

    fn send<T: Send + 'static>() {}
    send::<ChatStream<LlmLease>>();
    assert_eq!(size_of::<Result<(), ChatError>>(), size_of::<usize>());
}

#[test]
fn every_error_can_be_boxed_and_sent_to_another_thread() {
    fn error<E: std::error::Error + Send + Sync + 'static>() {}
    error::<ConfigError>();
    error::<GetError<CheckError>>();
    error::<StartError<CheckError>>();
    error::<CreateError<CheckError>>();
    error::<WarmUpError>();
    error::<CheckError>();
    error::<GlobalInUse>();
    error::<KeyError>();
    error::<PickError>();
    error::<ChatError>();
    error::<WebSocketError>();
}

#[test]
fn no_debug_or_error_shows_a_secret() {
    let proxy = Proxy::Url(format!("http://user:{SECRET}@127.0.0.1:3128"));
    let pem = RootCerts::Pem(SECRET.into());
    let wrong = AgentConfig::default().proxy(proxy.clone()).root_certs(pem.clone());
    let right = AgentConfig::default().proxy(proxy.clone());
    let refused = AgentManager::new(wrong).unwrap_err();
    let check = Check::get(format!("http://user:{SECRET}@127.0.0.1:1/v1/models?key={SECRET}"));
    let check = check.header("authorization", SECRET);
    let manager = AgentManager::new(right.clone()).unwrap().checking(check.clone()).unwrap();
    let failed = manager.check(&mut manager.create().unwrap()).unwrap_err();
    let agents = Pool::new(PoolConfig::default().max_size(2), manager.clone()).unwrap();
    let agent = agents.get().unwrap();

    let keys = Pool::new(PoolConfig::default().max_size(1).min_idle(1), Keys).unwrap();
    let key = keys.get().unwrap();
    let timeout = keys.get_timeout(Duration::from_millis(1)).unwrap_err();
    let exhausted = keys.try_get().unwrap_err();

    let shown: [&dyn Debug; 15] = [
        &proxy, &pem, &right, &refused, &manager, &agents, &agent, &*agent, &**agent, &check,
        &failed, &keys, &key, &timeout, &exhausted,
    ];
    for value in shown {
        let (plain, pretty) = (format!("{value:?}"), format!("{value:#?}"));
        assert!(!plain.contains(SECRET) && !pretty.contains(SECRET), "{plain}");
    }
    let told: [&dyn Display; 4] = [&refused, &failed, &timeout, &exhausted];
    for error in told {
        assert!(!error.to_string().contains(SECRET), "{error}");
    }
}

#[test]
#[allow(clippy::single_match, reason = "it is as a user may write it")]
fn the_api_compiles_as_promised() {
    struct Factory;
    impl Manage for Factory {
        type Item = u64;
        type Error = std::io::Error;
        fn create(&self) -> Result<u64, std::io::Error> {
            Ok(1)
        }
    }
    fn all() -> Result<(), Box<dyn std::error::Error>> {
        let pool: Pool<Factory> =
            Pool::new(PoolConfig::default().min_idle(3).max_size(10), Factory)?;
        let lease: Lease<Factory> = pool.get()?;
        let other = pool.get_timeout(Duration::from_millis(100))?;
        match pool.try_get() {
            Err(GetError::Exhausted { .. }) => {}
            _ => {}
        }
        let stats: Stats = pool.stats();
        assert_eq!((stats.max_size, stats.idle, stats.in_use), (10, 1, 2));
        assert_eq!((stats.creating, stats.waiting), (0, 0));
        Lease::discard(other);
        assert_eq!(Lease::detach(lease), 1);
        pool.resize(20)?;
        pool.reset();
        pool.close();
        assert!(pool.drain(Duration::from_secs(1)));
        Ok(())
    }
    all().unwrap();
}

/// What a get returns is moved about at every get: an error larger than a lease cost a tenth of it.
#[test]
fn a_get_returns_no_more_than_a_lease() {
    fn sizes<M: Manage>() -> (usize, usize) {
        (size_of::<Lease<M>>(), size_of::<Result<Lease<M>, GetError<M::Error>>>())
    }
    for (lease, result) in [sizes::<AgentManager>(), sizes::<Keys>()] {
        assert_eq!(lease, result);
    }
}
