//! Where models are to be had.

use std::fmt;
use std::sync::Arc;

use super::client::{LlmManager, Place};
use crate::agent::headers::sensitive;
use crate::agent::{AgentManager, Check, RootCerts};
#[cfg(feature = "chat")]
use crate::caught::caught;
#[cfg(feature = "chat")]
use crate::chat::{
    Anthropic, ChatConfig, Dialect, GigaChat, Naparnik, OpenAi, Service, SharedToken, TokenSource,
    Yandex, YandexAuth,
};
use crate::error::{ConfigError, Problems};
use crate::key_error::cut;
use crate::keyed::{BaseUrl, ModelKey};

/// Who provides models: a base URL, headers for every call, and what a client is checked with.
///
/// With the feature `chat` also the dialect that is spoken there, OpenAI's unless said otherwise.
///
/// `Debug` shows no header's value and no query.
#[derive(Clone)]
pub struct Provider {
    base_url: String,
    headers: Vec<(String, String)>,
    check: Option<String>,
    root_certs: Option<RootCerts>,
    #[cfg(feature = "chat")]
    dialect: Arc<dyn Dialect>,
    #[cfg(feature = "chat")]
    tokens: Option<Arc<dyn TokenSource>>,
    #[cfg(feature = "chat")]
    chat: Option<ChatConfig>,
}

impl Provider {
    /// A provider at `base_url`, such as `https://api.example.com/v1`, whose clients are checked
    /// with `GET {base_url}/models`. It has no query; what every call must have in its query goes
    /// with each path.
    #[must_use]
    pub fn new(base_url: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            headers: Vec::new(),
            check: Some("models".into()),
            root_certs: None,
            #[cfg(feature = "chat")]
            dialect: Arc::new(OpenAi::compatible()),
            #[cfg(feature = "chat")]
            tokens: None,
            #[cfg(feature = "chat")]
            chat: None,
        }
    }

    /// Has `Authorization: Bearer` and this key sent with every call and the checks.
    #[must_use]
    pub fn api_key(self, key: impl fmt::Display) -> Self {
        self.header("authorization", format!("Bearer {key}"))
    }

    /// Adds a header to every call and to the checks.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Has calls go to another base URL, such as that of a proxy.
    #[must_use]
    pub fn base_url(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = base_url.into();
        self
    }

    /// Checks with `GET` of this path below the base URL, which may bring a query; with none, not
    /// at all.
    #[must_use]
    pub fn check<'a>(mut self, path: impl Into<Option<&'a str>>) -> Self {
        self.check = path.into().map(Into::into);
        self
    }

    /// Which certificates may vouch for this provider's servers, in place of
    /// [those of all agents](crate::agent::AgentConfig#structfield.root_certs).
    #[must_use]
    pub fn root_certs(mut self, root_certs: RootCerts) -> Self {
        self.root_certs = Some(root_certs);
        self
    }

    /// What [`LlmConfig::build`](super::LlmConfig::build) would refuse.
    #[cfg(feature = "settings")]
    pub(crate) fn check_with(
        &self,
        agents: &AgentManager,
        chat: &ChatConfig,
    ) -> Result<(), ConfigError> {
        self.manager(agents, chat).map(drop)
    }

    /// What makes the clients of its models.
    pub(super) fn manager(
        &self,
        agents: &AgentManager,
        #[cfg(feature = "chat")] chat: &ChatConfig,
    ) -> Result<Maker, ConfigError> {
        let mut problems = Problems::of("Provider");
        let headers = sensitive(&self.headers, &mut problems);
        // A base URL drops its query, and no call would send it.
        let whole = !self.base_url.contains(['?', '#']);
        problems.unless(whole, "base_url", "has a query or fragment: put it into the paths");
        let base = problems.value("base_url", BaseUrl::parse(&self.base_url));
        let plain = base.as_ref().is_some_and(|base| base.origin().scheme() == "http");
        let refused = plain && agents.config().https_only;
        problems.unless(!refused, "base_url", "must be https, since https_only is set");
        let agents = match &self.root_certs {
            None => Some(agents.clone()),
            Some(certs) => {
                let config = agents.config().clone().root_certs(certs.clone());
                AgentManager::new(config).map_err(|wrong| problems.of_part(Err(wrong))).ok()
            }
        };
        #[cfg(feature = "chat")]
        if let Some(source) = &self.tokens {
            let checked = caught(|| source.check());
            let checked = checked.unwrap_or_else(|said| Err(format!("its check panicked: {said}")));
            problems.value("tokens", checked);
        }
        #[cfg(feature = "chat")]
        problems.of_part(self.chat.as_ref().map_or(Ok(()), ChatConfig::check));
        let (base, agents) = problems.check_with(base.zip(agents))?;
        #[cfg(feature = "chat")]
        let service = Service {
            dialect: self.dialect.clone(),
            tokens: self.tokens.clone().map(|source| SharedToken::new(source, &agents)),
            config: self.chat.as_ref().unwrap_or(chat).clone(),
        };
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
        let place = Place {
            base,
            headers,
            #[cfg(feature = "chat")]
            service,
        };
        Ok(Maker { agents, place: Arc::new(place) })
    }
}

