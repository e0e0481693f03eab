//! The requests a server has seen, and the bounded log that keeps them.

use std::collections::VecDeque;
use std::fmt;

/// A request as it arrived. Its `Debug` shows neither credentials nor query nor body.
#[derive(Clone, PartialEq, Eq)]
pub struct SeenRequest {
    number: u64,
    connection: u64,
    /// Raw, from the request line to the blank line: most are never looked at, so it is taken
    /// apart only on demand.
    head: Vec<u8>,
    body: Vec<u8>,
}

impl SeenRequest {
    /// Its place in the order of arrival, from 1. The answer told it as `x-request-number`.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The number of the connection it came over, from 1. The answer told it as
    /// `x-connection-number`.
    #[must_use]
    pub fn connection(&self) -> u64 {
        self.connection
    }

    /// The method, such as `POST`.
    #[must_use]
    pub fn method(&self) -> &str {
        self.request_line().next().unwrap_or_default()
    }

    /// The path with its query, as it was sent.
    #[must_use]
    pub fn path(&self) -> &str {
        self.request_line().nth(1).unwrap_or_default()
    }

    /// The value of the first header of that name, in any case; none if absent or not UTF-8.
    /// Credentials are not hidden here.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All headers in the order they were sent, without those that are not UTF-8.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines().skip(1).filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name, value.trim()))
        })
    }

    /// The body, with chunks put together.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn json(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    fn request_line(&self) -> impl Iterator<Item = &str> {
        self.lines().next().unwrap_or_default().split(' ')
    }

    fn lines(&self) -> impl Iterator<Item = &str> {
        self.head.split(|&byte| byte == b'\n').map(|line| {
            std::str::from_utf8(line).map(|line| line.trim_end_matches('\r')).unwrap_or_default()
        })
    }
}

impl fmt::Debug for SeenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SECRET: [&str; 5] =
            ["authorization", "proxy-authorization", "api-key", "x-api-key", "cookie"];
        let headers: Vec<_> = self
            .headers()
            .map(|(name, value)| {
                let secret = SECRET.iter().any(|it| it.eq_ignore_ascii_case(name));
                (name, if secret { "[redacted]" } else { value })
            })
            .collect();
        // Some APIs take their key in the query.
        let path = match self.path().split_once('?') {
            Some((path, _)) => format!("{path}?[redacted]"),
            None => self.path().to_owned(),
        };
        f.debug_struct("SeenRequest")
            .field("number", &self.number)
            .field("connection", &self.connection)
            .field("method", &self.method())
            .field("path", &path)
            .field("headers", &headers)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// How many requests a server remembers unless told otherwise.
pub(super) const DEFAULT_REQUESTS: usize = 1024;

/// How many bytes of requests a server remembers at most.
const MAX_BYTES: usize = 64 << 20;

/// The last requests, bounded in number and in bytes.
pub(super) struct Log {
    requests: VecDeque<SeenRequest>,
    max_requests: usize,
    bytes: usize,
}

impl Log {
    pub(super) fn new(max_requests: usize) -> Self {
        Self { requests: VecDeque::new(), max_requests, bytes: 0 }
    }

    pub(super) fn record(&mut self, number: u64, connection: u64, head: &[u8], body: &[u8]) {
        let bytes = head.len().saturating_add(body.len());
        if self.max_requests == 0 || bytes > MAX_BYTES {
            return;
        }
        let mut entry = None;
        while self.requests.len() >= self.max_requests || self.bytes + bytes > MAX_BYTES {
            let Some(oldest) = self.requests.pop_front() else { break };
            self.bytes -= oldest.head.len() + oldest.body.len();
            entry = Some(oldest);
        }
        // A full log turns over in the memory it has.
        let (mut kept_head, mut kept_body) =
            entry.map(|entry| (entry.head, entry.body)).unwrap_or_default();
        kept_head.clear();
        kept_head.extend_from_slice(head);
        kept_body.clear();
        kept_body.extend_from_slice(body);
        self.bytes += bytes;
        self.requests.push_back(SeenRequest {
            number,
            connection,
            head: kept_head,
            body: kept_body,
        });
    }

    pub(super) fn to_vec(&self) -> Vec<SeenRequest> {
        self.requests.iter().cloned().collect()
    }

    pub(super) fn clear(&mut self) {
        self.requests.clear();
        self.bytes = 0;
    }
}
