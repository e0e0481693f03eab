//! Where tokens come from, how often, and what is told if they do not.

use super::*;

#[test]
fn a_token_is_asked_for_with_the_key_as_it_is_the_scope_and_a_uuid() {
    for (scope, name) in [
        (Scope::Personal, "GIGACHAT_API_PERS"),
        (Scope::Business, "GIGACHAT_API_B2B"),
        (Scope::Corporate, "GIGACHAT_API_CORP"),
    ] {
        let server = server();
        let pool = config(gigachat(&server).scope(scope)).build().unwrap();
        for _ in 0..3 {
            pool.chat(&key(), "Привет").unwrap();
        }
        let seen = seen_at(&server, OAUTH);
        assert_eq!(seen.len(), 1);
        let request = &seen[0];
        assert_eq!(request.method(), "POST");
        assert_eq!(request.header("authorization"), Some(&*format!("Basic {KEY}")));
        assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
        assert_eq!(request.body(), format!("scope={name}").as_bytes());
        let id = request.header("rquid").unwrap();
        assert!(id.len() == 36 && id.as_bytes()[14] == b'4', "{id}");
        let tokens: Vec<_> = seen_at(&server, CHAT);
        assert!(tokens.iter().all(|it| it.header("authorization") == Some("Bearer access-1")));
    }
}

#[test]
fn both_token_replies_serve_in_milliseconds_and_in_seconds() {
    let ms = in_half_an_hour();
    let seconds = ms / 1000;
    for reply in [
        format!(r#"{{"access_token":"access-1","expires_at":{ms}}}"#),
        format!(r#"{{"tok":"access-1","exp":{seconds}}}"#),
        format!(r#"{{"tok":"access-1","exp":{ms}}}"#),
        r#"{"access_token":"access-1","expires_at":0}"#.to_owned(),
    ] {
        let server = server();
        server.set_reply(Reply::ok().at(OAUTH).body(reply));
        let pool = pool_of(&server);
        for _ in 0..3 {
            assert_eq!(pool.chat(&key(), "Привет").unwrap().text(), "Привет!");
        }
        assert_eq!(seen_at(&server, OAUTH).len(), 1);
    }
}

#[test]
fn many_threads_fetch_one_token() {
    let server = server();
    server.set_reply(token("access-1").delay(millis(50)));
    let pool = config(gigachat(&server)).build().unwrap();
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| pool.chat(&key(), "Привет").unwrap());
        }
    });
    assert_eq!(seen_at(&server, OAUTH).len(), 1);
}

#[test]
fn a_token_that_expired_before_its_time_is_renewed_once() {
    let server = server();
    let pool = pool_of(&server);
    pool.chat(&key(), "Привет").unwrap();
    let expired = r#"{"status":401,"message":"Token has expired"}"#;
    server.plan(refusal(401, expired));
    server.set_reply(token("access-2"));
    assert_eq!(pool.chat(&key(), "Привет").unwrap().tries(), 1);
    let sent: Vec<_> = seen_at(&server, CHAT);
    let sent: Vec<_> = sent.iter().map(|it| it.header("authorization").unwrap()).collect();
    assert_eq!(sent, ["Bearer access-1", "Bearer access-1", "Bearer access-2"]);

    // Twice in one call is final.
    server.plan(refusal(401, expired).times(2));
    let error = pool.chat(&key(), "Привет").unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Unauthorized, Some(401)));
    assert!(error.to_string().contains("Token has expired"), "{error}");
    assert_eq!(seen_at(&server, CHAT).len(), 5);
}