/// How models are asked.
#[cfg(feature = "chat")]
impl Provider {
    /// OpenAI, at `https://api.openai.com/v1`.
    #[must_use]
    pub fn openai(key: impl fmt::Display) -> Self {
        let dialect = OpenAi::compatible().max_completion_tokens();
        Self::new("https://api.openai.com/v1").api_key(key).dialect(dialect)
    }

    /// DeepSeek, at `https://api.deepseek.com`.
    #[must_use]
    pub fn deepseek(key: impl fmt::Display) -> Self {
        Self::new("https://api.deepseek.com").api_key(key)
    }

    /// Volcengine Ark, which has the doubao models, at `https://ark.cn-beijing.volces.com/api/v3`.
    /// Not checked: it is not known to list its models.
    #[must_use]
    pub fn ark(key: impl fmt::Display) -> Self {
        Self::new("https://ark.cn-beijing.volces.com/api/v3").api_key(key).check(None)
    }

    /// Ollama on this machine, at `http://localhost:11434/v1`.
    #[must_use]
    pub fn ollama() -> Self {
        Self::new("http://localhost:11434/v1")
    }

    /// Anthropic, at `https://api.anthropic.com/v1`, with the header `anthropic-version: 2023-06-01`.
    /// What is different there is told by [`Anthropic`].
    #[must_use]
    pub fn anthropic(key: impl fmt::Display) -> Self {
        Self::new("https://api.anthropic.com/v1")
            .header("x-api-key", key.to_string())
            .header("anthropic-version", "2023-06-01")
            .dialect(Anthropic::default())
    }

    /// YandexGPT, at `https://llm.api.cloud.yandex.net/foundationModels/v1`, with the models of the
    /// folder of this id. What is different there is told by [`Yandex`]. Not checked.
    ///
    /// ```
    /// use llm_pool::chat::YandexAuth;
    /// use llm_pool::llm::Provider;
    ///
    /// let yandex = Provider::yandex("b1g...", YandexAuth::ApiKey("AQVN...".into()));
    /// # let _ = yandex;
    /// ```
    #[must_use]
    pub fn yandex(folder: impl Into<String>, auth: YandexAuth) -> Self {
        let yandex = Self::new("https://llm.api.cloud.yandex.net/foundationModels/v1")
            .dialect(Yandex::new(folder));
        match auth.header() {
            Some(value) => yandex.header("authorization", value),
            None => yandex,
        }
    }

    /// Sber's GigaChat for a person's account, with the authorization key of the account's page.
    /// For companies, and for the root certificate that its hosts need, see [`GigaChat`].
    #[must_use]
    pub fn gigachat(key: impl fmt::Display) -> Self {
        GigaChat::new(key).into()
    }

    /// 1C:Naparnik, with a token from `code.1c.ai/tokens`. Experimental: see [`Naparnik`].
    #[must_use]
    pub fn naparnik(token: impl fmt::Display) -> Self {
        Naparnik::new(token).into()
    }

    /// Speaks this dialect, and has clients checked [as it says](Dialect::check_path).
    #[must_use]
    pub fn dialect(mut self, dialect: impl Dialect) -> Self {
        self.check = dialect.check_path().map(str::to_owned);
        self.dialect = Arc::new(dialect);
        self
    }

    /// How its models are asked, in place of [`LlmConfig::chat`](super::LlmConfig#structfield.chat).
    #[must_use]
    pub fn chat(mut self, chat: ChatConfig) -> Self {
        self.chat = Some(chat);
        self
    }

    /// Has calls by [`Llm::chat`](super::Llm::chat) and its like, and the checks, send a token from
    /// there. It is fetched when first needed, shared by all clients, renewed 60 s before its end
    /// and, once a call, when the server refuses it.
    #[must_use]
    pub fn tokens(mut self, source: impl TokenSource) -> Self {
        self.tokens = Some(Arc::new(source));
        self
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
            .field("root_certs", &self.root_certs)
            .finish_non_exhaustive()
    }
}

fn without_query(path: &str) -> &str {
    &path[..path.find(['?', '#']).unwrap_or(path.len())]
}
