//! OpenAI's chat completions, which most servers speak.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::dialect::{Ask, Dialect, HttpCall, Next};
use super::super::draft::Draft;
use super::super::error::ChatError;
use super::super::frames::Frame;
use super::super::message::{Message, ToolCall};
use super::super::models::{Embeddings, Model};
use super::super::reply::{Finish, Usage};
use super::super::request::{ResponseFormat, Tool, ToolChoice};
use super::json::{First, Text, read};

/// OpenAI's chat completions, and what is compatible with them: DeepSeek, Volcengine Ark, vLLM,
/// Ollama, LiteLLM and the like.
///
/// Reasoning is read from `reasoning_content` and `reasoning`, and sent back as
/// `reasoning_content` with the messages that have some. Streams ask for their usage.
#[derive(Clone, Debug)]
pub struct OpenAi {
    max_tokens: &'static str,
    stream_usage: bool,
    done: bool,
}

impl Default for OpenAi {
    fn default() -> Self {
        Self { max_tokens: "max_tokens", stream_usage: true, done: true }
    }
}

impl OpenAi {
    /// What every compatible server knows.
    #[must_use]
    pub fn compatible() -> Self {
        Self::default()
    }

    /// Limits tokens by `max_completion_tokens`, which OpenAI's newer models want, in place of
    /// `max_tokens`, which is all that many others know.
    #[must_use]
    pub fn max_completion_tokens(mut self) -> Self {
        self.max_tokens = "max_completion_tokens";
        self
    }

    /// Whether streams ask for their usage, by `stream_options`, which a few servers refuse.
    /// Default yes.
    #[must_use]
    pub fn stream_usage(mut self, ask: bool) -> Self {
        self.stream_usage = ask;
        self
    }

    /// Whether the end of a stream is `[DONE]`, and one without it was cut short. A few servers send
    /// none: then the reason why the model stopped is end enough. Default yes.
    #[must_use]
    pub fn done_marker(mut self, sent: bool) -> Self {
        self.done = sent;
        self
    }
}

impl Dialect for OpenAi {
    fn request(&self, ask: &Ask<'_>, _: &Draft) -> Result<HttpCall, ChatError> {
        let extra = ask.extra();
        let new = |name: &str| !extra.contains_key(name);
        let max_tokens = ask.max_tokens().filter(|_| new(self.max_tokens));
        let newer = self.max_tokens == "max_completion_tokens";
        let streams = ask.streams();
        let options = streams && self.stream_usage && new("stream_options");
        let body = Body {
            model: Some(ask.model()).filter(|_| new("model")),
            messages: Some(ask.messages()).filter(|_| new("messages")),
            temperature: ask.temperature().filter(|_| new("temperature")),
            top_p: ask.top_p().filter(|_| new("top_p")),
            max_tokens: max_tokens.filter(|_| !newer),
            max_completion_tokens: max_tokens.filter(|_| newer),
            stop: Some(ask.stop()).filter(|stop| !stop.is_empty() && new("stop")),
            seed: ask.seed().filter(|_| new("seed")),
            response_format: response_format(ask.response_format())
                .filter(|_| new("response_format")),
            tools: Some(ask.tools()).filter(|tools| !tools.is_empty() && new("tools")).map(tools),
            tool_choice: tool_choice(ask.tool_choice()).filter(|_| new("tool_choice")),
            stream: streams.then_some(true).filter(|_| new("stream")),
            stream_options: options.then(|| json!({"include_usage": true})),
            extra,
        };
        let call = HttpCall::post("chat/completions", &body)?;
        Ok(if streams { call.header("accept", "text/event-stream") } else { call })
    }

    fn answer(&self, body: &[u8], draft: &mut Draft) -> Result<Next, ChatError> {
        // Some servers send empty lines before it to keep the connection.
        let chunk: Chunk<'_> = read(body)?;
        let Some(choice) = chunk.apply(draft)? else {
            return Err(ChatError::malformed("it has no choices"));
        };
        let Some(message) = choice.message else {
            return Err(ChatError::malformed("its choice has no message"));
        };
        message.apply(draft);
        Ok(Next::Done)
    }

