//! Streams: lines of JSON, each with the whole text so far.

use llm_pool::chat::{ErrorKind, Finish, Piece, ToolCall};
use llm_pool::test_server::{Fault, Reply};
use serde_json::json;

use crate::replay::*;

fn text(text: &str) -> Piece {
    Piece::Text(text.into())
}

#[test]
fn lines_have_the_text_from_its_beginning_and_pieces_only_what_is_new() {
    let server = server();
    let reply = lines(&[
        said("Пр", "PARTIAL"),
        said("Пр", "PARTIAL"),
        said("Привет", "PARTIAL"),
        said("Привет, мир!", "FINAL"),
    ]);
    server.plan(reply);
    let mut stream = pool_of(&server).stream(&key(), "Привет").unwrap();
    let pieces: Vec<_> = stream.by_ref().map(Result::unwrap).collect();
    assert_eq!(pieces, [text("Пр"), text("ивет"), text(", мир!")]);
    let reply = stream.reply();
    assert_eq!((reply.text(), reply.finish()), ("Привет, мир!", Some(&Finish::Stop)));
    assert_eq!(reply.usage().told_total, Some(25));
    assert_eq!(server.requests()[0].json().unwrap()["completionOptions"]["stream"], true);
}

#[test]
fn text_that_is_changed_later_comes_as_a_rewrite_and_the_last_one_counts() {
    let (pieces, reply) = streamed(lines(&[
        said("Два плюс два — пять", "PARTIAL"),
        said("Два плюс два — четыре", "PARTIAL"),
        said("Два плюс два — четыре.", "FINAL"),
    ]));
    let rewrite = Piece::Rewrite("Два плюс два — четыре".into());
    assert_eq!(pieces, [text("Два плюс два — пять"), rewrite, text(".")]);
    assert_eq!(reply.unwrap().text(), "Два плюс два — четыре.");
}

#[test]
fn a_stream_may_be_cut_anywhere_and_its_last_line_may_lack_an_end() {
    let all = format!(
        "{}\r\n\r\n{}\n{}",
        said("При", "PARTIAL"),
        said("Привет", "PARTIAL"),
        said("Привет!", "FINAL")
    );
    for size in [1, 2, 3, 7, 64] {
        let pieces = Reply::ok().pieces(all.as_bytes().chunks(size));
        let (pieces, reply) = streamed(pieces.content_type("application/json"));
        assert_eq!(reply.unwrap().text(), "Привет!");
        assert_eq!(pieces, [text("При"), text("вет"), text("!")]);
    }
}

#[test]
fn lines_need_no_wrapper_and_no_content_type_of_streams() {
    let bare = |value: serde_json::Value| format!("{}\n", value["result"]);
    let pieces = [bare(said("Да", "PARTIAL")), bare(said("Да.", "FINAL"))];
    let (_, reply) = streamed(Reply::ok().pieces(pieces).content_type("text/plain"));
    assert_eq!(reply.unwrap().text(), "Да.");
}

