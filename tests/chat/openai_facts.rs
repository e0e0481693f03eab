//! What is likely to trip a client of the OpenAI dialect.

use llm_pool::chat::{ErrorKind, Finish, Piece};
use llm_pool::test_server::{Reply, TestServer};

use crate::*;

fn stream_of(pieces: &[String]) -> Vec<Piece> {
    let server = TestServer::start().unwrap();
    server.plan(Reply::ok().pieces(pieces.to_vec()));
    once(&server).stream(&key(), &hi()).unwrap().map(Result::unwrap).collect()
}

const DONE: &str = "data: [DONE]\n\n";

#[test]
fn empty_lines_before_a_whole_answer_are_passed_over() {
    let server = TestServer::start().unwrap();
    let body = "\n\n\r\n\n{\"choices\":[{\"message\":{\"content\":\"Hi\"}}]}";
    server.plan(Reply::ok().body(body));
    let reply = once(&server).chat(&key(), &hi()).unwrap();
    assert_eq!((reply.text(), reply.finish()), ("Hi", None));
}

#[test]
fn usage_with_no_choices_may_come_unasked_early_twice_or_never() {
    let server = TestServer::start().unwrap();
    let usage = |n: u32| {
        format!(
            "data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":1,\"completion_tokens\":{n},\"prompt_cache_hit_tokens\":1}}}}\n\n"
        )
    };
    let null = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n";
    for (pieces, total) in [
        (vec![usage(1), said("Hi"), null.to_owned(), usage(2), DONE.to_owned()], 3),
        (vec![said("Hi"), null.to_owned(), DONE.to_owned()], 0),
        (vec!["data: {\"choices\":null}\n\n".into(), said("Hi"), DONE.into()], 0),
    ] {
        server.plan(Reply::ok().pieces(pieces));
        let reply = once(&server).stream(&key(), &hi()).unwrap().finish().unwrap();
        assert_eq!((reply.text(), reply.usage().total()), ("Hi", total));
        if total > 0 {
            assert_eq!(reply.usage().cached, Some(1));
        }
    }
}

#[test]
fn the_end_is_what_begins_with_done() {
    for end in ["data: [DONE]\n\n", "data:[DONE]\n\n", "data: [DONE] \r\n\r\n", "data: [DONE]"] {
        assert_eq!(stream_of(&[said("Hi"), end.to_owned()]), [Piece::Text("Hi".into())], "{end:?}");
    }
}

#[test]
fn tool_calls_are_put_together_by_their_index() {
    let call = |fields: &str| delta(&format!("{{\"tool_calls\":[{fields}]}}"));
    let pieces = [
        call(r#"{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}"#),
        call(r#"{"index":0,"function":{"arguments":"{\"x\""}}"#),
        call(r#"{"index":1,"id":"b","function":{"name":"g","arguments":"{}"}}"#),
        call(r#"{"index":0,"function":{"arguments":":1}"}}"#),
        DONE.to_owned(),
    ];
    let server = TestServer::start().unwrap();
    server.plan(Reply::ok().pieces(pieces));
    let reply = once(&server).stream(&key(), &hi()).unwrap().finish().unwrap();
    let calls: Vec<_> =
        reply.tool_calls().iter().map(|call| (&*call.id, &*call.name, &*call.arguments)).collect();
    assert_eq!(calls, [("a", "f", r#"{"x":1}"#), ("b", "g", "{}")]);
}

#[test]
fn a_whole_tool_call_in_one_chunk_without_an_id_gets_one() {
    let chunk = delta(r#"{"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}"#);
    let pieces = stream_of(&[chunk, DONE.to_owned()]);
    let [Piece::ToolCall(call)] = &pieces[..] else { panic!("{pieces:?}") };
    assert_eq!((&*call.id, &*call.name), ("call_0", "f"));
}

#[test]
fn reasoning_has_two_names_and_may_be_empty() {
    for field in ["reasoning", "reasoning_content"] {
        let thought = delta(&format!("{{\"{field}\":\"Hm.\",\"content\":null}}"));
        let pieces = stream_of(&[thought, said("Hi"), DONE.to_owned()]);
        assert_eq!(pieces, [Piece::Reasoning("Hm.".into()), Piece::Text("Hi".into())]);
    }
    let server = TestServer::start().unwrap();
    let body =
        r#"{"choices":[{"message":{"content":"","reasoning_content":"","tool_calls":null}}]}"#;
    server.plan(Reply::ok().body(body));
    let message = once(&server).chat(&key(), &hi()).unwrap().to_message();
    assert_eq!(message.reasoning.as_deref(), Some(""), "it must go back although it is empty");
    assert!(serde_json::to_string(&message).unwrap().contains("\"reasoning_content\":\"\""));
}

#[test]
fn errors_in_a_stream_are_objects_or_texts_with_any_kind_of_code() {
    let server = TestServer::start().unwrap();
    for (error, kind) in [
        (r#"{"message":"m","type":"t","param":null,"code":429}"#, ErrorKind::RateLimited),
        (r#"{"message":"m","code":"context_length_exceeded"}"#, ErrorKind::TooLong),
        (r#"{"message":"m","code":null}"#, ErrorKind::Server),
        (r#"{"object":"error","message":"m","code":400}"#, ErrorKind::BadRequest),
        (r#""it broke""#, ErrorKind::Server),
    ] {
        let event = format!("data: {{\"error\":{error}}}\n\n");
        server.plan(Reply::ok().pieces([said("Hi"), event]));
        let error = once(&server).stream(&key(), &hi()).unwrap().finish().unwrap_err();
        assert_eq!((error.kind(), error.text_so_far()), (kind, "Hi"), "{error}");
    }
    let null = "data: {\"error\":null,\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n";
    assert_eq!(stream_of(&[null.to_owned(), DONE.to_owned()]), [Piece::Text("Hi".into())]);
}

#[test]
fn a_refusal_is_a_text_and_unknown_reasons_are_kept() {
    let server = TestServer::start().unwrap();
    let body = r#"{"choices":[{"message":{"content":null,"refusal":"I won't."},"finish_reason":"content_filter"}]}"#;
    server.plan(Reply::ok().body(body));
    let reply = once(&server).chat(&key(), &hi()).unwrap();
    assert_eq!((reply.text(), reply.finish()), ("I won't.", Some(&Finish::ContentFilter)));
    server.plan(Reply::ok().finish_reason("repetition"));
    let reply = once(&server).chat(&key(), &hi()).unwrap();
    assert_eq!(reply.finish().unwrap().as_str(), "repetition");
}

#[test]
fn a_stream_is_read_alike_wherever_it_is_split() {
    let whole = format!(
        ": hello\r\n\r\n{}event: x\r\ndata: {{\"choices\":\ndata: []}}\n\n{}{DONE}",
        said("Grüße, "),
        said("мир 🌍")
    );
    let server = TestServer::start().unwrap();
    let pool = once(&server);
    let bytes = whole.as_bytes();
    for at in (1..bytes.len()).step_by(3) {
        server.plan(Reply::ok().pieces([&bytes[..at], &bytes[at..]]));
        let reply = pool.stream(&key(), &hi()).unwrap().finish().unwrap();
        assert_eq!(reply.text(), "Grüße, мир 🌍", "split at {at}");
    }
}
