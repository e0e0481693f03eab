//! What is said to GigaChat, and how its answers are read: much as OpenAI's are.

use serde_json::{Map, Value, json};

use super::super::super::dialect::{Ask, Dialect, HttpCall, Next};
use super::super::super::draft::Draft;
use super::super::super::error::ChatError;
use super::super::super::frames::Frame;
use super::super::super::message::{Message, Role, ToolCall};
use super::super::super::models::{Embeddings, Model};
use super::super::super::reply::Finish;
use super::super::super::request::{ResponseFormat, Tool, ToolChoice};
use super::super::openai::OpenAi;

pub(super) struct Speech;

impl Dialect for Speech {
    fn request(&self, ask: &Ask<'_>, _: &Draft) -> Result<HttpCall, ChatError> {
        let extra = ask.extra();
        let new = |name: &str| !extra.contains_key(name);
        let mut body = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        if !ask.stop().is_empty() {
            return Err(ChatError::invalid("GigaChat has no stop texts: cut the answer yourself"));
        }
        if ask.seed().is_some() {
            return Err(ChatError::invalid("GigaChat has no seed: leave it out"));
        }
        set("model", Some(ask.model().into()));
        if new("messages") {
            set("messages", Some(messages(ask.messages())?.into()));
        }
        set("temperature", ask.temperature().map(Value::from));
        set("top_p", ask.top_p().map(Value::from));
        set("max_tokens", ask.max_tokens().map(Value::from));
        set("response_format", response_format(ask.response_format()));
        if !ask.tools().is_empty() {
            set("functions", Some(ask.tools().iter().map(function).collect()));
        }
        set("function_call", function_call(ask.tool_choice(), ask.tools())?);
        set("stream", ask.streams().then_some(true.into()));
        body.extend(extra.into_owned());
        let call = HttpCall::post("chat/completions", &body)?;
        if !ask.streams() {
            return Ok(call);
        }
        Ok(call.header("accept", "text/event-stream").header("cache-control", "no-store"))
    }

    fn answer(&self, body: &[u8], draft: &mut Draft) -> Result<Next, ChatError> {
        let next = OpenAi::compatible().answer(body, draft);
        name_finish(draft);
        next
    }

    fn piece(&self, frame: Frame<'_>, draft: &mut Draft) -> Result<Next, ChatError> {
        let next = OpenAi::compatible().piece(frame, draft);
        name_finish(draft);
        next
    }

    fn embed(&self, model: &str, texts: &[&str]) -> Result<HttpCall, ChatError> {
        OpenAi::compatible().embed(model, texts)
    }

    fn embeddings(&self, body: &[u8]) -> Result<Embeddings, ChatError> {
        OpenAi::compatible().embeddings(body)
    }

    fn list_models(&self) -> Result<HttpCall, ChatError> {
        OpenAi::compatible().list_models()
    }

    fn models(&self, body: &[u8]) -> Result<Vec<Model>, ChatError> {
        OpenAi::compatible().models(body)
    }
}

fn name_finish(draft: &mut Draft) {
    if matches!(draft.finish(), Some(Finish::Other(reason)) if reason == "blacklist") {
        draft.set_finish(Finish::ContentFilter);
    }
}

fn messages(messages: &[Message]) -> Result<Vec<Value>, ChatError> {
    let each = |(at, message): (usize, &Message)| {
        let wrong = |what: String| ChatError::invalid(format_args!("message {}: {what}", at + 1));
        if message.name.is_some() && message.role != Role::Tool {
            return Err(wrong("GigaChat has no names of speakers: say it in the text".into()));
        }
        let mut said = json!({"role": message.role.as_str(), "content": message.content});
        match message.role {
            Role::System | Role::Developer => {
                if at > 0 {
                    let what = "GigaChat takes one system message, as the first: join them there, \
                                or say this as the user";
                    return Err(wrong(what.into()));
                }
                said["role"] = "system".into();
            }
            Role::Tool => {
                let name = called(&messages[..at], message.tool_call_id.as_deref());
                let name = name.ok_or_else(|| {
                    let what = "no message before it calls a function with this id, and GigaChat \
                                wants the function's name: keep the assistant's message";
                    wrong(what.into())
                })?;
                said["role"] = "function".into();
                said["name"] = name.into();
            }
            _ => {}
        }
        match &message.tool_calls[..] {
            [] => {}
            [ToolCall { name, .. }] if name.is_empty() => {
                return Err(wrong("the function call has no name".into()));
            }
            [call] => {
                let arguments: Map<String, Value> = call.parse().map_err(|_| {
                    let what = "are no JSON object, as GigaChat wants them";
                    wrong(format!("the arguments of the function call {what}"))
                })?;
                said["function_call"] = json!({"name": call.name, "arguments": arguments});
            }
            _ => {
                let what = "GigaChat calls one function a message: make a message of each call, \
                            its result after it";
                return Err(wrong(what.into()));
            }
        }
        Ok(said)
    };
    messages.iter().enumerate().map(each).collect()
}

/// The function that the nearest call with this id names. Ids begin anew with each answer.
fn called<'a>(before: &'a [Message], id: Option<&str>) -> Option<&'a str> {
    let calls = before.iter().rev().flat_map(|message| &message.tool_calls);
    calls.into_iter().find(|call| Some(call.id.as_str()) == id).map(|call| call.name.as_str())
}

fn function(tool: &Tool) -> Value {
    let mut function = json!({"name": tool.name, "parameters": tool.parameters});
    if !tool.description.is_empty() {
        function["description"] = tool.description.as_str().into();
    }
    function
}

fn function_call(choice: &ToolChoice, tools: &[Tool]) -> Result<Option<Value>, ChatError> {
    Ok(match choice {
        ToolChoice::Auto if tools.is_empty() => None,
        ToolChoice::Auto => Some("auto".into()),
        ToolChoice::None => Some("none".into()),
        ToolChoice::Tool(name) => Some(json!({"name": name})),
        ToolChoice::Required => {
            let what = "GigaChat cannot be made to call whichever function: name one, with \
                        ToolChoice::Tool";
            return Err(ChatError::invalid(what));
        }
    })
}

fn response_format(format: &ResponseFormat) -> Option<Value> {
    match format {
        ResponseFormat::Text => None,
        ResponseFormat::JsonObject => Some(json!({"type": "json_object"})),
        // Without a name, and the schema not one level deeper as OpenAI has it.
        ResponseFormat::JsonSchema { schema, .. } => {
            Some(json!({"type": "json_schema", "schema": schema, "strict": true}))
        }
    }
}
