//! When a call is tried again, and after how long.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use super::config::ChatConfig;
use super::error::{ChatError, Seen};
use super::headers::MAX_RETRY_AFTER;
use crate::caught::say;
use crate::keyed::ModelKey;

/// No call takes longer.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// When a call began, and how far it is.
#[derive(Clone, Copy)]
pub(crate) struct Began {
    pub(crate) at: Instant,
    /// For clients, so far.
    pub(crate) waited: Duration,
    /// When the call must have ended, if the caller or the lease says.
    pub(crate) until: Option<Instant>,
    /// Tries that failed.
    pub(crate) tries: u32,
    /// Pauses, of which there may be as many as retries. Fewer than tries where several endpoints
    /// are tried between two.
    pub(crate) pauses: u32,
    /// Whether the server may have seen one of them.
    pub(crate) seen: Seen,
}

impl Began {
    pub(crate) fn now(within: Option<Duration>) -> Self {
        let at = Instant::now();
        // A time beyond all clocks is a deadline too, and stands in place of what it stands for.
        let until = within.and_then(|within| at.checked_add(within.min(FOREVER)));
        Self { at, waited: Duration::ZERO, until, tries: 0, pauses: 0, seen: Seen::No }
    }

    /// Pauses, by `sleep`, and returns the error if the call is to be tried again.
    ///
    /// # Errors
    /// The same error if it is not.
    pub(crate) fn pause(
        &mut self,
        key: &ModelKey,
        error: ChatError,
        sleep: impl FnOnce(Duration),
    ) -> Result<ChatError, ChatError> {
        let Some(pause) = error.pause() else { return Err(error) };
        let left = self.until.map(|at| at.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left <= pause) {
            return Err(error);
        }
        self.tries = self.tries.saturating_add(1);
        self.pauses = self.pauses.saturating_add(1);
        self.seen = self.seen.max(error.seen());
        say!(
            Info,
            {
                key:% = key,
                event = "retried",
                tries = self.tries,
                pause = pause.as_secs_f64(),
                reason:% = error,
            },
            "{key}: try {} failed and is repeated in {pause:.1?}: {error}",
            self.tries
        );
        sleep(pause);
        Ok(error)
    }
}

/// How long to pause before the next try, after so many pauses; `None` if there is to be none.
pub(super) fn pause_after(
    error: &ChatError,
    pauses: u32,
    config: &ChatConfig,
    chance: f64,
) -> Option<Duration> {
    if pauses >= config.max_retries || !error.is_tried_again() {
        return None;
    }
    match error.retry_after() {
        Some(asked) if asked > MAX_RETRY_AFTER => None,
        Some(asked) if !asked.is_zero() => Some(asked),
        _ => {
            let doubled = config.first_pause.saturating_mul(2_u32.saturating_pow(pauses));
            let pause = doubled.min(config.max_pause);
            Some(pause.saturating_sub((pause / 4).mul_f64(chance)))
        }
    }
}

/// From 0 to 1, so that those who failed together do not come back together.
pub(super) fn chance() -> f64 {
    // Each has keys of its own.
    let hash = RandomState::new().hash_one(0);
    f64::from((hash >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::error_kind::ErrorKind;
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn failed() -> ChatError {
        ChatError::new(ErrorKind::Server, "it is ill")
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_chance_only_shortens_them() {
        let config = ChatConfig::default().max_retries(9);
        let pauses: Vec<_> =
            (0..7).map(|tries| pause_after(&failed(), tries, &config, 0.0).unwrap()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 8000, 8000].map(MS));
        assert_eq!(pause_after(&failed(), 0, &config, 1.0), Some(MS(375)));
        assert_eq!(
            pause_after(&failed(), u32::MAX - 1, &config.max_retries(u32::MAX), 0.0),
            Some(MS(8000))
        );
    }

    #[test]
    fn the_longest_pauses_there_are_can_be_reckoned() {
        let config = ChatConfig::default().first_pause(Duration::MAX).max_pause(Duration::MAX);
        assert_eq!(pause_after(&failed(), 1, &config, 0.0), Some(Duration::MAX));
        assert!(pause_after(&failed(), 1, &config, 1.0) < Some(Duration::MAX));
    }

    #[test]
    fn a_server_that_asks_for_a_pause_gets_it_unless_it_is_too_long() {
        let config = ChatConfig::default();
        for (asked, given) in
            [(1, Some(1)), (119_000, Some(119_000)), (121_000, None), (0, Some(500))]
        {
            let error = failed().with_retry_after(MS(asked));
            assert_eq!(pause_after(&error, 0, &config, 0.0), given.map(MS));
        }
    }

    #[test]
    fn chance_is_from_zero_to_one_and_not_always_the_same() {
        let drawn: Vec<_> = (0..100).map(|_| chance()).collect();
        assert!(drawn.iter().all(|chance| (0.0..=1.0).contains(chance)));
        assert!(
            drawn.iter().any(|chance| *chance > 0.5) && drawn.iter().any(|chance| *chance < 0.5)
        );
    }

    #[test]
    fn what_will_not_heal_is_not_tried_again() {
        let config = ChatConfig::default();
        for kind in
            [ErrorKind::Quota, ErrorKind::BadRequest, ErrorKind::TimedOut, ErrorKind::NoLease]
        {
            assert_eq!(pause_after(&ChatError::new(kind, "no"), 0, &config, 0.0), None, "{kind:?}");
        }
        assert_eq!(pause_after(&failed(), 2, &config, 0.0), None, "two are enough");
    }
}
