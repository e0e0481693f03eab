//! Who is refused, and how.

use llm_pool::admin::{Admin, AdminConfig};
use llm_pool::ureq::http::Request;

use crate::house::*;
use crate::support::*;

const GETS: [&str; 9] = [
    "/",
    "/healthz",
    "/metrics",
    "/v1/pool/stats",
    "/v1/pool/status",
    "/v1/pool/details",
    "/v1/pool/advice",
    "/v1/pool/config",
    "/v1/sockets/details",
];
const POSTS: [&str; 5] = [
    "/v1/pool/cleanup",
    "/v1/pool/health-check",
    "/v1/pool/resize",
    "/v1/sockets/check",
    "/v1/sockets/close",
];

fn some() -> Admin {
    admin(&adapters(&Script::new(), 2)).metrics(String::new)
}

#[test]
fn a_path_that_is_not_there_is_404_and_a_wrong_method_405() {
    let admin = some();
    for path in ["/v1", "/v1/pool/stats/", "/v1/pool", "//", "/v1/pool/../pool/stats", "*"] {
        refused(&get(&admin, path), 404);
    }
    for path in GETS {
        assert_eq!(get(&admin, path).status(), 200, "{path}");
        assert_eq!(ask(&admin, request("HEAD", path), "").status(), 200, "{path}");
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get"] {
            let answer = ask(&admin, request(method, path), "");
            refused(&answer, 405);
            assert_eq!(answer.headers()["allow"], "GET, HEAD");
        }
    }
    for path in POSTS {
        let answer = get(&admin, path);
        refused(&answer, 405);
        assert_eq!(answer.headers()["allow"], "POST");
    }
}

#[test]
fn a_post_needs_the_token() {
    let admin = some();
    let without = Admin::new(AdminConfig::default()).unwrap();
    for path in POSTS {
        let answer = ask(&admin, request("POST", path), "");
        refused(&answer, 401);
        assert_eq!(answer.headers()["www-authenticate"], "Bearer");
        for sent in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer a-token-that-is-lonG",
            "Bearer a-token-that-is-long-and-longer",
            "Bearer a-token-that-is",
            "Basic a-token-that-is-long",
            "a-token-that-is-long",
        ] {
            let request = request("POST", path).header("authorization", sent);
            let message = refused(&ask(&admin, request, ""), 401);
            assert!(!message.contains("a-token"), "{message}");
        }
        assert!(refused(&post(&without, path, "{}"), 403).contains("AdminConfig::token"));
    }
    assert_eq!(post(&admin, POSTS[0], "").status(), 200);
}

#[test]
fn beyond_loopback_a_get_needs_the_token_too_but_for_the_page_and_the_health() {
    let elsewhere = AdminConfig::default().listen(([0, 0, 0, 0], 0)).token(TOKEN);
    for config in [elsewhere, AdminConfig::default().token(TOKEN).token_for_get(true)] {
        let admin = Admin::new(config).unwrap().metrics(String::new);
        for path in GETS {
            let answer = get(&admin, path);
            if path == "/" || path == "/healthz" {
                assert_eq!(answer.status(), 200, "{path}");
                continue;
            }
            refused(&answer, 401);
            let request = request("GET", path).header("authorization", format!("bearer {TOKEN}"));
            assert_eq!(ask(&admin, request, "").status(), 200, "{path}");
        }
    }
}

#[test]
fn a_host_that_is_not_expected_is_refused() {
    let config = AdminConfig::default().listen(([127, 0, 0, 2], 0)).host("pool.internal");
    let admin = Admin::new(config).unwrap();
    let of = |uri: &str, hosts: &[&str]| {
        let mut request = Request::builder().uri(uri);
        for host in hosts {
            request = request.header("host", *host);
        }
        ask(&admin, request, "").status().as_u16()
    };
    for good in [
        "localhost",
        "LOCALHOST:80",
        "127.0.0.1:9099",
        "127.0.0.2",
        "[::1]:9099",
        "pool.internal",
        "pool.internal.:1",
    ] {
        assert_eq!(of("/healthz", &[good]), 200, "{good}");
    }
    for bad in [
        "evil.example",
        "localhost.evil.example",
        "evil.example:9099",
        "127.0.0.1.evil.example",
        "192.168.1.1",
        "[::2]",
        "localhost:80:80",
        "localhost:port",
        "[::1",
        "",
        "\u{e9}",
    ] {
        assert_eq!(of("/healthz", &[bad]), 421, "{bad}");
    }
    assert_eq!(of("/healthz", &[]), 400);
    assert_eq!(of("/healthz", &["localhost", "localhost"]), 400);
    assert_eq!(of("http://evil.example/healthz", &["localhost"]), 421);
    assert_eq!(of("http://localhost/healthz", &["evil.example"]), 421);
    assert_eq!(of("http://localhost/healthz", &[]), 200);
}

#[test]
fn a_type_that_is_not_json_is_415_and_a_long_body_413() {
    let admin = some();
    let with = |path: &str, content_type: &str, body: &str| {
        let request = request("POST", path).header("authorization", format!("Bearer {TOKEN}"));
        ask(&admin, request.header("content-type", content_type), body)
    };
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp"]
    {
        refused(&with("/v1/pool/resize", content_type, r#"{"max_size": 2}"#), 415);
        refused(&with("/v1/pool/cleanup", content_type, "{}"), 415);
    }
    assert_eq!(with("/v1/pool/cleanup", "text/plain", "").status(), 200, "there is no body");
    refused(&post(&admin, "/v1/pool/resize", &" ".repeat((64 << 10) + 1)), 413);
}

#[test]
fn wrong_settings_are_refused_together_by_name() {
    let wrong = AdminConfig::default()
        .listen(([0, 0, 0, 0], 9099))
        .token_for_get(true)
        .host("http://pool")
        .max_head(0)
        .max_body(usize::MAX)
        .max_connections(0)
        .request_timeout(secs(0))
        .idle_timeout(secs(0));
    let error = Admin::new(wrong).unwrap_err();
    assert_eq!(error.problems().len(), 8, "{error}");
    let names = ["listen", "token_for_get", "hosts", "max_head", "max_body", "max_connections"];
    for name in names.into_iter().chain(["request_timeout", "idle_timeout"]) {
        assert!(error.problems().iter().any(|it| it.starts_with(name)), "{name}: {error}");
    }
    for token in ["", "short", "with a space in it", "caf\u{e9}-caf\u{e9}-caf\u{e9}-cafe"] {
        let error = Admin::new(AdminConfig::default().token(token)).unwrap_err().to_string();
        assert!(error.contains("token:"), "{error}");
        assert!(token.is_empty() || !error.contains(token), "{error}");
    }
    let shown = format!("{:?}", AdminConfig::default().token(TOKEN));
    assert!(shown.contains("[redacted]") && !shown.contains(TOKEN), "{shown}");
}
