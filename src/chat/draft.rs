//! An answer while it comes in.

use std::collections::VecDeque;

use super::message::ToolCall;
use super::reply::{Finish, Usage};

/// A piece of a streamed answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Piece {
    /// More of the text.
    Text(String),
    /// More of what the model thinks.
    Reasoning(String),
    /// The text from its beginning, in place of all that came before: some providers change their
    /// mind. Commonly never.
    Rewrite(String),
    /// A tool that the model wants called; comes when the answer is whole, since its arguments may
    /// be added to until then.
    ToolCall(ToolCall),
}

impl Piece {
    /// More of the text; empty if this is something else. A program that prints as it reads and
    /// cannot unprint is served by this alone.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            _ => "",
        }
    }
}

/// An answer while it comes in: what a [`Dialect`](super::Dialect) writes what it reads into.
///
/// It makes [`Piece`]s of what is new. One serves a whole call, also if that takes several
/// requests, and is all that a dialect can remember of it.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    pub(super) text: String,
    pub(super) reasoning: Option<String>,
    pub(super) tool_calls: Vec<ToolCall>,
    /// Calls in pieces: by which number the provider knows each of `tool_calls`.
    numbers: Vec<u64>,
    pub(super) finish: Option<Finish>,
    pub(super) usage: Usage,
    pub(super) model: Option<String>,
    pub(super) id: Option<String>,
    notes: Vec<(&'static str, String)>,
    /// `None` if nobody wants pieces.
    pieces: Option<VecDeque<Piece>>,
    /// Something came since it was last asked.
    progress: bool,
}

impl Draft {
    /// Of an answer that is wanted in pieces.
    pub(super) fn in_pieces() -> Self {
        Self { pieces: Some(VecDeque::new()), ..Self::default() }
    }

    /// The text so far.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the model thought so far, if the provider tells.
    #[must_use]
    pub fn reasoning(&self) -> Option<&str> {
        self.reasoning.as_deref()
    }

    /// Adds to the text.
    pub fn push_text(&mut self, more: &str) {
        if more.is_empty() {
            return;
        }
        self.text.push_str(more);
        self.tell(|| Piece::Text(more.to_owned()));
    }

    /// Says what the text is, all of it: for a provider that sends it from its beginning every
    /// time, or once more at the end.
    pub fn set_text(&mut self, whole: &str) {
        if let Some(more) = whole.strip_prefix(self.text.as_str()) {
            return self.push_text(more);
        }
        whole.clone_into(&mut self.text);
        self.tell(|| Piece::Rewrite(whole.to_owned()));
    }

    /// Adds to what the model thinks. An empty text makes it known that there is such a thing,
    /// which some providers want to have back.
    pub fn push_reasoning(&mut self, more: &str) {
        self.reasoning.get_or_insert_default().push_str(more);
        if !more.is_empty() {
            self.tell(|| Piece::Reasoning(more.to_owned()));
        }
    }

    /// Adds a whole tool call. One without an id gets one that counts from `call_0`.
    pub fn push_tool_call(&mut self, call: ToolCall) {
        let number = self.numbers.iter().max().map_or(0, |last| last.saturating_add(1));
        *self.tool_call(number) = call;
    }

    /// The tool call that the provider has this number for, to add to; new ones begin empty.
    pub fn tool_call(&mut self, number: u64) -> &mut ToolCall {
        self.progress = true;
        let at = self.numbers.iter().rposition(|known| *known == number).unwrap_or_else(|| {
            self.numbers.push(number);
            self.tool_calls.push(ToolCall::new("", "", ""));
            self.tool_calls.len() - 1
        });
        &mut self.tool_calls[at]
    }

    /// The tool calls so far.
    #[must_use]
    pub fn tool_calls(&self) -> &[ToolCall] {
        &self.tool_calls
    }

    /// Takes the tool calls out, because they are none of the caller's.
    pub fn take_tool_calls(&mut self) -> Vec<ToolCall> {
        self.numbers.clear();
        std::mem::take(&mut self.tool_calls)
    }

    /// Says why the model stopped.
    pub fn set_finish(&mut self, finish: Finish) {
        self.finish = Some(finish);
    }

    /// Why the model stopped, if it has.
    #[must_use]
    pub fn finish(&self) -> Option<&Finish> {
        self.finish.as_ref()
    }

    /// How many tokens it took, to be filled in; what comes later counts.
    pub fn usage(&mut self) -> &mut Usage {
        &mut self.usage
    }

    /// Says which model answers. What is said first counts, and an empty name is none.
    pub fn set_model(&mut self, model: &str) {
        set_once(&mut self.model, model);
    }

    /// Says the answer's id. What is said first counts, and an empty id is none.
    pub fn set_id(&mut self, id: &str) {
        set_once(&mut self.id, id);
    }

    /// Remembers something for the rest of the call.
    pub fn note(&mut self, name: &'static str, value: impl Into<String>) {
        match self.notes.iter_mut().find(|(known, _)| *known == name) {
            Some((_, kept)) => *kept = value.into(),
            None => self.notes.push((name, value.into())),
        }
    }

    /// What [`note`](Self::note) remembered.
    #[must_use]
    pub fn noted(&self, name: &str) -> Option<&str> {
        self.notes.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Says that something came that is not part of the answer but shows that the model is at work.
    /// All that is written into the draft says so by itself.
    pub fn progress(&mut self) {
        self.progress = true;
    }

    /// Whether anything came since the last time.
    pub(super) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.progress)
    }

    /// Whether there is anything of the answer.
    pub(super) fn has_begun(&self) -> bool {
        let thought = self.reasoning.as_ref().is_some_and(|text| !text.is_empty());
        thought || !self.text.is_empty() || !self.tool_calls.is_empty()
    }

    pub(super) fn next_piece(&mut self) -> Option<Piece> {
        self.pieces.as_mut()?.pop_front()
    }

    /// The answer is whole.
    pub(super) fn end(&mut self) {
        for (at, call) in self.tool_calls.iter_mut().enumerate() {
            if call.id.is_empty() {
                call.id = format!("call_{at}");
            }
            if let Some(pieces) = &mut self.pieces {
                pieces.push_back(Piece::ToolCall(call.clone()));
            }
        }
    }

    fn tell(&mut self, piece: impl FnOnce() -> Piece) {
        self.progress = true;
        if let Some(pieces) = &mut self.pieces {
            pieces.push_back(piece());
        }
    }
}

fn set_once(slot: &mut Option<String>, text: &str) {
    if slot.is_none() && !text.is_empty() {
        *slot = Some(text.to_owned());
    }
}
