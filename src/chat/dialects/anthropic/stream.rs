//! What comes, whole or as events.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::super::dialect::Next;
use super::super::super::draft::Draft;
use super::super::super::error::ChatError;
use super::super::super::message::ToolCall;
use super::super::super::reply::Finish;
use super::super::json::Text;

/// A whole answer, and what `message_start` has of one.
#[derive(Deserialize)]
pub(super) struct Reply<'a> {
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    model: Option<Text<'a>>,
    #[serde(borrow, default)]
    content: Option<Vec<Block<'a>>>,
    #[serde(borrow, default)]
    stop_reason: Option<Text<'a>>,
    #[serde(default)]
    usage: Option<Tokens>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(default)]
    request_id: Option<Value>,
}

/// One event of a stream. It says itself which it is, so that a proxy may lose its name.
#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    message: Option<Reply<'a>>,
    #[serde(default)]
    index: u64,
    #[serde(borrow, default)]
    content_block: Option<Block<'a>>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(default)]
    usage: Option<Tokens>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(default)]
    request_id: Option<Value>,
}

/// A part of an answer. There are many kinds, and only three are read.
#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(borrow, default)]
    thinking: Option<Text<'a>>,
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(default)]
    input: Option<Value>,
}

/// More of a block or, in `message_delta`, of the message.
#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(borrow, default)]
    thinking: Option<Text<'a>>,
    #[serde(borrow, default)]
    partial_json: Option<Text<'a>>,
    #[serde(borrow, default)]
    stop_reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Tokens {
    /// Without those of the cache.
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    thinking_tokens: Option<u64>,
}

/// Notes of the draft: tokens of the input that were in no cache, and those put into one.
const UNCACHED: &str = "anthropic: uncached";
const CACHE_CREATION: &str = "anthropic: cache creation";
/// By their numbers, the blocks that are calls of the caller's tools. Tools that the server runs
/// itself have arguments in pieces as well.
const TOOL_BLOCKS: &str = "anthropic: tool blocks";

