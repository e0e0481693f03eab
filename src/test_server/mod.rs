//! A stand-in for an LLM server, inside the process: for tests, examples and benchmarks.
//!
//! It listens on loopback, on a free port unless told otherwise, and speaks OpenAI's dialect: chat completions (whole or
//! as a stream), embeddings and models, see [below](#what-it-answers). It can be told to answer
//! late, to refuse or to misbehave, for every request or for the next few, or for those of one
//! path, and it tells what it saw. What it does not speak it can replay: [`Reply::body`],
//! [`Reply::pieces`].
//!
//! ```
//! use llm_pool::test_server::{Fault, Reply, TestServer};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = TestServer::start()?;
//! server.plan(Reply::status(429).retry_after(Duration::from_secs(2)));
//! server.plan(Reply::fault(Fault::CloseDuringAnswer).times(2));
//!
//! let refused = ureq::get(format!("{}/v1/models", server.url())).call();
//! assert!(matches!(refused, Err(ureq::Error::StatusCode(429))));
//! assert_eq!(server.stats().requests, 1);
//! assert_eq!(server.stats().planned, 2);
//! # Ok(())
//! # }
//! ```
//!
//! # What it answers
//!
//! `POST /v1/chat/completions`:
//!
//! - The assistant says `You said: ` and the last user message, or after results of tools
//!   `The tool said: ` and these. With a `response_format` it says JSON instead: an object whose
//!   `answer` is what it would have said, or a small value of the schema.
//! - When the last message is the user's, it calls those of the `tools` whose names are in it, or
//!   the one that `tool_choice` names, or for `required`, if no name is there, the first. Their
//!   required arguments are filled by type.
//! - `max_tokens`, `max_completion_tokens` and `stop` end what is said; words pass for tokens. A
//!   `seed` is told again by the `system_fingerprint`. `n` may be 1 only.
//! - With [`Reply`]'s setters it says, thinks or calls what you like.
//! - A stream has one event for the role, one for each word thought and each word said, one for
//!   each call and for every few characters of its arguments, one for the end, one for the usage
//!   if that is asked for, and `[DONE]`.
//!
//! `POST /v1/embeddings`: unit vectors that depend on the text alone, of 8 `dimensions` unless
//! asked otherwise, as numbers or in base64. That two texts are alike does not show in them.
//!
//! `GET /v1/models` and `GET /v1/models/NAME`: `test-model`, or those given to
//! [`TestServerBuilder::models`].
//!
//! What is wrong with a request is told with a 400 in OpenAI's shape, with the parameter's name:
//! unknown roles, parameters out of their range, results of tools that nobody called. Every
//! request that could be read gets an `x-request-id`. On demand a key is asked for
//! ([`TestServerBuilder::api_key`]) and rates are limited ([`TestServerBuilder::rate_limit`]).
//! Replies that have a status or a body of their own are sent without regard to any of this.
//!
//! ```
//! use llm_pool::test_server::{Reply, TestServer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = TestServer::builder().models(["small"]).api_key("sk-test").start()?;
//! server.plan(Reply::ok().reasoning("Weather? Look.").tool_call("look", r#"{"up": true}"#));
//!
//! let question = r#"{"model": "small", "messages": [{"role": "user", "content": "Rain?"}]}"#;
//! let ask = || ureq::post(server.chat_url()).header("Authorization", "Bearer sk-test");
//! let answer = ask().send(question)?.body_mut().read_to_string()?;
//! assert!(answer.contains(r#""finish_reason":"tool_calls""#));
//! let answer = ask().send(question)?.body_mut().read_to_string()?;
//! assert!(answer.contains("You said: Rain?"));
//! # Ok(())
//! # }
//! ```
//!
//! # How it works
//!
//! Threads: one accepts, and each connection has its own; dropping the [`TestServer`] ends them.
//! A request passes through: read, *in flight* (counted, logged, given its [`Reply`]), delayed,
//! answered. It leaves the flight just before the last byte of its answer is sent, so a client
//! that has its answer finds it no longer counted.
//!
//! The system queues up to 4096 connections that are not accepted yet, or fewer if its own limit
//! is lower (on Linux `net.core.somaxconn`). Of more at the same instant it drops some, and the
//! client's system tries those again after a second.
//!
//! One lock, in `state.rs`, guards the counters, the plan, the log and the list of open sockets,
//! so that everything it tells is from one moment. A second one only serves to end delays early,
//! a third to count what is used of a rate limit.

