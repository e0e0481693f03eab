//! How the core works: its states, its one lock, its two laws.
//!
//! For those who want to know what they rely on, or to change it. The source begins at
//! `src/pool/mod.rs`, and the heart of it is `src/pool/slots`, which is plain data.
//!
//! # Two laws
//!
//! 1. **An item is in exactly one place**, and all places together are at most `max_size`, after every
//!    step (after a `resize` below what is out, as soon as that has come back).
//! 2. **Waiters are served in the order they came**, and whatever frees capacity serves the first of
//!    them at once: an item put back or discarded, a creation that failed or panicked, an expiry, a
//!    resize, a shared limit with room again.
//!
//! Many pools break the second: a thread that gives back and at once asks again overtakes those who
//! sleep in line, and with answers of 40 s some of them wait until they time out. Here the item is
//! handed over.
//!
//! # Where an item is
//!
//! ```text
//!            needed, and there is room         created           taken, handed over
//!   vacant ─────────────────────────▶ creating ──────▶ idle ─────────────────────▶ in use
//!     ▲                                  │              │ ▲ ▲                        │
//!     ├─────── failed, panicked ─────────┘        check │ │ └─────── put back ───────┤
//!     │                                                 ▼ │ passed                   │
//!     │                                             checking                         │
//!     │                                          failed │ ▲                          │
//!     │                                                 ▼ │ checked again            │
//!     │                                             unhealthy                        │
//!     │                                                                              │
//!     ├─── evicted, from idle or after a check                                       │
//!     └─── discarded, detached, or evicted: broken, too old, used too often, ... ────┘
//! ```
//!
//! `vacant` is a slot without an item: room. The others are what [`Stats`](crate::Stats) counts, and an
//! item that is on its way to a waiter counts as in use. There is one door into the circle, which looks
//! at `max_size`; that is the first law. Idle items are a stack: the one that came back last is taken
//! first, so that after a burst the others grow cold and expire.
//!
//! # What becomes of a thread that waits
//!
//! ```text
//!   get, none idle
//!     │
//!     ▼
//!   young, for 0.5 ms ───────── its moment is over ────────▶ in line: nobody overtakes it
//!     │  ▲ an item comes back: told, once, to look             │
//!     │  └ somebody took it before: keeps its place            │ is handed one that came
//!     │ finds it there, or one was made for it                 │ back, or was made
//!     └─────────────────────▶ has a lease ◀────────────────────┘
//!
//!   from either: its deadline, a creation that failed, the pool's end,
//!                all items unhealthy ─▶ an error
//! ```
//!
//! The young state is for items that are held for microseconds. Strictly handed over, each of those
//! costs a wake-up, and threads that run are kept from items that lie there. So a thread may be
//! overtaken in its first half millisecond, which is nothing beside a call over a network, and never
//! after.
//!
//! # The hand-over
//!
//! A thread that must wait leaves the sending half of a channel in the queue, and sleeps at the other
//! half until its deadline. Whoever puts back takes the first of the queue and, under the lock, makes
//! the item that waiter's; the item itself is sent once the lock is released. A waiter at its deadline
//! takes itself out of the queue, under the same lock. If it is no longer there, an item is on its way,
//! and it takes that: so an item is given or a wait has timed out, and never both.
//!
//! # The one lock
//!
//! A mutex guards the books: the slots, the stack of idle items, the counts and the queue. The books
//! know no clock and run nothing: they are told the time, and leave in an *outbox* what is to be done
//! once the lock is released:
//!
//! ```text
//!   lock ─▶ one step of the books ─▶ unlock ─▶ observers told, waiters sent their items,
//!           (plain data)                       workers started, log lines written, items dropped
//! ```
//!
//! So no code of yours runs under the lock, be it a `create`, a check, a drop, an observer or a logger,
//! and one that hangs holds up no other caller. Items are made by workers, not by the thread that waits
//! (save in `try_get`): a creation that outlives its caller fills the pool. Limits that several pools
//! share have a lock of their own, taken second and held as briefly.
//!
//! # Where the time of a get goes
//!
//! With an idle item: a coarse time, which is one load, or a reading of the clock where gets are few; the
//! lock; the last of the stack; the lock's release. No call into the system and no channel. A put-back is
//! the same the other way round.
//! Both together, on a virtual machine with 2 cores:
//!
//! | | | r2d2 0.8 |
//! |---|---|---|
//! | get and put back, 1 thread | 58 ns | 195 ns |
//! | the same, 2 threads | 74 ns | 264 ns |
//! | 40 threads, 4 items, 5 ms each, where the ideal is 50 ms: worst wait | 55 ms | 650 ms |
//! | 8 threads, 2 items, given back at once | 4.6 million a second | 2.4 million a second |
//!
//! Measured with `cargo run --release --manifest-path benches/compare/Cargo.toml`, which checks these
//! against its targets, too. Without an idle item a get costs a wake-up of the system's, and
//! [`growth`](super::growth) shows that it costs no more where many wait.
//!
//! # Keys and shared limits
//!
//! A [`KeyedPool`](crate::keyed::KeyedPool) is one such pool for each key, and counts of *permits* over
//! them, for a host, for all, and for the items that exist. A waiter of a key asks for its permits when
//! its key could serve it; one that is freed goes to the longest waiter that can use it, of any key,
//! and where a limit is short those that have less than their fair share of it come first.
//! [`keyed`](crate::keyed) says more.
//!
//! # How it is held to this
//!
//! - The books are plain data, so random steps are run against a model of a few lines, and both laws
//!   are checked after each (`src/pool/slots/model_tests.rs`).
//! - The core with its locks and channels runs under a model checker, in scenarios of a few threads;
//!   bugs that are planted there must be found (`.ci/model`).
//! - Tests by a clock that they move ([`ManualClock`](crate::ManualClock)), tests with every fault that
//!   a wire has, and a soak of all of them with the books balanced at the end (`.ci/faults`).
//!
//! `CONTRIBUTING.md` says how to run each.
