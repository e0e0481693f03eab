//! What is asked, and what is refused before.

use super::*;

#[test]
fn a_call_opens_a_conversation_and_asks_in_it() {
    let server = server();
    server.plan(stream(&[echo(), delta("Так."), finished("a-1", json!({"content": "Так."}))]));
    let pool = pool_with(&server, Naparnik::new(TOKEN).programming_language("1c"));
    assert_eq!(pool.chat(&key(), QUESTION).unwrap().text(), "Так.");
    let seen = server.requests();
    assert_eq!(seen.iter().map(SeenRequest::path).collect::<Vec<_>>(), [NEW, ASK]);
    for request in &seen {
        assert_eq!(request.method(), "POST");
        // Bare, and without a charset.
        assert_eq!(request.header("authorization"), Some(TOKEN));
        assert_eq!(request.header("content-type"), Some("application/json"));
    }
    let opened = json!({"skill_name": "custom", "is_chat": true, "ui_language": "russian", "programming_language": "1c"});
    assert_eq!(seen[0].json().unwrap(), opened);
    let said = json!({"parent_uuid": null, "role": "user", "content": {"content": {"instruction": QUESTION}, "tools": []}});
    assert_eq!(seen[1].json().unwrap(), said);
    assert_eq!(seen[1].header("accept"), Some("text/event-stream"));
}

#[test]
fn earlier_messages_are_told_in_the_one_text() {
    let instruction = |messages: &[Message]| {
        let server = server();
        server.plan(stream(&[echo(), finished("a-1", json!({"content": "Да"}))]));
        pool_of(&server).chat(&key(), messages).unwrap();
        let said = seen_at(&server, ASK)[0].json().unwrap();
        said["content"]["content"]["instruction"].as_str().unwrap().to_owned()
    };
    let system = || Message::system("Кратко.");
    assert_eq!(instruction(&[Message::user(" Как? ")]), " Как? ");
    assert_eq!(instruction(&[system(), Message::user("Как?")]), "Кратко.\n\nКак?");
    let talk = [
        Message::user("Раз"),
        Message::assistant("Два").reasoning("Хм"),
        system(),
        Message::user("Три").name("Анна"),
        Message::user("Четыре"),
    ];
    assert_eq!(
        instruction(&talk),
        "Кратко.\n\nThe conversation so far:\n\nUser: Раз\n\nAssistant: Два\n\nАнна: Три\n\n\
         Answer this message:\n\nЧетыре"
    );
}

#[test]
fn what_it_has_no_word_for_is_refused_and_nothing_is_sent() {
    let tool = Tool::new("f", "", json!({"type": "object"}));
    let called = Message::assistant("").tool_call(ToolCall::new("a", "f", "{}"));
    let ask = || ChatRequest::from("?");
    let server = server();
    let pool = pool_of(&server);
    let refused = |key: &ModelKey, request: ChatRequest<'_>, reason: &str| {
        let error = pool.chat(key, request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    };
    for (request, reason) in [
        (ask().temperature(0.5), "no temperature:"),
        (ask().top_p(0.5), "no top_p:"),
        (ask().max_tokens(5), "no max_tokens:"),
        (ask().stop("x"), "no stop:"),
        (ask().seed(1), "no seed:"),
        (ask().response_format(ResponseFormat::JsonObject), "no response_format:"),
        (ask().tool(tool.clone()), "no tools:"),
        (
            ask().tool(tool).tool_choice(ToolChoice::Required).seed(1),
            "no seed, tools, tool_choice:",
        ),
        (
            vec![Message::user("?"), called, Message::tool("a", "1"), Message::user("?")].into(),
            "messages of tools",
        ),
        (
            vec![Message::user("?"), Message::assistant("!")].into(),
            "the last message must be the user's",
        ),
        (vec![Message::system("?")].into(), "the last message must be the user's"),
        (ChatRequest::from(" "), "the last message is empty"),
    ] {
        refused(&key(), request, reason);
    }
    refused(&key().temperature(0.1), ask(), "of the key too");
    assert!(server.requests().is_empty());
}

#[test]
fn any_model_may_be_named_and_clients_are_not_checked() {
    let server = server();
    server.plan(stream(&[echo(), finished("a-1", json!({"content": "Да"}))]));
    let pool = pool_of(&server);
    let other = ModelKey::new("1c", "anything");
    pool.warm_up(&other, 2).unwrap();
    assert!(server.requests().is_empty());
    pool.chat(&other, ChatRequest::from(QUESTION).extra("mode", "x")).unwrap();
    let said = seen_at(&server, ASK)[0].json().unwrap();
    assert!(said.get("model").is_none());
    assert_eq!(said["mode"], "x");
}

#[test]
fn a_token_that_cannot_be_sent_is_refused_when_the_pool_is_built_and_none_is_shown() {
    for bad in ["токен", "s3cr3t\n"] {
        let error = LlmConfig::default().provider("1c", Provider::naparnik(bad)).build();
        let error = error.unwrap_err().to_string();
        assert!(error.contains("authorization must be visible ASCII"), "{error}");
        assert!(!error.contains(bad.trim()), "{error}");
    }
    let provider = Provider::naparnik(TOKEN);
    let shown = format!("{provider:?} {:?}", Naparnik::new(TOKEN));
    assert!(!shown.contains(TOKEN), "{shown}");
}
