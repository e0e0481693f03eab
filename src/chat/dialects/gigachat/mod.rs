//! Sber's GigaChat: the settings, from which a provider is made.

mod oauth;
mod speech;
#[cfg(test)]
mod tests;

use std::fmt;

use oauth::OAuth;
use speech::Speech;

use crate::agent::RootCerts;
use crate::llm::Provider;

/// Sber's GigaChat, made into a [`Provider`]: its API, version 1, and where its tokens come from.
///
/// What it is asked differs from OpenAI's API, and is refused before anything is sent where GigaChat
/// has no word for it: `stop`, `seed`, [`ToolChoice::Required`](crate::chat::ToolChoice::Required),
/// names of speakers, and system messages but one, the first. A message can call one function, and
/// functions have no ids: the calls of an answer get `call_0`. An answer that was held back has
/// [`Finish::ContentFilter`](crate::chat::Finish::ContentFilter). A schema for the answer is passed
/// as the official client does; whether there is JSON without one is not documented, and it is asked
/// for as of OpenAI. The named events of version 2 are not spoken.
///
/// # Certificates
///
/// Both hosts have certificates of the Russian Trusted Root CA, which Mozilla's list has not, so a
/// connection fails unless that root is given:
///
/// ```no_run
/// use llm_pool::agent::RootCerts;
/// use llm_pool::chat::{GigaChat, Scope};
/// use llm_pool::llm::LlmConfig;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let roots = RootCerts::Pem(std::fs::read("russian_trusted_root_ca.crt")?);
/// let gigachat = GigaChat::new(std::env::var("GIGACHAT_KEY")?).scope(Scope::Business).root_certs(roots);
/// let pool = LlmConfig::default().provider("gigachat", gigachat).build()?;
/// # Ok(())
/// # }
/// ```
///
/// # Limits
///
/// Personal accounts are served one request at a time, and companies ten unless agreed otherwise:
/// [`max_per_host`](crate::keyed::KeyedConfig#structfield.max_per_host) keeps to that.
///
/// The facts are from Sber's documentation and the client that it publishes.
#[derive(Clone)]
pub struct GigaChat {
    key: String,
    scope: Scope,
    oauth_url: String,
    base_url: String,
    root_certs: Option<RootCerts>,
}

/// What kind of account a key is of. A key serves one of them only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// Of a person, `GIGACHAT_API_PERS`.
    #[default]
    Personal,
    /// Of a company that pays ahead, `GIGACHAT_API_B2B`.
    Business,
    /// Of a company that pays afterwards, `GIGACHAT_API_CORP`.
    Corporate,
}

impl GigaChat {
    /// With the authorization key as the account's page shows it, which is base64 already. A key
    /// that is none is refused when the pool is built.
    #[must_use]
    pub fn new(authorization_key: impl fmt::Display) -> Self {
        Self {
            key: authorization_key.to_string(),
            scope: Scope::default(),
            oauth_url: "https://ngw.devices.sberbank.ru:9443/api/v2/oauth".into(),
            base_url: "https://gigachat.devices.sberbank.ru/api/v1".into(),
            root_certs: None,
        }
    }

    /// What kind of account the key is of. Default a person's.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Where tokens come from. Default `https://ngw.devices.sberbank.ru:9443/api/v2/oauth`.
    #[must_use]
    pub fn oauth_url(mut self, url: impl Into<String>) -> Self {
        self.oauth_url = url.into();
        self
    }

    /// Where the models are. Default `https://gigachat.devices.sberbank.ru/api/v1`.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = url.into();
        self
    }

    /// Which certificates may vouch for both hosts. Default those of all agents.
    #[must_use]
    pub fn root_certs(mut self, root_certs: RootCerts) -> Self {
        self.root_certs = Some(root_certs);
        self
    }
}

impl From<GigaChat> for Provider {
    fn from(gigachat: GigaChat) -> Self {
        let GigaChat { key, scope, oauth_url, base_url, root_certs } = gigachat;
        let provider =
            Self::new(base_url).dialect(Speech).tokens(OAuth::new(oauth_url, key, scope));
        match root_certs {
            Some(certs) => provider.root_certs(certs),
            None => provider,
        }
    }
}

impl Scope {
    /// As it stands in requests for tokens.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Personal => "GIGACHAT_API_PERS",
            Self::Business => "GIGACHAT_API_B2B",
            Self::Corporate => "GIGACHAT_API_CORP",
        }
    }
}

impl fmt::Debug for GigaChat {
    /// Not the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GigaChat")
            .field("scope", &self.scope)
            .field("root_certs", &self.root_certs)
            .finish_non_exhaustive()
    }
}
