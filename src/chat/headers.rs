//! What the headers of an answer say of the call itself.

use std::time::{Duration, SystemTime};

use jiff::fmt::rfc2822;
use ureq::http::HeaderMap;

/// Longer waits than this are not for a client to sit out: the official clients give up as well.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_secs(120);

/// What a provider wants to know when asked about a call.
pub(super) fn request_id(headers: &HeaderMap) -> Option<&str> {
    ["x-request-id", "request-id", "x-litellm-call-id"].iter().find_map(|name| text(headers, name))
}

/// After how long another try is worth it: `retry-after-ms`, else `retry-after` in seconds, which
/// may have a fraction, or as a date.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let in_millis = text(headers, "retry-after-ms").and_then(|millis| seconds(millis, 1000.0));
    in_millis.or_else(|| {
        let after = text(headers, "retry-after")?;
        // As many seconds as no duration has are no fewer for that.
        let endless = || after.parse::<f64>().ok().filter(|it| *it > 0.0).map(|_| Duration::MAX);
        seconds(after, 1.0).or_else(|| until_date(after)).or_else(endless)
    })
}

/// What the server itself says of another try.
pub(super) fn should_retry(headers: &HeaderMap) -> Option<bool> {
    match text(headers, "x-should-retry")? {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// The type of the body, without its parameters, in any case; empty if nothing says.
pub(super) fn content_type(headers: &HeaderMap) -> &str {
    let whole = text(headers, "content-type").unwrap_or_default();
    whole.split(';').next().unwrap_or_default().trim()
}

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    Some(headers.get(name)?.to_str().ok()?.trim())
}

/// A number of parts of a second.
pub(super) fn seconds(number: &str, parts: f64) -> Option<Duration> {
    let seconds = number.parse::<f64>().ok()? / parts;
    // None for what is negative, too large or no number.
    Duration::try_from_secs_f64(seconds).ok()
}

/// Zero for a date that has passed.
fn until_date(date: &str) -> Option<Duration> {
    let then = rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    Some(SystemTime::from(then).duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anthropic_calls_the_id_of_a_request_request_id() {
        let mut headers = HeaderMap::new();
        headers.insert("request-id", "req_011".parse().unwrap());
        assert_eq!(request_id(&headers), Some("req_011"));
    }
}
