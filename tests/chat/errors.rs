//! What an error says, for all that a server may say.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use llm_pool::chat::{ErrorKind, Seen};
use llm_pool::llm::Provider;
use llm_pool::test_server::{Fault, Reply, TestServer};

use crate::support::*;
use crate::*;

#[test]
fn a_status_says_what_kind_of_error_it_is() {
    let server = TestServer::start().unwrap();
    for (status, kind, retryable) in [
        (400, ErrorKind::BadRequest, false),
        (401, ErrorKind::Unauthorized, false),
        (402, ErrorKind::Quota, false),
        (403, ErrorKind::Unauthorized, false),
        (404, ErrorKind::NotFound, false),
        (408, ErrorKind::Server, true),
        (409, ErrorKind::Server, true),
        (413, ErrorKind::TooLong, false),
        (422, ErrorKind::BadRequest, false),
        (429, ErrorKind::RateLimited, true),
        (500, ErrorKind::Server, true),
        (503, ErrorKind::Server, true),
        (529, ErrorKind::Server, true),
    ] {
        let error = failing(&server, Reply::status(status).message("Because").body(""));
        assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "{status}");
        assert_eq!((error.status(), error.seen()), (Some(status), Seen::Yes), "{status}");
    }
}

#[test]
fn bodies_are_read_whatever_their_shape() {
    let server = TestServer::start().unwrap();
    let long = format!("{{\"error\":\"{}\"}}", "x".repeat(5000));
    for (body, code, message) in [
        (
            r#"{"error":{"message":"No.","type":"invalid_request_error","param":null,"code":"c"}}"#,
            Some("c"),
            "No",
        ),
        (
            r#"{"error":{"message":"No","type":"BadRequestError","param":null,"code":400}}"#,
            Some("BadRequestError"),
            "No",
        ),
        (
            r#"{"object":"error","message":"No","type":"BadRequestError","param":null,"code":400}"#,
            Some("BadRequestError"),
            "No",
        ),
        (r#"{"error":{"message":"No","type":"None","param":"None","code":"400"}}"#, None, "No"),
        (r#"{"error":"Unauthorized"}"#, None, "Unauthorized"),
        (r#"{"detail":"Not Found"}"#, None, "Not Found"),
        (
            r#"{"detail":[{"loc":["body"],"msg":"field required"},{"msg":"too short"}]}"#,
            None,
            "field required; too short",
        ),
        (r#"{"message":"No"}"#, None, "No"),
        (r#""just a text""#, None, "just a text"),
        (r#"[{"error":{"code":400,"message":"No","status":"INVALID_ARGUMENT"}}]"#, None, "No"),
        ("plain text\nin two lines", None, "plain text in two lines"),
        (
            "<html><head><title>502 Bad Gateway</title></head></html>",
            None,
            "a page: 502 Bad Gateway",
        ),
        ("<!DOCTYPE html><p>oops", None, "a page without a title"),
        ("", None, "no reason is given"),
        ("{}", None, "no reason is given"),
        ("\u{0}\u{1b}[31mred", None, "\\0\\u{1b}[31mred"),
        (&long, None, "xxxxxxxxxxxxxxxx"),
    ] {
        let error = failing(&server, Reply::status(400).body(body));
        assert_eq!(error.code(), code, "{body}");
        assert!(error.message().starts_with(message), "{body}: {}", error.message());
        assert!(error.message().len() <= 520, "it is cut");
    }
}

#[test]
fn what_servers_mean_is_told_apart() {
    let server = TestServer::start().unwrap();
    let openai =
        |code: &str| format!(r#"{{"error":{{"message":"m","type":"t","code":"{code}"}}}}"#);
    let said = |message: &str| format!(r#"{{"error":{{"message":"{message}"}}}}"#);
    for (status, body, kind) in [
        (429, openai("insufficient_quota"), ErrorKind::Quota),
        (429, openai("credit_balance_exhausted"), ErrorKind::Quota),
        (429, openai("AccountQuotaExceeded"), ErrorKind::Quota),
        (429, said("Your account is in Safe Experience Mode"), ErrorKind::Quota),
        (403, openai("AccountOverdueError"), ErrorKind::Quota),
        (429, openai("rate_limit_exceeded"), ErrorKind::RateLimited),
        (400, openai("context_length_exceeded"), ErrorKind::TooLong),
        (400, said("This model's maximum context length is 8192 tokens"), ErrorKind::TooLong),
        (400, openai("content_policy_violation"), ErrorKind::ContentRefused),
        (404, openai("model_not_found"), ErrorKind::NotFound),
        (429, openai("billing_not_active"), ErrorKind::Quota),
        (
            429,
            r#"{"error":{"message":"m","type":"exceeded_current_quota_error"}}"#.to_owned(),
            ErrorKind::Quota,
        ),
        // Words that say that another try may help do not make a client's error a server's.
        (413, openai("rate_limit_exceeded"), ErrorKind::TooLong),
        (400, openai("api_error"), ErrorKind::BadRequest),
        (401, openai("server_error"), ErrorKind::Unauthorized),
        (503, openai("rate_limit_exceeded"), ErrorKind::RateLimited),
        // A page comes from something that knows no keys.
        (403, "<html><h1>Forbidden</h1></html>".to_owned(), ErrorKind::BadRequest),
    ] {
        let error = failing(&server, Reply::status(status).body(body.as_str()));
        assert_eq!(error.kind(), kind, "{status} {body}");
    }
}

#[test]
fn an_error_names_the_model_the_reason_and_the_request() {
    let server = TestServer::start().unwrap();
    let error = failing(&server, Reply::status(404).message("There is no such model."));
    let said = error.to_string();
    assert!(said.starts_with("test:small: not found (status 404"), "{said}");
    let at = format!("There is no such model; at {}; see whether", server.chat_url());
    assert!(said.contains(&at), "{said}");
    assert!(said.ends_with("; request req-1"), "{said}");
    assert_eq!(error.request_id(), Some("req-1"));
    assert!(std::error::Error::source(&error).is_none());
}

#[test]
fn an_error_in_a_good_answer_is_one() {
    let server = TestServer::start().unwrap();
    for (body, kind) in [
        (r#"{"error":{"message":"m","code":"model_not_found"}}"#, ErrorKind::NotFound),
        (r#"{"error":"it broke"}"#, ErrorKind::Server),
        (r#"{"error":{"message":"m","code":429}}"#, ErrorKind::RateLimited),
        (r#"{"error":{"message":"m","code":502,"metadata":{}}}"#, ErrorKind::Server),
        (r#"{"choices":[]}"#, ErrorKind::Malformed),
        (r#"{}"#, ErrorKind::Malformed),
        (r#"[1,2]"#, ErrorKind::Malformed),
        ("<html><title>Log in</title></html>", ErrorKind::Malformed),
        ("", ErrorKind::Malformed),
        ("not json", ErrorKind::Malformed),
    ] {
        let error = failing(&server, Reply::ok().body(body));
        assert_eq!((error.kind(), error.status()), (kind, Some(200)), "{body}: {error}");
        assert_eq!(error.seen(), Seen::Yes);
    }
}

#[test]
fn whether_the_server_saw_the_request_is_told() {
    let server = TestServer::start().unwrap();
    for (fault, kind, seen) in [
        (Fault::CloseBeforeAnswer, ErrorKind::Broken, Seen::Maybe),
        (Fault::Reset, ErrorKind::Broken, Seen::Maybe),
        (Fault::GarbageStatusLine, ErrorKind::Broken, Seen::Yes),
        (Fault::CloseDuringAnswer, ErrorKind::Broken, Seen::Yes),
        (Fault::LengthTooLong, ErrorKind::Broken, Seen::Yes),
    ] {
        let error = failing(&server, Reply::fault(fault));
        assert_eq!((error.kind(), error.seen()), (kind, seen), "{fault:?}: {error}");
        assert!(error.is_retryable() && std::error::Error::source(&error).is_some());
    }
    let gone = server.url().to_owned();
    drop(server);
    let pool = pool_of(Provider::new(gone), chat_config().max_retries(0));
    let error = pool.chat(&key(), &hi()).unwrap_err();
    assert_eq!((error.kind(), error.seen()), (ErrorKind::Unreachable, Seen::No), "{error}");
}

#[test]
fn a_request_that_a_closed_connection_may_have_taken_is_not_told_as_unsent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        read_request(&mut client);
        let body = r#"{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}"#;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length";
        write!(client, "{head}: {}\r\n\r\n{body}", body.len()).unwrap();
        // The second one is taken, and nobody is there for the third.
        read_request(&mut client);
        drop(listener);
    });
    let pool = pool_of(Provider::new(url).check(None), chat_config().max_retries(0));
    let llm = pool.get(&key()).unwrap();
    llm.chat(&hi()).unwrap();
    let error = llm.chat(&hi()).unwrap_err();
    server.result();
    assert_eq!((error.kind(), error.seen()), (ErrorKind::Broken, Seen::Maybe), "{error}");
}

#[test]
fn a_proxy_that_refuses_is_a_connection_that_could_not_be_had() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::Url(format!("http://{}", listener.local_addr().unwrap()));
    let server = spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        read_request(&mut client);
        client.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").unwrap();
    });
    let provider = Provider::new("http://127.0.0.1:1").check(None);
    let agents = AgentConfig::default().proxy(proxy);
    let config = LlmConfig::default().agents(agents).chat(chat_config().max_retries(0));
    let pool = config.provider("test", provider).build().unwrap();
    let error = pool.chat(&key(), &hi()).unwrap_err();
    server.result();
    assert_eq!((error.kind(), error.seen()), (ErrorKind::Unreachable, Seen::No), "{error}");
}

/// Reads a head and the body that it tells of.
fn read_request(client: &mut TcpStream) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).unwrap();
        head.push(byte[0].to_ascii_lowercase());
    }
    let head = String::from_utf8(head).unwrap();
    let length =
        head.split("content-length: ").nth(1).map_or("0", |rest| rest.lines().next().unwrap());
    client.read_exact(&mut vec![0; length.parse().unwrap()]).unwrap();
}

#[test]
fn a_redirect_is_not_followed_and_named_without_its_query() {
    let elsewhere = TestServer::start().unwrap();
    let server = TestServer::start().unwrap();
    let there = format!("{}/v1/chat/completions?token=secret", elsewhere.url());
    for status in [301, 302, 303, 307, 308] {
        let error = failing(&server, Reply::status(status).header("location", &there));
        assert_eq!((error.status(), error.is_retryable()), (Some(status), false));
        assert!(error.message().contains(elsewhere.url()), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    assert_eq!(elsewhere.stats().requests, 0);
}

#[test]
fn a_pool_that_gives_no_client_says_why() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    let _held = [pool.get(&key()).unwrap(), pool.get(&key()).unwrap()];
    let request = llm_pool::chat::ChatRequest::new(hi().to_vec()).within(millis(20));
    let error = pool.chat(&key(), request).unwrap_err();
    assert_eq!((error.kind(), error.seen()), (ErrorKind::NoLease, Seen::No));
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("timed out after") && error.to_string().contains(&cause), "{error}");
    assert!(error.is_retryable());
    let error = pool.chat(&ModelKey::new("nobody", "m"), &hi()).unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::NoLease, false), "{error}");
    pool.close();
    let error = pool.chat(&key(), &hi()).unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::NoLease, false), "{error}");
}

#[test]
fn a_stopper_ends_a_call_and_its_client_is_not_used_again() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    server.plan(Reply::fault(Fault::Stall));
    let llm = pool.get(&key()).unwrap();
    let stopper = llm.stopper();
    let caller = spawn(move || llm.chat(&hi()).unwrap_err());
    server.wait_until(LIMIT, |seen| seen.in_flight == 1).unwrap();
    stopper.stop();
    let error = caller.result();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Stopped, false), "{error}");
    eventually(|| in_use(&pool) == 0);
    for _ in 0..4 {
        assert_eq!(pool.chat(&key(), &hi()).unwrap().tries(), 1);
    }
}

#[test]
fn answers_over_the_limit_are_refused_whether_their_length_is_told_or_not() {
    let server = TestServer::start().unwrap();
    let pool = pool_with(&server, chat_config().max_answer(1000));
    let long = "x".repeat(2000);
    server.plan(Reply::ok().content(&long));
    let error = pool.chat(&key(), &hi()).unwrap_err();
    assert_eq!((error.kind(), error.tries()), (ErrorKind::TooLarge, 1), "{error}");
    server.plan(Reply::ok().content_type("application/json").pieces([long.clone(), long]));
    assert_eq!(pool.chat(&key(), &hi()).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(pool.chat(&key(), &hi()).unwrap().tries(), 1, "the limit is for one answer");
}
