//! Guides: pages to read, and nothing to call.
//!
//! - [`sizing`]: how large to make the limits.
//! - [`timeouts`]: which time-out ends what, and where the time of a call goes.
//! - [`streaming`]: reading an answer as it comes, and what holds its agent meanwhile.
//! - [`failure`]: what can fail, what is tried again, and what is left for you to decide.
//! - [`operations`]: watching a pool, changing it while it runs, and shutting it down.
//! - [`inside`]: how the core works: its states, its one lock, its two laws.
//! - [`load`]: what a limit does to many calls at one time, measured, and how to measure your own.
//! - [`growth`]: what a get, a wait and a key cost where there are many.
//! - [`peers`]: this pool beside other clients, in Rust and in Python.
//!
//! The [crate's page](crate) is the tutorial. What else there is to read: [`logging`](crate::logging)
//! has every line that is logged, and [`sizing`](crate::sizing) the arithmetic of sizes.
//!
//! The examples on these pages are run by this crate's tests, against its embedded server; they need no
//! network.

pub mod failure;
pub mod growth;
pub mod inside;
pub mod load;
pub mod operations;
pub mod peers;
pub mod sizing;
pub mod streaming;
pub mod timeouts;
