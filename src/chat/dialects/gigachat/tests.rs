use std::time::{Duration, SystemTime};

use super::super::super::token::{Token, TokenSource};
use super::oauth::{OAuth, read_token};
use super::{GigaChat, Scope};

/// Of a time so many seconds from now, with as many parts of a second.
fn at(seconds: u64, parts: u64) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    (now.as_secs() + seconds) * parts
}

/// Whether a token is good for nearly half an hour; `None` if for no time known.
fn half_an_hour(token: &Token) -> Option<bool> {
    let time = token.time()?;
    Some(time > Duration::from_secs(1790) && time <= Duration::from_secs(1800))
}

#[test]
fn both_token_replies_are_read_in_milliseconds_and_in_seconds() {
    for (reply, good) in [
        (format!(r#"{{"access_token":"a","expires_at":{}}}"#, at(1800, 1000)), Some(true)),
        (format!(r#"{{"tok":"a","exp":{}}}"#, at(1800, 1)), Some(true)),
        // The official client's documentation has the units the other way round.
        (format!(r#"{{"tok":"a","exp":{}}}"#, at(1800, 1000)), Some(true)),
        (format!(r#"{{"access_token":"a","expires_at":"{}"}}"#, at(1800, 1)), Some(true)),
        (r#"{"access_token":"a","expires_at":0}"#.to_owned(), None),
        (r#"{"access_token":"a","expires_at":null}"#.to_owned(), None),
        (r#"{"access_token":"a"}"#.to_owned(), None),
        (r#"{"access_token":"a","expires_at":-5}"#.to_owned(), None),
        (r#"{"access_token":"a","expires_at":1e300}"#.to_owned(), None),
        (r#"{"access_token":"a","expires_at":1000}"#.to_owned(), None),
    ] {
        assert_eq!(half_an_hour(&read_token(reply.as_bytes()).unwrap()), good, "{reply}");
    }
}

#[test]
fn what_is_no_token_is_malformed_and_not_quoted() {
    for reply in [r#"{"access_token":""}"#, r#"{"secret":"s3cr3t"}"#, "s3cr3t", "[]", ""] {
        let error = read_token(reply.as_bytes()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error}");
    }
}

#[test]
fn a_key_that_cannot_be_sent_is_told_before_anything_is() {
    let source = |key: &str| OAuth::new("https://a.b/c".into(), key.into(), Scope::Personal);
    for key in ["", "a\n", "a b", "ключ", "a\0"] {
        let wrong = source(key).check().unwrap_err();
        assert!(wrong.contains("visible ASCII"), "{wrong}");
    }
    assert_eq!(source("YTpi==").check(), Ok(()));
    let no_url = OAuth::new("oauth".into(), "YTpi".into(), Scope::Personal);
    assert!(no_url.check().unwrap_err().contains("oauth_url"));
}

#[test]
fn the_settings_do_not_show_the_key() {
    let shown = format!("{:?}", GigaChat::new("s3cr3t").scope(Scope::Corporate));
    assert!(shown.contains("Corporate") && !shown.contains("s3cr3t"), "{shown}");
}