#[test]
fn a_401_for_a_fresh_token_is_final() {
    let server = server();
    server.plan(refusal(401, r#"{"status":401,"message":"Unauthorized access-1"}"#));
    let error = pool_of(&server).chat(&key(), "Привет").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(!format!("{error} {error:?}").contains("access-1"), "{error}");
    assert_eq!((seen_at(&server, CHAT).len(), seen_at(&server, OAUTH).len()), (1, 1));
}

#[test]
fn oauth_errors_keep_their_code_and_not_the_key() {
    for (status, body, kind, code) in [
        (
            400,
            r#"{"code":1,"message":"scope data format invalid"}"#,
            ErrorKind::Unauthorized,
            Some("1"),
        ),
        (400, r#"{"code":5,"message":"scope is empty"}"#, ErrorKind::Unauthorized, Some("5")),
        (
            400,
            r#"{"code":7,"message":"scope from db not fully includes consumed scope"}"#,
            ErrorKind::Unauthorized,
            Some("7"),
        ),
        (
            401,
            r#"{"code":6,"message":"credentials Y2xpZW50LWlkOmNsaWVudC1zZWNyZXQ= doesn't match"}"#,
            ErrorKind::Unauthorized,
            Some("6"),
        ),
        (401, "", ErrorKind::Unauthorized, None),
        (404, "<html><title>Not Found</title></html>", ErrorKind::NotFound, None),
        (403, "<html><title>Forbidden</title></html>", ErrorKind::BadRequest, None),
        (500, r#"{"code":500,"message":"Internal"}"#, ErrorKind::Server, Some("500")),
        (503, "<html></html>", ErrorKind::Server, None),
        (429, "", ErrorKind::RateLimited, None),
        (302, "", ErrorKind::BadRequest, None),
    ] {
        let server = server();
        server.set_reply(Reply::status(status).at(OAUTH).header("retry-after", "7").body(body));
        let error = pool_of(&server).chat(&key(), "Привет").unwrap_err();
        assert_eq!((error.kind(), error.code()), (kind, code), "{status} {error}");
        assert_eq!(error.status(), Some(status));
        assert!(error.message().starts_with("no token: "), "{error}");
        assert!(!format!("{error} {error:?}").contains(KEY), "{error:?}");
        assert!(seen_at(&server, CHAT).is_empty());
        if status == 429 {
            assert_eq!(error.retry_after(), Some(secs(7)));
        }
    }
}

#[test]
fn oauth_that_is_not_there_cannot_be_read_or_breaks_is_told_as_such() {
    let server = server();
    let gone = gigachat(&server).oauth_url("http://127.0.0.1:1/oauth");
    let error = config(gone).build().unwrap().chat(&key(), "Привет").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    server.set_reply(Reply::ok().at(OAUTH).body("<html>"));
    let error = pool_of(&server).chat(&key(), "Привет").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
    server.set_reply(Reply::fault(Fault::CloseBeforeAnswer).at(OAUTH));
    let error = pool_of(&server).chat(&key(), "Привет").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    server.set_reply(Reply::fault(Fault::Stall).at(OAUTH));
    let hurried = ChatRequest::from("Привет").within(millis(200));
    let error = pool_of(&server).chat(&key(), hurried).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
}

#[test]
fn a_key_that_cannot_be_sent_is_refused_when_the_pool_is_built() {
    for bad in ["line\nbreak", "s3cr3t\n", "ключ", ""] {
        let error = config(Provider::gigachat(bad)).build().unwrap_err().to_string();
        assert!(error.contains("authorization key must be visible ASCII"), "{error}");
        assert!(bad.trim().is_empty() || !error.contains(bad.trim()), "{error}");
    }
    let error = config(GigaChat::new(KEY).oauth_url("nowhere")).build().unwrap_err().to_string();
    assert!(error.contains("oauth_url"), "{error}");
    let no_roots = GigaChat::new(KEY).root_certs(RootCerts::Pem(b"none".to_vec()));
    config(no_roots).build().unwrap_err();
    config(Provider::gigachat(KEY)).build().unwrap();
}

#[test]
fn checks_send_the_token_and_renew_it_once() {
    let server = server();
    let pool = pool_of(&server);
    pool.warm_up(&key(), 3).unwrap();
    let checks = seen_at(&server, MODELS);
    assert!(!checks.is_empty());
    assert!(checks.iter().all(|it| it.header("authorization") == Some("Bearer access-1")));
    assert_eq!(seen_at(&server, OAUTH).len(), 1);

    // A server that forgets its tokens costs no client.
    let checked = checks.len();
    server.plan(Reply::status(401).at(MODELS).body(r#"{"status":401,"message":"Unauthorized"}"#));
    server.set_reply(token("access-2"));
    pool.check_all();
    eventually(|| seen_at(&server, MODELS).len() == checked + 4);
    eventually(|| pool.stats().sum.checking == 0);
    assert_eq!(pool.stats().sum.check_failures, 0);
    assert_eq!(seen_at(&server, OAUTH).len(), 2);
}
