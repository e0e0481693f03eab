//! Answers of other statuses than 200.

use std::time::Duration;

use llm_pool::chat::{ErrorKind, Seen, YandexAuth};
use llm_pool::test_server::Reply;
use serde_json::{Value, json};

use crate::replay::*;

fn refused_with(status: u16, body: &Value) -> Reply {
    Reply::status(status).body(body.to_string())
}

#[test]
fn every_status_has_its_kind() {
    for (grpc, status, kind, retryable) in [
        (3, 400, ErrorKind::BadRequest, false),
        (16, 401, ErrorKind::Unauthorized, false),
        (7, 403, ErrorKind::Unauthorized, false),
        (5, 404, ErrorKind::NotFound, false),
        (8, 429, ErrorKind::RateLimited, true),
        (13, 500, ErrorKind::Server, true),
        (14, 503, ErrorKind::Server, true),
        (4, 504, ErrorKind::Server, true),
    ] {
        for body in [
            refusal(grpc, status, "Alas.", "Of the status"),
            json!({"code": grpc, "message": "Alas.", "details": []}),
        ] {
            let error = answered(refused_with(status, &body)).unwrap_err();
            assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "{error}");
            assert_eq!((error.status(), error.message()), (Some(status), "Alas"));
            assert_eq!(error.seen(), Seen::Yes);
        }
    }
}

#[test]
fn a_gauge_429_is_about_concurrency_and_not_about_rate() {
    let of = |what: &str| {
        let message = format!("ai.textGenerationCompletion{what} quota limit exceed: allowed 10");
        let body = refusal(8, 429, &message, "Too Many Requests");
        answered(refused_with(429, &body).retry_after(Duration::from_secs(3))).unwrap_err()
    };
    let gauge = of("SessionsCount.count gauge");
    assert_eq!((gauge.kind(), gauge.code()), (ErrorKind::RateLimited, Some("concurrency")));
    assert_eq!(gauge.retry_after(), Some(Duration::from_secs(3)));
    let rate = of("RequestsPerSecond.rate");
    assert_eq!((rate.kind(), rate.code()), (ErrorKind::RateLimited, Some("rate")));
    let other = of("s of today");
    assert_eq!((other.kind(), other.code()), (ErrorKind::RateLimited, Some("Too Many Requests")));
}

#[test]
fn a_conversation_that_is_too_long_is_known_by_its_words() {
    let message = "Error in session: number of input tokens must be no more than 7400, got 8120";
    let body = refusal(3, 400, message, "Bad Request");
    let error = answered(refused_with(400, &body)).unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::TooLong, false));
}

#[test]
fn a_folder_that_is_not_the_accounts_is_told_as_it_is() {
    let message = "Specified folder ID 'b1gother' does not match with service account folder ID";
    let body = refusal(3, 400, message, "Bad Request");
    let error = answered(refused_with(400, &body)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadRequest);
    assert!(error.to_string().contains("does not match"), "{error}");
}

#[test]
fn neither_key_nor_question_is_in_an_error_or_in_debug() {
    let server = server();
    let asked = "Мой пароль — верная-лошадь-батарейка.";
    let said = format!("Unknown api key '{KEY}' for '{asked}'");
    server.plan(refused_with(401, &refusal(16, 401, &said, "Unauthorized")));
    let pool = pool_of(&server);
    let error = pool.chat(&key(), asked).unwrap_err();
    let auth = [YandexAuth::ApiKey(KEY.into()), YandexAuth::IamToken(KEY.into())];
    let shown = format!("{error} {error:?} {:?} {auth:?}", provider(&server));
    assert!(!shown.contains(KEY) && !shown.contains("батарейка"), "{shown}");
    assert!(shown.contains("Unknown api key '***'"), "{shown}");
}
