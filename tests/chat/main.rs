//! Asking models, over real requests to a server on loopback.

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code)]
#[path = "../agent/support.rs"]
mod raw;

mod answers;
mod asking;
mod counted;
mod crowds;
mod errors;
mod garbage;
mod gzip;
mod hostile;
mod hostile_refusals;
mod leaks;
mod links;
mod moved;
mod openai_facts;
mod own_code;
mod promptness;
mod provider_facts;
mod quotes;
mod redaction;
mod refusals;
mod retries;
mod slow_refusals;
mod splits;
mod streams;
mod time_limits;
mod told;

use llm_pool::PoolConfig;
use llm_pool::agent::{AgentConfig, Proxy};
use llm_pool::chat::{ChatConfig, ChatError, Message};
use llm_pool::keyed::{KeyedConfig, ModelKey};
use llm_pool::llm::{LlmConfig, LlmPool, Provider};
use llm_pool::test_server::{Reply, TestServer};
use support::millis;

pub(crate) const KEY: &str = "sk-planted-4711";

/// Retries without long pauses.
pub(crate) fn chat_config() -> ChatConfig {
    ChatConfig::default().first_pause(millis(1)).max_pause(millis(4))
}

pub(crate) fn pool_with(server: &TestServer, chat: ChatConfig) -> LlmPool {
    let provider = Provider::new(format!("{}/v1", server.url())).api_key(KEY);
    pool_of(provider, chat)
}

/// Of at most two clients.
pub(crate) fn pool_of(provider: Provider, chat: ChatConfig) -> LlmPool {
    let pools = KeyedConfig::default().pool(PoolConfig::default().max_size(2).min_idle(1));
    let agents = AgentConfig::default().proxy(Proxy::Direct);
    let config = LlmConfig::default().pools(pools).agents(agents).chat(chat);
    config.provider("test", provider).build().unwrap()
}

pub(crate) fn pool(server: &TestServer) -> LlmPool {
    pool_with(server, chat_config())
}

pub(crate) fn once(server: &TestServer) -> LlmPool {
    pool_with(server, chat_config().max_retries(0))
}

pub(crate) fn key() -> ModelKey {
    ModelKey::new("test", "small")
}

pub(crate) fn hi() -> [Message; 1] {
    [Message::user("How are you today, my friend?")]
}

/// What a call comes to that is answered so.
pub(crate) fn failing(server: &TestServer, reply: Reply) -> ChatError {
    server.plan(reply);
    once(server).chat(&key(), &hi()).unwrap_err()
}

pub(crate) fn in_use(pool: &LlmPool) -> usize {
    pool.stats().sum.in_use
}

/// A server-sent event of one choice.
pub(crate) fn delta(delta: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":null}}]}}\n\n")
}

pub(crate) fn said(text: &str) -> String {
    delta(&serde_json::json!({"content": text}).to_string())
}
