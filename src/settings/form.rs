//! How a setting stands in a file: what each kind of value is read from, and shown as.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::fmt::friendly::SpanParser;
use toml::de::DeValue;

use super::reader::{Entry, Reader, join};

/// What can stand in a file.
pub(super) trait Form {
    /// Takes over what the file says; what it does not say stays as it is.
    fn read(&mut self, entry: &Entry<'_>, reader: &mut Reader<'_>);

    /// Each setting with its value, as they would stand in a file.
    fn show(&self, path: &str, lines: &mut Vec<Line>);
}

/// One setting, and its value.
#[derive(Clone, PartialEq)]
pub(super) struct Line {
    pub(super) path: String,
    pub(super) value: String,
    /// A value that may be a secret. It is compared, and not shown.
    pub(super) hidden: bool,
}

impl Line {
    pub(super) fn shown(&self) -> &str {
        if self.hidden { "***" } else { &self.value }
    }
}

pub(super) fn line(path: &str, value: impl ToString, lines: &mut Vec<Line>) {
    lines.push(Line { path: path.into(), value: value.to_string(), hidden: false });
}

/// For a value that may be a secret.
pub(super) fn hidden(path: &str, value: impl Into<String>, lines: &mut Vec<Line>) {
    lines.push(Line { path: path.into(), value: value.into(), hidden: true });
}

/// A struct as a table: its fields, in their order, each with the word that stands for none, if
/// there may be none. All that is not in a file is named as well, so that a new field that is
/// forgotten here does not compile.
macro_rules! table {
    (
        $struct:ty { $($name:ident $(or $word:literal)?),* $(,)? }
        $(without { $($not:ident),* $(,)? })?
    ) => {
        impl $crate::settings::form::Form for $struct {
            fn read(
                &mut self,
                entry: &$crate::settings::reader::Entry<'_>,
                reader: &mut $crate::settings::reader::Reader<'_>,
            ) {
                for entry in reader.table(entry) {
                    match entry.name {
                        $(stringify!($name) => {
                            $crate::settings::form::table!(@read self.$name, entry, reader $(, $word)?);
                        })*
                        _ => reader.unknown(&entry, &[$(stringify!($name)),*]),
                    }
                }
            }

            fn show(&self, path: &str, lines: &mut Vec<$crate::settings::form::Line>) {
                let Self { $($name,)* $($($not: _,)*)? } = self;
                $(
                    let path_of = $crate::settings::reader::join(path, stringify!($name));
                    $crate::settings::form::table!(@show $name, &path_of, lines $(, $word)?);
                )*
            }
        }
    };
    (@read $field:expr, $entry:ident, $reader:ident) => {
        $crate::settings::form::Form::read(&mut $field, &$entry, $reader)
    };
    (@read $field:expr, $entry:ident, $reader:ident, $word:literal) => {
        $crate::settings::form::read_or($word, &mut $field, &$entry, $reader)
    };
    (@show $field:expr, $path:expr, $lines:ident) => {
        $crate::settings::form::Form::show($field, $path, $lines)
    };
    (@show $field:expr, $path:expr, $lines:ident, $word:literal) => {
        $crate::settings::form::show_or($word, $field, $path, $lines)
    };
}

/// An enum as one of several names.
macro_rules! names {
    ($enum:ty { $($variant:ident = $name:literal),* $(,)? }) => {
        impl $crate::settings::form::Form for $enum {
            fn read(
                &mut self,
                entry: &$crate::settings::reader::Entry<'_>,
                reader: &mut $crate::settings::reader::Reader<'_>,
            ) {
                match entry.value.as_str() {
                    $(Some($name) => *self = Self::$variant,)*
                    _ => reader.not_among(entry, &[$($name),*]),
                }
            }

            fn show(&self, path: &str, lines: &mut Vec<$crate::settings::form::Line>) {
                let name = match self { $(Self::$variant => $name,)* };
                $crate::settings::form::line(path, format_args!("{name:?}"), lines);
            }
        }
    };
}

pub(super) use {names, table};

/// A setting that may have no value, for which `word` stands.
pub(super) fn read_or<T: Form + Default>(
    word: &'static str,
    option: &mut Option<T>,
    entry: &Entry<'_>,
    reader: &mut Reader<'_>,
) {
    if entry.value.as_str() == Some(word) {
        *option = None;
    } else {
        option.get_or_insert_default().read(&entry.or(word), reader);
    }
}

pub(super) fn show_or<T: Form>(word: &str, option: &Option<T>, path: &str, lines: &mut Vec<Line>) {
    match option {
        Some(value) => value.show(path, lines),
        None => line(path, format_args!("{word:?}"), lines),
    }
}

/// `Debug` of a struct that may hold a secret: as it would stand in a file, and secrets as `***`.
pub(super) fn debug(name: &str, form: &impl Form, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut lines = Vec::new();
    form.show("", &mut lines);
    let mut debug = f.debug_struct(name);
    for line in &lines {
        debug.field(&line.path, &format_args!("{}", line.shown()));
    }
    debug.finish()
}

