//! Groups of models that serve the same, asked as one.
//!
//! ```text
//!   ModelGroups ─ name ─▶ group: a Balancer over keys ─▶ LlmPool ─▶ one try
//!        ▲                     │ what came of it is reported
//!        └── fallback groups ◀─┘ another endpoint, while the budget lasts
//! ```
//!
//! A call picks an endpoint, takes a client of its key, tries once and reports. If that failed and
//! another endpoint may do better, it goes on there at once; each endpoint is tried once at most.
//! When the group has no more to offer, its fallbacks are asked in their order. All of it keeps to
//! one deadline. There is no lock but those of the balancers and of the budgets, and none is held
//! while a call is made.

mod budget;
mod config;
mod stream;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use config::Group;
pub use stream::GroupStream;

use super::LlmPool;
use crate::balance::{BalanceStats, Balancer, Call, Cause, Failure, Pick, PickError};
use crate::caught::say;
use crate::chat::{Began, ChatError, ChatReply, ChatRequest, ErrorKind, Reading, Request};
use crate::error::ConfigError;
use crate::keyed::ModelKey;
use budget::Budget;

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
    balancer: Balancer<ModelKey>,
    budget: Budget,
    wait_timeout: Duration,
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
        Ok(Self { pool, groups: Arc::new(config::ready(groups)?) })
    }

    /// Asks a model of the group and waits for its whole answer.
    ///
    /// Without [`within`](ChatRequest#structfield.within), each try takes as long as it would with
    /// [`LlmPool::chat`], and if all endpoints rest, the first to be back is waited for up to
    /// [`wait_timeout`](Group#structfield.wait_timeout).
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
        self.call(group, &request, |pick, began| {
            let llm = self.pool.client(pick.value(), began)?;
            let reading = Reading::start(llm.line(), Request::Borrowed(&request), false, *began);
            match reading {
                Ok(reading) => {
                    pick.success();
                    Ok(reading.into_reply())
                }
                Err(error) => Err(Tried { error, pick: Some(pick) }),
            }
        })
    }

    /// Asks a model of the group and returns once its answer begins. What comes after that is not
    /// repeated elsewhere: a stream that breaks is an error with its text so far.
    ///
    /// # Errors
    /// As [`chat`](Self::chat), until the answer begins.
    pub fn stream<'a>(
        &self,
        group: &str,
        request: impl Into<ChatRequest<'a>>,
    ) -> Result<GroupStream, ChatError> {
        let request = Arc::new(request.into().into_owned());
        self.call(group, &request, |pick, began| {
            let llm = self.pool.client(pick.value(), began)?;
            let shared = Request::Shared(request.clone());
            match Reading::start(llm.line(), shared, true, *began) {
                Ok(reading) => Ok(GroupStream::new(llm, reading, pick)),
                Err(error) => Err(Tried { error, pick: Some(pick) }),
            }
        })
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

    /// The pool below, for statistics, limits and closing.
    #[must_use]
    pub fn pool(&self) -> &LlmPool {
        &self.pool
    }

    fn call<T>(
        &self,
        name: &str,
        request: &ChatRequest<'_>,
        mut attempt: impl FnMut(Pick<ModelKey>, &mut Began) -> Result<T, Tried>,
    ) -> Result<T, ChatError> {
        let Some(first) = self.groups.get(name) else {
            let known = self.names().collect::<Vec<_>>().join(", ");
            let what = format_args!("there is no group \"{name}\"; known are: {known}");
            return Err(ChatError::invalid(what));
        };
        first.budget.deposit();
        let mut began = Began::now(request.within);
        let mut call = Running { request, budget: &first.budget, began: &mut began, tried: 0 };
        let (mut waiting, mut asked) = (vec![(name, first)], Vec::new());
        let mut failed: Option<ChatError> = None;
        while let Some((name, ready)) = waiting.pop() {
            // Two groups may have the same fallback.
            if asked.contains(&name) {
                continue;
            }
            asked.push(name);
            match call.run(name, ready, false, &mut attempt) {
                Ok(done) => return Ok(done),
                Err(error) => {
                    waiting.extend(self.fallbacks(ready, &error));
                    let says_more = failed.is_none() || error.kind() != ErrorKind::NoLease;
                    if says_more {
                        failed = Some(error);
                    }
                }
            }
        }
        match failed {
            // Nobody was asked yet: whoever is back first.
            Some(error) if call.tried == 0 && error.kind() == ErrorKind::NoLease => {
                call.run(name, first, true, &mut attempt)
            }
            Some(error) => Err(error),
            None => Err(ChatError::invalid("no group was asked")),
        }
    }

    /// Where to go on after `error`, the next one last.
    fn fallbacks<'g>(
        &'g self,
        ready: &'g Ready,
        error: &ChatError,
    ) -> impl Iterator<Item = (&'g str, &'g Ready)> {
        let kind = error.kind();
        let by_cause = ready.fallbacks_for.iter().filter(move |(of, _)| *of == kind);
        let by_cause = by_cause.map(|(_, name)| name);
        // What another model would refuse as well goes only where its cause is named.
        let general = ready.fallbacks.iter().filter(move |_| moves_on(kind));
        let names: Vec<_> = by_cause.chain(general).collect();
        names.into_iter().rev().filter_map(|name| {
            self.groups.get_key_value(name).map(|(name, ready)| (name.as_str(), ready))
        })
    }
}

