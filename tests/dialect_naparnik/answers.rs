//! Streams, and tools that are declined.

use super::*;

#[test]
fn the_echo_of_the_question_is_no_answer() {
    let reply = answered(&[
        ": heartbeat 5000\n\n".into(),
        echo(),
        ": heartbeat 10000\n\n".into(),
        delta("Про"),
        delta("чти"),
        finished("a-1", json!({"content": "Прочти."})),
    ]);
    assert_eq!(reply.text(), "Прочти.");
    assert_eq!((reply.id(), reply.finish()), (Some("a-1"), Some(&Finish::Stop)));
    assert_eq!(reply.usage().told_total, Some(77));
    let error = failed(stream(&[echo()]));
    assert_eq!(error.kind(), ErrorKind::CutShort);
}

#[test]
fn pieces_are_text_or_objects_and_the_final_text_replaces_them() {
    let server = server();
    server.plan(stream(&[
        echo(),
        delta("Пер"),
        delta(json!({"content": "вое", "reasoning_content": "Думаю. ", "tool_calls": null})),
        delta(json!({"reasoning_content": "Ещё."})),
        finished(
            "a-1",
            json!({"content": "Первое, исправлено", "reasoning_content": "Думаю. Ещё."}),
        ),
    ]));
    server.plan(stream(&[echo(), delta("Второе"), finished("a-1", json!({"text": "Иначе"}))]));
    server.plan(stream(&[echo(), delta("Третье"), finished("a-1", Value::Null)]));
    let pool = pool_of(&server);
    let mut streaming = pool.stream(&key(), QUESTION).unwrap();
    let pieces: Vec<_> = streaming.by_ref().map(Result::unwrap).collect();
    let text = |text: &str| Piece::Text(text.into());
    let thought = |text: &str| Piece::Reasoning(text.into());
    assert_eq!(
        pieces,
        [text("Пер"), thought("Думаю. "), text("вое"), thought("Ещё."), text(", исправлено")]
    );
    assert_eq!(streaming.reply().reasoning(), Some("Думаю. Ещё."));
    let pieces: Vec<_> = pool.stream(&key(), QUESTION).unwrap().map(Result::unwrap).collect();
    assert_eq!(pieces, [text("Второе"), Piece::Rewrite("Иначе".into())]);
    assert_eq!(pool.chat(&key(), QUESTION).unwrap().text(), "Третье");
}

#[test]
fn a_stream_is_read_to_its_end_and_the_last_of_several_answers_counts() {
    let reply = answered(&[
        echo(),
        delta("Первый ответ"),
        finished("a-1", json!({"content": "Первый ответ"})),
        event(
            &json!({"uuid": "t-1", "role": "tool", "finished": true, "content": [{"status": "error"}]}),
        ),
        delta("Вто"),
        finished("a-2", json!({"content": "Второй ответ"})),
        event(
            &json!({"uuid": "a-2", "role": null, "finished": false, "content": null, "content_delta": null, "render_info": {}}),
        ),
        "data: [DONE]\n\n".into(),
    ]);
    assert_eq!((reply.text(), reply.id()), ("Второй ответ", Some("a-2")));
}

