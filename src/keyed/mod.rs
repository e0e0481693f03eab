//! Keys for pools of which there is one a key: an [`Origin`] for one a host, a [`ModelKey`] for one
//! a model and its parameters, and an [`AdapterKey`] for one a model and its provider.
//!
//! All are made to be looked up: a clone copies a pointer, and hashing one takes a few nanoseconds.
//! What cannot work is told by a [`KeyError`], which names the key.

mod adapter_key;
mod base_url;
mod by_text;
mod error;
mod model_key;
mod origin;
mod prehashed;

pub use adapter_key::AdapterKey;
pub use base_url::BaseUrl;
pub use error::KeyError;
pub use model_key::ModelKey;
pub use origin::Origin;
