//! Who provides models, as data: what a file can say of a [`Provider`].

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::form::{Form, Line, debug, hidden, line, names, read_or, show_or, table};
use super::reader::{Entry, Reader};
use super::secret::{TextFrom, from_env, from_file, show_env, show_file};
use crate::agent::RootCerts;
use crate::chat::{Anthropic, ChatConfig, GigaChat, Naparnik, OpenAi, Scope, Yandex, YandexAuth};
use crate::error::{ConfigError, Problems};
use crate::keyed::BaseUrl;
use crate::llm::Provider;
use crate::setters::setters;

/// A [`Provider`] as data, which a file can hold. It says where the key is to be had, and holds none.
///
/// ```
/// use llm_pool::settings::{ProviderConfig, ProviderKind};
///
/// let config = ProviderConfig::default().kind(ProviderKind::Ollama);
/// let provider = config.provider()?;
/// # Ok::<(), llm_pool::ConfigError>(())
/// ```
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ProviderConfig {
    /// Whose API it is. Default [`Compatible`](ProviderKind::Compatible).
    pub kind: ProviderKind,
    /// The URL that calls begin with. Default that of the kind; a compatible one has none.
    pub base_url: Option<String>,
    /// The name of the environment variable with the key or token. Default none. Every kind but
    /// `Compatible` and `Ollama` must have either this or `api_key_file`.
    pub api_key_env: Option<String>,
    /// The name of the file with the key or token, which is read without white space at its ends.
    /// Default none.
    pub api_key_file: Option<PathBuf>,
    /// Headers of every call, by their names. Default none.
    pub headers: BTreeMap<String, TextFrom>,
    /// What clients are checked with. Default as the kind is.
    pub check: ClientCheck,
    /// Which certificates may vouch for this provider's servers. Default those of all agents.
    pub root_certs: Option<RootCerts>,
    /// How its models are asked, in place of what holds for all, in whole. Default none.
    pub chat: Option<ChatConfig>,
    /// Of `Anthropic`: most tokens of an answer where neither the request nor its key says it.
    /// Default 4096, at least 1.
    pub max_tokens: Option<u32>,
    /// Of OpenAI's dialect: limits tokens by `max_completion_tokens`. Default true for `OpenAi`,
    /// false for others.
    pub max_completion_tokens: Option<bool>,
    /// Of OpenAI's dialect: whether streams ask for their usage. Default true.
    pub stream_usage: Option<bool>,
    /// Of OpenAI's dialect: whether the end of a stream is `[DONE]`. Default true.
    pub done_marker: Option<bool>,
    /// Of `Yandex`: the id of the folder with the models. It must have one.
    pub folder: Option<String>,
    /// Of `Yandex`: whether the header `x-folder-id` is sent. Default false.
    pub folder_header: Option<bool>,
    /// Of `Yandex`: whether the key is an IAM token, good for 12 hours, and no API key. Default
    /// false.
    pub iam: Option<bool>,
    /// Of `GigaChat`: what kind of account the key is of. Default a person's.
    pub scope: Option<Scope>,
    /// Of `GigaChat`: where tokens come from. Default Sber's.
    pub oauth_url: Option<String>,
    /// Of `Naparnik`: what answers are about. Default empty.
    pub programming_language: Option<String>,
}

/// Whose API a provider has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProviderKind {
    /// What speaks OpenAI's dialect: vLLM, LiteLLM and the like, as [`Provider::new`].
    #[default]
    Compatible,
    /// [`Provider::openai`].
    OpenAi,
    /// [`Provider::deepseek`].
    DeepSeek,
    /// [`Provider::ark`].
    Ark,
    /// [`Provider::ollama`].
    Ollama,
    /// [`Provider::anthropic`].
    Anthropic,
    /// [`Provider::yandex`].
    Yandex,
    /// [`Provider::gigachat`].
    GigaChat,
    /// [`Provider::naparnik`].
    Naparnik,
}

names! {
    ProviderKind {
        Compatible = "compatible",
        OpenAi = "openai",
        DeepSeek = "deepseek",
        Ark = "ark",
        Ollama = "ollama",
        Anthropic = "anthropic",
        Yandex = "yandex",
        GigaChat = "gigachat",
        Naparnik = "naparnik",
    }
}

/// What the clients of a provider are checked with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientCheck {
    /// What the kind of provider has: `GET {base_url}/models`, or nothing where nothing is known.
    #[default]
    Auto,
    /// Nothing.
    None,
    /// `GET` of this path below the base URL.
    Path(String),
}

table! {
    ProviderConfig {
        kind,
        base_url or "auto",
        api_key_env,
        api_key_file,
        headers,
        check,
        root_certs or "auto",
        chat or "auto",
        max_tokens or "auto",
        max_completion_tokens or "auto",
        stream_usage or "auto",
        done_marker or "auto",
        folder or "none",
        folder_header or "auto",
        iam or "auto",
        scope or "auto",
        oauth_url or "auto",
        programming_language or "auto",
    }
}

