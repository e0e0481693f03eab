//! Reads requests off a connection, one after the other, into buffers that it keeps.

use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;

/// Longest line of a chunked body, in bytes.
const MAX_LINE: usize = 4 << 10;
const MAX_HEADERS: usize = 128;

/// How long a request may be, in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) head: usize,
    pub(crate) body: usize,
}

/// A connection's incoming side.
pub(crate) struct Reader {
    /// What has been read and not used yet is `buffer[start..end]`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    head: Vec<u8>,
    path: String,
    body: Vec<u8>,
}

/// A request read to its end; borrows the [`Reader`]'s buffers.
#[cfg_attr(not(feature = "test-server"), allow(dead_code, reason = "what only that asks for"))]
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    /// Without the query.
    pub(crate) path: &'a str,
    /// From the request line to the blank line.
    pub(crate) head: &'a [u8],
    pub(crate) body: &'a [u8],
    /// HTTP/1.0, which knows no chunks.
    pub(crate) old: bool,
    pub(crate) keep_alive: bool,
}

#[cfg_attr(not(feature = "test-server"), allow(dead_code, reason = "what only that asks for"))]
impl Request<'_> {
    /// The value of the first header of that name, in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&[u8]> {
        self.head.split(|&byte| byte == b'\n').skip(1).find_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let found = line[..colon].eq_ignore_ascii_case(name.as_bytes());
            found.then(|| line[colon + 1..].trim_ascii())
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
    Post,
    Other,
}

/// Why there is no request.
pub(crate) enum ReadError {
    /// The client closed, or the socket failed.
    Gone,
    /// It cannot be read on; to be answered with this status, then closed.
    Bad(u16, &'static str),
}

impl From<io::Error> for ReadError {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self {
            buffer: vec![0; 8 << 10],
            start: 0,
            end: 0,
            head: Vec::new(),
            path: String::new(),
            body: Vec::new(),
        }
    }

    /// Whether something of the next request is here already.
    #[cfg(feature = "admin")]
    pub(crate) fn has_more(&self) -> bool {
        self.start < self.end
    }

