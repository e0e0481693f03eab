//! What may still be asked, as the headers of an answer say.

use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use ureq::http::HeaderMap;

use crate::balance::{RateLimit, RateLimits};

use super::headers::{seconds, text};

pub(super) fn rate_limits(headers: &HeaderMap) -> RateLimits {
    let openai = |of: &str| rate_limit(headers, |part| format!("x-ratelimit-{part}-{of}"));
    let anthropic =
        |of: &str| rate_limit(headers, |part| format!("anthropic-ratelimit-{of}-{part}"));
    let either = |of| Some(openai(of)).filter(RateLimit::is_known).unwrap_or_else(|| anthropic(of));
    RateLimits {
        requests: either("requests"),
        tokens: either("tokens"),
        input_tokens: anthropic("input-tokens"),
        output_tokens: anthropic("output-tokens"),
    }
}

fn rate_limit(headers: &HeaderMap, name: impl Fn(&str) -> String) -> RateLimit {
    let part = |part| text(headers, &name(part));
    // Some gateways send -1 for what they do not know.
    let number = |text: &str| text.parse().ok();
    RateLimit {
        limit: part("limit").and_then(number),
        remaining: part("remaining").and_then(number),
        reset: part("reset").and_then(reset),
    }
}

/// Seconds, `1m30s`, or a time of day.
fn reset(text: &str) -> Option<Duration> {
    if let Some(reset) = seconds(text, 1.0) {
        return Some(reset);
    }
    if let Ok(reset) = text.parse::<SignedDuration>() {
        return Duration::try_from(reset).ok();
    }
    let then = text.parse::<Timestamp>().ok()?;
    Some(SystemTime::from(then).duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(named: &[(&'static str, &str)]) -> HeaderMap {
        named.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn durations_numbers_and_times_of_day_are_read_as_resets() {
        for (text, millis) in [
            ("12ms", 12),
            ("6s", 6_000),
            ("1m30s", 90_000),
            ("1h0m0.5s", 3_600_500),
            ("6m0s", 360_000),
            ("59.7", 59_700),
            ("60", 60_000),
            ("2001-09-09T01:46:40Z", 0),
        ] {
            assert_eq!(reset(text), Some(Duration::from_millis(millis)), "{text}");
        }
        let in_a_minute = Timestamp::now() + SignedDuration::from_secs(60);
        let read = reset(&in_a_minute.to_string()).unwrap();
        assert!(read <= Duration::from_secs(60) && read > Duration::from_secs(50), "{read:?}");
        for text in ["", "soon", "-1", "-6s", "NaN", "inf", "1e400"] {
            assert_eq!(reset(text), None, "{text}");
        }
    }

    #[test]
    fn the_headers_of_openai_and_of_anthropic_are_read() {
        let limits = rate_limits(&headers(&[
            ("x-ratelimit-limit-requests", "500"),
            ("x-ratelimit-remaining-requests", "499"),
            ("x-ratelimit-reset-requests", "120ms"),
            ("x-ratelimit-remaining-tokens", "-1"),
        ]));
        assert_eq!((limits.requests.limit, limits.requests.remaining), (Some(500), Some(499)));
        assert_eq!(limits.requests.reset, Some(Duration::from_millis(120)));
        assert!(!limits.tokens.is_known() && !limits.input_tokens.is_known());

        let limits = rate_limits(&headers(&[
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-input-tokens-remaining", "39000"),
            ("anthropic-ratelimit-output-tokens-reset", "2001-09-09T01:46:40Z"),
        ]));
        assert_eq!(limits.requests.limit, Some(50));
        assert_eq!(limits.input_tokens.remaining, Some(39_000));
        assert_eq!(limits.output_tokens.reset, Some(Duration::ZERO));
    }
}
