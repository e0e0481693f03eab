//! Bodies that keep their lease.
//!
//! A body of `ureq` outlives the borrow of its agent: a lease can be put back while its answer is
//! still being read, and the pool then lends out a connection that is not free. A [`LeasedBody`]
//! owns both. It is open (body and lease), at its end, or failed (neither); it leaves the open
//! state once, and the connection is always given back or closed before the lease is dropped. It
//! has no lock.

use std::io::{self, Read};
use std::time::{Duration, Instant};
use std::{fmt, mem, thread};

use ureq::http::{HeaderMap, Response, header};
use ureq::{Body, BodyReader};

use super::connector::read_until;
use crate::caught::caught;

/// Ties an answer to the lease of the agent that fetched it. The way to stream.
///
/// The lease, of whatever type, is dropped the moment the body has been read to its end (the read
/// that returns 0), has failed, or is itself dropped. If it is dropped unfinished, what is left is
/// read within the limits of [`Leftover`], for the connection to be used again. That commonly takes
/// no time: a stream that was read up to its last event has but its end left.
///
/// ```no_run
/// use llm_pool::agent::{self, AgentConfig, AgentManager};
/// use llm_pool::{Pool, PoolConfig};
/// use std::io::{BufRead, BufReader};
///
/// let manager = AgentManager::new(AgentConfig::default())?;
/// let pool = Pool::new(PoolConfig::default(), manager)?;
/// let lease = pool.get()?;
/// let response = lease.post("https://api.example.com/v1/chat").send("{}")?;
/// let response = agent::hold(lease, response);        // can be sent to another thread now
/// for line in BufReader::new(response.into_body()).lines() {
///     match line?.as_str() {
///         "data: [DONE]" => break,
///         line => println!("{line}"),
///     }
/// }                                                   // the lease ends here at the latest
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn hold<L>(lease: L, response: Response<Body>) -> Response<LeasedBody<L>> {
    hold_with(lease, response, Leftover::default())
}

/// [`hold`], with other limits for what is left of a dropped body.
pub fn hold_with<L>(
    lease: L,
    response: Response<Body>,
    leftover: Leftover,
) -> Response<LeasedBody<L>> {
    // Nothing is won by reading on a connection that is closed anyhow.
    let leftover = if closes(response.headers()) { Leftover::NONE } else { leftover };
    response.map(|body| LeasedBody {
        state: State::Open { reader: body.into_reader(), lease },
        leftover,
    })
}

/// How much of a body that is dropped unfinished is read, to save its connection.
///
/// If it ends within both limits the connection is used again, else it is closed. The drop takes
/// up to `time`; zero in either limit closes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leftover {
    /// So many bytes, after decompression. Default 64 KiB.
    pub bytes: usize,
    /// For so long, whatever the agent's own time-outs. Default 50 ms.
    pub time: Duration,
}

impl Leftover {
    /// Reads nothing: a body that is dropped unfinished closes its connection.
    pub const NONE: Self = Self { bytes: 0, time: Duration::ZERO };

    /// Sets [`bytes`](Self#structfield.bytes).
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// Sets [`time`](Self#structfield.time).
    #[must_use]
    pub fn time(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }
}

impl Default for Leftover {
    fn default() -> Self {
        Self { bytes: 64 * 1024, time: Duration::from_millis(50) }
    }
}

/// The body of an answer with the lease of the agent that fetched it, made by [`hold`].
///
/// Reads block as long as the agent's time-outs allow and return what is there, decompressed. A
/// read that fails ends the lease, save one that was interrupted by a signal, which can be
/// repeated; reads after a failure fail, reads after the end return 0.
///
/// It can be sent to another thread if the lease can. A thread that panics, or a body whose server
/// said `Connection: close`, has its connection closed without reading on.
pub struct LeasedBody<L> {
    state: State<L>,
    leftover: Leftover,
}

enum State<L> {
    Open { reader: BodyReader<'static>, lease: L },
    Ended,
    Failed,
}

impl<L> LeasedBody<L> {
    /// Whether the lease is still held: the body was neither read to its end nor failed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    fn leave(&mut self, next: State<L>) {
        if let State::Open { reader, lease } = mem::replace(&mut self.state, next) {
            // In this order: whoever gets the lease next finds the connection free.
            drop(reader);
            drop(lease);
        }
    }
}

impl<L> Read for LeasedBody<L> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let State::Open { reader, .. } = &mut self.state else {
            return match self.state {
                State::Failed => Err(io::Error::other("the body has failed before")),
                _ => Ok(0),
            };
        };
        // Zero would be mistaken for the end.
        if buf.is_empty() {
            return Ok(0);
        }
        let read = reader.read(buf);
        match &read {
            Ok(0) => self.leave(State::Ended),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.leave(State::Failed),
        }
        read
    }
}

impl<L> Drop for LeasedBody<L> {
    fn drop(&mut self) {
        if let State::Open { reader, lease } = mem::replace(&mut self.state, State::Ended) {
            if !thread::panicking() {
                let leftover = self.leftover;
                // Whatever decodes the body may panic on what the server sent. The connection is
                // then closed by the unwinding.
                let _ = caught(|| leftover.read(reader));
            } else {
                drop(reader);
            }
            drop(lease);
        }
    }
}

impl<L> fmt::Debug for LeasedBody<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeasedBody").field("open", &self.is_open()).finish_non_exhaustive()
    }
}

impl Leftover {
    /// Gives the connection back if the body ends within the limits, else closes it.
    fn read(self, mut reader: BodyReader<'static>) {
        if self.bytes == 0 || self.time.is_zero() {
            return;
        }
        // None for a time beyond all clocks.
        let until = Instant::now().checked_add(self.time);
        read_until(until, || {
            let mut buf = [0; 4096];
            let mut left = self.bytes;
            loop {
                match reader.read(&mut buf) {
                    Ok(0) => return,
                    Ok(n) if n <= left => left -= n,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Ok(_) | Err(_) => return,
                }
                // A server that never stops sending never lets a read wait.
                if until.is_some_and(|until| Instant::now() >= until) {
                    return;
                }
            }
        });
    }
}

fn closes(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("close"))
}
