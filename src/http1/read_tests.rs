//! The reader against bytes of anybody: what is refused, and that it neither panics nor hangs nor
//! takes them otherwise when they come in other pieces.

use std::io::{self, Read, Write};

use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds { head: 600, body: 100 };

/// A client that sends these pieces, and then nothing.
struct Sent<'a> {
    pieces: Vec<&'a [u8]>,
    /// What was sent to it.
    told: Vec<u8>,
}

impl Read for Sent<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.pieces.first_mut() else { return Ok(0) };
        let count = piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&piece[..count]);
        *piece = &piece[count..];
        if piece.is_empty() {
            self.pieces.remove(0);
        }
        Ok(count)
    }
}

impl Write for Sent<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.told.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// All requests as `PATH BODY`, and what ended them: a status, or zero for the end.
fn read(pieces: Vec<&[u8]>) -> (Vec<String>, u16) {
    let pieces = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
    let mut sent = Sent { pieces, told: Vec::new() };
    let (mut reader, mut requests) = (Reader::new(), Vec::new());
    loop {
        match reader.next(&mut sent, BOUNDS) {
            Ok(it) => {
                requests.push(format!("{} {}", it.path, String::from_utf8_lossy(it.body)));
                if !it.keep_alive {
                    return (requests, 0);
                }
            }
            Err(ReadError::Gone) => return (requests, 0),
            Err(ReadError::Bad(status, _)) => return (requests, status),
        }
    }
}

/// After a head that is well; another request follows.
fn after(head: &str, body: &str) -> (Vec<String>, u16) {
    let text = format!("POST /a HTTP/1.1\r\n{head}\r\n\r\n{body}GET /next HTTP/1.1\r\n\r\n");
    read(vec![text.as_bytes()])
}

#[track_caller]
fn is_refused(head: &str, body: &str) {
    let (requests, status) = after(head, body);
    assert!(requests.is_empty() && status == 400, "{head:?} {body:?}: {requests:?}, {status}");
}

#[test]
fn a_body_has_one_length_that_everybody_takes_for_the_same() {
    let both = ["/a hello".to_owned(), "/next ".to_owned()];
    assert_eq!(after("Content-Length: 5", "hello"), (both.to_vec(), 0));
    assert_eq!(after("Content-Length: 5\r\ncontent-length: 5", "hello"), (both.to_vec(), 0));
    for head in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: 5.",
        "Content-Length:",
        "Content-Length: \u{665}",
        "Content-Length: 99999999999999999999999",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding:",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: \u{b}chunked",
        "Content-Length : 5",
        "X: a\r\n Content-Length: 5",
        "X: a\r\n\tb",
        "X: a\rContent-Length: 5",
        "X: a\0",
        " X: a",
        ": a",
        "X",
        "X\u{e9}: a",
    ] {
        is_refused(head, "hello");
    }
}

