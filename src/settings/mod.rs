//! All settings of a program's pools, models and groups, from one file in TOML.
//!
//! ```text
//!   file ─parse─▶ Settings ─build─▶ LlmPool, ModelGroups, WebSockets
//!                    │ the structs that code uses      ▲
//!                    └──────────── reload ─────────────┘
//! ```
//!
//! `llm-pool.example.toml`, at the top of this crate, has every setting with its unit, its default
//! and what it means. A name in the file is that of a field of the struct that has it here, in tables
//! nested as the structs are.
//!
//! - **Times** are texts with their unit, such as `"500 ms"`, `"30 s"`, `"5 min"` or `"2 h"`, and
//!   `"forever"` for one without end.
//! - **None** is `"none"`, since TOML has no word for it; and `"auto"` is what holds where a setting
//!   whose default depends on others is not set.
//! - **Secrets** do not stand in the file. It names the environment variable (`api_key_env`) or the
//!   file (`api_key_file`) that has one; headers and proxies take `{ env = "NAME" }` and
//!   `{ file = "NAME" }` too. Neither errors nor `Debug` show one, and no error shows a text of the
//!   file, which may be a secret in the wrong place.
//! - **What a file cannot say** is for code: clocks, strategies and dialects of your own, sources of
//!   tokens. Change the fields of [`Settings`], or what [`Settings::llm`] gives.
//!
//! No state and no lock.

#[cfg(feature = "admin")]
mod admin;
mod check;
mod form;
#[cfg(any(test, not(all(feature = "admin", feature = "websocket"))))]
mod missing;
mod provider;
mod reader;
mod reload;
mod secret;
mod tables;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

#[cfg(feature = "admin")]
pub use admin::AdminSettings;
pub use provider::{ClientCheck, ProviderConfig, ProviderKind};
pub use reload::Reloaded;
pub use secret::TextFrom;

use crate::agent::{AgentConfig, AgentManager};
use crate::chat::ChatConfig;
use crate::error::{ConfigError, Problems};
use crate::keyed::{KeyedConfig, ModelKey};
use crate::llm::{Group, LlmConfig, LlmPool, ModelGroups};
use crate::setters::setters;
#[cfg(feature = "websocket")]
use crate::websocket::{WebSocketConfig, WebSockets};
use form::{Form, Line};

/// All settings: as a file has them, or set by code.
///
/// ```
/// use llm_pool::settings::Settings;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = llm_pool::test_server::TestServer::start()?;
/// # let text = |url: String| format!(r#"
/// #     [pools]
/// #     max_per_host = 60
/// #     [pools.pool]
/// #     max_size = 30
/// #     wait_timeout = "2 min"
/// #     [agents]
/// #     proxy = "direct"
/// #     [providers.own]
/// #     base_url = "{url}/v1"
/// #     [groups.small]
/// #     endpoints = [{{ provider = "own", model = "small" }}]
/// # "#);
/// # let path = std::env::temp_dir().join(format!("llm-pool-doc-{}.toml", std::process::id()));
/// # std::fs::write(&path, text(server.url().to_owned()))?;
/// let settings = Settings::from_file(&path)?;
/// let groups = settings.build_groups()?;
/// println!("{}", groups.chat("small", "Why not?")?.text());
/// # std::fs::remove_file(&path)?;
///
/// // An error says where, and what was meant:
/// let error = Settings::parse("[pools.pool]\nmax_sise = 30").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "invalid settings: pools.pool.max_sise (line 2, column 1): unknown name, did you mean `max_size`?",
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Of the pools, as [`LlmConfig::pools`]. Default the same, with its name `"llm"`.
    pub pools: KeyedConfig,
    /// Of the agents.
    pub agents: AgentConfig,
    /// How models are asked.
    pub chat: ChatConfig,
    /// Who provides models, by name. Default none.
    pub providers: BTreeMap<String, ProviderConfig>,
    /// Groups of models, by name. Default none.
    pub groups: BTreeMap<String, Group>,
    /// Of the admin endpoints. Nothing is served by this alone. Needs the feature `admin`, without
    /// which a file that has such a table is refused.
    #[cfg(feature = "admin")]
    pub admin: AdminSettings,
    #[cfg(not(feature = "admin"))]
    admin: missing::NoAdmin,
    /// Of a registry of WebSockets, which is not made by this alone. Needs the feature `websocket`,
    /// without which a file that has such a table is refused.
    #[cfg(feature = "websocket")]
    pub websocket: WebSocketConfig,
    #[cfg(not(feature = "websocket"))]
    websocket: missing::NoWebSocket,
}

