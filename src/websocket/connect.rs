//! Opening sockets, from either side. All of it keeps to one deadline.

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use tungstenite::handshake::HandshakeError;
use tungstenite::handshake::client::Response;
use tungstenite::protocol::{Role, WebSocketConfig as WsBounds};
use tungstenite::{Error, client::client_with_config};
use ureq::http::header::CONTENT_LENGTH;

use super::config::WebSocketConfig;
use super::conn::Conn;
use super::error::{WebSocketError, plain};
use super::request::{ConnectRequest, Target};
use super::shared::soon;
use super::stats::Traffic;
use super::stream::{Stream, Tcp};
use crate::agent::AgentManager;

/// As much of a refusal's body is shown.
const SHOWN_BODY: usize = 500;

/// Connects, and shakes hands as a client.
pub(super) fn open(
    agents: &AgentManager,
    request: &ConnectRequest,
    config: &WebSocketConfig,
    traffic: &Arc<Traffic>,
) -> Result<Box<Conn>, WebSocketError> {
    let target = request.target()?;
    let limit = config.connect_timeout;
    let until = soon(limit);
    if agents.config().https_only && !target.secure {
        return Err(target.bad("the agents are `https_only`, so the scheme must be wss"));
    }
    if agents.has_proxy_for(target.secure, &target.host) {
        let what = "WebSockets go through no proxy; exempt the host with NO_PROXY, or give the \
                    registry agents with `Proxy::Direct`";
        return Err(target.bad(what));
    }
    let tcp = Tcp::new(tcp(agents, &target, until, limit)?, Some(until));
    let tcp = tcp.map_err(|error| target.unreachable(&error, limit))?;
    let mut stream = if target.secure {
        Stream::tls(tls(agents, &target, tcp, limit)?)
    } else {
        Stream::plain(tcp)
    };
    stream.expect_head();
    let (request, shown) = (target.request, target.shown);
    let answer = match client_with_config(request, &mut stream, Some(small())) {
        Ok((_, answer)) => answer,
        Err(HandshakeError::Interrupted(_)) => {
            return Err(WebSocketError::ConnectTimedOut { url: shown, limit });
        }
        Err(HandshakeError::Failure(error)) => {
            return Err(failed(shown, error, &mut stream, until, limit));
        }
    };
    // None was asked for: the server must not use one (RFC 6455, section 4.1).
    if answer.headers().contains_key("sec-websocket-extensions") {
        let what = "the server uses an extension that was not asked for".to_owned();
        return Err(WebSocketError::Handshake { url: shown, what });
    }
    let mut conn = Conn::new(stream, Role::Client, config, traffic);
    // Tungstenite has seen to it that it is one of those offered.
    let chosen = answer.headers().get("sec-websocket-protocol");
    conn.subprotocol = chosen.and_then(|name| name.to_str().ok()).map(Into::into);
    Ok(conn)
}

/// Shakes hands with a client that came. No extension is agreed to.
pub(super) fn accept(
    socket: TcpStream,
    config: &WebSocketConfig,
    traffic: &Arc<Traffic>,
) -> Result<Box<Conn>, WebSocketError> {
    let limit = config.connect_timeout;
    let peer = socket.peer_addr().map_or_else(|_| "a client".to_owned(), |at| at.to_string());
    let bad = |what: String| WebSocketError::Handshake { url: peer.clone(), what };
    let until = soon(limit);
    let tcp = Tcp::new(socket, Some(until)).map_err(|error| bad(error.to_string()))?;
    let mut stream = Stream::plain(tcp);
    stream.expect_head();
    match tungstenite::accept_with_config(&mut stream, Some(small())) {
        Ok(_) => {}
        Err(HandshakeError::Interrupted(_)) => {
            return Err(WebSocketError::ConnectTimedOut { url: peer, limit });
        }
        Err(HandshakeError::Failure(error)) => return Err(bad(plain(&error.to_string()))),
    }
    Ok(Conn::new(stream, Role::Server, config, traffic))
}

/// Of what shakes hands and is then thrown away: the stream is all that is kept.
fn small() -> WsBounds {
    WsBounds::default().read_buffer_size(0)
}

