//! A client of one model.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
#[cfg(feature = "chat")]
use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(feature = "chat")]
use std::time::Duration;

use ureq::RequestBuilder;
use ureq::http::HeaderMap;
use ureq::typestate::{WithBody, WithoutBody};

use crate::agent::{AgentManager, CheckError, PooledAgent};
#[cfg(feature = "chat")]
use crate::chat::Service;
use crate::keyed::{BaseUrl, ModelKey};
use crate::pool::{Manage, RequestStats, Terms};

/// An agent, and what its key says of the model it is to call. Derefs to the agent.
///
/// A lease of one is ready to call its model; see [`LlmPool`](super::LlmPool). [`get`](Self::get)
/// and [`post`](Self::post) take a path; what else the agent can do takes a whole URL and sends
/// none of the provider's headers.
pub struct Llm {
    agent: PooledAgent,
    key: ModelKey,
    pub(super) place: Arc<Place>,
    /// How long its lease was waited for, in nanoseconds, until somebody asks.
    #[cfg(feature = "chat")]
    waited: AtomicU64,
}

/// Where a model is called, and with what.
pub(super) struct Place {
    pub(super) base: BaseUrl,
    pub(super) headers: HeaderMap,
    #[cfg(feature = "chat")]
    pub(super) service: Service,
}

impl Llm {
    /// The provider, the model and its parameters.
    #[must_use]
    pub fn key(&self) -> &ModelKey {
        &self.key
    }

    /// The URL of `path` below the provider's base URL.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        self.place.base.join(path)
    }

    /// A POST to `path` below the base URL, with the provider's headers. These are for the provider
    /// only, so a redirect is not followed: its answer is the caller's.
    #[must_use]
    pub fn post(&self, path: &str) -> RequestBuilder<WithBody> {
        self.with_headers(self.agent.post(self.url(path)))
    }

    /// A GET of `path` below the base URL, with the provider's headers; as [`post`](Self::post)
    /// does, it follows no redirect.
    #[must_use]
    pub fn get(&self, path: &str) -> RequestBuilder<WithoutBody> {
        self.with_headers(self.agent.get(self.url(path)))
    }

    #[cfg(feature = "chat")]
    pub(super) fn take_waited(&self) -> Duration {
        // Relaxed: it guards no other memory.
        Duration::from_nanos(self.waited.swap(0, Ordering::Relaxed))
    }

    /// To be followed nowhere: `ureq` would take all of them but `Authorization` along.
    fn with_headers<B>(&self, mut request: RequestBuilder<B>) -> RequestBuilder<B> {
        // None for a URL that is none, which the call will say.
        if let Some(headers) = request.headers_mut() {
            headers.extend(self.place.headers.clone());
        }
        request.config().max_redirects(0).build()
    }
}

impl Deref for Llm {
    type Target = PooledAgent;

    fn deref(&self) -> &PooledAgent {
        &self.agent
    }
}

impl fmt::Debug for Llm {
    /// Not the headers, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Llm")
            .field("key", &self.key)
            .field("base", &self.place.base)
            .finish_non_exhaustive()
    }
}

/// Makes the clients of one model.
pub struct LlmManager {
    agents: AgentManager,
    key: ModelKey,
    place: Arc<Place>,
}

impl LlmManager {
    pub(super) fn new(agents: AgentManager, key: ModelKey, place: Arc<Place>) -> Self {
        Self { agents, key, place }
    }

    pub(super) fn host(&self) -> &str {
        self.place.base.origin().host_and_port()
    }
}

impl Manage for LlmManager {
    type Item = Llm;
    type Error = CheckError;

    fn create(&self) -> Result<Llm, CheckError> {
        let agent = self.agents.create()?;
        Ok(Llm {
            agent,
            key: self.key.clone(),
            place: self.place.clone(),
            #[cfg(feature = "chat")]
            waited: AtomicU64::new(0),
        })
    }

    fn check(&self, llm: &mut Llm) -> Result<(), CheckError> {
        #[cfg(feature = "chat")]
        if let Some(tokens) = &self.place.service.tokens {
            let timeout = self.agents.config().check_timeout;
            let mut renewed = false;
            loop {
                let token = tokens.get(Some(timeout)).map_err(CheckError::no_token)?;
                let checked = self.agents.check_with(&llm.agent, &token.value);
                if !matches!(checked, Err(CheckError::Refused { status: 401, .. })) {
                    return checked;
                }
                tokens.refused(&token.value);
                // Else all clients would be set aside for the token that they share.
                if renewed || token.fresh {
                    return checked;
                }
                renewed = true;
            }
        }
        self.agents.check(&mut llm.agent)
    }

    #[inline]
    fn is_broken(&self, llm: &mut Llm) -> bool {
        self.agents.is_broken(&mut llm.agent)
    }

    #[inline]
    fn lend(&self, llm: &mut Llm, terms: Terms) {
        #[cfg(feature = "chat")]
        {
            *llm.waited.get_mut() = u64::try_from(terms.waited.as_nanos()).unwrap_or(u64::MAX);
        }
        self.agents.lend(&mut llm.agent, terms);
    }

    fn requests(&self) -> RequestStats {
        self.agents.requests()
    }
}

impl fmt::Debug for LlmManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LlmManager").field("key", &self.key).finish_non_exhaustive()
    }
}
