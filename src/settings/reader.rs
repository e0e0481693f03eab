//! Goes through a TOML text, and notes all that is wrong with where it stands.
//!
//! No value is ever shown but short numbers, and yes or no: any text may be a secret in the wrong
//! place. Names are, and so is the name of a provider or a group where another one was meant.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::error::{ConfigError, Problems};
use crate::key_error::cut;

/// Where the reading of one text has come to.
pub(super) struct Reader<'t> {
    text: &'t str,
    problems: Problems,
    /// Tables that have a problem.
    wrong: BTreeSet<String>,
    /// Where the value of each setting begins, in bytes.
    places: BTreeMap<String, usize>,
}

/// A value, and the name that it has.
#[derive(Clone)]
pub(super) struct Entry<'a> {
    /// As in `groups.small.endpoints[1].weight`; empty for the whole text.
    pub(super) path: String,
    pub(super) name: &'a str,
    pub(super) value: &'a DeValue<'a>,
    name_at: usize,
    value_at: usize,
    /// What may stand there in place of a value.
    word: Option<&'static str>,
}

/// Reads `text` with `read`.
///
/// # Errors
/// All that `read` noted; of a text that is no TOML, what is wrong first.
pub(super) fn read(
    text: &str,
    problems: Problems,
    read: impl FnOnce(&Entry<'_>, &mut Reader<'_>),
) -> Result<(), ConfigError> {
    let mut reader = Reader { text, problems, wrong: BTreeSet::new(), places: BTreeMap::new() };
    match DeTable::parse(text) {
        Ok(table) => {
            let value = DeValue::Table(table.into_inner());
            let path = String::new();
            let root = Entry { path, name: "", value: &value, name_at: 0, value_at: 0, word: None };
            read(&root, &mut reader);
        }
        // Its message says what was expected. It shows nothing of the text, as its `Display` does.
        Err(error) => {
            let at = error.span().map_or(text.len(), |span: Range<usize>| span.start);
            let place = reader.place(at);
            let what = format_args!("not TOML: {}", error.message());
            reader.problems.unless(false, &place.to_string(), what);
        }
    }
    reader.problems.check()
}

impl<'a> Entry<'a> {
    /// The same, where `word` may stand for no value.
    pub(super) fn or(&self, word: &'static str) -> Self {
        Self { word: Some(word), ..self.clone() }
    }

    /// The same, with its name as the value.
    pub(super) fn of_name<'b>(&'b self, name: &'b DeValue<'b>) -> Entry<'b> {
        Entry { value: name, value_at: self.name_at, ..self.clone() }
    }

    fn within(&self, name: &'a Spanned<DeString<'a>>, value: &'a Spanned<DeValue<'a>>) -> Self {
        Self {
            path: join(&self.path, name.get_ref()),
            name: name.get_ref(),
            value: value.get_ref(),
            name_at: name.span().start,
            value_at: value.span().start,
            word: None,
        }
    }
}

