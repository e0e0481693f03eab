//! Checkers: the few short-lived threads that run the checks of all pools.
//!
//! ```text
//!     a pool's books: "checks are due" ──announce──▶ listed
//!                                                      │ picked, in turn: a place is free, and
//!                                                      ▼ its group has room
//!     a checker asks the pool for one due item ──none──▶ place given back
//!                                │ an item, reserved only now; if more are due, the pool
//!                                ▼ goes to the end of the list
//!                    the check runs, off every lock
//!                      │ ends in time              │ given up at check_timeout
//!                      ▼                           ▼
//!           outcome entered, place given     place given to another checker; the thread
//!           back, next pool picked           counts for its group until the check ends
//! ```
//!
//! There are eight *places*: so many checks run at one time in the process. And of one *group*, the
//! pools of one host or a pool by itself, at most four are under way, those given up and hanging
//! included: one host that hangs has no more than four threads and delays no check of another.
//!
//! The lock guards the list and the places. It is never held together with a pool's lock, nor
//! during anything that may block. A checker gives its place back and picks its next pool in one
//! step under it, and after every step no listed pool is left that could be picked, so a pool that
//! announces while a checker leaves is not forgotten. Should no thread be had, the pool stays
//! listed, with nothing reserved, until any pool announces again: at its next pass at the latest.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use crate::caught::{caught, say};
use crate::sync::{Mutex, shared_by_all, thread};

/// Most checks at one time in the process.
const MOST: usize = 8;
/// Most of one group, given up or not.
const MOST_OF_A_GROUP: usize = 4;

/// What can be checked.
pub(super) trait Checked: Send + Sync {
    /// Checks one item that is due, if any is. The check has this number from beginning to end.
    fn check_one(self: Arc<Self>, check: u64);
}

/// Lists a pool that has checks due, and sees to it that a checker comes as soon as one may.
pub(super) fn announce(group: &Arc<str>, pool: Weak<dyn Checked>) {
    ROUND.lock().list(Due { group: group.clone(), pool });
    start_checkers();
}

/// A check takes too long: its place is another's. Harmless if it has just ended.
pub(super) fn give_up(check: u64) {
    ROUND.lock().give_up(check);
    start_checkers();
}

shared_by_all! {
    static ROUND: Mutex<Round> =
        Mutex::new(Round { due: VecDeque::new(), under_way: Vec::new(), last_check: 0 });
}

struct Round {
    /// Pools with checks due, the next in front. Each at most once.
    due: VecDeque<Due>,
    /// Checks whose threads have not come back.
    under_way: Vec<UnderWay>,
    last_check: u64,
}

struct Due {
    group: Arc<str>,
    pool: Weak<dyn Checked>,
}

struct UnderWay {
    check: u64,
    group: Arc<str>,
    /// Holds no place any more.
    given_up: bool,
}

/// A place, and the pool that is to be asked.
struct Turn {
    check: u64,
    due: Due,
}

impl Round {
    fn list(&mut self, due: Due) {
        if !self.due.iter().any(|listed| listed.pool.ptr_eq(&due.pool)) {
            self.due.push_back(due);
        }
    }

    /// Takes a place for the first pool whose group has room.
    fn pick(&mut self) -> Option<Turn> {
        if self.under_way.iter().filter(|check| !check.given_up).count() >= MOST {
            return None;
        }
        let at = self.due.iter().position(|due| self.has_room(&due.group))?;
        let due = self.due.remove(at)?;
        self.last_check += 1;
        let check = self.last_check;
        self.under_way.push(UnderWay { check, group: due.group.clone(), given_up: false });
        Some(Turn { check, due })
    }

    fn has_room(&self, group: &Arc<str>) -> bool {
        self.under_way.iter().filter(|check| check.group == *group).count() < MOST_OF_A_GROUP
    }

    fn give_up(&mut self, check: u64) {
        if let Some(found) = self.under_way.iter_mut().find(|one| one.check == check) {
            found.given_up = true;
        }
    }

    /// No thread could be had for a turn: nothing is reserved yet, and the pool stays due.
    fn take_back(&mut self, check: u64, due: Due) {
        self.end(check);
        self.list(due);
    }

