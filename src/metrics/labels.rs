//! What tells one series from another, and how it is kept short, harmless and free of secrets.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};

use crate::keyed::{AdapterKey, BaseUrl, Key, ModelKey, Origin, without_secrets};

/// Most characters of a label's value; of a longer one the last three are dots.
const LONGEST: usize = 128;

/// A key that can have series of its own.
///
/// Keys of equal labels are counted together, in one series: so are those of one model with other
/// parameters, and base URLs of one host. A key of your own needs no more than
/// `impl MetricKey for Tenant {}`, which labels it `key` with its text.
pub trait MetricKey: Key {
    /// The labels of its series. Called at each scrape, once a key, and under no lock. Default its
    /// text as `key`.
    fn labels(&self) -> KeyLabels {
        KeyLabels::default().key(self)
    }
}

/// The labels of a key's series; all may be missing.
///
/// A user, a password and a query of a URL are left out of every value. What is no printable
/// character, a quote or a backslash becomes `_`, and what is longer than 128 characters is cut, so
/// that two such values may come to be one.
///
/// ```
/// use llm_pool::keyed::Key;
/// use llm_pool::metrics::{KeyLabels, MetricKey};
///
/// #[derive(Clone, PartialEq, Eq, Hash)]
/// struct Tenant { name: String, model: String }
/// # impl std::fmt::Display for Tenant {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(&self.name) }
/// # }
/// impl Key for Tenant {}
///
/// impl MetricKey for Tenant {
///     fn labels(&self) -> KeyLabels {
///         KeyLabels::default().model(&self.model).key(&self.name)
///     }
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyLabels {
    provider: String,
    model: String,
    host: String,
    key: String,
}

impl KeyLabels {
    /// Sets `provider`. Default none.
    #[must_use]
    pub fn provider(mut self, provider: impl fmt::Display) -> Self {
        self.provider = clean(&provider.to_string());
        self
    }

    /// Sets `model`. Default none.
    #[must_use]
    pub fn model(mut self, model: impl fmt::Display) -> Self {
        self.model = clean(&model.to_string());
        self
    }

    /// Sets `host`. Default that of [`KeySnapshot::host`](crate::keyed::KeySnapshot#structfield.host),
    /// unless that is the key's text or its provider.
    #[must_use]
    pub fn host(mut self, host: impl fmt::Display) -> Self {
        self.host = clean_host(&host.to_string());
        self
    }

    /// Sets `key`, for what is none of the others. Default none.
    #[must_use]
    pub fn key(mut self, key: impl fmt::Display) -> Self {
        self.key = clean(&key.to_string());
        self
    }

    /// In a pool of this name, for a key of this text at that host.
    pub(super) fn of(self, pool: &str, text: &str, at: &str) -> Labels {
        let Self { provider, model, mut host, key } = self;
        if host.is_empty() && at != text {
            host = clean_host(at);
            if host == provider {
                host.clear();
            }
        }
        let labels = [("provider", provider), ("model", model), ("host", host), ("key", key)];
        let labels = labels.into_iter().filter(|(_, value)| !value.is_empty());
        Labels([("pool", clean(pool))].into_iter().chain(labels).collect())
    }
}

impl MetricKey for ModelKey {
    /// Without its parameters: any number of them are in one series.
    fn labels(&self) -> KeyLabels {
        KeyLabels::default().provider(self.provider()).model(self.model())
    }
}

impl MetricKey for AdapterKey {
    fn labels(&self) -> KeyLabels {
        KeyLabels::default().provider(self.provider()).model(self.model())
    }
}

impl MetricKey for Origin {
    /// Its host, and the port where it is not the scheme's default.
    fn labels(&self) -> KeyLabels {
        KeyLabels::default().host(self.host_and_port())
    }
}

impl MetricKey for BaseUrl {
    /// As that of its origin: a path may hold what nobody else should see.
    fn labels(&self) -> KeyLabels {
        self.origin().labels()
    }
}

impl MetricKey for String {}
impl MetricKey for &'static str {}
impl MetricKey for Arc<str> {}
impl MetricKey for u32 {}
impl MetricKey for u64 {}
impl MetricKey for usize {}

/// Names and clean values, in the order in which they are written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Labels(Vec<(&'static str, String)>);

impl Labels {
    pub(super) fn of<const N: usize>(labels: [(&'static str, &str); N]) -> Self {
        Self(labels.into_iter().map(|(name, value)| (name, clean(value))).collect())
    }
}

/// One label more, by which a family parts what it counts. Its values are our own.
pub(super) type Part = Option<(&'static str, &'static str)>;

/// The labels of one series.
pub(super) struct Series<'a>(pub(super) &'a Labels, pub(super) Part);

impl EncodeLabelSet for Series<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        for (name, value) in &self.0.0 {
            (*name, value.as_str()).encode(encoder.encode_label())?;
        }
        self.1.map_or(Ok(()), |part| part.encode(encoder.encode_label()))
    }
}

/// Host and port only.
fn clean_host(host: &str) -> String {
    // A host has no `@`, but what is taken for one may be half a URL.
    if host.contains(['@', '?']) { clean(&without_secrets(host)) } else { clean(host) }
}

/// What needs no escaping, since `prometheus-client` 0.24 writes values as they are; and who does
/// escape them, as a later version may, changes nothing.
pub(super) fn clean(value: &str) -> String {
    // A model's name may have an `@` too.
    let url = value.contains("://");
    let value = if url { Cow::Owned(without_secrets(value)) } else { Cow::Borrowed(value) };
    let mut clean: String = value.chars().take(LONGEST).map(harmless).collect();
    if value.chars().nth(LONGEST).is_some() {
        let end = clean.char_indices().nth(LONGEST - 3).map_or(0, |(at, _)| at);
        clean.truncate(end);
        clean.push_str("...");
    }
    clean
}

fn harmless(c: char) -> char {
    let plain = match c {
        '"' | '\\' => false,
        ' '..='~' => true,
        _ => c.escape_debug().len() == 1,
    };
    if plain { c } else { '_' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_break_a_line_or_its_quotes_is_replaced() {
        assert_eq!(clean("a\"b\\c\nd\r\0e\u{202e}f\u{85}"), "a_b_c_d__e_f_");
        assert_eq!(clean("Ада's größe-1.5:x/y"), "Ада's größe-1.5:x/y");
    }

    #[test]
    fn a_long_value_is_cut_by_characters() {
        assert_eq!(clean(&"ж".repeat(128)), "ж".repeat(128));
        assert_eq!(clean(&"ж".repeat(129)), format!("{}...", "ж".repeat(125)));
    }

    #[test]
    fn a_url_loses_its_user_password_and_query() {
        for url in ["https://u:hush@api.example.com/v1?key=hush#hush", "x https://hush@h/?hush"] {
            assert!(!clean(url).contains("hush"), "{}", clean(url));
        }
        assert_eq!(clean("https://u:p@h.example/v1"), "https://***@h.example/v1");
        assert_eq!(clean_host("u:hush@h.example:8080"), "***@h.example:8080");
        assert_eq!(clean("claude-3-5-sonnet@20240620"), "claude-3-5-sonnet@20240620");
    }
}
