//! Answers of chat APIs, read as they come.

// Until what reads bodies through them is here.
#[allow(dead_code)]
mod frames;

pub use frames::{Event, Framing};
