//! What a model is asked, and how.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Map, Value};

use super::message::Message;

/// A conversation, and how it is to be gone on with. Made from messages alone as well.
///
/// What is not set is as the [`ModelKey`](crate::keyed::ModelKey) has it, and else as the provider
/// chooses. What a provider has no word for is refused before anything is sent, not left out.
///
/// ```
/// use llm_pool::chat::{ChatRequest, Message};
/// use std::time::Duration;
///
/// let messages = [Message::user("Count to ten.")];
/// let request = ChatRequest::new(&messages).temperature(0.0).stop("five").max_tokens(50);
/// let request = request.extra("logprobs", true).within(Duration::from_secs(20));
/// # let _ = request;
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ChatRequest<'a> {
    /// The conversation so far. There must be at least one message.
    pub messages: Cow<'a, [Message]>,
    /// The sampling temperature; its range is the provider's.
    pub temperature: Option<f64>,
    /// The share of probability to sample from, 0 to 1.
    pub top_p: Option<f64>,
    /// The most tokens of the answer, at least 1.
    pub max_tokens: Option<u32>,
    /// Texts that end the answer, which does not have them.
    pub stop: Vec<String>,
    /// For answers that can be had again, as far as the provider can.
    pub seed: Option<i64>,
    /// What the answer must be. Default text.
    pub response_format: ResponseFormat,
    /// What the model may want called.
    pub tools: Vec<Tool>,
    /// Whether it must want something called. Default as it likes.
    pub tool_choice: ToolChoice,
    /// Further fields of the request, passed through as they are; one of the name of a field that
    /// is there takes its place. Where a provider has its fields in several places, they go to the
    /// outermost.
    pub extra: Map<String, Value>,
    /// Names the conversation, for groups of models that keep one on one endpoint; see
    /// [`Sticky`](crate::balance::Sticky). Not sent.
    pub conversation: Option<String>,
    /// How long it may take in all: waiting for a client, pauses and tries included. In place of
    /// the total time-out of a try. Default as long as the single steps may.
    pub within: Option<Duration>,
}

/// What an answer must be.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum ResponseFormat {
    /// Any text.
    #[default]
    Text,
    /// A JSON object; the messages must say so too.
    JsonObject,
    /// JSON of this schema.
    JsonSchema {
        /// Names it to the model.
        name: String,
        /// A JSON schema.
        schema: Value,
    },
}

/// A function that the model may want called.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Tool {
    /// Its name: letters, digits, `_`, `-` and `.`.
    pub name: String,
    /// What it does, told to the model. May be empty.
    pub description: String,
    /// A JSON schema of its arguments.
    pub parameters: Value,
}

/// Whether the model must want a tool called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ToolChoice {
    /// As it likes.
    #[default]
    Auto,
    /// It must not.
    None,
    /// It must, whichever.
    Required,
    /// It must, this one.
    Tool(String),
}

impl<'a> ChatRequest<'a> {
    /// These messages, everything else as the key or the provider has it. A prompt or one message
    /// is made one with `ChatRequest::from`.
    #[must_use]
    pub fn new(messages: impl Into<Cow<'a, [Message]>>) -> Self {
        Self { messages: messages.into(), ..Self::default() }
    }

