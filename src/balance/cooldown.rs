//! When an endpoint rests, and for how long.

use std::time::Duration;

use crate::error::{ConfigError, Problems};
use crate::setters::setters;

use super::window::Sample;

/// When an endpoint rests, and for how long. All settings have a default and are set by chaining.
///
/// ```
/// use llm_pool::balance::Cooldown;
/// use std::time::Duration;
///
/// let patient = Cooldown::default().min_sample(20).base_rest(Duration::from_secs(5));
/// let off = Cooldown::default().base_rest(Duration::ZERO);
/// ```
///
/// Nothing is checked here: [`Balancer::new`](super::Balancer::new) refuses all wrong settings at
/// once.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Cooldown {
    /// The share of failures from which an endpoint rests. Client errors are not counted at all.
    /// Default 0.5; above 0, at most 1.
    pub failure_ratio: f64,
    /// Fewest calls within the window for the ratio to mean anything. Default 5, at least 1.
    pub min_sample: u32,
    /// So many failures one after another are enough, whatever went well before: an endpoint that
    /// dies would else need as many as it had successes within the window. Default 10, which one
    /// that fails every third time comes to once in 60 000 calls; zero is off.
    pub failures_in_a_row: u32,
    /// For how long a call counts towards the ratio. Default 30 s; forgotten a tenth at a time.
    pub window: Duration,
    /// The first rest; each that follows is twice as long. Default 1 s. Zero is off: no endpoint
    /// ever rests, not even when it asks to.
    pub base_rest: Duration,
    /// The longest rest, save for one that the endpoint itself asks for. Default 60 s, at least
    /// `base_rest`.
    pub max_rest: Duration,
    /// For how long an endpoint must have been back in service for its next rest to be the first
    /// again. Default 60 s.
    pub reset_after: Duration,
    /// By how much chance shortens a rest at most, as a share of it, so that programs that saw the
    /// same failure do not return in step. What an endpoint asks for is never shortened. Default
    /// 0.25; 0 to 1.
    pub jitter: f64,
    /// The share of the endpoints that may rest at one time, rounded down, but at least one.
    /// Others stay in service however they fail. Default 0.8, which of up to five leaves one in
    /// service, and of more a fifth, lest a failure that all see has one serve for all of them;
    /// above 0, at most 1. Not set, it is 1 in a group of models that has fallbacks.
    pub max_resting: Option<f64>,
    /// Whether the last endpoint in service may rest as well, if `max_resting` allows it. Default
    /// false. Not set, it is true in a group of models that has fallbacks.
    pub rest_last: Option<bool>,
}

impl Default for Cooldown {
    fn default() -> Self {
        Self {
            failure_ratio: 0.5,
            min_sample: 5,
            failures_in_a_row: 10,
            window: Duration::from_secs(30),
            base_rest: Duration::from_secs(1),
            max_rest: Duration::from_secs(60),
            reset_after: Duration::from_secs(60),
            jitter: 0.25,
            max_resting: None,
            rest_last: None,
        }
    }
}

setters! {
    Cooldown {
        failure_ratio: f64,
        min_sample: u32,
        failures_in_a_row: u32,
        window: Duration,
        base_rest: Duration,
        max_rest: Duration,
        reset_after: Duration,
        jitter: f64,
        max_resting: impl Into<Option<f64>>,
        rest_last: impl Into<Option<bool>>,
    }
}

const MAX_RESTING: f64 = 0.8;

/// 0.29 of 100 is 29, though the product of the two `f64` is a little less.
const HAIR: f64 = 1e-9;

