//! What is said to a model, and by whom.

use std::fmt;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One message of a conversation.
///
/// Its JSON form is the one that OpenAI's API has, so a conversation can be kept in a file.
///
/// ```
/// use llm_pool::chat::Message;
///
/// let said = [Message::system("Be brief."), Message::user("Why pool connections?")];
/// let json = r#"{"role": "user", "content": "Why pool connections?"}"#;
/// assert_eq!(serde_json::from_str::<Message>(json)?, said[1]);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said. May be empty where there are tool calls.
    #[serde(default, deserialize_with = "or_empty")]
    pub content: String,
    /// The name of who says it, where a provider takes one. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the model thought before it said this, which some providers want back with its tool
    /// calls, even if it is empty. Default none.
    #[serde(default, rename = "reasoning_content", skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// The tools that the model wants called.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "as_functions")]
    pub tool_calls: Vec<ToolCall>,
    /// Of a tool's message: the id of the call that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

/// Who says a message.
///
/// A role that is none of these is kept as text; a dialect refuses what its provider does not know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Instructions that hold for the whole conversation.
    System,
    /// The same, as newer models of OpenAI call it.
    Developer,
    /// The one who asks.
    User,
    /// The model.
    Assistant,
    /// The result of a tool call.
    Tool,
    /// Any other.
    Other(String),
}

/// A tool that the model wants called.
///
/// Providers that give calls no id get ids that count from `call_0` in each answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolCall {
    /// What the result's [`tool_call_id`](Message#structfield.tool_call_id) must be.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments as JSON text, as the model wrote it: it may be no JSON.
    pub arguments: String,
}

impl Message {
    /// A message of any role.
    #[must_use]
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
            name: None,
            reasoning: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
        }
    }

    /// Instructions for the whole conversation.
    #[must_use]
    pub fn system(content: impl Into<String>) -> Self {
        Self::new(Role::System, content)
    }

    /// What the user says.
    #[must_use]
    pub fn user(content: impl Into<String>) -> Self {
        Self::new(Role::User, content)
    }

    /// What the model said before.
    #[must_use]
    pub fn assistant(content: impl Into<String>) -> Self {
        Self::new(Role::Assistant, content)
    }

    /// What the tool call with this id came to.
    #[must_use]
    pub fn tool(call_id: impl Into<String>, content: impl Into<String>) -> Self {
        Self { tool_call_id: Some(call_id.into()), ..Self::new(Role::Tool, content) }
    }

    /// Sets [`name`](Self#structfield.name).
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets [`reasoning`](Self#structfield.reasoning).
    #[must_use]
    pub fn reasoning(mut self, reasoning: impl Into<String>) -> Self {
        self.reasoning = Some(reasoning.into());
        self
    }

    /// Adds a call to [`tool_calls`](Self#structfield.tool_calls).
    #[must_use]
    pub fn tool_call(mut self, call: ToolCall) -> Self {
        self.tool_calls.push(call);
        self
    }
}

impl ToolCall {
    /// A call of the tool `name` with `arguments` as JSON text.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        name: impl Into<String>,
        arguments: impl Into<String>,
    ) -> Self {
        Self { id: id.into(), name: name.into(), arguments: arguments.into() }
    }

    /// The arguments as a value of your own, or as [`serde_json::Value`]. No text at all is taken
    /// for no arguments, `{}`.
    ///
    /// # Errors
    /// The model wrote something else.
    pub fn parse<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        let text = self.arguments.trim();
        serde_json::from_str(if text.is_empty() { "{}" } else { text })
    }
}

impl Role {
    /// As it stands in requests.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::System => "system",
            Self::Developer => "developer",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
            Self::Other(role) => role,
        }
    }
}

impl From<&str> for Role {
    fn from(role: &str) -> Self {
        match role {
            "system" => Self::System,
            "developer" => Self::Developer,
            "user" => Self::User,
            "assistant" => Self::Assistant,
            "tool" => Self::Tool,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl FromStr for Role {
    type Err = std::convert::Infallible;

    fn from_str(role: &str) -> Result<Self, Self::Err> {
        Ok(role.into())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Role {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(String::deserialize(from)?.as_str().into())
    }
}

/// The content of a message with tool calls is `null`.
fn or_empty<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Tool calls in OpenAI's shape, in which the function stands by itself.
mod as_functions {
    use std::borrow::Cow;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::ToolCall;

    #[derive(Serialize, Deserialize)]
    struct Call<'a> {
        id: Cow<'a, str>,
        #[serde(rename = "type", default = "function")]
        kind: Cow<'a, str>,
        function: Function<'a>,
    }

    #[derive(Serialize, Deserialize)]
    struct Function<'a> {
        name: Cow<'a, str>,
        arguments: Cow<'a, str>,
    }

    fn function() -> Cow<'static, str> {
        "function".into()
    }

    pub(super) fn serialize<S: Serializer>(calls: &[ToolCall], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(calls.iter().map(|call| Call {
            id: call.id.as_str().into(),
            kind: function(),
            function: Function {
                name: call.name.as_str().into(),
                arguments: call.arguments.as_str().into(),
            },
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<ToolCall>, D::Error> {
        let calls = Option::<Vec<Call<'_>>>::deserialize(from)?.unwrap_or_default();
        let call =
            |call: Call<'_>| ToolCall::new(call.id, call.function.name, call.function.arguments);
        Ok(calls.into_iter().map(call).collect())
    }
}
