//! Whom to ask: a server of the caller's, or one inside this program.

use std::env;
use std::io;
use std::time::Duration;

use llm_pool::PoolConfig;
use llm_pool::agent::{AgentConfig, Proxy};
use llm_pool::chat::ChatConfig;
use llm_pool::keyed::{KeyedConfig, ModelKey};
use llm_pool::llm::{LlmConfig, LlmPool, Provider};
use llm_pool::test_server::{Reply, TestServer};

use crate::Failure;
use crate::args::Arguments;

pub struct Target {
    provider: Provider,
    agents: AgentConfig,
    pub key: ModelKey,
    /// Held to the end: dropping it would stop it.
    _embedded: Option<TestServer>,
}

impl Target {
    pub fn new(arguments: &Arguments) -> Result<Self, Failure> {
        let mut agents = AgentConfig::default();
        let (embedded, model, provider);
        if let Some(server) = &arguments.server {
            let key = env::var("OPENAI_API_KEY").ok().filter(|key| !key.trim().is_empty());
            let named = Provider::new(&server.url);
            provider = match key {
                Some(key) => named.api_key(key),
                None => named,
            };
            (embedded, model) = (None, &*server.model);
        } else {
            let server = serve(arguments.answer, arguments.stream)?;
            provider = Provider::new(format!("{}/v1", server.url()));
            agents = agents.proxy(Proxy::Direct);
            (embedded, model) = (Some(server), "test-model");
        }
        let key = ModelKey::new("server", model);
        key.check().map_err(|wrong| Failure::Usage(wrong.to_string()))?;
        // Each call is one request, and there are no others: the load is what was asked for.
        let provider = provider.check(None).chat(ChatConfig::default().max_retries(0));
        let target = Self { provider, agents, key, _embedded: embedded };
        // What is wrong with it is told before anything is begun.
        target.pool(1, 1).map(|_| target)
    }

    /// A pool that lets `cap` calls run at one time, however many threads there are.
    pub fn pool(&self, cap: usize, threads: usize) -> Result<LlmPool, Failure> {
        let each = PoolConfig::default().name("load_test").min_idle(0_usize).max_size(threads);
        let pools = KeyedConfig::default().pool(each).max_per_host(cap);
        let config = LlmConfig::default().pools(pools).agents(self.agents.clone());
        let pool = config.provider("server", self.provider.clone()).build();
        pool.map_err(|wrong| Failure::Usage(wrong.to_string()))
    }
}

/// What a stream says: so many words, evenly over the second half of the answer's time.
const WORDS: u32 = 20;

fn serve(answer: Duration, stream: bool) -> io::Result<TestServer> {
    let server = TestServer::builder().remember(0);
    let said = Reply::ok().content("word ".repeat(WORDS as usize).trim_end());
    if stream {
        // A piece for each word, and a few for the rest.
        return server.delay(answer / 2).pause(answer / 2 / (WORDS + 3)).reply(said).start();
    }
    server.delay(answer).reply(said).start()
}
