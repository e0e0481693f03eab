//! Reading an answer as it comes, and what holds its agent meanwhile.
//!
//! In short: a stream is a lease. It holds its agent until it is at its end, has failed or is dropped,
//! so `max_size` bounds streams as it bounds calls, and no two streams share a connection. Read it to
//! the end where you can: its connection is then used again.
//!
//! # A stream of a model
//!
//! ```
//! use llm_pool::chat::Piece;
//! use llm_pool::keyed::ModelKey;
//! use llm_pool::llm::{LlmConfig, Provider};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = llm_pool::test_server::TestServer::start()?;
//! # let own = Provider::new(format!("{}/v1", server.url()));
//! let pool = LlmConfig::default().provider("own", own).build()?;
//! let key = ModelKey::new("own", "small");
//!
//! let mut stream = pool.stream(&key, "Count to three.")?; // returns once the answer begins
//! let mut text = String::new();
//! for piece in &mut stream {
//!     match piece? {
//!         Piece::Text(more) => text.push_str(&more),
//!         // What was said so far is not what the model means to say.
//!         Piece::Rewrite(anew) => text = anew,
//!         Piece::Reasoning(_) | Piece::ToolCall(_) => {}
//!         _ => {}
//!     }
//! }
//! assert_eq!(text, "You said: Count to three.");
//! assert!(!stream.is_open()); // the agent is back in the pool
//! println!("{} tokens", stream.reply().usage().total());
//! # assert_eq!(pool.stats().sum.in_use, 0);
//! # Ok(())
//! # }
//! ```
//!
//! [`finish`](crate::llm::ChatStream::finish) reads the rest and returns the whole answer. A tool call
//! comes as one piece, once it is whole. Only some providers rewrite what they have said; a program
//! that shows text as it comes has to be ready for it.
//!
//! A stream may be sent to another thread, and be read there. It has its lease with it.
//!
//! # Ending one early
//!
//! Drop it. What is left of its body is read for up to 50 ms and 64 KiB, so that the connection can be
//! used again; if it does not end within that, the connection is closed. Then the lease is given back.
//!
//! ```
//! # use llm_pool::keyed::ModelKey;
//! # use llm_pool::llm::{LlmConfig, Provider};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = llm_pool::test_server::TestServer::start()?;
//! # let own = Provider::new(format!("{}/v1", server.url()));
//! # let pool = LlmConfig::default().provider("own", own).build()?;
//! # let key = ModelKey::new("own", "small");
//! let mut stream = pool.stream(&key, "Count to a thousand.")?;
//! let first = stream.next().transpose()?;
//! assert!(first.is_some() && stream.is_open());
//! drop(stream);
//! assert_eq!(pool.stats().sum.in_use, 0);
//! # Ok(())
//! # }
//! ```
//!
//! From another thread, as on Ctrl-C, a [`Stopper`](crate::agent::Stopper) ends it: the thread that
//! reads goes on with [`ErrorKind::Stopped`](crate::chat::ErrorKind::Stopped).
//!
//! ```
//! # use llm_pool::chat::ErrorKind;
//! # use llm_pool::keyed::ModelKey;
//! # use llm_pool::llm::{LlmConfig, Provider};
//! # use std::time::Duration;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = llm_pool::test_server::TestServer::builder().pause(Duration::from_secs(9)).start()?;
//! # let own = Provider::new(format!("{}/v1", server.url()));
//! # let pool = LlmConfig::default().provider("own", own).build()?;
//! # let key = ModelKey::new("own", "small");
//! let mut stream = pool.stream(&key, "Take your time.")?;
//! let stopper = stream.stopper();
//! std::thread::spawn(move || {
//!     # std::thread::sleep(Duration::from_millis(20));
//!     // wait for a signal, then
//!     stopper.map(|stopper| stopper.stop());
//! });
//! let error = stream.find_map(Result::err).ok_or("it was not stopped")?;
//! assert_eq!(error.kind(), ErrorKind::Stopped);
//! # Ok(())
//! # }
//! ```
//!
//! # How long it may take
//!
//! A stream may take [`total_timeout`](crate::chat::ChatConfig#structfield.total_timeout) in all, 600 s
//! unless set, or what [`within`](crate::chat::ChatRequest::within) says. It may bring nothing new for
//! [`piece_timeout`](crate::chat::ChatConfig#structfield.piece_timeout), 60 s, whatever comments the
//! server sends to keep it open. What your code does between two pieces counts for the former and not
//! for the latter: a reader that is slower than the model holds a client for longer.
//!
//! # When it breaks
//!
//! A stream that began is not begun again: what it has said may have been shown. The error has what had
//! come ([`partial`](crate::chat::ChatError::partial)). A stream of a group can be
//! [restarted](crate::llm::GroupStream::restart) at another endpoint, from its beginning. See
//! [`failure`](super::failure).
//!
//! # A stream of your own protocol
//!
//! A response of an agent outlives its lease, which is the one way to get past `max_size`:
//! `pool.get()?.get(url).call()?` gives the agent back at the semicolon. [`hold`](crate::agent::hold)
//! ties the two together; the lease then ends with the body.
//!
//! ```
//! use llm_pool::agent::{AgentConfig, AgentManager, hold};
//! use llm_pool::{Pool, PoolConfig};
//! use std::io::{BufRead, BufReader};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = llm_pool::test_server::TestServer::start()?;
//! # let url = server.chat_url();
//! # let question = r#"{"model": "m", "stream": true, "messages": [{"role": "user", "content": "Hi"}]}"#;
//! let pool = Pool::new(PoolConfig::default(), AgentManager::new(AgentConfig::default())?)?;
//! let agent = pool.get()?;
//! let response = agent.post(&url).send(question)?;
//! let body = hold(agent, response).into_body();
//! let mut events = 0;
//! for line in BufReader::new(body).lines() {
//!     let line = line?;
//!     if line == "data: [DONE]" {
//!         break; // the rest is read by the drop of the body
//!     }
//!     events += usize::from(line.starts_with("data: "));
//! }
//! assert!(events > 0);
//! assert_eq!(pool.stats().in_use, 0);
//! # assert_eq!(pool.requests().connections, 1);
//! # Ok(())
//! # }
//! ```
//!
//! Here the agents' own [`total_timeout`](crate::agent::AgentConfig#structfield.total_timeout) covers
//! the whole stream, 60 s unless set: raise it for long ones.
//! [`hold_with`](crate::agent::hold_with) has other limits for what is left of a dropped body.
//!
//! # How many
//!
//! Streams are long, so they are what fills a pool. For 200 readers at one time the limits are those of
//! 200 threads: see [`sizing`](super::sizing). The wait for a stream ends when it begins; a program
//! whose first words shall come soon watches
//! [`first_piece`](crate::chat::Timing#structfield.first_piece), and picks endpoints by it
//! ([`PeakEwma`](crate::balance::PeakEwma)).
