//! Python's `websockets` as the peer. Run by `.ci/websockets`, which installs it and names the Python
//! that has it in `LLM_POOL_PYTHON_WEBSOCKETS`.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use llm_pool::websocket::{CloseReason, Message, WebSocketConfig};

use crate::peers::registry;
use crate::support::*;

const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/websocket/peer.py");

fn python(part: &str, argument: &str) -> Command {
    let python = std::env::var("LLM_POOL_PYTHON_WEBSOCKETS");
    let python = python.expect("LLM_POOL_PYTHON_WEBSOCKETS names no Python; run .ci/websockets");
    let mut command = Command::new(python);
    command.args([PEER, part, argument]);
    command
}

/// A server that ends with its test.
struct Server(Child, String);

impl Server {
    fn start(name: &str) -> Self {
        let file = std::env::temp_dir().join(format!("llm-pool-{name}-{}", std::process::id()));
        let mut command = python("server", file.to_str().unwrap());
        let child = command.spawn().unwrap();
        eventually(|| file.exists());
        let port = std::fs::read_to_string(&file).unwrap();
        let _ = std::fs::remove_file(&file);
        Self(child, format!("ws://127.0.0.1:{port}"))
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.1)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs Python's websockets: run .ci/websockets"]
fn python_sends_fragments_pings_and_echoes() {
    let server = Server::start("fragments");
    let sockets = registry(WebSocketConfig::default());
    sockets.connect("a", server.url("fragments")).unwrap();
    let mut socket = sockets.get("a").unwrap();
    assert_eq!(socket.receive(LIMIT).unwrap(), Message::from("one тво three"));
    let binary = [vec![0], vec![255; 70000]].concat();
    assert_eq!(socket.receive(LIMIT).unwrap(), Message::from(binary));
    assert_eq!(socket.receive(LIMIT).unwrap(), Message::from("ponged"));
    sockets.connect("b", server.url("echo")).unwrap();
    let mut socket = sockets.get("b").unwrap();
    for message in ["", "x", &"y".repeat(900_000)] {
        socket.send(message).unwrap();
        assert_eq!(socket.receive(LIMIT).unwrap(), Message::from(message));
    }
    assert!(socket.ping().unwrap() < LIMIT);
}

#[test]
#[ignore = "needs Python's websockets: run .ci/websockets"]
fn python_keeps_idle_sockets_since_its_pings_are_answered() {
    let server = Server::start("pings");
    let sockets = registry(WebSocketConfig::default().read_interval(millis(100)));
    sockets.connect("a", server.url("echo")).unwrap();
    // It would hang up after 1.3 s.
    let began = Instant::now();
    while began.elapsed() < millis(2500) {
        std::thread::sleep(millis(50));
    }
    let mut socket = sockets.get("a").unwrap();
    socket.send("still here").unwrap();
    assert_eq!(socket.receive(LIMIT).unwrap(), Message::from("still here"));
    drop(socket);
    assert_eq!(sockets.check_all().answered, 1);
}

#[test]
#[ignore = "needs Python's websockets: run .ci/websockets"]
fn close_codes_go_both_ways() {
    let server = Server::start("codes");
    let sockets = registry(WebSocketConfig::default());
    for code in [1000, 1001, 1011, 3000, 4999] {
        sockets.connect("a", server.url(&format!("close/{code}"))).unwrap();
        let error = sockets.get("a").unwrap().receive(LIMIT).unwrap_err().to_string();
        let wanted = format!("closed by the peer (code {code}): as asked");
        assert!(error.contains(&wanted), "{error}");
        assert!(!sockets.contains("a"));
    }
    assert_eq!(sockets.stats().closed(CloseReason::ByPeer), 5);
    sockets.connect("a", server.url("closed")).unwrap();
    sockets.remove("a").unwrap();
    sockets.connect("seen", server.url("seen")).unwrap();
    let seen = sockets.get("seen").unwrap().receive(LIMIT).unwrap();
    assert_eq!(seen, Message::from("(1000, 'removed')"));
    // What is too large for us.
    let strict = registry(WebSocketConfig::default().max_message_size(1 << 20));
    strict.connect("large", server.url("large")).unwrap();
    assert!(strict.get("large").unwrap().receive(LIMIT).is_err());
    sockets.connect("seen again", server.url("seen")).unwrap();
    let seen = sockets.get("seen again").unwrap().receive(LIMIT).unwrap();
    assert_eq!(seen, Message::from("(1009, 'too large a message')"));
}

#[test]
#[ignore = "needs Python's websockets: run .ci/websockets"]
fn compression_is_not_asked_for_and_declined_where_it_is() {
    let server = Server::start("extensions");
    let sockets = registry(WebSocketConfig::default());
    sockets.connect("a", server.url("extensions")).unwrap();
    let said = sockets.get("a").unwrap().receive(LIMIT).unwrap();
    assert_eq!(said, Message::from("asked None, agreed []"));

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let mut command = python("client", &url);
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    sockets.add("client", sockets.accept(listener.accept().unwrap().0).unwrap()).unwrap();
    let mut client = sockets.get("client").unwrap();
    assert_eq!(client.receive(LIMIT).unwrap(), Message::from("agreed []"));
    client.send("repeated ".repeat(1000)).unwrap();
    assert_eq!(client.receive(LIMIT).unwrap(), Message::from("repeated ".repeat(1000)));
    assert!(client.ping().unwrap() < LIMIT);
    client.close();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "1000 removed");
}
