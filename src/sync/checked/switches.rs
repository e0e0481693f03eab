//! What the model checker's tests switch, for all executions that the calling thread runs: all
//! threads of an execution run on one thread of the system.

use std::cell::Cell;

/// A bug planted on purpose, for the test of the test: a checker that does not find it finds
/// nothing.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A discarded item's slot serves nobody until something else happens.
    LostWakeUp,
    /// A waiter at its deadline does not take what was granted to it meanwhile.
    LostHandOff,
    /// A creation that panics keeps its slot.
    LostSlot,
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    static MAY_OVERTAKE: Cell<bool> = const { Cell::new(false) };
}

impl Bug {
    /// Plants it.
    pub fn plant(self) {
        PLANTED.set(Some(self));
    }

    pub(crate) fn is_planted(self) -> bool {
        PLANTED.get() == Some(self)
    }
}

/// Whether a waiter may be overtaken in its first moment, as by the system's clock.
#[doc(hidden)]
pub fn set_may_overtake(may: bool) {
    MAY_OVERTAKE.set(may);
}

pub(crate) fn may_overtake() -> bool {
    MAY_OVERTAKE.get()
}
