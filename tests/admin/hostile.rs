//! Requests made to do harm, and bytes of anybody.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use llm_pool::admin::{Admin, AdminConfig, AdminServer};
use llm_pool::keyed::{AdapterKey, KeyedConfig, KeyedPool, Setup};
use llm_pool::ureq::http::{HeaderName, HeaderValue, Method, Request, Uri};
use llm_pool::{EventLog, Observer};
use proptest::prelude::*;

use crate::house::*;
use crate::support::*;

/// What a browser or a log would take for something else.
const ODD: &str =
    "</script><img src=x onerror=alert(1)>\"'&\r\nSet-Cookie: a=b\r\n\r\n\u{202e}\u{2028}\0\x1b[2J";

fn serve() -> AdminServer {
    let pool = adapters(&Script::new(), 2);
    drop(pool.get(&gpt()).unwrap());
    let config = AdminConfig::default().request_timeout(secs(5));
    Admin::new(config.token(TOKEN)).unwrap().pool("adapters", pool).serve().unwrap()
}

/// Sends this, ends the direction, and reads all answers.
fn exchange(server: &AdminServer, sent: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    stream.set_read_timeout(Some(secs(20))).unwrap();
    let _ = stream.write_all(sent);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // A reset after the answer is the server's right.
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            panic!("it hangs: {sent:?}")
        }
        _ => answer,
    }
}

fn statuses(answer: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(answer);
    let of = |part: &str| part.get(..3).and_then(|status| status.parse().ok());
    text.split("HTTP/1.1 ").skip(1).filter_map(of).collect()
}

#[test]
fn a_second_request_cannot_be_hidden_in_the_first() {
    let server = serve();
    let hidden = "GET /v1/pool/stats HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for head in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 50",
        "Content-Length: 0\r\nContent-Length: 50",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "X: a\r\n Transfer-Encoding: chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\u{b}chunked",
        "Content-Length: 0,50",
    ] {
        let sent = format!("POST / HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n{hidden}");
        assert_eq!(statuses(&exchange(&server, sent.as_bytes())), [400], "{head:?}");
    }
    for body in ["\r\n", "0\r\na\n", "0\n\n", "1\r\na\n0\r\n\r\n", "0;a\nb\r\n\r\n"] {
        let sent = format!(
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{body}{hidden}"
        );
        assert_eq!(statuses(&exchange(&server, sent.as_bytes())), [400], "{body:?}");
    }
    // Whole, the body is no request, whatever it looks like.
    let whole = format!(
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{hidden}",
        hidden.len()
    );
    assert_eq!(statuses(&exchange(&server, whole.as_bytes())), [200]);
}

