//! How soon a piece that was sent is there.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use llm_pool::llm::Provider;

use crate::support::*;
use crate::*;

const PIECES: usize = 7;

/// Answers one request with a piece every 50 ms, and returns when each was flushed.
fn flush_slowly(listener: &TcpListener) -> Vec<Instant> {
    let (mut socket, _) = listener.accept().unwrap();
    socket.set_nodelay(true).unwrap();
    // The request is small, and comes in one write or two.
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        let mut some = [0; 4096];
        let read = socket.read(&mut some).unwrap();
        request.extend_from_slice(&some[..read]);
    }
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).unwrap();
    let mut chunk = |text: &str| {
        let text = format!("{:x}\r\n{text}\r\n", text.len());
        socket.write_all(text.as_bytes()).unwrap();
        Instant::now()
    };
    let flushed = (0..PIECES).map(|_| {
        std::thread::sleep(millis(50));
        chunk(&said("word "))
    });
    let flushed = flushed.collect();
    chunk("data: [DONE]\n\n");
    let _ = socket.write_all(b"0\r\n\r\n");
    flushed
}

#[test]
fn a_piece_is_there_within_a_few_milliseconds_of_its_flush() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let provider = Provider::new(format!("http://{}/v1", listener.local_addr().unwrap()));
    let pool = pool_of(provider, chat_config());
    let server = spawn(move || flush_slowly(&listener));
    let mut came = Vec::new();
    for piece in pool.stream(&key(), &hi()).unwrap() {
        assert_eq!(piece.unwrap().text(), "word ");
        came.push(Instant::now());
    }
    let flushed = server.result();
    let late = came.iter().zip(&flushed).map(|(came, sent)| came.saturating_duration_since(*sent));
    let mut late: Vec<Duration> = late.collect();
    assert_eq!(late.len(), PIECES);
    late.sort();
    // The middle one, since a busy machine may hold up one or the other.
    assert!(late[PIECES / 2] < millis(5), "{late:?}");
}
