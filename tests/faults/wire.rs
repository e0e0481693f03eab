//! What goes wrong on the wire, and the servers where it does: for these tests and for the example
//! `soak`.

// Each of them uses its own part of this, and reports by panicking, as tests do.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use llm_pool::agent::{AgentConfig, AgentManager, PooledAgent, Proxy, RootCerts};
use llm_pool::test_server::{Fault, Reply, TestServer};
use ureq::{Error, RequestBuilder, Timeout};

use super::raw::{Server, header, read_request};
use super::tls::{self, Certificate};

/// One thing that goes wrong.
pub struct Case {
    /// Its path at the good server, too.
    pub name: &'static str,
    pub place: Place,
    /// What the caller of an agent sees of it, one of these.
    pub sees: &'static [Sees],
    /// The connection ends or goes dead after a good answer, so that it may be found out by the next
    /// request only.
    pub spoils_next: bool,
}

/// Where it goes wrong.
pub enum Place {
    /// At a path of the good server, which answers so.
    Path(fn() -> Reply),
    /// At a server that does this with each connection.
    Raw(fn(TcpStream) -> io::Result<()>),
    /// At a server that does this with each connection, and should speak TLS.
    RawTls(fn(TcpStream) -> io::Result<()>),
    /// At a server with this certificate.
    Tls(Certificate),
    /// At a port where nobody listens.
    Refused,
    /// At a port where somebody listens and takes no connections in.
    NotTaken,
    /// At the good server's port of this host, see [`look_up`].
    Name(&'static str),
}

/// What a caller sees of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sees {
    /// An answer with this status, and a body that is whole as far as it can know.
    Status(u16),
    Io(io::ErrorKind),
    /// What came is no HTTP.
    Protocol,
    LargeHeader,
    /// Also what the call is given [`SHORT`] for.
    Timeout(Timeout),
    /// The server is not the one that it should be, or does not speak TLS.
    Tls,
}

use io::ErrorKind::{
    BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, InvalidData, NotFound,
    UnexpectedEof,
};

/// In the order in which a call would meet them.
pub const CASES: &[Case] = &[
    Case::new("unknown-name", Place::Name("gone.test"), &[Sees::Io(NotFound)]),
    Case::new("no-address", Place::Name("empty.test"), &[Sees::Io(NotFound)]),
    Case::new("slow-name", Place::Name("slow.test"), &[Sees::Timeout(Timeout::Resolve)]),
    Case::new("moved", Place::Name("moved.test"), &[Sees::Io(ConnectionRefused)]),
    Case::new("refused", Place::Refused, &[Sees::Io(ConnectionRefused)]),
    Case::new("not-taken", Place::NotTaken, &[Sees::Timeout(Timeout::Connect)]),
    Case::new("tls-stall", Place::RawTls(say_nothing), &[Sees::Timeout(Timeout::Connect)]),
    Case::new("tls-none", Place::RawTls(speak_no_tls), &[Sees::Tls]),
    Case::new("tls-cut", Place::RawTls(hang_up), &[Sees::Io(UnexpectedEof)]),
    Case::new("tls-stranger", Place::Tls(Certificate::Unknown), &[Sees::Tls]),
    Case::new("tls-expired", Place::Tls(Certificate::Expired), &[Sees::Tls]),
    Case::new("tls-other-name", Place::Tls(Certificate::OtherName), &[Sees::Tls]),
    Case::new(
        "closed-at-once",
        Place::Raw(|_| Ok(())),
        &[Sees::Io(UnexpectedEof), Sees::Io(ConnectionReset), Sees::Io(BrokenPipe)],
    ),
    Case::new("reset-at-once", Place::Raw(reset_unread), &[Sees::Io(ConnectionReset)]),
    Case::new(STALL_SENDING, Place::Raw(take_no_more), &[Sees::Timeout(Timeout::Global)]),
    Case::new("stall-unread", Place::Raw(say_nothing), &[Sees::Timeout(Timeout::Global)]),
    path("closed-before", || fault(Fault::CloseBeforeAnswer), &[Sees::Io(UnexpectedEof)]),
    path("reset-before", || fault(Fault::Reset), &[Sees::Io(ConnectionReset)]),
    path("stall-before", || fault(Fault::Stall), &[Sees::Timeout(Timeout::RecvResponse)]),
    path("garbage", || fault(Fault::GarbageStatusLine), &[Sees::Protocol]),
    path("giant-header", || good().header("x-giant", "x".repeat(80 << 10)), &[Sees::LargeHeader]),
    path("stall-in-head", || fault(Fault::StallDuringHead), &[Sees::Timeout(Timeout::PerRead)]),
    path("drip", || fault(Fault::Drip).pause(millis(5)), &[Sees::Timeout(Timeout::Global)]),
    path("bad-length", || good().header("content-length", "-5"), &[Sees::Protocol]),
    path("closed-during", || fault(Fault::CloseDuringAnswer), &[Sees::Io(UnexpectedEof)]),
    path("length-too-long", || fault(Fault::LengthTooLong), &[Sees::Io(UnexpectedEof)]),
    path("reset-during", || fault(Fault::ResetDuringAnswer), &[Sees::Io(BrokenPipe)]),
    path("stall-during", || fault(Fault::StallDuringAnswer), &[Sees::Timeout(Timeout::PerRead)]),
    path("chunks-cut", || events(Fault::CloseDuringAnswer), &[Sees::Io(UnexpectedEof)]),
    path("chunks-reset", || events(Fault::ResetDuringAnswer), &[Sees::Io(BrokenPipe)]),
    path("chunks-stall", || events(Fault::StallDuringAnswer), &[Sees::Timeout(Timeout::PerRead)]),
    // Told from a proper end by nothing but the reset.
    Case::new("unframed-reset", Place::Raw(reset_unframed), &[Sees::Io(BrokenPipe)]),
    Case::new("chunks-wrong", Place::Raw(wrong_chunk), &[Sees::Protocol]),
    path("length-too-short", || fault(Fault::LengthTooShort), &[Sees::Status(200)]),
    path("refusal-429", || Reply::status(429).retry_after(millis(1)), &[Sees::Status(429)]),
    path("failure-503", || Reply::status(503), &[Sees::Status(503)]),
    path("closed-after", || fault(Fault::CloseAfterAnswer), &[Sees::Status(200)]).spoiling_next(),
    path("reset-after", || fault(Fault::ResetAfterAnswer), &[Sees::Status(200)]).spoiling_next(),
    path("half-open", || fault(Fault::StallAfterAnswer), &[Sees::Status(200)]).spoiling_next(),
];

