//! Where a socket is to be opened, and with which headers.

use std::fmt;

use tungstenite::client::{ClientRequestBuilder, IntoClientRequest};
use tungstenite::handshake::client::Request;
use ureq::http::{HeaderName, HeaderValue, Uri};

use super::error::WebSocketError;

/// A URL of scheme `ws` or `wss`, and headers for the handshake. A text is one without headers.
///
/// `Debug` shows neither the values of headers nor the query of the URL, where some providers want a
/// key.
///
/// ```
/// use llm_pool::websocket::ConnectRequest;
///
/// let request = ConnectRequest::new("wss://api.example.com/v1/realtime?model=speech")
///     .header("Authorization", "Bearer sk-...")
///     .subprotocol("realtime");
/// # let _ = request;
/// ```
#[derive(Clone)]
pub struct ConnectRequest {
    url: String,
    headers: Vec<(String, String)>,
    subprotocols: Vec<String>,
}

impl ConnectRequest {
    /// Without headers of your own. Looked at when it is used.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), headers: Vec::new(), subprotocols: Vec::new() }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Offers a subprotocol; the server must choose one of those offered.
    #[must_use]
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.subprotocols.push(name.into());
        self
    }

    /// What is asked, and of whom.
    pub(super) fn target(&self) -> Result<Target, WebSocketError> {
        let bad = |what: &str| WebSocketError::BadUrl { url: self.shown(), what: what.to_owned() };
        let uri: Uri = self.url.parse().map_err(|error| bad(&format!("no URL: {error}")))?;
        let secure = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            _ => return Err(bad("the scheme must be ws or wss")),
        };
        let authority = uri.authority().ok_or_else(|| bad("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("a user in the URL is not sent; use a header"));
        }
        let host = authority.host();
        if host.is_empty() {
            return Err(bad("it has no host"));
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        // `http` passes over a port that is no number it knows.
        let port = match authority.as_str().strip_prefix(authority.host()).unwrap_or_default() {
            "" => Some(if secure { 443 } else { 80 }),
            port => port.strip_prefix(':').and_then(|port| port.parse().ok()),
        };
        let port = port.filter(|port| *port != 0);
        let port = port.ok_or_else(|| bad("the port must be from 1 to 65535"))?;
        let request = self.request(uri).map_err(|what| bad(&what))?;
        Ok(Target { secure, host, port, request, shown: self.shown() })
    }

    fn request(&self, uri: Uri) -> Result<Request, String> {
        let mut builder = ClientRequestBuilder::new(uri);
        for (name, value) in &self.headers {
            let known: HeaderName = name.parse().map_err(|_| "a header's name is none")?;
            let lower = known.as_str();
            if lower.starts_with("sec-websocket-")
                || ["host", "connection", "upgrade", "content-length", "transfer-encoding"]
                    .contains(&lower)
            {
                return Err(format!("the header {lower} is set by the handshake"));
            }
            if HeaderValue::from_str(value).is_err() {
                return Err(format!("the value of the header {lower} is none"));
            }
            builder = builder.with_header(name, value);
        }
        for (at, name) in self.subprotocols.iter().enumerate() {
            let legal =
                |byte: u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte);
            if name.is_empty() || !name.bytes().all(legal) {
                return Err("the name of a subprotocol is none".to_owned());
            }
            // RFC 6455, section 4.1, item 10.
            if self.subprotocols.iter().take(at).any(|other| other == name) {
                return Err(format!("the subprotocol {name} is offered twice"));
            }
            builder = builder.with_sub_protocol(name);
        }
        builder.into_client_request().map_err(|error| error.to_string())
    }

    /// Host and port as they stand in the URL.
    pub(super) fn authority(&self) -> &str {
        let rest = self.url.split_once("://").map_or("", |(_, rest)| rest);
        rest.split(['/', '?', '#']).next().unwrap_or_default()
    }

    /// The URL without what may be secret.
    pub(super) fn shown(&self) -> String {
        let end = self.url.find(['?', '#']).unwrap_or(self.url.len());
        let bare = self.url.get(..end).unwrap_or_default();
        let (scheme, rest) = bare.split_once("://").unwrap_or(("", bare));
        let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        let shown = if scheme.is_empty() { rest.to_owned() } else { format!("{scheme}://{rest}") };
        shown.chars().filter(|c| !c.is_control()).take(200).collect()
    }
}

impl From<&str> for ConnectRequest {
    fn from(url: &str) -> Self {
        Self::new(url)
    }
}

impl From<String> for ConnectRequest {
    fn from(url: String) -> Self {
        Self::new(url)
    }
}

impl fmt::Debug for ConnectRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("ConnectRequest")
            .field("url", &self.shown())
            .field("headers", &names)
            .field("subprotocols", &self.subprotocols)
            .finish()
    }
}

/// A request that was understood.
pub(super) struct Target {
    pub(super) secure: bool,
    /// Without the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) request: Request,
    pub(super) shown: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_is_not_ws_or_wss_is_refused_with_the_reason() {
        for (url, what) in [
            ("http://a.test/", "scheme"),
            ("a.test", "scheme"),
            ("", "no URL"),
            ("ws://", "no URL"),
            ("ws:///path", "no URL"),
            ("ws://a.test:99999/", "port"),
            ("ws://a.test:0/", "port"),
            ("ws://user:hunter2@a.test/", "header"),
            ("ws://a b/", "no URL"),
        ] {
            let Err(error) = ConnectRequest::new(url).target() else { panic!("{url} passes") };
            let error = error.to_string();
            assert!(error.contains(what), "{url}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn headers_of_the_handshake_and_bad_ones_are_refused() {
        for (name, value) in
            [("Host", "x"), ("Sec-WebSocket-Extensions", "x"), ("a b", "x"), ("X", "a\r\nB: c")]
        {
            let request = ConnectRequest::new("ws://a.test").header(name, value);
            assert!(request.target().is_err(), "{name}");
        }
        let twice = ConnectRequest::new("ws://a.test").subprotocol("a").subprotocol("a");
        assert!(twice.target().is_err());
        assert!(ConnectRequest::new("ws://a.test").subprotocol("a,b").target().is_err());
    }

    #[test]
    fn neither_the_query_nor_a_header_shows() {
        let request = ConnectRequest::new("wss://u:hunter2@a.test/p?key=hunter2#hunter2");
        let request = request.header("Authorization", "hunter2");
        let shown = format!("{request:?}");
        assert!(shown.contains("wss://a.test/p") && shown.contains("Authorization"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn host_and_port_are_those_of_the_url() {
        for (url, host, port, secure) in [
            ("ws://a.test", "a.test", 80, false),
            ("wss://a.test/x?y=z", "a.test", 443, true),
            ("ws://[::1]:8080/", "::1", 8080, false),
        ] {
            let target = ConnectRequest::new(url).target().unwrap();
            assert_eq!((&*target.host, target.port, target.secure), (host, port, secure));
        }
    }
}
