//! Things in the order of their last use, the least recent first.
//!
//! When a thing was used is written down with the thing, often and without a lock; here it stands
//! where it was when somebody last looked for the first. Whoever looks moves what was used since to
//! its proper place. So a use costs nothing here, and to find the first costs as many moves as there
//! were things used since, whatever number of them there is.
//!
//! No lock and no clock: uses are numbered, from 1, in the order in which they came.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

pub(super) struct ByUse<T> {
    /// By the last use that is known here, which is never later than the true one, and by number.
    in_order: BTreeMap<Place, T>,
    /// The use by which each of them stands there, by number.
    stands_at: HashMap<u64, u64>,
}

/// A use, and the number of a thing.
type Place = (u64, u64);

/// A look through all of them, as they were when it began.
pub(super) struct Look {
    behind: Option<Place>,
    /// The last use of anything when it began.
    began: u64,
}

/// What the next step of a look finds.
pub(super) enum Step<T> {
    /// The next in order.
    Found(T),
    /// One that was used since, and stands elsewhere now; look again.
    Moved,
    End,
}

impl Look {
    pub(super) fn new(last_use: u64) -> Self {
        Self { behind: None, began: last_use }
    }
}

impl<T: Clone> ByUse<T> {
    pub(super) fn new() -> Self {
        Self { in_order: BTreeMap::new(), stands_at: HashMap::new() }
    }

    /// Adds a thing, or moves the one of this number. It was not used before `used_at`.
    pub(super) fn put(&mut self, number: u64, used_at: u64, thing: T) {
        self.remove(number);
        self.stands_at.insert(number, used_at);
        self.in_order.insert((used_at, number), thing);
    }

    pub(super) fn remove(&mut self, number: u64) {
        if let Some(used_at) = self.stands_at.remove(&number) {
            self.in_order.remove(&(used_at, number));
        }
    }

    /// Goes on with a look; `used_at` says when a thing was used last, if it ever was.
    pub(super) fn step(&mut self, look: &mut Look, used_at: impl Fn(&T) -> Option<u64>) -> Step<T> {
        let next = match look.behind {
            Some(place) => self.in_order.range((Bound::Excluded(place), Bound::Unbounded)).next(),
            None => self.in_order.first_key_value(),
        };
        let Some((&place, thing)) = next else { return Step::End };
        let (known, number) = place;
        match used_at(thing) {
            // What is used while somebody looks is not followed: that might never end.
            Some(used) if used > known && known <= look.began => {
                let thing = thing.clone();
                self.put(number, used, thing);
                Step::Moved
            }
            _ => {
                look.behind = Some(place);
                Step::Found(thing.clone())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use proptest::prelude::*;

    use super::*;

    /// When things were used.
    #[derive(Default)]
    struct Uses {
        of: RefCell<HashMap<u64, u64>>,
        last: Cell<u64>,
    }

    impl Uses {
        fn note(&self, number: u64) {
            self.last.set(self.last.get() + 1);
            self.of.borrow_mut().insert(number, self.last.get());
        }

        /// All that a look finds, and in how many steps.
        fn look(&self, things: &mut ByUse<u64>, at_most: usize) -> (Vec<u64>, usize) {
            let (mut look, mut found) = (Look::new(self.last.get()), Vec::new());
            for steps in 0.. {
                match things.step(&mut look, |number| self.of.borrow().get(number).copied()) {
                    _ if found.len() == at_most => return (found, steps),
                    Step::Found(number) => found.push(number),
                    Step::Moved => {}
                    Step::End => return (found, steps),
                }
            }
            unreachable!("it ends");
        }
    }

    proptest! {
        #[test]
        fn a_look_finds_all_in_the_order_of_their_last_use(
            actions in prop::collection::vec((0..4_u8, 0..8_u64), 0..100),
        ) {
            let (uses, mut things) = (Uses::default(), ByUse::new());
            let mut there = Vec::new();
            for (what, number) in actions {
                match what {
                    0 if !there.contains(&number) => {
                        things.put(number, uses.last.get() + 1, number);
                        uses.note(number);
                        there.push(number);
                    }
                    1 => {
                        things.remove(number);
                        there.retain(|&other| other != number);
                    }
                    2 if there.contains(&number) => uses.note(number),
                    _ => {
                        let mut wanted = there.clone();
                        wanted.sort_by_key(|number| uses.of.borrow()[number]);
                        let (found, _) = uses.look(&mut things, usize::MAX);
                        prop_assert_eq!(found, wanted);
                    }
                }
            }
        }
    }

    #[test]
    fn to_find_the_first_takes_no_more_steps_than_were_used_since() {
        let (uses, mut things) = (Uses::default(), ByUse::new());
        for number in 0..10_000 {
            uses.note(number);
            things.put(number, uses.last.get(), number);
        }
        assert_eq!(uses.look(&mut things, 1), (vec![0], 1));
        uses.note(0);
        uses.note(5000);
        uses.note(1);
        assert_eq!(uses.look(&mut things, 1), (vec![2], 3));
        assert_eq!(uses.look(&mut things, 1), (vec![2], 1));
    }

    #[test]
    fn what_is_used_all_the_time_does_not_keep_a_look_from_its_end() {
        let (uses, mut things) = (Uses::default(), ByUse::new());
        for number in 0..3 {
            things.put(number, 0, number);
        }
        let (mut look, mut found) = (Look::new(0), Vec::new());
        for _ in 0..100 {
            (0..3).for_each(|number| uses.note(number));
            match things.step(&mut look, |number| uses.of.borrow().get(number).copied()) {
                Step::Found(number) => found.push(number),
                Step::Moved => {}
                Step::End => {
                    found.sort_unstable();
                    return assert_eq!(found, [0, 1, 2]);
                }
            }
        }
        panic!("it did not end");
    }
}
