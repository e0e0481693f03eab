//! What a get, a wait and a key cost where there are many.
//!
//! `cargo bench --bench growth` measures it, in a minute or two. On a virtual machine with 2 cores, on
//! which other programs ran too, each figure the best of two or three runs; read the columns against
//! each other:
//!
//! ```text
//! items in a pool                                         1         10        100       1000      10000
//! get and put back, all idle                        52.9 ns    52.8 ns    52.8 ns    52.7 ns    52.7 ns
//! get and put back, all but one in use              52.3 ns    52.2 ns    52.6 ns    52.6 ns    51.7 ns
//! all taken, then all put back: each                79.1 ns    59.0 ns    57.0 ns    56.9 ns    57.5 ns
//! clean_up, for each idle                          101.0 ns    12.3 ns     3.8 ns     3.4 ns     4.1 ns
//! memory of an idle agent                            1872 B     1162 B     1075 B     1021 B     1144 B
//! the same with its connection, http                37442 B    35829 B    35655 B    35591 B          -
//!
//! threads that wait                                       1         10        100       1000      10000
//! handed along the queue, from one to the next     12.40 us   20.09 us   21.92 us   26.42 us   45.90 us
//! the same threads without a pool                  32.25 us   42.99 us   33.20 us   36.08 us   43.41 us
//! a deadline that passes for all at once: each    134.10 us   58.60 us   25.91 us   34.63 us   40.40 us
//! memory of one that waits                           1184 B     1110 B     1043 B     1028 B     1129 B
//!
//! keys                                                    1         10        100       1000      10000
//! get and put back, of one key                     131.4 ns   133.9 ns   132.2 ns   134.1 ns   130.4 ns
//! get and put back, of one key after another       179.2 ns   147.2 ns   141.7 ns   189.8 ns    1.13 us
//! a new key, which evicts another                  27.65 us   35.89 us   30.67 us   40.00 us   26.97 us
//! stats, for each key                              634.0 ns   207.0 ns   151.8 ns   125.4 ns    1.66 us
//! clean_up, for each key                           172.2 ns   123.7 ns   115.8 ns   143.3 ns   959.5 ns
//! all keys closed: each                            19.13 us    7.16 us    3.39 us    4.41 us    6.36 us
//! an item given up for one of another key          134.8 ns   54.60 us   56.16 us   58.57 us   60.54 us
//! a thread at each key, max_total handed on         8.26 us   23.78 us   21.50 us   40.44 us   52.51 us
//! the same, where each key has its host            17.83 us   24.53 us   27.19 us   44.51 us   61.36 us
//! memory of a key, with one item                     6779 B     3845 B     3584 B     3601 B     3643 B
//! ```
//!
//! What to make of it:
//!
//! - **A pool** costs the same at every size: the idle item that came back last is on top of a stack.
//! - **Waiters** stand in a queue, and whoever gives back serves the first. What grows is the system's
//!   part: threads that wake each other over channels of their own, without any pool, take as long.
//!   About 1 kB a waiter is small beside its thread's stack.
//! - **Keys** are looked up in a hash table. Asked for one after another, thousands of them, each with
//!   3.8 kB, are no longer in the processor's cache, which is what the last column shows (a get runs as
//!   many instructions with 10 000 keys as with 100: some 1200, as valgrind counts them); so do the
//!   statistics and the clean-up, which look at every key. Otherwise the least recently used
//!   key is found, an item of another key given up and a permit of `max_total` handed on without
//!   looking at the others. A permit looks at those hosts and keys that have one at that moment, so
//!   at no more than the limit.
//! - **Agents** take about 1 kB each, and 36 kB with an open connection, most of which is its
//!   two buffers ([`buffer_size`](crate::agent::AgentConfig#structfield.buffer_size)). TLS adds its own.
//!
//! The figures of an operation by itself, beside those of other libraries, are in the README.
