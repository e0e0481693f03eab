//! What is said to Naparnik, and how its answers are read.
//!
//! ```text
//!   create the conversation ─▶ ask ─▶ a stream, read to its end ─▶ done
//!                                ▲       └─ it wants tools: declined ┐
//!                                └───────────────────────────────────┘
//! ```
//!
//! All that is remembered between two events is in the draft's notes.

use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::HeaderMap;

use super::super::super::dialect::{Ask, Dialect, HttpCall, Next};
use super::super::super::draft::Draft;
use super::super::super::error::ChatError;
use super::super::super::error_kind::ErrorKind;
use super::super::super::frames::Frame;
use super::super::super::headers::seconds;
use super::super::super::reply::Finish;
use super::super::json::read;
use super::thoughts::{Parted, Thoughts};
use super::transcript::instruction;

pub(super) struct Speech {
    pub(super) programming_language: String,
}

/// The conversation's id.
const CONVERSATION: &str = "conversation";
/// The id of the assistant's message.
const MESSAGE: &str = "message";
/// Of which message the calls of tools are to be declined, and these as a JSON list of ids.
const PARENT: &str = "parent";
const DECLINE: &str = "decline";
/// The calls of the message that comes in, in the same form; empty for none.
const CALLS: &str = "calls";
/// How far the message is: empty, [`OPEN`] or [`FINISHED`].
const STATE: &str = "state";
const OPEN: &str = "open";
const FINISHED: &str = "finished";
/// Set if the draft's text is of a message before.
const OLD_TEXT: &str = "old text";
/// Set if what this message thinks has come in pieces.
const THOUGHT: &str = "thought";
/// See [`Thoughts::to_kept`].
const THOUGHTS: &str = "thoughts";
/// Set if there was no answer in the end.
const EMPTY: &str = "empty";

impl Dialect for Speech {
    fn request(&self, ask: &Ask<'_>, draft: &Draft) -> Result<HttpCall, ChatError> {
        if is_set(draft, EMPTY) {
            let what = "the service ended its answer without any text: ask again";
            return Err(ChatError::new(ErrorKind::CutShort, what));
        }
        let Some(conversation) = draft.noted(CONVERSATION) else {
            // Also so that what cannot be asked opens no conversation.
            instruction(ask)?;
            let body = json!({
                "skill_name": "custom",
                "is_chat": true,
                "ui_language": "russian",
                "programming_language": self.programming_language,
            });
            return HttpCall::post("conversations/", &body);
        };
        let body = match noted(draft, DECLINE) {
            "" => {
                let content = json!({"instruction": instruction(ask)?});
                let mut body = json!({
                    "parent_uuid": null,
                    "role": "user",
                    "content": {"content": content, "tools": []},
                });
                if let Some(fields) = body.as_object_mut() {
                    fields.extend(ask.extra().into_owned());
                }
                body
            }
            calls => {
                let ids: Vec<String> = serde_json::from_str(calls).unwrap_or_default();
                let each = |id: &String| json!({"tool_call_id": id, "status": "rejected", "content": DECLINED});
                json!({
                    "parent_uuid": noted(draft, PARENT),
                    "role": "tool",
                    "content": ids.iter().map(each).collect::<Vec<_>>(),
                })
            }
        };
        let call = HttpCall::post(format!("conversations/{conversation}/messages"), &body)?;
        Ok(call.header("accept", "text/event-stream"))
    }

