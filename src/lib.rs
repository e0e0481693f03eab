//! skeleton
pub mod agent;
mod clock;
mod error;
pub mod pool;
#[cfg(feature = "test-server")]
pub mod test_server;

pub use clock::{Clock, ManualClock};
pub use error::ConfigError;
pub use pool::{
    CreateError, EvictReason, GetError, Lease, Manage, Picture, Pool, PoolConfig, StartError, Stats,
};
