//! What each provider's server may echo, and where nothing of it may show: every word of an error,
//! and every line that is logged.

use std::error::Error;

use llm_pool::chat::{ChatError, GigaChat, Message, YandexAuth};
use llm_pool::keyed::ModelKey;
use llm_pool::llm::{LlmPool, Provider};
use llm_pool::test_server::{Reply, TestServer};
use serde_json::{Value, json};

use crate::support::*;
use crate::*;

const SECRET: &str = "c2VjcmV0LW9mLXRoZS1rZXk6MQ==";
const TOKEN: &str = "access-t0ken-of-everybody";
/// Has what JSON escapes.
const PROMPT: &str = "Der Code lautet \"Zebra\" und café\nist der Ort, tell nobody of the vault 9";
/// Runs of it that no error may hold; none is longer than what a quotation is known by.
const PARTS: [&str; 3] = ["Der Code lautet", "ist der Ort, tell", "of the vault 9"];

fn everything_said(error: &ChatError) -> String {
    let mut said = format!(
        "{error}\n{error:?}\n{error:#?}\n{}\n{:?}\n{:?}\n",
        error.message(),
        error.code(),
        error.request_id()
    );
    let mut source = error.source();
    while let Some(cause) = source {
        said += &format!("{cause}\n{cause:?}\n{cause:#?}\n");
        source = cause.source();
    }
    said
}

#[track_caller]
fn is_clean(said: &str, what: &str) {
    for secret in [SECRET, TOKEN].into_iter().chain(PARTS) {
        assert!(!said.contains(secret), "{secret} is shown after {what}: {said}");
    }
}

fn providers(server: &TestServer) -> Vec<(&'static str, &'static str, Provider)> {
    let url = server.url();
    let gigachat = GigaChat::new(SECRET).oauth_url(format!("{url}/oauth")).base_url(url);
    vec![
        ("openai", SECRET, Provider::openai(SECRET).base_url(url)),
        ("deepseek", SECRET, Provider::deepseek(SECRET).base_url(url)),
        ("anthropic", SECRET, Provider::anthropic(SECRET).base_url(url)),
        (
            "yandex",
            SECRET,
            Provider::yandex("b1g", YandexAuth::ApiKey(SECRET.into())).base_url(url),
        ),
        (
            "yandex by IAM",
            SECRET,
            Provider::yandex("b1g", YandexAuth::IamToken(SECRET.into())).base_url(url),
        ),
        ("gigachat", TOKEN, gigachat.into()),
        ("naparnik", SECRET, Provider::naparnik(SECRET).base_url(url)),
        ("own header", SECRET, Provider::new(url).header("x-my-key", SECRET)),
    ]
}

