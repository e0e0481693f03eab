//! How large to make the limits.
//!
//! In short: let the limit of a host be 1.2 times the threads that call it at one time, the total
//! twice all threads, and `max_size` no less than the limit of the host. Then run, and ask the pool
//! itself: [`advice`](crate::keyed::KeyedPool::advice) names the limit that callers wait for.
//!
//! # The limits there are
//!
//! | limit | bounds | default | who runs into it |
//! |---|---|---|---|
//! | [`max_size`](crate::PoolConfig#structfield.max_size) | items of a pool, or of one key | 10 | waits; the time-out says `raise max_size` |
//! | [`max_per_host`](crate::keyed::KeyedConfig#structfield.max_per_host) | leases of one host, over its keys | none | waits; the time-out says which host |
//! | [`max_total`](crate::keyed::KeyedConfig#structfield.max_total) | leases of all keys | none | waits; the time-out says so |
//! | [`max_open`](crate::keyed::KeyedConfig#structfield.max_open) | items of all keys, idle ones too: open connections | none | takes the place of another key's idle item, or waits |
//! | [`max_pools`](crate::keyed::KeyedConfig#structfield.max_pools) | keys | 1000 | takes the place of the key unused longest, or is refused |
//! | [`max_waiting`](crate::PoolConfig#structfield.max_waiting) | threads that wait in a pool | none | is refused at once |
//!
//! The narrowest one decides, and the one most often met first is `max_size`: 10 for each model or
//! host unless it is set, however wide the others are. A limit of the server's own, calls or tokens in
//! a minute, is none of these: see [`balance`](crate::balance#limits).
//!
//! # From the number of threads
//!
//! A thread that makes one call after another needs one item at a time. [`per_host`] adds a fifth, for
//! what is being created, checked or replaced; [`total`] is room for all of them at one host while
//! items of another are still out.
//!
//! ```
//! use llm_pool::PoolConfig;
//! use llm_pool::keyed::KeyedConfig;
//! use llm_pool::sizing;
//!
//! let threads = 500;
//! let limits = KeyedConfig::default()
//!     .pool(PoolConfig::default().max_size(sizing::per_host(threads)))
//!     .max_per_host(sizing::per_host(threads))
//!     .max_total(sizing::total(threads));
//! assert_eq!((limits.max_per_host, limits.max_total), (Some(600), Some(1000)));
//! ```
//!
//! If the server takes fewer calls than that at one time, its number is the limit, and the rest of the
//! threads wait here, in order, in place of being refused there. Where
//! nobody knows the number, an endpoint of a group finds it out ([`Adaptive`](crate::balance::Adaptive)).
//!
//! # How long they then wait
//!
//! With more threads than items, calls go in turns. A thread that comes last waits for all turns
//! before its own, so its [`wait_timeout`](crate::PoolConfig#structfield.wait_timeout) must be longer
//! than that, or its answer's time is spent in the queue:
//!
//! ```
//! use std::time::Duration;
//!
//! let (threads, items, answer) = (500_u32, 120, Duration::from_secs(40));
//! let turns = threads.div_ceil(items);
//! let longest_wait = answer * (turns - 1);
//! assert_eq!((turns, longest_wait), (5, Duration::from_secs(160)));
//! ```
//!
//! [`load`](super::load) has such a case in full, measured.
//!
//! # From what was measured
//!
//! Calls that come by themselves, as of a web server, have a rate instead of a number of threads.
//! [`sizing`](crate::sizing) has the arithmetic, what it assumes and its sources; it starts from two
//! [`Stats`](crate::Stats) of a pool that runs, some minutes apart:
//!
//! ```
//! # use llm_pool::Stats;
//! use llm_pool::sizing::Load;
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (earlier, mut later) = (Stats::default(), Stats::default());
//! # (later.gets, later.in_use, later.hold_time) = (200, 80, Duration::from_secs(4800));
//! // 200 leases in a minute, of which those that ended had been held for 40 s each:
//! let load = Load::between(&earlier, &later, Duration::from_secs(60))?;
//! assert_eq!(load.needed(), 134); // in use on average: the least that keeps up
//! let size = load.size_for_wait(Duration::from_millis(100));
//! assert!((150..160).contains(&size), "{size}");
//! # Ok(())
//! # }
//! ```
//!
//! # Asking the pool
//!
//! ```
//! use llm_pool::agent::{AgentConfig, OriginPool};
//! use llm_pool::keyed::KeyedConfig;
//! # use llm_pool::keyed::LimitOf;
//! # use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = llm_pool::test_server::TestServer::builder().delay(Duration::from_millis(50)).start()?;
//! # let config = AgentConfig::default().proxy(llm_pool::agent::Proxy::Direct);
//! # let url = format!("{}/v1/models", server.url());
//! let agents = OriginPool::new(KeyedConfig::default().max_per_host(2), config)?;
//! std::thread::scope(|scope| {
//!     for _ in 0..6 {
//!         scope.spawn(|| {
//!             let agent = agents.get(&url).unwrap();
//!             agent.get(&url).call().unwrap().body_mut().read_to_vec().unwrap();
//!         });
//!     }
//! });
//! let advice = agents.pools().advice();
//! println!("{}", advice[0]); // raise max_per_host of 127.0.0.1:40123 from 2 to 8: ...
//! # assert!(matches!(advice[0].limit, LimitOf::Host(_)), "{}", advice[0]);
//! # assert_eq!(advice[0].from, 2);
//! # Ok(())
//! # }
//! ```
//!
//! The demand that it goes by is the most that was seen at one time, so ask after the busiest hour.
//! Limits can be changed while threads wait:
//! [`set_max_per_host`](crate::keyed::KeyedPool::set_max_per_host) and its like, a
//! [reload](super::operations#settings) of the settings, or the status page.
//!
//! # Several leases in one thread
//!
//! Where each of `n` threads may hold up to `k` leases of one pool at a time, `n x (k - 1) + 1` items
//! cannot lock up; with fewer, all threads may hold some and wait for one more, until they time out.
//! Best is `k = 1`: put one back before taking the next. [`pool`](crate::pool) says more.
//!
//! # What it costs
//!
//! A thread that waits costs its stack, an agent little, an open connection its buffers and TLS:
//! [`growth`](super::growth) has the figures. `min_idle` items are kept, those beyond it go after
//! [`idle_timeout`](crate::PoolConfig#structfield.idle_timeout); so a large `max_size` costs nothing
//! while it is not needed.
//!
//! [`per_host`]: crate::sizing::per_host
//! [`total`]: crate::sizing::total
