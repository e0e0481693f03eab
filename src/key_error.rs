//! What is wrong with a key, told on one line however odd the key is.

use std::fmt;

/// Most characters of a key, or of one of its parts, that an error shows.
const SHOWN: usize = 80;

/// A key that cannot be used: what it is, its text and all that is wrong with it.
///
/// ```
/// use llm_pool::keyed::{KeyError, Origin};
///
/// let error = Origin::parse("https://:80").unwrap_err();
/// assert_eq!(error.to_string(), "bad URL \"https://:80\": it has no host");
///
/// let error = KeyError::new("tenant-7", "there is no such tenant");
/// assert_eq!(error.to_string(), "bad key \"tenant-7\": there is no such tenant");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad {} \"{}\": {}", .0.kind, .0.key, .0.reason)]
pub struct KeyError(
    /// In a box, since every get may return one: the larger what it returns, the slower.
    Box<Parts>,
);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    kind: &'static str,
    key: String,
    reason: String,
}

impl KeyError {
    /// For a key of your own. Both texts end up in logs, so neither may hold a secret.
    ///
    /// What cannot be printed is escaped in both, and a key longer than 80 characters is cut.
    #[must_use]
    pub fn new(key: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self::of("key", key, reason)
    }

    /// `kind` says what the key should have been.
    pub(crate) fn of(
        kind: &'static str,
        key: impl fmt::Display,
        reason: impl fmt::Display,
    ) -> Self {
        let (key, reason) = (cut(&key.to_string()), OneLine(&reason.to_string()).to_string());
        Self(Box::new(Parts { kind, key, reason }))
    }

    /// The key as it is shown: escaped, cut, and a URL without its user, password and query.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.0.key
    }

    /// All that is wrong, parted by `"; "`.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.0.reason
    }
}

/// Collects what is wrong with one key.
#[derive(Default)]
pub(crate) struct Reasons(Vec<String>);

impl Reasons {
    /// Notes a problem with the part `name` unless `good`.
    pub(crate) fn unless(&mut self, good: bool, name: &str, what: impl fmt::Display) {
        if !good {
            self.0.push(format!("{name} {what}"));
        }
    }

    /// For a part that must be some text on one line.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        let good = !value.trim().is_empty() && !value.contains(char::is_control);
        let what = format_args!("must be some text on one line, and is \"{}\"", cut(value));
        self.unless(good, name, what);
    }

    pub(crate) fn check(self, kind: &'static str, key: impl fmt::Display) -> Result<(), KeyError> {
        if self.0.is_empty() { Ok(()) } else { Err(KeyError::of(kind, key, self.0.join("; "))) }
    }
}

/// Shows a text with all that cannot be printed escaped: line ends, other control characters, and
/// those that change the direction of what follows.
pub(crate) struct OneLine<'a>(pub(crate) &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| escape(c, f))
    }
}

/// Quotes and backslashes stay as they are too, so that to escape twice is to escape once.
fn escape(c: char, to: &mut impl fmt::Write) -> fmt::Result {
    if matches!(c, ' '..='~') { to.write_char(c) } else { write!(to, "{}", c.escape_debug()) }
}

/// The start of `text`, escaped, and whether there was more.
pub(crate) fn cut(text: &str) -> String {
    let escaped = OneLine(text).to_string();
    match escaped.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &escaped[..end]),
        None => escaped,
    }
}
