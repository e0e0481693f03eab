//! What an error must not show: keys, and what was asked.

use std::collections::HashSet;

use ureq::http::HeaderMap;

use super::error::{CUT, one_line};

/// Stands where something was.
const HIDDEN: &str = "***";

/// So long a part of a message is taken for a quotation of it. Shorter ones are words like others.
const QUOTED: usize = 16;

/// `text` without keys and without what was said to the model, whole or in part.
pub(super) fn hide(text: &str, headers: &[&HeaderMap], said: &[&str]) -> String {
    let mut hidden = text.to_owned();
    for (name, value) in headers.iter().copied().flatten() {
        let value = value.to_str().ok().filter(|_| value.is_sensitive()).unwrap_or_default();
        if !may_be_secret(name.as_str(), value) {
            continue;
        }
        // Spaces around a value are not sent as part of it.
        let value = value.trim();
        // Of a scheme and a key, the key; some servers quote it by itself.
        for secret in [value, value.rsplit(' ').next().unwrap_or_default()] {
            hidden = without_secret(hidden, secret);
        }
    }
    let mut runs = Runs::of(&hidden);
    let mut hide = |hidden: &mut String, said: &str| {
        if let Some(shown) = runs.without_quotes(hidden, &one_line(said)) {
            runs = Runs::of(&shown);
            *hidden = shown;
        }
    };
    for said in said {
        hide(&mut hidden, said);
        // Nothing else is written in another way there.
        if hidden.contains('\\') {
            let json = as_json(said);
            hide(&mut hidden, &json);
            hide(&mut hidden, &ascii(&json));
        }
    }
    hidden
}

/// Settings such as `x-mode: json` are words that an error may need.
fn may_be_secret(name: &str, value: &str) -> bool {
    const NAMES: [&str; 7] = ["auth", "key", "token", "secret", "pass", "cookie", "cred"];
    // As long as any key, and not of letters alone.
    let as_a_key = value.len() >= 12 && value.bytes().any(|byte| byte.is_ascii_digit());
    as_a_key || NAMES.iter().any(|part| name.contains(part))
}

/// `text` without a key or token, also where the end of a text that was too long cut it.
pub(super) fn without_secret(text: String, secret: &str) -> String {
    const LEAST: usize = 4;
    if secret.len() < LEAST {
        return text;
    }
    let hidden = text.replace(secret, HIDDEN);
    let Some(start) = hidden.strip_suffix(CUT) else { return hidden };
    let cut = (LEAST..secret.len()).rev().find_map(|end| start.strip_suffix(secret.get(..end)?));
    match cut {
        Some(start) => format!("{start}{HIDDEN}{CUT}"),
        None => hidden,
    }
}

/// As a server quotes it that repeats its request word for word.
fn as_json(said: &str) -> String {
    let quoted = serde_json::to_string(said).unwrap_or_default();
    let bare = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    bare.unwrap_or_default().to_owned()
}

/// The same by one that writes JSON in ASCII.
fn ascii(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            ascii.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    ascii
}

/// All runs of [`QUOTED`] bytes of a text: looked up once for all of a long conversation.
struct Runs {
    first: FirstBytes,
    all: HashSet<[u8; QUOTED]>,
}

impl Runs {
    fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let all = bytes.windows(QUOTED).filter_map(|run| run.try_into().ok()).collect();
        Self { first: FirstBytes::of(bytes), all }
    }

    /// `text`, which these are of, without every run of at least [`QUOTED`] bytes that is in `said`
    /// too, and without all of `said` if it is short; `None` if it has none of it. Both are on one
    /// line.
    fn without_quotes(&self, text: &str, said: &str) -> Option<String> {
        if said.len() < QUOTED {
            let quoted = said.len() >= 8 && text.contains(said);
            return quoted.then(|| text.replace(said, HIDDEN));
        }
        let theirs: HashSet<&[u8]> = said
            .as_bytes()
            .windows(QUOTED)
            .filter(|run| self.first.may_be(run) && self.all.contains(*run))
            .collect();
        (!theirs.is_empty()).then(|| without(text, &theirs))
    }
}

/// `text` without these runs.
fn without(text: &str, theirs: &HashSet<&[u8]>) -> String {
    let bytes = text.as_bytes();
    let mut shown = vec![true; bytes.len()];
    for (start, window) in bytes.windows(QUOTED).enumerate() {
        if theirs.contains(window) {
            shown[start..start + QUOTED].fill(false);
        }
    }
    let mut kept = String::with_capacity(text.len());
    let mut hiding = false;
    for (at, c) in text.char_indices() {
        // A character goes if any of its bytes does.
        if shown[at..at + c.len_utf8()].contains(&false) {
            if !std::mem::replace(&mut hiding, true) {
                kept.push_str(HIDDEN);
            }
        } else {
            hiding = false;
            kept.push(c);
        }
    }
    kept
}

/// Tells nearly all that a text does not have by four bytes: a conversation may have
/// millions, and each look into a set costs as much as all else.
struct FirstBytes(Vec<bool>);

impl FirstBytes {
    fn of(text: &[u8]) -> Self {
        let mut seen = vec![false; 1 << 16];
        for window in text.windows(QUOTED) {
            seen[Self::at(window)] = true;
        }
        Self(seen)
    }

    fn may_be(&self, window: &[u8]) -> bool {
        self.0[Self::at(window)]
    }

    /// Of the first four, mixed.
    fn at(window: &[u8]) -> usize {
        let four = window.first_chunk().map_or(0, |four| u32::from_le_bytes(*four));
        (four.wrapping_mul(0x9e37_79b1) >> 16) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_quotations_go_and_the_rest_stays() {
        let mut headers = HeaderMap::new();
        let mut key: ureq::http::HeaderValue = "Bearer sk-1234567".parse().unwrap();
        key.set_sensitive(true);
        headers.insert("authorization", key);
        headers.insert("accept", "text/event-stream".parse().unwrap());
        let messages = ["My password is Håkans-Båt-7, keep it to yourself.", "short"];
        for (said, shown) in [
            ("Incorrect API key provided: sk-1234567.", "Incorrect API key provided: ***."),
            ("no text/event-stream in short", "no text/event-stream in short"),
            ("refused: 'password is Håkans-Båt-7' is secret", "refused: '***' is secret"),
            ("refused: My password is Håkans-Båt-7, keep it to yourself.", "refused: ***"),
            ("nothing of it", "nothing of it"),
        ] {
            assert_eq!(hide(said, &[&headers], &messages), shown);
        }
    }
}