impl Reply<'_> {
    pub(super) fn apply(self, draft: &mut Draft) -> Result<(), ChatError> {
        let Some(content) = self.start(draft)? else {
            return Err(ChatError::malformed("it has no content"));
        };
        for block in content {
            match &*block.kind {
                "text" => draft.push_text(&block.text.unwrap_or_default()),
                "thinking" => draft.push_reasoning(&block.thinking.unwrap_or_default()),
                "tool_use" => {
                    let (id, name) = (block.id.unwrap_or_default(), block.name.unwrap_or_default());
                    let input = block.input.unwrap_or_else(|| json!({}));
                    draft.push_tool_call(ToolCall::new(&*id, &*name, input.to_string()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl<'a> Reply<'a> {
    /// All but the content, which is given back.
    fn start(self, draft: &mut Draft) -> Result<Option<Vec<Block<'a>>>, ChatError> {
        if let Some(error) = error_in(self.error, self.request_id) {
            return Err(error);
        }
        if let Some(id) = self.id {
            draft.set_id(&id);
        }
        if let Some(model) = self.model {
            draft.set_model(&model);
        }
        if let Some(tokens) = self.usage {
            tokens.apply(draft);
        }
        if let Some(reason) = self.stop_reason {
            draft.set_finish(finish(&reason));
        }
        Ok(self.content)
    }
}

impl Event<'_> {
    /// Whether events of this name are read.
    pub(super) fn is_known(name: &str) -> bool {
        // A ping is not: it keeps the connection, and says nothing of the model.
        matches!(
            name,
            "message_start"
                | "content_block_start"
                | "content_block_delta"
                | "content_block_stop"
                | "message_delta"
                | "message_stop"
                | "error"
        )
    }

    pub(super) fn apply(self, draft: &mut Draft) -> Result<Next, ChatError> {
        if let Some(error) = error_in(self.error, self.request_id) {
            return Err(error);
        }
        match self.kind.as_deref().unwrap_or_default() {
            "message_start" => {
                if let Some(message) = self.message {
                    message.start(draft)?;
                }
                draft.progress();
            }
            "content_block_start" => {
                if let Some(block) = self.content_block {
                    block.begin(self.index, draft);
                }
            }
            "content_block_delta" => {
                if let Some(delta) = self.delta {
                    delta.apply(self.index, draft);
                }
            }
            "content_block_stop" if is_tool(self.index, draft) => {
                let arguments = &mut draft.tool_call(self.index).arguments;
                if arguments.is_empty() {
                    // None came in pieces, which is none at all.
                    arguments.push_str("{}");
                }
            }
            "message_delta" => {
                if let Some(reason) = self.delta.and_then(|delta| delta.stop_reason) {
                    draft.set_finish(finish(&reason));
                }
                if let Some(tokens) = self.usage {
                    tokens.apply(draft);
                }
            }
            "message_stop" => return Ok(Next::Done),
            "error" => return Err(ChatError::malformed("an error without a reason")),
            _ => {}
        }
        Ok(Next::More)
    }
}

impl Block<'_> {
    fn begin(self, index: u64, draft: &mut Draft) {
        match &*self.kind {
            "text" => draft.push_text(&self.text.unwrap_or_default()),
            "thinking" => draft.push_reasoning(&self.thinking.unwrap_or_default()),
            "tool_use" => {
                let known = draft.noted(TOOL_BLOCKS).unwrap_or_default();
                draft.note(TOOL_BLOCKS, format!("{known} {index}"));
                let call = draft.tool_call(index);
                call.id = self.id.unwrap_or_default().into_owned();
                call.name = self.name.unwrap_or_default().into_owned();
                // Empty, commonly: it comes in pieces.
                if let Some(input) = self.input.filter(|input| *input != json!({})) {
                    call.arguments = input.to_string();
                }
            }
            _ => {}
        }
        // Also if it is of another kind.
        draft.progress();
    }
}

impl Delta<'_> {
    fn apply(self, index: u64, draft: &mut Draft) {
        match self.kind.as_deref().unwrap_or_default() {
            "text_delta" => draft.push_text(&self.text.unwrap_or_default()),
            "thinking_delta" => draft.push_reasoning(&self.thinking.unwrap_or_default()),
            "input_json_delta" if is_tool(index, draft) => {
                draft.tool_call(index).arguments.push_str(&self.partial_json.unwrap_or_default());
            }
            _ => {}
        }
        // Signatures, citations and arguments of the server's own tools come from the model too.
        draft.progress();
    }
}

impl Tokens {
    /// Each is told as the sum so far, and counts in place of the one before.
    fn apply(self, draft: &mut Draft) {
        let mut noted = |name, told: Option<u64>| match told {
            Some(told) => {
                draft.note(name, told.to_string());
                Some(told)
            }
            None => draft.noted(name)?.parse::<u64>().ok(),
        };
        let uncached = noted(UNCACHED, self.input_tokens);
        let created = noted(CACHE_CREATION, self.cache_creation_input_tokens).unwrap_or(0);
        let usage = draft.usage();
        usage.cached = self.cache_read_input_tokens.or(usage.cached);
        let cached = usage.cached.unwrap_or(0);
        usage.input = uncached.map(|it| it.saturating_add(created).saturating_add(cached));
        usage.output = self.output_tokens.or(usage.output);
        let thought = self.output_tokens_details.and_then(|details| details.thinking_tokens);
        usage.reasoning = thought.or(usage.reasoning);
    }
}

fn is_tool(index: u64, draft: &Draft) -> bool {
    let known = draft.noted(TOOL_BLOCKS).unwrap_or_default();
    known.split(' ').any(|known| known.parse() == Ok(index))
}

fn error_in(error: Option<Value>, request_id: Option<Value>) -> Option<ChatError> {
    ChatError::in_answer(&json!({"error": error?, "request_id": request_id}))
}

fn finish(reason: &str) -> Finish {
    match reason {
        "end_turn" | "stop_sequence" => Finish::Stop,
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "tool_use" => Finish::ToolCalls,
        "refusal" => Finish::ContentFilter,
        other => Finish::Other(other.to_owned()),
    }
}