    fn end(&mut self, check: u64) {
        self.under_way.retain(|one| one.check != check);
    }
}

/// Starts a thread for every turn that can be had.
fn start_checkers() {
    loop {
        // Not in the condition below: the lock would be held for its whole body.
        let turn = ROUND.lock().pick();
        let Some(turn) = turn else { return };
        let (check, group, pool) = (turn.check, turn.due.group.clone(), turn.due.pool.clone());
        let spawned = thread::Builder::new().name("llm-pool-checker".into()).spawn(|| run(turn));
        if let Err(error) = spawned {
            ROUND.lock().take_back(check, Due { group, pool });
            say!(Warn, { event = "no_thread", reason:% = error }, "cannot start a checker thread: {error}");
            return;
        }
    }
}

fn run(mut turn: Turn) {
    loop {
        let Turn { check, due } = turn;
        // The manager's drop may run here, if its pool ends meanwhile, and may panic.
        let _ = caught(|| {
            if let Some(pool) = due.pool.upgrade() {
                pool.check_one(check);
            }
        });
        let mut round = ROUND.lock();
        round.end(check);
        match round.pick() {
            Some(next) => turn = next,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Checked for Nothing {
        fn check_one(self: Arc<Self>, _check: u64) {}
    }

    fn round() -> Round {
        Round { due: VecDeque::new(), under_way: Vec::new(), last_check: 0 }
    }

    fn due(group: &str) -> Due {
        let pool: Arc<dyn Checked> = Arc::new(Nothing);
        // Each its own, and gone: nobody asks it here.
        Due { group: group.into(), pool: Arc::downgrade(&pool) }
    }

    fn picked(round: &mut Round) -> Vec<(u64, String)> {
        std::iter::from_fn(|| round.pick()).map(|t| (t.check, t.due.group.to_string())).collect()
    }

    #[test]
    fn a_group_has_four_places_and_the_process_eight() {
        let mut round = round();
        for group in ["a", "a", "a", "a", "a", "b", "c", "d", "e", "f"] {
            round.due.push_back(due(group));
        }
        let groups: Vec<_> = picked(&mut round).into_iter().map(|(_, group)| group).collect();
        assert_eq!(groups, ["a", "a", "a", "a", "b", "c", "d", "e"]);
        // One of the group that is full makes way for the last of the others, in turn.
        round.end(1);
        assert_eq!(picked(&mut round), [(9, "a".to_owned())]);
        round.end(2);
        assert_eq!(picked(&mut round), [(10, "f".to_owned())]);
        assert!(round.due.is_empty());
    }

    #[test]
    fn a_check_given_up_frees_its_place_at_once_and_its_group_when_it_ends() {
        let mut round = round();
        for _ in 0..5 {
            round.due.push_back(due("hangs"));
        }
        assert_eq!(picked(&mut round).len(), 4);
        for check in 1..=4 {
            round.give_up(check);
        }
        assert!(picked(&mut round).is_empty(), "four that hang are enough");
        for group in ["a", "b", "c", "d", "e", "f", "g", "h", "i"] {
            round.due.push_back(due(group));
        }
        assert_eq!(picked(&mut round).len(), 8, "all places are the others'");
        round.end(1);
        assert!(picked(&mut round).is_empty(), "it came back to no place");
        round.end(5);
        assert_eq!(picked(&mut round), [(13, "hangs".to_owned())]);
        round.give_up(1);
    }

    #[test]
    fn a_turn_for_which_no_thread_can_be_had_comes_again() {
        let mut round = round();
        round.due.push_back(due("a"));
        for attempt in 1..=10 {
            let Some(turn) = round.pick() else { panic!("attempt {attempt} finds no place") };
            assert!(round.pick().is_none(), "it was the only one");
            round.take_back(turn.check, turn.due);
        }
        assert_eq!((round.due.len(), round.under_way.len()), (1, 0));
    }

    #[test]
    fn a_pool_is_listed_once() {
        let mut round = round();
        let pool: Arc<dyn Checked> = Arc::new(Nothing);
        for _ in 0..3 {
            round.list(Due { group: "a".into(), pool: Arc::downgrade(&pool) });
        }
        assert_eq!(picked(&mut round).len(), 1);
    }
}
