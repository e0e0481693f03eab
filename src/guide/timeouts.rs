//! Which time-out ends what, and where the time of a call goes.
//!
//! In short: give a call one deadline for everything, with [`get_within`](crate::Pool::get_within) or
//! [`ChatRequest::within`](crate::chat::ChatRequest::within). The other limits are for what goes wrong
//! sooner: a host that cannot be connected to, an answer that stops in its midst.
//!
//! # The limits along a call
//!
//! ```text
//!  get                               request                            put back
//!   │ wait    │ look-up │ connect, TLS │ send │ server thinks │ answer comes │
//!   ├─────────┤ wait_timeout
//!   │         ├─────────┤ connect_timeout
//!   │         │         ├──────────────┤ connect_timeout, anew
//!   │         │                               ├───────────────┤ first_byte_timeout
//!   │         │             read_timeout, between two reads   ├──┤
//!   │         ├── total_timeout, of one request ─────────────────────────────┤
//!   ├── get_within, of the wait and every request of the lease ──────────────┤
//! ```
//!
//! | limit | default | what the caller gets when it passes |
//! |---|---|---|
//! | [`wait_timeout`](crate::PoolConfig#structfield.wait_timeout) | 30 s | [`GetError::Timeout`](crate::GetError::Timeout), with the picture of the pool |
//! | [`connect_timeout`](crate::agent::AgentConfig#structfield.connect_timeout) | 10 s | [`Timeout::Resolve`] or [`Timeout::Connect`] |
//! | [`first_byte_timeout`](crate::agent::AgentConfig#structfield.first_byte_timeout) | none | [`Timeout::RecvResponse`] |
//! | [`read_timeout`](crate::agent::AgentConfig#structfield.read_timeout) | 30 s | [`Timeout::PerRead`] |
//! | [`total_timeout`](crate::agent::AgentConfig#structfield.total_timeout) | 60 s | [`Timeout::Global`] |
//! | [`get_within`](crate::Pool::get_within) | | while it waits, as `wait_timeout`; then [`Timeout::Global`] |
//!
//! The latter five are variants of `ureq::Timeout`, in a `ureq::Error` or, while a body is read, in the
//! `io::Error` of the read. The deadline of `get_within` stands in the place of `total_timeout`, be it
//! sooner or later. A pool that makes something else than agents is told what is left
//! ([`Terms`](crate::Terms)), and a holder can ask: [`Lease::remaining`](crate::Lease::remaining).
//!
//! Calls by [`chat`](crate::chat) have limits of their own in place of `read_timeout` and
//! `total_timeout`, and a deadline of their own beside that of the lease:
//!
//! | limit | default | what the caller gets when it passes |
//! |---|---|---|
//! | [`total_timeout`](crate::chat::ChatConfig#structfield.total_timeout), of one try | 600 s | [`TimedOut`], not tried again |
//! | [`piece_timeout`](crate::chat::ChatConfig#structfield.piece_timeout), nothing new in an answer | 60 s | [`Stalled`] of a stream, else [`TimedOut`] |
//! | [`within`](crate::chat::ChatRequest::within): waits, tries, pauses and the answer | none | [`TimedOut`], or [`NoLease`] if no client came in time |
//!
//! `connect_timeout` and `first_byte_timeout` are the agents'. A call that could not connect in time is
//! [`Unreachable`], and tried again.
//!
//! # One deadline for everything
//!
//! A program that promises its own caller an answer within 120 s means the queue, too:
//!
//! ```
//! use llm_pool::agent::{AgentConfig, AgentManager};
//! use llm_pool::{Lease, Pool, PoolConfig};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = llm_pool::test_server::TestServer::builder().delay(Duration::from_secs(9)).start()?;
//! # let url = format!("{}/v1/models", server.url());
//! # let config = AgentConfig::default().proxy(llm_pool::agent::Proxy::Direct);
//! let pool = Pool::new(PoolConfig::default(), AgentManager::new(config)?)?;
//! let agent = pool.get_within(Duration::from_millis(200))?; // 120 s, say
//! assert!(Lease::remaining(&agent) <= Some(Duration::from_millis(200)));
//!
//! // The server takes 9 s for its answer.
//! let late = agent.get(&url).call();
//! assert!(matches!(late, Err(ureq::Error::Timeout(ureq::Timeout::Global))));
//! # Ok(())
//! # }
//! ```
//!
//! A wait that has become hopeless is still a wait. With
//! [`admission`](crate::PoolConfig#structfield.admission), a caller who could not be served in time is
//! told so when it comes: [`TooLate`](crate::GetError::TooLate).
//!
//! # A time-out of the pool
//!
//! It says what the pool was doing, who has had its item for longest, and what to change:
//!
//! ```
//! # use llm_pool::{Manage, Pool, PoolConfig};
//! # use std::time::Duration;
//! # struct Numbers;
//! # impl Manage for Numbers {
//! #     type Item = u64;
//! #     type Error = std::io::Error;
//! #     fn create(&self) -> Result<u64, std::io::Error> { Ok(1) }
//! # }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = Pool::new(PoolConfig::default().name("chat").max_size(1), Numbers)?;
//! let held = pool.get()?;
//! let error = std::thread::scope(|scope| {
//!     let waiter = scope.spawn(|| pool.get_timeout(Duration::from_millis(20)).unwrap_err());
//!     waiter.join().unwrap()
//! });
//! println!("{error}");
//! # let told = error.to_string();
//! # assert!(told.contains("pool \"chat\": max_size 1, in use 1, idle 0, creating 0"), "{told}");
//! # assert!(told.contains("place in the queue 1, oldest lease out for"), "{told}");
//! # assert!(told.ends_with("raise max_size, wait longer, or hold leases for less time"), "{told}");
//! # Ok(())
//! # }
//! ```
//!
//! ```text
//! timed out after 20.1ms waiting for an item of pool "chat": max_size 1, in use 1,
//! idle 0, creating 0, waiting 0, place in the queue 1, oldest lease out for 20.2ms,
//! taken at src/main.rs:9:17; raise max_size, wait longer, or hold leases for less time
//! ```
//!
//! # Where the time of a call went
//!
//! | to see | look at |
//! |---|---|
//! | the wait of one lease | [`Lease::waited`](crate::Lease::waited) |
//! | the parts of one call to a model | [`ChatReply::timing`](crate::chat::ChatReply::timing) |
//! | waits, holds and creations of a pool, as histograms | [`Pool::snapshot`](crate::Pool::snapshot) |
//! | answers of the server, as a histogram | `response` of [`Pool::requests`](crate::Pool::requests) |
//! | who holds a lease too long | the log, with [`leak_after`](crate::PoolConfig#structfield.leak_after) |
//!
//! ```
//! use llm_pool::keyed::ModelKey;
//! use llm_pool::llm::{LlmConfig, Provider};
//! # use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = llm_pool::test_server::TestServer::builder().delay(Duration::from_millis(30)).start()?;
//! # let own = Provider::new(format!("{}/v1", server.url()));
//! let pool = LlmConfig::default().provider("own", own).build()?;
//! let reply = pool.chat(&ModelKey::new("own", "small"), "Why pool connections?")?;
//! let timing = reply.timing();
//! println!(
//!     "waited {:?}, connected in {:?}, first byte after {:?}, {:?} in all",
//!     timing.waited, timing.connecting, timing.first_byte, timing.total,
//! );
//! # assert!(timing.connecting.is_some() && timing.first_byte >= Duration::from_millis(30));
//! # assert!(timing.total >= timing.first_byte);
//! # Ok(())
//! # }
//! ```
//!
//! Read it so: much `waited` is a limit that is too narrow, see [`sizing`](super::sizing). Much
//! `connecting` in many calls is connections that do not last; see
//! [`keep_alive`](crate::agent::AgentConfig#structfield.keep_alive), and whether bodies are
//! [read to their end](super::streaming). Much of `first_byte` is the server.
//!
//! # Precision
//!
//! Waits and deadlines go by the system's monotonic clock, exactly. What is stamped at every get and
//! put back goes, where there are very many of them, by a coarse one, so that holds and idle times may be
//! off by some 10 ms. No time can overflow: `Duration::MAX` is for ever. Zero is refused as a time-out in settings; none is no limit.
//!
//! [`Timeout::Resolve`]: https://docs.rs/ureq/3.5/ureq/enum.Timeout.html#variant.Resolve
//! [`Timeout::Connect`]: https://docs.rs/ureq/3.5/ureq/enum.Timeout.html#variant.Connect
//! [`Timeout::RecvResponse`]: https://docs.rs/ureq/3.5/ureq/enum.Timeout.html#variant.RecvResponse
//! [`Timeout::PerRead`]: https://docs.rs/ureq/3.5/ureq/enum.Timeout.html#variant.PerRead
//! [`Timeout::Global`]: https://docs.rs/ureq/3.5/ureq/enum.Timeout.html#variant.Global
//! [`TimedOut`]: crate::chat::ErrorKind::TimedOut
//! [`Stalled`]: crate::chat::ErrorKind::Stalled
//! [`NoLease`]: crate::chat::ErrorKind::NoLease
//! [`Unreachable`]: crate::chat::ErrorKind::Unreachable
