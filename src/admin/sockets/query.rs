//! Which sockets are asked for, as the query of a URL has it.

use ureq::http::Uri;

use crate::admin::answer::{Answer, refused};

/// Ids in one answer, unless it is asked for fewer or more; and the most.
const USUAL: usize = 100;
const MOST: usize = 1000;

pub(super) struct Query {
    /// The name of a registry; none for all.
    pub(super) sockets: Option<String>,
    /// The first id, or where it would be.
    pub(super) from: Option<String>,
    pub(super) limit: usize,
}

impl Query {
    /// What else is in the query is not looked at.
    pub(super) fn of(uri: &Uri) -> Result<Self, Box<Answer>> {
        let mut query = Self { sockets: None, from: None, limit: USUAL };
        for pair in uri.query().unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let text = || -> Result<_, Box<Answer>> {
                let what = format_args!("{name} must be a text in UTF-8, percent-encoded");
                decoded(value).ok_or_else(|| refused(400, what).into())
            };
            match name {
                "sockets" => query.sockets = Some(text()?),
                "from" => query.from = Some(text()?),
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                    let what = format_args!("limit must be a whole number from 1 to {MOST}");
                    query.limit = limit.ok_or_else(|| Box::new(refused(400, what)))?;
                }
                _ => {}
            }
        }
        Ok(query)
    }
}

/// As a form writes it: `application/x-www-form-urlencoded` of the WHATWG's URL standard.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_decoded_and_what_is_none_is_refused() {
        for (text, is) in
            [("", ""), ("a+b%20c%2B", "a b c+"), ("%D1%8e%2f", "ю/"), ("%25%32%35", "%25")]
        {
            assert_eq!(decoded(text).as_deref(), Some(is), "{text}");
        }
        for text in ["%", "%2", "%zz", "%+1", "%ff", "a%C3"] {
            assert_eq!(decoded(text), None, "{text}");
        }
    }
}