/// A try that failed; without its pick if it says nothing of the endpoint.
struct Tried {
    error: ChatError,
    pick: Option<Pick<ModelKey>>,
}

/// The pool had no client, which is not the endpoint's doing.
impl From<ChatError> for Tried {
    fn from(error: ChatError) -> Self {
        Self { error, pick: None }
    }
}

/// A call on its way through one group and its fallbacks.
struct Running<'c> {
    request: &'c ChatRequest<'c>,
    /// Of the group that was asked.
    budget: &'c Budget,
    began: &'c mut Began,
    /// Endpoints, over all groups.
    tried: u32,
}

impl Running<'_> {
    /// Tries the endpoints of one group until one serves, the others would not, or there are no
    /// more.
    fn run<T>(
        &mut self,
        name: &str,
        ready: &Ready,
        waits: bool,
        attempt: &mut impl FnMut(Pick<ModelKey>, &mut Began) -> Result<T, Tried>,
    ) -> Result<T, ChatError> {
        let mut tried = Vec::new();
        let mut failed: Option<ChatError> = None;
        loop {
            let pick = match self.pick(ready, &tried, waits) {
                Ok(pick) if self.tried == 0 || self.budget.withdraw() => pick,
                picked => {
                    // What a try met says more.
                    return Err(failed.unwrap_or_else(|| match picked {
                        Ok(_) => ChatError::new(ErrorKind::NoLease, "the retry budget is spent"),
                        Err(error) => none_well(&error),
                    }));
                }
            };
            self.tried += 1;
            tried.push(pick.index());
            let endpoint = pick.name().clone();
            let error = match attempt(pick, self.began) {
                Ok(done) => return Ok(done),
                Err(Tried { error, pick }) => {
                    if let Some(pick) = pick {
                        pick.failure(failure(&error));
                    }
                    error.with_more(format_args!("endpoint \"{endpoint}\" of group \"{name}\""))
                }
            };
            self.began.tries = self.began.tries.saturating_add(1);
            self.began.seen = self.began.seen.max(error.seen());
            let late = self.began.until.is_some_and(|at| at <= Instant::now());
            if late || !moves_on(error.kind()) {
                return Err(error);
            }
            say!(
                Info,
                "group \"{name}\": endpoint \"{endpoint}\" failed, others are tried: {error}"
            );
            failed = Some(error);
        }
    }

    fn pick(
        &self,
        ready: &Ready,
        tried: &[usize],
        waits: bool,
    ) -> Result<Pick<ModelKey>, PickError> {
        let mut call = Call::new().tried(tried);
        if let Some(conversation) = &self.request.conversation {
            call = call.key(conversation);
        }
        if !waits {
            return ready.balancer.pick(call);
        }
        let left = |at: Instant| at.saturating_duration_since(Instant::now());
        let timeout = self.began.until.map_or(ready.wait_timeout, left);
        ready.balancer.pick_within(call, timeout)
    }
}

fn none_well(error: &PickError) -> ChatError {
    let earliest = match error {
        PickError::NoneWell { earliest, .. } => *earliest,
        PickError::AllTried { .. } => None,
    };
    ChatError::new(ErrorKind::NoLease, error).with_retry_after(earliest)
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

/// What an error says of its endpoint.
pub(super) fn failure(error: &ChatError) -> Failure {
    let cause = match error.kind() {
        ErrorKind::Unauthorized if error.status() == Some(403) => Cause::Forbidden,
        ErrorKind::Unauthorized => Cause::Unauthorized,
        ErrorKind::NotFound => Cause::NotFound,
        ErrorKind::RateLimited | ErrorKind::Quota => Cause::RateLimited,
        ErrorKind::Unreachable => Cause::ConnectRefused,
        ErrorKind::Server if is_overload(error.status()) => Cause::Overloaded,
        ErrorKind::Server => Cause::Server,
        ErrorKind::TimedOut => Cause::TimedOut,
        ErrorKind::Broken | ErrorKind::CutShort | ErrorKind::Stalled | ErrorKind::Malformed => {
            Cause::Broken
        }
        ErrorKind::Invalid
        | ErrorKind::NoLease
        | ErrorKind::Stopped
        | ErrorKind::TooLong
        | ErrorKind::ContentRefused
        | ErrorKind::BadRequest
        | ErrorKind::TooLarge => Cause::Client,
    };
    Failure::from(cause).retry_after(error.retry_after())
}

/// 529 is what Anthropic has for 503: <https://docs.anthropic.com/en/api/errors>.
fn is_overload(status: Option<u16>) -> bool {
    matches!(status, Some(503 | 529))
}

impl fmt::Debug for ModelGroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelGroups")
            .field("pool", &self.pool)
            .field("groups", &self.groups.keys())
            .finish()
    }
}
