//! A server that writes every byte itself, and writes what it should not: it is served first what
//! is hostile, then what is good, and the second must work whatever the first was.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use llm_pool::chat::{ChatConfig, ChatError, ErrorKind, Seen};
use llm_pool::llm::{LlmPool, Provider};

use crate::raw::{Server, ok};
use crate::support::*;
use crate::*;

pub const GOOD: &str = r#"{"choices":[{"message":{"content":"Good."},"finish_reason":"stop"}]}"#;

pub const STREAM: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

pub struct Hostile {
    server: Server,
    good: Arc<AtomicBool>,
    requests: Arc<AtomicUsize>,
}

impl Hostile {
    /// Closes the connection after each hostile answer.
    pub fn start(
        answer: impl Fn(&mut dyn Write) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let (good, requests) = <(Arc<AtomicBool>, Arc<AtomicUsize>)>::default();
        let (is_good, count) = (good.clone(), requests.clone());
        let server = Server::start(move |_, to| {
            count.fetch_add(1, SeqCst);
            if is_good.load(SeqCst) {
                return ok(to, GOOD);
            }
            answer(to)?;
            Err(io::ErrorKind::ConnectionAborted.into())
        });
        Self { server, good, requests }
    }

    pub fn requests(&self) -> usize {
        self.requests.load(SeqCst)
    }

    pub fn pool(&self, chat: ChatConfig) -> LlmPool {
        pool_of(Provider::new(self.server.url("")).api_key(KEY), chat)
    }

    /// The error of one whole call and of one stream, each with the time that it took; then all is
    /// well again.
    pub fn errors(&self, chat: ChatConfig) -> [(ChatError, Duration); 2] {
        let pool = self.pool(chat.max_retries(0));
        let began = Instant::now();
        let whole = pool.chat(&key(), &hi()).unwrap_err();
        let whole = (whole, began.elapsed());
        assert_eq!(in_use(&pool), 0, "after {}", whole.0);
        let began = Instant::now();
        let stream = pool.stream(&key(), &hi()).and_then(|it| it.finish()).unwrap_err();
        let stream = (stream, began.elapsed());
        assert_eq!(in_use(&pool), 0, "after {}", stream.0);
        self.is_well_again(&pool);
        [whole, stream]
    }

    pub fn is_well_again(&self, pool: &LlmPool) {
        self.good.store(true, SeqCst);
        for _ in 0..3 {
            assert_eq!(pool.chat(&key(), &hi()).unwrap().text(), "Good.");
        }
        assert_eq!(pool.stream(&key(), &hi()).unwrap().finish().unwrap().text(), "Good.");
        assert_eq!(in_use(pool), 0);
    }
}

/// As often as it takes: until the client has closed the connection.
pub fn drip(to: &mut dyn Write, what: &[u8], every: u64) -> io::Result<()> {
    for _ in 0..500 {
        to.write_all(what)?;
        to.flush()?;
        std::thread::sleep(millis(every));
    }
    Ok(())
}

/// Without a pause, up to more than anybody should read.
fn flood(to: &mut dyn Write, what: &[u8]) -> io::Result<()> {
    let block = what.repeat(64 * 1024 / what.len());
    for _ in 0..2000 {
        to.write_all(&block)?;
    }
    Ok(())
}

fn hurried() -> ChatConfig {
    chat_config().total_timeout(millis(300)).piece_timeout(millis(100))
}

#[test]
fn headers_that_drip_end_at_the_total_time_out() {
    let server = Hostile::start(|to| {
        to.write_all(b"HTTP/1.1 200 OK\r\nX-A: ")?;
        drip(to, b"a", 15)
    });
    for (error, took) in server.errors(hurried()) {
        assert_eq!((error.kind(), error.seen()), (ErrorKind::TimedOut, Seen::Yes), "{error}");
        assert!(took >= millis(290) && took < secs(1), "{took:?}");
    }
}

#[test]
fn a_whole_body_that_drips_ends_at_the_total_time_out() {
    let server = Hostile::start(|to| {
        to.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")?;
        drip(to, b" ", 15)
    });
    for (error, took) in server.errors(hurried()) {
        assert_eq!((error.kind(), error.seen()), (ErrorKind::TimedOut, Seen::Yes), "{error}");
        assert!(took >= millis(290) && took < secs(1), "{took:?}");
    }
}

#[test]
fn a_stream_that_drips_bytes_of_no_event_ends_at_the_total_time_out() {
    let server = Hostile::start(|to| {
        to.write_all(STREAM.as_bytes())?;
        drip(to, b"1\r\nd\r\n", 15)
    });
    for (error, took) in server.errors(hurried()) {
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        assert!(took >= millis(290) && took < secs(1), "{took:?}");
    }
}

#[test]
fn a_stream_that_drips_an_endless_event_after_a_piece_is_stalled() {
    let server = Hostile::start(|to| {
        to.write_all(STREAM.as_bytes())?;
        crate::raw::chunk(to, &said("Hi"))?;
        drip(to, b"1\r\nd\r\n", 15)
    });
    for (error, took) in server.errors(chat_config().piece_timeout(millis(100))) {
        assert_eq!(error.kind(), ErrorKind::Stalled, "{error}");
        assert!(took >= millis(100) && took < secs(1), "{took:?}");
    }
}

