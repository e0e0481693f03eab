//! One pool per key, made when the key is first asked for, under limits shared by all.
//!
//! ```text
//!   KeyedPool ── directory ──▶ key ─▶ Pool ─▶ items
//!       │            │         key ─▶ Pool ─▶ items     each with its own max_size and queue
//!       │            └ least recently used first, at most max_pools
//!       └─────── limits: max_total, max_per_host, max_open
//! ```
//!
//! A `get` waits in the queue of its key's pool, for the narrowest first: an item of the key, then
//! room in `max_per_host`, then in `max_total`. While it waits it holds nothing,
//! but for its place in the limits once an item is being created for it. Freed capacity
//! goes to the longest waiter that can use it, of whatever key; where a shared limit is what
//! everybody waits for, those that have their fair share of it stand behind those that have not.
//!
//! Keys: an [`Origin`] for one a host, a [`ModelKey`] for one a model and its parameters, an
//! [`AdapterKey`] for one a model and its provider, or whatever implements [`Key`].
//! What cannot work is told by a [`KeyError`], which names the key.
//!
//! Three locks, none of which is held while anything blocks or any user's code runs: one for the
//! directory, one for the limits, one for the pools whose keys are gone. A pool's own lock may be held when the limits' is taken.
//! The directory has a fourth, inside its own or alone, for the order in which keys were used.

mod adapter_key;
mod advice;
mod base_url;
mod by_text;
mod by_use;
mod config;
mod directory;
mod gone;
mod inner;
mod key;
mod limits;
mod model_key;
mod origin;
mod pool;
mod prehashed;
mod setup;
mod snapshot;
mod stats;

pub use crate::key_error::KeyError;
pub use adapter_key::AdapterKey;
pub use advice::{Advice, LimitOf};
pub use base_url::BaseUrl;
pub use config::KeyedConfig;
pub use key::Key;
pub use model_key::ModelKey;
pub use origin::Origin;
#[cfg(feature = "prometheus")]
pub(crate) use origin::without_secrets;
pub use pool::KeyedPool;
pub use setup::Setup;
pub use snapshot::{KeySnapshot, KeyedSnapshot};
pub use stats::{HostStats, KeyStats, KeyedStats};
