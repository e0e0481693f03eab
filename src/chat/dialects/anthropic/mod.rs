//! Anthropic's Messages API.

mod request;
mod stream;

use std::ops::RangeInclusive;

use serde::Deserialize;

use self::stream::{Event, Reply};
use super::super::dialect::{Ask, Dialect, HttpCall, Next};
use super::super::draft::Draft;
use super::super::error::ChatError;
use super::super::frames;
use super::super::models::Model;
use super::json::read;

/// Anthropic's Messages API, the models of which are called Claude. Made for
/// [`Provider::anthropic`](crate::llm::Provider::anthropic), which sends the headers `x-api-key` and
/// `anthropic-version`; at another [`Provider`](crate::llm::Provider) they are yours to set.
///
/// What is different here, by Anthropic's own Python SDK, 0.121.0:
///
/// - All system messages, wherever they stand, go to the one field `system`, with a blank line
///   between two. Without a message of another role, nothing is sent.
/// - Every request has a limit of tokens: [`max_tokens`](Self::max_tokens), unless it or its key has
///   one. A long answer had better be a stream: the SDK asks for no whole one of more than 21,333
///   tokens.
/// - Temperatures are 0 to 1.
/// - A seed and a response format are refused. JSON of a schema can be had from newer models with
///   the field `output_config`, which is [extra](crate::chat::ChatRequest#structfield.extra).
/// - Reasoning is asked for with the extra field `thinking`, and read. It is not sent back, for it
///   would have to be signed; where it is wanted back, which is with results of tools, ask without.
///   Names of messages are not sent either.
/// - Arguments of tool calls must be a JSON object. Results that follow one another become one
///   message.
/// - [`Usage::input`](crate::chat::Usage#structfield.input) counts what was read from and written to the
///   cache too, which Anthropic counts apart.
#[derive(Clone, Debug)]
pub struct Anthropic {
    max_tokens: u32,
}

impl Default for Anthropic {
    fn default() -> Self {
        Self { max_tokens: 4096 }
    }
}

impl Anthropic {
    /// The most tokens of an answer where neither the request nor its key says it, at least 1, since
    /// the API wants to be told. Default 4096.
    #[must_use]
    pub fn max_tokens(mut self, tokens: u32) -> Self {
        self.max_tokens = tokens;
        self
    }
}

impl Dialect for Anthropic {
    fn request(&self, ask: &Ask<'_>, _: &Draft) -> Result<HttpCall, ChatError> {
        let call = HttpCall::post("messages", &request::body(ask, self.max_tokens)?)?;
        Ok(if ask.streams() { call.header("accept", "text/event-stream") } else { call })
    }

    fn answer(&self, body: &[u8], draft: &mut Draft) -> Result<Next, ChatError> {
        read::<Reply<'_>>(body)?.apply(draft)?;
        Ok(Next::Done)
    }

    fn piece(&self, frame: frames::Frame<'_>, draft: &mut Draft) -> Result<Next, ChatError> {
        // What else there is may be of any shape: more kinds of events are to be expected.
        if !frame.name.is_empty() && !Event::is_known(frame.name) || frame.data.trim().is_empty() {
            return Ok(Next::More);
        }
        read::<Event<'_>>(frame.data.as_bytes())?.apply(draft)
    }

    fn temperatures(&self) -> RangeInclusive<f64> {
        0.0..=1.0
    }

    fn list_models(&self) -> Result<HttpCall, ChatError> {
        // As many as one page can have; 20 unless told otherwise.
        Ok(HttpCall::get("models?limit=1000"))
    }

    fn models(&self, body: &[u8]) -> Result<Vec<Model>, ChatError> {
        #[derive(Deserialize)]
        struct Answer {
            data: Vec<Item>,
        }
        #[derive(Deserialize)]
        struct Item {
            id: String,
            #[serde(rename = "type")]
            kind: Option<String>,
        }
        let Answer { data } = read(body)?;
        let model = |Item { id, kind }| Model { id, owned_by: None, kind };
        Ok(data.into_iter().map(model).collect())
    }
}
