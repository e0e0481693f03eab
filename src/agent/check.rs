//! The request that tells whether calls with an agent would be served.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use ureq::http::{HeaderMap, HeaderValue, Uri, header};
use ureq::{Body, Error};

use super::config::bounded;
use super::headers::sensitive;
use super::pooled::PooledAgent;
use super::watch::Unwatched;
use crate::ConfigError;
use crate::error::Problems;

/// What an agent is checked with: a GET, with headers if need be. Made from a URL alone as well.
///
/// An API that wants a key wants it for the check too. `Debug` shows neither the values of the
/// headers nor the user, password and query of the URL.
///
/// ```
/// use llm_pool::agent::{AgentConfig, AgentManager, Check};
///
/// let check = Check::models("https://api.example.com/v1").header("authorization", "Bearer ...");
/// let manager = AgentManager::new(AgentConfig::default())?.checking(check)?;
/// # let _ = manager;
/// # Ok::<(), llm_pool::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Check {
    url: String,
    headers: Vec<(String, String)>,
}

/// Why a check failed. Names the URL without user, password and query.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// There was no answer, or it broke off.
    #[error("GET {url}: {cause}")]
    #[non_exhaustive]
    NoAnswer {
        /// What was asked for.
        url: Arc<str>,
        /// What `ureq` says; [`ureq::Timeout::Global`] if the time was over.
        #[source]
        cause: Error,
    },
    /// The answer is a refusal that other calls would meet too.
    #[error("GET {url}: status {status}")]
    #[non_exhaustive]
    Refused {
        /// What was asked for.
        url: Arc<str>,
        /// The status of the answer.
        status: u16,
    },
    /// There was no token to ask with.
    #[error("no token: {what}")]
    #[non_exhaustive]
    NoToken {
        /// Why not.
        what: String,
    },
}

impl Check {
    /// `GET url`.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self { url: url.into(), headers: Vec::new() }
    }

    /// `GET` of the list of models of the server at `base`, where LLM servers commonly have it:
    /// `/models` added to the path of `base`, whether that ends with a slash or not, and before its
    /// query if it has one.
    #[must_use]
    pub fn models(base: &str) -> Self {
        Self::get(models_url(base))
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Errors name no value: any may be a secret.
    pub(super) fn prepared(&self, https_only: bool) -> Result<Prepared, ConfigError> {
        let mut problems = Problems::of("Check");
        let uri = self.url.parse::<Uri>().unwrap_or_default();
        let host = uri.host().is_some_and(|host| !host.is_empty());
        let good = host && matches!(uri.scheme_str(), Some("http" | "https"));
        problems.unless(good, "url", "must be an http or https URL");
        let plain = good && https_only && uri.scheme_str() == Some("http");
        problems.unless(!plain, "url", "must be https, since https_only is set");

        let headers = sensitive(&self.headers, &mut problems);
        problems.check()?;
        let shown = shown(&uri).into();
        Ok(Prepared { uri, headers, shown })
    }
}

#[cfg(feature = "chat")]
impl CheckError {
    pub(crate) fn no_token(why: impl fmt::Display) -> Self {
        Self::NoToken { what: why.to_string() }
    }
}

impl From<&str> for Check {
    fn from(url: &str) -> Self {
        Self::get(url)
    }
}

impl From<String> for Check {
    fn from(url: String) -> Self {
        Self::get(url)
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.parse().map_or_else(|_| "no URL".into(), |uri| shown(&uri));
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Check").field("url", &url).field("headers", &headers).finish()
    }
}

/// Without user, password and query.
fn shown(uri: &Uri) -> String {
    let (scheme, host) = (uri.scheme_str().unwrap_or("?"), uri.host().unwrap_or("?"));
    let port = uri.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{scheme}://{host}{port}{}", uri.path())
}

/// A [`Check`] that can be made.
pub(super) struct Prepared {
    uri: Uri,
    headers: HeaderMap,
    shown: Arc<str>,
}

/// An answer that is longer costs its connection. The longest lists of models have some hundred KiB.
const MAX_BODY: usize = 4 * 1024 * 1024;

impl Prepared {
    /// What it asks for, without user, password and query.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Blocks for `timeout` at most.
    pub(super) fn run(
        &self,
        agent: &PooledAgent,
        timeout: Duration,
        authorization: Option<&HeaderValue>,
    ) -> Result<(), CheckError> {
        let no_answer = |cause| CheckError::NoAnswer { url: self.shown.clone(), cause };
        let response = self.ask(agent, timeout, authorization).map_err(no_answer)?;
        let status = response.status().as_u16();
        let read = read_to_end(response.into_body());
        if refuses(status) {
            return Err(CheckError::Refused { url: self.shown.clone(), status });
        }
        read.map_err(|error| no_answer(error.into()))
    }

    fn ask(
        &self,
        agent: &PooledAgent,
        timeout: Duration,
        authorization: Option<&HeaderValue>,
    ) -> Result<ureq::http::Response<Body>, Error> {
        let mut request = agent.get(self.uri.clone()).extension(Unwatched);
        if let Some(headers) = request.headers_mut() {
            headers.extend(self.headers.clone());
            if let Some(value) = authorization {
                headers.insert(header::AUTHORIZATION, value.clone());
            }
        }
        // Redirects are not followed: the headers are for this server only.
        request.config().timeout_global(bounded(Some(timeout))).max_redirects(0).build().call()
    }
}

fn models_url(base: &str) -> String {
    let (path, query) = base.split_at(base.find(['?', '#']).unwrap_or(base.len()));
    format!("{}/models{query}", path.trim_end_matches('/'))
}

fn read_to_end(body: Body) -> io::Result<()> {
    let (mut reader, mut buf, mut left) = (body.into_reader(), [0; 4096], MAX_BODY);
    loop {
        match reader.read(&mut buf) {
            Ok(0) => return Ok(()),
            Ok(n) if n <= left => left -= n,
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether other calls would be refused as well: for the key, for what is owed, for their number or
/// because the server or what stands before it is in trouble. Any other answer, such as 404 or 405
/// from a server that lists no models, comes from a server that serves.
fn refuses(status: u16) -> bool {
    status >= 500 || matches!(status, 401 | 402 | 403 | 407 | 408 | 429)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_models_of_a_base_are_beneath_its_path() {
        for (base, url) in [
            ("http://h", "http://h/models"),
            ("http://h/", "http://h/models"),
            ("https://h:8443/v1", "https://h:8443/v1/models"),
            ("https://h/v1/?version=2", "https://h/v1/models?version=2"),
        ] {
            assert_eq!(models_url(base), url);
        }
    }
}
