//! The dialects that come with the library.

mod anthropic;
mod gigachat;
mod json;
mod naparnik;
mod openai;
mod yandex;

pub use anthropic::Anthropic;
pub use gigachat::{GigaChat, Scope};
pub use naparnik::Naparnik;
pub use openai::OpenAi;
pub use yandex::{Yandex, YandexAuth};

use serde_json::{Map, Value};

use super::error::ChatError;
use super::message::ToolCall;

/// The arguments of a call in the message at `at`, for providers that want an object.
fn arguments(call: &ToolCall, at: usize) -> Result<Map<String, Value>, ChatError> {
    // What is there instead is not told: it is text of the request.
    call.parse().map_err(|_| {
        let at = at + 1;
        ChatError::invalid(format_args!(
            "message {at}: the arguments of a tool call are no JSON object, and this provider takes \
             no other: mend them, or leave the call and its result out"
        ))
    })
}
