//! What servers quote of a request or a token, in whichever way they write it, is not shown.

use llm_pool::chat::{ChatError, ChatRequest, GigaChat, Message, Token, TokenSource, Tool};
use llm_pool::llm::Provider;
use llm_pool::test_server::{Reply, TestServer};
use llm_pool::ureq::Agent;
use serde_json::json;

use crate::*;

fn said(error: &ChatError) -> String {
    format!("{error} {error:?} {:?}", error.request_id())
}

fn error_of(body: String, messages: &[Message]) -> String {
    let server = TestServer::start().unwrap();
    server.plan(Reply::status(400).body(body));
    said(&once(&server).chat(&key(), messages).unwrap_err())
}

#[test]
fn a_request_id_that_echoes_the_key_in_a_header_is_not_shown() {
    let server = TestServer::start().unwrap();
    for name in ["x-request-id", "request-id", "x-litellm-call-id"] {
        server.plan(Reply::status(401).header(name, KEY).body("{}"));
        let said = said(&once(&server).chat(&key(), &hi()).unwrap_err());
        assert!(!said.contains(KEY), "{name}: {said}");
    }
}

#[test]
fn a_request_id_that_echoes_the_key_in_the_body_is_not_shown() {
    let body = json!({"error": {"message": "No"}, "request_id": format!("of-{KEY}")}).to_string();
    let said = error_of(body, &hi());
    assert!(!said.contains(KEY), "{said}");
}

#[test]
fn a_request_id_that_echoes_the_prompt_is_not_shown() {
    let body = json!({"error": {"message": "No"}, "request_id": hi()[0].content}).to_string();
    let said = error_of(body, &hi());
    assert!(!said.contains("my friend"), "{said}");
}

#[test]
fn a_key_where_a_long_message_is_cut_is_not_shown_in_part() {
    for pad in 486..500 {
        let body = json!({"error": format!("{}{KEY}", "x".repeat(pad))}).to_string();
        let said = error_of(body, &hi());
        assert!(!said.contains("sk-plant"), "{pad}: {said}");
    }
}

#[test]
fn a_prompt_of_short_lines_is_not_shown() {
    let prompt = "pin: 4711\nvault: 9\ncode: zebra\n\n  door: B";
    for body in [json!({"error": format!("refused: {prompt}")}).to_string(), prompt.to_owned()] {
        let said = error_of(body, &[Message::user(prompt)]);
        assert!(!said.contains("vault: 9"), "{said}");
    }
}

#[test]
fn a_prompt_that_is_quoted_with_escapes_is_not_shown() {
    let prompt = "Секретный вопрос про завод";
    let escaped: String = prompt.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    // JSON in a text of JSON, and in a text.
    for body in [
        json!({"error": format!("cannot read {{\"content\":\"{escaped}\"}}")}).to_string(),
        format!("cannot read {{\"content\":\"{escaped}\"}}"),
    ] {
        let said = error_of(body, &[Message::user(prompt)]);
        assert!(!said.contains(&escaped[..36]), "{said}");
    }
}

#[test]
fn a_short_prompt_that_is_quoted_as_html_is_not_shown() {
    let prompt = "if a < b && \"c\" > d { 'e' }";
    let html = "if a &lt; b &amp;&amp; &quot;c&quot; &gt; d { &#39;e&#39; }";
    let said = error_of(format!("<html><title>{html}</title></html>"), &[Message::user(prompt)]);
    assert!(!said.contains("&lt; b &amp;&amp; &quot;c"), "{said}");
}