/// The one whose request has a body, larger than what systems take in for who does not read.
const STALL_SENDING: &str = "stall-sending";

/// For a call that is to end by time.
pub const SHORT: Duration = Duration::from_millis(20);

/// For one that is to succeed, on whatever machine.
pub const LONG: Duration = Duration::from_secs(20);

pub fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn path(name: &'static str, reply: fn() -> Reply, sees: &'static [Sees]) -> Case {
    Case::new(name, Place::Path(reply), sees)
}

impl Case {
    const fn new(name: &'static str, place: Place, sees: &'static [Sees]) -> Self {
        Self { name, place, sees, spoils_next: false }
    }

    const fn spoiling_next(mut self) -> Self {
        self.spoils_next = true;
        self
    }

    pub fn named(name: &str) -> &'static Self {
        CASES.iter().find(|case| case.name == name).unwrap()
    }

    /// Whether it would last for ever without a time-out.
    pub fn lasts(&self) -> bool {
        matches!(self.sees, [Sees::Timeout(_)])
    }
}

/// An answer that says what no good call is answered, in the shape of one.
const BODY: &str =
    r#"{"choices":[{"message":{"content":"Not yours."},"finish_reason":"stop"}],"more":[1]}"#;

pub fn good() -> Reply {
    Reply::ok().body(BODY)
}

fn fault(fault: Fault) -> Reply {
    good().with_fault(fault)
}

/// The same for an answer in chunks.
fn events(fault: Fault) -> Reply {
    let pieces = BODY.split_inclusive('[').collect::<Vec<_>>();
    Reply::ok().pieces(pieces).with_fault(fault)
}

// ---- What the raw servers do ----

/// Reads until the client goes.
fn say_nothing(mut stream: TcpStream) -> io::Result<()> {
    io::copy(&mut stream, &mut io::sink()).map(drop)
}

fn speak_no_tls(mut stream: TcpStream) -> io::Result<()> {
    let _ = stream.read(&mut [0; 1024])?;
    stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")?;
    say_nothing(stream)
}

/// Reads what there is and closes.
fn hang_up(mut stream: TcpStream) -> io::Result<()> {
    stream.read(&mut [0; 16 << 10]).map(drop)
}

