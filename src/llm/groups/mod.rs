//! Groups of models that serve the same, asked as one.
//!
//! ```text
//!   ModelGroups ─ name ─▶ group: a Balancer over keys ─▶ LlmPool ─▶ one try
//!        ▲                     │ what came of it is reported
//!        └── fallback groups ◀─┘ another endpoint, while the budget lasts
//! ```
//!
//! A call picks an endpoint, takes a client of its key, tries once and reports. If that failed and
//! another endpoint may do better, it goes on there at once; each endpoint is tried once a round.
//! When the group has no more to offer, its fallbacks are asked in their order. If nobody served, and
//! a pause may heal that, there is one and a further round (`running.rs`). All of it keeps to one
//! deadline. There is no lock but those of the balancers and of the budgets, and none is held
//! while a call is made.

mod budget;
mod config;
mod lease;
mod running;
mod stream;
mod verdict;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use config::Group;
pub use lease::GroupLease;
pub use stream::GroupStream;

use super::LlmPool;
use crate::balance::{BalanceStats, Balancer};
use crate::chat::{ChatError, ChatReply, ChatRequest, ErrorKind, Reading, Request};
use crate::clock::SharedDuration;
use crate::error::ConfigError;
use crate::keyed::ModelKey;
use budget::Budget;
use running::{Running, Tried, call_of, client};
use verdict::{tell_limits, tell_usage};

/// Groups of models over one [`LlmPool`], each asked by its name as if it were one model.
///
/// Cloning gives another handle to the same.
///
/// ```
/// use llm_pool::keyed::ModelKey;
/// use llm_pool::llm::{Group, LlmConfig, ModelGroups, Provider};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = llm_pool::test_server::TestServer::start()?;
/// # let provider = || Provider::new(format!("{}/v1", server.url()));
/// let config = LlmConfig::default().provider("own", provider()).provider("paid", provider());
/// let own = Group::default().endpoint(ModelKey::new("own", "small")).fallback("paid");
/// let paid = Group::default().endpoint(ModelKey::new("paid", "large"));
/// let groups = ModelGroups::new(config.build()?, [("small", own), ("paid", paid)])?;
///
/// let reply = groups.chat("small", "Why pool connections?")?;
/// # assert_eq!(reply.model(), Some("small"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ModelGroups {
    pool: LlmPool,
    groups: Arc<BTreeMap<String, Ready>>,
}

/// A group, in service.
struct Ready {
    name: Arc<str>,
    balancer: Balancer<ModelKey>,
    budget: Budget,
    wait_timeout: SharedDuration,
    fallback_after: SharedDuration,
    fallbacks: Vec<String>,
    fallbacks_for: Vec<(ErrorKind, String)>,
}

impl ModelGroups {
    /// Groups by their names, over the models of `pool`.
    ///
    /// # Errors
    /// All that cannot work, in one error: no group, a name that is there twice, a group without
    /// endpoints, the same endpoint twice, a weight that is not above zero, a key that cannot be
    /// one, a fallback that is no group or leads back to its group, and what the cooldown says of
    /// its settings.
    pub fn new(
        pool: LlmPool,
        groups: impl IntoIterator<Item = (impl Into<String>, Group)>,
    ) -> Result<Self, ConfigError> {
        let groups = groups.into_iter().map(|(name, group)| (name.into(), group)).collect();
        let groups = config::ready(groups, pool.config().pool.max_size)?;
        Ok(Self { pool, groups: Arc::new(groups) })
    }

