//! The forms that a question may have, and what a program does with answers and dialects.

use llm_pool::chat::{
    Ask, ChatRequest, Dialect, Draft, ErrorKind, Finish, Message, OpenAi, ResponseFormat, Tool,
    Usage,
};
use llm_pool::llm::{LlmConfig, Provider};
use llm_pool::test_server::{Reply, TestServer};
use serde_json::{Value, json};

use super::{chat_config, hi, in_use, key, once, pool, pool_of, said};
use crate::support::millis;

#[test]
fn one_request_can_be_asked_several_times_and_kept() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    let schema = json!({"type": "object", "properties": {}});
    let format = ResponseFormat::json_schema("nothing", schema.clone());
    assert_eq!(format, ResponseFormat::JsonSchema { name: "nothing".into(), schema });
    let kept: ChatRequest<'static> = {
        let messages = [Message::user("Again?")];
        let request = ChatRequest::new(&messages)
            .temperature(0.5)
            .stop("never")
            .seed(7)
            .response_format(format)
            .tool(Tool::new("look", "", json!({})))
            .extra("logprobs", true);
        assert_eq!(ChatRequest::from(&request), request);
        request.into_owned()
    };
    server.forget_requests();
    for _ in 0..2 {
        pool.chat(&key(), &kept).unwrap();
    }
    let seen = server.requests();
    assert_eq!(seen[0].body(), seen[1].body());
    assert_eq!(seen[0].json().unwrap()["logprobs"], true);
    assert_eq!(pool.chat(&key(), Message::user("One")).unwrap().text(), "You said: One");
}

#[test]
fn what_a_request_sets_goes_before_a_parameter_of_the_key() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    let key = key().param("seed", "7").param("stop", r#"["a"]"#).param("user", "\"42\"");
    server.forget_requests();
    pool.chat(&key, ChatRequest::from("Hi").seed(8).stop("b")).unwrap();
    pool.chat(&key, "Hi").unwrap();
    let sent: Vec<_> = server.requests().iter().map(|seen| seen.json().unwrap()).collect();
    assert_eq!((&sent[0]["seed"], &sent[0]["stop"]), (&json!(8), &json!(["b"])));
    assert_eq!((&sent[1]["seed"], &sent[1]["stop"]), (&json!(7), &json!(["a"])));
    assert_eq!(sent[1]["user"], "42");
}

#[test]
fn a_request_of_a_dialect_can_be_looked_at_without_a_server() {
    let (key, request) = (key().temperature(0.2), ChatRequest::from("Hi").max_tokens(9));
    let ask = Ask::new(&key, &request, true);
    let call = OpenAi::compatible().request(&ask, &Draft::default()).unwrap();
    assert_eq!(call.path(), "chat/completions");
    assert_eq!(call.headers().collect::<Vec<_>>(), [("accept", "text/event-stream")]);
    let body: Value = serde_json::from_slice(call.body().unwrap()).unwrap();
    assert_eq!((&body["temperature"], &body["max_tokens"]), (&json!(0.2), &json!(9)));
    assert_eq!(OpenAi::compatible().list_models().unwrap().body(), None);
}

#[test]
fn tokens_of_several_calls_are_added_up() {
    let mut told = Usage::default();
    (told.input, told.output, told.told_total) = (Some(3), Some(4), Some(9));
    let mut untold = Usage::default();
    (untold.input, untold.cached) = (Some(10), Some(2));
    let sum: Usage = [told, untold, Usage::default()].into_iter().sum();
    assert_eq!(
        (sum.input, sum.output, sum.cached, sum.reasoning),
        (Some(13), Some(4), Some(2), None)
    );
    assert_eq!(sum.total(), 19);
    assert_eq!([untold, untold].into_iter().sum::<Usage>().told_total, None);
}

#[test]
fn a_stream_that_has_failed_does_not_finish_well() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    server.plan(Reply::ok().error_mid_stream("overheated").content("one two three four"));
    let mut stream = pool.stream(&key(), "Hi").unwrap();
    assert!(stream.by_ref().any(|piece| piece.is_err()));
    assert_eq!(stream.reply().text(), "one two three ");
    assert_eq!(stream.finish().unwrap_err().kind(), ErrorKind::CutShort);
}

#[test]
fn a_stopper_ends_a_stream_of_the_pool() {
    let server = TestServer::builder().pause(millis(50)).start().unwrap();
    let pool = pool(&server);
    let mut stream = pool.stream(&key(), "one two three four five six").unwrap();
    stream.next().unwrap().unwrap();
    stream.stopper().unwrap().stop();
    assert_eq!(stream.find_map(Result::err).unwrap().kind(), ErrorKind::Stopped);
    assert!(stream.stopper().is_none() && in_use(&pool) == 0);
}

#[test]
fn a_stream_without_done_is_cut_short_unless_its_server_is_known_to_send_none() {
    let server = TestServer::start().unwrap();
    let end = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let plan = || server.plan(Reply::ok().pieces([said("Fine"), end.to_owned()]));
    plan();
    let error = once(&server).stream(&key(), &hi()).unwrap().finish().unwrap_err();
    assert_eq!((error.kind(), error.text_so_far()), (ErrorKind::CutShort, "Fine"));
    assert_eq!(error.partial().unwrap().finish(), Some(&Finish::Stop));

    let provider = Provider::new(format!("{}/v1", server.url()));
    let provider = provider.dialect(OpenAi::compatible().done_marker(false));
    let pool = pool_of(provider, chat_config());
    plan();
    assert_eq!(pool.stream(&key(), &hi()).unwrap().finish().unwrap().text(), "Fine");
    server.plan(Reply::ok().pieces([said("Fine")]));
    let error = pool.stream(&key(), &hi()).unwrap().finish().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CutShort, "nothing said why it stopped");
}

#[test]
fn an_answer_of_nothing_is_told_as_that() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::ok().body(" \n"));
    let error = once(&server).chat(&key(), "Hi").unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Malformed, "it is empty"));
    assert_eq!(ErrorKind::TimedOut.to_string(), "timed out");
}

#[test]
fn texts_to_embed_may_be_owned() {
    let server = TestServer::start().unwrap();
    let texts: Vec<String> = ["one", "two"].map(str::to_owned).into();
    assert_eq!(once(&server).embed(&key(), &texts).unwrap().vectors.len(), 2);
}

#[test]
fn an_empty_key_is_refused_when_the_pool_is_built() {
    let new = || Provider::new("http://127.0.0.1:1/v1");
    for provider in [new().api_key(""), new().api_key(" "), Provider::anthropic("")] {
        let wrong = LlmConfig::default().provider("p", provider).build().unwrap_err().to_string();
        assert!(wrong.contains("has no key"), "{wrong}");
    }
    assert!(LlmConfig::default().provider("p", new()).build().is_ok());
}
