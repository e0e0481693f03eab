//! Whole answers: what is sent, and what is told of what came.

use std::time::Duration;

use llm_pool::chat::{
    ChatRequest, Finish, Message, ResponseFormat, Role, Tool, ToolCall, ToolChoice,
};
use llm_pool::keyed::ModelKey;
use llm_pool::llm::Provider;
use llm_pool::test_server::{Reply, TestServer};
use serde_json::{Value, json};

use crate::support::*;
use crate::*;

fn last_body(server: &TestServer) -> Value {
    server.requests().last().unwrap().json().unwrap()
}

#[test]
fn the_key_is_the_default_and_the_request_differs_from_it() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    let key = key().temperature(0.5).top_p(0.9).max_tokens(7).param("user", "u1").param("n", "1");
    pool.chat(&key, &hi()).unwrap();
    let message = json!({"role": "user", "content": "How are you today, my friend?"});
    assert_eq!(
        last_body(&server),
        json!({"model": "small", "messages": [message], "temperature": 0.5, "top_p": 0.9,
               "max_tokens": 7, "user": "u1", "n": 1})
    );
    let own = ChatRequest::new(hi().to_vec()).temperature(1.5).max_tokens(9).extra("user", "u2");
    pool.chat(&key, own).unwrap();
    let sent = last_body(&server);
    assert_eq!((&sent["temperature"], &sent["max_tokens"]), (&json!(1.5), &json!(9)));
    assert_eq!((&sent["top_p"], &sent["user"]), (&json!(0.9), &json!("u2")));
}

#[test]
fn everything_a_request_can_say_is_sent_in_openais_words() {
    let server = TestServer::start().unwrap();
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}},
                        "required": ["city"]});
    let format = ResponseFormat::JsonSchema { name: "place".into(), schema: schema.clone() };
    let request = ChatRequest::new(hi().to_vec())
        .stop("END")
        .stop("\n\n")
        .seed(7)
        .response_format(format)
        .tool(Tool::new("weather", "Tells the weather.", schema.clone()))
        .tool_choice(ToolChoice::Tool("weather".into()))
        .extra("logprobs", true)
        .extra("seed", 8);
    let pool = pool(&server);
    let reply = pool.chat(&key(), request).unwrap();
    let sent = last_body(&server);
    assert_eq!(sent["stop"], json!(["END", "\n\n"]));
    assert_eq!(sent["seed"], 8, "a further field takes the place of one of that name");
    assert_eq!(sent["logprobs"], true);
    assert_eq!(
        sent["response_format"],
        json!({"type": "json_schema",
               "json_schema": {"name": "place", "schema": schema, "strict": true}})
    );
    assert_eq!(
        sent["tools"],
        json!([{"type": "function", "function": {"name": "weather",
                "description": "Tells the weather.", "parameters": schema}}])
    );
    assert_eq!(sent["tool_choice"], json!({"type": "function", "function": {"name": "weather"}}));
    assert!(sent.get("stream").is_none());
    assert_eq!(reply.finish(), Some(&Finish::ToolCalls));
    assert_eq!(reply.tool_calls()[0].name, "weather");

    pool.chat(&key(), ChatRequest::new(&hi()).response_format(ResponseFormat::JsonObject)).unwrap();
    assert_eq!(last_body(&server)["response_format"], json!({"type": "json_object"}));
}