    /// The same with messages of its own, to keep or to send to another thread.
    #[must_use]
    pub fn into_owned(self) -> ChatRequest<'static> {
        ChatRequest { messages: self.messages.into_owned().into(), ..self }
    }

    /// Whether the setting of which OpenAI's name is this is set, of those that a key has only as
    /// parameters.
    pub(super) fn sets(&self, name: &str) -> bool {
        match name {
            "stop" => !self.stop.is_empty(),
            "seed" => self.seed.is_some(),
            "response_format" => self.response_format != ResponseFormat::Text,
            "tools" => !self.tools.is_empty(),
            "tool_choice" => self.tool_choice != ToolChoice::Auto,
            _ => false,
        }
    }

    /// All that it says to the model in words, which no error may show.
    pub(super) fn texts(&self) -> Vec<&str> {
        let mut texts = Vec::new();
        for Message { content, reasoning, tool_calls, .. } in &*self.messages {
            texts.push(content.as_str());
            texts.extend(reasoning.as_deref());
            texts.extend(tool_calls.iter().map(|call| call.arguments.as_str()));
        }
        for Tool { description, parameters, .. } in &self.tools {
            texts.push(description);
            sentences(parameters, &mut texts);
        }
        if let ResponseFormat::JsonSchema { schema, .. } = &self.response_format {
            sentences(schema, &mut texts);
        }
        self.extra.values().for_each(|value| sentences(value, &mut texts));
        texts
    }

    /// Sets [`temperature`](Self#structfield.temperature).
    #[must_use]
    pub fn temperature(mut self, temperature: impl Into<Option<f64>>) -> Self {
        self.temperature = temperature.into();
        self
    }

    /// Sets [`top_p`](Self#structfield.top_p).
    #[must_use]
    pub fn top_p(mut self, top_p: impl Into<Option<f64>>) -> Self {
        self.top_p = top_p.into();
        self
    }

    /// Sets [`max_tokens`](Self#structfield.max_tokens).
    #[must_use]
    pub fn max_tokens(mut self, max_tokens: impl Into<Option<u32>>) -> Self {
        self.max_tokens = max_tokens.into();
        self
    }

    /// Adds a text to [`stop`](Self#structfield.stop).
    #[must_use]
    pub fn stop(mut self, text: impl Into<String>) -> Self {
        self.stop.push(text.into());
        self
    }

    /// Sets [`seed`](Self#structfield.seed).
    #[must_use]
    pub fn seed(mut self, seed: impl Into<Option<i64>>) -> Self {
        self.seed = seed.into();
        self
    }

    /// Sets [`response_format`](Self#structfield.response_format).
    #[must_use]
    pub fn response_format(mut self, format: ResponseFormat) -> Self {
        self.response_format = format;
        self
    }

    /// Adds a tool to [`tools`](Self#structfield.tools).
    #[must_use]
    pub fn tool(mut self, tool: Tool) -> Self {
        self.tools.push(tool);
        self
    }

    /// Sets [`tool_choice`](Self#structfield.tool_choice).
    #[must_use]
    pub fn tool_choice(mut self, choice: ToolChoice) -> Self {
        self.tool_choice = choice;
        self
    }

    /// Adds a field to [`extra`](Self#structfield.extra).
    #[must_use]
    pub fn extra(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(name.into(), value.into());
        self
    }

    /// Sets [`conversation`](Self#structfield.conversation).
    #[must_use]
    pub fn conversation(mut self, name: impl Into<String>) -> Self {
        self.conversation = Some(name.into());
        self
    }

    /// Sets [`within`](Self#structfield.within).
    #[must_use]
    pub fn within(mut self, within: impl Into<Option<Duration>>) -> Self {
        self.within = within.into();
        self
    }
}

/// What stands in JSON and is more than a word. Some scripts have no spaces.
fn sentences<'a>(json: &'a Value, into: &mut Vec<&'a str>) {
    match json {
        Value::String(text) if text.contains(char::is_whitespace) || !text.is_ascii() => {
            into.push(text)
        }
        Value::Array(items) => items.iter().for_each(|item| sentences(item, into)),
        Value::Object(fields) => fields.values().for_each(|value| sentences(value, into)),
        _ => {}
    }
}

impl ResponseFormat {
    /// JSON of this schema, which the model is told under this name.
    #[must_use]
    pub fn json_schema(name: impl Into<String>, schema: impl Into<Value>) -> Self {
        Self::JsonSchema { name: name.into(), schema: schema.into() }
    }
}

impl Tool {
    /// A tool of this name, with a JSON schema of its arguments.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        description: impl Into<String>,
        parameters: impl Into<Value>,
    ) -> Self {
        Self { name: name.into(), description: description.into(), parameters: parameters.into() }
    }
}

impl<'a> From<&'a [Message]> for ChatRequest<'a> {
    fn from(messages: &'a [Message]) -> Self {
        Self::new(messages)
    }
}

impl<'a, const N: usize> From<&'a [Message; N]> for ChatRequest<'a> {
    fn from(messages: &'a [Message; N]) -> Self {
        Self::new(messages.as_slice())
    }
}

impl<'a> From<&'a Vec<Message>> for ChatRequest<'a> {
    fn from(messages: &'a Vec<Message>) -> Self {
        Self::new(messages)
    }
}

impl From<Vec<Message>> for ChatRequest<'_> {
    fn from(messages: Vec<Message>) -> Self {
        Self::new(messages)
    }
}

impl From<Message> for ChatRequest<'_> {
    fn from(message: Message) -> Self {
        Self::new(vec![message])
    }
}

/// The same once more, to ask several models. The messages are not copied.
impl<'a> From<&'a ChatRequest<'_>> for ChatRequest<'a> {
    fn from(request: &'a ChatRequest<'_>) -> Self {
        let messages = Cow::Borrowed(&*request.messages);
        let (stop, tools, extra) =
            (request.stop.clone(), request.tools.clone(), request.extra.clone());
        let response_format = request.response_format.clone();
        let (tool_choice, conversation) =
            (request.tool_choice.clone(), request.conversation.clone());
        Self {
            messages,
            stop,
            tools,
            extra,
            response_format,
            tool_choice,
            conversation,
            ..*request
        }
    }
}

/// The user's only message.
impl From<&str> for ChatRequest<'_> {
    fn from(prompt: &str) -> Self {
        Self::new(vec![Message::user(prompt)])
    }
}

impl From<&String> for ChatRequest<'_> {
    fn from(prompt: &String) -> Self {
        prompt.as_str().into()
    }
}

impl From<String> for ChatRequest<'_> {
    fn from(prompt: String) -> Self {
        Self::new(vec![Message::user(prompt)])
    }
}