#[test]
fn an_answer_that_wants_tools_is_no_answer_and_each_call_is_declined() {
    let server = server();
    server.plan(stream(&[echo(), delta("Поищу."), wants_tools("a-1", &["call-1", "call-2"])]));
    let results = event(&json!({"uuid": "t-1", "role": "tool", "finished": true, "content": []}));
    server.plan(stream(&[results.clone(), wants_tools("a-2", &["call-3"])]));
    server.plan(stream(&[
        results,
        delta("Готово"),
        finished("a-3", json!({"content": "Готово."})),
    ]));
    let pool = pool_of(&server);
    let mut streaming = pool.stream(&key(), QUESTION).unwrap();
    let pieces: Vec<_> = streaming.by_ref().map(Result::unwrap).collect();
    let text = |text: &str| Piece::Text(text.into());
    assert_eq!(pieces, [text("Поищу."), Piece::Rewrite("Готово".into()), text(".")]);
    let reply = streaming.reply();
    assert_eq!((reply.text(), reply.id()), ("Готово.", Some("a-3")));
    assert_eq!((reply.finish(), reply.tool_calls()), (Some(&Finish::Stop), &[][..]));
    assert_eq!(reply.usage().told_total, Some(77));
    let asked = seen_at(&server, ASK);
    assert_eq!((asked.len(), seen_at(&server, NEW).len()), (3, 1));
    let told = |at: usize| asked[at].json().unwrap();
    assert_eq!((&told(1)["parent_uuid"], &told(1)["role"]), (&json!("a-1"), &json!("tool")));
    let ids = |at: usize| {
        let calls = told(at)["content"].as_array().unwrap().clone();
        assert!(calls.iter().all(|it| it["status"] == "rejected" && it["content"].is_string()));
        calls.iter().map(|it| it["tool_call_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(1), ["call-1", "call-2"]);
    assert_eq!(ids(2), ["call-3"]);
    assert_eq!(told(2)["parent_uuid"], "a-2");
    assert_eq!(asked[1].header("accept"), Some("text/event-stream"));
}

#[test]
fn a_server_that_never_stops_wanting_tools_is_given_up() {
    let server = server();
    server.set_reply(stream(&[echo(), wants_tools("a-1", &["call-1"])]));
    let error = pool_of(&server).chat(&key(), QUESTION).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
    assert!(error.to_string().contains("more than 25 requests"), "{error}");
    assert_eq!(server.requests().len(), 25);
}

#[test]
fn calls_without_an_id_are_text() {
    let call = json!({"function": {"name": "Write", "arguments": "{}"}});
    let content = json!({"content": "Пишите <Write/>.", "tool_calls": [call]});
    assert_eq!(answered(&[echo(), finished("a-1", content)]).text(), "Пишите <Write/>.");
}

#[test]
fn thoughts_in_the_text_become_reasoning() {
    let reply = answered(&[
        echo(),
        delta("<thi"),
        delta("nk>Надо поду"),
        delta("мать</th"),
        delta("ink>\n\nОтвет: a <"),
        delta("b"),
        finished("a-1", json!({"content": "<think>Надо подумать</think>\n\nОтвет: a <b"})),
    ]);
    assert_eq!((reply.text(), reply.reasoning()), ("Ответ: a <b", Some("Надо подумать")));
    let whole = json!({"content": "<thinking>Хм</thinking>Да"});
    let reply = answered(&[echo(), finished("a-1", whole)]);
    assert_eq!((reply.text(), reply.reasoning()), ("Да", Some("Хм")));
}

#[test]
fn an_answer_without_text_is_an_error_with_a_reason() {
    for content in [json!({"content": ""}), json!({"content": "<think>Хм</think>"}), json!(null)]
    {
        let error = failed(stream(&[echo(), finished("a-1", content)]));
        assert_eq!(error.kind(), ErrorKind::CutShort);
        assert!(error.message().contains("without any text"), "{error}");
    }
    // Not even if a message before had some.
    let before = finished("a-1", json!({"content": "Старое"}));
    let error = failed(stream(&[echo(), before, finished("a-2", json!({"content": ""}))]));
    assert!(error.message().contains("without any text"), "{error}");
}

#[test]
fn a_stream_that_is_cut_tells_what_had_come() {
    let begun = || [echo(), delta("Поло"), delta("вина")];
    let broken = [echo(), delta("Поло"), delta("вина"), delta(""), delta(""), delta("")];
    let after = [finished("a-1", json!({"content": "Первый"})), delta("Поло"), delta("вина")];
    for reply in
        [stream(&begun()), stream(&broken).with_fault(Fault::CloseDuringAnswer), stream(&after)]
    {
        let error = failed(reply);
        assert_eq!(error.kind(), ErrorKind::CutShort, "{error}");
        assert!("Половина".starts_with(error.text_so_far()) && !error.text_so_far().is_empty());
    }
    let [one, two, three] = begun();
    let broken = "data: {\"role\":\"assis\n\n".to_owned();
    let error = failed(stream(&[one, two, three, broken]));
    assert_eq!((error.kind(), error.text_so_far()), (ErrorKind::Malformed, "Половина"));
}
