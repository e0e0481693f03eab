//! Servers that are the endpoints of groups.

// Each test binary uses its own part of this.
#![allow(dead_code, clippy::unwrap_used)]

use llm_pool::agent::{AgentConfig, Proxy};
use llm_pool::balance::{BalanceConfig, Endpoint, Priority};
use llm_pool::chat::ChatConfig;
use llm_pool::keyed::ModelKey;
use llm_pool::llm::{Group, LlmConfig, LlmPool, ModelGroups, Provider};
use llm_pool::test_server::TestServer;

pub fn servers<const N: usize>() -> [TestServer; N] {
    [(); N].map(|()| TestServer::start().unwrap())
}

/// With a provider a server: "0", "1" and so on.
pub fn serving(servers: &[TestServer]) -> LlmConfig {
    let mut config = LlmConfig::default().agents(AgentConfig::default().proxy(Proxy::Direct));
    for (number, server) in servers.iter().enumerate() {
        let provider = Provider::new(format!("{}/v1", server.url()));
        config = config.provider(number.to_string(), provider);
    }
    config
}

pub fn pool(servers: &[TestServer]) -> LlmPool {
    serving(servers).build().unwrap()
}

pub fn pool_with(servers: &[TestServer], chat: ChatConfig) -> LlmPool {
    serving(servers).chat(chat).build().unwrap()
}

pub fn key(number: usize) -> ModelKey {
    ModelKey::new(number.to_string(), "m")
}

/// All servers, the first one first.
pub fn in_order(servers: &[TestServer]) -> Group {
    let balance = BalanceConfig::default().strategy(Priority);
    let endpoints = (0..servers.len()).map(|number| {
        Endpoint::new(number.to_string(), key(number)).order(u32::try_from(number).unwrap())
    });
    endpoints.fold(Group::default().balance(balance), Group::endpoint)
}

pub fn groups_of(servers: &[TestServer], group: Group) -> ModelGroups {
    ModelGroups::new(pool(servers), [("all", group)]).unwrap()
}

/// With these settings of calls.
pub fn groups_with(servers: &[TestServer], group: Group, chat: ChatConfig) -> ModelGroups {
    ModelGroups::new(pool_with(servers, chat), [("all", group)]).unwrap()
}

pub fn seen(servers: &[TestServer]) -> Vec<u64> {
    servers.iter().map(|server| server.stats().requests).collect()
}
