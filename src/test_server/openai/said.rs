//! What the assistant says: as planned, or made up to fit the request, and cut as it asks.

use std::borrow::Cow;

use serde_json::json;

use super::super::reply::Reply;
use super::messages::{echo, words};
use super::request::{ChatRequest, Form};
use super::schema;

/// An answer before it has a shape.
pub(super) struct Said<'a> {
    pub(super) content: Option<Cow<'a, str>>,
    pub(super) reasoning: Option<&'a str>,
    pub(super) calls: Vec<Call<'a>>,
    pub(super) finish_reason: &'a str,
    pub(super) prompt_tokens: u64,
    pub(super) completion_tokens: u64,
}

/// A call of a function.
pub(super) struct Call<'a> {
    pub(super) name: &'a str,
    /// JSON, unless a planned call has something else.
    pub(super) arguments: Cow<'a, str>,
}

impl<'a> Said<'a> {
    /// What is said to `asked`, which is asked in `prompt_tokens`.
    pub(super) fn to(asked: &ChatRequest<'a>, reply: &'a Reply, prompt_tokens: u64) -> Self {
        let mut said = Self {
            content: reply.content.as_deref().map(Cow::from),
            reasoning: reply.reasoning.as_deref(),
            calls: calls(asked, reply),
            finish_reason: "stop",
            prompt_tokens,
            completion_tokens: 0,
        };
        if !said.calls.is_empty() {
            said.finish_reason = "tool_calls";
        } else if said.content.is_none() {
            said.content = Some(make_up(asked).into());
        }
        said.cut(asked);
        if let Some(reason) = &reply.finish_reason {
            said.finish_reason = reason;
        }
        match reply.usage {
            Some(usage) => (said.prompt_tokens, said.completion_tokens) = usage,
            None => said.completion_tokens = said.count(),
        }
        said
    }

    /// Ends the answer where the request wants it to end. What the assistant thinks first is
    /// taken off the words it may say, as with OpenAI; calls are left whole.
    fn cut(&mut self, asked: &ChatRequest<'_>) {
        if let Some(content) = &mut self.content {
            if let Some(end) = asked.stop.iter().filter_map(|it| content.find(it)).min() {
                shorten(content, end);
            }
        }
        let Some(mut left) = asked.max_words else { return };
        if let Some(reasoning) = self.reasoning {
            let end = end_of_words(reasoning, left);
            self.reasoning = Some(&reasoning[..end]);
            left -= words(&reasoning[..end]);
            if end < reasoning.len() {
                self.finish_reason = "length";
            }
        }
        if let Some(content) = &mut self.content {
            let end = end_of_words(content, left);
            if end < content.len() {
                shorten(content, end);
                self.finish_reason = "length";
            }
        }
    }

    fn count(&self) -> u64 {
        let spoken = self.content.as_deref().map_or(0, words);
        let calls = self.calls.iter().map(|call| words(call.name) + words(&call.arguments));
        self.reasoning.map_or(0, words) + spoken + calls.sum::<u64>()
    }
}

/// The calls that are planned, or else those that are asked for unless something to say is planned.
fn calls<'a>(asked: &ChatRequest<'a>, reply: &'a Reply) -> Vec<Call<'a>> {
    if !reply.calls.is_empty() {
        let planned = reply.calls.iter();
        return planned
            .map(|(name, arguments)| Call { name, arguments: arguments.into() })
            .collect();
    }
    if reply.content.is_some() {
        return Vec::new();
    }
    let made_up = asked.calls.iter().map(|tool| {
        let arguments = tool.parameters.map(|it| schema::sample(it).to_string());
        Call { name: tool.name, arguments: arguments.unwrap_or_else(|| "{}".into()).into() }
    });
    made_up.collect()
}

fn make_up(asked: &ChatRequest<'_>) -> String {
    match asked.form {
        Form::Text => echo(asked.messages),
        Form::Json => json!({"answer": echo(asked.messages)}).to_string(),
        Form::Schema(schema) => schema::sample(schema).to_string(),
    }
}

/// Where the first `most` words of `text` end, which is its own end if it has no more.
fn end_of_words(text: &str, most: u64) -> usize {
    let (mut words, mut in_word) = (0, false);
    for (index, it) in text.char_indices() {
        if it.is_whitespace() {
            in_word = false;
        } else if !in_word {
            if words == most {
                return text[..index].trim_end().len();
            }
            words += 1;
            in_word = true;
        }
    }
    text.len()
}

fn shorten(text: &mut Cow<'_, str>, end: usize) {
    match text {
        Cow::Borrowed(text) => *text = &text[..end],
        Cow::Owned(text) => text.truncate(end),
    }
}
