//! Chat completions in OpenAI's shape, whole and as a stream of server-sent events.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::answer::{Answer, EVENTS};
use super::reply::Reply;

/// Answers the chat request in `body`.
///
/// # Errors
/// What is wrong with the request.
pub(super) fn complete(
    body: &[u8],
    reply: &Reply,
    number: u64,
    answer: &mut Answer,
) -> Result<(), String> {
    let asked: Value = serde_json::from_slice(body)
        .map_err(|error| format!("the request's body is not JSON: {error}"))?;
    let model = asked.get("model").and_then(Value::as_str).ok_or("'model' must be a string")?;
    let messages =
        asked.get("messages").and_then(Value::as_array).ok_or("'messages' must be an array")?;
    let flag = |value: Option<&Value>| value.and_then(Value::as_bool).unwrap_or(false);

    let content = match &reply.content {
        Some(content) => content.clone(),
        None => echo(messages),
    };
    let prompt = messages.iter().map(|message| words(&text_of(message))).sum();
    let chat = Chat { number, model, content: &content, prompt };
    if flag(asked.get("stream")) {
        let usage = asked.get("stream_options").and_then(|options| options.get("include_usage"));
        chat.stream(flag(usage), answer);
    } else {
        chat.whole(answer);
    }
    Ok(())
}

struct Chat<'a> {
    number: u64,
    model: &'a str,
    content: &'a str,
    /// Words, which pass for tokens.
    prompt: u64,
}

impl Chat<'_> {
    fn whole(&self, to: &mut Answer) {
        self.open("chat.completion", to);
        to.text(",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
        to.json(self.content);
        to.text("},\"finish_reason\":\"stop\"}],\"usage\":");
        self.usage(to);
        to.text("}");
    }

    /// One event for the role, one for each word, one for the end, one for the usage if it was
    /// asked for, and `[DONE]`.
    fn stream(&self, with_usage: bool, to: &mut Answer) {
        to.content_type = EVENTS;
        self.event(to, with_usage, |to| to.text("{\"role\":\"assistant\",\"content\":\"\"}"));
        for word in self.content.split_inclusive(' ') {
            self.event(to, with_usage, |to| {
                to.text("{\"content\":");
                to.json(word);
                to.text("}");
            });
        }
        self.open_event(to);
        to.text(",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]");
        Self::close_event(to, with_usage);
        if with_usage {
            self.open_event(to);
            to.text(",\"choices\":[],\"usage\":");
            self.usage(to);
            Self::close_event(to, false);
        }
        to.text("data: [DONE]\n\n");
        to.pieces.push(to.body.len());
    }

    fn event(&self, to: &mut Answer, with_usage: bool, delta: impl FnOnce(&mut Answer)) {
        self.open_event(to);
        to.text(",\"choices\":[{\"index\":0,\"delta\":");
        delta(to);
        to.text(",\"finish_reason\":null}]");
        Self::close_event(to, with_usage);
    }

    fn open_event(&self, to: &mut Answer) {
        to.text("data: ");
        self.open("chat.completion.chunk", to);
    }

    fn close_event(to: &mut Answer, no_usage_yet: bool) {
        to.text(if no_usage_yet { ",\"usage\":null}\n\n" } else { "}\n\n" });
        to.pieces.push(to.body.len());
    }

    fn open(&self, object: &str, to: &mut Answer) {
        to.text("{\"id\":\"chatcmpl-");
        to.number(self.number);
        to.text("\",\"object\":\"");
        to.text(object);
        to.text("\",\"created\":");
        to.number(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs()));
        to.text(",\"model\":");
        to.json(self.model);
    }

    fn usage(&self, to: &mut Answer) {
        let completion = words(self.content);
        to.text("{\"prompt_tokens\":");
        to.number(self.prompt);
        to.text(",\"completion_tokens\":");
        to.number(completion);
        to.text(",\"total_tokens\":");
        to.number(self.prompt + completion);
        to.text("}");
    }
}

fn echo(messages: &[Value]) -> String {
    let of_user = |message: &&Value| message.get("role").and_then(Value::as_str) == Some("user");
    let said = messages.iter().rev().find(of_user).map(text_of).unwrap_or_default();
    format!("You said: {said}")
}

/// A message's text: its content, or the text parts of it put together.
fn text_of(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|part| part.get("text")?.as_str()).collect()
        }
        _ => String::new(),
    }
}

fn words(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}
