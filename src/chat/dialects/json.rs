//! JSON read without copying what need not be kept.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::super::error::ChatError;

/// As JSON; where it is something else, what it says went wrong, if it does.
pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ChatError> {
    serde_json::from_slice(body).map_err(|error| {
        if body.trim_ascii().is_empty() {
            return ChatError::malformed("it is empty");
        }
        let json = serde_json::from_slice::<Value>(body).ok();
        let said = json.as_ref().and_then(ChatError::in_answer);
        said.unwrap_or_else(|| ChatError::malformed(without_quotes(&error)))
    })
}

/// What is wrong and where, without what was found there.
fn without_quotes(error: &serde_json::Error) -> String {
    let (what, line, column) = (error.classify(), error.line(), error.column());
    format!("no JSON of the expected kind ({what:?}, line {line}, column {column})")
}

/// A text that is borrowed from the JSON unless it has escapes. `serde` would copy an
/// `Option<Cow<str>>` always.
#[derive(Deserialize, Default)]
pub(super) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Text<'_> {
    pub(super) fn into_owned(self) -> String {
        self.0.into_owned()
    }
}

/// The first of a list, if it has any; the others are passed over.
pub(super) struct First<T>(pub(super) Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for First<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(FirstVisitor(PhantomData))
    }
}

struct FirstVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for FirstVisitor<T> {
    type Value = First<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<First<T>, A::Error> {
        let first = list.next_element()?;
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(First(first))
    }
}
