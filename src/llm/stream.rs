//! An answer in pieces, and the client that it comes through.

use std::fmt;
use std::iter::FusedIterator;
use std::ops::Deref;

use super::client::Llm;
use crate::agent::Stopper;
use crate::chat::{ChatError, ChatReply, Piece, Reading, Usage};

/// The answer of a model as it comes: an iterator of [`Piece`]s.
///
/// Each `next` blocks until there is a piece. It ends after the last one, or after an error, which
/// carries [what had come](ChatError::partial); then, and if it is dropped, `L` is given back: a
/// lease, or the borrow of a client. What is left of the body of a dropped one is read within the
/// limits of [`Leftover`](crate::agent::Leftover), so that the connection can be used again, or else
/// the connection is closed.
#[must_use = "a stream does nothing unless it is read"]
pub struct ChatStream<L: Deref<Target = Llm>> {
    reading: Reading<'static>,
    /// Until the end.
    client: Option<L>,
    failed: bool,
}

impl<L: Deref<Target = Llm>> ChatStream<L> {
    pub(super) fn new(client: L, reading: Reading<'static>) -> Self {
        let client = Some(client).filter(|_| reading.is_open());
        Self { reading, client, failed: false }
    }

    /// What has come so far, as an answer. Whole once the stream is at its end.
    #[must_use]
    pub fn reply(&self) -> ChatReply {
        self.reading.reply()
    }

    /// Reads to the end and returns the answer.
    ///
    /// # Errors
    /// As those of the pieces. Of a stream that has failed already,
    /// [`CutShort`](crate::chat::ErrorKind::CutShort), with what had come.
    pub fn finish(mut self) -> Result<ChatReply, ChatError> {
        if self.failed {
            return Err(self.reading.failed_before());
        }
        for piece in &mut self {
            piece?;
        }
        Ok(self.reply())
    }

    /// What ends the stream from another thread; `None` once it holds no client.
    #[must_use]
    pub fn stopper(&self) -> Option<Stopper> {
        self.client.as_ref().map(|client| client.stopper())
    }

    pub(super) fn usage(&self) -> Usage {
        self.reading.usage()
    }

    /// Ends it before its end: what comes after is not read, and the client is given back.
    pub(super) fn close(&mut self) {
        self.failed = true;
        self.reading.close();
        self.client = None;
    }

    /// Whether it still holds its client.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.client.is_some()
    }
}

impl<L: Deref<Target = Llm>> Iterator for ChatStream<L> {
    type Item = Result<Piece, ChatError>;

    fn next(&mut self) -> Option<Self::Item> {
        // Without a client it is at its end, and there may be something left of what came.
        let piece = match &self.client {
            Some(client) => self.reading.next_piece(client.line()),
            None => self.reading.left_piece(),
        };
        if !self.reading.is_open() {
            self.client = None;
        }
        self.failed |= matches!(piece, Some(Err(_)));
        piece
    }
}

impl<L: Deref<Target = Llm>> FusedIterator for ChatStream<L> {}

impl<L: Deref<Target = Llm>> Drop for ChatStream<L> {
    fn drop(&mut self) {
        // Before the client goes, so that whoever gets it next finds its connection free.
        self.reading.close();
    }
}

impl<L: Deref<Target = Llm>> fmt::Debug for ChatStream<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatStream").field("is_open", &self.is_open()).finish_non_exhaustive()
    }
}
