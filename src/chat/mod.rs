//! Asking models: whole answers and streams, in the dialects of several providers.
//!
//! ```text
//!   llm ─▶ Reading: one call ─▶ Line: one request ─▶ agent
//!            │ asks what to send, gives what came
//!            ▼
//!         Dialect: openai, anthropic, gigachat, yandex, naparnik, or yours
//! ```
//!
//! Every call takes the same path, whoever the provider is: what can be seen to be wrong is refused
//! (`validate.rs`), the [`Dialect`] makes the request, a token is added if the provider wants one
//! that expires (`token.rs`), the agent sends it (`call.rs`), and the dialect reads what comes, whole
//! or cut into frames, into a [`Draft`] (`reading.rs`). What may be tried again is (`retry.rs`).
//!
//! The state of a call is in its `Reading`, which one thread has; the only lock is that of the
//! tokens. Calls are made with [`Llm`](crate::llm::Llm) and [`LlmPool`](crate::llm::LlmPool).

mod call;
mod config;
mod dialect;
mod dialects;
mod draft;
mod error;
mod error_kind;
mod failure;
pub(crate) mod frames;
mod headers;
mod hide;
mod message;
mod models;
mod rate_limits;
mod reading;
mod reply;
mod request;
mod retry;
mod server_error;
mod token;
mod validate;

pub use config::ChatConfig;
pub use dialect::{Ask, Dialect, HttpCall, Next};
pub use dialects::*;
pub use draft::{Draft, Piece};
pub use error::{ChatError, Seen};
pub use error_kind::ErrorKind;
pub use frames::{Frame, Framing};
pub use message::{Message, Role, ToolCall};
pub use models::{Embeddings, Model};
pub use reply::{ChatReply, Finish, Timing, Usage};
pub use request::{ChatRequest, ResponseFormat, Tool, ToolChoice};
pub use token::{Token, TokenSource};

pub use crate::balance::{RateLimit, RateLimits};

pub(crate) use call::{Line, Service};
pub(crate) use reading::{Reading, Request};
pub(crate) use retry::Began;
pub(crate) use token::SharedToken;
