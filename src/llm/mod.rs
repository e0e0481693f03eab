//! LLM clients by model: one pool per provider, model and parameters.
//!
//! ```text
//!   LlmPool ── ModelKey ──▶ pool ──▶ Llm: an agent, and what the key says
//!       └ providers by name: base URL, headers, check
//! ```
//!
//! A lease is ready to call its model: [`Llm::post`] knows the base URL and the provider's headers,
//! and [`Llm::key`] the model and its parameters. No state and no lock of its own: see
//! [`keyed`](crate::keyed).

#[cfg(feature = "chat")]
mod chat;
mod client;
#[cfg(feature = "chat")]
mod groups;
mod provider;
#[cfg(feature = "chat")]
mod stream;

use std::collections::BTreeMap;

pub use client::{Llm, LlmManager};
pub use provider::Provider;
#[cfg(feature = "chat")]
pub use {
    groups::{Group, GroupLease, GroupStream, ModelGroups},
    stream::ChatStream,
};

use crate::agent::{AgentConfig, AgentManager};
#[cfg(feature = "chat")]
use crate::chat::ChatConfig;
use crate::error::{ConfigError, Problems};
use crate::key_error::{KeyError, cut};
use crate::keyed::{KeyedConfig, KeyedPool, ModelKey, Setup};
use crate::setters::setters;

/// Pools of [`Llm`] clients by model; made by [`LlmConfig::build`].
///
/// ```
/// use llm_pool::keyed::ModelKey;
/// use llm_pool::llm::{LlmConfig, Provider};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = llm_pool::test_server::TestServer::start()?;
/// # let base = format!("{}/v1", server.url());
/// # let base = base.as_str(); // "https://api.example.com/v1", say
/// let provider = Provider::new(base).header("authorization", "Bearer sk-...");
/// let pool = LlmConfig::default().provider("example", provider).build()?;
///
/// let llm = pool.get(&ModelKey::new("example", "small").temperature(0.2))?;
/// let question = format!(
///     r#"{{"model": "{}", "temperature": {}, "messages": [{{"role": "user", "content": "Hi"}}]}}"#,
///     llm.key().model(),
///     llm.key().get_temperature().unwrap_or(1.0),
/// );
/// let answer = llm.post("chat/completions").content_type("application/json").send(question)?;
/// # assert_eq!(answer.status(), 200);
/// # Ok(())
/// # }
/// ```
pub type LlmPool = KeyedPool<ModelKey, LlmManager>;

/// A lease of one of its clients.
pub type LlmLease = crate::Lease<LlmManager>;

/// The settings of an [`LlmPool`], all set by chaining.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LlmConfig {
    /// Of the pools: how many clients a model has at most is
    /// [`max_size`](crate::PoolConfig#structfield.max_size), 10 unless set. Default that of
    /// [`KeyedConfig`], with the name `"llm"`, which one that is set does not have by itself. A `min_idle` that is
    /// not set is 3 here, or `max_size` if that is less: three clients are made ahead for every
    /// model.
    pub pools: KeyedConfig,
    /// Of the agents in the clients.
    pub agents: AgentConfig,
    /// Who provides models, by the name that a [`ModelKey`] has for it. Default none.
    pub providers: BTreeMap<String, Provider>,
    /// How models are asked.
    #[cfg(feature = "chat")]
    pub chat: ChatConfig,
}

impl Default for LlmConfig {
    fn default() -> Self {
        let mut pools = KeyedConfig::default();
        pools.pool = pools.pool.name("llm");
        Self {
            pools,
            agents: AgentConfig::default(),
            providers: BTreeMap::new(),
            #[cfg(feature = "chat")]
            chat: ChatConfig::default(),
        }
    }
}

/// Clients of a model.
const MADE_AHEAD: usize = 3;

setters! {
    LlmConfig {
        pools: KeyedConfig,
        agents: AgentConfig,
    }
}

#[cfg(feature = "chat")]
setters! {
    LlmConfig {
        chat: ChatConfig,
    }
}

impl LlmConfig {
    /// Adds a provider, in place of another one of this name.
    #[must_use]
    pub fn provider(mut self, name: impl Into<String>, provider: impl Into<Provider>) -> Self {
        self.providers.insert(name.into(), provider.into());
        self
    }

    /// Sets how many clients of one model there may be at one time:
    /// [`max_size`](crate::PoolConfig#structfield.max_size) of the pools.
    #[must_use]
    pub fn max_size(mut self, max_size: usize) -> Self {
        self.pools.pool.max_size = max_size;
        self
    }

    /// The pool. Nothing is created yet: a model's clients are when it is first asked for.
    ///
    /// # Errors
    /// Settings that cannot work; all that is wrong with the providers is in one error.
    pub fn build(self) -> Result<LlmPool, ConfigError> {
        let agents = AgentManager::new(self.agents)?;
        let mut problems = Problems::of("LlmConfig");
        #[cfg(feature = "chat")]
        problems.of_part(self.chat.check());
        let mut managers = BTreeMap::new();
        for (name, provider) in &self.providers {
            let good = !name.trim().is_empty() && !name.contains(char::is_control);
            let shown = cut(name);
            let what = format_args!("its name must be some text on one line, and is \"{shown}\"");
            problems.unless(good, "provider", what);
            let maker = provider.manager(
                &agents,
                #[cfg(feature = "chat")]
                &self.chat,
            );
            let maker = problems.value(&shown, maker);
            managers.extend(maker.map(|maker| (name.clone(), maker)));
        }
        problems.unless(!self.providers.is_empty(), "providers", "there must be at least one");
        problems.check()?;
        let mut pools = self.pools;
        let common = &mut pools.pool;
        common.min_idle.get_or_insert(common.max_size.min(MADE_AHEAD));
        KeyedPool::new(pools, move |key: &ModelKey| {
            let Some(maker) = managers.get(key.provider()) else {
                return Err(unknown(key, managers.keys()));
            };
            let manager = maker.of(key);
            let host = manager.host().to_owned();
            Ok(Setup::new(manager).host(host))
        })
    }
}

fn unknown<'a>(key: &ModelKey, known: impl Iterator<Item = &'a String>) -> KeyError {
    let known: Vec<_> = known.map(String::as_str).collect();
    let (name, known) = (cut(key.provider()), known.join(", "));
    KeyError::of("model key", key, format_args!("unknown provider \"{name}\", known are: {known}"))
}
