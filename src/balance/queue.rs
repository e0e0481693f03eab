//! Who waits for an endpoint, in the order of arrival.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::sync::Condvar;

/// Calls that wait, the first at the front.
///
/// Each may have any endpoint that it has not tried, so all that a call wants is spoken for by the
/// first that waits, save for what that one has tried. Who is not behind anybody is woken when
/// something changes, looks for itself, and leaves or sleeps again: choosing takes a strategy, which
/// is user code and runs on no thread but the caller's.
#[derive(Default)]
pub(super) struct Queue {
    waiters: VecDeque<Waiter>,
    next: u64,
}

struct Waiter {
    number: u64,
    tried: Box<[usize]>,
    signal: Arc<Condvar>,
}

/// A place in the queue.
pub(super) struct Place {
    number: u64,
    pub(super) signal: Arc<Condvar>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    pub(super) fn join(&mut self, tried: &[usize]) -> Place {
        let (number, signal) = (self.next, Arc::new(Condvar::new()));
        self.next += 1;
        self.waiters.push_back(Waiter { number, tried: tried.into(), signal: signal.clone() });
        Place { number, signal }
    }

    pub(super) fn leave(&mut self, place: &Place) {
        self.waiters.retain(|waiter| waiter.number != place.number);
    }

    /// Those before `place`; all, for a call that is not in the queue.
    fn ahead(&self, place: Option<&Place>) -> impl Iterator<Item = &Waiter> {
        let number = place.map_or(u64::MAX, |place| place.number);
        self.waiters.iter().take_while(move |waiter| waiter.number < number)
    }

    /// How many are before `place`.
    pub(super) fn count_ahead(&self, place: Option<&Place>) -> usize {
        self.ahead(place).count()
    }

    /// Whether somebody before `place` may want the endpoint.
    pub(super) fn is_spoken_for(&self, endpoint: usize, place: Option<&Place>) -> bool {
        self.ahead(place).any(|waiter| !waiter.tried.contains(&endpoint))
    }

    /// Wakes those who may have something now: the first, and whoever may want what all before it
    /// have tried.
    pub(super) fn rouse(&self) {
        self.not_behind().for_each(|waiter| {
            waiter.signal.notify_one();
        });
    }

    /// Those for whom not all is spoken for.
    fn not_behind(&self) -> impl Iterator<Item = &Waiter> {
        // What all so far have tried; before the first, everything.
        let mut left: Option<Vec<usize>> = None;
        let has_left = move |waiter: &&Waiter| {
            let wants = |endpoint: &usize| !waiter.tried.contains(endpoint);
            let Some(left) = &mut left else {
                left = Some(waiter.tried.to_vec());
                return true;
            };
            let before = left.len();
            left.retain(|endpoint| !wants(endpoint));
            left.len() < before
        };
        let mut nothing_left = false;
        let up_to_all = self.waiters.iter().take_while(move |waiter| {
            let goes_on = !nothing_left;
            nothing_left |= waiter.tried.is_empty();
            goes_on
        });
        up_to_all.filter(has_left)
    }

    /// Wakes everybody, to look whether waiting is still of use.
    pub(super) fn rouse_all(&self) {
        for waiter in &self.waiters {
            waiter.signal.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_are_woken_for_whom_not_all_is_spoken_for() {
        for (tried, woken) in [
            (&[&[][..], &[], &[0]][..], &[0][..]),
            (&[&[0], &[0], &[0], &[], &[]], &[0, 3]),
            (&[&[0, 1], &[0], &[0], &[1], &[], &[]], &[0, 1, 3]),
            (&[&[9], &[9], &[1]], &[0, 2]),
        ] {
            let mut queue = Queue::default();
            tried.iter().for_each(|tried| drop(queue.join(tried)));
            let found: Vec<_> = queue.not_behind().map(|waiter| waiter.number).collect();
            assert_eq!(found, woken, "{tried:?}");
            // Nobody is passed over who can have something.
            for waiter in &queue.waiters {
                let place = Place { number: waiter.number, signal: waiter.signal.clone() };
                let can_have = (0..10).any(|endpoint| {
                    !waiter.tried.contains(&endpoint)
                        && !queue.is_spoken_for(endpoint, Some(&place))
                });
                assert!(!can_have || found.contains(&waiter.number), "{tried:?}");
            }
        }
    }
}
