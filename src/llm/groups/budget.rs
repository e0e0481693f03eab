//! How many calls may be repeated.

use parking_lot::Mutex;

/// Lets retries add a share to the load, and no more: each call pays that share in, each retry costs
/// one. Without this, endpoints in trouble would get their load several times over just then.
///
/// After Finagle's `RetryBudget`. It begins with a reserve, so that a program of few calls has
/// retries too, and saves up no more than what the death of one busy endpoint takes.
pub(super) struct Budget {
    share: f64,
    left: Mutex<f64>,
}

/// Retries to begin with.
const RESERVE: f64 = 10.0;

/// Retries that can be saved up.
const MOST: f64 = 100.0;

impl Budget {
    pub(super) fn new(share: f64) -> Self {
        Self { share, left: Mutex::new(if share > 0.0 { RESERVE } else { 0.0 }) }
    }

    /// For a call.
    pub(super) fn deposit(&self) {
        let mut left = self.left.lock();
        *left = (*left + self.share).min(MOST);
    }

    /// For a retry that could not be made after all.
    pub(super) fn put_back(&self) {
        let mut left = self.left.lock();
        *left = (*left + 1.0).min(MOST);
    }

    /// For a retry, if there is enough for it.
    pub(super) fn withdraw(&self) -> bool {
        let mut left = self.left.lock();
        let enough = *left >= 1.0;
        if enough {
            *left -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_the_reserve_and_a_fifth_of_the_calls() {
        let budget = Budget::new(0.2);
        let mut retries = 0;
        for _ in 0..1000 {
            budget.deposit();
            retries += u32::from(budget.withdraw());
        }
        // The sums of fifths are not exact.
        assert!((209..=210).contains(&retries), "{retries}");
    }

    #[test]
    fn a_share_of_zero_has_no_retries() {
        let budget = Budget::new(0.0);
        budget.deposit();
        assert!(!budget.withdraw());
    }
}