mod accept;
mod answer;
mod builder;
mod openai;
mod plan;
mod refusal;
mod reply;
mod seen;
mod send;
mod serve;
mod socket;
mod state;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use builder::TestServerBuilder;
pub use reply::{Fault, Reply};
pub use seen::SeenRequest;
pub use socket::{Connection, Socket};
pub use state::ServerStats;

use accept::Acceptor;
use state::Shared;

/// A running server. Dropping it closes every connection (the system resets those not accepted
/// yet), cuts delays and stalls short, and waits for its threads, which takes some milliseconds.
pub struct TestServer {
    shared: Arc<Shared>,
    addr: SocketAddr,
    url: String,
    /// Held for its drop, which ends the server.
    _acceptor: Acceptor,
}

impl TestServer {
    /// Starts a server that answers everything at once and without fault.
    ///
    /// # Errors
    /// When no loopback port can be had or no thread started.
    pub fn start() -> io::Result<Self> {
        Self::builder().start()
    }

    /// For a server with settings.
    pub fn builder() -> TestServerBuilder {
        TestServerBuilder::default()
    }

    /// The base URL without a slash at its end, `http://127.0.0.1:PORT` unless the builder was
    /// given another scheme or host.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL for chat completions: [`url`](Self::url) and `/v1/chat/completions`.
    #[must_use]
    pub fn chat_url(&self) -> String {
        format!("{}{}", self.url, openai::CHAT_PATH)
    }

    /// The address the server listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sets how long each request waits for its answer, unless its [`Reply`] says otherwise.
    /// Default: zero. For requests that arrive from now on.
    pub fn set_delay(&self, delay: Duration) {
        self.shared.set_delay(delay);
    }

    /// Sets the pause between the pieces of a streamed answer, unless its [`Reply`] says otherwise.
    /// Default: zero. For requests that arrive from now on.
    pub fn set_pause(&self, pause: Duration) {
        self.shared.set_pause(pause);
    }

    /// Sets how requests are answered for which nothing is planned. Default: [`Reply::ok`].
    /// [`Reply::times`] does not count here. A reply with a path of its own ([`Reply::at`]) is for
    /// that path and leaves the others as they are.
    pub fn set_reply(&self, reply: Reply) {
        self.shared.set_reply(reply);
    }

    /// Adds to the plan: the next request that arrives takes the first reply of the plan,
    /// whatever it asks for, but for the replies that are [`at`](Reply::at) another path. When the
    /// plan has nothing for it, a request is answered as [`set_reply`](Self::set_reply) says.
    pub fn plan(&self, reply: Reply) {
        self.shared.plan(reply);
    }

    /// Forgets what is planned and not used yet. What [`set_reply`](Self::set_reply) set stays.
    pub fn clear_plan(&self) {
        self.shared.clear_plan();
    }

    /// The counters, all from one moment.
    #[must_use]
    pub fn stats(&self) -> ServerStats {
        self.shared.stats()
    }

    /// Waits until the counters are as wanted, and returns them. `wanted` is asked whenever they
    /// have changed, on the calling thread and without a lock held.
    ///
    /// # Errors
    /// The counters as they were when `timeout` had passed.
    pub fn wait_until(
        &self,
        timeout: Duration,
        wanted: impl FnMut(&ServerStats) -> bool,
    ) -> Result<ServerStats, ServerStats> {
        self.shared.wait_until(timeout, wanted)
    }

    /// The last requests in the order they arrived, oldest first: at most 1024 (or as many as
    /// [`TestServerBuilder::remember`] says) and at most 64 MiB.
    #[must_use]
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.shared.seen()
    }

    /// Forgets the requests seen so far. The counters stay.
    pub fn forget_requests(&self) {
        self.shared.forget_seen();
    }

    /// Closes all open connections at once, as a restarted server would. It goes on accepting.
    pub fn disconnect_all(&self) {
        self.shared.disconnect_all();
    }
}

impl fmt::Debug for TestServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestServer").field("url", &self.url).field("stats", &self.stats()).finish()
    }
}
