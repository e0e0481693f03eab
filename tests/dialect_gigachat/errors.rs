//! What goes wrong, told without keys.

use super::*;

#[test]
fn errors_of_the_chat_host_are_told_apart() {
    for (status, body, kind, said) in [
        (404, r#"{"status":404,"message":"No such model"}"#, ErrorKind::NotFound, "No such model"),
        (
            402,
            r#"{"status":402,"message":"Payment Required"}"#,
            ErrorKind::Quota,
            "Payment Required",
        ),
        (
            403,
            r#"{"status":403,"message":"Permission denied"}"#,
            ErrorKind::Unauthorized,
            "Permission denied",
        ),
        (413, r#"{"status":413,"message":"Payload too large"}"#, ErrorKind::TooLong, "too large"),
        (
            422,
            r#"{"status":422,"message":"Invalid params: system message must be the first"}"#,
            ErrorKind::BadRequest,
            "must be the first",
        ),
        (
            422,
            r#"{"status":422,"message":"you said Секретный вопрос про завод, access-1"}"#,
            ErrorKind::BadRequest,
            "***",
        ),
        (
            429,
            r#"{"status":429,"message":"Too Many Requests"}"#,
            ErrorKind::RateLimited,
            "Too Many",
        ),
        (500, r#"{"status":500,"message":"Internal Server Error"}"#, ErrorKind::Server, "Internal"),
        (502, "<html><title>Bad Gateway</title></html>", ErrorKind::Server, "Bad Gateway"),
    ] {
        let error = failure(refusal(status, body));
        assert_eq!((error.kind(), error.status()), (kind, Some(status)), "{error}");
        assert!(error.message().contains(said), "{error}");
    }
    let error = failure(refusal(429, "{}").header("retry-after", "1.5"));
    assert_eq!(error.retry_after(), Some(millis(1500)));
}

#[test]
fn a_page_with_403_for_a_wrong_path_is_not_a_bad_token() {
    let page = "<html><head><title>403 Forbidden</title></head></html>";
    let server = server();
    server.plan(refusal(403, page).content_type("text/html"));
    let error = pool_of(&server).chat(&key(), "?").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadRequest, "{error}");
    assert_eq!(seen_at(&server, OAUTH).len(), 1);
}

#[test]
fn neither_settings_nor_pool_show_the_key() {
    let server = server();
    let config = config(gigachat(&server));
    let shown = format!("{config:?} {:?}", gigachat(&server));
    let pool = config.build().unwrap();
    pool.chat(&key(), "Привет").unwrap();
    let shown = format!("{shown} {pool:?} {:?}", pool.get(&key()).unwrap());
    assert!(!shown.contains(KEY) && !shown.contains("access-1"), "{shown}");
}

#[test]
fn a_busy_oauth_server_is_asked_again_by_the_calls_retries() {
    let server = server();
    server.plan(Reply::status(503).at(OAUTH).body("{}"));
    let chat = ChatConfig::default().max_retries(2).first_pause(Duration::from_millis(1));
    let pool = config(gigachat(&server)).chat(chat).build().unwrap();
    assert_eq!(pool.chat(&key(), "Привет").unwrap().tries(), 2);
}

#[test]
fn log_lines_show_neither_key_nor_token() {
    logs::install();
    let server = server();
    let quoting = format!(r#"{{"code":503,"message":"{KEY} access-1"}}"#);
    server.plan(Reply::status(503).at(OAUTH).body(quoting));
    server.plan(refusal(500, r#"{"status":500,"message":"quoted access-1"}"#));
    let chat = ChatConfig::default().first_pause(millis(1));
    let pool = config(gigachat(&server)).chat(chat).build().unwrap();
    assert_eq!(pool.chat(&key(), "Привет").unwrap().tries(), 3);
    let tried: Vec<_> = logs::all().into_iter().filter(|it| it.text.contains("repeated")).collect();
    assert!(tried.len() >= 2);
    // Of this crate: what `ureq` logs is its own business.
    let lines = logs::all().into_iter().filter(|it| it.text.contains("giga:"));
    for line in lines {
        assert!(!line.text.contains(KEY) && !line.text.contains("quoted access-1"), "{line:?}");
    }
}
