//! Guides: pages without code.
//!
//! - [`load`]: what a limit does to many calls at one time, measured, and how to measure your own.
//! - [`growth`]: what a get, a wait and a key cost where there are many.
//!
//! What else there is to read: [`logging`](crate::logging) has every line that is logged, and
//! [`sizing`](crate::sizing) the arithmetic of sizes.

pub mod growth;
pub mod load;
