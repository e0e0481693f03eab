//! What goes wrong on the wire: each fault is told as what it is, and the pool is whole afterwards.
//!
//! The faults stand in `wire.rs`. `growth.rs` has the long run, which is ignored unless asked for:
//! `.ci/faults`.

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code)]
#[path = "../agent/support.rs"]
mod raw;

mod books;
mod chats;
mod growth;
mod held;
mod process;
mod restarts;
mod scenes;
mod table;
mod tls;
mod wire;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use llm_pool::agent::{AgentConfig, AgentManager, AgentPool};
use llm_pool::{Pool, PoolConfig};

/// A pool that creates at need.
fn pool_of(manager: AgentManager, max_size: usize) -> AgentPool {
    Pool::new(PoolConfig::default().max_size(max_size).min_idle(0), manager).unwrap()
}

fn pool_with(config: AgentConfig, max_size: usize) -> AgentPool {
    pool_of(AgentManager::new(config).unwrap(), max_size)
}

/// No two alike, so that nobody is taken in by another one's answer.
fn word() -> u64 {
    static WORDS: AtomicU64 = AtomicU64::new(0);
    WORDS.fetch_add(1, Relaxed)
}

/// Nothing is out, and nothing has got lost.
#[track_caller]
fn assert_whole(pool: &AgentPool) {
    books::assert_whole(&pool.stats());
}
