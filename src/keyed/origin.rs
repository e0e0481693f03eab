//! Where a URL leads to: scheme, host and port.

use std::net::Ipv6Addr;
use std::sync::Arc;

use ureq::http::Uri;

use super::by_text::by_text;
use crate::key_error::{KeyError, cut};

/// The longest name that DNS can say, and the longest label in one.
const LONGEST_HOST: usize = 253;
const LONGEST_LABEL: usize = 63;

/// Scheme, host and port of an `http` or `https` URL: what one connection can serve.
///
/// The case of scheme and host, a default port, a dot at the end of the host, and all of path,
/// query and fragment make no difference:
///
/// ```
/// use llm_pool::keyed::Origin;
///
/// # fn main() -> Result<(), llm_pool::keyed::KeyError> {
/// let origin = Origin::parse("HTTPS://API.Example.com.:443/v1/models?page=2#top")?;
/// assert_eq!(origin, Origin::parse("https://api.example.com")?);
/// assert_eq!(origin.to_string(), "https://api.example.com");
/// assert_eq!((origin.scheme(), origin.host(), origin.port()), ("https", "api.example.com", 443));
/// assert_eq!(origin.url("/v1/models"), "https://api.example.com/v1/models");
/// # Ok(())
/// # }
/// ```
///
/// Made to be a key: a clone shares the text, and only that is hashed. Origins are ordered as their
/// texts are.
#[derive(Clone)]
pub struct Origin {
    text: Arc<str>,
    host_ends: usize,
    port: u16,
}

impl Origin {
    /// Reads the origin of a URL, of which nothing is guessed: it must begin with `http://` or
    /// `https://`.
    ///
    /// # Errors
    ///
    /// [`KeyError`] with the reason if the URL is empty, has no scheme, another scheme or no host,
    /// has a port that is not 1 to 65535 or a host that cannot be one, holds a space or a control
    /// character, or is longer than 65 534 bytes. A host that is not ASCII must be given in
    /// punycode. A URL with a user or a password is refused too, lest they end up in a key. The
    /// error shows neither these nor the query.
    pub fn parse(url: &str) -> Result<Self, KeyError> {
        Self::read(url).map(|(origin, _)| origin)
    }

    /// The origin, and the whole URL for its path.
    pub(super) fn read(url: &str) -> Result<(Self, Uri), KeyError> {
        read(url).map_err(|reason| KeyError::of("URL", without_secrets(url), reason))
    }

    pub(super) fn shared_text(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }

    /// `"http"` or `"https"`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        if self.text.starts_with(HTTPS) { "https" } else { "http" }
    }

    /// The host in lower case; an IPv6 address in its shortest form and in brackets, as in a URL.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.text[self.host_begins()..self.host_ends]
    }

    /// The port, also where it is the scheme's default of 80 or 443.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The host, and the port where it is not the scheme's default: `api.example.com` or
    /// `localhost:8080`. What a limit for one host goes by; `http` and `https` share it.
    #[must_use]
    pub fn host_and_port(&self) -> &str {
        &self.text[self.host_begins()..]
    }

    /// The URL of `path` at this origin, with one slash between them whether or not `path` begins
    /// with one. An empty path adds nothing. `path` is not checked; it may bring a query.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        join(&self.text, path)
    }

    fn host_begins(&self) -> usize {
        if self.text.starts_with(HTTPS) { HTTPS.len() } else { HTTP.len() }
    }
}

by_text!(Origin);

const HTTP: &str = "http://";
const HTTPS: &str = "https://";

/// `base` has no slash at its end.
pub(super) fn join(base: &str, path: &str) -> String {
    if path.is_empty() {
        return base.to_owned();
    }
    format!("{base}/{}", path.strip_prefix('/').unwrap_or(path))
}

