//! The bytes below a socket: TCP or TLS, waited for until a moment or not at all, each way by itself.
//!
//! A wait that ends early is always told as `WouldBlock`, whatever the system calls it: tungstenite
//! and rustls both keep what has come or gone of a frame or record, and go on from there with the
//! next call. Nothing is lost by a time-out in the middle of a frame.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

use rustls::{ClientConnection, StreamOwned};

/// A connection whose reads and writes wait as it was last [told](Self::wait_until).
pub(super) struct Stream {
    wire: Wire,
    /// Read ahead, in the handshake only: its head is handed out by itself, see [`Self::read`].
    ahead: Vec<u8>,
    used: usize,
    /// What comes next is the head of a handshake.
    head: bool,
    /// Bytes it took to send.
    written: u64,
}

enum Wire {
    Plain(Tcp),
    Tls(Box<StreamOwned<ClientConnection, Tcp>>),
}

/// A TCP connection with deadlines.
pub(super) struct Tcp {
    socket: TcpStream,
    /// When waits end; without one there are none.
    reads_until: Option<Instant>,
    writes_until: Option<Instant>,
    /// What the socket was last told, to spare system calls.
    non_blocking: bool,
    /// Bytes that may still be read; then there is nothing to read for now.
    left: Option<usize>,
    /// Bytes that went so far.
    went: u64,
}

/// A longer head of a handshake is none.
const MAX_HEAD: usize = 64 * 1024;

impl Stream {
    pub(super) fn plain(tcp: Tcp) -> Self {
        Self::of(Wire::Plain(tcp))
    }

    pub(super) fn tls(tls: StreamOwned<ClientConnection, Tcp>) -> Self {
        Self::of(Wire::Tls(Box::new(tls)))
    }

    fn of(wire: Wire) -> Self {
        Self { wire, ahead: Vec::new(), used: 0, head: false, written: 0 }
    }

    /// Waits for the other side end at this moment; without one there are none.
    pub(super) fn wait_until(&mut self, until: Option<Instant>) {
        let tcp = self.tcp();
        (tcp.reads_until, tcp.writes_until) = (until, until);
    }

    /// Reads wait until then, writes not at all.
    pub(super) fn wait_to_read(&mut self, until: Option<Instant>) {
        let tcp = self.tcp();
        (tcp.reads_until, tcp.writes_until) = (until, None);
    }

    /// Writes wait until then, reads not at all.
    pub(super) fn wait_to_write(&mut self, until: Option<Instant>) {
        let tcp = self.tcp();
        (tcp.reads_until, tcp.writes_until) = (None, until);
    }

    /// After so many bytes, TLS's own included, there is nothing to read for now; none is no limit.
    /// Many a small frame or record could otherwise keep a reader who is not to wait.
    pub(super) fn read_at_most(&mut self, bytes: Option<usize>) {
        self.tcp().left = bytes;
    }

    /// Whether reading ended at that bound.
    pub(super) fn has_read_most(&self) -> bool {
        match &self.wire {
            Wire::Plain(tcp) => tcp.left == Some(0),
            Wire::Tls(tls) => tls.sock.left == Some(0),
        }
    }

    /// Bytes it took to send so far; with TLS some may still be here.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Bytes the system took so far, TLS's own included.
    pub(super) fn went(&self) -> u64 {
        match &self.wire {
            Wire::Plain(tcp) => tcp.went,
            Wire::Tls(tls) => tls.sock.went,
        }
    }

    /// What is read next is the head of a handshake, and nothing that follows it is handed out with
    /// it: tungstenite would keep that where nobody else can have it.
    pub(super) fn expect_head(&mut self) {
        self.head = true;
    }

    /// Nothing more will be sent. An error is of no account: then the connection is gone.
    pub(super) fn end_writing(&mut self) {
        if let Wire::Tls(tls) = &mut self.wire {
            tls.conn.send_close_notify();
            let _ = flush_tls(tls);
        }
        let _ = self.tcp().socket.shutdown(Shutdown::Write);
    }

    /// Reads what the system has, up to a megabyte, and forgets it. True once there will be no more.
    pub(super) fn drain(&mut self) -> bool {
        let tcp = self.tcp();
        tcp.left = Some(1 << 20);
        let mut scratch = [0; 16 * 1024];
        loop {
            match tcp.read(&mut scratch) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            }
        }
    }

    fn tcp(&mut self) -> &mut Tcp {
        match &mut self.wire {
            Wire::Plain(tcp) => tcp,
            Wire::Tls(tls) => &mut tls.sock,
        }
    }

    fn read_wire(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.wire {
            Wire::Plain(tcp) => tcp.read(into),
            Wire::Tls(tls) => read_tls(tls, into),
        }
    }

    /// Reads until the head is complete; says where it ends.
    fn read_head(&mut self) -> io::Result<usize> {
        let mut looked = 0;
        loop {
            let fresh = self.ahead.get(looked..).unwrap_or_default();
            if let Some(end) = fresh.windows(4).position(|four| four == b"\r\n\r\n") {
                return Ok(looked.saturating_add(end).saturating_add(4));
            }
            // The end may have come in part.
            looked = self.ahead.len().saturating_sub(3);
            if self.ahead.len() > MAX_HEAD {
                return Err(io::Error::new(ErrorKind::InvalidData, "its head is too long"));
            }
            let mut chunk = [0; 4096];
            let read = self.read_wire(&mut chunk)?;
            if read == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.ahead.extend_from_slice(chunk.get(..read).unwrap_or_default());
        }
    }
}

