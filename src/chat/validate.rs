//! What is refused before anything is sent, whoever the provider is.

use super::dialect::{Ask, Dialect};
use super::error::ChatError;
use super::message::{Message, Role};
use super::request::ToolChoice;
use crate::key_error::cut;

/// All that is wrong, in one error.
pub(super) fn validate(ask: &Ask<'_>, dialect: &dyn Dialect) -> Result<(), ChatError> {
    let mut wrong = Vec::new();
    if ask.messages().is_empty() {
        wrong.push("there are no messages".to_owned());
    }
    if let Some(temperature) = ask.temperature() {
        let range = dialect.temperatures();
        if !range.contains(&temperature) {
            let (from, to) = (range.start(), range.end());
            wrong.push(format!("temperature must be {from} to {to} here, and is {temperature:?}"));
        }
    }
    if let Some(top_p) = ask.top_p().filter(|top_p| !(0.0..=1.0).contains(top_p)) {
        wrong.push(format!("top_p must be 0 to 1, and is {top_p:?}"));
    }
    if ask.max_tokens() == Some(0) {
        wrong.push("max_tokens must be at least 1, and is 0".to_owned());
    }
    if ask.stop().iter().any(String::is_empty) {
        wrong.push("a stop text is empty".to_owned());
    }
    for (at, message) in ask.messages().iter().enumerate() {
        if let Some(what) = of_message(message) {
            wrong.push(format!("message {}: {what}", at + 1));
        }
        match &message.role {
            Role::Other(role) if !dialect.knows_role(role) => {
                wrong.push(format!("message {}: unknown role \"{}\"", at + 1, cut(role)));
            }
            _ => {}
        }
    }
    for tool in ask.tools() {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if tool.name.is_empty() || !tool.name.chars().all(legal) {
            let name = cut(&tool.name);
            wrong.push(format!("tool \"{name}\": a name has letters, digits, _, - and . only"));
        }
        if !tool.parameters.is_object() {
            wrong.push(format!(
                "tool \"{}\": its parameters must be a JSON schema",
                cut(&tool.name)
            ));
        }
    }
    match ask.tool_choice() {
        ToolChoice::Tool(name) if ask.tools().iter().all(|tool| tool.name != *name) => {
            wrong.push(format!("tool_choice is \"{}\", which is no tool of these", cut(name)));
        }
        ToolChoice::Required if ask.tools().is_empty() => {
            wrong.push("a tool is required, and there is none".to_owned());
        }
        _ => {}
    }
    if wrong.is_empty() { Ok(()) } else { Err(ChatError::invalid(wrong.join("; "))) }
}

fn of_message(message: &Message) -> Option<&'static str> {
    let Message { role, tool_calls, tool_call_id, .. } = message;
    let has_id = tool_call_id.as_ref().is_some_and(|id| !id.is_empty());
    match role {
        Role::Tool if !has_id => Some("a tool's needs the id of the call that it answers"),
        Role::Assistant | Role::Tool | Role::Other(_) => None,
        _ if !tool_calls.is_empty() => Some("only the assistant's can call tools"),
        _ => None,
    }
}
