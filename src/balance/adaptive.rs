//! The settings of a cap that adapts.

use crate::error::{ConfigError, Problems};
use crate::setters::setters;

/// How the number of calls that an endpoint has at one time adapts to what it can take. All
/// settings have a default and are set by chaining.
///
/// ```
/// use llm_pool::balance::Adaptive;
///
/// let gentle = Adaptive::default().start(2).backoff(0.7);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Adaptive {
    /// The cap is never below. Default 1, at least 1.
    pub floor: usize,
    /// The cap to begin with. Default 4, or what of `floor` and the most is nearest to that; from
    /// `floor` to the most.
    pub start: Option<usize>,
    /// What a refusal or a time-out leaves of the calls that were not too many. Default 0.9; above
    /// 0, below 1.
    pub backoff: f64,
    /// How many times the latency at rest may grow before the cap shrinks. Default 1.5; above 1.
    pub tolerance: f64,
}

impl Default for Adaptive {
    fn default() -> Self {
        Self { floor: 1, start: None, backoff: 0.9, tolerance: 1.5 }
    }
}

setters! {
    Adaptive {
        floor: usize,
        start: impl Into<Option<usize>>,
        backoff: f64,
        tolerance: f64,
    }
}

impl Adaptive {
    pub(super) fn start_below(&self, most: usize) -> usize {
        self.start.unwrap_or(4).max(self.floor).min(most)
    }

    /// For an endpoint that never has more than `most`.
    pub(crate) fn check(&self, most: usize) -> Result<(), ConfigError> {
        let Self { floor, backoff, tolerance, .. } = *self;
        let start = self.start.unwrap_or(floor);
        let mut problems = Problems::of("Adaptive");
        problems.unless(floor > 0, "floor", "must be at least 1");
        problems.unless(
            (floor..=most).contains(&start),
            "start",
            format_args!("is {start}, and must be from floor ({floor}) to the most ({most})"),
        );
        // Not a number is in no range.
        let good = backoff > 0.0 && backoff < 1.0;
        problems.unless(
            good,
            "backoff",
            format_args!("is {backoff}, and must be above 0, below 1"),
        );
        let good = tolerance > 1.0 && tolerance.is_finite();
        problems.unless(good, "tolerance", format_args!("is {tolerance}, and must be above 1"));
        problems.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wrong_is_refused_at_once() {
        let wrong = Adaptive::default().floor(0).start(9).backoff(1.0).tolerance(f64::NAN);
        assert_eq!(wrong.check(8).unwrap_err().problems().len(), 4);
        assert!(Adaptive::default().check(1).is_ok());
        assert!(Adaptive::default().floor(5).check(4).is_err());
        let starts = [(1, 2), (1, 99), (6, 99)];
        let start = |(floor, most)| Adaptive::default().floor(floor).start_below(most);
        assert_eq!(starts.map(start), [2, 4, 6]);
    }
}
