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
        match HeaderValue::from_str(value) {
            Ok(mut value) => {
                value.set_sensitive(true);
                map.append(name, value);
            }
            Err(_) => {
                let what = format_args!("the value of {name} must be visible ASCII");
                problems.unless(false, "header", what);
            }
        }
    }
    map
}
