//! A conversation as the one text that Naparnik takes.

use super::super::super::dialect::Ask;
use super::super::super::error::ChatError;
use super::super::super::message::{Message, Role};
use super::super::super::request::{ResponseFormat, ToolChoice};

/// What to ask with.
pub(super) fn instruction(ask: &Ask<'_>) -> Result<String, ChatError> {
    refuse(ask)?;
    let is_system = |said: &&Message| matches!(said.role, Role::System | Role::Developer);
    let (system, talk): (Vec<_>, Vec<_>) = ask.messages().iter().partition(is_system);
    let Some((last, earlier)) = talk.split_last().filter(|(last, _)| last.role == Role::User)
    else {
        let what = "Naparnik answers the user: the last message must be the user's";
        return Err(ChatError::invalid(what));
    };
    if last.content.trim().is_empty() {
        return Err(ChatError::invalid("the last message is empty: say what to answer"));
    }
    let mut parts: Vec<String> = system.iter().map(|said| said.content.clone()).collect();
    if !earlier.is_empty() {
        parts.push("The conversation so far:".to_owned());
        parts.extend(earlier.iter().map(|said| {
            let who = if said.role == Role::User { "User" } else { "Assistant" };
            format!("{}: {}", said.name.as_deref().unwrap_or(who), said.content)
        }));
        parts.push("Answer this message:".to_owned());
    }
    parts.push(last.content.clone());
    Ok(parts.join("\n\n"))
}

/// Everything that it has no word for, in one error.
fn refuse(ask: &Ask<'_>) -> Result<(), ChatError> {
    let of_tools = |said: &Message| said.role == Role::Tool || !said.tool_calls.is_empty();
    let set = [
        ("temperature", ask.temperature().is_some()),
        ("top_p", ask.top_p().is_some()),
        ("max_tokens", ask.max_tokens().is_some()),
        ("stop", !ask.stop().is_empty()),
        ("seed", ask.seed().is_some()),
        ("response_format", *ask.response_format() != ResponseFormat::Text),
        ("tools", !ask.tools().is_empty()),
        // That none be called is so in any case.
        ("tool_choice", !matches!(ask.tool_choice(), ToolChoice::Auto | ToolChoice::None)),
        ("messages of tools", ask.messages().iter().any(of_tools)),
    ];
    let named: Vec<_> = set.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
    if named.is_empty() {
        return Ok(());
    }
    Err(ChatError::invalid(format_args!(
        "Naparnik takes text alone, and no {}: leave that out, of the key too",
        named.join(", ")
    )))
}
