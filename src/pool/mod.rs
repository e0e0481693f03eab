//! skeleton
mod manage;
pub use manage::Manage;
