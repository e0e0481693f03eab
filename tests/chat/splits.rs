//! A stream as each provider sends it, split at every byte and with every kind of line end: the
//! answer is always the same.

use llm_pool::chat::{Finish, GigaChat, YandexAuth};
use llm_pool::llm::{LlmPool, Provider};
use llm_pool::test_server::{Reply, TestServer};
use serde_json::json;

use crate::*;

const TEXT: &str = "Да, é🌍!";

/// Where a stream is asked for, what is sent there, and what else the answer has.
struct Case {
    path: &'static str,
    content_type: &'static str,
    stream: String,
    finish: Finish,
    reasoning: Option<&'static str>,
    tool: Option<(&'static str, &'static str)>,
    total: u64,
}

const OPENAI: &str = r#"data: {"id":"c","choices":[{"delta":{"role":"assistant","reasoning_content":"Хм"}}]}

: keep-alive

data: {"choices":[{"delta":{"content":"Да, é"}}]}

data: {"choices":[{"delta":{"content":"🌍!","tool_calls":[{"index":0,"id":"t","function":{"name":"f","arguments":"{\"x\""}}]}}]}

data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]},"finish_reason":"tool_calls"}]}

data: {"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":3,"total_tokens":5}}

data: [DONE]

"#;

const GIGACHAT: &str = r#"data: {"choices":[{"delta":{"content":"Да, é","role":"assistant"},"index":0}],"object":"chat.completion"}

data: {"choices":[{"delta":{"content":"🌍!"},"index":0}]}

data: {"choices":[{"delta":{"content":""},"index":0,"finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":3,"total_tokens":5,"precached_prompt_tokens":0}}

data: [DONE]

"#;

const ANTHROPIC: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"m","usage":{"input_tokens":2,"output_tokens":1}}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Хм"}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Да, é🌍!"}}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"x\":1}"}}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":3}}

event: message_stop
data: {"type":"message_stop"}

"#;

const YANDEX: &str = r#"{"result":{"alternatives":[{"message":{"role":"assistant","text":"Да"},"status":"ALTERNATIVE_STATUS_PARTIAL"}]}}
{"result":{"alternatives":[{"message":{"role":"assistant","text":"Да, é🌍!"},"status":"ALTERNATIVE_STATUS_FINAL"}],"usage":{"inputTextTokens":"2","completionTokens":"3","totalTokens":"5"}}}
"#;

const NAPARNIK: &str = r#": heartbeat 5000

data: {"uuid":"u","role":"user","finished":true,"content":{"content":{"instruction":"?"}}}

data: {"uuid":"a","role":null,"finished":false,"content":null,"content_delta":"<think>Хм</think>Да"}

data: {"uuid":"a","role":"assistant","finished":true,"content":{"content":"<think>Хм</think>Да, é🌍!"},"details":{"finish_reason":"stop","usage":{"total_tokens":5}}}

"#;

const EVENTS: &str = "text/event-stream; charset=utf-8";

impl Case {
    fn new(path: &'static str, stream: &str, finish: Finish) -> Self {
        let stream = stream.to_owned();
        let (content_type, reasoning, tool) = (EVENTS, None, None);
        Self { path, content_type, stream, finish, reasoning, tool, total: 5 }
    }

    fn check(&self, provider: impl FnOnce(&str) -> Provider, line_ends: &[&str]) {
        let server = TestServer::builder().remember(0).start().unwrap();
        let token = json!({"access_token": "t0ken", "expires_at": 0}).to_string();
        server.set_reply(Reply::ok().at("/oauth").body(token));
        server.set_reply(Reply::ok().at("/conversations/").body(r#"{"uuid":"u1"}"#));
        let pool = pool_of(provider(server.url()), chat_config().max_retries(0));
        let send = |pieces: Vec<&[u8]>, pause: u64| {
            let reply = Reply::ok().at(self.path).pieces(pieces).pause(millis(pause));
            server.set_reply(reply.content_type(self.content_type));
        };
        for line_end in line_ends {
            let whole = self.stream.replace('\n', line_end);
            for size in [1, 2, 3, 5, 16, 1000] {
                send(whole.as_bytes().chunks(size).collect(), 0);
                self.compare(&pool, &format!("{line_end:?} in pieces of {size}"));
            }
        }
        let whole = self.stream.as_bytes();
        for at in 1..whole.len() {
            // With a pause, so that both are read by themselves.
            send(vec![&whole[..at], &whole[at..]], 1);
            self.compare(&pool, &format!("split at {at}"));
        }
    }

    #[track_caller]
    fn compare(&self, pool: &LlmPool, how: &str) {
        let stream = pool.stream(&key(), &hi()).unwrap();
        let reply = stream.finish().unwrap_or_else(|error| panic!("{how}: {error}"));
        assert_eq!(reply.text(), TEXT, "{how}");
        assert_eq!(reply.finish(), Some(&self.finish), "{how}");
        assert_eq!(reply.reasoning(), self.reasoning, "{how}");
        assert_eq!(reply.usage().total(), self.total, "{how}");
        let tools: Vec<_> =
            reply.tool_calls().iter().map(|it| (&*it.name, &*it.arguments)).collect();
        assert_eq!(tools, self.tool.into_iter().collect::<Vec<_>>(), "{how}");
    }
}

const ALL_ENDS: &[&str] = &["\n", "\r\n", "\r"];

#[test]
fn openais_stream_is_read_alike_wherever_it_is_split() {
    let mut case = Case::new("/chat/completions", OPENAI, Finish::ToolCalls);
    (case.reasoning, case.tool) = (Some("Хм"), Some(("f", r#"{"x":1}"#)));
    case.check(|url| Provider::new(url), ALL_ENDS);
}

#[test]
fn gigachats_stream_is_read_alike_wherever_it_is_split() {
    let case = Case::new("/chat/completions", GIGACHAT, Finish::Stop);
    let provider =
        |url: &str| GigaChat::new("a2V5").oauth_url(format!("{url}/oauth")).base_url(url).into();
    case.check(provider, ALL_ENDS);
}

#[test]
fn anthropics_stream_is_read_alike_wherever_it_is_split() {
    let mut case = Case::new("/messages", ANTHROPIC, Finish::ToolCalls);
    (case.reasoning, case.tool) = (Some("Хм"), Some(("f", r#"{"x":1}"#)));
    case.check(|url| Provider::anthropic("key").base_url(url), ALL_ENDS);
}

#[test]
fn yandexs_stream_is_read_alike_wherever_it_is_split() {
    let mut case = Case::new("/completion", YANDEX, Finish::Stop);
    case.content_type = "application/json";
    let auth = YandexAuth::ApiKey("key".into());
    case.check(|url| Provider::yandex("f", auth).base_url(url), &["\n", "\r\n"]);
}

#[test]
fn naparniks_stream_is_read_alike_wherever_it_is_split() {
    let mut case = Case::new("/conversations/u1/messages", NAPARNIK, Finish::Stop);
    case.reasoning = Some("Хм");
    case.check(|url| Provider::naparnik("key").base_url(url), ALL_ENDS);
}
