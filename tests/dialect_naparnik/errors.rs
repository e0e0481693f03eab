//! What goes wrong.

use super::*;

#[test]
fn an_error_in_the_stream_is_told() {
    let error = failed(stream(&[
        echo(),
        delta("Нача"),
        event(
            &json!({"error": "Rate limit exceeded. Try again in 30 seconds.", "error_type": "rate_limit_exceeded"}),
        ),
    ]));
    assert_eq!((error.kind(), error.text_so_far()), (ErrorKind::RateLimited, "Нача"));
    assert_eq!(error.retry_after(), Some(secs(30)));
}

#[test]
fn a_429_tells_its_wait_in_words_and_a_header_wins() {
    let body = r#"{"error":"Rate limit exceeded. Try again in 123 seconds.","error_type":"rate_limit_exceeded"}"#;
    let error = failed(Reply::status(429).at(ASK).body(body));
    assert_eq!((error.kind(), error.code()), (ErrorKind::RateLimited, Some("rate_limit_exceeded")));
    assert_eq!((error.retry_after(), error.is_retryable()), (Some(secs(123)), true));
    let error = failed(Reply::status(429).at(ASK).body(body).retry_after(secs(7)));
    assert_eq!(error.retry_after(), Some(secs(7)));
    let error = failed(Reply::status(429).at(NEW).body(r#"{"detail":"slow down"}"#));
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::RateLimited, None));
}

#[test]
fn errors_are_told_apart() {
    for (status, body, kind) in [
        (401, r#"{"detail":"Invalid token naparnik-token-1"}"#, ErrorKind::Unauthorized),
        (401, "", ErrorKind::Unauthorized),
        (403, r#"{"error":"forbidden"}"#, ErrorKind::Unauthorized),
        (403, "Forbidden", ErrorKind::Unauthorized),
        (403, "<html><title>Blocked</title></html>", ErrorKind::BadRequest),
        (404, r#"{"detail":"Not Found"}"#, ErrorKind::NotFound),
        (
            422,
            r#"{"detail":[{"msg":"Input should be a valid dictionary"}]}"#,
            ErrorKind::BadRequest,
        ),
        (
            422,
            r#"{"error":"No tool calls found in the previous assistant message"}"#,
            ErrorKind::BadRequest,
        ),
        (422, r#"{"error":"bad: Как прочитать JSON в 1С?"}"#, ErrorKind::BadRequest),
        (423, r#"{"error":"Conversation is locked"}"#, ErrorKind::Server),
        (500, "", ErrorKind::Server),
        (503, "<html></html>", ErrorKind::Server),
    ] {
        for path in [NEW, ASK] {
            let error = failed(Reply::status(status).at(path).body(body));
            assert_eq!((error.kind(), error.status()), (kind, Some(status)), "{error}");
        }
    }
}

#[test]
fn a_locked_conversation_is_tried_again_in_a_new_one() {
    let server = server();
    server.plan(Reply::status(423).at(ASK).body("{}"));
    server.plan(stream(&[echo(), finished("a-1", json!({"content": "Да"}))]));
    let provider = Provider::naparnik(TOKEN).base_url(format!("{}/chat_api/v1", server.url()));
    let pool = LlmConfig::default()
        .agents(AgentConfig::default().proxy(Proxy::Direct))
        .chat(ChatConfig::default().first_pause(millis(1)))
        .provider("1c", provider)
        .build()
        .unwrap();
    let reply = pool.chat(&key(), QUESTION).unwrap();
    assert_eq!((reply.text(), reply.tries()), ("Да", 2));
    assert_eq!(seen_at(&server, NEW).len(), 2);
}

#[test]
fn what_is_no_conversation_is_malformed() {
    for body in ["{}", r#"{"uuid":""}"#, r#"{"uuid":"../evil"}"#, r#"{"uuid":5}"#, "[]", "<html>"] {
        let error = failed(Reply::ok().at(NEW).body(body));
        assert_eq!(error.kind(), ErrorKind::Malformed, "{body} {error}");
    }
    let error = failed(Reply::ok().at(NEW).body(r#"{"error":"no"}"#));
    assert_eq!(error.kind(), ErrorKind::Server, "{error}");
    let error = failed(Reply::ok().at(ASK).body(r#"{"uuid":"a-1"}"#));
    assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
}
