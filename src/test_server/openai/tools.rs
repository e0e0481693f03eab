//! The functions a request offers, and which of them the assistant calls.

use serde_json::Value;

use super::super::refusal::Refusal;
use super::messages;
use super::request::get;

/// A function that a request offers.
#[derive(Clone, Copy)]
pub(super) struct Tool<'a> {
    pub(super) name: &'a str,
    /// The schema of its arguments.
    pub(super) parameters: Option<&'a Value>,
}

/// The functions to be called: those that the user names, or the one that is to be called in any
/// case. None unless the last message is the user's.
///
/// # Errors
/// When the offer or the choice is not proper.
pub(super) fn to_call<'a>(asked: &'a Value, messages: &[Value]) -> Result<Vec<Tool<'a>>, Refusal> {
    let Some(offered) = get(asked, "tools") else {
        return match get(asked, "tool_choice") {
            Some(choice) if choice != "none" => Err(Refusal::bad(
                "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are \
                 specified.",
            )
            .param("tool_choice")),
            _ => Ok(Vec::new()),
        };
    };
    let tools = read(offered)?;
    let choice = Choice::of(asked, &tools)?;
    let Some(question) = messages::question(messages) else { return Ok(Vec::new()) };
    let mut named: Vec<_> = tools.iter().copied().filter(|it| names(&question, it.name)).collect();
    if get(asked, "parallel_tool_calls") == Some(&Value::Bool(false)) {
        named.truncate(1);
    }
    Ok(match choice {
        Choice::None => Vec::new(),
        Choice::Auto => named,
        Choice::Required if named.is_empty() => vec![tools[0]],
        Choice::Required => named,
        Choice::This(tool) => vec![tool],
    })
}

enum Choice<'a> {
    None,
    Auto,
    Required,
    This(Tool<'a>),
}

impl<'a> Choice<'a> {
    fn of(asked: &Value, tools: &[Tool<'a>]) -> Result<Self, Refusal> {
        let invalid =
            || Refusal::invalid("tool_choice", "'none', 'auto', 'required' or a function to call");
        match get(asked, "tool_choice") {
            None => Ok(Self::Auto),
            Some(Value::String(choice)) => match choice.as_str() {
                "none" => Ok(Self::None),
                "auto" => Ok(Self::Auto),
                "required" => Ok(Self::Required),
                _ => Err(invalid()),
            },
            Some(choice) => {
                let name = choice.get("function").and_then(|it| it.get("name")?.as_str());
                let name = name.ok_or_else(invalid)?;
                let tool = tools.iter().find(|it| it.name == name).ok_or_else(|| {
                    Refusal::bad(format!("Tool choice '{name}' not found in 'tools' parameter."))
                        .param("tool_choice")
                })?;
                Ok(Self::This(*tool))
            }
        }
    }
}

/// Reads the offer: one tool at least.
fn read(offered: &Value) -> Result<Vec<Tool<'_>>, Refusal> {
    let offered = offered.as_array().filter(|it| !it.is_empty());
    let offered = offered.ok_or_else(|| Refusal::invalid("tools", "an array of at least one"))?;
    let tools = offered.iter().enumerate().map(|(index, tool)| {
        if tool.get("type").and_then(Value::as_str) != Some("function") {
            return Err(Refusal::invalid(format!("tools[{index}].type"), "'function'"));
        }
        let function = tool.get("function");
        let name = function.and_then(|it| it.get("name")?.as_str());
        let name = name.filter(|it| !it.is_empty());
        let name = name.ok_or_else(|| Refusal::missing(format!("tools[{index}].function.name")))?;
        Ok(Tool { name, parameters: function.and_then(|it| it.get("parameters")) })
    });
    tools.collect()
}

/// Whether `text` has `name` as a word of its own: `get` is not named by `get_weather`.
fn names(text: &str, name: &str) -> bool {
    let goes_on = |it: char| it.is_alphanumeric() || it == '_' || it == '-';
    text.match_indices(name).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + name.len()..].chars().next();
        !before.is_some_and(goes_on) && !after.is_some_and(goes_on)
    })
}
