//! Yandex's own API, replayed: what is sent for a request, and what is read of what comes.

// A helper reports by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/one_call.rs"]
mod one_call;

mod answers;
mod refusals;
mod replay;
mod requests;
mod streams;
