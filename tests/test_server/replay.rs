//! Bodies given word for word, in one or in pieces, for any path or for one.

use super::*;

const EVENTS: [&str; 4] = ["event: a\n\n", "data: {\"b\": \"ж\"}\n\n", ": c\n\n", "data: d\n\n"];

#[test]
fn pieces_are_sent_as_chunks_of_their_own_with_the_pause_between_them() {
    let server = TestServer::builder().pause(Duration::from_secs(60)).start().unwrap();
    server.plan(Reply::ok().pieces(EVENTS).pause(Duration::from_millis(10)));
    let mut raw = Raw::to(&server);
    raw.post(&ask("whatever"));
    let head = raw.head().unwrap();
    assert_eq!(header(&head, "content-type"), Some("text/event-stream"));
    assert_eq!(header(&head, "transfer-encoding"), Some("chunked"));
    let start = Instant::now();
    let framed = |piece: &&str| format!("{:x}\r\n{piece}\r\n", piece.len());
    let mut chunk = vec![0; framed(&EVENTS[0]).len()];
    raw.0.read_exact(&mut chunk).unwrap();
    assert_eq!(chunk, framed(&EVENTS[0]).as_bytes());
    assert_eq!(server.stats().in_flight, 1, "the first piece comes before the last is sent");
    let rest = EVENTS[1..].iter().map(framed).collect::<String>() + "0\r\n\r\n";
    let mut bytes = vec![0; rest.len()];
    raw.0.read_exact(&mut bytes).unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), rest);
    assert!(start.elapsed() >= Duration::from_millis(30), "{:?}", start.elapsed());
    raw.get("/v1/models");
    assert!(raw.answer().head.starts_with("HTTP/1.1 200"), "the connection goes on");
}

#[test]
fn empty_pieces_are_left_out_and_no_pieces_are_an_empty_body() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::ok().pieces(["a", "", "b"]));
    server.plan(Reply::ok().pieces([""; 2]));
    for body in ["ab", ""] {
        let mut answer = agent().get(server.url()).call().unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.body_mut().read_to_string().unwrap(), body);
    }
}

#[test]
fn a_fault_during_pieces_cuts_after_half_of_them() {
    let server = TestServer::start().unwrap();
    for (pieces, sent) in [(&EVENTS[..], 2), (&EVENTS[..3], 1), (&EVENTS[..1], 0)] {
        server.plan(Reply::fault(Fault::CloseDuringAnswer).pieces(pieces.iter().copied()));
        let mut raw = Raw::to(&server);
        raw.get("/");
        let head = raw.head().unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let (text, error) = raw.rest();
        assert_eq!((text.matches("\n\n").count(), error), (sent, None));
        assert!(!text.ends_with("0\r\n\r\n"));
    }
}

#[test]
fn a_content_type_is_told_as_given_with_any_body_and_status() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::status(502).body("<html>").content_type("text/html"));
    server.plan(Reply::ok().pieces([b"\x00\x01"]).content_type("application/octet-stream"));
    server.plan(Reply::ok().body("{}"));
    let agent = agent();
    for (status, content_type, body) in [
        (502, "text/html", &b"<html>"[..]),
        (200, "application/octet-stream", b"\x00\x01"),
        (200, "application/json", b"{}"),
    ] {
        let mut answer = agent.get(server.url()).call().unwrap();
        assert_eq!(answer.status().as_u16(), status);
        assert_eq!(answer.headers()["content-type"], content_type);
        assert_eq!(answer.body_mut().read_to_vec().unwrap(), body);
    }
}

/// What a GET of `path` brings.
fn got(server: &TestServer, path: &str) -> String {
    let url = format!("{}{path}", server.url());
    agent().get(url).call().unwrap().body_mut().read_to_string().unwrap()
}

#[test]
fn a_reply_at_a_path_is_passed_over_by_requests_for_others() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::ok().body("token 1").at("/oauth/token"));
    server.plan(Reply::ok().body("any"));
    server.plan(Reply::ok().body("token 2").at("/oauth/token?ignored"));
    server.plan(Reply::ok().body("chat").at("/chat").times(2));
    assert_eq!(server.stats().planned, 5);
    assert_eq!(got(&server, "/chat"), "any");
    assert_eq!(got(&server, "/chat?x=/oauth/token"), "chat");
    assert_eq!(got(&server, "/oauth/token?a=b"), "token 1");
    assert_eq!(got(&server, "/oauth/token"), "token 2");
    assert_eq!(server.stats().planned, 1);
    assert!(got(&server, "/oauth/token").contains("nothing at /oauth/token"));
    assert_eq!(got(&server, "/chat"), "chat");
    assert_eq!(server.stats().planned, 0);
}

#[test]
fn a_standing_reply_at_a_path_is_for_that_path_until_it_is_set_again() {
    let standing = Reply::ok().body("started with").at("/a");
    let server = TestServer::builder().reply(standing).start().unwrap();
    assert_eq!(got(&server, "/a"), "started with");
    assert!(got(&server, "/b").contains("nothing at /b"));
    server.set_reply(Reply::ok().body("for all"));
    server.set_reply(Reply::ok().body("second").at("/a"));
    server.plan(Reply::ok().body("planned").times(2));
    assert_eq!((got(&server, "/a"), got(&server, "/b")), ("planned".into(), "planned".into()));
    assert_eq!((got(&server, "/a"), got(&server, "/b")), ("second".into(), "for all".into()));
    server.clear_plan();
    assert_eq!(got(&server, "/a"), "second");
    server.set_reply(Reply::ok().at("/a"));
    assert!(got(&server, "/a").contains("nothing at /a"));
}