    fn piece(&self, frame: Frame<'_>, draft: &mut Draft) -> Result<Next, ChatError> {
        if frame.data.starts_with("[DONE]") {
            return Ok(Next::Done);
        }
        if frame.data.trim().is_empty() {
            return Ok(Next::More);
        }
        let chunk: Chunk<'_> = read(frame.data.as_bytes())?;
        // None for the usage, which may come unasked, or never.
        if let Some(choice) = chunk.apply(draft)? {
            choice.delta.or(choice.message).unwrap_or_default().apply(draft);
        }
        Ok(Next::More)
    }

    fn end(&self, draft: &mut Draft) -> Next {
        if !self.done && draft.finish().is_some() { Next::Done } else { Next::More }
    }

    fn embed(&self, model: &str, texts: &[&str]) -> Result<HttpCall, ChatError> {
        HttpCall::post("embeddings", &json!({"model": model, "input": texts}))
    }

    fn embeddings(&self, body: &[u8]) -> Result<Embeddings, ChatError> {
        #[derive(Deserialize)]
        struct Answer {
            data: Vec<Item>,
            model: Option<String>,
            usage: Option<Tokens>,
        }
        #[derive(Deserialize)]
        struct Item {
            #[serde(default)]
            index: Option<u64>,
            embedding: Vec<f32>,
            /// Where there is one for each.
            usage: Option<Tokens>,
        }
        let Answer { mut data, model, usage } = read(body)?;
        // In the order of the texts, whatever that of the answers.
        data.sort_by_key(|item| item.index);
        let in_order = data.iter().zip(0_u64..).all(|(item, at)| item.index == Some(at));
        if !in_order && data.iter().any(|item| item.index.is_some()) {
            return Err(ChatError::malformed("its vectors are not numbered from 0 on"));
        }
        let mut sum = Usage::default();
        for tokens in usage.iter().chain(data.iter().filter_map(|item| item.usage.as_ref())) {
            sum.input = Some(sum.input.unwrap_or(0) + tokens.prompt_tokens.unwrap_or(0));
        }
        let vectors = data.into_iter().map(|item| item.embedding).collect();
        Ok(Embeddings { vectors, model, usage: sum })
    }

    fn list_models(&self) -> Result<HttpCall, ChatError> {
        Ok(HttpCall::get("models"))
    }

    fn models(&self, body: &[u8]) -> Result<Vec<Model>, ChatError> {
        #[derive(Deserialize)]
        struct Answer {
            data: Vec<Item>,
        }
        #[derive(Deserialize)]
        struct Item {
            id: String,
            owned_by: Option<String>,
            #[serde(rename = "type")]
            kind: Option<String>,
        }
        let Answer { data } = read(body)?;
        let model = |Item { id, owned_by, kind }| Model { id, owned_by, kind };
        Ok(data.into_iter().map(model).collect())
    }
}

/// A request. Fields that are in `extra` are none here.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<&'a [Message]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<Value>,
    #[serde(flatten)]
    extra: Cow<'a, Map<String, Value>>,
}

fn response_format(format: &ResponseFormat) -> Option<Value> {
    match format {
        ResponseFormat::Text => None,
        ResponseFormat::JsonObject => Some(json!({"type": "json_object"})),
        ResponseFormat::JsonSchema { name, schema } => {
            let schema = json!({"name": name, "schema": schema, "strict": true});
            Some(json!({"type": "json_schema", "json_schema": schema}))
        }
    }
}

fn tools(tools: &[Tool]) -> Vec<Value> {
    let each = |tool: &Tool| {
        let mut function = json!({"name": tool.name, "parameters": tool.parameters});
        if !tool.description.is_empty() {
            function["description"] = tool.description.as_str().into();
        }
        json!({"type": "function", "function": function})
    };
    tools.iter().map(each).collect()
}

fn tool_choice(choice: &ToolChoice) -> Option<Value> {
    match choice {
        ToolChoice::Auto => None,
        ToolChoice::None => Some("none".into()),
        ToolChoice::Required => Some("required".into()),
        ToolChoice::Tool(name) => Some(json!({"type": "function", "function": {"name": name}})),
    }
}