impl Default for Settings {
    fn default() -> Self {
        let LlmConfig { pools, agents, chat, .. } = LlmConfig::default();
        let (providers, groups, admin, websocket) = Default::default();
        Self { pools, agents, chat, providers, groups, admin, websocket }
    }
}

setters! {
    Settings {
        pools: KeyedConfig,
        agents: AgentConfig,
        chat: ChatConfig,
    }
}

#[cfg(feature = "admin")]
setters! {
    Settings {
        admin: AdminSettings,
    }
}

#[cfg(feature = "websocket")]
setters! {
    Settings {
        websocket: WebSocketConfig,
    }
}

impl Settings {
    /// Reads a file. What it does not say has its default.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and if the file cannot be read; with its name.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let mut problems = Problems::of(format!("settings in {}", path.display()));
        let text = problems.value("file", std::fs::read_to_string(path).map_err(unreadable));
        match text {
            Some(text) => Self::read(&text, problems),
            None => problems.check_with(None),
        }
    }

    /// Reads what a file has. Looks at no key, but for those of a proxy; certificates are read.
    ///
    /// # Errors
    /// All that is wrong in one error, each with its path, line and column: names that are not known,
    /// with the nearest that is; values that cannot be; secrets. Of a text that is no TOML, what is
    /// wrong first. Nothing of the text is shown but names, numbers, and yes or no.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        Self::read(text, Problems::of("settings"))
    }

    fn read(text: &str, problems: Problems) -> Result<Self, ConfigError> {
        let mut settings = Self::default();
        // An editor of Windows may have put it there.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        reader::read(text, problems, |root, reader| {
            Form::read(&mut settings, root, reader);
            for (path, what) in check::values(&settings) {
                reader.later(&path, &what);
            }
        })?;
        Ok(settings)
    }

    /// Whether [`build`](Self::build), [`build_groups`](Self::build_groups) if there are groups, and
    /// `admin_config` would accept them. Reads the environment variables and files with keys and with
    /// the token.
    ///
    /// # Errors
    /// All that they would refuse, in one error.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut problems = Problems::of("settings");
        problems.of_part(self.check_models());
        #[cfg(feature = "admin")]
        problems.of_part(check::within("admin", self.admin.token()).map(drop));
        problems.check()
    }

    /// All that has to do with models.
    fn check_models(&self) -> Result<(), ConfigError> {
        let mut problems = Problems::of("settings");
        let llm = problems.value_of_part(self.llm());
        let known = check::providers_of_endpoints(self);
        known.iter().for_each(|(path, what)| problems.unless(false, path, what));
        let some = llm.is_none_or(|llm| !llm.providers.is_empty());
        problems.unless(some, "providers", "there must be at least one");
        problems.check()
    }

    /// The settings of an [`LlmPool`], with providers that have their keys, for code to add to. Reads
    /// the environment variables and files with keys.
    ///
    /// # Errors
    /// All that is wrong but with the providers that endpoints name, in one error, each with its path.
    /// Of a key only the name of its variable or file is shown.
    pub fn llm(&self) -> Result<LlmConfig, ConfigError> {
        let mut problems = Problems::of("settings");
        let mut wrong = check::values(self);
        let mut config = LlmConfig::default()
            .pools(self.pools.clone())
            .agents(self.agents.clone())
            .chat(self.chat.clone());
        let agents = AgentManager::new(self.agents.clone()).ok();
        for (name, provider) in &self.providers {
            let path = reader::join("providers", name);
            match provider.provider() {
                Ok(provider) => {
                    if let Some(agents) = &agents {
                        check::part(&path, provider.check_with(agents, &self.chat), &mut wrong);
                    }
                    config = config.provider(name, provider);
                }
                Err(error) => check::part(&path, Err(error), &mut wrong),
            }
        }
        // What is wrong with values may have been found in more ways than one.
        let mut seen = BTreeSet::new();
        wrong.retain(|problem| seen.insert(problem.clone()));
        wrong.iter().for_each(|(path, what)| problems.unless(false, path, what));
        problems.check_with(Some(config))
    }

    /// The pool. Nothing is created yet: a model's clients are when it is first asked for.
    ///
    /// # Errors
    /// As [`llm`](Self::llm), and if there is no provider.
    pub fn build(&self) -> Result<LlmPool, ConfigError> {
        self.llm()?.build()
    }

    /// The groups, over a pool of their own.
    ///
    /// # Errors
    /// As [`check`](Self::check), but for a token that is not there, and if there is no group.
    pub fn build_groups(&self) -> Result<ModelGroups, ConfigError> {
        self.check_models()?;
        ModelGroups::new(self.build()?, self.groups.clone())
    }

    /// The settings of the [admin endpoints](crate::admin), with their token. Reads the environment
    /// variable or the file that has it.
    ///
    /// # Errors
    /// All that is wrong with them, in one error, each with its path.
    #[cfg(feature = "admin")]
    pub fn admin_config(&self) -> Result<crate::admin::AdminConfig, ConfigError> {
        check::within("admin", self.admin.config())
    }

    /// A registry of [WebSockets](crate::websocket), with the TLS, DNS and proxy settings of
    /// [`agents`](Self#structfield.agents).
    ///
    /// # Errors
    /// All that is wrong with these two, in one error, each with its path.
    #[cfg(feature = "websocket")]
    pub fn build_websockets(&self) -> Result<WebSockets, ConfigError> {
        let mut problems = Problems::of("settings");
        problems.of_part(check::within("websocket", self.websocket.check()));
        let agents = check::within("agents", AgentManager::new(self.agents.clone()));
        let agents = problems.value_of_part(agents);
        let sockets = agents.map(|agents| WebSockets::with_agents(self.websocket.clone(), &agents));
        problems.check_with(sockets.and_then(Result::ok))
    }

    /// Adds a provider, in place of another one of this name.
    #[must_use]
    pub fn provider(mut self, name: impl Into<String>, provider: ProviderConfig) -> Self {
        self.providers.insert(name.into(), provider);
        self
    }

    /// Adds a group, in place of another one of this name.
    #[must_use]
    pub fn group(mut self, name: impl Into<String>, group: Group) -> Self {
        self.groups.insert(name.into(), group);
        self
    }

    /// Every setting with its value, by its path: as it would stand in a file, and secrets as `***`.
    #[must_use]
    pub fn values(&self) -> Vec<(String, String)> {
        let lines = self.lines();
        lines.into_iter().map(|line| (line.path.clone(), line.shown().to_owned())).collect()
    }

    fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        self.show("", &mut lines);
        lines
    }
}

fn unreadable(error: std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::InvalidData => "is not UTF-8".into(),
        _ => format!("cannot be read: {error}"),
    }
}

/// The tables that have a setting of this name.
fn elsewhere(name: &str) -> Option<String> {
    let group = Group::default().endpoint(ModelKey::new("provider", "model"));
    let all = Settings::default().provider("NAME", ProviderConfig::default()).group("NAME", group);
    let lines = all.lines();
    let tables = lines.iter().filter_map(|line| {
        let (table, last) = line.path.rsplit_once('.')?;
        (last == name).then(|| format!("[{}]", table.replace("[0]", "")))
    });
    let tables: Vec<_> = tables.collect();
    (!tables.is_empty()).then(|| tables.join(" or "))
}
