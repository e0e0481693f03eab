//! Refusals that are large, slow, early or never end.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Instant;

use llm_pool::chat::{ChatRequest, ErrorKind, Seen};
use llm_pool::llm::Provider;

use crate::hostile::{GOOD, Hostile, drip};
use crate::raw::{Server, ok};
use crate::support::*;
use crate::*;

const REFUSED: &str = "HTTP/1.1 400 Bad Request\r\n";

#[test]
fn a_large_refusal_is_read_in_part_and_told() {
    for size in [60_000, 64 * 1024, 64 * 1024 + 1, 3_000_000] {
        let server = Hostile::start(move |to| {
            let body = format!(
                r#"{{"error":{{"code":"c","message":"No."}},"pad":"{}"}}"#,
                "x".repeat(size)
            );
            write!(to, "{REFUSED}Content-Length: {}\r\n\r\n{body}", body.len())
        });
        for (error, took) in server.errors(chat_config()) {
            assert_eq!((error.kind(), error.status()), (ErrorKind::BadRequest, Some(400)));
            assert_eq!(error.seen(), Seen::Yes);
            assert!(took < secs(1) && error.to_string().len() < 1000, "{took:?} {error}");
        }
    }
}

#[test]
fn an_endless_refusal_at_full_speed_ends_after_64_kib() {
    let server = Hostile::start(|to| {
        write!(to, "{REFUSED}\r\n")?;
        let block = [b'x'; 64 * 1024];
        (0..500).try_for_each(|_| to.write_all(&block))
    });
    for (error, took) in server.errors(chat_config()) {
        assert_eq!((error.kind(), error.status()), (ErrorKind::BadRequest, Some(400)), "{error}");
        assert!(took < secs(1), "{took:?}");
    }
}

#[test]
fn a_refusal_that_breaks_is_told_by_what_came_of_it() {
    let server = Hostile::start(|to| {
        write!(to, "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 900\r\n\r\nslow down")
    });
    for (error, _) in server.errors(chat_config()) {
        assert_eq!((error.kind(), error.message()), (ErrorKind::RateLimited, "slow down"));
        assert_eq!(error.retry_after(), Some(secs(7)));
    }
}

#[test]
fn a_refusal_that_stops_in_a_whole_answer_is_told_after_the_piece_time_out() {
    let server = Hostile::start(|to| {
        write!(to, "{REFUSED}Content-Length: 900\r\n\r\nNo")?;
        drip(to, b"", 10)
    });
    let pool = server.pool(chat_config().max_retries(0).piece_timeout(millis(100)));
    let began = Instant::now();
    let error = pool.chat(&key(), &hi()).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::BadRequest, "No"), "{error}");
    assert!(began.elapsed() >= millis(90) && began.elapsed() < secs(1));
    server.is_well_again(&pool);
}

#[test]
fn a_redirect_to_itself_is_one_request() {
    for status in [301, 302, 303, 307, 308] {
        let server = Hostile::start(move |to| {
            write!(
                to,
                "HTTP/1.1 {status} Moved\r\nLocation: /chat/completions\r\nContent-Length: 0\r\n\r\n"
            )
        });
        for (error, _) in server.errors(chat_config()) {
            assert_eq!((error.kind(), error.status()), (ErrorKind::BadRequest, Some(status)));
        }
        assert_eq!(server.requests(), 2 + 4, "one a call");
    }
    for location in ["", "::::", "http://[::1", "//", "\u{e9}", "/?x"] {
        let server = Hostile::start(move |to| {
            write!(to, "HTTP/1.1 307 Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
        });
        for (error, _) in server.errors(chat_config()) {
            assert_eq!((error.kind(), error.status()), (ErrorKind::BadRequest, Some(307)));
        }
    }
}

/// Answers when it has read the head, and no more than `read` bytes of the body.
fn early(answer: &'static str, read: usize) -> (Server, Arc<AtomicUsize>) {
    let heads = Arc::new(AtomicUsize::new(0));
    let count = heads.clone();
    let server = Server::accept(move |mut stream| {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read(&mut byte)? == 0 {
                return Ok(());
            }
            head.push(byte[0]);
        }
        if count.fetch_add(1, SeqCst) > 0 {
            // The next call is answered as it should be.
            let head = String::from_utf8(head).unwrap();
            let length: usize =
                crate::raw::header(&head, "content-length").unwrap().parse().unwrap();
            io::copy(&mut (&mut stream).take(length as u64), &mut io::sink())?;
            return ok(&mut stream, GOOD);
        }
        stream.write_all(answer.as_bytes())?;
        io::copy(&mut (&mut stream).take(read as u64), &mut io::sink())?;
        Ok(())
    });
    (server, heads)
}

/// 5 MB of it.
fn large() -> ChatRequest<'static> {
    ChatRequest::new(hi().to_vec()).extra("pad", "x".repeat(5_000_000))
}

#[test]
fn an_answer_before_the_prompt_was_read_is_told_or_broken_and_never_hangs() {
    let too_large = "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nNo";
    let not_you = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nNo";
    for (answer, read, kinds) in [
        (too_large, 0, &[ErrorKind::TooLong, ErrorKind::Broken][..]),
        (too_large, 100_000, &[ErrorKind::TooLong, ErrorKind::Broken]),
        (too_large, 10_000_000, &[ErrorKind::TooLong]),
        (not_you, 0, &[ErrorKind::Unauthorized, ErrorKind::Broken]),
        (not_you, 10_000_000, &[ErrorKind::Unauthorized]),
    ] {
        let (server, heads) = early(answer, read);
        let pool = pool_of(Provider::new(server.url("")), chat_config().max_retries(0));
        let began = Instant::now();
        let error = pool.chat(&key(), large()).unwrap_err();
        assert!(kinds.contains(&error.kind()), "{read}: {error}");
        assert!(error.seen() != Seen::No && began.elapsed() < secs(3), "{error:?}");
        assert_eq!((in_use(&pool), heads.load(SeqCst)), (0, 1));
        assert_eq!(pool.chat(&key(), large()).unwrap().text(), "Good.");
    }
}

#[test]
fn a_prompt_that_nobody_reads_ends_at_the_total_time_out() {
    let (done, over) = crossbeam_channel::bounded::<()>(0);
    let server = Server::accept(move |stream| {
        // Until the test drops its end, and not for ever.
        let _ = over.recv_timeout(LIMIT);
        drop(stream);
        Ok(())
    });
    // Most of it goes into writing the request down, on a machine that is busy.
    let chat = chat_config().max_retries(0).total_timeout(millis(1200));
    let pool = pool_of(Provider::new(server.url("")), chat);
    // More than what systems take in without a reader.
    let began = Instant::now();
    let error = pool.chat(&key(), large()).unwrap_err();
    assert_eq!((error.kind(), error.seen()), (ErrorKind::TimedOut, Seen::Maybe), "{error}");
    assert!(began.elapsed() < secs(5), "{:?}", began.elapsed());
    assert_eq!(in_use(&pool), 0);
    drop(done);
}
