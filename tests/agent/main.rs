//! The agents against servers on loopback that speak raw HTTP.

mod connections;
mod proxies;
mod streams;
mod support;
mod timeouts;
mod tls;