/// Tries the addresses of the host in turn, each with its share of the time that is left.
fn tcp(
    agents: &AgentManager,
    target: &Target,
    until: Instant,
    limit: Duration,
) -> Result<TcpStream, WebSocketError> {
    let left = || until.saturating_duration_since(Instant::now());
    let addrs = agents.addresses(&target.host, target.port, left());
    let addrs = addrs.map_err(|error| target.unreachable(&error, limit))?;
    let mut last = io::Error::new(ErrorKind::NotFound, "the host has no address");
    for (tried, addr) in addrs.iter().enumerate() {
        let share = u32::try_from(addrs.len().saturating_sub(tried)).unwrap_or(1).max(1);
        let share = left() / share;
        if share.is_zero() {
            last = ErrorKind::TimedOut.into();
            break;
        }
        match TcpStream::connect_timeout(addr, share) {
            Ok(tcp) => return Ok(tcp),
            Err(error) => last = error,
        }
    }
    agents.doubt(&target.host);
    Err(target.unreachable(&last, limit))
}

fn tls(
    agents: &AgentManager,
    target: &Target,
    mut tcp: Tcp,
    limit: Duration,
) -> Result<StreamOwned<ClientConnection, Tcp>, WebSocketError> {
    let bad = |what: String| WebSocketError::Tls { url: target.shown.clone(), what };
    let config = agents.tls().map_err(bad)?;
    let name = ServerName::try_from(target.host.clone()).map_err(|error| bad(error.to_string()))?;
    let mut tls = ClientConnection::new(config, name).map_err(|error| bad(error.to_string()))?;
    match tls.complete_io(&mut tcp) {
        Ok(_) => Ok(StreamOwned::new(tls, tcp)),
        Err(error) if error.kind() == ErrorKind::InvalidData => Err(bad(error.to_string())),
        Err(error) => Err(target.unreachable(&error, limit)),
    }
}

fn failed(
    url: String,
    error: Error,
    stream: &mut Stream,
    until: Instant,
    limit: Duration,
) -> WebSocketError {
    match error {
        Error::Http(answer) => {
            let body = body(&answer, stream, until);
            WebSocketError::Refused { url, status: answer.status().as_u16(), body }
        }
        Error::Io(error) if error.kind() == ErrorKind::WouldBlock => {
            WebSocketError::ConnectTimedOut { url, limit }
        }
        Error::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
            WebSocketError::Handshake { url, what: "the server hung up".to_owned() }
        }
        error => WebSocketError::Handshake { url, what: plain(&error.to_string()) },
    }
}

/// The start of the body, for which there is little time.
fn body(answer: &Response, stream: &mut Stream, until: Instant) -> String {
    stream.wait_until(Some(until.min(soon(Duration::from_secs(1)))));
    let length = answer.headers().get(CONTENT_LENGTH).and_then(|n| n.to_str().ok()?.parse().ok());
    let wanted = length.unwrap_or(usize::MAX).min(SHOWN_BODY.saturating_add(1));
    let mut body = Vec::new();
    let mut chunk = [0; SHOWN_BODY];
    while body.len() < wanted {
        match stream.read(&mut chunk) {
            Ok(read @ 1..) => body.extend_from_slice(chunk.get(..read).unwrap_or_default()),
            _ => break,
        }
    }
    let cut = if body.len() > SHOWN_BODY { " ..." } else { "" };
    body.truncate(SHOWN_BODY);
    let body = plain(&String::from_utf8_lossy(&body));
    if body.is_empty() { "no body".to_owned() } else { body + cut }
}

impl Target {
    fn bad(&self, what: &str) -> WebSocketError {
        WebSocketError::BadUrl { url: self.shown.clone(), what: what.to_owned() }
    }

    fn unreachable(&self, error: &io::Error, limit: Duration) -> WebSocketError {
        let url = self.shown.clone();
        match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => {
                WebSocketError::ConnectTimedOut { url, limit }
            }
            _ => WebSocketError::Unreachable { url, what: plain(&error.to_string()) },
        }
    }
}
