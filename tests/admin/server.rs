//! The server: real connections, good and bad.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use llm_pool::admin::{Admin, AdminConfig, AdminServer};
use llm_pool::ureq;

use crate::house::*;
use crate::support::*;

fn serve(config: AdminConfig) -> AdminServer {
    let pool = adapters(&Script::new(), 2);
    drop(pool.get(&gpt()).unwrap());
    Admin::new(config.token(TOKEN)).unwrap().pool("adapters", pool).serve().unwrap()
}

fn connect(server: &AdminServer) -> TcpStream {
    let stream = TcpStream::connect(server.addr()).unwrap();
    stream.set_read_timeout(Some(secs(20))).unwrap();
    stream
}

/// Sends this and reads until the server closes.
fn exchange(server: &AdminServer, sent: &str) -> String {
    let mut stream = connect(server);
    // Whoever is refused early may not be let finish.
    let _ = stream.write_all(sent.as_bytes());
    read_all(&mut stream)
}

fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset after the answer is the server's right.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

#[test]
fn it_answers_get_head_and_post_over_one_connection() {
    let server = serve(AdminConfig::default());
    let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
    let url = server.url();
    assert_eq!(url, format!("http://127.0.0.1:{}", server.addr().port()));
    let mut answer = agent.get(format!("{url}/v1/pool/stats")).call().unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    let date = answer.headers()["date"].to_str().unwrap();
    assert!(date.ends_with(" GMT") && date.len() == 29, "{date}");
    assert!(answer.body_mut().read_to_string().unwrap().contains("gpt-4o:openai"));
    let head = agent.head(format!("{url}/v1/pool/stats")).call().unwrap();
    assert_eq!(head.status(), 200);
    let post = agent.post(format!("{url}/v1/pool/resize"));
    let post = post.header("authorization", format!("Bearer {TOKEN}"));
    let post = post.content_type("application/json");
    assert!(
        post.send(r#"{"max_size": 5}"#)
            .unwrap()
            .body_mut()
            .read_to_string()
            .unwrap()
            .contains("\"to\":5")
    );
}

#[test]
fn requests_that_come_together_are_answered_in_their_order() {
    let server = serve(AdminConfig::default());
    let both = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n\
                GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = exchange(&server, both);
    let statuses: Vec<_> = answer.split("HTTP/1.1 ").skip(1).map(|it| &it[..3]).collect();
    assert_eq!(statuses, ["200", "404"], "{answer}");
}

#[test]
fn what_is_not_http_or_too_long_is_refused_and_closed() {
    let server = serve(AdminConfig::default().max_head(1000).max_body(100));
    let post = "POST /v1/pool/resize HTTP/1.1\r\nHost: localhost\r\n";
    for (sent, status) in [
        ("what is this\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".to_owned(), 421),
        (format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(2000)), 431),
        (format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(2000)), 431),
        (format!("{post}Content-Length: 101\r\n\r\n"), 413),
        (format!("{post}Content-Length: 101\r\n\r\n{}", "x".repeat(101)), 413),
        (format!("{post}Content-Length: -1\r\n\r\n"), 400),
        (format!("{post}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), 400),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\n70\r\n"), 413),
        (format!("{post}Connection: close\r\nContent-Length: 0\r\n\r\n"), 401),
    ] {
        let answer = exchange(&server, &sent);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{sent:?}: {answer:?}");
        assert!(answer.contains("\"success\":false"), "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }
}

#[test]
fn a_refusal_arrives_though_the_body_was_not_read() {
    let server = serve(AdminConfig::default());
    let body = "x".repeat(600_000);
    let post = "POST /v1/pool/resize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 600000\r\n\r\n";
    let answer = exchange(&server, &format!("{post}{body}"));
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer:?}");
}

#[test]
fn a_request_that_trickles_is_cut_however_steadily_it_comes() {
    let server = serve(AdminConfig::default().request_timeout(millis(300)));
    let mut stream = connect(&server);
    let began = Instant::now();
    // A byte at a time, each well within the limit.
    for byte in "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: and so on and on".bytes().cycle() {
        if stream.write_all(&[byte]).is_err() || began.elapsed() > secs(10) {
            break;
        }
        std::thread::sleep(millis(5));
        stream.set_nonblocking(true).unwrap();
        let answered = stream.peek(&mut [0]).is_ok();
        stream.set_nonblocking(false).unwrap();
        if answered {
            break;
        }
    }
    assert!(began.elapsed() < secs(5), "{:?}", began.elapsed());
    let answer = read_all(&mut stream);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn a_connection_without_a_request_is_closed() {
    let server =
        serve(AdminConfig::default().request_timeout(millis(200)).idle_timeout(millis(200)));
    assert_eq!(read_all(&mut connect(&server)), "", "nothing was asked");
    let mut kept = connect(&server);
    kept.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert!(read_all(&mut kept).starts_with("HTTP/1.1 200 OK\r\n"), "and closed after a while");
}

#[test]
fn it_stops_at_once_with_connections_open_and_frees_its_port() {
    let server = serve(AdminConfig::default());
    let addr = server.addr();
    let mut kept = connect(&server);
    kept.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    kept.read_exact(&mut [0; 12]).unwrap();
    let mut half = connect(&server);
    half.write_all(b"GET /hea").unwrap();
    let silent = connect(&server);
    let began = Instant::now();
    server.stop();
    assert!(began.elapsed() < secs(5), "{:?}", began.elapsed());
    for mut stream in [kept, half, silent] {
        read_all(&mut stream);
    }
    assert!(TcpStream::connect(addr).is_err());
    // The port can be had again at once.
    drop(serve(AdminConfig::default().listen(addr)));
}

#[test]
fn an_answer_under_way_is_sent_before_it_stops() {
    let script = Script::new();
    let pool = adapters(&script, 1);
    drop(pool.get(&gpt()).unwrap());
    let gate = Gate::new();
    script.on_check.set(gate.before(succeed()));
    let server = admin(&pool).serve().unwrap();
    let mut stream = connect(&server);
    let post = format!(
        "POST /v1/pool/health-check HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    );
    stream.write_all(post.as_bytes()).unwrap();
    gate.await_entered(1);
    let stopping = spawn(move || server.stop());
    gate.open();
    let answer = read_all(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("connection: close\r\n") || !stopping.is_done(), "{answer}");
    stopping.result();
}

#[test]
fn an_address_that_cannot_be_had_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let admin = Admin::new(AdminConfig::default().listen(addr)).unwrap();
    let error = admin.serve().unwrap_err();
    assert!(error.to_string().contains(&addr.to_string()), "{error}");
}
