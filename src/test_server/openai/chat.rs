//! Chat completions: an answer in one; `stream.rs` has the other kind.

use std::time::{SystemTime, UNIX_EPOCH};

use super::super::answer::Answer;
use super::super::refusal::Refusal;
use super::super::reply::Reply;
use super::Rules;
use super::messages::{text_of, words};
use super::request::{self, ChatRequest};
use super::said::Said;

/// Answers the chat request in `body`; gives back how many tokens that took.
///
/// # Errors
/// What is wrong with the request.
pub(super) fn complete(
    body: &[u8],
    reply: &Reply,
    number: u64,
    rules: &Rules,
    answer: &mut Answer,
) -> Result<u64, Refusal> {
    let asked = request::parse(body)?;
    let asked = ChatRequest::of(&asked)?;
    rules.check_model(asked.model)?;
    let prompt = asked.messages.iter().map(|message| words(&text_of(message))).sum();
    let said = Said::to(&asked, reply, prompt);
    let tokens = said.prompt_tokens.saturating_add(said.completion_tokens);
    let chat = Chat { number, asked, said };
    if chat.asked.stream {
        chat.stream(answer);
    } else {
        chat.whole(answer);
    }
    Ok(tokens)
}

/// A chat about to be written down.
pub(super) struct Chat<'a> {
    number: u64,
    pub(super) asked: ChatRequest<'a>,
    pub(super) said: Said<'a>,
}

impl Chat<'_> {
    fn whole(&self, to: &mut Answer) {
        self.open("chat.completion", to);
        to.text(",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
        to.json_or_null(self.said.content.as_deref());
        if let Some(reasoning) = self.said.reasoning {
            to.text(",\"reasoning_content\":");
            to.json(reasoning);
        }
        if !self.said.calls.is_empty() {
            to.text(",\"tool_calls\":[");
            for (index, call) in self.said.calls.iter().enumerate() {
                to.text(if index > 0 { ",{" } else { "{" });
                self.open_call(index, call.name, to);
                to.json(&call.arguments);
                to.text("}}");
            }
            to.text("]");
        }
        to.text("},\"finish_reason\":");
        to.json(self.said.finish_reason);
        to.text("}],\"usage\":");
        self.usage(to);
        to.text("}");
    }

    /// Begins what every answer and every event begins with.
    pub(super) fn open(&self, object: &str, to: &mut Answer) {
        to.text("{\"id\":\"chatcmpl-");
        to.number(self.number);
        to.text("\",\"object\":\"");
        to.text(object);
        to.text("\",\"created\":");
        to.number(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs()));
        to.text(",\"model\":");
        to.json(self.asked.model);
        to.text(",\"system_fingerprint\":\"fp_");
        to.hex(self.asked.seed);
        to.text("\"");
    }

    /// Writes a call up to its arguments.
    pub(super) fn open_call(&self, index: usize, name: &str, to: &mut Answer) {
        to.text("\"id\":\"call_");
        to.number(self.number);
        if index > 0 {
            to.text("_");
            to.number(index as u64 + 1);
        }
        to.text("\",\"type\":\"function\",\"function\":{\"name\":");
        to.json(name);
        to.text(",\"arguments\":");
    }

    pub(super) fn usage(&self, to: &mut Answer) {
        let (prompt, completion) = (self.said.prompt_tokens, self.said.completion_tokens);
        to.text("{\"prompt_tokens\":");
        to.number(prompt);
        to.text(",\"completion_tokens\":");
        to.number(completion);
        to.text(",\"total_tokens\":");
        to.number(prompt.saturating_add(completion));
        if let Some(reasoning) = self.said.reasoning {
            to.text(",\"completion_tokens_details\":{\"reasoning_tokens\":");
            to.number(words(reasoning).min(completion));
            to.text("}");
        }
        to.text("}");
    }
}