#[test]
fn a_tool_call_goes_there_and_back() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let tool = || Tool::new("weather", "", schema.clone());
    let mut said = vec![Message::user("weather in Oslo?")];
    server.plan(Reply::ok().tool_call("weather", r#"{"city":"Oslo"}"#).reasoning("Hm, Oslo."));
    let reply = pool.chat(&key(), ChatRequest::new(&said).tool(tool())).unwrap();
    assert_eq!((reply.text(), reply.reasoning()), ("", Some("Hm, Oslo.")));
    let call = &reply.tool_calls()[0];
    assert_eq!(call.parse::<Value>().unwrap(), json!({"city": "Oslo"}));

    said.push(reply.to_message());
    said.push(Message::tool(&call.id, "4 degrees, rain"));
    let reply = pool.chat(&key(), ChatRequest::new(&said).tool(tool())).unwrap();
    assert!(reply.text().contains("4 degrees, rain"), "{reply:?}");
    let sent = last_body(&server);
    let (asked, told) = (&sent["messages"][1], &sent["messages"][2]);
    assert_eq!(asked["reasoning_content"], "Hm, Oslo.", "some providers want it back");
    assert_eq!(asked["tool_calls"][0]["function"]["arguments"], r#"{"city":"Oslo"}"#);
    assert_eq!(told["tool_call_id"], asked["tool_calls"][0]["id"]);
    assert_eq!(told["role"], "tool");
}

#[test]
fn an_answer_tells_all_that_the_server_told() {
    let server = TestServer::builder().rate_limit(500, 10_000).start().unwrap();
    server.plan(Reply::ok().content("Fine.").reasoning("Well.").usage(11, 2).finish_reason("eos"));
    let reply = pool(&server).chat(&key(), &hi()).unwrap();
    assert_eq!((reply.text(), reply.reasoning()), ("Fine.", Some("Well.")));
    assert_eq!(reply.finish(), Some(&Finish::Other("eos".into())));
    let usage = reply.usage();
    assert_eq!((usage.input, usage.output, usage.total()), (Some(11), Some(2), 13));
    assert_eq!((reply.model(), reply.request_id()), (Some("small"), Some("req-1")));
    assert!(reply.id().unwrap().starts_with("chatcmpl-"));
    assert_eq!(reply.header("x-request-number"), Some("1"));
    let limits = reply.rate_limits();
    assert_eq!((limits.requests.limit, limits.requests.remaining), (Some(500), Some(499)));
    assert!(limits.tokens.reset.is_some_and(|reset| reset <= Duration::from_secs(60)));
    assert_eq!(reply.tries(), 1);
    assert_eq!(reply.clone().into_text(), "Fine.");
    assert_eq!(reply.to_message().role, Role::Assistant);
}

#[test]
fn the_time_of_a_call_is_told_by_where_it_went() {
    let server = TestServer::builder().delay(millis(60)).start().unwrap();
    let pool = pool(&server);
    let first = pool.chat(&key(), &hi()).unwrap().timing();
    assert!(first.connecting.is_some_and(|time| !time.is_zero()), "{first:?}");
    assert!(first.first_byte >= millis(60) && first.total >= first.first_byte, "{first:?}");

    let held = [pool.get(&key()).unwrap(), pool.get(&key()).unwrap()];
    let handle = pool.clone();
    let caller = spawn(move || handle.chat(&key(), &hi()).unwrap().timing());
    eventually(|| pool.stats().sum.waiting == 1);
    std::thread::sleep(millis(30));
    drop(held);
    let second = caller.result();
    assert!(second.waited >= millis(30), "{second:?}");
    assert!(second.total >= second.waited + second.first_byte, "{second:?}");

    let llm = pool.get(&key()).unwrap();
    llm.chat(&hi()).unwrap();
    let again = llm.chat(&hi()).unwrap().timing();
    assert_eq!((again.waited, again.connecting), (Duration::ZERO, None));
}

#[test]
fn a_conversation_can_be_kept_as_json() {
    let said = vec![
        Message::system("Be brief.").name("boss"),
        Message::assistant("").tool_call(ToolCall::new("c1", "f", "{}")).reasoning(""),
        Message::tool("c1", "done"),
        Message::new(Role::Other("critic".into()), "Hm."),
    ];
    let text = serde_json::to_string(&said).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Message>>(&text).unwrap(), said);
    let null: Message = serde_json::from_str(r#"{"role":"assistant","content":null}"#).unwrap();
    assert_eq!(null, Message::assistant(""));
}

#[test]
fn a_reply_is_read_as_json_of_ones_own() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::ok().content(r#"{"answer": 42}"#));
    let reply = pool(&server).chat(&key(), "The answer?").unwrap();
    assert_eq!(reply.json::<Value>().unwrap()["answer"], 42);
}

#[test]
fn openai_itself_is_told_of_tokens_by_their_newer_name() {
    let server = TestServer::start().unwrap();
    let provider = Provider::openai(KEY).base_url(format!("{}/v1", server.url()));
    let pool = pool_of(provider, chat_config());
    let reply = pool.chat(&key().max_tokens(2), "one two three four").unwrap();
    assert_eq!(last_body(&server)["max_completion_tokens"], 2);
    assert!(last_body(&server).get("max_tokens").is_none());
    assert_eq!(reply.finish(), Some(&Finish::Length));
    let sent = server.requests();
    assert_eq!(sent[0].header("authorization"), Some(format!("Bearer {KEY}").as_str()));
}

#[test]
fn texts_become_vectors_in_their_order() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    let both = pool.embed(&key(), &["red", "green"]).unwrap();
    let llm = pool.get(&key()).unwrap();
    assert_eq!(both.vectors[1], llm.embed(&["green"]).unwrap().vectors[0]);
    assert_ne!(both.vectors[0], both.vectors[1]);
    assert_eq!(both.usage.total(), 2);
    server.plan(Reply::ok().body(
        r#"{"data":[{"index":1,"embedding":[1.0]},{"index":0,"embedding":[0.5]}],"model":"m"}"#,
    ));
    let swapped = llm.embed(&["a", "b"]).unwrap();
    assert_eq!(swapped.vectors, [[0.5], [1.0]]);
    for wrong in [&[][..], &["a", ""]] {
        let seen = server.stats().requests;
        let error = llm.embed(wrong).unwrap_err();
        assert_eq!(error.kind(), llm_pool::chat::ErrorKind::Invalid);
        assert_eq!(server.stats().requests, seen);
    }
}

#[test]
fn the_models_of_a_provider_are_listed() {
    let server = TestServer::builder().models(["small", "large"]).start().unwrap();
    let models = pool(&server).models(&key()).unwrap();
    let ids: Vec<_> = models.iter().map(|model| model.id.as_str()).collect();
    assert_eq!(ids, ["small", "large"]);
    let unknown = once(&server).chat(&ModelKey::new("test", "huge"), &hi()).unwrap_err();
    assert_eq!(unknown.kind(), llm_pool::chat::ErrorKind::NotFound);
}

#[test]
fn a_header_of_the_providers_stands_in_place_of_the_calls_own() {
    let server = TestServer::start().unwrap();
    let json = "application/json; charset=utf-8";
    let provider = Provider::new(format!("{}/v1", server.url()));
    let pool = pool_of(provider.header("content-type", json), chat_config());
    pool.chat(&key(), &hi()).unwrap();
    let request = &server.requests()[0];
    let sent: Vec<_> = request.headers().filter(|(name, _)| *name == "content-type").collect();
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(request.header("content-type"), Some(json));
}
