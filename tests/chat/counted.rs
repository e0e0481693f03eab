//! What is counted of calls: tries and tokens.

use llm_pool::RequestStats;
use llm_pool::chat::Message;
use llm_pool::llm::{Group, LlmPool, ModelGroups};
use llm_pool::test_server::{Reply, TestServer};

use crate::*;

fn counted(pool: &LlmPool) -> (u64, u64, u64) {
    let RequestStats { retries, tokens_in, tokens_out, .. } = pool.snapshot().requests;
    (retries, tokens_in, tokens_out)
}

#[test]
fn tokens_are_counted_where_the_provider_tells_of_them() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    server.plan(Reply::ok().usage(10, 4));
    pool.chat(&key(), &hi()).unwrap();
    assert_eq!(counted(&pool), (0, 10, 4));
    server.plan(Reply::ok().usage(20, 3));
    pool.get(&key()).unwrap().chat(&hi()).unwrap();
    assert_eq!(counted(&pool), (0, 30, 7));
    server.plan(Reply::ok().usage(100, 50));
    let mut stream = pool.stream(&key(), &hi()).unwrap();
    stream.by_ref().for_each(|piece| drop(piece.unwrap()));
    // Once, though its end is seen more than once.
    assert!(stream.next().is_none());
    drop(stream);
    assert_eq!(counted(&pool), (0, 130, 57));
    let made = pool.embed(&key(), &["one two three"]).unwrap();
    let embedded = made.usage.input.unwrap();
    assert!(embedded > 0);
    assert_eq!(counted(&pool).1, 130 + embedded);
    server.plan(Reply::ok().body(r#"{"choices":[{"message":{"content":"no usage"}}]}"#));
    assert_eq!(pool.chat(&key(), &hi()).unwrap().usage().total(), 0);
    assert_eq!(counted(&pool).1, 130 + embedded);
}

#[test]
fn a_stream_that_is_dropped_before_its_usage_came_counts_none() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    let mut stream = pool.stream(&key(), "one two three").unwrap();
    stream.next().unwrap().unwrap();
    drop(stream);
    assert_eq!(counted(&pool), (0, 0, 0));
}

#[test]
fn tries_after_the_first_are_retries() {
    let server = TestServer::start().unwrap();
    let pool = pool_with(&server, chat_config().retry_stale(false));
    server.plan(Reply::status(503).times(2));
    assert_eq!(pool.chat(&key(), &hi()).unwrap().tries(), 3);
    assert_eq!(counted(&pool).0, 2);
    server.plan(Reply::status(429));
    pool.get(&key()).unwrap().embed(&["text"]).unwrap();
    assert_eq!(counted(&pool).0, 3);
    server.plan(Reply::status(503).times(3));
    pool.stream(&key(), &hi()).unwrap_err();
    assert_eq!(counted(&pool).0, 5);
    let requests = pool.snapshot().requests;
    assert_eq!((requests.by_class[3], requests.by_class[4]), (1, 5));
}

#[test]
fn calls_of_groups_are_counted_at_the_endpoint_that_served_and_survive_its_key() {
    let servers = [TestServer::start().unwrap(), TestServer::start().unwrap()];
    let provider = |server: &TestServer| Provider::new(format!("{}/v1", server.url()));
    let agents = AgentConfig::default().proxy(Proxy::Direct);
    let config = LlmConfig::default().agents(agents);
    let config = config.provider("a", provider(&servers[0])).provider("b", provider(&servers[1]));
    let pool = config.build().unwrap();
    let keys = [ModelKey::new("a", "m"), ModelKey::new("b", "m")];
    let first = Group::default().endpoint(keys[0].clone()).fallback("second");
    let second = Group::default().endpoint(keys[1].clone());
    let groups = ModelGroups::new(pool.clone(), [("first", first), ("second", second)]).unwrap();
    servers[0].plan(Reply::status(500));
    servers[1].plan(Reply::ok().usage(8, 2));
    groups.chat("first", [Message::user("Hi")].as_slice()).unwrap();
    let by_key = |pool: &LlmPool| -> Vec<_> {
        let keys = pool.snapshot().keys;
        keys.iter().map(|key| (key.requests.retries, key.requests.tokens_in)).collect()
    };
    assert_eq!(by_key(&pool), [(0, 0), (1, 8)]);
    assert!(pool.close_key(&keys[1]));
    assert_eq!((by_key(&pool), counted(&pool)), (vec![(0, 0)], (1, 8, 2)));
}
