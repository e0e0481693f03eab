//! A model and who provides it.

use std::fmt;

use super::prehashed::Prehashed;
use crate::key_error::{KeyError, OneLine, Reasons};

/// The key of an adapter: a model and its provider.
///
/// ```
/// use llm_pool::keyed::AdapterKey;
///
/// let key = AdapterKey::new("gpt-4o", "openai");
/// assert_eq!(key.to_string(), "gpt-4o:openai"); // as in statistics
/// ```
///
/// Nothing is checked here but by [`check`](Self::check). Keys are ordered by model, then by
/// provider. A clone shares the names, and hashing takes no longer for long ones.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AdapterKey(Prehashed<Parts>);

/// In this order for `Ord`.
#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Parts {
    model: String,
    provider: String,
}

impl AdapterKey {
    /// The key of `model` at `provider`, both as they are: case and spaces make a difference.
    #[must_use]
    pub fn new(model: impl Into<String>, provider: impl Into<String>) -> Self {
        Self(Prehashed::new(Parts { model: model.into(), provider: provider.into() }))
    }

    /// The model's name.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.0.parts().model
    }

    /// The provider's name.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.0.parts().provider
    }

    /// Whether this key can be used.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if a name is empty, has only spaces, or holds a control character; it tells of
    /// both at once.
    pub fn check(&self) -> Result<(), KeyError> {
        let mut reasons = Reasons::default();
        reasons.text("model", self.model());
        reasons.text("provider", self.provider());
        reasons.check("adapter key", self)
    }
}

/// `MODEL:PROVIDER`, on one line. Two keys may look alike, as a name may hold a colon.
impl fmt::Display for AdapterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", OneLine(self.model()), OneLine(self.provider()))
    }
}

impl fmt::Debug for AdapterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdapterKey")
            .field("model", &self.model())
            .field("provider", &self.provider())
            .finish()
    }
}
