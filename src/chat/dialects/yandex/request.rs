//! What is sent.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::super::dialect::Ask;
use super::super::super::error::ChatError;
use super::super::super::message::{Message, Role, ToolCall};
use super::super::super::request::{ResponseFormat, Tool, ToolChoice};
use super::super::arguments;

/// A request. Fields that are in `extra` are none here.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_options: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<Turn<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    json_object: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    json_schema: Option<Value>,
    #[serde(flatten)]
    extra: Cow<'a, Map<String, Value>>,
}

#[derive(Serialize)]
struct Turn<'a> {
    role: &'static str,
    #[serde(flatten)]
    content: Content<'a>,
}

/// A message has one of these.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Content<'a> {
    Text(&'a str),
    #[serde(rename_all = "camelCase")]
    ToolCallList {
        tool_calls: Vec<Value>,
    },
    #[serde(rename_all = "camelCase")]
    ToolResultList {
        tool_results: Vec<Value>,
    },
}

/// What `ask` is in Yandex's words.
pub(super) fn body<'a>(ask: &Ask<'a>, folder: &str) -> Result<Body<'a>, ChatError> {
    refuse(ask)?;
    let mut extra = ask.extra();
    let options = options(ask, &mut extra);
    let new = |name: &str| !extra.contains_key(name);
    let model_uri = if new("modelUri") { Some(model_uri(ask.model(), folder)?) } else { None };
    let messages = if new("messages") { Some(turns(ask.messages())?) } else { None };
    let (tools, choice, format) = (ask.tools(), ask.tool_choice(), ask.response_format());
    let json_object = matches!(format, ResponseFormat::JsonObject);
    let json_schema = match format {
        ResponseFormat::JsonSchema { schema, .. } => Some(json!({"schema": schema})),
        _ => None,
    };
    Ok(Body {
        model_uri,
        completion_options: options,
        messages,
        tools: Some(tools)
            .filter(|tools| !tools.is_empty() && new("tools"))
            .map(|tools| tools.iter().map(tool).collect()),
        // Without tools there is nothing to choose.
        tool_choice: tool_choice(choice).filter(|_| !tools.is_empty() && new("toolChoice")),
        json_object: Some(true).filter(|_| json_object && new("jsonObject")),
        json_schema: json_schema.filter(|_| new("jsonSchema")),
        extra,
    })
}

/// What there is no word for.
fn refuse(ask: &Ask<'_>) -> Result<(), ChatError> {
    let unknown = [
        ("stop", !ask.stop().is_empty()),
        ("seed", ask.seed().is_some()),
        ("top_p", ask.top_p().is_some()),
    ];
    let unknown = unknown.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| *name);
    let unknown = unknown.collect::<Vec<_>>();
    if unknown.is_empty() {
        return Ok(());
    }
    let unknown = unknown.join(", ");
    Err(ChatError::invalid(format_args!(
        "Yandex has no {unknown}: leave it out of the request and of its key"
    )))
}

fn model_uri(model: &str, folder: &str) -> Result<String, ChatError> {
    if model.contains("://") {
        return Ok(model.to_owned());
    }
    if folder.trim().is_empty() {
        let what = "the folder is empty: give Yandex's dialect the id of one, or name the model by \
                    its whole URI";
        return Err(ChatError::invalid(what));
    }
    let version = if model.contains('/') { "" } else { "/latest" };
    Ok(format!("gpt://{folder}/{model}{version}"))
}

/// `completionOptions`, together with those in `extra`; none if these are no object, and so take
/// their place.
fn options(ask: &Ask<'_>, extra: &mut Cow<'_, Map<String, Value>>) -> Option<Map<String, Value>> {
    const NAME: &str = "completionOptions";
    let mut options = Map::new();
    options.insert("stream".to_owned(), ask.streams().into());
    if let Some(temperature) = ask.temperature() {
        options.insert("temperature".to_owned(), temperature.into());
    }
    if let Some(tokens) = ask.max_tokens() {
        // A 64-bit number, which JSON of protobuf has as text.
        options.insert("maxTokens".to_owned(), tokens.to_string().into());
    }
    match extra.get(NAME) {
        None => Some(options),
        Some(Value::Object(_)) => {
            if let Some(Value::Object(further)) = extra.to_mut().remove(NAME) {
                options.extend(further);
            }
            Some(options)
        }
        Some(_) => None,
    }
}

fn turns(messages: &[Message]) -> Result<Vec<Turn<'_>>, ChatError> {
    let mut turns: Vec<Turn<'_>> = Vec::with_capacity(messages.len());
    for (at, message) in messages.iter().enumerate() {
        let text = Content::Text(&message.content);
        match message.role {
            Role::Tool => {
                let function = json!({"name": name_of(message, messages, at)?,
                    "content": message.content});
                let result = json!({"functionResult": function});
                if let Some(Turn { content: Content::ToolResultList { tool_results }, .. }) =
                    turns.last_mut()
                {
                    tool_results.push(result);
                    continue;
                }
                // Of the assistant, in the example that Yandex's documentation has.
                let content = Content::ToolResultList { tool_results: vec![result] };
                turns.push(Turn { role: "assistant", content });
            }
            Role::Assistant if !message.tool_calls.is_empty() => {
                if !message.content.is_empty() {
                    turns.push(Turn { role: "assistant", content: text });
                }
                let calls = message.tool_calls.iter().map(|call| function_call(call, at));
                let content =
                    Content::ToolCallList { tool_calls: calls.collect::<Result<_, _>>()? };
                turns.push(Turn { role: "assistant", content });
            }
            Role::Assistant => turns.push(Turn { role: "assistant", content: text }),
            Role::System | Role::Developer => turns.push(Turn { role: "system", content: text }),
            Role::User | Role::Other(_) => turns.push(Turn { role: "user", content: text }),
        }
    }
    Ok(turns)
}

fn function_call(call: &ToolCall, at: usize) -> Result<Value, ChatError> {
    let function = json!({"name": call.name, "arguments": arguments(call, at)?});
    Ok(json!({"functionCall": function}))
}

/// The function that the message at `at` has the result of. Ids count anew in each answer, so the
/// nearest call before it is the one.
fn name_of<'a>(result: &Message, messages: &'a [Message], at: usize) -> Result<&'a str, ChatError> {
    let id = result.tool_call_id.as_deref().unwrap_or_default();
    let before = messages.get(..at).unwrap_or_default().iter().rev();
    let called = before
        .filter(|message| message.role == Role::Assistant)
        .find_map(|message| message.tool_calls.iter().find(|call| call.id == id));
    called.map(|call| call.name.as_str()).ok_or_else(|| {
        let at = at + 1;
        ChatError::invalid(format_args!(
            "message {at}: no tool call before it has the id that it answers, and Yandex wants the \
             name of the function: put the assistant's message with the call before it"
        ))
    })
}

fn tool(tool: &Tool) -> Value {
    let mut function = json!({"name": tool.name, "parameters": tool.parameters});
    if !tool.description.is_empty() {
        function["description"] = tool.description.as_str().into();
    }
    json!({"function": function})
}

fn tool_choice(choice: &ToolChoice) -> Option<Value> {
    match choice {
        ToolChoice::Auto => None,
        ToolChoice::None => Some(json!({"mode": "NONE"})),
        ToolChoice::Required => Some(json!({"mode": "REQUIRED"})),
        ToolChoice::Tool(name) => Some(json!({"functionName": name})),
    }
}
