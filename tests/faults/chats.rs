//! The same faults, as the callers of models are told of them.

use std::thread;
use std::time::Duration;

use llm_pool::PoolConfig;
use llm_pool::agent::AgentConfig;
use llm_pool::chat::{ChatConfig, ChatError, ErrorKind, Seen};
use llm_pool::keyed::{KeyedConfig, ModelKey};
use llm_pool::llm::{LlmConfig, LlmPool, Provider};
use llm_pool::test_server::TestServer;

use crate::wire::*;
use crate::{books, raw};

/// For calls that end by time.
const DEADLINE: Duration = Duration::from_millis(250);

/// What each fault is told as; none for what is a good answer.
fn told(name: &str) -> Option<(ErrorKind, Seen)> {
    Some(match name {
        // These need a look-up of their own, which a model's agents have not got.
        "unknown-name" | "no-address" | "slow-name" | "moved" => return None,
        // And this a large request.
        "stall-sending" => return None,
        "refused" | "tls-none" | "tls-cut" | "tls-stranger" | "tls-expired" | "tls-other-name" => {
            (ErrorKind::Unreachable, Seen::No)
        }
        "not-taken" | "tls-stall" => (ErrorKind::TimedOut, Seen::No),
        "stall-unread" | "stall-before" => (ErrorKind::TimedOut, Seen::Maybe),
        "stall-in-head" | "drip" | "stall-during" | "chunks-stall" => {
            (ErrorKind::TimedOut, Seen::Yes)
        }
        "closed-at-once" | "reset-at-once" | "closed-before" | "reset-before" => {
            (ErrorKind::Broken, Seen::Maybe)
        }
        "garbage" | "giant-header" | "bad-length" | "closed-during" | "length-too-long"
        | "reset-during" | "unframed-reset" | "chunks-wrong" => (ErrorKind::Broken, Seen::Yes),
        // By its content type a stream, which is cut short and not broken.
        "chunks-cut" | "chunks-reset" => (ErrorKind::CutShort, Seen::Yes),
        "length-too-short" => (ErrorKind::Malformed, Seen::Yes),
        "refusal-429" => (ErrorKind::RateLimited, Seen::Yes),
        "failure-503" => (ErrorKind::Server, Seen::Yes),
        "closed-after" | "reset-after" | "half-open" => return None,
        name => panic!("{name} is not in this table"),
    })
}

fn pool(agents: AgentConfig, provider: Provider) -> LlmPool {
    let pools = KeyedConfig::default().pool(PoolConfig::default().max_size(1).min_idle(0));
    let chat = ChatConfig::default().max_retries(0);
    let config = LlmConfig::default().agents(agents).pools(pools).chat(chat);
    config.provider("test", provider).build().unwrap()
}

fn key() -> ModelKey {
    ModelKey::new("test", "small")
}

fn error_of(pool: &LlmPool, case: &Case) -> ChatError {
    let request = llm_pool::chat::ChatRequest::from("Hello?");
    let within = case.lasts().then_some(DEADLINE);
    // With a client that is there: to make one may take a busy machine as long as that.
    pool.get(&key()).unwrap().chat(request.within(within)).expect_err(case.name)
}

#[test]
fn each_fault_is_told_as_what_it_is_and_whether_it_was_seen() {
    let wire = Wire::start();
    thread::scope(|scope| {
        for case in CASES {
            let wire = &wire;
            scope.spawn(move || match case.place {
                Place::Path(reply) => at_one_server(case, reply),
                _ => elsewhere(wire, case),
            });
        }
    });
}

/// With one client, so that whatever is left of the fault is what the next call meets.
fn at_one_server(case: &Case, reply: fn() -> llm_pool::test_server::Reply) {
    let (name, server) = (case.name, TestServer::start().unwrap());
    let pool = pool(raw::config(), Provider::new(format!("{}/v1", server.url())));
    // The first on a new connection, the others on one that was used before.
    for round in 0..3 {
        // One that was used before may have gone by itself, so that there is another try.
        let tries = if round > 0 { 2 } else { 1 };
        server.plan(reply().times(tries));
        match told(name) {
            Some(told) => {
                let error = error_of(&pool, case);
                assert_eq!((error.kind(), error.seen()), told, "{name}: {error}");
            }
            None => assert_eq!(pool.chat(&key(), "Hello?").unwrap().text(), "Not yours."),
        }
        server.clear_plan();
        if name == "half-open" {
            let request = llm_pool::chat::ChatRequest::from("Hello?").within(DEADLINE);
            let error = pool.get(&key()).unwrap().chat(request).unwrap_err();
            assert_eq!((error.kind(), error.seen()), (ErrorKind::TimedOut, Seen::Maybe), "{error}");
        }
        // A connection that has gone after its answer is not even noticed.
        let reply = pool.chat(&key(), "Well again?");
        assert_eq!(reply.expect(name).text(), "You said: Well again?");
    }
    books::assert_whole(&pool.stats().sum);
    assert_eq!(pool.stats().sum.created, 1, "{name}");
}

fn elsewhere(wire: &Wire, case: &Case) {
    let Some((kind, seen)) = told(case.name) else { return };
    let Some(url) = wire.url(case) else { return };
    let pool = pool(wire.config(), Provider::new(url.trim_end_matches('/')));
    for _ in 0..3 {
        let error = error_of(&pool, case);
        assert_eq!((error.kind(), error.seen()), (kind, seen), "{}: {error}", case.name);
        assert!(error.is_retryable() || kind == ErrorKind::TimedOut, "{}: {error}", case.name);
    }
    books::assert_whole(&pool.stats().sum);
}
