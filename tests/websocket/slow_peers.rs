//! Peers that read late, send without end or hold much, and times that are long.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use llm_pool::ManualClock;
use llm_pool::websocket::{Message, WebSocketConfig, WebSocketError};

use crate::bad_input::{tls_echo, tls_peers, trusting};
use crate::peers::{Peers, echo, read_to_the_end, registry, taken};
use crate::support::*;

#[test]
fn the_longest_times_are_no_limit_and_not_none() {
    let peers = Peers::playing(|socket| {
        thread::sleep(millis(100));
        echo(socket);
    });
    let config = WebSocketConfig::default()
        .connect_timeout(Duration::MAX)
        .write_timeout(Duration::MAX)
        .ping_timeout(Duration::MAX)
        .close_timeout(Duration::MAX)
        .wait_timeout(Duration::MAX)
        .max_frame_size(16 << 20);
    let sockets = registry(config);
    sockets.connect("a", peers.url()).unwrap();
    let mut socket = sockets.get("a").unwrap();
    let big = "x".repeat(15 << 20);
    socket.send(&*big).unwrap();
    assert!(socket.receive(LIMIT).is_ok());
    assert!(socket.ping().unwrap() < LIMIT);
    drop(socket);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let theirs = spawn(move || registry(WebSocketConfig::default()).connect("a", url));
    assert!(sockets.accept(listener.accept().unwrap().0).is_ok());
    theirs.result().unwrap();
    spawn(move || sockets.close()).result();
}

#[test]
fn what_waits_to_be_sent_goes_while_its_holder_receives() {
    let peers = Peers::playing(|socket| {
        thread::sleep(millis(100));
        echo(socket);
    });
    let config = WebSocketConfig::default().read_interval(secs(60)).max_frame_size(16 << 20);
    let config = config.max_kept(64 << 20);
    let sockets = registry(config);
    sockets.connect("a", peers.url()).unwrap();
    let big = "x".repeat(15 << 20);
    assert_eq!(taken(&sockets.broadcast(&*big).unwrap()), 1);
    let mut socket = sockets.get("a").unwrap();
    assert_eq!(socket.receive(LIMIT).unwrap().as_text(), Some(&*big));
    drop(socket);
    assert_eq!(taken(&sockets.broadcast(&*big).unwrap()), 1);
    assert!(sockets.get("a").unwrap().ping().is_ok());
}

#[test]
fn what_waits_to_be_sent_does_not_wait_for_the_next_read_interval() {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let peers = Peers::playing(move |socket| {
        thread::sleep(millis(100));
        let came = socket.read().unwrap();
        tell.lock().unwrap().send(came.len()).unwrap();
        read_to_the_end(socket);
    });
    let sockets = registry(WebSocketConfig::default().read_interval(secs(60)));
    sockets.connect("a", peers.url()).unwrap();
    assert_eq!(taken(&sockets.broadcast("x".repeat(15 << 20)).unwrap()), 1);
    assert_eq!(told.recv_timeout(LIMIT).unwrap(), 15 << 20);
}

#[test]
fn a_peer_that_sends_before_it_reads_does_not_stop_a_message() {
    let peers = Peers::playing(|socket| {
        for _ in 0..4 {
            socket.send("y".repeat(4 << 20).into()).unwrap();
        }
        echo(socket);
    });
    let config = WebSocketConfig::default().max_kept(64 << 20).max_frame_size(16 << 20);
    let sockets = registry(config);
    sockets.connect("a", peers.url()).unwrap();
    let mut socket = sockets.get("a").unwrap();
    socket.send("x".repeat(15 << 20)).unwrap();
    for _ in 0..4 {
        assert_eq!(socket.receive(LIMIT).unwrap().len(), 4 << 20);
    }
    assert_eq!(socket.receive(LIMIT).unwrap().len(), 15 << 20);
}

#[test]
fn who_does_not_wait_is_not_held_by_a_peer_that_sends_fragments_without_end() {
    let peers = Peers::playing(|socket| {
        let more = [0x00, 0].repeat(1 << 20);
        let _ = socket.get_mut().write_all(&[0x01, 0]);
        while socket.get_mut().write_all(&more).is_ok() {}
    });
    let sockets = registry(WebSocketConfig::default());
    sockets.connect("a", peers.url()).unwrap();
    let mut socket = sockets.get("a").unwrap();
    thread::sleep(millis(50));
    let task = spawn(move || {
        let none = socket.try_receive().unwrap().is_none();
        let late =
            matches!(socket.receive(millis(50)), Err(WebSocketError::ReceiveTimedOut { .. }));
        (none, late)
    });
    assert_eq!(task.result(), (true, true));
}

