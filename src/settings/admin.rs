//! The admin endpoints, as data: what a file can say of an [`AdminConfig`].

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::form::{Form, Line, debug, line, table};
use super::reader::{Entry, Reader};
use super::secret::{from_env, from_file};
use crate::admin::{AdminConfig, GOOD_TOKEN};
use crate::error::{ConfigError, Problems};
use crate::setters::setters;

/// An [`AdminConfig`] as data, which a file can hold. It says where the token is to be had, and holds
/// none.
///
/// ```
/// use llm_pool::settings::AdminSettings;
///
/// let config = AdminSettings::default().listen(([127, 0, 0, 1], 9099)).config()?;
/// # Ok::<(), llm_pool::ConfigError>(())
/// ```
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct AdminSettings {
    /// As [`AdminConfig::listen`](AdminConfig#structfield.listen). Default `127.0.0.1:0`.
    pub listen: SocketAddr,
    /// The name of the environment variable with the token. Default none.
    pub token_env: Option<String>,
    /// The name of the file with the token, which is read without white space at its ends. Default
    /// none, and with neither of the two there is no token.
    pub token_file: Option<PathBuf>,
    /// As [`AdminConfig::token_for_get`](AdminConfig#structfield.token_for_get). Default false.
    pub token_for_get: bool,
    /// As [`AdminConfig::hosts`](AdminConfig#structfield.hosts). Default none.
    pub hosts: Vec<String>,
    /// As [`AdminConfig::max_head`](AdminConfig#structfield.max_head), in bytes. Default 16 KiB.
    pub max_head: usize,
    /// As [`AdminConfig::max_body`](AdminConfig#structfield.max_body), in bytes. Default 64 KiB.
    pub max_body: usize,
    /// As [`AdminConfig::max_connections`](AdminConfig#structfield.max_connections). Default 64.
    pub max_connections: usize,
    /// As [`AdminConfig::request_timeout`](AdminConfig#structfield.request_timeout). Default 10 s.
    pub request_timeout: Duration,
    /// As [`AdminConfig::idle_timeout`](AdminConfig#structfield.idle_timeout). Default 60 s.
    pub idle_timeout: Duration,
    /// As [`AdminConfig::check_wait`](AdminConfig#structfield.check_wait). Default 2 s.
    pub check_wait: Duration,
}

impl Default for AdminSettings {
    fn default() -> Self {
        // By name, so that a new setting cannot be forgotten.
        let AdminConfig {
            listen,
            token: _,
            token_for_get,
            hosts,
            max_head,
            max_body,
            max_connections,
            request_timeout,
            idle_timeout,
            check_wait,
        } = AdminConfig::default();
        Self {
            listen,
            token_env: None,
            token_file: None,
            token_for_get,
            hosts,
            max_head,
            max_body,
            max_connections,
            request_timeout,
            idle_timeout,
            check_wait,
        }
    }
}

table! {
    AdminSettings {
        listen,
        token_env,
        token_file,
        token_for_get,
        hosts,
        max_head,
        max_body,
        max_connections,
        request_timeout,
        idle_timeout,
        check_wait,
    }
}

setters! {
    AdminSettings {
        listen: impl Into<SocketAddr>,
        token_env: impl Into<Option<String>>,
        token_file: impl Into<Option<PathBuf>>,
        token_for_get: bool,
        hosts: Vec<String>,
        max_head: usize,
        max_body: usize,
        max_connections: usize,
        request_timeout: Duration,
        idle_timeout: Duration,
        check_wait: Duration,
    }
}

impl AdminSettings {
    /// The settings of the endpoints, with their token. Reads the environment variable or the file
    /// that has it.
    ///
    /// # Errors
    /// All settings that cannot work, and a variable or file that holds no token, by name and never
    /// with what it holds.
    pub fn config(&self) -> Result<AdminConfig, ConfigError> {
        let mut problems = Problems::of("AdminSettings");
        problems.of_part(self.check_values());
        let token = problems.value_of_part(self.token());
        problems.check_with(token.map(|token| self.with_token(token)))
    }

    /// What can be seen to be wrong without a look at the environment.
    pub(super) fn check_values(&self) -> Result<(), ConfigError> {
        let mut problems = Problems::of("AdminSettings");
        let (env, file) = (self.token_env.is_some(), self.token_file.is_some());
        problems.unless(!(env && file), "token_file", "there is token_env already");
        // One that is good enough stands for the one to be read.
        let token = (env || file).then(|| "x".repeat(64));
        problems.of_part(self.with_token(token).check());
        problems.check()
    }

    /// The token, and what is wrong with it.
    pub(super) fn token(&self) -> Result<Option<String>, ConfigError> {
        let mut problems = Problems::of("AdminSettings");
        let (name, token) = match (&self.token_env, &self.token_file) {
            (Some(name), _) => ("token_env", problems.value("token_env", from_env(name))),
            (None, Some(path)) => ("token_file", problems.value("token_file", from_file(path))),
            (None, None) => return Ok(None),
        };
        if let Some(token) = &token {
            let alone = AdminConfig::default().token(token.as_str()).check();
            problems.unless(alone.is_ok(), name, format_args!("the token {GOOD_TOKEN}"));
        }
        problems.check_with(token.map(Some))
    }

    fn with_token(&self, token: Option<String>) -> AdminConfig {
        // By name, so that a new setting cannot be forgotten.
        let Self {
            listen,
            token_env: _,
            token_file: _,
            token_for_get,
            hosts,
            max_head,
            max_body,
            max_connections,
            request_timeout,
            idle_timeout,
            check_wait,
        } = self;
        let mut config = AdminConfig::default()
            .listen(*listen)
            .token_for_get(*token_for_get)
            .max_head(*max_head)
            .max_body(*max_body)
            .max_connections(*max_connections)
            .request_timeout(*request_timeout)
            .idle_timeout(*idle_timeout)
            .check_wait(*check_wait);
        config.token = token;
        config.hosts.clone_from(hosts);
        config
    }
}

/// An address and a port.
impl Form for SocketAddr {
    fn read(&mut self, entry: &Entry<'_>, reader: &mut Reader<'_>) {
        match entry.value.as_str().and_then(|text| text.parse().ok()) {
            Some(addr) => *self = addr,
            None => reader.must(entry, "be an address and a port, such as \"127.0.0.1:9099\""),
        }
    }

    fn show(&self, path: &str, lines: &mut Vec<Line>) {
        line(path, format_args!("\"{self}\""), lines);
    }
}

impl fmt::Debug for AdminSettings {
    /// Not what looks like a token in place of a name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug("AdminSettings", self, f)
    }
}
