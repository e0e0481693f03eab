//! A client of a group's endpoint, which tells how it went.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use super::running::{Running, call_of, none_ready};
use super::stream::GroupStream;
use super::verdict::{failure, outcome, tell_limits};
use super::{ModelGroups, Ready};
use crate::agent::{CheckError, Last};
use crate::balance::{Call, Failure, Outcome, Pick};
use crate::chat::{Began, ChatError, ChatReply, ChatRequest, Reading, Request};
use crate::keyed::ModelKey;
use crate::llm::{ChatStream, Llm, LlmLease};
use crate::pool::GetError;

/// A client of one of a group's endpoints, made by [`ModelGroups::get`]. Derefs to [`Llm`], whose
/// [`key`](Llm::key) is that of the endpoint.
///
/// The endpoint counts as in use while this is held, until it is told of a failure. It is told how it went once, and its rests
/// follow from that:
///
/// - [`chat`](Self::chat) and [`stream`](Self::stream) tell of their failures by themselves.
/// - [`report`](Self::report), [`success`](Self::success) and [`failure`](Self::failure) tell what the
///   caller says.
/// - Dropped without these, it tells how the last request went that the client made while it was
///   held, in whatever way it was made, such as `lease.post("rerank").send_json(..)`. Served, in the
///   time that it took to the head of the answer, if the status was below 400, or 4xx but 401, 402, 403,
///   404, 408 and 429; these, 5xx, and that no connection could be had, that it broke or that a time
///   limit passed, are failures of their [`Cause`](crate::balance::Cause). `Retry-After` counts if it
///   is a number of seconds.
/// - If there was no request, or a [`Stopper`](crate::agent::Stopper) ended the last, or the deadline
///   kept it from being sent, the call counts as abandoned, which says nothing. Without a request, it
///   does not count towards the endpoint's rates either.
///
/// What becomes of a body after its head is not seen: of one that breaks, tell by
/// [`failure`](Self::failure).
///
/// ```
/// # use llm_pool::keyed::ModelKey;
/// # use llm_pool::llm::{Group, LlmConfig, ModelGroups, Provider};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = llm_pool::test_server::TestServer::start()?;
/// # let provider = Provider::new(format!("{}/v1", server.url()));
/// # let pool = LlmConfig::default().provider("own", provider).build()?;
/// # let group = Group::default().endpoint(ModelKey::new("own", "small"));
/// # let groups = ModelGroups::new(pool, [("small", group)])?;
/// let lease = groups.get("small")?;
/// let answer = lease.post("embeddings").send(r#"{"model": "small", "input": "Hi"}"#)?;
/// println!("{} from {}", answer.status(), lease.endpoint());
/// drop(lease); // the endpoint has served
/// # assert_eq!(groups.stats("small").map(|stats| stats.endpoints[0].successes), Some(1));
/// # Ok(())
/// # }
/// ```
#[must_use = "a lease that is dropped at once puts its client back at once"]
pub struct GroupLease {
    /// First, so that the endpoint is told before the client goes.
    told: Told,
    llm: LlmLease,
    /// Tokens, by its chats so far.
    used: u64,
    /// For a stream's restart.
    call: Running,
}

/// Tells, when it goes, what was not told before.
struct Told {
    pick: Option<Pick<ModelKey>>,
    endpoint: Arc<str>,
    last: Last,
}

impl GroupLease {
    pub(super) fn take(
        groups: &ModelGroups,
        group: &str,
        within: Option<Duration>,
    ) -> Result<Self, ChatError> {
        let mut call = Running::new(groups, group, Call::new(), within)?;
        let (llm, pick) = call.round(Running::client)?;
        let (endpoint, last) = (pick.name().clone(), llm.last().clone());
        Ok(Self { told: Told { pick: Some(pick), endpoint, last }, llm, used: 0, call })
    }

