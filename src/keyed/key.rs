//! What can be a key.

use std::fmt::Display;
use std::hash::Hash;
use std::sync::Arc;

use super::{AdapterKey, BaseUrl, ModelKey, Origin};
use crate::key_error::KeyError;

/// What names a pool in a [`KeyedPool`](super::KeyedPool): hashed and compared at every look-up,
/// cloned when a pool is made, and shown in logs and errors, so that it must not show a secret.
///
/// ```
/// use llm_pool::keyed::Key;
///
/// #[derive(Clone, PartialEq, Eq, Hash)]
/// struct Tenant(u32);
///
/// impl std::fmt::Display for Tenant {
///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
///         write!(f, "tenant {}", self.0)
///     }
/// }
///
/// impl Key for Tenant {}
/// ```
pub trait Key: Eq + Hash + Clone + Display + Send + Sync + 'static {
    /// Whether a pool may be made for this key; asked before the setup is.
    ///
    /// # Errors
    /// What is wrong with the key.
    fn check(&self) -> Result<(), KeyError> {
        Ok(())
    }

    /// The host that the key's items talk to, unless [`Setup::host`](super::Setup::host) says
    /// otherwise. Default the key itself, so that each is a host of its own.
    fn host(&self) -> String {
        self.to_string()
    }
}

/// Any text but an empty one.
macro_rules! texts {
    ($($text:ty),*) => {
        $(impl Key for $text {
            fn check(&self) -> Result<(), KeyError> {
                let given = !self.trim().is_empty();
                if given { Ok(()) } else { Err(KeyError::new(self, "must be some text")) }
            }
        })*
    };
}

texts!(String, &'static str, Arc<str>);

impl Key for u32 {}
impl Key for u64 {}
impl Key for usize {}

impl Key for Origin {
    fn host(&self) -> String {
        self.host_and_port().into()
    }
}

impl Key for BaseUrl {
    fn host(&self) -> String {
        self.origin().host_and_port().into()
    }
}

impl Key for ModelKey {
    fn check(&self) -> Result<(), KeyError> {
        self.check()
    }

    /// The provider; what knows its URL names the host.
    fn host(&self) -> String {
        self.provider().into()
    }
}

impl Key for AdapterKey {
    fn check(&self) -> Result<(), KeyError> {
        self.check()
    }

    /// The provider.
    fn host(&self) -> String {
        self.provider().into()
    }
}