#[test]
fn floods_end_at_the_largest_answer() {
    type Answer = fn(&mut dyn Write) -> io::Result<()>;
    let comments: Answer = |to| {
        to.write_all(STREAM.as_bytes())?;
        flood(to, b"d\r\n: keep-alive\n\r\n")
    };
    let line: Answer = |to| {
        to.write_all(STREAM.as_bytes())?;
        to.write_all(b"6\r\ndata: \r\n")?;
        flood(to, b"10\r\naaaaaaaaaaaaaaaa\r\n")
    };
    let empty_events: Answer = |to| {
        to.write_all(STREAM.as_bytes())?;
        flood(to, b"a\r\ndata: {}\n\n\r\n")
    };
    let many_lines_of_one_event: Answer = |to| {
        to.write_all(STREAM.as_bytes())?;
        flood(to, b"7\r\ndata:a\n\r\n")
    };
    let whole: Answer = |to| {
        to.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        flood(to, b" ")
    };
    for (at, answer) in
        [comments, line, empty_events, many_lines_of_one_event, whole].into_iter().enumerate()
    {
        let server = Hostile::start(answer);
        for (error, took) in server.errors(chat_config().max_answer(200_000)) {
            assert_eq!(error.kind(), ErrorKind::TooLarge, "{at}: {error}");
            assert!(took < secs(3), "{at}: {took:?}");
        }
    }
}

#[test]
fn a_flood_of_headers_or_of_a_chunks_extension_ends_too() {
    type Answer = fn(&mut dyn Write) -> io::Result<()>;
    let one_header: Answer = |to| {
        to.write_all(b"HTTP/1.1 200 OK\r\nX-A: ")?;
        flood(to, b"a")
    };
    let many: Answer = |to| {
        to.write_all(b"HTTP/1.1 200 OK\r\n")?;
        flood(to, b"X-A: aaaaaaaaaaaaaaaaaaa\r\n")
    };
    let interim: Answer = |to| flood(to, b"HTTP/1.1 103 Early Hints\r\n\r\n");
    let extension: Answer = |to| {
        to.write_all(STREAM.as_bytes())?;
        to.write_all(b"5;")?;
        flood(to, b"a")
    };
    let trailers: Answer = |to| {
        to.write_all(STREAM.as_bytes())?;
        crate::raw::chunk(to, &said("Hi"))?;
        to.write_all(b"0\r\n")?;
        flood(to, b"X-A: aaaaaaaaaaaaaaaaaaa\r\n")
    };
    for (at, answer) in [one_header, many, interim, extension, trailers].into_iter().enumerate() {
        let server = Hostile::start(answer);
        for (error, took) in server.errors(chat_config().total_timeout(millis(300))) {
            assert!(took < secs(2), "{at}: {took:?} {error}");
            assert_eq!(error.seen(), Seen::Yes, "{at}: {error}");
        }
    }
}

#[test]
fn lengths_and_chunks_that_lie_are_told_and_spoil_no_later_call() {
    for answer in [
        format!("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{GOOD}"),
        format!("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{GOOD}"),
        format!("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{GOOD}"),
        format!("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n{GOOD}"),
        format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 9\r\n\r\n{GOOD}"),
        format!("{STREAM}zz\r\n{GOOD}"),
        format!("{STREAM}-5\r\n{GOOD}\r\n"),
        format!("{STREAM}ffffffffffffffffff\r\n{GOOD}\r\n"),
        format!("{STREAM}5\r\n{GOOD}\r\n0\r\n\r\n"),
        format!("{STREAM}5;=;\"\u{1}\\;;\r\ndata:"),
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nno gzip".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n".to_owned(),
        "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n".to_owned(),
        format!("{STREAM}0\r\n\r\n"),
        "HTTP/1.1 304 Not Modified\r\n\r\n".to_owned(),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n".to_owned(),
        "HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/2 200\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nX: \u{0}\r\n\r\n".to_owned(),
        "ICY 200 OK\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "\r\n\r\n\r\n".to_owned(),
    ] {
        let text = answer.clone();
        let server = Hostile::start(move |to| to.write_all(answer.as_bytes()));
        for (error, took) in server.errors(chat_config().total_timeout(secs(2))) {
            assert!(took < secs(1), "{text:?} takes {took:?}: {error}");
            assert_eq!(error.seen(), Seen::Yes, "{text:?}: {error}");
            assert!(
                matches!(
                    error.kind(),
                    ErrorKind::Broken
                        | ErrorKind::Malformed
                        | ErrorKind::CutShort
                        | ErrorKind::BadRequest
                        | ErrorKind::Server
                        | ErrorKind::TooLarge
                ),
                "{text:?}: {error}"
            );
        }
    }
}

/// A server that goes on as if nothing were wrong.
#[test]
fn bytes_after_the_answer_are_not_taken_for_the_next_one() {
    let other = GOOD.replace("Good.", "Not yours.");
    let smuggled = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{other}", other.len());
    let server = Server::start(move |_, to| {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", GOOD.len());
        to.write_all(format!("{answer}{GOOD}{smuggled}").as_bytes())
    });
    let pool = pool_of(Provider::new(server.url("")), chat_config());
    for _ in 0..10 {
        assert_eq!(pool.chat(&key(), &hi()).unwrap().text(), "Good.");
    }
}

#[test]
fn interim_answers_are_passed_over() {
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n",
    ] {
        let server = Server::start(move |_, to| {
            to.write_all(interim.as_bytes())?;
            to.flush()?;
            std::thread::sleep(millis(2));
            ok(to, GOOD)
        });
        let pool = pool_of(Provider::new(server.url("")), chat_config());
        for _ in 0..3 {
            let reply = pool.chat(&key(), &hi());
            assert_eq!(reply.unwrap().text(), "Good.", "{interim}");
        }
        assert_eq!(server.connections(), 1, "{interim}");
    }
}
