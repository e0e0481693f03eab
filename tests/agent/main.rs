//! The agents against servers on loopback that speak raw HTTP.

mod checks;
mod connections;
mod deadlines;
mod proxies;
mod requests;
mod streams;
mod support;
mod timeouts;
mod tls;