    /// Of the request that creates a conversation.
    fn answer(&self, body: &[u8], draft: &mut Draft) -> Result<Next, ChatError> {
        let answer: Value = read(body)?;
        if let Some(error) = ChatError::in_answer(&answer) {
            return Err(with_wait(error));
        }
        if draft.noted(CONVERSATION).is_some() {
            return Err(ChatError::malformed("no stream came, but a whole answer"));
        }
        let uuid = answer.get("uuid").and_then(Value::as_str).unwrap_or_default();
        // It becomes part of a path.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if uuid.is_empty() || !uuid.chars().all(plain) {
            return Err(ChatError::malformed("the conversation has no uuid"));
        }
        draft.note(CONVERSATION, uuid);
        Ok(Next::Again)
    }

    fn piece(&self, frame: Frame<'_>, draft: &mut Draft) -> Result<Next, ChatError> {
        let data = frame.data.trim();
        if data.starts_with("[DONE]") {
            return Ok(self.end(draft));
        }
        if data.is_empty() {
            return Ok(Next::More);
        }
        let event: Value = read(data.as_bytes())?;
        if let Some(error) = ChatError::in_answer(&event) {
            return Err(with_wait(error));
        }
        // What the user and tools said comes back as an echo, finished too. Pieces may have no role.
        if event.get("role").and_then(Value::as_str).is_none_or(|role| role == "assistant") {
            of_assistant(&event, draft);
        }
        Ok(Next::More)
    }

    /// Only here is it known which message was the last.
    fn end(&self, draft: &mut Draft) -> Next {
        if noted(draft, STATE) != FINISHED {
            return Next::More;
        }
        let calls = noted(draft, CALLS).to_owned();
        let message = noted(draft, MESSAGE).to_owned();
        if !calls.is_empty() && !message.is_empty() {
            begin_message(draft);
            draft.note(STATE, "");
            draft.note(PARENT, message);
            draft.note(DECLINE, calls);
            return Next::Again;
        }
        if is_set(draft, OLD_TEXT) || draft.text().trim().is_empty() {
            // Said where there is a word for it.
            draft.note(EMPTY, "yes");
            return Next::Again;
        }
        draft.set_id(&message);
        Next::Done
    }

    fn error(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> ChatError {
        let error = ChatError::from_body(status, headers, body);
        let is_page = body.trim_ascii_start().starts_with(b"<");
        with_wait(match status {
            // Another request of the conversation is under way.
            423 => error.with_kind(ErrorKind::Server),
            // In which form it refuses a token is not known.
            401 => error.with_kind(ErrorKind::Unauthorized),
            403 if !is_page => error.with_kind(ErrorKind::Unauthorized),
            _ => error,
        })
    }

    fn check_path(&self) -> Option<&str> {
        None
    }
}

/// Told to the model in place of what a tool would say.
const DECLINED: &str = "There are no tools here. Answer without them.";

fn of_assistant(event: &Value, draft: &mut Draft) {
    let some = |name: &str| event.get(name).filter(|value| !value.is_null());
    let (delta, content) = (some("content_delta"), some("content"));
    let finished = event.get("finished").and_then(Value::as_bool).unwrap_or(false);
    let has_role = some("role").is_some();
    if delta.is_none() && content.is_none() {
        // Without a role, it ends what has begun only.
        if !finished || !(has_role || noted(draft, STATE) == OPEN) {
            return;
        }
    }
    if noted(draft, STATE) == FINISHED {
        // The server goes on by itself, such as after a tool that it does not know.
        begin_message(draft);
    }
    draft.progress();
    draft.note(STATE, OPEN);
    if let Some(uuid) = some("uuid").and_then(Value::as_str) {
        if has_role || noted(draft, MESSAGE).is_empty() {
            draft.note(MESSAGE, uuid);
        }
    }
    if let Some(delta) = delta {
        note_calls(delta, draft);
        think(delta, draft);
        let more = delta.as_str().or_else(|| delta.get("content")?.as_str()).unwrap_or_default();
        let mut thoughts = Thoughts::from_kept(noted(draft, THOUGHTS));
        add(thoughts.push(more), draft);
        draft.note(THOUGHTS, thoughts.to_kept());
    }
    if let Some(content) = content {
        note_calls(content, draft);
        if !is_set(draft, THOUGHT) {
            think(content, draft);
        }
    }
    if finished {
        finish(event, content, draft);
    }
}

