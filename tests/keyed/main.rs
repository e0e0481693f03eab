//! Keyed pools: finding, making and evicting keys, and the limits that they share.

// A helper reports by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod changes;
mod closing;
mod eviction;
mod fairness;
mod harness;
mod limits;
mod making;
mod open;
mod returns;
mod snapshots;
mod stats;
mod stress;
mod upheaval;
mod warming;
