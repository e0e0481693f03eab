//! Whole answers and streams.

use super::*;

#[test]
fn a_whole_answer_has_no_id_and_tells_what_was_cached() {
    let server = server();
    server.plan(chat(ANSWER).header("x-request-id", "r-1"));
    let reply = pool_of(&server).chat(&key(), "Привет").unwrap();
    assert_eq!((reply.text(), reply.id()), ("Привет!", None));
    assert_eq!(reply.finish(), Some(&Finish::Stop));
    assert_eq!(reply.model(), Some("GigaChat-2:2.0.28.2"));
    assert_eq!(reply.request_id(), Some("r-1"));
    let usage = reply.usage();
    assert_eq!((usage.input, usage.output, usage.cached), (Some(18), Some(5), Some(4)));
    assert_eq!(usage.told_total, Some(23));
}

#[test]
fn a_refused_topic_is_a_200_with_blacklist_and_other_reasons_are_kept() {
    for (reason, finish) in [
        ("blacklist", Finish::ContentFilter),
        ("length", Finish::Length),
        ("error", Finish::Other("error".into())),
    ] {
        let server = server();
        server.plan(chat(&ANSWER.replace(r#""stop""#, &format!(r#""{reason}""#))));
        let line = format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":\"\"}},\"index\":0,\"finish_reason\":\"{reason}\"}}]}}\n\ndata: [DONE]\n\n"
        );
        let pool = pool_of(&server);
        assert_eq!(pool.chat(&key(), "Привет").unwrap().finish(), Some(&finish));
        server.plan(stream(&[&line]));
        let reply = pool.stream(&key(), "Привет").unwrap().finish().unwrap();
        assert_eq!(reply.finish(), Some(&finish));
    }
}

#[test]
fn a_stream_has_deltas_the_usage_on_the_last_chunk_and_an_end() {
    let server = server();
    // Cut within a character, and within a line end.
    let whole = "data: {\"choices\":[{\"delta\":{\"content\":\"При\",\"role\":\"assistant\"},\"index\":0}],\"created\":1,\"model\":\"GigaChat-2:2.0.28.2\",\"object\":\"chat.completion\"}\r\n\r\n\
        data: {\"choices\":[{\"delta\":{\"content\":\"вет!\"},\"index\":0}],\"created\":1,\"model\":\"GigaChat-2:2.0.28.2\",\"object\":\"chat.completion\"}\r\n\r\n\
        data: {\"choices\":[{\"delta\":{\"content\":\"\"},\"index\":0,\"finish_reason\":\"stop\"}],\"created\":1,\"model\":\"GigaChat-2:2.0.28.2\",\"object\":\"chat.completion\",\"usage\":{\"prompt_tokens\":18,\"completion_tokens\":5,\"total_tokens\":23,\"precached_prompt_tokens\":0}}\r\n\r\n\
        data: [DONE]\r\n\r\n";
    server.plan(Reply::ok().at(CHAT).pieces(whole.as_bytes().chunks(7)));
    let pool = pool_of(&server);
    let mut stream = pool.stream(&key(), "Привет").unwrap();
    let pieces: Vec<_> = stream.by_ref().map(Result::unwrap).collect();
    assert_eq!(pieces, [Piece::Text("При".into()), Piece::Text("вет!".into())]);
    let reply = stream.reply();
    assert_eq!(reply.text(), "Привет!");
    assert_eq!(reply.finish(), Some(&Finish::Stop));
    assert_eq!(reply.usage().total(), 23);
    let request = &seen_at(&server, CHAT)[0];
    assert_eq!(request.header("accept"), Some("text/event-stream"));
    assert_eq!(request.header("cache-control"), Some("no-store"));
    assert_eq!(request.json().unwrap()["stream"], true);
    assert!(request.json().unwrap().get("stream_options").is_none());
}

#[test]
fn a_function_call_in_a_stream_is_whole_with_its_object() {
    let server = server();
    server.plan(stream(&[
        "data: {\"choices\":[{\"delta\":{\"content\":\"\",\"role\":\"assistant\",\"function_call\":{\"name\":\"weather\",\"arguments\":{\"city\":\"Тула\"}},\"functions_state_id\":\"a-b\"},\"index\":0}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"\"},\"index\":0,\"finish_reason\":\"function_call\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2}}\n\n",
        "data: [DONE]\n\n",
    ]));
    let request = ChatRequest::from("Погода?").tool(weather());
    let pool = pool_of(&server);
    let pieces: Vec<_> = pool.stream(&key(), request).unwrap().map(Result::unwrap).collect();
    assert_eq!(pieces, [Piece::ToolCall(ToolCall::new("call_0", "weather", r#"{"city":"Тула"}"#))]);
}

#[test]
fn a_stream_that_ends_before_its_end_tells_what_had_come() {
    let begun = "data: {\"choices\":[{\"delta\":{\"content\":\"Поло\"},\"index\":0}]}\n\n";
    for (reply, kind) in [
        (stream(&[begun]), ErrorKind::CutShort),
        (stream(&[begun, begun]).with_fault(Fault::CloseDuringAnswer), ErrorKind::CutShort),
        (
            stream(&[begun, "data: {\"error\":{\"status\":500,\"message\":\"boom\"}}\n\n"]),
            ErrorKind::Server,
        ),
        (stream(&[begun, "data: {not json\n\n"]), ErrorKind::Malformed),
    ] {
        let server = server();
        server.plan(reply);
        let pool = pool_of(&server);
        let error = pool.stream(&key(), "?").unwrap().finish().unwrap_err();
        assert_eq!((error.kind(), error.text_so_far()), (kind, "Поло"), "{error}");
    }
}

#[test]
fn a_page_in_place_of_a_stream_is_no_answer() {
    let server = server();
    server.plan(Reply::ok().at(CHAT).body("<html>Wait</html>").content_type("text/html"));
    let pool = pool_of(&server);
    let error = pool.stream(&key(), "?").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
    server.plan(chat(r#"{"error":{"message":"busy"}}"#));
    assert_eq!(pool.stream(&key(), "?").unwrap_err().kind(), ErrorKind::Server);
}

#[test]
fn models_have_a_kind_and_embeddings_their_usage_in_each_item() {
    let server = server();
    server.set_reply(Reply::ok().at(MODELS).body(
        r#"{"object":"list","data":[{"id":"GigaChat-2","object":"model","owned_by":"salutedevices","type":"chat"},{"id":"Embeddings","object":"model","owned_by":"salutedevices","type":"embedder"}]}"#,
    ));
    server.plan(Reply::ok().at("/api/v1/embeddings").body(
        r#"{"object":"list","data":[{"object":"embedding","embedding":[0.5,1],"index":0,"usage":{"prompt_tokens":6}},{"object":"embedding","embedding":[2,0.25],"index":1,"usage":{"prompt_tokens":3}}],"model":"Embeddings"}"#,
    ));
    let pool = pool_of(&server);
    let models = pool.models(&key()).unwrap();
    let kinds: Vec<_> = models.iter().map(|it| (&*it.id, it.kind.as_deref())).collect();
    assert_eq!(kinds, [("GigaChat-2", Some("chat")), ("Embeddings", Some("embedder"))]);
    let made = pool.embed(&ModelKey::new("giga", "Embeddings"), &["раз", "два"]).unwrap();
    assert_eq!(made.vectors, [[0.5, 1.0], [2.0, 0.25]]);
    assert_eq!(made.usage.input, Some(9));
    let sent = seen_at(&server, "/api/v1/embeddings")[0].json().unwrap();
    assert_eq!(sent, json!({"model": "Embeddings", "input": ["раз", "два"]}));
}