#[test]
fn what_else_is_said_to_the_model_is_not_shown() {
    let secret = "the vault's code is 0000-ALPHA";
    let tool = Tool::new("f", secret, json!({"type": "object", "description": secret}));
    let mut shown = Vec::new();
    for (what, request) in [
        (
            "reasoning",
            ChatRequest::new(vec![Message::user("Hi"), Message::assistant("a").reasoning(secret)]),
        ),
        ("a further field", ChatRequest::new(vec![Message::user("Hi")]).extra("system", secret)),
        (
            "further messages",
            ChatRequest::new(vec![Message::user("Hi")])
                .extra("messages", json!([{"role": "user", "content": secret}])),
        ),
        ("a tool", ChatRequest::new(vec![Message::user("Hi")]).tool(tool)),
    ] {
        let server = TestServer::start().unwrap();
        server.plan(Reply::status(400).body(json!({"error": secret}).to_string()));
        let error = once(&server).chat(&key(), request).unwrap_err();
        if said(&error).contains("0000-ALPHA") {
            shown.push(what);
        }
    }
    assert!(shown.is_empty(), "{shown:?}");
}

#[test]
fn a_request_id_of_an_oauth_server_that_echoes_the_key_is_not_shown() {
    let server = TestServer::start().unwrap();
    let url = server.url();
    let gigachat =
        GigaChat::new("a2V5LXBsYW50ZWQ=").oauth_url(format!("{url}/oauth")).base_url(url);
    let pool = pool_of(Provider::from(gigachat), chat_config().max_retries(0));
    let body = json!({"code": 6, "message": "No", "request_id": "a2V5LXBsYW50ZWQ="}).to_string();
    server.set_reply(Reply::status(401).at("/oauth").body(body));
    let said = said(&pool.chat(&key(), &hi()).unwrap_err());
    assert!(!said.contains("a2V5LXBsYW50ZWQ="), "{said}");
}

#[test]
fn a_token_that_was_renewed_meanwhile_is_not_shown_by_the_stream_that_was_opened_with_it() {
    let server = TestServer::start().unwrap();
    let url = server.url();
    let token = |secret: &str| {
        let body = json!({"access_token": secret, "expires_at": 0}).to_string();
        Reply::ok().at("/oauth").body(body)
    };
    let chat = |reply: Reply| reply.at("/chat/completions");
    server.set_reply(token("access-of-yesterday"));
    let gigachat = GigaChat::new("a2V5").oauth_url(format!("{url}/oauth")).base_url(url);
    let pool = pool_of(Provider::from(gigachat), chat_config().max_retries(0));
    let late = format!("data: {}\n\n", json!({"error": "no more for access-of-yesterday"}));
    server.plan(chat(Reply::ok().pieces([crate::said("Hi"), late]).pause(millis(150))));
    let stream = pool.stream(&key(), &hi()).unwrap();
    server.set_reply(token("access-of-today"));
    server.plan(chat(Reply::status(401).body("{}")));
    server.set_reply(chat(Reply::ok().body(crate::hostile::GOOD)));
    pool.chat(&key(), &hi()).unwrap();
    let said = said(&stream.finish().unwrap_err());
    assert!(!said.contains("access-of-yesterday"), "{said}");
}

#[test]
fn a_sentence_without_spaces_in_a_further_field_is_not_shown() {
    let server = TestServer::start().unwrap();
    for secret in ["发射代码是零零零零不要告诉任何人", "code:\n0000-ALPHA\ntell-nobody"]
    {
        server.plan(Reply::status(400).message(format!("refused: {secret}")));
        let request = ChatRequest::new(vec![Message::user("Hi")]).extra("system", secret);
        let error = once(&server).chat(&key(), request).unwrap_err();
        assert_eq!(error.message(), "refused: ***");
    }
}

#[test]
fn a_key_with_a_space_after_it_is_not_shown() {
    let server = TestServer::start().unwrap();
    let url = format!("{}/v1", server.url());
    for provider in [
        Provider::new(&url).api_key(format!("{KEY} ")),
        Provider::new(&url).header("x-api-key", format!("{KEY} ")),
        Provider::new(&url).tokens(Spaced),
    ] {
        server.plan(Reply::status(400).message(format!("not with {KEY}")));
        let error = pool_of(provider, chat_config()).chat(&key(), &hi()).unwrap_err();
        assert_eq!(error.message(), "not with ***");
    }
}

struct Spaced;

impl TokenSource for Spaced {
    fn fetch(&self, _: &Agent) -> Result<Token, ChatError> {
        Ok(Token::new(format!("{KEY} ")))
    }
}
