//! What a limit does to many calls at one time.
//!
//! 500 threads ask one server whose answers take 40 s. Each has 120 s for its wait and its answer
//! together, which is three answers long. The only difference is how many calls the pool lets run at one
//! time: `max_per_host` 30, and then 600, which is what the pool itself advises after the first run.
//!
//! ```sh
//! cargo run --release --example load_test -- \
//!     --concurrency 500 --requests 500 --compare 30,600 \
//!     --answer 40 --deadline 120 --picture load.svg
//! ```
//!
#![doc = include_str!("load.svg")]
//!
//! ```text
//! max_per_host                            30             600
//! succeeded                        90 of 500      500 of 500
//! no agent by the deadline               288               0
//! cut off by the deadline                122               0
//! took, all together                 120.1 s          40.3 s
//! wait, mean                         105.6 s         52.7 ms
//! wait, maximum                      120.1 s         72.5 ms
//! of those that succeeded, on average
//!   wait                              40.0 s         52.7 ms
//!   connect                           0.0 ms          9.8 ms
//!   first byte                        40.0 s          40.2 s
//!   body                              0.0 ms          0.0 ms
//!   total                             80.0 s          40.2 s
//!
//! max_per_host 30: raise max_per_host of 127.0.0.1:37237 from 30 to 600: 0 waiting, 288 time-outs, mean wait 86.1s, mean hold 17.0s
//! max_per_host 600: no limit kept anyone waiting for long
//! ```
//!
//! - **With 30**, the first 30 calls are answered at once and 30 more after each 40 s. Whoever is fourth in
//!   line has waited 120 s and has nothing left, with an agent (cut off) or without one. The
//!   server was idle but for 30 calls, and four fifths of the threads failed waiting, not answering. Three
//!   answers fill the deadline to the last millisecond: with a little less of it, the third 30 fail as well.
//! - **With 600**, nobody waits for another's answer, and all have theirs in little more than the time of one.
//! - **The advice** is of the pool, by what it saw: 500 leases and waiters at one time, and a fifth on top
//!   ([`sizing::per_host`](crate::sizing::per_host)). It is there whenever a limit keeps callers waiting that
//!   a wider one would serve: see [`KeyedPool::advice`](crate::keyed::KeyedPool::advice).
//!
//! A limit as wide as the load is right where the server, or the account, takes that load. Where it does not,
//! let fewer calls wait instead: with [`admission`](crate::PoolConfig#structfield.admission) a call that could
//! not be served in time is told so at once.
//!
//! # Your own server
//!
//! ```sh
//! export OPENAI_API_KEY=...   # if it wants one
//! cargo run --release --example load_test -- --url https://api.example.com/v1 --model small \
//!     --concurrency 100 --requests 300 --compare 10,30,120 --deadline 60 --stream --picture waits.svg
//! ```
//!
//! Each call asks a short question of the model and reads the answer to its end; it is tried once. `--help`
//! has the options. How to read the table and the picture:
//!
//! - *wait* is the time until there was an agent, *connect* the opening of a connection if there was none,
//!   *first byte* the time from then to the head of the answer, and *body* the rest. Means of calls that
//!   succeeded are in the lower part; *wait, mean* and *wait, maximum* are over all of them.
//! - *no agent by the deadline* was lost in the queue; *cut off by the deadline* had an agent too late.
//! - In the picture each call stands where its wait ended. A line on the right that ends below 100 %
//!   has lost the others.
//! - Ctrl-C ends it, with the table and the picture of what there is so far.
