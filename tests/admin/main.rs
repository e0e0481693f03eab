//! The admin endpoints: what they tell, what they refuse, and how the server stands up to clients.

#[path = "../support/mod.rs"]
mod support;

mod crowds;
mod endpoints;
mod hostile;
mod house;
mod posts;
mod refusals;
mod server;
mod slow_clients;
mod sockets;
