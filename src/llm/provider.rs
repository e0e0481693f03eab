//! Where models are to be had.

use std::fmt;
use std::sync::Arc;

use super::client::{LlmManager, Place};
use crate::agent::headers::sensitive;
use crate::agent::{AgentManager, Check};
use crate::error::{ConfigError, Problems};
use crate::key_error::cut;
use crate::keyed::{BaseUrl, ModelKey};

/// Who provides models: a base URL, headers for every call, and what a client is checked with.
///
/// `Debug` shows no header's value and no query.
#[derive(Clone, PartialEq, Eq)]
pub struct Provider {
    base_url: String,
    headers: Vec<(String, String)>,
    check: Option<String>,
}

impl Provider {
    /// A provider at `base_url`, such as `https://api.example.com/v1`, whose clients are checked
    /// with `GET {base_url}/models`. It has no query; what every call must have in its query goes
    /// with each path.
    #[must_use]
    pub fn new(base_url: impl Into<String>) -> Self {
        Self { base_url: base_url.into(), headers: Vec::new(), check: Some("models".into()) }
    }

    /// Adds a header to every call and to the checks.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Checks with `GET` of this path below the base URL, which may bring a query; with none, not
    /// at all.
    #[must_use]
    pub fn check<'a>(mut self, path: impl Into<Option<&'a str>>) -> Self {
        self.check = path.into().map(Into::into);
        self
    }

    /// What makes the clients of its models.
    pub(super) fn manager(&self, agents: &AgentManager) -> Result<Maker, ConfigError> {
        let mut problems = Problems::of("Provider");
        let headers = sensitive(&self.headers, &mut problems);
        // A base URL drops its query, and no call would send it.
        let whole = !self.base_url.contains(['?', '#']);
        problems.unless(whole, "base_url", "has a query or fragment: put it into the paths");
        let base = problems.value("base_url", BaseUrl::parse(&self.base_url));
        let plain = base.as_ref().is_some_and(|base| base.origin().scheme() == "http");
        let refused = plain && agents.config().https_only;
        problems.unless(!refused, "base_url", "must be https, since https_only is set");
        let base = problems.check_with(base)?;
        let agents = match &self.check {
            None => agents.with_own_totals(),
            Some(path) => {
                let check = Check::get(base.join(path));
                let with =
                    |check: Check, (name, value): &(String, String)| check.header(name, value);
                let checking = agents.checking(self.headers.iter().fold(check, with));
                // All that it could refuse but the path is known to be good.
                let path = cut(without_query(path));
                let what = |_| format!("must be a path of a URL, and is \"{path}\"");
                let mut problems = Problems::of("Provider");
                let agents = problems.value("check", checking.map_err(what));
                problems.check_with(agents)?
            }
        };
        Ok(Maker { agents, place: Arc::new(Place { base, headers }) })
    }
}

/// Makes the managers of a provider's models.
pub(super) struct Maker {
    agents: AgentManager,
    place: Arc<Place>,
}

impl Maker {
    pub(super) fn of(&self, key: &ModelKey) -> LlmManager {
        LlmManager::new(self.agents.with_own_totals(), key.clone(), self.place.clone())
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = BaseUrl::parse(&self.base_url);
        let base = base.map_or_else(|wrong| wrong.key().to_owned(), |base| base.to_string());
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Provider")
            .field("base_url", &base)
            .field("headers", &headers)
            .field("check", &self.check.as_deref().map(without_query))
            .finish()
    }
}

fn without_query(path: &str) -> &str {
    &path[..path.find(['?', '#']).unwrap_or(path.len())]
}