    /// Waits for the next request and reads all of it.
    pub(crate) fn next(
        &mut self,
        from: &mut (impl Read + Write + ?Sized),
        bounds: Bounds,
    ) -> Result<Request<'_>, ReadError> {
        let Bounds { head: max_head, body: max_body } = bounds;
        let facts = self.read_head(from, max_head)?;
        self.body.clear();
        match facts.body {
            BodyLength::Known(0) => {}
            BodyLength::Known(length) => {
                if length > max_body as u64 {
                    return Err(TOO_LONG);
                }
                self.greet(&facts, from)?;
                // Not more than `max_body`, so it fits.
                self.take_body(length as usize, from)?;
            }
            BodyLength::Chunked => {
                self.greet(&facts, from)?;
                self.read_chunks(from, max_body)?;
            }
        }
        Ok(Request {
            method: facts.method,
            path: &self.path,
            head: &self.head,
            body: &self.body,
            old: facts.old,
            keep_alive: facts.keep_alive,
        })
    }

    fn read_head(
        &mut self,
        from: &mut (impl Read + ?Sized),
        max_head: usize,
    ) -> Result<Facts, ReadError> {
        loop {
            if self.start < self.end {
                let waiting = &self.buffer[self.start..self.end];
                let parsed = parse(waiting, &mut self.path)?;
                if parsed.as_ref().map_or(waiting.len(), |it| it.1) > max_head {
                    return Err(ReadError::Bad(431, "the request's head is too long"));
                }
                if let Some((facts, length)) = parsed {
                    self.head.clear();
                    // httparse forgives blank lines before a request.
                    self.head.extend_from_slice(waiting[..length].trim_ascii_start());
                    self.start += length;
                    return Ok(facts);
                }
            }
            self.fill(from)?;
        }
    }

    /// Sends `100 Continue` to a client that waits for it with its body.
    fn greet(&self, facts: &Facts, to: &mut (impl Write + ?Sized)) -> io::Result<()> {
        if facts.expects_continue && self.start == self.end {
            to.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            to.flush()?;
        }
        Ok(())
    }

    /// Moves the next `count` bytes into the body. What is not here yet is read straight into it.
    fn take_body(&mut self, count: usize, from: &mut (impl Read + ?Sized)) -> io::Result<()> {
        let here = count.min(self.end - self.start);
        self.body.extend_from_slice(&self.buffer[self.start..self.start + here]);
        self.start += here;
        let mut filled = self.body.len();
        let end = filled + (count - here);
        while filled < end {
            // Grows as it comes, not as it was announced.
            self.body.resize(end.min(filled + (64 << 10)), 0);
            match from.read(&mut self.body[filled..]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn read_chunks(
        &mut self,
        from: &mut (impl Read + ?Sized),
        max_body: usize,
    ) -> Result<(), ReadError> {
        const BAD: ReadError = ReadError::Bad(400, "the request's body is not properly chunked");
        loop {
            let length = self.read_line(from)?;
            let line = &self.buffer[self.start..self.start + length];
            // httparse takes no digits at all for zero.
            let digits = line.first().is_some_and(u8::is_ascii_hexdigit);
            let parsed = httparse::parse_chunk_size(line);
            let (Ok(httparse::Status::Complete((_, size))), true) = (parsed, digits) else {
                return Err(BAD);
            };
            self.start += length;
            if size > (max_body - self.body.len()) as u64 {
                return Err(TOO_LONG);
            }
            if size == 0 {
                break;
            }
            self.take_body(size as usize, from)?;
            // The chunk's own line end.
            let length = self.read_line(from)?;
            if &self.buffer[self.start..self.start + length] != b"\r\n" {
                return Err(BAD);
            }
            self.start += length;
        }
        // Trailers, if any, up to the blank line. Whoever took another line for that one would take
        // what follows for another request.
        for _ in 0..MAX_HEADERS {
            let length = self.read_line(from)?;
            let line = &self.buffer[self.start..self.start + length];
            let (blank, whole) = (line == b"\r\n", line.ends_with(b"\r\n"));
            self.start += length;
            if blank {
                return Ok(());
            }
            if !whole {
                break;
            }
        }
        Err(BAD)
    }

    /// The length of the next line, its end included, once all of it is in the buffer.
    fn read_line(&mut self, from: &mut (impl Read + ?Sized)) -> Result<usize, ReadError> {
        loop {
            let waiting = &self.buffer[self.start..self.end];
            if let Some(end) = waiting.iter().position(|&byte| byte == b'\n') {
                return Ok(end + 1);
            }
            if waiting.len() > MAX_LINE {
                return Err(ReadError::Bad(400, "a line of the request's body is too long"));
            }
            self.fill(from)?;
        }
    }

    /// Reads more into the buffer, at least a byte.
    fn fill(&mut self, from: &mut (impl Read + ?Sized)) -> io::Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.end * 2, 0);
        }
        loop {
            match from.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    self.end += read;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

const TOO_LONG: ReadError = ReadError::Bad(413, "the request's body is too long");

/// What of a head matters here.
struct Facts {
    method: Method,
    old: bool,
    keep_alive: bool,
    expects_continue: bool,
    body: BodyLength,
}

enum BodyLength {
    Known(u64),
    Chunked,
}

/// Parses a head, and tells its length; none if it is not complete yet.
fn parse(bytes: &[u8], path: &mut String) -> Result<Option<(Facts, usize)>, ReadError> {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(ReadError::Bad(431, "the request has too many headers"));
        }
        Err(_) => return Err(ReadError::Bad(400, "the request's head is not HTTP/1")),
    };
    path.clear();
    path.push_str(request.path.and_then(|it| it.split('?').next()).unwrap_or_default());
    let old = request.version == Some(0);
    let mut facts = Facts {
        method: match request.method {
            Some("GET") => Method::Get,
            Some("HEAD") => Method::Head,
            Some("POST") => Method::Post,
            _ => Method::Other,
        },
        old,
        keep_alive: !old,
        expects_continue: false,
        body: BodyLength::Known(0),
    };
    let (mut known, mut chunked, mut close) = (None, false, false);
    for header in request.headers.iter() {
        let value = header.value.trim_ascii();
        if header.name.eq_ignore_ascii_case("content-length") {
            let length = parse_length(value);
            if length.is_none() || known.is_some_and(|it| Some(it) != length) {
                return Err(ReadError::Bad(400, "the request's content-length is not a length"));
            }
            known = length;
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(ReadError::Bad(400, "only chunked transfer-encoding is understood"));
            }
            chunked = true;
        } else if header.name.eq_ignore_ascii_case("connection") {
            for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                if option.eq_ignore_ascii_case(b"close") {
                    close = true;
                } else if old && option.eq_ignore_ascii_case(b"keep-alive") {
                    facts.keep_alive = true;
                }
            }
        } else if header.name.eq_ignore_ascii_case("expect") {
            facts.expects_continue = !old && value.eq_ignore_ascii_case(b"100-continue");
        }
    }
    facts.keep_alive &= !close;
    facts.body = match (known, chunked) {
        (Some(_), true) => {
            // The sign of a smuggled request, or of a broken client.
            return Err(ReadError::Bad(
                400,
                "content-length and transfer-encoding exclude another",
            ));
        }
        (None, true) if old => {
            return Err(ReadError::Bad(400, "HTTP/1.0 has no transfer-encoding"));
        }
        (None, true) => BodyLength::Chunked,
        (known, false) => BodyLength::Known(known.unwrap_or(0)),
    };
    Ok(Some((facts, length)))
}

fn parse_length(value: &[u8]) -> Option<u64> {
    // `parse` alone would take a sign.
    if !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