impl Reader<'_> {
    /// What is in a table.
    pub(super) fn table<'a>(&mut self, entry: &Entry<'a>) -> Vec<Entry<'a>> {
        let DeValue::Table(table) = entry.value else {
            self.must(entry, "be a table");
            return Vec::new();
        };
        let entries: Vec<_> = table.iter().map(|(name, value)| entry.within(name, value)).collect();
        let places = entries.iter().map(|entry| (entry.path.clone(), entry.value_at));
        self.places.extend(places);
        entries
    }

    /// What is in a list.
    pub(super) fn list<'a>(&mut self, entry: &Entry<'a>) -> Vec<Entry<'a>> {
        let DeValue::Array(list) = entry.value else {
            self.must(entry, "be a list");
            return Vec::new();
        };
        let item = |(index, value): (usize, &'a Spanned<DeValue<'a>>)| Entry {
            path: format!("{}[{index}]", entry.path),
            name: "",
            value: value.get_ref(),
            name_at: value.span().start,
            value_at: value.span().start,
            word: None,
        };
        let entries: Vec<_> = list.iter().enumerate().map(item).collect();
        let places = entries.iter().map(|entry| (entry.path.clone(), entry.value_at));
        self.places.extend(places);
        entries
    }

    /// Notes that the value must do or be something.
    pub(super) fn must(&mut self, entry: &Entry<'_>, what: &str) {
        let word = entry.word.map(|word| format!(" or \"{word}\"")).unwrap_or_default();
        let is = kind(entry.value);
        self.note(entry, format_args!("must {what}{word}, and is {is}"));
    }

    /// Notes a problem with a value.
    pub(super) fn note(&mut self, entry: &Entry<'_>, what: impl fmt::Display) {
        self.note_at(&entry.path, entry.value_at, what);
    }

    /// Notes a text that is none of these.
    pub(super) fn not_among(&mut self, entry: &Entry<'_>, known: &[&str]) {
        let near = entry.value.as_str().and_then(|text| nearest(text, known));
        let known: Vec<_> =
            known.iter().chain(&entry.word).map(|name| format!("\"{name}\"")).collect();
        let meant = near.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
        let what = format!("must be one of {}{meant}", known.join(", "));
        self.note(entry, what);
    }

    /// Notes a name that is none of these.
    pub(super) fn unknown(&mut self, entry: &Entry<'_>, known: &[&str]) {
        let table = entry.path.strip_suffix(&quoted(entry.name)).unwrap_or_default();
        let table = table.strip_suffix('.').unwrap_or(table);
        let near = nearest(entry.name, known);
        let what = if SECRETS.contains(&plain(entry.name).as_str()) {
            secret_here(known)
        } else if let Some(near) = near {
            format!("unknown name, did you mean `{near}`?")
        } else if let Some(place) = super::elsewhere(entry.name) {
            format!("unknown name here, it belongs in {place}")
        } else {
            format!("unknown name, known here are {}", known.join(", "))
        };
        // One that is no name at all may be a key that was to be a value.
        let is_name = entry.name.len() <= 40
            && entry.name.bytes().all(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'-'));
        let shown = if is_name { entry.name } else { "?" };
        self.note_at(&join(table, shown), entry.name_at, what);
    }

    /// Notes a problem that was found later, unless something else is wrong in the same table: that
    /// may be the reason.
    pub(super) fn later(&mut self, path: &str, what: &str) {
        if !self.wrong.contains(table_of(path)) && !self.wrong.contains(path) {
            let at = self.places.get(path).map(|at| format!(" ({})", self.place(*at)));
            self.problems.unless(false, &format!("{path}{}", at.unwrap_or_default()), what);
        }
    }

    fn note_at(&mut self, path: &str, at: usize, what: impl fmt::Display) {
        let place = self.place(at);
        let name = if path.is_empty() { place.to_string() } else { format!("{path} ({place})") };
        self.problems.unless(false, &name, what);
        self.wrong.insert(table_of(path).to_owned());
    }

    fn place(&self, at: usize) -> Place {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        Place { line, column }
    }
}

/// Both from 1; columns are characters.
struct Place {
    line: usize,
    column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// The path of what has this name in a table.
pub(super) fn join(table: &str, name: &str) -> String {
    let name = quoted(name);
    if table.is_empty() { name } else { format!("{table}.{name}") }
}

/// As TOML has it, cut if it is long.
fn quoted(name: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'?');
    if !name.is_empty() && name.bytes().all(bare) {
        cut(name)
    } else {
        format!("\"{}\"", cut(name))
    }
}

/// `groups.small` of `groups.small.wait_timeout`.
fn table_of(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(table, _)| table)
}

/// What a value is, without a word of text.
fn kind(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.is_empty() => "an empty text".into(),
        DeValue::String(_) => "another text".into(),
        DeValue::Integer(number) => short(&number.to_string()),
        DeValue::Float(number) => short(&number.to_string()),
        DeValue::Boolean(yes) => yes.to_string(),
        DeValue::Datetime(_) => "a date or time of day".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

/// A number that is longer than any setting may be a key.
fn short(number: &str) -> String {
    if number.len() <= 12 { number.into() } else { "a long number".into() }
}

/// Names that people give to what must not stand in the file.
const SECRETS: [&str; 8] =
    ["api_key", "apikey", "key", "token", "iam_token", "secret", "password", "authorization"];

/// Which names are right, by those that are known in the table.
fn secret_here(known: &[&str]) -> String {
    let right = if known.contains(&"token_env") { "token" } else { "api_key" };
    format!(
        "a secret may not stand in the file: name an environment variable with {right}_env, or a file \
         with {right}_file"
    )
}

/// In one manner of writing.
fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace(['-', ' '], "_")
}

/// The known name that may have been meant: at most a third of its letters differ.
pub(super) fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    // The distance takes the product of the lengths.
    if name.len() > 100 {
        return None;
    }
    let distance = |known: &&'k str| (strsim::osa_distance(&plain(name), known), *known);
    let (distance, near) = known.iter().map(distance).min()?;
    (distance * 3 <= near.len()).then_some(near)
}
