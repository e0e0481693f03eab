//! Texts that come from outside the file: from an environment variable, or a file of their own.

use std::env;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::form::{Form, Line, hidden, line, read_or};
use super::reader::{Entry, Reader, join};

/// A text, or where it is to be had. `Debug` does not show the text.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextFrom {
    /// The text itself, which must be no secret.
    Here(String),
    /// What the environment variable of this name says; in a file `{ env = "NAME" }`.
    Env(String),
    /// What is in this file, without white space at its ends; in a file `{ file = "NAME" }`.
    File(PathBuf),
}

impl TextFrom {
    /// # Errors
    /// What is wrong with the variable or the file, without what it holds.
    pub(super) fn get(&self) -> Result<String, String> {
        match self {
            Self::Here(text) => Ok(text.clone()),
            Self::Env(name) => from_env(name),
            Self::File(path) => from_file(path),
        }
    }
}

impl Default for TextFrom {
    fn default() -> Self {
        Self::Here(String::new())
    }
}

impl fmt::Debug for TextFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(_) => f.write_str("Here(***)"),
            Self::Env(name) => write!(f, "Env({})", shown_name(name)),
            Self::File(path) => write!(f, "File({})", shown_path(path)),
        }
    }
}

impl Form for TextFrom {
    fn read(&mut self, entry: &Entry<'_>, reader: &mut Reader<'_>) {
        if let Some(text) = entry.value.as_str() {
            *self = Self::Here(text.into());
            return;
        }
        if !entry.value.is_table() {
            reader.must(entry, "be a text, { env = \"NAME\" } or { file = \"NAME\" }");
            return;
        }
        let (mut env, mut file) = (None, None);
        for entry in reader.table(entry) {
            match entry.name {
                "env" => read_or("none", &mut env, &entry, reader),
                "file" => read_or("none", &mut file, &entry, reader),
                _ => reader.unknown(&entry, &["env", "file"]),
            }
        }
        match (env, file) {
            (Some(name), None) => *self = Self::Env(name),
            (None, Some(path)) => *self = Self::File(path),
            _ => reader.note(entry, "must have either env or file"),
        }
    }

    fn show(&self, path: &str, lines: &mut Vec<Line>) {
        match self {
            Self::Here(text) => hidden(path, format!("{text:?}"), lines),
            Self::Env(name) => show_env(&join(path, "env"), name, lines),
            Self::File(file) => show_file(&join(path, "file"), file, lines),
        }
    }
}

/// For the names of variables, which may be secrets put in the wrong place.
pub(super) fn show_env(path: &str, name: &str, lines: &mut Vec<Line>) {
    if is_plain_name(name) {
        line(path, format_args!("{name:?}"), lines);
    } else {
        hidden(path, name, lines);
    }
}

pub(super) fn show_file(path: &str, file: &Path, lines: &mut Vec<Line>) {
    if is_plain_path(file) {
        line(path, format_args!("{file:?}"), lines);
    } else {
        hidden(path, file.to_string_lossy(), lines);
    }
}

/// Longer than any key or token that is known of.
const LONGEST: u64 = 64 * 1024;

pub(super) fn from_env(name: &str) -> Result<String, String> {
    // Such a name has `env::var` panic on some systems.
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err("must be the name of an environment variable".into());
    }
    let shown = shown_name(name);
    match env::var(name) {
        Ok(text) => {
            one_line(&text).map_err(|what| format!("the environment variable {shown} {what}"))
        }
        Err(env::VarError::NotPresent) => {
            Err(format!("the environment variable {shown} is not set"))
        }
        Err(env::VarError::NotUnicode(_)) => {
            Err(format!("the environment variable {shown} is not UTF-8"))
        }
    }
}

pub(super) fn from_file(path: &Path) -> Result<String, String> {
    let shown = shown_path(path);
    let bytes =
        bytes_of(path).map_err(|error| format!("the file {shown} cannot be read: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("the file {shown} is not UTF-8"))?;
    one_line(&text).map_err(|what| format!("the file {shown} {what}"))
}

fn bytes_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One that never ends, such as a device, ends here.
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::other("it is larger than 64 KiB"));
    }
    Ok(bytes)
}

fn one_line(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Err("is empty"),
        text if text.contains(char::is_control) => Err("has more than one line"),
        text => Ok(text.into()),
    }
}

/// A key that stands where a name should stand is not shown.
pub(super) fn shown_name(name: &str) -> &str {
    if is_plain_name(name) {
        name
    } else {
        "named there (which is not shown, since it looks like a secret)"
    }
}

pub(super) fn shown_path(path: &Path) -> String {
    if is_plain_path(path) {
        path.display().to_string()
    } else {
        "named there (which is not shown, since it may be a secret: begin it with ./)".into()
    }
}

/// `OPENAI_API_KEY`, but not `sk-...` or `AKIAIOSFODNN7EXAMPLE`.
fn is_plain_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    let words = name.contains('_') || !name.bytes().any(|b| b.is_ascii_digit());
    !name.is_empty() && name.len() <= 64 && name.bytes().all(allowed) && words
}

/// With a directory at its start.
fn is_plain_path(path: &Path) -> bool {
    path.is_absolute() || path.starts_with(".") || path.starts_with("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_line_and_white_space_at_its_ends_is_none_of_it() {
        assert_eq!(one_line(" \tsk-1\r\n").as_deref(), Ok("sk-1"));
        assert_eq!(one_line(" \n"), Err("is empty"));
        assert_eq!(one_line("sk-1\nsk-2"), Err("has more than one line"));
    }

    #[test]
    fn what_looks_like_a_secret_is_not_shown_as_a_name() {
        for name in ["OPENAI_API_KEY", "TOKEN", "KEY_2"] {
            assert_eq!(shown_name(name), name);
        }
        for secret in ["sk-abc", "AKIAIOSFODNN7EXAMPLE", "hunter", "", "a_b"] {
            assert!(secret.is_empty() || !shown_name(secret).contains(secret));
            assert!(!is_plain_name(secret), "{secret}");
        }
        assert_eq!(shown_path(Path::new("./key")), "./key");
        assert!(!shown_path(Path::new("sk-abc")).contains("sk-abc"));
    }

    #[test]
    fn a_file_that_never_ends_is_refused() {
        let error = from_file(Path::new("/dev/zero")).unwrap_err();
        assert!(cfg!(not(unix)) || error.contains("larger than 64 KiB"), "{error}");
    }

    #[test]
    fn a_variable_that_cannot_be_is_refused() {
        for name in ["", "A=B", "A\0B"] {
            assert_eq!(from_env(name), Err("must be the name of an environment variable".into()));
        }
    }
}