setters! {
    ProviderConfig {
        kind: ProviderKind,
        base_url: impl Into<Option<String>>,
        api_key_env: impl Into<Option<String>>,
        api_key_file: impl Into<Option<PathBuf>>,
        headers: BTreeMap<String, TextFrom>,
        check: ClientCheck,
        root_certs: impl Into<Option<RootCerts>>,
        chat: impl Into<Option<ChatConfig>>,
        max_tokens: impl Into<Option<u32>>,
        max_completion_tokens: impl Into<Option<bool>>,
        stream_usage: impl Into<Option<bool>>,
        done_marker: impl Into<Option<bool>>,
        folder: impl Into<Option<String>>,
        folder_header: impl Into<Option<bool>>,
        iam: impl Into<Option<bool>>,
        scope: impl Into<Option<Scope>>,
        oauth_url: impl Into<Option<String>>,
        programming_language: impl Into<Option<String>>,
    }
}

impl ProviderConfig {
    /// The provider. Reads the environment variables and the files that it names.
    ///
    /// # Errors
    /// All settings that cannot work, and variables and files that hold nothing, by name and never
    /// with what they hold.
    pub fn provider(&self) -> Result<Provider, ConfigError> {
        let mut problems = Problems::of("ProviderConfig");
        problems.of_part(self.check_values());
        let key = match (&self.api_key_env, &self.api_key_file) {
            (Some(name), _) => problems.value("api_key_env", from_env(name)),
            (None, Some(path)) => problems.value("api_key_file", from_file(path)),
            (None, None) => None,
        };
        let mut headers = Vec::new();
        for (name, value) in &self.headers {
            let value = problems.value(&format!("headers.{name}"), value.get());
            headers.extend(value.map(|value| (name, value)));
        }
        problems.check()?;

        let mut provider = self.of_kind(key);
        if let Some(url) = &self.base_url {
            provider = provider.base_url(url);
        }
        for (name, value) in headers {
            provider = provider.header(name, value);
        }
        provider = match &self.check {
            ClientCheck::Auto => provider,
            ClientCheck::None => provider.check(None),
            ClientCheck::Path(path) => provider.check(path.as_str()),
        };
        if let Some(certs) = &self.root_certs {
            provider = provider.root_certs(certs.clone());
        }
        Ok(match &self.chat {
            Some(chat) => provider.chat(chat.clone()),
            None => provider,
        })
    }

    /// What can be seen to be wrong without a look at the environment.
    pub(super) fn check_values(&self) -> Result<(), ConfigError> {
        use ProviderKind::{Anthropic, Compatible, GigaChat, Naparnik, Ollama, Yandex};
        let mut problems = Problems::of("ProviderConfig");
        let kind = self.kind;
        match &self.base_url {
            Some(url) => {
                // Only why: the text may be a key in the wrong place.
                let why = BaseUrl::parse(url).map_err(|error| {
                    let reason = error.reason().split(';').next().unwrap_or_default().to_owned();
                    format!("must be a URL, and {reason}")
                });
                problems.value("base_url", why);
            }
            None => problems.unless(
                kind != Compatible,
                "base_url",
                "must be set, or the kind of a provider that has one",
            ),
        }
        let (env, file) = (self.api_key_env.is_some(), self.api_key_file.is_some());
        problems.unless(!(env && file), "api_key_file", "there is api_key_env already");
        problems.unless(
            env || file || matches!(kind, Compatible | Ollama),
            "api_key_env",
            "must be set, or api_key_file",
        );
        for (name, value) in &self.headers {
            let here = matches!(value, TextFrom::Here(_));
            problems.unless(
                !(here && may_be_secret(name)),
                &format!("headers.{name}"),
                "a secret may not stand in the file: write { env = \"NAME\" } or { file = \"NAME\" }",
            );
        }
        problems.unless(self.max_tokens != Some(0), "max_tokens", "must be at least 1");
        problems.unless(
            kind != Yandex || self.folder.as_ref().is_some_and(|folder| !folder.trim().is_empty()),
            "folder",
            "must be set for Yandex",
        );
        let openai = !matches!(kind, Anthropic | Yandex | GigaChat | Naparnik);
        for (name, set, good) in [
            ("max_tokens", self.max_tokens.is_some(), kind == Anthropic),
            ("max_completion_tokens", self.max_completion_tokens.is_some(), openai),
            ("stream_usage", self.stream_usage.is_some(), openai),
            ("done_marker", self.done_marker.is_some(), openai),
            ("folder", self.folder.is_some(), kind == Yandex),
            ("folder_header", self.folder_header.is_some(), kind == Yandex),
            ("iam", self.iam.is_some(), kind == Yandex),
            ("scope", self.scope.is_some(), kind == GigaChat),
            ("oauth_url", self.oauth_url.is_some(), kind == GigaChat),
            ("programming_language", self.programming_language.is_some(), kind == Naparnik),
        ] {
            problems.unless(good || !set, name, "this kind of provider has no such setting");
        }
        problems.check()
    }