    /// Asks a model of the group and waits for its whole answer.
    ///
    /// Without [`within`](ChatRequest#structfield.within), each try takes as long as it would with
    /// [`LlmPool::chat`], and if all endpoints rest or are at a limit, the first to be ready is waited
    /// for up to [`wait_timeout`](Group#structfield.wait_timeout), in the order of arrival; as part
    /// of [`waited`](crate::chat::Timing#structfield.waited).
    ///
    /// If no endpoint serves, they are tried again after the pause that [`LlmPool::chat`] would make,
    /// the shortest that one of the errors asks for, as often as
    /// [`max_retries`](crate::chat::ChatConfig#structfield.max_retries) of that provider says. If all
    /// endpoints rest by then, until the first is back. A pause that the deadline cuts off is not
    /// made.
    ///
    /// # Errors
    /// As [`LlmPool::chat`], of the last endpoint that was tried; [`ErrorKind::Invalid`] for an
    /// unknown group, and [`ErrorKind::NoLease`] if no endpoint is well in time, with
    /// [`retry_after`](ChatError::retry_after) where it is known when one will be.
    pub fn chat<'a>(
        &self,
        group: &str,
        request: impl Into<ChatRequest<'a>>,
    ) -> Result<ChatReply, ChatError> {
        let request = request.into();
        Running::new(self, group, call_of(&request), request.within)?.run(|pick, began| {
            let (llm, mut pick) = client(&self.pool, pick, began)?;
            let reading = Reading::start(llm.line(), Request::Borrowed(&request), false, *began);
            match reading {
                Ok(reading) => {
                    let reply = reading.into_reply();
                    tell_limits(&mut pick, &reply.rate_limits());
                    tell_usage(&mut pick, reply.usage());
                    pick.success();
                    Ok(reply)
                }
                Err(error) => Err(Tried::new(error, pick)),
            }
        })
    }

    /// Asks a model of the group and returns once its answer begins. What comes after that is not
    /// repeated elsewhere by itself: a stream that breaks is an error with its text so far, and can be
    /// [restarted](GroupStream::restart).
    ///
    /// # Errors
    /// As [`chat`](Self::chat), until the answer begins.
    pub fn stream<'a>(
        &self,
        group: &str,
        request: impl Into<ChatRequest<'a>>,
    ) -> Result<GroupStream, ChatError> {
        let request = Arc::new(request.into().into_owned());
        let call = Running::new(self, group, call_of(&request), request.within)?;
        GroupStream::open(call, request)
    }

    /// A client of one of the group's endpoints, for calls that the others here have no word for. See
    /// [`GroupLease`] for what its endpoint is told.
    ///
    /// The strategy names the endpoint, among those that are well and not at a limit; else one is
    /// waited for, and fallbacks have their turn, as with [`chat`](Self::chat). An endpoint whose pool
    /// refuses for another reason than the time is passed over.
    ///
    /// That there was no client says nothing of an endpoint, whatever kept it: the pool is the
    /// program's own. It counts as [`abandoned`](crate::balance::EndpointStats#structfield.abandoned).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an unknown group, and [`ErrorKind::NoLease`] if no endpoint is well
    /// in time or none has a client.
    pub fn get(&self, group: &str) -> Result<GroupLease, ChatError> {
        GroupLease::take(self, group, None)
    }

    /// The same for a job that must be done, waiting included, within `timeout`, as
    /// [`get_within`](crate::keyed::KeyedPool::get_within) has it: the requests of the client keep to
    /// what is left.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_within(&self, group: &str, timeout: Duration) -> Result<GroupLease, ChatError> {
        GroupLease::take(self, group, Some(timeout))
    }

    /// How the endpoints of a group are, all from one moment; `None` for an unknown group.
    #[must_use]
    pub fn stats(&self, group: &str) -> Option<BalanceStats> {
        self.groups.get(group).map(|ready| ready.balancer.stats())
    }

    /// The names of the groups, sorted.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }

    /// What [`new`](Self::new) would refuse.
    #[cfg(feature = "settings")]
    pub(crate) fn check(groups: Vec<(String, Group)>, max_size: usize) -> Result<(), ConfigError> {
        config::ready(groups, max_size).map(drop)
    }

    /// Other times for the calls that begin from now on.
    #[cfg(feature = "settings")]
    pub(crate) fn set_times(&self, group: &str, wait_timeout: Duration, fallback_after: Duration) {
        if let Some(ready) = self.groups.get(group) {
            ready.wait_timeout.set(wait_timeout);
            ready.fallback_after.set(fallback_after);
        }
    }

    /// What spreads the calls to a group: to end the rest of an endpoint, say, or to change its weight
    /// or its limits; `None` for an unknown group.
    #[must_use]
    pub fn balancer(&self, group: &str) -> Option<&Balancer<ModelKey>> {
        self.groups.get(group).map(|ready| &ready.balancer)
    }

    /// The pool below, for statistics, limits and closing.
    #[must_use]
    pub fn pool(&self) -> &LlmPool {
        &self.pool
    }
}

/// Whether another endpoint may well do better.
fn moves_on(kind: ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::Invalid
            | ErrorKind::BadRequest
            | ErrorKind::TooLong
            | ErrorKind::ContentRefused
            | ErrorKind::TooLarge
            | ErrorKind::Stopped
    )
}

impl fmt::Debug for ModelGroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelGroups")
            .field("pool", &self.pool)
            .field("groups", &self.groups.keys())
            .finish()
    }
}
