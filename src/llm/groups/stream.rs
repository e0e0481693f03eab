//! The stream of a group's endpoint.
//!
//! ```text
//!   open ─▶ whole
//!    ▲ └──▶ failed
//!    └────────┘ restart, from open too: never by itself
//! ```

use std::fmt;
use std::iter::FusedIterator;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use super::moves_on;
use super::running::{Running, Tried, client};
use super::verdict::{failure, tell_limits, tell_usage};
use crate::agent::Stopper;
use crate::balance::{Outcome, Pick};
use crate::chat::{ChatError, ChatReply, ChatRequest, ErrorKind, Piece, Reading, Request};
use crate::keyed::ModelKey;
use crate::llm::{ChatStream, LlmLease};

/// The answer of a group's model as it comes; see [`ChatStream`]. Its endpoint counts as in use to
/// its end, and is told how it went; one that is dropped before says nothing of it.
///
/// One that breaks ends with an error. What came of it is not begun again, unless its reader
/// [says so](Self::restart).
#[must_use = "a stream does nothing unless it is read"]
pub struct GroupStream {
    stream: ChatStream<LlmLease>,
    /// Until what came of it was reported.
    pick: Option<Pick<ModelKey>>,
    first_piece: Option<Duration>,
    end: Option<End>,
    /// For a restart.
    call: Running,
    request: Arc<ChatRequest<'static>>,
}

enum End {
    Whole,
    Failed(ErrorKind),
}

impl GroupStream {
    /// Asks a model of the group, as the call says where.
    pub(super) fn open(
        mut call: Running,
        request: Arc<ChatRequest<'static>>,
    ) -> Result<Self, ChatError> {
        let (stream, pick) = begin(&mut call, &request)?;
        Ok(Self::new(stream, Some(pick), call, request))
    }

    /// One that has begun, without its pick if nothing of it is to be told any more.
    pub(super) fn new(
        stream: ChatStream<LlmLease>,
        pick: Option<Pick<ModelKey>>,
        call: Running,
        request: Arc<ChatRequest<'static>>,
    ) -> Self {
        Self { stream, pick, first_piece: None, end: None, call, request }
    }

    /// The key of the endpoint that answers, until the stream is at its end.
    #[must_use]
    pub fn key(&self) -> Option<&ModelKey> {
        self.pick.as_ref().map(Pick::value)
    }

    /// What has come so far, since the last restart; see [`ChatStream::reply`].
    #[must_use]
    pub fn reply(&self) -> ChatReply {
        self.stream.reply()
    }

    /// What ends the stream from another thread, until it is restarted; `None` once it holds no
    /// client.
    #[must_use]
    pub fn stopper(&self) -> Option<Stopper> {
        self.stream.stopper()
    }

    /// Reads to the end and returns the answer.
    ///
    /// # Errors
    /// As those of the pieces. Of a stream that has failed already,
    /// [`CutShort`](ErrorKind::CutShort), with what had come.
    pub fn finish(mut self) -> Result<ChatReply, ChatError> {
        if let Some(End::Failed(_)) = self.end {
            return self.stream.finish();
        }
        for piece in &mut self {
            piece?;
        }
        Ok(self.reply())
    }