/// Fails with the reason. A reason names no part of the URL, which may be of a password.
fn read(url: &str) -> Result<(Origin, Uri), String> {
    if url.is_empty() {
        return Err("it is empty".into());
    }
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("it has a space or a control character".into());
    }
    let (scheme, rest) = split_scheme(url).unzip();
    let rest = rest.unwrap_or(url);
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    if authority.contains('@') {
        return Err("it has a user or a password: send them in a header".into());
    }
    let scheme = scheme.ok_or_else(|| no_scheme(url))?.to_ascii_lowercase();
    let (prefix, default_port) = match &*scheme {
        "http" => (HTTP, 80),
        "https" => (HTTPS, 443),
        _ => return Err("its scheme must be http or https".into()),
    };
    if authority.is_empty() {
        return Err("it has no host".into());
    }
    if !authority.is_ascii() {
        return Err("its host is not ASCII: it must be given in punycode (xn--...)".into());
    }
    let uri: Uri = url.parse().map_err(|error| unreadable(authority, &error))?;
    let host = uri.host().unwrap_or_default();
    // With brackets, `http` lets other things stand between host and port.
    let port = authority.strip_prefix(host).ok_or(BRACKETS)?;
    let host = canonical_host(host)?;
    let port = if port.is_empty() { default_port } else { read_port(port)? };
    let host_ends = prefix.len() + host.len();
    let shown_port = if port == default_port { String::new() } else { format!(":{port}") };
    let text = format!("{prefix}{host}{shown_port}").into();
    Ok((Origin { text, host_ends, port }, uri))
}

const BRACKETS: &str = "only an IPv6 address can be in brackets, and must be";
const LETTERS: &str = "its host may have letters, digits, '-', '_' and '.' only";
const PORT: &str = "its port must be 1 to 65535";

/// Splits `scheme://rest`, if it does begin with what can be a scheme.
fn split_scheme(url: &str) -> Option<(&str, &str)> {
    url.split_once("://").filter(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

fn no_scheme(url: &str) -> String {
    let may_be_host = url.starts_with(|c: char| c.is_alphanumeric() || c == '[');
    let slashes_forgotten = url.starts_with("http:") || url.starts_with("https:");
    // What has an `@` may hold a password in a place where none should be.
    if may_be_host && !slashes_forgotten && !url.contains(['@', '?', '#']) {
        format!("it has no scheme; did you mean \"https://{}\"?", cut(url))
    } else {
        "it must begin with http:// or https://".into()
    }
}

fn unreadable(authority: &str, error: &impl std::fmt::Display) -> String {
    if authority.contains(['[', ']']) || authority.matches(':').count() > 1 {
        BRACKETS.into()
    } else if !authority.chars().all(|c| c == ':' || may_be_in_host(c)) {
        LETTERS.into()
    } else {
        format!("ureq cannot read it: {error}")
    }
}

/// Of `:8080`.
fn read_port(text: &str) -> Result<u16, &'static str> {
    let digits = text.strip_prefix(':').ok_or(BRACKETS)?;
    // `u16` would also read `+80`. No digits at all are a mistake more often than the default.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PORT);
    }
    digits.parse().ok().filter(|&port| port > 0).ok_or(PORT)
}

fn canonical_host(host: &str) -> Result<String, &'static str> {
    if let Some(address) = host.strip_prefix('[') {
        let address: Option<Ipv6Addr> = address.strip_suffix(']').and_then(|v6| v6.parse().ok());
        return address.map(|v6| format!("[{v6}]")).ok_or("its IPv6 address is not one");
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() {
        return Err("it has no host");
    }
    if host.contains(['[', ']']) {
        return Err(BRACKETS);
    }
    if host.len() > LONGEST_HOST {
        return Err("its host is longer than 253 characters");
    }
    if !host.chars().all(may_be_in_host) {
        return Err(LETTERS);
    }
    if host.split('.').any(|label| label.is_empty() || label.len() > LONGEST_LABEL) {
        return Err("its host must have 1 to 63 characters between two dots");
    }
    Ok(host.to_ascii_lowercase())
}

/// Underscores are in no host's name by the book, and in many a container's.
fn may_be_in_host(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// The URL without what may be secret. A password that was not escaped may hold anything, so all up
/// to the last `@` counts as one; and keys are often sent in the query.
pub(crate) fn without_secrets(url: &str) -> String {
    let (scheme, rest) = match split_scheme(url) {
        Some((scheme, rest)) => (&url[..scheme.len() + "://".len()], rest),
        None => ("", url),
    };
    match rest.rsplit_once('@') {
        // Whether it is in a password or in a query that goes on, nobody can tell.
        Some((before, _)) if before.contains(['?', '#']) => format!("{scheme}***"),
        Some((_, after)) => format!("{scheme}***@{}", without_query(after)),
        None => format!("{scheme}{}", without_query(rest)),
    }
}

fn without_query(rest: &str) -> String {
    match rest.find(['?', '#']) {
        Some(end) => format!("{}***", &rest[..=end]),
        None => rest.to_owned(),
    }
}