/// An answer, or a piece of one: they differ only in where the message is.
#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    model: Option<Text<'a>>,
    #[serde(borrow, default)]
    choices: Option<First<Choice<'a>>>,
    #[serde(default)]
    usage: Option<Tokens>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    message: Option<Said<'a>>,
    #[serde(borrow, default)]
    delta: Option<Said<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Text<'a>>,
}

#[derive(Deserialize, Default)]
struct Said<'a> {
    #[serde(borrow, default)]
    content: Option<Text<'a>>,
    #[serde(borrow, default)]
    refusal: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Text<'a>>,
    #[serde(borrow, default)]
    reasoning: Option<Text<'a>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<Call<'a>>>,
    /// In place of tool calls, one: GigaChat's, and OpenAI's of old.
    #[serde(default)]
    function_call: Option<Called>,
}

#[derive(Deserialize)]
struct Called {
    #[serde(default)]
    name: Option<String>,
    /// An object, or text in pieces.
    #[serde(default)]
    arguments: Option<Value>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    arguments: Option<Text<'a>>,
}

/// Tokens as OpenAI counts them.
#[derive(Deserialize, Default)]
pub(super) struct Tokens {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    prompt_tokens_details: Option<Details>,
    completion_tokens_details: Option<Details>,
    /// DeepSeek's.
    prompt_cache_hit_tokens: Option<u64>,
    /// GigaChat's.
    precached_prompt_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
struct Details {
    cached_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
}

impl Tokens {
    pub(super) fn apply(self, usage: &mut Usage) {
        let of_input = self.prompt_tokens_details.unwrap_or_default();
        let of_output = self.completion_tokens_details.unwrap_or_default();
        *usage = Usage {
            input: self.prompt_tokens,
            output: self.completion_tokens,
            told_total: self.total_tokens,
            cached: of_input
                .cached_tokens
                .or(self.prompt_cache_hit_tokens)
                .or(self.precached_prompt_tokens),
            reasoning: of_output.reasoning_tokens,
        };
    }
}

impl<'a> Chunk<'a> {
    /// All but what is said, which is given back.
    fn apply(self, draft: &mut Draft) -> Result<Option<Choice<'a>>, ChatError> {
        if let Some(error) = self.error {
            if let Some(error) = ChatError::in_answer(&json!({"error": error})) {
                return Err(error);
            }
        }
        if let Some(id) = self.id {
            draft.set_id(&id);
        }
        if let Some(model) = self.model {
            draft.set_model(&model);
        }
        if let Some(tokens) = self.usage {
            tokens.apply(draft.usage());
        }
        let choice = self.choices.and_then(|choices| choices.0);
        let reason = choice.as_ref().and_then(|choice| choice.finish_reason.as_deref());
        if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
            draft.set_finish(Finish::from(reason));
        }
        Ok(choice)
    }
}

impl Said<'_> {
    fn apply(self, draft: &mut Draft) {
        if let Some(thought) = self.reasoning_content.or(self.reasoning) {
            draft.push_reasoning(&thought);
        }
        if let Some(text) = self.content.filter(|text| !text.is_empty()).or(self.refusal) {
            draft.push_text(&text);
        }
        for (at, call) in self.tool_calls.unwrap_or_default().into_iter().enumerate() {
            let index = call.index.unwrap_or(at as u64);
            let ToolCall { id, name, arguments } = draft.tool_call(index);
            let Function { name: named, arguments: more } =
                call.function.unwrap_or(Function { name: None, arguments: None });
            // Once, commonly; a server that repeats them does not mean more of them.
            if let Some(told) = call.id.filter(|told| id.is_empty() && !told.is_empty()) {
                *id = told.into_owned();
            }
            if let Some(named) = named.filter(|_| name.is_empty()) {
                *name = named.into_owned();
            }
            if let Some(more) = more {
                arguments.push_str(&more);
            }
        }
        if let Some(Called { name: named, arguments: more }) = self.function_call {
            let ToolCall { name, arguments, .. } = draft.tool_call(0);
            if let Some(named) = named.filter(|_| name.is_empty()) {
                *name = named;
            }
            match more {
                None | Some(Value::Null) => {}
                Some(Value::String(more)) => arguments.push_str(&more),
                Some(whole) => *arguments = whole.to_string(),
            }
        }
    }
}
