//! Peers of tungstenite's own, one thread a connection.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use llm_pool::agent::{AgentConfig, AgentManager, Proxy};
use llm_pool::websocket::{Broadcast, WebSocketConfig, WebSockets};
use tungstenite::{Message, WebSocket};

use crate::support::millis;

/// A server whose every connection plays the same part, and then ends.
pub struct Peers {
    pub addr: SocketAddr,
    connections: Arc<Mutex<Vec<TcpStream>>>,
    ended: Arc<AtomicBool>,
}

impl Peers {
    pub fn playing(part: impl Fn(&mut WebSocket<TcpStream>) + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), part)
    }

    pub fn at(
        addr: SocketAddr,
        part: impl Fn(&mut WebSocket<TcpStream>) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(addr).unwrap();
        let addr = listener.local_addr().unwrap();
        let (connections, ended): (Arc<Mutex<Vec<TcpStream>>>, Arc<AtomicBool>) =
            Default::default();
        let (list, over, part) = (connections.clone(), ended.clone(), Arc::new(part));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let stream = stream.unwrap();
                list.lock().unwrap().push(stream.try_clone().unwrap());
                let part = part.clone();
                thread::spawn(move || {
                    if let Ok(mut socket) = tungstenite::accept(stream) {
                        part(&mut socket);
                        // There is a copy in the list.
                        let _ = socket.get_mut().shutdown(Shutdown::Both);
                    }
                });
            }
        });
        Self { addr, connections, ended }
    }

    pub fn echo() -> Self {
        Self::playing(echo)
    }

    pub fn url(&self) -> String {
        format!("ws://{}/", self.addr)
    }

    /// Ends all connections without a word, and listens no more.
    pub fn kill(&self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.addr);
        for stream in self.connections.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends back what comes.
pub fn echo(socket: &mut WebSocket<TcpStream>) {
    while let Ok(message) = socket.read() {
        if let Message::Text(_) | Message::Binary(_) = message {
            if socket.send(message).is_err() {
                return;
            }
        }
    }
}

/// Reads until the peer is gone; the close it sent.
pub fn read_to_the_end(socket: &mut WebSocket<TcpStream>) -> Option<(u16, String)> {
    let mut close = None;
    loop {
        match socket.read() {
            Ok(Message::Close(frame)) => {
                close = frame.map(|it| (it.code.into(), it.reason.as_str().to_owned()));
            }
            Ok(_) => {}
            Err(_) => return close,
        }
    }
}

/// A registry that goes through no proxy, whatever the environment says, and waits little for peers
/// that do not close, unless it is told to.
pub fn registry(mut config: WebSocketConfig) -> WebSockets {
    if config.close_timeout == WebSocketConfig::default().close_timeout {
        config.close_timeout = millis(500);
    }
    let agents = AgentManager::new(AgentConfig::default().proxy(Proxy::Direct)).unwrap();
    WebSockets::with_agents(config, &agents).unwrap()
}

/// Sockets that were sent a broadcast, or are as soon as the background, which looks after each for a
/// moment now and then, puts them back.
pub fn taken(done: &Broadcast) -> usize {
    done.sent + done.queued
}

/// Does `what` while another thread looks after the sockets without a pause, as the background does now
/// and then: each is away for moments.
pub fn while_attended(sockets: &WebSockets, what: impl FnOnce()) {
    struct Over<'a>(&'a AtomicBool);
    // A panic ends it as well.
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _over = Over(&is_over);
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                sockets.clean_up();
            }
        });
        what();
    });
}
