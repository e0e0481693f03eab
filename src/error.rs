//! What can be wrong with a configuration, told all at once.

use std::borrow::Cow;
use std::fmt;

/// Settings that cannot work, each with its name, its value and what would be right.
///
/// Nothing is repaired silently and nothing is created: all that is wrong is listed in one error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    config: Cow<'static, str>,
    problems: Vec<String>,
}

impl ConfigError {
    /// One entry a problem, as `name: what is wrong`.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid {}: {}", self.config, self.problems.join("; "))
    }
}

impl std::error::Error for ConfigError {}

/// Collects what is wrong with one config struct.
pub(crate) struct Problems(ConfigError);

impl Problems {
    pub(crate) fn of(config: impl Into<Cow<'static, str>>) -> Self {
        Self(ConfigError { config: config.into(), problems: Vec::new() })
    }

    /// Notes a problem with the setting `name` unless `good`.
    pub(crate) fn unless(&mut self, good: bool, name: &str, what: impl fmt::Display) {
        if !good {
            self.0.problems.push(format!("{name}: {what}"));
        }
    }

    /// For a duration that must not be zero.
    pub(crate) fn zero(&mut self, value: impl Into<Option<std::time::Duration>>, name: &str) {
        let good = value.into().is_none_or(|duration| !duration.is_zero());
        self.unless(good, name, "must be longer than zero");
    }

    /// The value of the setting `name`, or a note of why it has none.
    pub(crate) fn value<T>(
        &mut self,
        name: &str,
        value: Result<T, impl fmt::Display>,
    ) -> Option<T> {
        value.map_err(|wrong| self.unless(false, name, wrong)).ok()
    }

    /// Takes over what is wrong with a part.
    pub(crate) fn of_part(&mut self, part: Result<(), ConfigError>) {
        if let Err(wrong) = part {
            self.0.problems.extend(wrong.problems);
        }
    }

    /// The value of a part, or what is wrong with it.
    #[cfg(feature = "settings")]
    pub(crate) fn value_of_part<T>(&mut self, part: Result<T, ConfigError>) -> Option<T> {
        part.map_err(|wrong| self.of_part(Err(wrong))).ok()
    }

    pub(crate) fn check(self) -> Result<(), ConfigError> {
        self.check_with(Some(()))
    }

    /// What [`Self::value`] gave, if nothing is wrong with anything.
    pub(crate) fn check_with<T>(self, value: Option<T>) -> Result<T, ConfigError> {
        match value {
            Some(value) if self.0.problems.is_empty() => Ok(value),
            _ => Err(self.0),
        }
    }
}
