//! A small source of random numbers that threads share without a lock.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// SplitMix64 (Steele, Lea, Flood, *Fast Splittable Pseudorandom Number Generators*, OOPSLA 2014).
/// Its state only counts up by a constant, so that an atomic sum is all the sharing it needs. Not
/// for secrets.
#[derive(Debug)]
pub(super) struct Random(AtomicU64);

/// The golden ratio, in 64 bits, made odd.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    /// The same numbers for the same seed; without one, others in each process.
    pub(super) fn new(seed: Option<u64>) -> Self {
        Self(AtomicU64::new(seed.unwrap_or_else(|| RandomState::new().hash_one(0))))
    }

    pub(super) fn bits(&self) -> u64 {
        // Relaxed: it guards no other memory.
        mix(self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP))
    }

    /// At least 0, less than 1.
    pub(super) fn fraction(&self) -> f64 {
        fraction(self.bits())
    }

    /// At least 0, less than `n`; 0 for `n` of 0. By multiplication (Lemire 2019): the bias is below
    /// `n / 2^64`.
    pub(super) fn below(&self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }
}

/// Spreads what differs in few bits over all of them: the last step of SplitMix64.
pub(super) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// At least 0, less than 1: the upper 53 bits, which is what an `f64` holds.
pub(super) fn fraction(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// FNV-1a (Fowler, Noll, Vo), mixed. The same in every process and on every machine, which a sticky
/// key must be for it to find the same endpoint again.
pub(super) fn hash(text: &str) -> u64 {
    let fnv = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(fnv)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_the_published_numbers() {
        let random = Random::new(Some(1_234_567));
        let drawn = [random.bits(), random.bits(), random.bits()];
        assert_eq!(
            drawn,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn what_is_drawn_is_in_its_range_and_spread_evenly() {
        let random = Random::new(Some(7));
        let mut seen = [0_u32; 5];
        for _ in 0..10_000 {
            seen[random.below(5)] += 1;
            assert!((0.0..1.0).contains(&random.fraction()));
        }
        assert!(seen.iter().all(|count| (1_850..2_150).contains(count)), "{seen:?}");
        assert_eq!((random.below(0), random.below(1)), (0, 0));
    }

    #[test]
    fn without_a_seed_two_sources_differ() {
        assert_ne!(Random::new(None).bits(), Random::new(None).bits());
    }

    #[test]
    fn a_hash_is_the_same_for_ever() {
        assert_eq!(hash("conversation-7"), hash("conversation-7"));
        assert_eq!(hash(""), mix(0xcbf2_9ce4_8422_2325));
        assert_ne!(hash("a"), hash("b"));
    }
}
