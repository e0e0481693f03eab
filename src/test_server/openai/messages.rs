//! The messages of a chat: what is wrong with them, and what they say.

use std::borrow::Cow;

use serde_json::Value;

use super::super::refusal::Refusal;

/// Checks the messages as OpenAI does.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn check(messages: &[Value]) -> Result<(), Refusal> {
    if messages.is_empty() {
        return Err(Refusal::bad(
            "Invalid 'messages': empty array. Expected at least one message.",
        )
        .param("messages")
        .code("empty_array"));
    }
    // Of the assistant's message that tool messages answer: all of its calls, and those that
    // have no answer yet.
    let (mut calls, mut unanswered) = (Vec::new(), Vec::new());
    for (index, message) in messages.iter().enumerate() {
        let param = |name: &str| format!("messages.[{index}].{name}");
        let Some(role) = message.get("role") else { return Err(Refusal::missing(param("role"))) };
        let role = role.as_str().unwrap_or_default();
        if !matches!(role, "system" | "developer" | "user" | "assistant" | "tool") {
            let told = &message["role"];
            return Err(Refusal::bad(format!(
                "Invalid value: {told}. Supported values are: 'system', 'developer', 'user', \
                 'assistant' and 'tool'."
            ))
            .param(param("role"))
            .code("invalid_value"));
        }
        let has_content = message.get("content").is_some_and(|it| it.is_string() || it.is_array());
        if role != "assistant" && !has_content {
            return Err(Refusal::invalid(param("content"), "a string or an array of parts"));
        }
        if role != "tool" {
            all_answered(&unanswered, index)?;
            calls = calls_of(message).collect();
            unanswered.clone_from(&calls);
            continue;
        }
        let Some(id) = message.get("tool_call_id").and_then(Value::as_str) else {
            return Err(Refusal::missing(param("tool_call_id")));
        };
        if calls.is_empty() {
            return Err(Refusal::bad(
                "Invalid parameter: messages with role 'tool' must be a response to a preceding \
                 message with 'tool_calls'.",
            )
            .param(param("role")));
        }
        if !calls.contains(&id) {
            return Err(Refusal::bad(format!(
                "Invalid parameter: 'tool_call_id' of '{id}' not found in 'tool_calls' of \
                 previous message."
            ))
            .param(param("tool_call_id")));
        }
        unanswered.retain(|it| *it != id);
    }
    all_answered(&unanswered, messages.len())
}

/// What the assistant says to these messages: what the tools said, or else what the user did.
pub(super) fn echo(messages: &[Value]) -> String {
    let results = messages.iter().rev().take_while(|it| role_of(it) == "tool").count();
    if results > 0 {
        let results: Vec<_> = messages[messages.len() - results..].iter().map(text_of).collect();
        return format!("The tool said: {}", results.join("\n"));
    }
    let last = messages.iter().rev().find(|it| role_of(it) == "user");
    format!("You said: {}", last.map(text_of).unwrap_or_default())
}

/// What the user said last, if nobody has said anything since.
pub(super) fn question(messages: &[Value]) -> Option<Cow<'_, str>> {
    messages.last().filter(|it| role_of(it) == "user").map(text_of)
}

/// A message's text: its content, or the text parts of it put together.
pub(super) fn text_of(message: &Value) -> Cow<'_, str> {
    match message.get("content") {
        Some(Value::String(text)) => text.into(),
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|part| part.get("text")?.as_str()).collect::<String>().into()
        }
        _ => "".into(),
    }
}

/// Words, which pass for tokens.
pub(super) fn words(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

fn role_of(message: &Value) -> &str {
    message.get("role").and_then(Value::as_str).unwrap_or_default()
}

/// The ids of an assistant's calls.
fn calls_of(message: &Value) -> impl Iterator<Item = &str> {
    let calls = message.get("tool_calls").and_then(Value::as_array);
    calls.into_iter().flatten().filter_map(|call| call.get("id")?.as_str())
}

fn all_answered(unanswered: &[&str], index: usize) -> Result<(), Refusal> {
    if unanswered.is_empty() {
        return Ok(());
    }
    Err(Refusal::bad(format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to \
         each 'tool_call_id'. The following tool_call_ids did not have response messages: {}",
        unanswered.join(", ")
    ))
    .param(format!("messages.[{index}].role")))
}