    /// The name of the endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<str> {
        &self.told.endpoint
    }

    /// Asks the endpoint's model and waits for its whole answer, with the tries and pauses of
    /// [`Llm::chat`], all of them at this endpoint: those elsewhere are the work of
    /// [`ModelGroups::chat`]. A failure is told to the endpoint at once, as that does; a success at the
    /// end of the lease, unless a later call fails.
    ///
    /// # Errors
    /// As [`Llm::chat`].
    pub fn chat<'a>(
        &mut self,
        request: impl Into<ChatRequest<'a>>,
    ) -> Result<ChatReply, ChatError> {
        let answer = self.llm.chat(request);
        match (&answer, &mut self.told.pick) {
            // A probe need not last as long as the lease.
            (Ok(reply), Some(pick)) => {
                tell_limits(pick, &reply.rate_limits());
                self.used = self.used.saturating_add(reply.usage().total());
                pick.used(self.used);
                pick.answered();
            }
            (Err(error), _) => self.told.tell(Outcome::Failure(failure(error))),
            (Ok(_), None) => {}
        }
        answer
    }

    /// Asks the endpoint's model and returns once its answer begins, with the tries and pauses of
    /// [`Llm::stream`]. The stream has the client from here on, tells how it went, and can be
    /// [restarted](GroupStream::restart) at another endpoint of the group.
    ///
    /// # Errors
    /// As [`Llm::stream`].
    pub fn stream<'a>(
        mut self,
        request: impl Into<ChatRequest<'a>>,
    ) -> Result<GroupStream, ChatError> {
        let request = Arc::new(request.into().into_owned());
        self.call.call = call_of(&request);
        let begun = self.llm.trying(request.within, |began| {
            self.call.began = Began { at: self.call.began.at, ..began };
            Reading::start(self.llm.line(), Request::Shared(request.clone()), true, began)
        });
        match begun {
            Ok(reading) => {
                let mut pick = self.told.pick.take();
                if let Some(pick) = &mut pick {
                    tell_limits(pick, &reading.rate_limits());
                }
                let stream = ChatStream::new(self.llm, reading);
                Ok(GroupStream::new(stream, pick, self.call, request))
            }
            Err(error) => {
                self.told.tell(Outcome::Failure(failure(&error)));
                Err(error)
            }
        }
    }

    /// Tells the endpoint how it went, and gives the client back. The latency of
    /// [`Outcome::Success`] is the time since the lease was taken. Does nothing more if a failure was
    /// told before.
    pub fn report(mut self, outcome: Outcome) {
        self.told.tell(outcome);
    }

    /// Reports [`Outcome::Success`].
    pub fn success(self) {
        self.report(Outcome::Success);
    }

    /// Reports [`Outcome::Failure`], of a [`Cause`](crate::balance::Cause) or a [`Failure`].
    pub fn failure(self, failure: impl Into<Failure>) {
        self.report(Outcome::Failure(failure.into()));
    }
}

impl Told {
    fn tell(&mut self, outcome: Outcome) {
        if let Some(pick) = self.pick.take() {
            pick.report(outcome);
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        match (outcome(&self.last), self.pick.take_if(|_| self.last.is_unused())) {
            (Some(outcome), _) => self.tell(outcome),
            (None, Some(pick)) => pick.unsent(),
            // As abandoned.
            (None, None) => {}
        }
    }
}

impl Running {
    /// A client of one group.
    fn client(
        &mut self,
        ready: &Ready,
        waits: bool,
    ) -> Result<(LlmLease, Pick<ModelKey>), ChatError> {
        let pool = self.groups.pool.clone();
        let mut refused = None;
        loop {
            let pick = match self.pick(ready, waits) {
                Ok(pick) => pick,
                Err(error) => return Err(refused.unwrap_or_else(|| none_ready(&error))),
            };
            let got = match self.left() {
                Some(left) => pool.get_within(pick.value(), left),
                None => pool.get(pick.value()),
            };
            match got {
                Ok(llm) => return Ok((llm, pick)),
                Err(error) => {
                    // There is no more time for another.
                    let over = matches!(error, GetError::Timeout { .. } | GetError::Closed);
                    let error = no_client(error, &pick, ready);
                    pick.unsent();
                    if over {
                        return Err(error);
                    }
                    refused = Some(error);
                }
            }
        }
    }

    /// Until the deadline, if there is one.
    fn left(&self) -> Option<Duration> {
        self.began.until.map(|at| at.saturating_duration_since(Instant::now()))
    }
}

fn no_client(error: GetError<CheckError>, pick: &Pick<ModelKey>, ready: &Ready) -> ChatError {
    let (endpoint, group) = (pick.name(), &ready.name);
    let more = format_args!("endpoint \"{endpoint}\" of group \"{group}\"");
    ChatError::from(error).of_model(pick.value()).with_more(more)
}

impl Deref for GroupLease {
    type Target = Llm;

    fn deref(&self) -> &Llm {
        &self.llm
    }
}

impl fmt::Debug for GroupLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupLease")
            .field("endpoint", self.endpoint())
            .field("key", self.key())
            .finish_non_exhaustive()
    }
}
