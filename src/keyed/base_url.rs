//! An origin and the path under which an API lives there.

use std::sync::Arc;

use super::by_text::by_text;
use super::origin::{Origin, join};
use crate::key_error::KeyError;

/// The URL that those of an API's calls begin with, such as `https://api.example.com/v1`.
///
/// The origin is written as [`Origin`] does. Slashes at the end are removed, and so are query and
/// fragment; the rest of the path stays as it is, its case included.
///
/// ```
/// use llm_pool::keyed::BaseUrl;
///
/// # fn main() -> Result<(), llm_pool::keyed::KeyError> {
/// let base = BaseUrl::parse("https://API.example.com:443/v1/")?;
/// assert_eq!(base.to_string(), "https://api.example.com/v1");
/// assert_eq!(base.join("models"), "https://api.example.com/v1/models");
/// assert_eq!(base.origin().to_string(), "https://api.example.com");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct BaseUrl {
    text: Arc<str>,
    origin: Origin,
}

impl BaseUrl {
    /// Reads a base URL.
    ///
    /// # Errors
    ///
    /// [`KeyError`] for the reasons of [`Origin::parse`].
    pub fn parse(url: &str) -> Result<Self, KeyError> {
        let (origin, uri) = Origin::read(url)?;
        let path = uri.path().trim_end_matches('/');
        let text =
            if path.is_empty() { origin.shared_text() } else { format!("{origin}{path}").into() };
        Ok(Self { text, origin })
    }

    /// Scheme, host and port.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The path, such as `/v1`, without a slash at its end; empty if there is none.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.text[self.origin.as_str().len()..]
    }

    /// The URL of `path` below this one, with one slash between them whether or not `path` begins
    /// with one. An empty path adds nothing. `path` is not checked; it may bring a query.
    #[must_use]
    pub fn join(&self, path: &str) -> String {
        join(&self.text, path)
    }
}

by_text!(BaseUrl);

impl From<Origin> for BaseUrl {
    fn from(origin: Origin) -> Self {
        Self { text: origin.shared_text(), origin }
    }
}