/// Reads what has come, also while nothing can be written: rustls's own stream first writes all that
/// waits, and two that both do so would wait for each other.
fn read_tls(tls: &mut StreamOwned<ClientConnection, Tcp>, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match tls.conn.reader().read(into) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            done => return done,
        }
        if tls.conn.wants_write() {
            match tls.conn.write_tls(&mut tls.sock) {
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
        tls.conn.read_tls(&mut tls.sock)?;
        if let Err(error) = tls.conn.process_new_packets() {
            // There is an alert to send, which says why.
            let _ = tls.conn.write_tls(&mut tls.sock);
            return Err(io::Error::new(ErrorKind::InvalidData, error));
        }
    }
}

/// Takes as much as rustls keeps. Its own stream takes nothing, without an error, while that much waits
/// already, which tungstenite understands as the end.
fn write_tls(tls: &mut StreamOwned<ClientConnection, Tcp>, bytes: &[u8]) -> io::Result<usize> {
    if tls.conn.wants_write() {
        flush_tls(tls)?;
    }
    let taken = tls.conn.writer().write(bytes)?;
    match flush_tls(tls) {
        // It is rustls's to send.
        Err(error) if error.kind() == ErrorKind::WouldBlock && taken > 0 => Ok(taken),
        Err(error) => Err(error),
        Ok(()) => Ok(taken),
    }
}

fn flush_tls(tls: &mut StreamOwned<ClientConnection, Tcp>) -> io::Result<()> {
    while tls.conn.wants_write() {
        if tls.conn.write_tls(&mut tls.sock)? == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
    }
    Ok(())
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut end = self.ahead.len();
        if self.head {
            end = self.read_head()?;
        }
        if self.used >= end {
            return self.read_wire(into);
        }
        let mut kept = self.ahead.get(self.used..end).unwrap_or_default();
        let read = kept.read(into)?;
        self.used = self.used.saturating_add(read);
        if self.used >= end {
            self.head = false;
        }
        if self.used >= self.ahead.len() {
            // The memory goes as well.
            (self.ahead, self.used) = (Vec::new(), 0);
        }
        Ok(read)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.wire {
            Wire::Plain(tcp) => tcp.write(bytes),
            Wire::Tls(tls) => write_tls(tls, bytes),
        }?;
        self.written = self.written.saturating_add(u64::try_from(written).unwrap_or(0));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.wire {
            Wire::Plain(tcp) => tcp.flush(),
            Wire::Tls(tls) => flush_tls(tls),
        }
    }
}

impl Tcp {
    pub(super) fn new(socket: TcpStream, until: Option<Instant>) -> io::Result<Self> {
        // A short message is not to wait for a longer one.
        socket.set_nodelay(true)?;
        socket.set_nonblocking(false)?;
        let (reads_until, writes_until) = (until, until);
        Ok(Self { socket, reads_until, writes_until, non_blocking: false, left: None, went: 0 })
    }

    /// Runs one call of the socket, which waits as long as may be.
    fn run(
        &mut self,
        until: Option<Instant>,
        set_timeout: impl Fn(&TcpStream, Option<std::time::Duration>) -> io::Result<()>,
        mut call: impl FnMut(&mut TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            match left {
                Some(left) if left.is_zero() => return Err(ErrorKind::WouldBlock.into()),
                Some(left) => {
                    if self.non_blocking {
                        self.socket.set_nonblocking(false)?;
                        self.non_blocking = false;
                    }
                    set_timeout(&self.socket, Some(left))?;
                }
                None if !self.non_blocking => {
                    self.socket.set_nonblocking(true)?;
                    self.non_blocking = true;
                }
                None => {}
            }
            match call(&mut self.socket) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::TimedOut && left.is_some() => {
                    return Err(ErrorKind::WouldBlock.into());
                }
                done => return done,
            }
        }
    }
}

impl Read for Tcp {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == Some(0) {
            return Err(ErrorKind::WouldBlock.into());
        }
        let until = self.reads_until;
        let read = self.run(until, TcpStream::set_read_timeout, |socket| socket.read(into))?;
        self.left = self.left.map(|left| left.saturating_sub(read));
        Ok(read)
    }
}

impl Write for Tcp {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let until = self.writes_until;
        let went = self.run(until, TcpStream::set_write_timeout, |socket| socket.write(bytes))?;
        self.went = self.went.saturating_add(u64::try_from(went).unwrap_or(0));
        Ok(went)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
