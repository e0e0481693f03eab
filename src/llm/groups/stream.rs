//! The stream of a group's endpoint.

use std::time::Duration;
use std::{fmt, mem};

use super::failure;
use crate::balance::{Outcome, Pick};
use crate::chat::{ChatError, ChatReply, Piece, Reading};
use crate::keyed::ModelKey;
use crate::llm::{ChatStream, LlmLease};

/// The answer of a group's model as it comes; see [`ChatStream`]. Its endpoint counts as in use to
/// its end, and is told how it went; one that is dropped before says nothing of it.
#[must_use = "a stream does nothing unless it is read"]
pub struct GroupStream {
    stream: ChatStream<LlmLease>,
    /// Until what came of it was reported.
    pick: Option<Pick<ModelKey>>,
    first_piece: Option<Duration>,
}

impl GroupStream {
    pub(super) fn new(client: LlmLease, reading: Reading<'static>, pick: Pick<ModelKey>) -> Self {
        let stream = ChatStream::new(client, reading);
        Self { stream, pick: Some(pick), first_piece: None }
    }

    /// The key of the endpoint that answers, until the stream is at its end.
    #[must_use]
    pub fn key(&self) -> Option<&ModelKey> {
        self.pick.as_ref().map(Pick::value)
    }

    /// What has come so far; see [`ChatStream::reply`].
    #[must_use]
    pub fn reply(&self) -> ChatReply {
        self.stream.reply()
    }

    /// Reads to the end and returns the answer.
    ///
    /// # Errors
    /// As those of the pieces.
    pub fn finish(mut self) -> Result<ChatReply, ChatError> {
        for piece in &mut self {
            piece?;
        }
        Ok(self.reply())
    }

    fn report(&mut self, outcome: Outcome) {
        if let Some(pick) = mem::take(&mut self.pick) {
            pick.report(outcome);
        }
    }
}

impl Iterator for GroupStream {
    type Item = Result<Piece, ChatError>;

    fn next(&mut self) -> Option<Self::Item> {
        let piece = self.stream.next();
        match (&piece, &mut self.pick) {
            (Some(Ok(_)), Some(pick)) if self.first_piece.is_none() => {
                self.first_piece = Some(pick.elapsed());
                pick.answered();
            }
            (Some(Err(error)), _) => self.report(Outcome::Failure(failure(error))),
            (None, _) => {
                let outcome = self.first_piece.map_or(Outcome::Success, Outcome::SuccessIn);
                self.report(outcome);
            }
            _ => {}
        }
        piece
    }
}

impl fmt::Debug for GroupStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupStream").field("key", &self.key()).finish_non_exhaustive()
    }
}
