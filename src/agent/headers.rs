//! Headers that may hold a secret.

use ureq::http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::Problems;

/// The headers, marked as sensitive. Problems name no value, since any may be a secret.
pub(crate) fn sensitive(headers: &[(String, String)], problems: &mut Problems) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let Ok(name) = name.parse::<HeaderName>() else {
            problems.unless(false, "header", "one has a name that is no header's");
            continue;
        };
        match visible(value) {
            Some(value) if is_without_key(&name, &value) => {
                problems.unless(false, "header", format_args!("the value of {name} has no key"));
            }
            Some(mut value) => {
                value.set_sensitive(true);
                map.append(name, value);
            }
            None => {
                let what = format_args!("the value of {name} must be visible ASCII");
                problems.unless(false, "header", what);
            }
        }
    }
    map
}

/// As when the variable with the key is set, and empty.
fn is_without_key(name: &HeaderName, value: &HeaderValue) -> bool {
    let text = value.to_str().unwrap_or_default().trim();
    match name.as_str() {
        "authorization" => matches!(text, "" | "Bearer" | "Api-Key"),
        "x-api-key" => text.is_empty(),
        _ => false,
    }
}

/// A value of visible ASCII, spaces and tabs. `from_str` lets other text pass, whatever it says.
pub(crate) fn visible(value: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(value).ok().filter(|value| value.to_str().is_ok())
}
