//! The series of keys, which must not fall while they are there.
//!
//! Several keys may share a series, such as one model with several parameters. If one of them went
//! and took its counts along, the series would fall a little, which Prometheus takes for a restart
//! from zero: it would count what is left a second time. So what was last seen of a key that went
//! is kept as long as another one has the same labels. A series of which no key is left ends; if
//! it comes again it begins at zero, as after a restart.
//!
//! One lock, under which nothing else is locked and no user code runs: what is here was read before.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use parking_lot::Mutex;

use super::labels::Labels;
use super::row::Row;

#[derive(Default)]
pub(super) struct Memory {
    /// Counts the beginnings and ends of all looks at the pool.
    moments: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// When the look ended that `keys` are of.
    seen: u64,
    /// By the number that each making of a key has for itself.
    keys: HashMap<u64, (Labels, Row)>,
    /// Totals of those that went, by labels that another key still has.
    gone: HashMap<Labels, Row>,
}

impl Memory {
    /// Looks at the pool, and gives the `most` series with the most gets. Of two looks at one time,
    /// one is used for both: which of them is newer cannot be told for every key.
    pub(super) fn look(
        &self,
        most: usize,
        look: impl FnOnce() -> Vec<(u64, Labels, Row)>,
    ) -> Vec<(Labels, Row)> {
        let began = self.moments.fetch_add(1, SeqCst) + 1;
        let keys = look();
        let ended = self.moments.fetch_add(1, SeqCst) + 1;
        let mut kept = self.kept.lock();
        if began > kept.seen {
            kept.replace(keys);
            kept.seen = ended;
        }
        kept.series(most)
    }
}

impl Kept {
    fn replace(&mut self, keys: Vec<(u64, Labels, Row)>) {
        let mut before = std::mem::take(&mut self.keys);
        for (number, labels, row) in keys {
            before.remove(&number);
            self.keys.insert(number, (labels, row));
        }
        for (labels, row) in before.into_values() {
            self.gone.entry(labels).or_default().add_totals(&row);
        }
        if !self.gone.is_empty() {
            let there: HashSet<_> = self.keys.values().map(|(labels, _)| labels).collect();
            self.gone.retain(|labels, _| there.contains(labels));
        }
    }

    /// Ordered by gets, and by labels where they are equal.
    fn series(&self, most: usize) -> Vec<(Labels, Row)> {
        let mut by_labels: BTreeMap<_, (u64, Vec<&Row>)> = BTreeMap::new();
        for (labels, row) in self.keys.values() {
            let (gets, rows) = by_labels.entry(labels).or_default();
            *gets = gets.saturating_add(row.pool.stats.gets);
            rows.push(row);
        }
        for (labels, row) in &self.gone {
            if let Some((gets, _)) = by_labels.get_mut(labels) {
                *gets = gets.saturating_add(row.pool.stats.gets);
            }
        }
        let mut series: Vec<_> = by_labels.into_iter().collect();
        series.sort_by_key(|(_, (gets, _))| std::cmp::Reverse(*gets));
        series.truncate(most);
        let summed = |(labels, (_, rows)): (&Labels, (u64, Vec<&Row>))| {
            let mut sum = self.gone.get(labels).cloned().unwrap_or_default();
            rows.into_iter().for_each(|row| sum += row);
            (labels.clone(), sum)
        };
        series.into_iter().map(summed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64, label: &str, gets: u64) -> (u64, Labels, Row) {
        let mut row = Row::default();
        row.pool.stats.gets = gets;
        row.pool.stats.idle = 1;
        (number, Labels::of([("key", label)]), row)
    }

    fn gets(series: &[(Labels, Row)]) -> Vec<(u64, usize)> {
        series.iter().map(|(_, row)| (row.pool.stats.gets, row.pool.stats.idle)).collect()
    }

    #[test]
    fn a_series_of_two_keys_keeps_what_the_one_that_went_had() {
        let memory = Memory::default();
        let both = memory.look(9, || vec![key(1, "a", 40), key(2, "a", 60)]);
        assert_eq!(gets(&both), [(100, 2)]);
        assert_eq!(gets(&memory.look(9, || vec![key(2, "a", 61)])), [(101, 1)]);
        // Made anew, it has another number.
        let anew = memory.look(9, || vec![key(2, "a", 61), key(3, "a", 1)]);
        assert_eq!(gets(&anew), [(102, 2)]);
    }

    #[test]
    fn a_series_without_keys_ends_and_is_forgotten() {
        let memory = Memory::default();
        memory.look(9, || vec![key(1, "a", 40), key(2, "b", 1)]);
        assert_eq!(gets(&memory.look(9, || vec![key(2, "b", 1)])), [(1, 1)]);
        assert!(memory.kept.lock().gone.is_empty());
        assert_eq!(gets(&memory.look(9, || vec![key(3, "a", 2)])), [(2, 1)]);
    }

    #[test]
    fn only_the_series_with_the_most_gets_are_given() {
        let memory = Memory::default();
        let keys = || (0..9).map(|n| key(n, &n.to_string(), n % 3)).collect();
        assert_eq!(gets(&memory.look(4, keys)), [(2, 1), (2, 1), (2, 1), (1, 1)]);
        assert!(memory.look(0, keys).is_empty());
    }

    #[test]
    fn a_look_that_another_overtook_changes_nothing() {
        let memory = Memory::default();
        let late = memory.look(9, || {
            memory.look(9, || vec![key(1, "a", 5), key(2, "a", 5)]);
            // Seen before the second key was made.
            vec![key(1, "a", 4)]
        });
        assert_eq!(gets(&late), [(10, 2)]);
        assert_eq!(gets(&memory.look(9, || vec![key(1, "a", 5), key(2, "a", 5)])), [(10, 2)]);
    }
}
