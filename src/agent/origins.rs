//! Agents by base URL: one pool per origin.

use std::fmt;
use std::time::Duration;

use super::{AgentConfig, AgentLease, AgentManager, Check, CheckError, PooledAgent};
use crate::ConfigError;
use crate::keyed::{KeyError, KeyedConfig, KeyedPool, Origin, Setup};
use crate::pool::GetError;

/// Pools of agents by base URL: one pool per scheme, host and port, made when first asked for.
///
/// All agents share TLS tickets and DNS answers; each origin has request statistics of its own.
/// `max_per_host` goes by host and port.
///
/// ```
/// use llm_pool::PoolConfig;
/// use llm_pool::agent::{AgentConfig, OriginPool};
/// use llm_pool::keyed::KeyedConfig;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = llm_pool::test_server::TestServer::start()?;
/// # let url = server.url();
/// let each = PoolConfig::default().max_size(60); // agents of one origin; 10 unless set
/// let pool = OriginPool::new(KeyedConfig::default().pool(each), AgentConfig::default())?;
/// let agent = pool.get(url)?; // "https://api.example.com", say
/// let models = agent.get(format!("{url}/v1/models")).call()?;
/// # assert_eq!(models.status(), 200);
/// # Ok(())
/// # }
/// ```
///
/// Cloning gives another handle to the same pools. One pool of this kind can be process-wide: see
/// [`OriginPool::global`].
#[derive(Clone)]
pub struct OriginPool {
    pools: KeyedPool<Origin, AgentManager>,
    agents: AgentManager,
}

type Got = Result<AgentLease, GetError<CheckError>>;

impl OriginPool {
    /// Pools as `pools` says, of agents as `agents` says. Creates nothing yet.
    ///
    /// # Errors
    /// All settings of one of the two that cannot work, in one error.
    pub fn new(pools: KeyedConfig, agents: AgentConfig) -> Result<Self, ConfigError> {
        Self::with_agents(pools, AgentManager::new(agents)?)
    }

    /// The same with agents that are [checked](AgentManager::checking): `check` says with what, for
    /// each origin. With none, the agents of that origin pass every check.
    ///
    /// ```
    /// use llm_pool::agent::{AgentConfig, Check, OriginPool};
    /// use llm_pool::keyed::KeyedConfig;
    ///
    /// # fn main() -> Result<(), llm_pool::ConfigError> {
    /// let pool = OriginPool::checking(
    ///     KeyedConfig::default(),
    ///     AgentConfig::default(),
    ///     |origin| Some(Check::models(&origin.url("/v1"))),
    /// )?;
    /// # let _ = pool;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`new`](Self::new). A check that cannot be made is told by the `get` that needs it.
    pub fn checking(
        pools: KeyedConfig,
        agents: AgentConfig,
        check: impl Fn(&Origin) -> Option<Check> + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        Self::with_setup(pools, AgentManager::new(agents)?, move |agents, origin| {
            let checking =
                |check: Check| agents.checking(check).map_err(|wrong| KeyError::new(origin, wrong));
            check(origin).map_or_else(|| Ok(agents.with_own_totals()), checking)
        })
    }

    /// The same with agents that `manager` makes. If it [checks](AgentManager::checking) them, it
    /// does so with one URL for all origins.
    ///
    /// # Errors
    /// All settings that cannot work, in one error.
    pub fn with_agents(pools: KeyedConfig, manager: AgentManager) -> Result<Self, ConfigError> {
        Self::with_setup(pools, manager, |agents, _| Ok(agents.with_own_totals()))
    }

    fn with_setup(
        pools: KeyedConfig,
        agents: AgentManager,
        of: impl Fn(&AgentManager, &Origin) -> Result<AgentManager, KeyError> + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        let manager = agents.clone();
        let setup = move |origin: &Origin| Ok(Setup::new(of(&manager, origin)?));
        Ok(Self { pools: KeyedPool::new(pools, setup)?, agents })
    }

    /// Takes an agent for the origin of `url`, waiting up to `wait_timeout`. Path, query and
    /// fragment are ignored, and so are the case of the host, a default port and a slash at the
    /// end. Reading the URL takes about half a microsecond: to save that, keep the [`Origin`] and
    /// ask [`pools`](Self::pools).
    ///
    /// # Errors
    /// As [`KeyedPool::get`]; [`GetError::Key`] says what is wrong with the URL.
    #[track_caller]
    pub fn get(&self, url: &str) -> Got {
        self.pools.get(&Origin::parse(url)?)
    }

    /// The same, waiting up to `timeout` in all.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[track_caller]
    pub fn get_timeout(&self, url: &str, timeout: Duration) -> Got {
        self.pools.get_timeout(&Origin::parse(url)?, timeout)
    }

    /// Takes an agent for a job that must be done, waiting included, within `timeout`; its requests
    /// keep to that. See [`Pool::get_within`](crate::Pool::get_within).
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[track_caller]
    pub fn get_within(&self, url: &str, timeout: Duration) -> Got {
        self.pools.get_within(&Origin::parse(url)?, timeout)
    }

    /// Takes an agent that is idle or can be created at once, and waits for no other thread; see
    /// [`KeyedPool::try_get`].
    ///
    /// # Errors
    /// As [`KeyedPool::try_get`]; [`GetError::Key`] says what is wrong with the URL.
    #[track_caller]
    pub fn try_get(&self, url: &str) -> Got {
        self.pools.try_get(&Origin::parse(url)?)
    }

    /// An agent of the caller's own, for callers who want no pool: no pool knows of it and no limit
    /// counts it. It shares TLS tickets and DNS answers with the others.
    #[must_use]
    pub fn bypass(&self) -> PooledAgent {
        self.agents.with_own_totals().make()
    }

    /// The pools, by origin: for limits, statistics, advice, upkeep and closing.
    #[must_use]
    pub fn pools(&self) -> &KeyedPool<Origin, AgentManager> {
        &self.pools
    }
}

impl fmt::Debug for OriginPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OriginPool").field("pools", &self.pools).finish_non_exhaustive()
    }
}