    /// Asks again, from the start, at an endpoint of the group that this call has not tried, and
    /// then as [`stream`](super::ModelGroups::stream) goes on: at others, at the fallbacks, and after
    /// a pause. What came so far is discarded, and the pieces start over. Blocks until an answer
    /// begins.
    ///
    /// For a stream that broke or, by its reader's choice, one that still runs: of that, its endpoint
    /// is told nothing. It keeps to the deadline of the call and costs the group's budget a try. A
    /// model seldom says the same twice, so all that was shown of the text must go.
    ///
    /// ```
    /// # use llm_pool::keyed::ModelKey;
    /// # use llm_pool::llm::{Group, LlmConfig, ModelGroups, Provider};
    /// # use llm_pool::test_server::{Reply, TestServer};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (one, two) = (TestServer::start()?, TestServer::start()?);
    /// # let provider = |server: &TestServer| Provider::new(format!("{}/v1", server.url()));
    /// # let config = LlmConfig::default().provider("a", provider(&one));
    /// # let pool = config.provider("b", provider(&two)).build()?;
    /// # let group = Group::default().endpoint(ModelKey::new("a", "m"));
    /// # let group = group.endpoint(ModelKey::new("b", "m"));
    /// # let groups = ModelGroups::new(pool, [("small", group)])?;
    /// # let breaking = || Reply::ok().content("one two three four").error_mid_stream("boom");
    /// # one.plan(breaking());
    /// let mut stream = groups.stream("small", "Count to ten.")?;
    /// let mut text = String::new();
    /// while let Some(piece) = stream.next() {
    ///     match piece {
    ///         Ok(piece) => text.push_str(piece.text()),
    ///         // Ends when no endpoint is left: then there is an error.
    ///         Err(error) if error.is_retryable() => {
    ///             stream.restart()?;
    ///             text.clear();
    ///         }
    ///         Err(error) => return Err(error.into()),
    ///     }
    /// }
    /// # assert_eq!(text, "You said: Count to ten.");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if the stream ended well, or with an error that every endpoint
    /// would give: nobody is asked, and the stream is as it was. [`TimedOut`](ErrorKind::TimedOut)
    /// once the deadline has passed, and [`NoLease`](ErrorKind::NoLease) when every endpoint was
    /// tried, none is well or the budget is spent; else as [`stream`](super::ModelGroups::stream).
    /// The stream has then failed.
    pub fn restart(&mut self) -> Result<(), ChatError> {
        match self.end {
            Some(End::Whole) => {
                return Err(ChatError::invalid("it ended well: there is nothing to restart"));
            }
            Some(End::Failed(kind)) if !moves_on(kind) => {
                let what = format_args!("every endpoint would fail in this way: {kind}");
                return Err(ChatError::invalid(what));
            }
            Some(End::Failed(_)) => {}
            None => self.call.broke(None),
        }
        // First the connection, then the client and its endpoint's place: one thing at a time.
        self.stream.close();
        self.pick = None;
        let begun = match self.call.is_late() {
            true => Err(self.call.too_late()),
            false => self.call.pay().and_then(|()| begin(&mut self.call, &self.request)),
        };
        match begun {
            Ok((stream, pick)) => {
                self.stream = stream;
                self.pick = Some(pick);
                (self.first_piece, self.end) = (None, None);
                Ok(())
            }
            Err(error) => {
                self.end = Some(End::Failed(error.kind()));
                Err(error)
            }
        }
    }

    fn report(&mut self, outcome: Outcome) {
        if let Some(pick) = mem::take(&mut self.pick) {
            pick.report(outcome);
        }
    }
}

/// A stream whose answer has begun, of an endpoint that is in use.
fn begin(
    call: &mut Running,
    request: &Arc<ChatRequest<'static>>,
) -> Result<(ChatStream<LlmLease>, Pick<ModelKey>), ChatError> {
    let pool = call.groups.pool.clone();
    call.run(|pick, began| {
        let (llm, mut pick) = client(&pool, pick, began)?;
        match Reading::start(llm.line(), Request::Shared(request.clone()), true, *began) {
            Ok(reading) => {
                tell_limits(&mut pick, &reading.rate_limits());
                Ok((ChatStream::new(llm, reading), pick))
            }
            Err(error) => Err(Tried::new(error, pick)),
        }
    })
}

impl Iterator for GroupStream {
    type Item = Result<Piece, ChatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.end.is_some() {
            return None;
        }
        let piece = self.stream.next();
        match (&piece, &mut self.pick) {
            (Some(Ok(_)), Some(pick)) if self.first_piece.is_none() => {
                self.first_piece = Some(pick.elapsed());
                pick.answered();
            }
            (Some(Err(error)), _) => {
                self.end = Some(End::Failed(error.kind()));
                self.call.broke(Some(error.kind()));
                self.report(Outcome::Failure(failure(error)));
            }
            (None, _) => {
                self.end = Some(End::Whole);
                if let Some(pick) = &mut self.pick {
                    tell_usage(pick, self.stream.usage());
                }
                let outcome = self.first_piece.map_or(Outcome::Success, Outcome::SuccessIn);
                self.report(outcome);
            }
            _ => {}
        }
        piece
    }
}

impl FusedIterator for GroupStream {}

impl fmt::Debug for GroupStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupStream").field("key", &self.key()).finish_non_exhaustive()
    }
}
