//! A server of a few lines, so that a test can say every byte and every pause.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::Manage;
use llm_pool::agent::{AgentConfig, AgentManager, Proxy};

/// Serves until it is dropped; a connection, until its client closes it.
pub struct Server {
    pub addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Server {
    /// Answers every request with what `answer` writes; an error closes the connection.
    pub fn start(
        answer: impl Fn(&str, &mut dyn Write) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::accept(move |mut stream| {
            while let Some(head) = read_request(&mut stream)? {
                answer(&head, &mut stream)?;
            }
            Ok(())
        })
    }

    /// Hands every connection to `serve`, on a thread of its own.
    pub fn accept(serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (connections, open, stop) = <(Arc<_>, Arc<_>, Arc<_>)>::default();
        let server = Self { addr, connections, open, stop };
        let (connections, open) = (server.connections.clone(), server.open.clone());
        let (stop, serve) = (server.stop.clone(), Arc::new(serve));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                connections.fetch_add(1, SeqCst);
                open.fetch_add(1, SeqCst);
                let (serve, open) = (serve.clone(), open.clone());
                thread::spawn(move || {
                    let _ = serve(stream);
                    open.fetch_sub(1, SeqCst);
                });
            }
        });
        server
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// How many connections were ever made.
    pub fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    /// How long it takes until no connection is open.
    pub fn closed_after(&self) -> Duration {
        let start = Instant::now();
        while self.open.load(SeqCst) > 0 {
            assert!(start.elapsed() < Duration::from_secs(5), "still open");
            thread::sleep(Duration::from_millis(1));
        }
        start.elapsed()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        let _ = TcpStream::connect(self.addr);
    }
}

/// The head of the next request, its body passed over; none at the end of the connection.
pub fn read_request(stream: &mut dyn Read) -> io::Result<Option<String>> {
    Ok(read_whole(stream)?.map(|(head, _)| head))
}

/// The head and the body of the next request; none at the end of the connection.
pub fn read_whole(stream: &mut dyn Read) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Some((head, body)))
}

pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

pub fn ok(to: &mut dyn Write, body: &str) -> io::Result<()> {
    write!(to, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

pub fn chunk(to: &mut dyn Write, data: &str) -> io::Result<()> {
    write!(to, "{:x}\r\n{data}\r\n", data.len())
}

pub const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

pub fn pause(millis: u64) {
    thread::sleep(Duration::from_millis(millis));
}

/// Not through a proxy that the environment of the tests may name.
pub fn config() -> AgentConfig {
    AgentConfig::default().proxy(Proxy::Direct)
}

pub fn agent(config: AgentConfig) -> ureq::Agent {
    AgentManager::new(config).unwrap().create().unwrap().into_agent()
}

pub fn get(agent: &ureq::Agent, url: &str) -> Result<String, ureq::Error> {
    agent.get(url).call()?.body_mut().read_to_string()
}