impl Cooldown {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let mut problems = Problems::of("Cooldown");
        // Not a number is in no range.
        let max_resting = self.max_resting.unwrap_or(MAX_RESTING);
        for (name, share) in [("failure_ratio", self.failure_ratio), ("max_resting", max_resting)] {
            let good = share > 0.0 && share <= 1.0;
            problems.unless(good, name, format_args!("is {share}, and must be above 0, at most 1"));
        }
        let jitter = self.jitter;
        let good = (0.0..=1.0).contains(&jitter);
        problems.unless(good, "jitter", format_args!("is {jitter}, and must be from 0 to 1"));
        problems.unless(self.min_sample > 0, "min_sample", "must be at least 1");
        problems.zero(self.window, "window");
        problems.unless(
            self.max_rest >= self.base_rest,
            "max_rest",
            format_args!(
                "is {:?}, and must be at least base_rest ({:?})",
                self.max_rest, self.base_rest
            ),
        );
        problems.check()
    }

    pub(super) fn is_off(&self) -> bool {
        self.base_rest.is_zero()
    }

    pub(super) fn is_too_much(&self, sample: Sample) -> bool {
        sample.of >= self.min_sample
            && f64::from(sample.failed) >= self.failure_ratio * f64::from(sample.of) - HAIR
    }

    pub(super) fn is_too_long(&self, in_a_row: u32) -> bool {
        self.failures_in_a_row > 0 && in_a_row >= self.failures_in_a_row
    }

    /// How many of `endpoints` may rest at one time.
    pub(super) fn most_resting(&self, endpoints: usize) -> usize {
        let share = self.max_resting.unwrap_or(MAX_RESTING) * endpoints as f64;
        let share = (share + HAIR) as usize;
        let kept = usize::from(!self.rest_last.unwrap_or(false));
        share.max(1).min(endpoints.saturating_sub(kept))
    }

    /// How long to rest after so many rests before, with a chance from 0 to 1.
    pub(super) fn rest(&self, before: u32, asked: Option<Duration>, chance: f64) -> Duration {
        let grown = self.base_rest.saturating_mul(2_u32.saturating_pow(before)).min(self.max_rest);
        let off = Duration::try_from_secs_f64(grown.as_secs_f64() * self.jitter * chance);
        let rest = grown.saturating_sub(off.unwrap_or(grown));
        rest.max(asked.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECS: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn rests_double_up_to_the_longest_and_chance_only_shortens_them() {
        let cooldown = Cooldown::default();
        let rests: Vec<_> = (0..8).map(|before| cooldown.rest(before, None, 0.0)).collect();
        assert_eq!(rests, [1, 2, 4, 8, 16, 32, 60, 60].map(SECS));
        assert_eq!(cooldown.rest(2, None, 1.0), SECS(3));
        assert_eq!(cooldown.rest(u32::MAX, None, 0.0), SECS(60));
        let longest = cooldown.base_rest(Duration::MAX).max_rest(Duration::MAX);
        assert_eq!(longest.rest(9, None, 0.0), Duration::MAX);
        assert!(longest.jitter(1.0).rest(9, None, 1.0) < SECS(4096));
    }

    #[test]
    fn what_an_endpoint_asks_for_is_honoured_also_when_longer_and_never_shortened() {
        let cooldown = Cooldown::default();
        assert_eq!(cooldown.rest(0, Some(SECS(300)), 1.0), SECS(300));
        assert_eq!(cooldown.rest(6, Some(SECS(3)), 0.0), SECS(60), "the rest is longer");
    }

    #[test]
    fn a_share_may_rest_but_at_least_one_and_not_the_last() {
        let cooldown = Cooldown::default();
        let most = |of| cooldown.most_resting(of);
        assert_eq!([1, 2, 3, 4, 5, 10].map(most), [0, 1, 2, 3, 4, 8]);
        assert_eq!(cooldown.clone().max_resting(0.29).most_resting(100), 29);
        let all = cooldown.clone().max_resting(1.0);
        assert_eq!([1, 3].map(|of| all.most_resting(of)), [0, 2]);
        let last = all.rest_last(true);
        assert_eq!([1, 3].map(|of| last.most_resting(of)), [1, 3]);
    }

    #[test]
    fn a_small_sample_is_no_reason() {
        let cooldown = Cooldown::default();
        let too_much = |failed, of| cooldown.is_too_much(Sample { failed, of });
        assert!(!too_much(4, 4));
        assert!(too_much(5, 5) && too_much(3, 6) && !too_much(3, 7));
    }

    #[test]
    fn all_that_is_wrong_is_refused_at_once() {
        let wrong = Cooldown::default()
            .failure_ratio(f64::NAN)
            .max_resting(0.0)
            .jitter(1.5)
            .min_sample(0)
            .window(Duration::ZERO)
            .max_rest(Duration::ZERO);
        let problems = wrong.check().unwrap_err();
        assert_eq!(problems.problems().len(), 6, "{problems}");
        let off = Cooldown::default().base_rest(Duration::ZERO);
        assert!(off.check().is_ok() && off.is_off());
    }
}