#[test]
fn two_registries_exchange_messages_larger_than_a_frame_may_be() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let config = || WebSocketConfig::default().max_frame_size(1000).max_message_size(20_000);
    let (ours, theirs) = (registry(config()), registry(config()));
    let accepting = spawn(move || {
        ours.add("a", ours.accept(listener.accept().unwrap().0).unwrap()).unwrap();
        let mut socket = ours.get("a").unwrap();
        for _ in 0..2 {
            let message = socket.receive(LIMIT).unwrap();
            socket.send(message).unwrap();
        }
        ours.len()
    });
    theirs.connect("a", url).unwrap();
    let mut socket = theirs.get("a").unwrap();
    for message in [Message::from("ü".repeat(9_999)), Message::from(vec![7; 20_000])] {
        socket.send(message.clone()).unwrap();
        assert_eq!(socket.receive(LIMIT).unwrap(), message);
    }
    assert_eq!(theirs.stats().messages_sent, 2);
    accepting.result();
}

#[test]
fn a_full_write_buffer_of_tiny_frames_costs_no_socket() {
    let peers = Peers::playing(|_| thread::sleep(LIMIT));
    let config = WebSocketConfig::default().max_frame_size(8).write_buffer_size(1 << 20);
    let sockets = registry(config.clock(ManualClock::new().clock()));
    sockets.connect("a", peers.url()).unwrap();
    let message = "x".repeat(1 << 20);
    let full = (0..20).find_map(|_| sockets.broadcast(&*message).unwrap().failed.pop());
    assert!(matches!(full, Some((_, WebSocketError::WriteBufferFull))), "{full:?}");
    assert!(sockets.contains("a"));
}

#[test]
fn a_full_write_buffer_leaves_room_for_a_ping_and_the_close() {
    let (go, wait) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let both = Mutex::new((wait, tell));
    let peers = Peers::playing(move |socket| {
        let both = both.lock().unwrap();
        both.0.recv().unwrap();
        both.1.send(read_to_the_end(socket)).unwrap();
    });
    let sockets = registry(WebSocketConfig::default().write_buffer_size(1 << 20));
    sockets.connect("a", peers.url()).unwrap();
    for size in [1 << 16, 1000, 100, 1] {
        let message = "x".repeat(size);
        while taken(&sockets.broadcast(&*message).unwrap()) > 0 {}
    }
    let mut socket = sockets.get("a").unwrap();
    let pinged = spawn(move || (socket.ping(), socket));
    go.send(()).unwrap();
    let (pinged, socket) = pinged.result();
    assert!(pinged.is_ok(), "{pinged:?}");
    socket.close();
    assert_eq!(told.recv_timeout(LIMIT).unwrap(), Some((1000, "removed".into())));
}

#[test]
fn over_tls_a_peer_that_sends_before_it_reads_is_read_and_the_end_is_no_cut() {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let (port, pem) = tls_peers(move |socket| {
        for _ in 0..4 {
            socket.send("y".repeat(4 << 20).into()).unwrap();
        }
        let came = socket.read().unwrap().len();
        socket.send(came.to_string().into()).unwrap();
        tls_echo(socket);
        tell.lock().unwrap().send(socket.get_mut().read(&mut [0]).unwrap_or(7)).unwrap();
    });
    let config = WebSocketConfig::default().read_interval(millis(50)).max_kept(64 << 20);
    let sockets = trusting(pem, config);
    for broadcast in [false, true] {
        sockets.connect("a", format!("wss://localhost:{port}/")).unwrap();
        let big = "x".repeat(15 << 20);
        if broadcast {
            let count = sockets.stats().messages_received;
            assert_eq!(taken(&sockets.broadcast(big).unwrap()), 1);
            // Without a holder.
            eventually(|| sockets.stats().messages_received == count + 5);
        } else {
            sockets.send("a", big).unwrap();
        }
        let mut socket = sockets.get("a").unwrap();
        for _ in 0..4 {
            assert_eq!(socket.receive(LIMIT).unwrap().len(), 4 << 20);
        }
        assert_eq!(socket.receive(LIMIT).unwrap(), Message::from((15 << 20).to_string()));
        socket.close();
        assert_eq!(told.recv_timeout(LIMIT).unwrap(), 0, "an end of TLS, and no cut");
    }
}