/// To close a socket over bytes that were not read is to reset it.
fn reset_unread(stream: TcpStream) -> io::Result<()> {
    stream.peek(&mut [0]).map(drop)
}

/// The same in the midst of an answer that says nothing of its length, and over the last byte of the
/// request, so that nothing is being sent any more.
fn reset_unframed(mut stream: TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    let length: usize = header(&head, "content-length").map_or(0, |it| it.parse().unwrap());
    // All that is left, from the end of the head on, but for one.
    stream.read_exact(&mut vec![0; length])?;
    stream.peek(&mut [0])?;
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello")
}

/// Reads the start of a request and leaves the rest where it is, until its client has most likely
/// gone.
fn take_no_more(mut stream: TcpStream) -> io::Result<()> {
    stream.read_exact(&mut [0; 100])?;
    thread::sleep(SHORT * 3);
    say_nothing(stream)
}

fn wrong_chunk(mut stream: TcpStream) -> io::Result<()> {
    read_request(&mut stream)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n")
}

// ---- All of it in one place ----

/// The good server, and all places where something goes wrong.
pub struct Wire {
    pub good: TestServer,
    raw: HashMap<&'static str, Server>,
    tls: HashMap<&'static str, TestServer>,
    roots: String,
    refused: SocketAddr,
    not_taken: Option<NotTaken>,
    names: AtomicU64,
    /// For requests that are to be large.
    large: Vec<u8>,
}

impl Wire {
    pub fn start() -> Self {
        let good = TestServer::builder().remember(0).start().unwrap();
        let (mut raw, mut tls, mut roots) = (HashMap::new(), HashMap::new(), String::new());
        for case in CASES {
            match case.place {
                Place::Path(reply) => good.set_reply(reply().at(format!("/{}", case.name))),
                Place::Raw(serve) | Place::RawTls(serve) => {
                    raw.insert(case.name, Server::accept(serve));
                }
                Place::Tls(certificate) => {
                    let (server, pem) = tls::start(certificate);
                    tls.insert(case.name, server);
                    roots += &pem;
                }
                Place::Refused | Place::NotTaken | Place::Name(_) => {}
            }
        }
        let refused = refused(good.addr().port());
        let (not_taken, names) = (NotTaken::start(), AtomicU64::new(0));
        let large = vec![b' '; 8 << 20];
        Self { good, raw, tls, roots, refused, not_taken, names, large }
    }

    /// Where this goes wrong; none if this system cannot be brought to it.
    pub fn url(&self, case: &Case) -> Option<String> {
        let name = case.name;
        Some(match case.place {
            Place::Path(_) => format!("{}/{name}", self.good.url()),
            Place::Raw(_) => self.raw[name].url("/"),
            Place::RawTls(_) => format!("https://localhost:{}/", self.raw[name].addr.port()),
            Place::Tls(_) => format!("{}/", self.tls[name].url()),
            Place::Refused => format!("http://{}/", self.refused),
            Place::NotTaken => format!("http://{}/", self.not_taken.as_ref()?.addr),
            // There is but one address of loopback on other systems.
            Place::Name("moved.test") if !cfg!(target_os = "linux") => return None,
            Place::Name(host) => {
                // Who waits for a slow name is to wait for its whole look-up, so each is another one.
                let number = self.names.fetch_add(1, Relaxed);
                format!("http://{number}.{host}:{}/", self.good.addr().port())
            }
        })
    }

    /// Trusts who is to be trusted, and looks names up here.
    pub fn config(&self) -> AgentConfig {
        AgentConfig::default()
            .proxy(Proxy::Direct)
            .root_certs(RootCerts::Pem(self.roots.clone().into_bytes()))
            .dns_ttl(Duration::ZERO)
            .total_timeout(LONG)
            .check_timeout(SHORT)
    }

    pub fn manager(&self) -> AgentManager {
        AgentManager::with_look_up(self.config(), look_up).unwrap()
    }

    /// Calls where this goes wrong.
    pub fn call(&self, agent: &PooledAgent, case: &Case) -> Option<Sees> {
        let url = self.url(case)?;
        let answer = if case.name == STALL_SENDING {
            limited(agent.post(url), case).send(&self.large[..])
        } else {
            limited(agent.get(url), case).call()
        };
        let answer = answer.and_then(|mut answer| {
            answer.body_mut().read_to_string()?;
            Ok(answer.status().as_u16())
        });
        Some(seen(answer))
    }

