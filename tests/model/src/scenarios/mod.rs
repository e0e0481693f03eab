//! What is run: each a few threads with a few steps, and no more, so that the checker gets through
//! many of their orders.

mod changing;
mod checking;
pub mod creating;
pub mod ending;
mod keyed;
mod mixed;
pub mod waiting;

use shuttle::rand::{Rng, thread_rng};

#[derive(Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    pub run: fn(),
}

pub const ALL: &[Scenario] = &[
    waiting::GET_AND_PUT_BACK,
    waiting::IN_ORDER,
    waiting::YOUNG,
    waiting::OVERTAKEN,
    waiting::TIME_OUT,
    ending::DISCARD,
    ending::CLOSE,
    ending::CLOSE_WHILE_CREATING,
    creating::FAILURE,
    creating::PANIC,
    creating::TRY_GET,
    changing::RESIZE,
    changing::RESET,
    changing::EXPIRE,
    checking::CHECK,
    checking::ALL_UNHEALTHY,
    checking::WARM_UP,
    keyed::TOTAL,
    keyed::HOST,
    keyed::WIDEN,
    keyed::OPEN,
    keyed::EVICT,
    keyed::CLOSE,
    mixed::ONE_POOL,
    mixed::OVERTAKING,
    mixed::KEYS,
];

/// One of `0..count`, as the checker chooses.
fn choose(count: usize) -> usize {
    thread_rng().gen_range(0..count)
}