/// A whole number of a file, which TOML bounds by 64 bits with a sign.
pub(super) fn whole(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

pub(super) fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Float(number) => number.as_str().parse().ok(),
        _ => whole(value).map(|number| number as f64),
    }
}

macro_rules! whole_numbers {
    ($($number:ty: $what:literal),* $(,)?) => {$(
        impl Form for $number {
            fn read(&mut self, entry: &Entry<'_>, reader: &mut Reader<'_>) {
                match whole(entry.value).and_then(|number| Self::try_from(number).ok()) {
                    Some(number) => *self = number,
                    None => reader.must(entry, $what),
                }
            }

            fn show(&self, path: &str, lines: &mut Vec<Line>) {
                line(path, self, lines);
            }
        }
    )*};
}

whole_numbers! {
    u8: "be a whole number from 0 to 255",
    u32: "be a whole number from 0 to 4294967295",
    u64: "be a whole number of at least 0",
    usize: "be a whole number of at least 0",
}

impl Form for f64 {
    fn read(&mut self, entry: &Entry<'_>, reader: &mut Reader<'_>) {
        match number(entry.value) {
            Some(number) => *self = number,
            None => reader.must(entry, "be a number"),
        }
    }

    fn show(&self, path: &str, lines: &mut Vec<Line>) {
        line(path, format_args!("{self:?}"), lines);
    }
}

impl Form for bool {
    fn read(&mut self, entry: &Entry<'_>, reader: &mut Reader<'_>) {
        match entry.value.as_bool() {
            Some(yes) => *self = yes,
            None => reader.must(entry, "be true or false"),
        }
    }

    fn show(&self, path: &str, lines: &mut Vec<Line>) {
        line(path, self, lines);
    }
}

impl Form for String {
    fn read(&mut self, entry: &Entry<'_>, reader: &mut Reader<'_>) {
        match entry.value.as_str() {
            Some(text) => *self = text.into(),
            None => reader.must(entry, "be a text"),
        }
    }

    fn show(&self, path: &str, lines: &mut Vec<Line>) {
        // A URL with a user, or with a query, may hold a key.
        let secret = self.contains("://") && self.contains(['@', '?']);
        let value = format!("{self:?}");
        if secret { hidden(path, value, lines) } else { line(path, value, lines) }
    }
}

impl Form for Arc<str> {
    fn read(&mut self, entry: &Entry<'_>, reader: &mut Reader<'_>) {
        let mut text = self.to_string();
        text.read(entry, reader);
        *self = text.into();
    }

    fn show(&self, path: &str, lines: &mut Vec<Line>) {
        line(path, format_args!("{self:?}"), lines);
    }
}

impl Form for PathBuf {
    fn read(&mut self, entry: &Entry<'_>, reader: &mut Reader<'_>) {
        match entry.value.as_str() {
            Some(path) => *self = path.into(),
            None => reader.must(entry, "be the name of a file"),
        }
    }

    fn show(&self, path: &str, lines: &mut Vec<Line>) {
        line(path, format_args!("{self:?}"), lines);
    }
}

const FOREVER: &str = "forever";

impl Form for Duration {
    fn read(&mut self, entry: &Entry<'_>, reader: &mut Reader<'_>) {
        let text = entry.value.as_str();
        let read = |text| SpanParser::new().parse_unsigned_duration(text).ok();
        match text.and_then(|text| if text == FOREVER { Some(Self::MAX) } else { read(text) }) {
            Some(duration) => *self = duration,
            None => {
                reader.must(
                    entry,
                    "be a time with its unit, such as \"500 ms\", \"30 s\", \"5 min\" or \"2 h\"",
                );
            }
        }
    }

    fn show(&self, path: &str, lines: &mut Vec<Line>) {
        line(path, format_args!("{:?}", written(*self)), lines);
    }
}

/// As it would stand in a file: in the largest unit in which it is whole.
fn written(duration: Duration) -> String {
    const UNITS: [(u128, &str); 5] = [
        (3_600_000_000_000, "h"),
        (60_000_000_000, "min"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
    ];
    if duration == Duration::MAX {
        return FOREVER.into();
    }
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0 s".into();
    }
    let whole = UNITS.iter().find(|(unit, _)| nanos % unit == 0);
    let (unit, name) = whole.unwrap_or(&(1, "ns"));
    format!("{} {name}", nanos / unit)
}

impl Form for Vec<String> {
    fn read(&mut self, entry: &Entry<'_>, reader: &mut Reader<'_>) {
        self.clear();
        for entry in reader.list(entry) {
            let mut text = String::new();
            text.read(&entry, reader);
            self.push(text);
        }
    }

    fn show(&self, path: &str, lines: &mut Vec<Line>) {
        line(path, format_args!("{self:?}"), lines);
    }
}

/// Tables by names that are the user's.
impl<T: Form + Default> Form for BTreeMap<String, T> {
    fn read(&mut self, entry: &Entry<'_>, reader: &mut Reader<'_>) {
        for entry in reader.table(entry) {
            self.entry(entry.name.into()).or_default().read(&entry, reader);
        }
    }

    fn show(&self, path: &str, lines: &mut Vec<Line>) {
        self.iter().for_each(|(name, value)| value.show(&join(path, name), lines));
    }
}
