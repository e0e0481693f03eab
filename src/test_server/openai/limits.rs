//! Rate limits: so many requests and tokens in each window of time.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::super::answer::Answer;
use super::super::refusal::Refusal;

/// The limits of a server and what has been used of them.
pub(in crate::test_server) struct Limits {
    /// Requests and tokens in a window; none: there is no limit.
    pub(in crate::test_server) most: Option<(u64, u64)>,
    pub(in crate::test_server) window: Duration,
    /// No other lock is taken while it is held.
    used: Mutex<Used>,
}

#[derive(Clone, Copy, Default)]
struct Used {
    /// When the window began: with the first request after the one before had ended.
    since: Option<Instant>,
    requests: u64,
    tokens: u64,
}

impl Limits {
    /// Counts a request of so many tokens, and tells in `answer`'s headers what is left. When the
    /// limits have no room for it, it is not counted and `answer` becomes a refusal.
    pub(super) fn charge(&self, tokens: u64, answer: &mut Answer) {
        let Some((most_requests, most_tokens)) = self.most else { return };
        let now = Instant::now();
        let mut used = self.used.lock();
        let passed = used.since.map(|since| now.saturating_duration_since(since));
        let left = match passed.and_then(|it| self.window.checked_sub(it)) {
            Some(left) if !left.is_zero() => left,
            _ => {
                *used = Used { since: Some(now), requests: 0, tokens: 0 };
                self.window
            }
        };
        let over = if used.requests >= most_requests {
            Some(("requests", most_requests, used.requests, 1))
        } else if tokens > most_tokens.saturating_sub(used.tokens) {
            Some(("tokens", most_tokens, used.tokens, tokens))
        } else {
            used.requests += 1;
            used.tokens += tokens;
            None
        };
        let used = *used;

        if let Some((what, most, used, asked)) = over {
            let reset = duration_text(left);
            let refusal = Refusal::of_status(
                429,
                format!(
                    "Rate limit reached on {what}: Limit {most}, Used {used}, Requested {asked}. \
                     Please try again in {reset}."
                ),
            );
            answer.refuse_with(&refusal.kind(what));
            let seconds = left.as_nanos().div_ceil(1_000_000_000);
            answer.headers.push(("retry-after", seconds.to_string()));
            answer.headers.push(("retry-after-ms", millis(left).to_string()));
        }
        let mut tell = |name, value: String| answer.headers.push((name, value));
        tell("x-ratelimit-limit-requests", most_requests.to_string());
        tell("x-ratelimit-limit-tokens", most_tokens.to_string());
        let requests = most_requests.saturating_sub(used.requests);
        tell("x-ratelimit-remaining-requests", requests.to_string());
        tell("x-ratelimit-remaining-tokens", most_tokens.saturating_sub(used.tokens).to_string());
        tell("x-ratelimit-reset-requests", duration_text(left));
        tell("x-ratelimit-reset-tokens", duration_text(left));
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { most: None, window: Duration::from_secs(60), used: Mutex::default() }
    }
}

/// Whole milliseconds, rounded up: who waits them has waited long enough.
fn millis(duration: Duration) -> u128 {
    duration.as_nanos().div_ceil(1_000_000)
}

/// As OpenAI writes durations: `12ms`, `6s`, `8.64s`, `1m30s`, `1h0m0s`.
fn duration_text(duration: Duration) -> String {
    let millis = millis(duration);
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    let fraction = format!("{}.{:03}", rest / 1000, rest % 1000);
    let seconds = fraction.trim_end_matches('0').trim_end_matches('.');
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_openai_does() {
        for (micros, text) in [
            (0, "0ms"),
            (11_001, "12ms"),
            (1_000_000, "1s"),
            (8_640_000, "8.64s"),
            (10_000_000, "10s"),
            (60_000_000, "1m0s"),
            (90_000_000, "1m30s"),
            (86_400_000, "1m26.4s"),
            (3_600_000_000, "1h0m0s"),
        ] {
            assert_eq!(duration_text(Duration::from_micros(micros)), text);
        }
    }
}