    /// With all that is special of its kind.
    fn of_kind(&self, key: Option<String>) -> Provider {
        let given = key.clone();
        let key = key.unwrap_or_default();
        let provider = match self.kind {
            ProviderKind::Compatible => Provider::new(self.base_url.as_deref().unwrap_or_default()),
            ProviderKind::OpenAi => Provider::openai(&key),
            ProviderKind::DeepSeek => Provider::deepseek(&key),
            ProviderKind::Ark => Provider::ark(&key),
            ProviderKind::Ollama => Provider::ollama(),
            ProviderKind::Anthropic => {
                let dialect = Anthropic::default();
                let dialect = match self.max_tokens {
                    Some(tokens) => dialect.max_tokens(tokens),
                    None => dialect,
                };
                return Provider::anthropic(key).dialect(dialect);
            }
            ProviderKind::Yandex => {
                let folder = self.folder.as_deref().unwrap_or_default();
                let iam = self.iam.unwrap_or(false);
                let auth = if iam { YandexAuth::IamToken(key) } else { YandexAuth::ApiKey(key) };
                let dialect =
                    Yandex::new(folder).folder_header(self.folder_header.unwrap_or(false));
                return Provider::yandex(folder, auth).dialect(dialect);
            }
            ProviderKind::GigaChat => {
                let gigachat = GigaChat::new(key).scope(self.scope.unwrap_or_default());
                return match &self.oauth_url {
                    Some(url) => gigachat.oauth_url(url).into(),
                    None => gigachat.into(),
                };
            }
            ProviderKind::Naparnik => {
                let language = self.programming_language.as_deref().unwrap_or_default();
                return Naparnik::new(key).programming_language(language).into();
            }
        };
        let provider = match (self.kind, given) {
            (ProviderKind::Compatible | ProviderKind::Ollama, Some(key)) => provider.api_key(key),
            _ => provider,
        };
        let mut dialect = OpenAi::compatible()
            .stream_usage(self.stream_usage.unwrap_or(true))
            .done_marker(self.done_marker.unwrap_or(true));
        if self.max_completion_tokens.unwrap_or(self.kind == ProviderKind::OpenAi) {
            dialect = dialect.max_completion_tokens();
        }
        let provider = provider.dialect(dialect);
        // As `Provider::ark` has it.
        if self.kind == ProviderKind::Ark { provider.check(None) } else { provider }
    }
}

/// The name of an environment variable.
impl Form for Option<String> {
    fn read(&mut self, entry: &Entry<'_>, reader: &mut Reader<'_>) {
        read_or("none", self, entry, reader);
    }

    fn show(&self, path: &str, lines: &mut Vec<Line>) {
        match self {
            Some(name) => show_env(path, name, lines),
            None => show_or("none", self, path, lines),
        }
    }
}

/// The name of a file.
impl Form for Option<PathBuf> {
    fn read(&mut self, entry: &Entry<'_>, reader: &mut Reader<'_>) {
        read_or("none", self, entry, reader);
    }

    fn show(&self, path: &str, lines: &mut Vec<Line>) {
        match self {
            Some(file) => show_file(path, file, lines),
            None => show_or("none", self, path, lines),
        }
    }
}

/// Whether headers of this name have keys in them.
fn may_be_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["auth", "key", "token", "secret", "password", "cookie"].iter().any(|word| name.contains(word))
}

impl Form for ClientCheck {
    fn read(&mut self, entry: &Entry<'_>, reader: &mut Reader<'_>) {
        *self = match entry.value.as_str() {
            Some("auto") => Self::Auto,
            Some("none") => Self::None,
            Some(path) => Self::Path(path.into()),
            None => return reader.must(entry, "be a path below base_url, \"auto\" or \"none\""),
        };
    }

    fn show(&self, path: &str, lines: &mut Vec<Line>) {
        match self {
            Self::Auto => line(path, "\"auto\"", lines),
            Self::None => line(path, "\"none\"", lines),
            // A query may hold a key.
            Self::Path(it) if it.contains('?') => hidden(path, it, lines),
            Self::Path(it) => line(path, format_args!("{it:?}"), lines),
        }
    }
}

impl fmt::Debug for ProviderConfig {
    /// Neither headers nor what looks like a key in place of a name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug("ProviderConfig", self, f)
    }
}