    /// A call that is to be answered, and with its own answer.
    pub fn good_call(&self, agent: &PooledAgent, word: u64) -> Result<(), Error> {
        good_call(agent, &self.good.chat_url(), word)
    }

    /// The call after one that [`spoils_next`](Case::spoils_next), which may fail for it.
    pub fn next_call(&self, agent: &PooledAgent) {
        let request = agent.get(format!("{}/v1/models", self.good.url())).config();
        // Counted from when it was sent, so that it does find the connection out.
        let answer = request.timeout_recv_response(Some(SHORT)).build().call();
        let _ = answer.and_then(|mut answer| answer.body_mut().read_to_string());
    }

    /// Closes what is open, of all servers.
    pub fn disconnect_all(&self) {
        self.good.disconnect_all();
        self.tls.values().for_each(TestServer::disconnect_all);
    }
}

/// With the time-out by which it is to end, if by one.
fn limited<Kind>(request: RequestBuilder<Kind>, case: &Case) -> RequestBuilder<Kind> {
    let request = request.config();
    let request = match case.sees {
        [Sees::Timeout(timeout)] => match timeout {
            Timeout::Resolve => request.timeout_resolve(Some(SHORT)),
            Timeout::Connect => request.timeout_connect(Some(SHORT)),
            Timeout::RecvResponse => request.timeout_recv_response(Some(SHORT)),
            Timeout::PerRead => request.timeout_per_read(Some(SHORT)),
            _ => request.timeout_global(Some(SHORT)),
        },
        _ => request,
    };
    request.build()
}

/// Asks at a chat's URL, and sees to it that the answer is to what was asked.
pub fn good_call(agent: &PooledAgent, url: &str, word: u64) -> Result<(), Error> {
    let ask = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{word}"}}]}}"#);
    let answer = agent.post(url).send(ask)?.body_mut().read_to_string()?;
    assert!(answer.contains(&format!("You said: {word}\"")), "{word} was answered {answer}");
    Ok(())
}

/// The names of the tests: those that are there, one whose server is gone, and some that cannot be
/// found.
fn look_up(host: &str) -> io::Result<Vec<IpAddr>> {
    match host.split_once('.').map_or(host, |(_, kind)| kind) {
        "localhost" => Ok(vec![Ipv4Addr::LOCALHOST.into()]),
        // Loopback all the same, and nobody listens there.
        "moved.test" => Ok(vec![Ipv4Addr::new(127, 0, 0, 3).into()]),
        "empty.test" => Ok(Vec::new()),
        "slow.test" => {
            // Whoever waits may be late to look whether it has ended.
            thread::sleep(SHORT * 12);
            Err(NotFound.into())
        }
        _ => Err(NotFound.into()),
    }
}

/// What a call that came to this is for who made it.
pub fn seen(answer: Result<u16, Error>) -> Sees {
    match answer {
        Ok(status) => Sees::Status(status),
        Err(Error::Timeout(timeout)) => Sees::Timeout(timeout),
        Err(Error::LargeResponseHeader(..)) => Sees::LargeHeader,
        Err(Error::Protocol(_) | Error::Http(_)) => Sees::Protocol,
        Err(Error::Rustls(_) | Error::Tls(_)) => Sees::Tls,
        // rustls' own errors come as this.
        Err(Error::Io(error)) if error.kind() == InvalidData && error.get_ref().is_some() => {
            Sees::Tls
        }
        Err(Error::Io(error)) if error.kind() == ConnectionAborted => Sees::Io(ConnectionReset),
        Err(Error::Io(error)) => Sees::Io(error.kind()),
        Err(error) => panic!("nobody thought of this: {error:?}"),
    }
}

/// Where nobody listens. Not at any free port: a client that connects to one of those that clients
/// are given may be given the very same, and then talks to itself.
fn refused(taken: u16) -> SocketAddr {
    if cfg!(target_os = "linux") {
        (Ipv4Addr::new(127, 0, 0, 2), taken).into()
    } else {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }
}

/// Listens, takes nothing in, and has its queue full: who comes is passed over.
struct NotTaken {
    addr: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl NotTaken {
    fn start() -> Option<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (addr, mut queue) = (listener.local_addr().unwrap(), Vec::new());
        while let Ok(stream) = TcpStream::connect_timeout(&addr, millis(50)) {
            queue.push(stream);
            if queue.len() > 200 {
                // A system that queues more, or answers for who does not.
                return None;
            }
        }
        Some(Self { addr, _listener: listener, _queue: queue })
    }
}