#[test]
fn calls_in_a_stream_are_pieces_once_they_are_final() {
    let wanted = || {
        calls(&[("get_weather", json!({"city": "Oslo"})), ("get_weather", json!({"city": "Rome"}))])
    };
    let (pieces, reply) = streamed(lines(&[
        of_message(calls(&[("get_weather", json!({"city": "Oslo"}))]), "PARTIAL"),
        of_message(wanted(), "PARTIAL"),
        of_message(wanted(), "TOOL_CALLS"),
    ]));
    let expected = [
        ToolCall::new("call_0", "get_weather", r#"{"city":"Oslo"}"#),
        ToolCall::new("call_1", "get_weather", r#"{"city":"Rome"}"#),
    ];
    assert_eq!(reply.unwrap().tool_calls(), expected);
    assert_eq!(pieces, expected.map(Piece::ToolCall));
}

#[test]
fn a_stream_ends_with_a_final_status_and_needs_no_done() {
    let late = refusal(13, 500, "late", "Internal Server Error");
    let (_, reply) = streamed(lines(&[said("Да.", "FINAL"), late]));
    assert_eq!(reply.unwrap().text(), "Да.");
}

#[test]
fn an_end_without_a_final_status_is_cut_short() {
    let partial = [said("Да", "PARTIAL"), said("Да, но", "PARTIAL")];
    for reply in [lines(&partial), lines(&[said("Да", "PARTIAL"), said("Да, но", "UNSPECIFIED")])]
    {
        let (pieces, failed) = streamed(reply);
        let failed = failed.unwrap_err();
        assert_eq!((failed.kind(), failed.text_so_far()), (ErrorKind::CutShort, "Да, но"));
        assert_eq!(pieces.len(), 2);
    }
    let cut = lines(&partial).with_fault(Fault::CloseDuringAnswer);
    let failed = streamed(cut).1.unwrap_err();
    assert_eq!((failed.kind(), failed.text_so_far()), (ErrorKind::CutShort, "Да"), "{failed}");
}

#[test]
fn half_a_line_at_the_end_was_cut_short() {
    let (whole, line) = (said("Да", "PARTIAL"), said("Да, но", "FINAL").to_string());
    let in_letter = line.find('Д').unwrap() + 1;
    for end in [1, in_letter, line.len() / 2, line.len() - 1] {
        let half = &line.as_bytes()[..end];
        let pieces = [format!("{whole}\n").as_bytes(), half].map(<[u8]>::to_vec);
        let failed = streamed(Reply::ok().pieces(pieces)).1.unwrap_err();
        assert_eq!((failed.kind(), failed.text_so_far()), (ErrorKind::CutShort, "Да"), "{failed}");
    }
}

#[test]
fn an_error_in_a_line_after_status_200_is_known_by_its_codes() {
    let grpc = |code: u16| json!({"error": {"grpcCode": code, "message": "Alas."}});
    for (line, kind, retryable) in [
        (refusal(14, 503, "Alas.", "Service Unavailable"), ErrorKind::Server, true),
        (refusal(8, 429, "Alas.", "Too Many Requests"), ErrorKind::RateLimited, true),
        (grpc(3), ErrorKind::BadRequest, false),
        (grpc(4), ErrorKind::Server, true),
        (grpc(7), ErrorKind::Unauthorized, false),
        (grpc(8), ErrorKind::RateLimited, true),
        (grpc(12), ErrorKind::Server, true),
        (grpc(13), ErrorKind::Server, true),
        (grpc(14), ErrorKind::Server, true),
        (grpc(16), ErrorKind::Unauthorized, false),
        (json!({"code": 16, "message": "Alas.", "details": []}), ErrorKind::Unauthorized, false),
        (json!({"error": {"code": 429, "message": "Alas."}}), ErrorKind::RateLimited, true),
        (json!({"error": "Alas."}), ErrorKind::Server, true),
    ] {
        let (pieces, failed) = streamed(lines(&[said("Да", "PARTIAL"), line.clone()]));
        let failed = failed.unwrap_err();
        assert_eq!((failed.kind(), failed.is_retryable()), (kind, retryable), "{line}: {failed}");
        assert_eq!((failed.status(), failed.message()), (Some(200), "Alas"), "{line}");
        assert_eq!((failed.text_so_far(), pieces.len()), ("Да", 1));
        let failed = answered(whole(&line)).unwrap_err();
        assert_eq!((failed.kind(), failed.message()), (kind, "Alas"), "{line}");
    }
}

#[test]
fn a_gauge_in_a_line_is_about_concurrency_too() {
    let message = "ai.textGenerationCompletionSessionsCount.count gauge quota limit exceed";
    let line = refusal(8, 429, message, "Too Many Requests");
    let failed = streamed(lines(&[line])).1.unwrap_err();
    assert_eq!((failed.kind(), failed.code()), (ErrorKind::RateLimited, Some("concurrency")));
}

#[test]
fn an_empty_error_is_none_and_unknown_lines_are_passed_over() {
    let mut first = said("Да", "PARTIAL");
    first["error"] = json!({});
    let (_, reply) = streamed(lines(&[json!({}), first, said("Да.", "FINAL")]));
    assert_eq!(reply.unwrap().text(), "Да.");
}

#[test]
fn a_line_that_is_no_json_is_malformed() {
    let pieces = [format!("{}\n", said("Да", "PARTIAL")), "<html>\n".to_owned()];
    let failed = streamed(Reply::ok().pieces(pieces)).1.unwrap_err();
    assert_eq!((failed.kind(), failed.text_so_far()), (ErrorKind::Malformed, "Да"));
}

#[test]
fn a_page_in_place_of_a_stream_is_told_as_one() {
    let server = server();
    server.plan(Reply::ok().body("<html>\n<title>Вход</title></html>").content_type("text/html"));
    let failed = pool_of(&server).stream(&key(), "Привет").unwrap_err();
    assert_eq!((failed.kind(), failed.status()), (ErrorKind::Malformed, Some(200)));
    assert!(failed.message().contains("a page"), "{failed}");
}
