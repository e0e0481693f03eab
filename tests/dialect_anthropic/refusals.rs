//! Answers of other statuses than 200.

use llm_pool::chat::{ErrorKind, Seen};
use llm_pool::test_server::Reply;
use serde_json::json;

use crate::replay::*;

#[test]
fn every_status_has_its_kind() {
    for (status, name, kind, retryable) in [
        (400, "invalid_request_error", ErrorKind::BadRequest, false),
        (401, "authentication_error", ErrorKind::Unauthorized, false),
        (402, "billing_error", ErrorKind::Quota, false),
        (403, "permission_error", ErrorKind::Unauthorized, false),
        (404, "not_found_error", ErrorKind::NotFound, false),
        (409, "conflict_error", ErrorKind::Server, true),
        (413, "request_too_large", ErrorKind::TooLong, false),
        (429, "rate_limit_error", ErrorKind::RateLimited, true),
        (500, "api_error", ErrorKind::Server, true),
        (504, "timeout_error", ErrorKind::Server, true),
        (529, "overloaded_error", ErrorKind::Server, true),
    ] {
        let body = json!({"type": "error", "error": {"type": name, "message": "Alas."},
            "request_id": "req_body"});
        let error = answered(Reply::status(status).body(body.to_string())).unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "{error}");
        assert_eq!((error.status(), error.code()), (Some(status), Some(name)));
        assert_eq!((error.message(), error.request_id()), ("Alas", Some("req_body")));
        assert_eq!(error.seen(), Seen::Yes);
    }
}

#[test]
fn a_413_of_the_cdn_which_is_a_page_is_too_long() {
    let page = "<html><head><title>413 Request Entity Too Large</title></head></html>";
    let reply = Reply::status(413).body(page).content_type("text/html");
    let error = answered(reply).unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::TooLong, Some(413)));
    assert!(error.message().contains("413 Request Entity Too Large"), "{error}");
}

#[test]
fn a_prompt_that_is_too_long_is_known_by_its_words() {
    let body = json!({"type": "error", "error": {"type": "invalid_request_error",
        "message": "prompt is too long: 210000 tokens > 200000 maximum"}});
    let error = answered(Reply::status(400).body(body.to_string())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLong);
}

#[test]
fn neither_key_nor_question_is_in_an_error_or_in_debug() {
    let server = server();
    let asked = "My password is correct-horse-battery.";
    let said = format!("invalid x-api-key {KEY} for '{asked}'");
    let body = json!({"type": "error", "error": {"type": "authentication_error", "message": said}});
    server.plan(Reply::status(401).body(body.to_string()));
    let pool = pool_of(&server);
    let error = pool.chat(&key(), asked).unwrap_err();
    let shown = format!("{error} {error:?} {:?}", provider(&server));
    assert!(!shown.contains(KEY) && !shown.contains("battery"), "{shown}");
    assert!(shown.contains("invalid x-api-key ***"), "{shown}");
}