#[test]
fn targets_of_all_forms_are_one_path_or_none() {
    let server = serve();
    for (line, status) in [
        ("GET http://localhost/healthz HTTP/1.1", 200),
        ("GET HTTP://LOCALHOST:1/healthz HTTP/1.1", 200),
        ("GET http://evil.example/healthz HTTP/1.1", 421),
        ("GET http://localhost@evil.example/healthz HTTP/1.1", 421),
        ("GET http://evil.example@localhost/healthz HTTP/1.1", 421),
        ("GET http://user:pass@localhost/healthz HTTP/1.1", 421),
        ("GET //localhost/healthz HTTP/1.1", 404),
        ("GET //evil.example/healthz HTTP/1.1", 404),
        ("CONNECT localhost:80 HTTP/1.1", 404),
        ("CONNECT evil.example:80 HTTP/1.1", 421),
        ("OPTIONS * HTTP/1.1", 404),
        ("OPTIONS /v1/pool/stats HTTP/1.1", 405),
        ("TRACE /healthz HTTP/1.1", 405),
        ("GET /%68ealthz HTTP/1.1", 404),
        ("GET /healthz%00 HTTP/1.1", 404),
        ("GET /./healthz HTTP/1.1", 404),
        ("GET /v1/../healthz HTTP/1.1", 404),
        ("GET /v1/%2e%2e/healthz HTTP/1.1", 404),
        ("GET /healthz/ HTTP/1.1", 404),
        ("GET /healthz;a HTTP/1.1", 404),
        ("GET /HEALTHZ HTTP/1.1", 404),
        ("GET \\healthz HTTP/1.1", 400),
        ("GET healthz HTTP/1.1", 421),
        ("GET /healthz?a=/../v1 HTTP/1.1", 200),
        ("GET /healthz#a HTTP/1.1", 200),
        ("GET /healthz HTTP/1.0", 200),
        ("GET /healthz HTTP/1.2", 400),
        ("GET /healthz", 400),
        ("get /healthz HTTP/1.1", 405),
        ("GET /health\u{e9} HTTP/1.1", 404),
    ] {
        let sent = format!("{line}\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let answer = exchange(&server, sent.as_bytes());
        assert_eq!(statuses(&answer), [status], "{line}: {}", String::from_utf8_lossy(&answer));
    }
}

#[test]
fn head_is_answered_without_a_body_and_what_follows_is_not_mixed_up() {
    let server = serve();
    let sent = "HEAD /v1/pool/stats HTTP/1.1\r\nHost: localhost\r\n\r\n\
                HEAD /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n\
                GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = String::from_utf8(exchange(&server, sent.as_bytes())).unwrap();
    assert_eq!(statuses(answer.as_bytes()), [200, 404, 200], "{answer}");
    assert_eq!(answer.matches("\"success\"").count(), 1, "{answer}");
    assert!(!answer.contains("content-length: 0"), "that of the GET: {answer}");
}

#[test]
fn another_origin_is_told_nothing_that_lets_it_in() {
    let admin = admin(&adapters(&Script::new(), 2)).metrics(String::new);
    for (method, path) in [
        ("OPTIONS", "/v1/pool/resize"),
        ("GET", "/v1/pool/stats"),
        ("GET", "/"),
        ("POST", "/v1/pool/resize"),
    ] {
        let request = request(method, path)
            .header("origin", "http://evil.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization, content-type");
        let answer = ask(&admin, request, "");
        let open = |name: &HeaderName| name.as_str().starts_with("access-control");
        assert!(!answer.headers().keys().any(open), "{method} {path}: {:?}", answer.headers());
        assert!(method == "GET" || !answer.status().is_success(), "{method} {path}");
    }
    // What a form can send, without a question before.
    for content_type in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a"]
    {
        for path in ["/v1/pool/resize", "/v1/pool/cleanup", "/v1/pool/health-check"] {
            let request = request("POST", path).header("content-type", content_type);
            refused(&ask(&admin, request.header("cookie", TOKEN), r#"{"max_size":1}"#), 401);
        }
    }
}

#[test]
fn a_token_is_taken_from_its_header_alone() {
    let admin = Admin::new(AdminConfig::default().token(TOKEN).token_for_get(true)).unwrap();
    let of = |path: &str, name: &str, value: &str| {
        ask(&admin, request("GET", path).header(name, value), "").status().as_u16()
    };
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(of("/v1/pool/stats", "authorization", &bearer), 200);
    for (path, name, value) in [
        ("/v1/pool/stats", "proxy-authorization", bearer.as_str()),
        ("/v1/pool/stats", "cookie", TOKEN),
        ("/v1/pool/stats", "x-token", TOKEN),
        ("/v1/pool/stats?token=a-token-that-is-long", "x", ""),
        ("/v1/pool/stats?access_token=a-token-that-is-long", "x", ""),
        ("/v1/pool/stats", "authorization", "Bearera-token-that-is-long"),
        ("/v1/pool/stats", "authorization", "Bearer\ta-token-that-is-long"),
        ("/v1/pool/stats", "authorization", "Bearer a-token-that-is-long, Basic x"),
        ("/v1/pool/stats", "authorization", "Bearer a-token-that-is-long a-token-that-is-long"),
    ] {
        assert_eq!(of(path, name, value), 401, "{path} {name}: {value}");
    }
    // Two of them are none: something in front may have looked at the other one.
    let two = request("GET", "/v1/pool/stats").header("authorization", "Bearer x");
    assert_eq!(ask(&admin, two.header("authorization", &bearer), "").status(), 401);
    let two = request("GET", "/v1/pool/stats").header("authorization", &bearer);
    assert_eq!(ask(&admin, two.header("authorization", "Bearer x"), "").status(), 401);
}

#[test]
fn hosts_that_only_look_like_ours_are_refused() {
    let admin = Admin::new(AdminConfig::default().host("pool.internal")).unwrap();
    let of = |host: &str| {
        let Ok(host) = HeaderValue::from_bytes(host.as_bytes()) else { return 421 };
        ask(&admin, Request::builder().uri("/healthz").header("host", host), "").status().as_u16()
    };
    for good in [
        "LocalHost",
        "localhost.",
        "localhost.:80",
        "localhost:",
        "127.0.0.1",
        "127.9.9.9:1",
        "[::1]",
        "[::1]:",
        "[::ffff:127.0.0.1]:80",
        "POOL.internal:0",
    ] {
        assert_eq!(of(good), 200, "{good}");
    }
    for bad in [
        "localhost@evil.example",
        "localhost:80@evil.example",
        "evil.example@localhost",
        "user:pass@localhost",
        "localhost,evil.example",
        "localhost evil.example",
        "localhost/evil",
        "localhost#",
        "localhost?",
        "localhost\\",
        "localhost%00",
        "localhost..",
        ".localhost",
        ".",
        "",
        ":80",
        "0.0.0.0",
        "[::]",
        "0x7f.0.0.1",
        "127.1",
        "2130706433",
        "127.0.0.1.",
        "127.0.0.1.nip.io",
        "[::1",
        "[::1]80",
        "[::1].evil.example",
        "[localhost]",
        "[]",
        "[",
        "]",
        "::1",
        "[::1%25lo]",
        "pool.internal.evil.example",
        "xpool.internal",
        "l\u{f6}calhost",
        "http://localhost",
    ] {
        assert_eq!(of(bad), 421, "{bad}");
    }
}

#[test]
fn no_name_gets_out_of_its_place() {
    let log = EventLog::default();
    let script = Script::new();
    let maker = script.clone();
    let config = KeyedConfig::default().pool(config("odd", 2).observer(log.clone()));
    let pool = KeyedPool::new(config, move |_: &AdapterKey| Ok(Setup::new(maker.maker()))).unwrap();
    script.on_create.set(fail(ODD));
    let key = AdapterKey::new("</script><b>\"", "'><img src=x onerror=alert(1)>");
    assert!(pool.get_timeout(&key, millis(200)).is_err());
    log.create_failed(&ODD.into(), ODD);
    let admin = Admin::new(AdminConfig::default().token(TOKEN)).unwrap();
    let admin = admin.pool(ODD, pool).events(log).metrics(|| ODD.into());
    for path in ["stats", "status", "details", "advice", "config", "metrics", "page", "none"] {
        let path = match path {
            "page" => "/".to_owned(),
            "metrics" => "/metrics".to_owned(),
            path => format!("/v1/pool/{path}"),
        };
        let answer = get(&admin, &path);
        let headers = answer.headers();
        assert!(headers.get("set-cookie").is_none());
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        let html = headers["content-type"].to_str().unwrap().starts_with("text/html");
        let body = String::from_utf8_lossy(answer.body());
        // No name is in what a browser takes for a page.
        assert!(html == (path == "/") && !(html && body.contains("onerror")), "{path}");
        assert!(
            headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'")
        );
        if path.starts_with("/v1") {
            let _ = json(&answer);
            assert!(!body.contains(['\r', '\n', '\0', '\x1b']), "{path}: {body:?}");
        }
    }
    let body = serde_json::json!({ "pool": "none", "key": ODD, "max_size": 1 }).to_string();
    assert!(
        !refused(&post(&admin, "/v1/pool/resize", &body), 404).contains(['\n', '\0', '\u{202e}'])
    );
    let body = serde_json::json!({ ODD: 1 }).to_string();
    assert!(
        !refused(&post(&admin, "/v1/pool/resize", &body), 400).contains(['\n', '\0', '\u{202e}'])
    );
}

#[test]
fn a_hook_that_panicked_leaves_nothing_broken() {
    let pool = adapters(&Script::new(), 2);
    drop(pool.get(&gpt()).unwrap());
    let server = admin(&pool).metrics(|| panic!("a metric")).serve().unwrap();
    let sent = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(3)
        + "GET /v1/pool/details HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = exchange(&server, sent.as_bytes());
    assert_eq!(statuses(&answer), [500, 500, 500, 200], "{}", String::from_utf8_lossy(&answer));
    server.stop();
    assert!(pool.get(&gpt()).is_ok());
}

fn any_path() -> impl Strategy<Value = String> {
    let paths = prop::sample::select(vec![
        "/",
        "/healthz",
        "/metrics",
        "/v1/pool/stats",
        "/v1/pool/status",
        "/v1/pool/details",
        "/v1/pool/details?since=",
        "/v1/pool/advice",
        "/v1/pool/config",
        "/v1/pool/cleanup",
        "/v1/pool/health-check",
        "/v1/pool/resize",
        "*",
        "http://localhost/",
        "localhost:80",
    ]);
    prop_oneof![
        (paths, "[!-~]{0,12}").prop_map(|(path, more)| path.to_owned() + &more),
        "[!-~]{1,60}"
    ]
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        r#"\{"max_size": ?(-?[0-9]{1,25}|"[a-z]*"|null|\[\]|1e9)(, ?"(key|pool)": ?"[ -!#-~]{0,9}")?\}?"#
            .prop_map(String::into_bytes),
        (1_usize..3000).prop_map(|deep| "[".repeat(deep).into_bytes()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_request_is_answered(
        method in prop_oneof!["GET", "POST", "[A-Z]{1,9}"],
        path in any_path(),
        hosts in prop::collection::vec(prop_oneof![9 => Just("localhost".to_owned()), 1 => "[ -~]{0,20}"], 0..2),
        headers in prop::collection::vec(
            ("(authorization|content-type|x-[a-z]{1,5})", prop::collection::vec(0x20_u8.., 0..40)), 0..4),
        with_token in any::<bool>(),
        body in any_body(),
    ) {
        let pool = adapters(&Script::new(), 2);
        let config = AdminConfig::default().token(TOKEN).check_wait(millis(0));
        let admin = Admin::new(config).unwrap().pool("adapters", pool).metrics(String::new);
        let mut request = Request::new(body);
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        let Ok(uri) = Uri::try_from(path) else { return Ok(()) };
        *request.uri_mut() = uri;
        let values = headers.into_iter().chain(hosts.into_iter().map(|host| ("host".into(), host.into_bytes())));
        for (name, value) in values {
            let value = HeaderValue::from_bytes(&value);
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), value) {
                request.headers_mut().append(name, value);
            }
        }
        if with_token {
            let bearer = format!("Bearer {TOKEN}").parse().unwrap();
            request.headers_mut().insert("authorization", bearer);
            request.headers_mut().insert("content-type", "application/json".parse().unwrap());
        }
        let answer = admin.handle(&request);
        let status = answer.status().as_u16();
        prop_assert!(matches!(status, 200 | 400..=421), "{status}");
        prop_assert!(!String::from_utf8_lossy(answer.body()).contains(TOKEN));
    }
}

#[test]
fn any_bytes_are_answered_or_closed() {
    let server = serve();
    let words = prop::sample::select(vec![
        "GET /healthz HTTP/1.1\r\n",
        "POST /v1/pool/resize HTTP/1.1\r\n",
        "Host: localhost\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Expect: 100-continue\r\n",
        "\r\n",
        "\n",
        "0\r\n",
        "5\r\nhello\r\n",
        "hello",
        "\0",
        "\u{e9}",
        " ",
    ]);
    let bytes = prop::collection::vec(any::<u8>(), 0..20);
    let part = prop_oneof![5 => words.prop_map(|word| word.as_bytes().to_vec()), 1 => bytes];
    let all = prop::collection::vec(part, 0..25).prop_map(|parts| parts.concat());
    let config =
        ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(sent in all)| {
        let answer = exchange(&server, &sent);
        prop_assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "{sent:?}: {answer:?}");
    });
    assert_eq!(
        statuses(&exchange(&server, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")),
        [200]
    );
}
