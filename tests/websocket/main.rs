//! The registry of sockets, against real peers.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod broadcast;
mod health;
mod meetings;
mod peers;
mod python;
mod registry;
mod rough_peers;
mod slow_peers;
