//! The agents against servers on loopback that speak raw HTTP.

// What helps a test may fail as a test does.
#![allow(clippy::unwrap_used, clippy::panic)]

mod connections;
mod proxies;
mod streams;
mod support;
mod timeouts;
mod tls;
