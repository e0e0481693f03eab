//! What can fail, what is tried again, and what is left for you to decide.
//!
//! In short: no item is lost, whatever fails. A call by [`chat`](crate::chat) has been tried again
//! where that was worth it by the time you see its error, and the error says whether a further try is.
//! Requests that you make with an agent are yours: nothing is tried again.
//!
//! # No lease
//!
//! [`GetError`](crate::GetError) says why, and its text what to change.
//!
//! | variant | what it means | what to do |
//! |---|---|---|
//! | `Timeout` | nothing came back in time | [`timeouts`](super::timeouts), [`sizing`](super::sizing) |
//! | `Exhausted` | `try_get` found nothing | wait with `get`, or do something else |
//! | `QueueFull`, `TooLate` | waiting was no use, by `max_waiting` or `admission` | turn your own caller away, now |
//! | `Create`, `CreatePanicked` | an item had to be made and could not be | see the cause; agents are always made |
//! | `Unhealthy` | all items failed their check | the server is down: see `last_error` |
//! | `Key`, `TooManyKeys`, `KeyNotReady` | of a keyed pool | see the text |
//! | `Closed` | the pool was closed | stop |
//!
//! # A call to a model
//!
//! | [kind](crate::chat::ErrorKind) | when | tried again | elsewhere in a group |
//! |---|---|---|---|
//! | `RateLimited`, `Server` | status 429, and 5xx, 408, 409 | yes | yes |
//! | `Unreachable`, `Broken` | no connection, or it broke | yes | yes |
//! | `Stalled`, `CutShort` | of a stream that began | no | only by `restart` |
//! | `TimedOut` | its time is over | no | yes, if time is left |
//! | `Unauthorized`, `Quota`, `NotFound` | status 401, 403, 402, 404, some 429 | no | yes |
//! | `Malformed` | not understood | no | yes |
//! | `BadRequest`, `TooLong`, `ContentRefused`, `TooLarge`, `Invalid` | the request itself is at fault | no | no, save for [`fallback_for`](crate::llm::Group::fallback_for) |
//! | `NoLease` | the pool gave no client | no | yes |
//! | `Stopped` | by a [`Stopper`](crate::agent::Stopper) | no | no |
//!
//! Tried again means: up to [`max_retries`](crate::chat::ChatConfig#structfield.max_retries) times (2),
//! after a pause that grows (0.5 s, 1 s, at most 8 s) and is shortened by chance, or after the one that
//! the server asks for with `Retry-After`. One of more than 120 s is not waited for, and neither is one
//! that would end after the deadline: then the error comes at once. A server that itself says whether
//! to try again, with `x-should-retry`, is heeded.
//!
//! ```
//! use llm_pool::chat::ChatConfig;
//! use llm_pool::keyed::ModelKey;
//! use llm_pool::llm::{LlmConfig, Provider};
//! # use llm_pool::test_server::Reply;
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = llm_pool::test_server::TestServer::start()?;
//! # let own = Provider::new(format!("{}/v1", server.url()));
//! let calls = ChatConfig::default().first_pause(Duration::from_millis(10));
//! let pool = LlmConfig::default().chat(calls).provider("own", own).build()?;
//! let key = ModelKey::new("own", "small");
//!
//! # server.plan(Reply::status(500).times(2).at("/v1/chat/completions"));
//! // The server fails twice, and then serves.
//! assert_eq!(pool.chat(&key, "Why not?")?.tries(), 3);
//!
//! # server.plan(Reply::status(400).message("no such parameter").at("/v1/chat/completions"));
//! // It finds fault with the request, which no other try would mend.
//! let error = pool.chat(&key, "Why not?").unwrap_err();
//! assert!(!error.is_retryable() && error.tries() == 1);
//! println!("{error}");
//! # assert!(error.to_string().contains("own:small: request refused (status 400"), "{error}");
//! # Ok(())
//! # }
//! ```
//!
//! # What an error tells a program
//!
//! - [`kind`](crate::chat::ChatError::kind): what to do about it, by the table above.
//! - [`is_retryable`](crate::chat::ChatError::is_retryable) and
//!   [`retry_after`](crate::chat::ChatError::retry_after): whether the same may succeed later, and
//!   when. The call's own tries are over, so put it back into your own queue, and not into a loop.
//! - [`seen`](crate::chat::ChatError::seen): whether the server may have acted on any of the tries, and
//!   so whether it may have been paid for, or a tool called twice. A try again may mean that a server
//!   sees a request twice: where that must not be, `max_retries(0)` and `retry_stale(false)`.
//! - [`partial`](crate::chat::ChatError::partial): what had come of a stream.
//!
//! Its text names the model, the status, the provider's code and the id of the request, and neither
//! keys nor prompts.
//!
//! # Several endpoints
//!
//! A call of a group that fails goes on at another endpoint at once, then at the groups that stand in,
//! and endpoints that fail rest for a while. So that a server in trouble does not get more calls just
//! then, such tries add at most [a fifth](crate::llm::Group#structfield.retry_share) to a group's load,
//! with ten to begin with.
//!
//! ```
//! use llm_pool::keyed::ModelKey;
//! use llm_pool::llm::{Group, LlmConfig, ModelGroups, Provider};
//! # use llm_pool::test_server::{Reply, TestServer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (ill, well) = (TestServer::start()?, TestServer::start()?);
//! # ill.set_reply(Reply::status(503));
//! # let provider = |server: &TestServer| Provider::new(format!("{}/v1", server.url()));
//! # let (own, paid) = (provider(&ill), provider(&well));
//! let pool = LlmConfig::default().provider("own", own).provider("paid", paid).build()?;
//! let own = Group::default().endpoint(ModelKey::new("own", "small")).fallback("paid");
//! let paid = Group::default().endpoint(ModelKey::new("paid", "large"));
//! let groups = ModelGroups::new(pool, [("small", own), ("paid", paid)])?;
//!
//! let reply = groups.chat("small", "Why not?")?; // the own server answers with 503
//! assert_eq!(reply.model(), Some("large"));
//! # assert_eq!(groups.stats("small").unwrap().endpoints[0].failures.total(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! [`balance`](crate::balance) has the states of an endpoint, and
//! [`Cooldown`](crate::balance::Cooldown) when it rests.
//!
//! # Requests of your own
//!
//! An agent answers a 4xx or 5xx as it does any other status, with headers and body, and keeps its
//! connection: look at the status. A connection that the server has closed meanwhile fails the request
//! that finds out. Whether to send it again only you can know; the lease may be kept for that, since
//! the agent then opens a new connection.
//!
//! An item that is found to be bad is told so with [`Lease::discard`](crate::Lease::discard): it is
//! dropped, and its place serves the next in line. For agents there is seldom a reason to.
//!
//! # Panics
//!
//! A panic in your `create`, `check`, `is_broken`, observer or an item's drop is caught where the pool
//! calls it, logged as [`panicked`](crate::logging), and costs the item that it concerned. A lease that
//! is dropped while its thread panics has its item evicted, since nobody knows what state it was left
//! in. In either case the next in line is served.
//!
//! The library itself does not panic, and no lock of it can be poisoned.
//!
//! # Checks
//!
//! Items that fail in the background need no caller to find out: see
//! [`Manage::check`](crate::Manage::check), [`Check`](crate::agent::Check) and
//! [`WhenUnhealthy`](crate::WhenUnhealthy). What is found out so is also what `Unhealthy` above says.
