//! A model, who provides it, and the parameters it is called with.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use super::prehashed::Prehashed;
use crate::key_error::{KeyError, OneLine, Reasons, cut};

/// The key of a pool for one model with one set of parameters.
///
/// ```
/// use llm_pool::keyed::ModelKey;
///
/// let key = ModelKey::new("openai", "gpt-4o-mini").temperature(0.2).param("seed", "7");
/// assert_eq!(key.to_string(), "openai:gpt-4o-mini:temperature=0.2:seed=7");
/// assert_eq!(key, ModelKey::new("openai", "gpt-4o-mini").param("seed", "7").temperature(0.2));
/// assert_ne!(key, key.clone().temperature(0.8));
/// ```
///
/// Every parameter is optional, and one not given differs from every value of it. Setting one again
/// replaces it. Numbers are compared by value, -0.0 and 0.0 being the same, and NaN is equal to
/// itself, though [`check`](Self::check) refuses it. Nothing else checks anything.
///
/// A clone shares the parts, and hashing takes no longer for many parameters. Keys are ordered by
/// provider, model, and then the parameters.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelKey(Prehashed<Parts>);

/// In this order for `Ord`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Parts {
    provider: String,
    model: String,
    temperature: Option<Number>,
    top_p: Option<Number>,
    max_tokens: Option<u32>,
    params: BTreeMap<String, String>,
}

impl ModelKey {
    /// The key of `model` at `provider`, both as they are: case and spaces make a difference.
    #[must_use]
    pub fn new(provider: impl Into<String>, model: impl Into<String>) -> Self {
        Self(Prehashed::new(Parts {
            provider: provider.into(),
            model: model.into(),
            temperature: None,
            top_p: None,
            max_tokens: None,
            params: BTreeMap::new(),
        }))
    }

    /// Sets the sampling temperature, at least 0.
    #[must_use]
    pub fn temperature(self, temperature: f64) -> Self {
        self.with(|parts| parts.temperature = Some(Number::new(temperature)))
    }

    /// Sets the share of probability to sample from, 0 to 1.
    #[must_use]
    pub fn top_p(self, top_p: f64) -> Self {
        self.with(|parts| parts.top_p = Some(Number::new(top_p)))
    }

    /// Sets the most tokens of one answer, at least 1.
    #[must_use]
    pub fn max_tokens(self, max_tokens: u32) -> Self {
        self.with(|parts| parts.max_tokens = Some(max_tokens))
    }

    /// Sets another parameter by name. The value is compared as text, so `"7"` and `"7.0"` differ.
    /// With the feature `chat` it is a field of every request, of this name, unless the request
    /// sets it itself: as the JSON that the value is, or else as text, so that `7` and `true` are
    /// sent as such, `low` as `"low"`, and the text `42` must be given as `"42"` in quotes.
    /// Do not put a secret in it: `Display` and `Debug` show it.
    #[must_use]
    pub fn param(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(|parts| {
            parts.params.insert(name.into(), value.into());
        })
    }

    /// The provider's name.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.0.parts().provider
    }

    /// The model's name.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.0.parts().model
    }

    /// What [`temperature`](Self::temperature) set.
    #[must_use]
    pub fn get_temperature(&self) -> Option<f64> {
        self.0.parts().temperature.map(|number| number.0)
    }

    /// What [`top_p`](Self::top_p) set.
    #[must_use]
    pub fn get_top_p(&self) -> Option<f64> {
        self.0.parts().top_p.map(|number| number.0)
    }

    /// What [`max_tokens`](Self::max_tokens) set.
    #[must_use]
    pub fn get_max_tokens(&self) -> Option<u32> {
        self.0.parts().max_tokens
    }

    /// What [`param`](Self::param) set for `name`.
    #[must_use]
    pub fn get_param(&self, name: &str) -> Option<&str> {
        self.0.parts().params.get(name).map(String::as_str)
    }

    /// All that [`param`](Self::param) set, as names and values, sorted by name.
    pub fn params(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.parts().params.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether this key can be used.
    ///
    /// # Errors
    ///
    /// [`KeyError`] that lists all of these at once: a provider, a model or a parameter's name that
    /// is empty, has only spaces, or holds a control character; a temperature that is negative,
    /// infinite or NaN; a `top_p` outside 0 to 1; 0 for `max_tokens`; and a
    /// [`param`](Self::param) of the name of one of these three, which would make two keys of one
    /// thing.
    pub fn check(&self) -> Result<(), KeyError> {
        let mut reasons = Reasons::default();
        reasons.text("provider", self.provider());
        reasons.text("model", self.model());
        let temperature = self.get_temperature().unwrap_or_default();
        reasons.unless(
            temperature >= 0.0 && temperature.is_finite(),
            TEMPERATURE,
            format_args!("must be a number of at least 0, and is {temperature:?}"),
        );
        let top_p = self.get_top_p().unwrap_or_default();
        reasons.unless(
            (0.0..=1.0).contains(&top_p),
            TOP_P,
            format_args!("must be 0 to 1, and is {top_p:?}"),
        );
        let max_tokens = self.get_max_tokens();
        reasons.unless(max_tokens != Some(0), MAX_TOKENS, "must be at least 1, and is 0");
        for (name, value) in self.params() {
            reasons.text("a parameter's name", name);
            reasons.unless(
                ![TEMPERATURE, TOP_P, MAX_TOKENS].contains(&name),
                "parameter",
                format_args!("{name}=\"{}\" must be set by the method {name}", cut(value)),
            );
        }
        reasons.check("model key", self)
    }

    fn with(mut self, change: impl FnOnce(&mut Parts)) -> Self {
        self.0.change(change);
        self
    }
}

const TEMPERATURE: &str = "temperature";
const TOP_P: &str = "top_p";
const MAX_TOKENS: &str = "max_tokens";

/// `PROVIDER:MODEL` and the parameters that were set, on one line. Two keys may look alike, as a
/// name may hold a colon.
impl fmt::Display for ModelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", OneLine(self.provider()), OneLine(self.model()))?;
        // As `Debug`, which writes 1e300 so.
        if let Some(temperature) = self.get_temperature() {
            write!(f, ":{TEMPERATURE}={temperature:?}")?;
        }
        if let Some(top_p) = self.get_top_p() {
            write!(f, ":{TOP_P}={top_p:?}")?;
        }
        if let Some(max_tokens) = self.get_max_tokens() {
            write!(f, ":{MAX_TOKENS}={max_tokens}")?;
        }
        self.params()
            .try_for_each(|(name, value)| write!(f, ":{}={}", OneLine(name), OneLine(value)))
    }
}

impl fmt::Debug for ModelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelKey")
            .field("provider", &self.provider())
            .field("model", &self.model())
            .field(TEMPERATURE, &self.get_temperature())
            .field(TOP_P, &self.get_top_p())
            .field(MAX_TOKENS, &self.get_max_tokens())
            .field("params", &self.0.parts().params)
            .finish()
    }
}

/// A float of which equal ones have equal bits, as a key must: one zero and one NaN.
#[derive(Clone, Copy)]
struct Number(f64);

impl Number {
    fn new(value: f64) -> Self {
        // -0.0 + 0.0 is 0.0.
        Self(if value.is_nan() { f64::NAN } else { value + 0.0 })
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Number {}

impl std::hash::Hash for Number {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.to_bits());
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}
