//! What is sent.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::super::dialect::Ask;
use super::super::super::error::ChatError;
use super::super::super::message::{Message, Role};
use super::super::super::request::{ResponseFormat, Tool, ToolChoice};
use super::super::arguments;

/// A request. Fields that are in `extra` are none here.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<Turn<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_sequences: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
    #[serde(flatten)]
    extra: Cow<'a, Map<String, Value>>,
}

#[derive(Serialize)]
struct Turn<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text {
        text: &'a str,
    },
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: Map<String, Value>,
    },
    ToolResult {
        tool_use_id: &'a str,
        #[serde(skip_serializing_if = "str::is_empty")]
        content: &'a str,
    },
}

/// What `ask` is in Anthropic's words.
pub(super) fn body<'a>(ask: &Ask<'a>, max_tokens: u32) -> Result<Body<'a>, ChatError> {
    refuse(ask)?;
    let extra = ask.extra();
    let new = |name: &str| !extra.contains_key(name);
    let max_tokens = Some(ask.max_tokens().unwrap_or(max_tokens)).filter(|_| new("max_tokens"));
    if max_tokens == Some(0) {
        return Err(ChatError::invalid("max_tokens of the dialect must be at least 1, and is 0"));
    }
    let messages = if new("messages") { Some(turns(ask.messages())?) } else { None };
    let (tools, choice) = (ask.tools(), ask.tool_choice());
    Ok(Body {
        model: Some(ask.model()).filter(|_| new("model")),
        max_tokens,
        system: system(ask.messages()).filter(|_| new("system")),
        messages,
        temperature: ask.temperature().filter(|_| new("temperature")),
        top_p: ask.top_p().filter(|_| new("top_p")),
        stop_sequences: Some(ask.stop()).filter(|stop| !stop.is_empty() && new("stop_sequences")),
        tools: Some(tools)
            .filter(|tools| !tools.is_empty() && new("tools"))
            .map(|tools| tools.iter().map(tool).collect()),
        // Without tools there is nothing to choose.
        tool_choice: tool_choice(choice).filter(|_| !tools.is_empty() && new("tool_choice")),
        stream: Some(true).filter(|_| ask.streams() && new("stream")),
        extra,
    })
}

/// What there is no word for.
fn refuse(ask: &Ask<'_>) -> Result<(), ChatError> {
    let mut wrong = Vec::new();
    if ask.seed().is_some() {
        wrong.push("Anthropic has no seed: leave it out");
    }
    match ask.response_format() {
        ResponseFormat::Text => {}
        ResponseFormat::JsonObject => wrong.push(
            "Anthropic has no response format \"JSON object\": ask for JSON in the messages, or \
             require a tool",
        ),
        ResponseFormat::JsonSchema { .. } => wrong.push(
            "not every model of Anthropic's knows JSON schemas: require a tool with this schema, or \
             put it into the extra field output_config",
        ),
    }
    if wrong.is_empty() { Ok(()) } else { Err(ChatError::invalid(wrong.join("; "))) }
}

fn is_system(message: &Message) -> bool {
    matches!(message.role, Role::System | Role::Developer)
}

fn system(messages: &[Message]) -> Option<String> {
    let said = messages.iter().filter(|message| is_system(message));
    let said = said.map(|message| message.content.as_str()).filter(|text| !is_blank(text));
    let said: Vec<_> = said.collect();
    Some(said.join("\n\n")).filter(|said| !said.is_empty())
}

fn turns(messages: &[Message]) -> Result<Vec<Turn<'_>>, ChatError> {
    let mut turns: Vec<Turn<'_>> = Vec::with_capacity(messages.len());
    let mut after_result = false;
    for (at, message) in messages.iter().enumerate().filter(|(_, it)| !is_system(it)) {
        if message.role == Role::Tool {
            let tool_use_id = message.tool_call_id.as_deref().unwrap_or_default();
            let result = Block::ToolResult { tool_use_id, content: &message.content };
            // All results of one turn of the model belong into one message.
            match turns.last_mut().filter(|_| after_result) {
                Some(turn) => turn.content.push(result),
                None => turns.push(Turn { role: "user", content: vec![result] }),
            }
            after_result = true;
            continue;
        }
        after_result = false;
        let mut content = Vec::with_capacity(1 + message.tool_calls.len());
        if !is_blank(&message.content) {
            content.push(Block::Text { text: &message.content });
        }
        for call in &message.tool_calls {
            let input = arguments(call, at)?;
            content.push(Block::ToolUse { id: &call.id, name: &call.name, input });
        }
        if content.is_empty() {
            let at = at + 1;
            return Err(ChatError::invalid(format_args!(
                "message {at}: it is empty, which Anthropic does not take: leave it out"
            )));
        }
        let role = if message.role == Role::Assistant { "assistant" } else { "user" };
        turns.push(Turn { role, content });
    }
    if turns.is_empty() {
        let what = "there are system messages only: Anthropic wants one of the user's too";
        return Err(ChatError::invalid(what));
    }
    Ok(turns)
}

/// Texts of white space alone are refused like empty ones.
fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

fn tool(tool: &Tool) -> Value {
    let mut value = json!({"name": tool.name, "input_schema": tool.parameters});
    if !tool.description.is_empty() {
        value["description"] = tool.description.as_str().into();
    }
    value
}

fn tool_choice(choice: &ToolChoice) -> Option<Value> {
    match choice {
        ToolChoice::Auto => None,
        ToolChoice::None => Some(json!({"type": "none"})),
        ToolChoice::Required => Some(json!({"type": "any"})),
        ToolChoice::Tool(name) => Some(json!({"type": "tool", "name": name})),
    }
}
