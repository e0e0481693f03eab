//! What is asked, and what is refused before.

use super::*;

#[test]
fn a_request_has_what_gigachat_knows() {
    let request = ChatRequest::new(vec![Message::system("Кратко."), Message::user("Привет")])
        .temperature(0.5)
        .top_p(0.25)
        .max_tokens(50)
        .extra("repetition_penalty", 1.5)
        .extra("update_interval", 0);
    let expected = json!({
        "model": "GigaChat-2",
        "messages": [
            {"role": "system", "content": "Кратко."},
            {"role": "user", "content": "Привет"},
        ],
        "temperature": 0.5,
        "top_p": 0.25,
        "max_tokens": 50,
        "repetition_penalty": 1.5,
        "update_interval": 0,
    });
    assert_eq!(asked(request), expected);
    let own = ChatRequest::from("Привет").extra("model", "other").extra("messages", json!([]));
    assert_eq!(asked(own), json!({"model": "other", "messages": []}));
    let developer = [Message::new(Role::Developer, "Кратко."), Message::user("Привет")];
    assert_eq!(asked(&developer)["messages"][0]["role"], "system");
}

#[test]
fn functions_are_no_tools_and_arguments_are_objects_both_ways() {
    let server = server();
    server.plan(chat(CALLED));
    let pool = pool_of(&server);
    let mut messages = vec![Message::user("Погода в Москве?")];
    let request = ChatRequest::new(messages.clone()).tool(weather());
    let reply = pool.chat(&key(), request).unwrap();
    assert_eq!(reply.finish(), Some(&Finish::ToolCalls));
    let [call] = reply.tool_calls() else { panic!("one call") };
    assert_eq!((&*call.id, &*call.name), ("call_0", "weather"));
    assert_eq!(call.parse::<Value>().unwrap(), json!({"city": "Москва", "days": 2}));

    messages.push(reply.to_message());
    messages.push(Message::tool(&call.id, r#"{"temp":-7}"#));
    pool.chat(&key(), ChatRequest::new(messages).tool(weather())).unwrap();
    let seen = seen_at(&server, CHAT);
    let (first, second) = (seen[0].json().unwrap(), seen[1].json().unwrap());
    let function = json!({"name": "weather", "description": "Погода в городе", "parameters": {"type": "object", "properties": {}}});
    assert_eq!(first["functions"], json!([function]));
    assert_eq!(first["function_call"], "auto");
    assert!(first.get("tools").is_none() && first.get("tool_choice").is_none());
    let arguments = json!({"city": "Москва", "days": 2});
    assert_eq!(
        second["messages"],
        json!([
            {"role": "user", "content": "Погода в Москве?"},
            {"role": "assistant", "content": "", "function_call": {"name": "weather", "arguments": arguments}},
            {"role": "function", "name": "weather", "content": "{\"temp\":-7}"},
        ])
    );
}

#[test]
fn a_result_has_the_name_of_the_nearest_call_with_its_id() {
    let call = |name: &str| Message::assistant("").tool_call(ToolCall::new("call_0", name, "{}"));
    let messages = [
        Message::user("?"),
        call("first"),
        Message::tool("call_0", "1"),
        call("second"),
        Message::tool("call_0", "2"),
    ];
    let sent = asked(&messages);
    assert_eq!(sent["messages"][2]["name"], "first");
    assert_eq!(sent["messages"][4]["name"], "second");
}

#[test]
fn which_function_is_called_can_be_chosen_in_gigachats_words() {
    let with = |choice| ChatRequest::from("?").tool(weather()).tool_choice(choice);
    assert_eq!(asked(with(ToolChoice::None))["function_call"], "none");
    let named = asked(with(ToolChoice::Tool("weather".into())));
    assert_eq!(named["function_call"], json!({"name": "weather"}));
    assert!(asked("?").get("function_call").is_none());
    assert!(refused(with(ToolChoice::Required)).contains("name one, with ToolChoice::Tool"));
}

#[test]
fn answers_of_json_are_asked_for() {
    let of =
        |format| asked(ChatRequest::from("?").response_format(format))["response_format"].clone();
    assert_eq!(of(ResponseFormat::JsonObject), json!({"type": "json_object"}));
    let schema = json!({"type": "object"});
    assert_eq!(
        of(ResponseFormat::JsonSchema { name: "answer".into(), schema: schema.clone() }),
        json!({"type": "json_schema", "schema": schema, "strict": true})
    );
}

#[test]
fn what_gigachat_has_no_word_for_is_refused_and_nothing_is_sent() {
    let call = |id: &str, arguments: &str| ToolCall::new(id, "weather", arguments);
    for (request, reason) in [
        (ChatRequest::from("?").stop("end"), "no stop texts"),
        (ChatRequest::from("?").seed(1), "no seed"),
        (
            vec![Message::user("?"), Message::system("Кратко.")].into(),
            "message 2: GigaChat takes one system message",
        ),
        (
            vec![Message::system("Кратко."), Message::system("Точно."), Message::user("?")].into(),
            "message 2: GigaChat takes one system message",
        ),
        (
            vec![Message::system("a"), Message::new(Role::Developer, "b"), Message::user("?")]
                .into(),
            "message 2",
        ),
        (vec![Message::user("?").name("Ann")].into(), "no names of speakers"),
        (
            vec![Message::user("?"), Message::tool("call_9", "1")].into(),
            "no message before it calls a function with this id",
        ),
        (
            vec![
                Message::user("?"),
                Message::assistant("").tool_call(call("a", "{}")).tool_call(call("b", "{}")),
            ]
            .into(),
            "one function a message",
        ),
        (
            vec![Message::user("?"), Message::assistant("").tool_call(call("a", "[1]"))].into(),
            "no JSON object",
        ),
        (
            vec![Message::user("?"), Message::assistant("").tool_call(call("a", "{broken"))].into(),
            "no JSON object",
        ),
        (ChatRequest::from("?").temperature(3.0), "temperature must be 0 to 2"),
    ] {
        let error = refused(request);
        assert!(error.contains(reason), "{error}");
    }
}