#[test]
fn chunks_are_those_of_the_protocol_and_nothing_near_it() {
    const CHUNKED: &str = "Transfer-Encoding: Chunked";
    let both = ["/a hello".to_owned(), "/next ".to_owned()];
    for good in [
        "5\r\nhello\r\n0\r\n\r\n",
        "2\r\nhe\r\n3;name=value\r\nllo\r\n0\r\nX-Trailer: a\r\nY: b\r\n\r\n",
        "0000000000000005\r\nhello\r\n000\r\n\r\n",
    ] {
        assert_eq!(after(CHUNKED, good), (both.to_vec(), 0), "{good:?}");
    }
    let mut wrong = Vec::new();
    for bad in [
        // A size that is none.
        "\r\n",
        "\r\n\r\n",
        " \r\n\r\n",
        ";a\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        // Line ends that are none.
        "5\nhello\r\n0\r\n\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello \r\n0\r\n\r\n",
        "5\r\nhello\r\r\n0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        // Ends of trailers that are none.
        "5\r\nhello\r\n0\r\na\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0\r\nX: a\n\r\n",
    ] {
        let taken = after(CHUNKED, bad);
        if taken != (Vec::new(), 400) {
            wrong.push((bad, taken));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let (_, status) = after(CHUNKED, "ffffffffffffffff\r\nhello\r\n0\r\n\r\n");
    assert_eq!(status, 413);
    let endless = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(9000));
    is_refused(CHUNKED, &endless);
    is_refused(CHUNKED, &format!("0\r\n{}\r\n", "X: a\r\n".repeat(2000)));
}

#[test]
fn http_1_0_knows_no_chunks_and_closes() {
    let text =
        "POST /a HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(read(vec![text.as_bytes()]), (vec![], 400));
    let twice = "GET /a HTTP/1.0\r\n\r\nGET /b HTTP/1.0\r\n\r\n";
    assert_eq!(read(vec![twice.as_bytes()]), (vec!["/a ".into()], 0));
    let asked = "GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n";
    assert_eq!(read(vec![asked.repeat(2).as_bytes()]).0.len(), 2);
    let both = "GET /a HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n";
    assert_eq!(read(vec![both.repeat(2).as_bytes()]).0.len(), 1, "close wins");
}

#[test]
fn a_request_line_is_three_words() {
    for (line, status) in [
        ("GET /a", 400),
        ("GET /a HTTP/2.0", 400),
        ("GET /a HTTP/1.1 ", 400),
        ("GET  /a HTTP/1.1", 400),
        ("GET /a  HTTP/1.1", 400),
        ("GET\t/a HTTP/1.1", 400),
        (" GET /a HTTP/1.1", 400),
        ("GET /a\0 HTTP/1.1", 400),
        ("G\u{e9}T /a HTTP/1.1", 400),
        ("PRI * HTTP/2.0", 400),
    ] {
        let text = format!("{line}\r\nHost: a\r\n\r\n");
        assert_eq!(read(vec![text.as_bytes()]), (vec![], status), "{line:?}");
    }
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(700));
    assert_eq!(read(vec![long.as_bytes()]), (vec![], 431));
    let endless = "\r\n".repeat(5000);
    assert_eq!(read(vec![endless.as_bytes()]), (vec![], 431));
    let many = format!("GET /a HTTP/1.1\r\n{}\r\n", "a:\r\n".repeat(129));
    assert_eq!(read(vec![many.as_bytes()]), (vec![], 431));
}

#[test]
fn a_client_that_waits_is_told_to_go_on_unless_its_body_is_too_long() {
    let told = |length: &str| {
        let head = format!("POST /a HTTP/1.1\r\nExpect: 100-continue\r\n{length}\r\n\r\n");
        let mut sent = Sent { pieces: vec![head.as_bytes()], told: Vec::new() };
        let _ = Reader::new().next(&mut sent, BOUNDS);
        String::from_utf8(sent.told).unwrap()
    };
    assert_eq!(told("Content-Length: 5"), "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(told("Transfer-Encoding: chunked"), "HTTP/1.1 100 Continue\r\n\r\n");
    for length in ["Content-Length: 101", "Content-Length: 0", "Content-Length: x"] {
        assert_eq!(told(length), "", "{length}");
    }
}

/// What is near a request, in any order.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "GET /a HTTP/1.1\r\n",
        "POST /b?c HTTP/1.1\r\n",
        "POST /b HTTP/1.0\r\n",
        "Host: a\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: 0\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Expect: 100-continue\r\n",
        "Connection: keep-alive\r\n",
        "\r\n",
        "\n",
        "\r",
        "\0",
        " ",
        ":",
        "0\r\n",
        "5\r\nhello\r\n",
        "hello",
        "ffffffffffffffff\r\n",
        ";",
    ]);
    let words = words.prop_map(|word| word.as_bytes().to_vec());
    let bytes = prop::collection::vec(any::<u8>(), 0..8);
    let part = prop_oneof![9 => words, 1 => bytes];
    prop::collection::vec(part, 0..30).prop_map(|parts| parts.concat())
}

fn pieces<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Each ends, for there is nothing that would be waited for.
    #[test]
    fn any_bytes_are_read_to_the_same_requests_in_whatever_pieces_they_come(
        bytes in prop_oneof![nearly(), prop::collection::vec(any::<u8>(), 0..2000)],
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let whole = read(vec![&bytes]);
        prop_assert!(whole.0.len() <= bytes.len() / 16, "a request takes some bytes");
        prop_assert_eq!(&read(pieces(&bytes, &cuts)), &whole);
        prop_assert_eq!(&read(bytes.chunks(1).collect()), &whole);
    }
}
