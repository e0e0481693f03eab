//! Watching a pool, changing it while it runs, and shutting it down.
//!
//! # What to watch
//!
//! Four questions, and where a pool answers them ([`Stats`](crate::Stats) of one pool, `sum` and `keys`
//! of [`KeyedStats`](crate::keyed::KeyedStats)):
//!
//! | question | look at | what it means when it grows |
//! |---|---|---|
//! | Do callers wait? | `waiting`, `wait_time`, `longest_wait` | a limit is narrow: [`advice`](crate::keyed::KeyedPool::advice) says which |
//! | Are callers turned away? | `timeouts`, `queue_full`, `too_late` | the same, and it hurts already |
//! | Are the items well? | `unhealthy`, `check_failures`, `create_failures` | the server is in trouble, or a key is wrong |
//! | Do leases come back? | `in_use`, `hold_time` | a lease is kept too long: set [`leak_after`](crate::PoolConfig#structfield.leak_after) |
//!
//! All counts of a snapshot are of one moment and balance. Totals only grow, those of a keyed pool also
//! when keys go. [`snapshot`](crate::Pool::snapshot) adds histograms of waits, holds and creations.
//!
//! ```
//! # use llm_pool::{Manage, Pool};
//! use llm_pool::{EventLog, PoolConfig};
//!
//! # struct Numbers;
//! # impl Manage for Numbers {
//! #     type Item = u64;
//! #     type Error = std::io::Error;
//! #     fn create(&self) -> Result<u64, std::io::Error> { Ok(1) }
//! # }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let events = EventLog::new(500); // the last 500 events, of any number of pools
//! let pool = Pool::new(PoolConfig::default().observer(events.clone()), Numbers)?;
//! drop(pool.get()?);
//!
//! println!("{}", pool.snapshot());
//! let stats = pool.stats();
//! assert_eq!((stats.idle, stats.in_use, stats.gets), (2, 0, 1));
//! for event in events.last(20) {
//!     println!("{event}"); // the newest first: creations, evictions, time-outs, ...
//! }
//! # assert!(!events.last(20).is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! An [`Observer`](crate::Observer) of your own is told of each event as it happens, under no lock, on
//! the thread that did it.
//!
//! # Logs
//!
//! Every line is in [`logging`](crate::logging), with its level and how often it comes at most. Log at
//! *warn* in production: a line there says that callers wait, fail or may soon. Keep the target `ureq`
//! off *trace* where keys must not be logged.
//!
//! # Metrics
//!
//! [`Metrics`](crate::metrics::Metrics) has the same for Prometheus, read when it is scraped. Worth an
//! alert: `llm_pool_timeouts_total` and `llm_pool_refused_total` that grow, and items in the state
//! `unhealthy`. The README has queries.
//!
//! # The status page
//!
//! [`Admin`](crate::admin::Admin) serves a page, the same as JSON, and, for whoever has the token,
//! clean-up, checks and other sizes. It listens at loopback unless told otherwise.
//!
//! ```
//! use llm_pool::admin::{Admin, AdminConfig};
//! use llm_pool::llm::{LlmConfig, Provider};
//! use llm_pool::metrics::Metrics;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let own = Provider::new("http://127.0.0.1:9/v1");
//! let pool = LlmConfig::default().provider("own", own).build()?;
//! let metrics = Metrics::new().pool("llm", pool.clone());
//! let listen = AdminConfig::default().listen(([127, 0, 0, 1], 0)); // 0: any port that is free
//! let admin = Admin::new(listen)?.pool("llm", pool).metrics(move || metrics.text()).serve()?;
//!
//! println!("open {}", admin.url()); // until `admin` is dropped
//! let healthy = ureq::get(format!("{}/healthz", admin.url())).call()?;
//! assert_eq!(healthy.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! # Settings
//!
//! All settings may come from one file; `llm-pool.example.toml` has every one. A file that is wrong is
//! refused as a whole, with all that is wrong. A reload applies what a running pool can take over, or
//! nothing, and names the rest:
//!
//! ```
//! use llm_pool::settings::Settings;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let file = |size: u32, ttl: u32| format!("
//! #     [pools.pool]
//! #     max_size = {size}
//! #     [agents]
//! #     dns_ttl = \"{ttl} s\"
//! #     [providers.own]
//! #     base_url = \"http://127.0.0.1:9/v1\"
//! # ");
//! # let (before, after) = (file(30, 300), file(60, 60));
//! let mut settings = Settings::parse(&before)?; // `from_file` reads a file
//! let pool = settings.build()?;
//!
//! // Later, `max_size` and `dns_ttl` have changed:
//! let done = settings.reload(&pool, &Settings::parse(&after)?)?;
//! assert_eq!(done.applied, ["pools.pool.max_size: 30 -> 60"]);
//! println!("after a restart: {:?}", done.needs_restart);
//! # assert_eq!(done.needs_restart.len(), 1, "{done:?}");
//! # Ok(())
//! # }
//! ```
//!
//! [`reload`](crate::settings::Settings::reload) lists what can be applied. By code the same is done
//! with [`resize`](crate::Pool::resize), [`set_max_size`](crate::keyed::KeyedPool::set_max_size),
//! [`set_max_per_host`](crate::keyed::KeyedPool::set_max_per_host) and their like. A wider limit serves
//! those who wait at once; a narrower one evicts what is idle and takes effect as leases come back.
//!
//! To have every item made anew, with its connection, after a change at the server, say:
//! [`reset`](crate::Pool::reset). Settings, keys and certificates stay those that the pool was made with.
//!
//! # Shutting down
//!
//! [`close`](crate::Pool::close) refuses further gets, wakes everybody who waits and drops what is
//! idle; leases that are out stay good. [`drain`](crate::Pool::drain) closes and waits for them:
//!
//! ```
//! # use llm_pool::{GetError, Manage, Pool, PoolConfig};
//! use std::time::Duration;
//!
//! # struct Numbers;
//! # impl Manage for Numbers {
//! #     type Item = u64;
//! #     type Error = std::io::Error;
//! #     fn create(&self) -> Result<u64, std::io::Error> { Ok(1) }
//! # }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let pool = Pool::new(PoolConfig::default(), Numbers)?;
//! let lease = pool.get()?;
//! let worker = std::thread::spawn(move || {
//!     std::thread::sleep(Duration::from_millis(20)); // the rest of its call
//!     drop(lease);
//! });
//! if !pool.drain(Duration::from_secs(5)) {
//!     eprintln!("{} leases are still out", pool.stats().in_use);
//! }
//! # assert_eq!(pool.stats().in_use, 0);
//! assert!(matches!(pool.get(), Err(GetError::Closed)));
//! # worker.join().unwrap();
//! # Ok(())
//! # }
//! ```
//!
//! In a hurry, end the calls as well: keep the [`Stopper`](crate::agent::Stopper) of each agent that is
//! out, close the pool, stop them all, then drain. The example `interrupt` does so on Ctrl-C, with a
//! hundred calls.
//!
//! The last handle of a [`Pool`](crate::Pool) or a [`KeyedPool`](crate::keyed::KeyedPool) closes it
//! when it is dropped. The process-wide pool of
//! [`OriginPool::global`](crate::agent::OriginPool::global) has a handle of its own, and is closed with
//! [`close_global`](crate::agent::OriginPool::close_global).
//!
//! # Threads, fork and signals
//!
//! What threads there are, why to fork before the first pool is made, and that signals are yours, is
//! [on the crate's page](crate#threads-fork-and-signals). By their names:
//!
//! | thread | what it does |
//! |---|---|
//! | `llm-pool-maintenance` | one in a process: expires, refills, finds what is due, of all pools |
//! | `llm-pool-ticker` | one in a process: keeps the coarse time while it is read some 100 000 times a second |
//! | `llm-pool-worker` | makes items, and drops those for which no caller shall wait; ends with that |
//! | `llm-pool-checker` | checks items, at most eight at one time in a process; ends with that |
//! | `llm-pool-dns` | asks where a host is, one a look-up |
//! | `llm-pool-token` | fetches a token that expires |
//! | `llm-pool-websocket` | opens sockets anew that were lost |
//! | `llm-pool-admin`, `llm-pool-admin-...` | serve the admin endpoints |
