//! Compressed answers, which may be a thousand times as large as what was sent.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use llm_pool::chat::{ErrorKind, Seen};

use crate::hostile::Hostile;
use crate::support::*;
use crate::*;

/// The letter `a`, for ever, in 13 bytes for every 2064.
struct Bomb {
    start: Vec<u8>,
    period: [u8; 13],
}

impl Bomb {
    fn new() -> Self {
        // One block of fixed codes, the last one: the letter, then runs of 258 bytes one byte back.
        let mut bits = vec![1, 1, 0];
        let mut code = |value: u32, length: u32| {
            bits.extend((0..length).rev().map(|bit| (value >> bit) & 1));
        };
        code(0x30 + u32::from(b'a'), 8);
        for _ in 0..24 {
            code(0b1100_0101, 8);
            code(0, 5);
        }
        let whole = |bits: &[u32]| (0..8).map(|at| (bits[at] as u8) << at).sum::<u8>();
        let deflated: Vec<u8> = bits.chunks_exact(8).map(whole).collect();
        let mut start = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        start.extend(&deflated[..13]);
        Self { start, period: deflated[13..26].try_into().unwrap() }
    }

    /// So much that it is `bytes` once it is decompressed.
    fn write(&self, to: &mut dyn Write, bytes: usize, sent: &AtomicUsize) -> io::Result<()> {
        to.write_all(&self.start)?;
        let block = self.period.repeat(1000);
        for _ in 0..bytes / (2064 * 1000) {
            to.write_all(&block)?;
            sent.fetch_add(block.len(), SeqCst);
        }
        Ok(())
    }
}

fn peak_of_memory() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<usize>().ok().map(|kib| kib * 1024)
}

fn bombing(head: &'static str) -> (Hostile, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let server = Hostile::start(move |to| {
        write!(to, "{head}Content-Encoding: gzip\r\n\r\n")?;
        Bomb::new().write(to, 1 << 30, &count)
    });
    (server, sent)
}

#[test]
fn the_bomb_is_one() {
    let sent = Arc::new(AtomicUsize::new(0));
    let server = Hostile::start(move |to| {
        to.write_all(b"HTTP/1.1 500 No\r\nContent-Encoding: gzip\r\n\r\n")?;
        Bomb::new().write(to, 10_000_000, &sent)
    });
    for (error, _) in server.errors(chat_config()) {
        assert!(error.message().starts_with("aaaaaaaaaaaaaaaaaaaaaaaa"), "{error}");
    }
}

#[test]
fn a_gigabyte_in_seven_megabytes_is_refused_at_the_limit() {
    for head in [
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n",
        "HTTP/1.1 500 No\r\n",
    ] {
        let (server, sent) = bombing(head);
        for (error, took) in server.errors(chat_config().max_answer(4 << 20)) {
            let kind = if head.contains("500") { ErrorKind::Server } else { ErrorKind::TooLarge };
            assert_eq!((error.kind(), error.seen()), (kind, Seen::Yes), "{head}: {error}");
            assert!(took < secs(5), "{head}: {took:?}");
        }
        // Of two calls; what the systems between buffer is sent in vain.
        assert!(sent.load(SeqCst) < 2 * 6_000_000, "{head}: {}", sent.load(SeqCst));
    }
    assert!(peak_of_memory().is_none_or(|peak| peak < 600 << 20), "{:?}", peak_of_memory());
}