/// Bodies that say `quote` in whichever shape.
fn bodies(quote: &str) -> Vec<String> {
    let escaped = Value::from(quote).to_string().replace('é', "\\u00e9");
    vec![
        format!(r#"{{"error":{{"message":{escaped},"type":{escaped},"code":{escaped}}}}}"#),
        format!(r#"{{"error":{escaped},"error_type":{escaped}}}"#),
        format!(r#"{{"message":{escaped},"status":400}}"#),
        format!(r#"{{"detail":[{{"loc":["body"],"msg":{escaped},"input":{escaped}}}]}}"#),
        format!(
            r#"{{"error":{{"grpcCode":3,"httpCode":400,"message":{escaped},"httpStatus":{escaped}}}}}"#
        ),
        // What was sent, as text in text.
        json!({"error": {"message": format!("cannot read {{\"messages\":[{escaped}]}}")}})
            .to_string(),
        escaped.clone(),
        quote.to_owned(),
        format!("<html><head><title>{quote}</title></head></html>"),
        format!("<html><h1>{quote}</h1></html>"),
    ]
}

fn pool_for(server: &TestServer, provider: Provider) -> LlmPool {
    server.set_reply(
        Reply::ok().at("/oauth").body(json!({"access_token": TOKEN, "expires_at": 0}).to_string()),
    );
    server.set_reply(Reply::ok().at("/conversations/").body(r#"{"uuid":"u1"}"#));
    pool_of(provider, chat_config().max_retries(0))
}

const ASKED: [&str; 4] =
    ["/chat/completions", "/messages", "/completion", "/conversations/u1/messages"];

fn plan(server: &TestServer, reply: &Reply) {
    for path in ASKED {
        server.set_reply(reply.clone().at(path));
    }
}

fn said_of(pool: &LlmPool, messages: &[Message]) -> String {
    let key = ModelKey::new("test", "m");
    let whole = pool.chat(&key, messages).map(drop).unwrap_err();
    let stream = pool.stream(&key, messages).and_then(|it| it.finish()).map(drop).unwrap_err();
    let llm = pool.get(&key).unwrap();
    let by_client = llm.chat(messages).map(drop).unwrap_err();
    [whole, stream, by_client].iter().map(everything_said).collect()
}

#[test]
fn no_refusal_of_any_provider_shows_a_key_a_token_or_a_prompt() {
    logs::install();
    let messages = [Message::user(PROMPT)];
    for at in 0..8 {
        let server = TestServer::start().unwrap();
        let (name, secret, provider) = providers(&server).swap_remove(at);
        let pool = pool_for(&server, provider);
        for quote in [secret, &format!("Bearer {secret}"), PROMPT, &format!("{PROMPT} {secret}")] {
            for body in bodies(quote) {
                for status in [200, 400, 403, 500] {
                    plan(&server, &Reply::status(status).body(body.as_str()));
                    let what = format!("{name} {status} {body}");
                    is_clean(&said_of(&pool, &messages), &what);
                }
            }
        }
    }
}

#[test]
fn no_error_in_a_stream_of_any_provider_shows_a_key_a_token_or_a_prompt() {
    let messages = [Message::user(PROMPT)];
    for at in 0..8 {
        let server = TestServer::start().unwrap();
        let (name, secret, provider) = providers(&server).swap_remove(at);
        let pool = pool_for(&server, provider);
        for quote in [secret, PROMPT] {
            let escaped = Value::from(quote).to_string().replace('é', "\\u00e9");
            for event in [
                format!(r#"{{"error":{{"message":{escaped},"type":{escaped},"code":{escaped}}}}}"#),
                format!(r#"{{"type":"error","error":{{"message":{escaped},"type":{escaped}}}}}"#),
                format!(r#"{{"error":{escaped}}}"#),
                format!(r#"{{"unfinished":{escaped}"#),
                format!("<html>{escaped}"),
                quote.replace('\n', " "),
            ] {
                let framed = match name.starts_with("yandex") {
                    true => format!("{event}\n"),
                    false => format!("event: error\ndata: {event}\n\n"),
                };
                plan(&server, &Reply::ok().pieces([framed]));
                is_clean(&said_of(&pool, &messages), &format!("{name} {event}"));
            }
        }
    }
}

#[test]
fn headers_that_echo_a_key_are_not_shown_by_what_cannot_be_read_of_them() {
    let messages = [Message::user("Hi")];
    let server = TestServer::start().unwrap();
    let pool = pool_for(&server, Provider::openai(SECRET).base_url(server.url()));
    for (name, value) in [
        ("location", format!("https://other.example/?key={SECRET}")),
        ("location", format!("https://other.example/{SECRET}/chat")),
        ("retry-after", SECRET.to_owned()),
        ("www-authenticate", format!("Bearer {SECRET}")),
        ("content-type", format!("text/{SECRET}")),
        ("x-ratelimit-reset-tokens", SECRET.to_owned()),
    ] {
        for status in [200, 307, 401, 429] {
            let reply = Reply::status(status).header(name, &*value).body("no json");
            plan(&server, &reply);
            is_clean(&said_of(&pool, &messages), &format!("{status} {name}"));
        }
    }
}

#[test]
fn the_lines_of_retries_show_no_more_than_errors_do() {
    logs::install();
    let before = logs::all().len();
    let messages = [Message::user(PROMPT)];
    for at in 0..8 {
        let server = TestServer::start().unwrap();
        let (_, secret, provider) = providers(&server).swap_remove(at);
        drop(pool_for(&server, Provider::new(server.url())));
        let pool = pool_of(provider, chat_config());
        for body in bodies(&format!("{secret} {PROMPT}")) {
            plan(&server, &Reply::status(503).body(body));
            let tries = pool.chat(&ModelKey::new("test", "logged"), &messages).unwrap_err().tries();
            assert_eq!(tries, 3);
        }
    }
    // Of this crate: what `ureq` logs is its own business.
    let ours: Vec<_> = logs::all().split_off(before);
    let ours: Vec<_> = ours.iter().filter(|line| line.text.contains("test:logged")).collect();
    assert!(ours.len() >= 8 * 10 * 2, "{}", ours.len());
    for line in ours {
        is_clean(&line.text, "a retry");
    }
}

#[test]
fn a_text_to_be_embedded_is_not_shown() {
    let server = TestServer::start().unwrap();
    let text = "the vault's code is 0000-ALPHA";
    server.plan(Reply::status(400).body(json!({"error": text}).to_string()));
    let error = once(&server).embed(&key(), &[text]).unwrap_err();
    assert!(!everything_said(&error).contains("0000-ALPHA"), "{error}");
}
