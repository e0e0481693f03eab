//! This pool beside other clients of HTTP, in Rust and in Python.
//!
//! All ask the same server, the embedded one in a process of its own, for a list of models (a small
//! answer), over and over, with 1 to 500 requests in flight: at once answered, which shows what a client
//! costs, and after 100 ms, which is nearer to what a pool is for. Each client has a process of its own, a
//! limit of 60 s on a request, room for as many connections as there are requests in flight, and otherwise
//! its defaults.
//!
//! | | |
//! |---|---|
//! | llm-pool | a [`Pool`](crate::Pool) of agents, a thread for each request in flight |
//! | ureq | one `ureq::Agent` that all threads share |
//! | reqwest | one `reqwest::blocking::Client` that all threads share, over its own asynchronous thread |
//! | aiohttp 30, 600 | one session with `limit_per_host` of 30 or 600, a task for each request |
//! | httpx | one `AsyncClient`, a task for each request |
//! | urllib3 | one `PoolManager`, a thread for each request |
//!
//! On a virtual machine with 2 cores, which the server has its share of, with Python 3.11:
//!
//! ```sh
//! benches/peers/run.py
//! ```
//!
#![doc = include_str!("peers.md")]
//!
//! What to make of it:
//!
//! - **Answered at once**, a call by a pooled agent costs a third to two thirds of the processor time of
//!   the next best, and with 16 and more in flight an eighth or less of that of an agent shared: that one
//!   starts a thread for each request, to look up the host within the time limit, and threads meet in its
//!   pool of connections.
//! - **After 100 ms** all that open as many connections as there are requests are equal in requests, as
//!   they must be; the processor time is what is left to save, and `reqwest` is the next. A limit of 30
//!   with 500 in flight is the [case of the other page](super::load): most of the time is spent in line.
//! - **99 % with 500 in flight, answered at once**, is where threads are no better than tasks: 500 of them
//!   take turns on two cores, and who is not running waits for its turn, while all together they get three
//!   times as many answers and more. No server of models answers at once.
//! - **Memory** is threads' stacks and connections: some 80 kB for each thread with its agent and its
//!   connection, 140 kB over HTTPS.
