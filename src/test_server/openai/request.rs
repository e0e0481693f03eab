//! A chat request, checked.

use serde_json::Value;

use super::super::refusal::Refusal;
use super::messages;
use super::tools::{self, Tool};

/// What a chat request asks for.
pub(super) struct ChatRequest<'a> {
    pub(super) model: &'a str,
    pub(super) messages: &'a [Value],
    pub(super) stream: bool,
    /// A stream's usage in an event of its own.
    pub(super) with_usage: bool,
    pub(super) seed: i64,
    /// How many words the answer may have.
    pub(super) max_words: Option<u64>,
    /// What ends the answer; none of them is empty.
    pub(super) stop: Vec<&'a str>,
    pub(super) form: Form<'a>,
    /// The functions the assistant is to call.
    pub(super) calls: Vec<Tool<'a>>,
}

/// What the content is to be.
#[derive(Clone, Copy)]
pub(super) enum Form<'a> {
    Text,
    Json,
    /// JSON of this schema.
    Schema(&'a Value),
}

impl<'a> ChatRequest<'a> {
    /// # Errors
    /// The first thing that is wrong.
    pub(super) fn of(asked: &'a Value) -> Result<Self, Refusal> {
        let model = model(asked)?;
        let messages = match get(asked, "messages") {
            None => return Err(Refusal::missing("messages")),
            Some(Value::Array(messages)) => messages,
            Some(_) => return Err(Refusal::invalid("messages", "an array")),
        };
        messages::check(messages)?;
        check_range(asked, "temperature", 0.0, 2.0)?;
        check_range(asked, "top_p", 0.0, 1.0)?;
        check_range(asked, "presence_penalty", -2.0, 2.0)?;
        check_range(asked, "frequency_penalty", -2.0, 2.0)?;
        if get(asked, "n").is_some_and(|it| it.as_u64() != Some(1)) {
            return Err(Refusal::invalid("n", "1, for this server gives one choice"));
        }
        let usage = get(asked, "stream_options").and_then(|it| it.get("include_usage"));
        let flag = |value: Option<&Value>| value.and_then(Value::as_bool).unwrap_or(false);
        Ok(Self {
            model,
            messages,
            stream: flag(asked.get("stream")),
            with_usage: flag(usage),
            seed: match get(asked, "seed") {
                None => 0,
                Some(seed) => {
                    seed.as_i64().ok_or_else(|| Refusal::invalid("seed", "an integer"))?
                }
            },
            max_words: max_words(asked)?,
            stop: stop(asked)?,
            form: form(asked)?,
            calls: tools::to_call(asked, messages)?,
        })
    }
}

/// The value of a parameter; `null` is as good as absent.
pub(super) fn get<'a>(asked: &'a Value, name: &str) -> Option<&'a Value> {
    asked.get(name).filter(|it| !it.is_null())
}

/// # Errors
/// When the body is not JSON.
pub(super) fn parse(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::bad(format!("the request's body is not JSON: {error}")))
}

/// The model's name.
///
/// # Errors
/// When there is none.
pub(super) fn model(asked: &Value) -> Result<&str, Refusal> {
    let model = asked.get("model").and_then(Value::as_str);
    model.ok_or_else(|| Refusal::bad("'model' must be a string"))
}

fn check_range(asked: &Value, name: &str, from: f64, to: f64) -> Result<(), Refusal> {
    match get(asked, name) {
        Some(value) if !value.as_f64().is_some_and(|it| it >= from && it <= to) => {
            Err(Refusal::invalid(name, &format!("a number from {from} to {to}, but got {value}")))
        }
        _ => Ok(()),
    }
}

fn max_words(asked: &Value) -> Result<Option<u64>, Refusal> {
    let read = |name| match get(asked, name) {
        None => Ok(None),
        Some(value) => match value.as_u64() {
            Some(words) if words > 0 => Ok(Some(words)),
            _ => Err(Refusal::invalid(name, "an integer of at least 1")),
        },
    };
    match (read("max_completion_tokens")?, read("max_tokens")?) {
        (Some(_), Some(_)) => Err(Refusal::bad(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
        )
        .param("max_tokens")
        .code("invalid_parameter_combination")),
        (new, old) => Ok(new.or(old)),
    }
}

fn stop(asked: &Value) -> Result<Vec<&str>, Refusal> {
    let stop = match get(asked, "stop") {
        None => Some(Vec::new()),
        Some(Value::String(text)) => Some(vec![text.as_str()]),
        Some(Value::Array(texts)) if texts.len() <= 4 => texts.iter().map(Value::as_str).collect(),
        Some(_) => None,
    };
    stop.filter(|texts| texts.iter().all(|it| !it.is_empty()))
        .ok_or_else(|| Refusal::invalid("stop", "a string, or up to 4 strings, none of them empty"))
}

fn form(asked: &Value) -> Result<Form<'_>, Refusal> {
    let Some(format) = get(asked, "response_format") else { return Ok(Form::Text) };
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(Form::Text),
        Some("json_object") => Ok(Form::Json),
        Some("json_schema") => {
            let schema = format.get("json_schema").and_then(|it| it.get("schema"));
            let schema = schema.filter(|it| it.is_object());
            schema
                .map(Form::Schema)
                .ok_or_else(|| Refusal::missing("response_format.json_schema.schema"))
        }
        _ => {
            Err(Refusal::invalid("response_format.type", "'text', 'json_object' or 'json_schema'"))
        }
    }
}