fn finish(event: &Value, content: Option<&Value>, draft: &mut Draft) {
    let text = |name: &str| content?.get(name)?.as_str().filter(|text| !text.is_empty());
    let whole = content.and_then(Value::as_str).filter(|text| !text.is_empty());
    match whole.or_else(|| text("content")).or_else(|| text("text")) {
        // In place of the pieces.
        Some(whole) => {
            let Parted { text, thought } = Thoughts::part(whole);
            if !is_set(draft, THOUGHT) && !thought.is_empty() {
                draft.push_reasoning(&thought);
            }
            draft.set_text(&text);
            draft.note(OLD_TEXT, "");
        }
        None => add(Thoughts::from_kept(noted(draft, THOUGHTS)).end(), draft),
    }
    draft.note(STATE, FINISHED);
    let details = event.get("details");
    if let Some(total) = details.and_then(|it| it.get("usage")?.get("total_tokens")?.as_u64()) {
        draft.usage().told_total = Some(total);
    }
    // That it wants tools is no end for the caller.
    let reason = details.and_then(|it| it.get("finish_reason")?.as_str());
    if let Some(reason) = reason.filter(|_| noted(draft, CALLS).is_empty()) {
        draft.set_finish(Finish::from(reason));
    }
}

/// All that is known is of a message before.
fn begin_message(draft: &mut Draft) {
    for name in [MESSAGE, CALLS, THOUGHT, THOUGHTS] {
        draft.note(name, "");
    }
    draft.note(OLD_TEXT, if draft.text().is_empty() { "" } else { "yes" });
}

/// Adds to what this message says.
fn add(parted: Parted, draft: &mut Draft) {
    let Parted { text, thought } = parted;
    if !thought.is_empty() {
        draft.push_reasoning(&thought);
        draft.note(THOUGHT, "yes");
    }
    if text.is_empty() {
        return;
    }
    if is_set(draft, OLD_TEXT) {
        draft.set_text(&text);
        draft.note(OLD_TEXT, "");
    } else {
        draft.push_text(&text);
    }
}

fn think(said: &Value, draft: &mut Draft) {
    let thought = said.get("reasoning_content").and_then(Value::as_str).unwrap_or_default();
    add(Parted { thought: thought.to_owned(), ..Parted::default() }, draft);
}

/// Those without an id cannot be declined: it took text for calls.
fn note_calls(said: &Value, draft: &mut Draft) {
    let calls = said.get("tool_calls").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let id = |call: &Value| call.get("id")?.as_str().filter(|id| !id.is_empty()).map(str::to_owned);
    let ids: Vec<_> = calls.iter().filter_map(id).collect();
    if !ids.is_empty() {
        draft.note(CALLS, Value::from(ids).to_string());
    }
}

fn noted<'a>(draft: &'a Draft, name: &str) -> &'a str {
    draft.noted(name).unwrap_or_default()
}

fn is_set(draft: &Draft, name: &str) -> bool {
    !noted(draft, name).is_empty()
}

/// With the wait that its words tell, where no header did.
fn with_wait(error: ChatError) -> ChatError {
    if error.retry_after().is_some() || error.kind() != ErrorKind::RateLimited {
        return error;
    }
    let wait = told_wait(error.message());
    error.with_retry_after(wait)
}

/// Of "Try again in 123 seconds", 123 s.
pub(super) fn told_wait(words: &str) -> Option<Duration> {
    let words = words.to_ascii_lowercase();
    let mut words = words.split_once("again in ")?.1.split_whitespace();
    let number = words.next()?;
    let parts = match words.next()?.trim_end_matches(['.', ',', ';', '!']) {
        "millisecond" | "milliseconds" | "ms" => 1000.0,
        "second" | "seconds" | "sec" | "s" => 1.0,
        "minute" | "minutes" | "min" => 1.0 / 60.0,
        "hour" | "hours" => 1.0 / 3600.0,
        _ => return None,
    };
    seconds(number, parts)
}
