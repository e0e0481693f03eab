//! The course of a call through its group and those that stand in for it.
//!
//! ```text
//!   round: group ─▶ its endpoints, each once ─▶ fallback groups, each once
//!     ▲                                               │ nobody served
//!     └── a pause, and until somebody's rest is over ◀┘ and a pause may heal it
//! ```
//!
//! One thread has a call, so there is no lock.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::verdict::failure;
use super::{ModelGroups, Ready, moves_on};
use crate::balance::{Call, Pick, PickError};
use crate::caught::say;
use crate::chat::{Began, ChatError, ChatRequest, ErrorKind, Seen};
use crate::keyed::ModelKey;
use crate::llm::{LlmLease, LlmPool};

/// A call on its way. Owns all that it needs, for it may outlive the function that began it.
pub(super) struct Running {
    pub(super) groups: ModelGroups,
    /// Of the group that was asked.
    name: Arc<str>,
    pub(super) call: Call<'static>,
    pub(super) began: Began,
    /// The endpoints tried in this round, each with its group.
    tried: Vec<(Arc<str>, usize)>,
    /// When the visit of the present group began.
    visited: Instant,
    /// How long was waited for an endpoint since the last was picked.
    lingered: Duration,
    /// Whether the budget was charged for a try that is still to be made.
    paid: bool,
    /// What this round may heal after: the shortest pause that one of its errors asks for.
    pause: Option<Duration>,
    /// In how long the first of all endpoints is back, zero if one is well.
    back: Option<Duration>,
    /// How the stream ended that is to be restarted.
    broke: Option<ErrorKind>,
    /// What is to be told if nobody serves.
    failed: Option<ChatError>,
}

/// A try that failed; without its pick if it says nothing of the endpoint.
pub(super) struct Tried {
    error: ChatError,
    pick: Option<Pick<ModelKey>>,
}

impl Tried {
    pub(super) fn new(error: ChatError, pick: Pick<ModelKey>) -> Self {
        Self { error, pick: Some(pick) }
    }
}

/// A client for a try at the endpoint of `pick`.
pub(super) fn client(
    pool: &LlmPool,
    pick: Pick<ModelKey>,
    began: &mut Began,
) -> Result<(LlmLease, Pick<ModelKey>), Tried> {
    match pool.client(pick.value(), began) {
        Ok(llm) => Ok((llm, pick)),
        // That the pool has none is not the endpoint's doing.
        Err(error) => {
            pick.unsent();
            Err(Tried { error, pick: None })
        }
    }
}

/// What the balancer is told of a request.
pub(super) fn call_of(request: &ChatRequest<'_>) -> Call<'static> {
    let call = request.conversation.as_deref().map_or_else(Call::new, |text| Call::new().key(text));
    // Unless the longest answer is known, what calls used of late says more.
    let Some(max_tokens) = request.max_tokens else { return call };
    let bytes: usize = request.messages.iter().map(|message| message.content.len()).sum();
    call.tokens((bytes as u64 / BYTES_OF_A_TOKEN).saturating_add(max_tokens.into()))
}

/// Of English text, as OpenAI and Anthropic have it. What was used in truth is reckoned at the end.
const BYTES_OF_A_TOKEN: u64 = 4;

type All = BTreeMap<String, Ready>;

impl Running {
    pub(super) fn new(
        groups: &ModelGroups,
        name: &str,
        call: Call<'static>,
        within: Option<Duration>,
    ) -> Result<Self, ChatError> {
        let Some(first) = groups.groups.get(name) else {
            let known = groups.names().collect::<Vec<_>>().join(", ");
            let what = format_args!("there is no group \"{name}\"; known are: {known}");
            return Err(ChatError::invalid(what));
        };
        first.budget.deposit();
        Ok(Self {
            groups: groups.clone(),
            name: first.name.clone(),
            call,
            began: Began::now(within),
            tried: Vec::new(),
            visited: Instant::now(),
            lingered: Duration::ZERO,
            paid: false,
            pause: None,
            back: None,
            broke: None,
            failed: None,
        })
    }

    /// Goes through the endpoints, and after a pause through them again, until one serves or no
    /// more tries may help.
    pub(super) fn run<T>(
        &mut self,
        mut attempt: impl FnMut(Pick<ModelKey>, &mut Began) -> Result<T, Tried>,
    ) -> Result<T, ChatError> {
        loop {
            let tries = self.began.tries;
            let served = self.round(|call, ready, waits| call.group(ready, waits, &mut attempt));
            let paid = mem::take(&mut self.paid);
            match served {
                Ok(done) => return Ok(done),
                Err(error) => {
                    if paid && self.began.tries == tries {
                        self.first(&self.groups.groups)?.budget.put_back();
                    }
                    self.failed = Some(self.again(error)?);
                }
            }
        }
    }

    /// Visits the group and its fallbacks, each once. If nobody served, those of them once more that
    /// had no endpoint ready, to wait for one.
    pub(super) fn round<T>(
        &mut self,
        mut visit: impl FnMut(&mut Self, &Ready, bool) -> Result<T, ChatError>,
    ) -> Result<T, ChatError> {
        let all = self.groups.groups.clone();
        let (mut next, mut asked) = (vec![self.first(&all)?], Vec::<&Ready>::new());
        self.lingered = Duration::ZERO;
        let mut over = false;
        while let Some(ready) = next.pop().filter(|_| !over) {
            // Two groups may have the same fallback.
            if asked.iter().any(|group| group.name == ready.name) {
                continue;
            }
            asked.push(ready);
            self.visited = Instant::now();
            match visit(self, ready, false) {
                Ok(done) => return Ok(done),
                Err(error) => {
                    let kind = match error.kind() {
                        ErrorKind::NoLease => self.broke.unwrap_or(ErrorKind::NoLease),
                        kind => kind,
                    };
                    let onward = fallbacks(&all, ready, kind);
                    if moves_on(error.kind()) {
                        next.extend(onward);
                    } else {
                        // Only those for just this kind of error.
                        next = onward;
                    }
                    over = self.is_late();
                    self.keep(error);
                }
            }
        }
        for ready in &asked {
            if self.is_late() || self.failed.as_ref().is_some_and(|it| !moves_on(it.kind())) {
                break;
            }
            match visit(self, ready, true) {
                Ok(done) => return Ok(done),
                Err(error) => self.keep(error),
            }
        }
        if self.pause.is_some() {
            let back = |ready: &&Ready| ready.balancer.earliest().unwrap_or_default();
            self.back = asked.iter().map(back).min();
        }
        Err(self.told())
    }

    /// Tries the endpoints of one group until one serves, the others would not, or there are no
    /// more.
    fn group<T>(
        &mut self,
        ready: &Ready,
        waits: bool,
        attempt: &mut impl FnMut(Pick<ModelKey>, &mut Began) -> Result<T, Tried>,
    ) -> Result<T, ChatError> {
        let mut failed: Option<ChatError> = None;
        // The first try of each group is free: it adds nothing to the group's load.
        let mut costs = !self.paid && self.tried.iter().any(|(name, _)| *name == ready.name);
        loop {
            if costs && !ready.budget.withdraw() {
                let spent = "the retry budget is spent";
                return Err(match failed {
                    Some(error) => error.with_more(format_args!("and {spent}")),
                    None => ChatError::new(ErrorKind::NoLease, spent),
                });
            }
            let pick = match self.pick(ready, waits) {
                Ok(pick) => pick,
                Err(error) => {
                    if costs {
                        ready.budget.put_back();
                    }
                    // What a try met says more.
                    return Err(failed.unwrap_or_else(|| none_ready(&error)));
                }
            };
            let endpoint = pick.name().clone();
            let Tried { error, pick } = match attempt(pick, &mut self.began) {
                Ok(done) => return Ok(done),
                Err(tried) => tried,
            };
            let error = error
                .with_more(format_args!("endpoint \"{endpoint}\" of group \"{}\"", ready.name));
            match pick {
                Some(pick) => {
                    pick.failure(failure(&error));
                    self.began.tries = self.began.tries.saturating_add(1);
                    self.began.seen = self.began.seen.max(error.seen());
                    (costs, self.paid) = (true, false);
                }
                None if costs => ready.budget.put_back(),
                None => {}
            }
            if self.is_late() || !moves_on(error.kind()) {
                self.pause = None;
                return Err(error);
            }
            self.pause = [self.pause, error.pause()].into_iter().flatten().min();
            say!(
                Info,
                {
                    group = *ready.name,
                    endpoint = *endpoint,
                    event = "moved_on",
                    reason:% = error,
                },
                "group \"{}\": endpoint \"{endpoint}\" failed, others are tried: {error}",
                ready.name
            );
            failed = Some(says_more(failed, error));
        }
    }

    /// An endpoint of the group that this round has not tried.
    pub(super) fn pick(&mut self, ready: &Ready, waits: bool) -> Result<Pick<ModelKey>, PickError> {
        let of_group = self.tried.iter().filter(|(name, _)| *name == ready.name);
        let tried: Vec<_> = of_group.map(|(_, index)| *index).collect();
        let call = self.call.tried(&tried);
        let began = Instant::now();
        let left = self.began.until.map(|at| at.saturating_duration_since(began));
        let most = left.unwrap_or_else(|| ready.wait_timeout.get().saturating_sub(self.lingered));
        let linger = ready.fallback_after.get().saturating_sub(self.visited.elapsed()).min(most);
        let patience = if waits && self.tried.is_empty() { most } else { linger };
        let mut picked = ready.balancer.pick_within(call, patience);
        if let (true, Err(PickError::NoneReady { why, .. })) = (waits, &picked) {
            // Room comes soon. A rest may take long, and after a try there may be a pause for it.
            if why.is_for_room() {
                picked = ready.balancer.pick_within(call, most.saturating_sub(began.elapsed()));
            }
        }
        let waited = began.elapsed();
        self.began.waited = self.began.waited.saturating_add(waited);
        self.lingered = self.lingered.saturating_add(waited);
        let pick = picked?;
        self.lingered = Duration::ZERO;
        let is_new = ready.name != self.name && !self.tried.iter().any(|(at, _)| *at == ready.name);
        if is_new && self.began.pauses == 0 {
            ready.budget.deposit();
        }
        self.tried.push((ready.name.clone(), pick.index()));
        Ok(pick)
    }

    /// Pauses before the next round, holding nothing, and returns the error if there is to be one.
    ///
    /// # Errors
    /// The same error if there is not.
    fn again(&mut self, error: ChatError) -> Result<ChatError, ChatError> {
        let Some(pause) = self.pause.take() else { return Err(error) };
        let groups = self.groups.groups.clone();
        let first = self.first(&groups)?;
        // Those who rest would not be asked after the pause either.
        let back = self.back.take().unwrap_or_default();
        let pause = pause.max(back);
        let too_long = match self.began.until {
            Some(at) => at.saturating_duration_since(Instant::now()) <= pause,
            None => back > first.wait_timeout.get(),
        };
        let pool = &self.groups.pool;
        if too_long || !first.budget.withdraw() {
            return Err(error);
        }
        let name = &first.name;
        say!(
            Info,
            {
                group = **name,
                event = "tries_again",
                pause = pause.as_secs_f64(),
                reason:% = error,
            },
            "group \"{name}\": no endpoint serves, and they are tried again in {pause:.1?}: {error}"
        );
        pool.pause(pause);
        if pool.is_closed() {
            return Err(
                error.with_more("and for another try there was no client: the pool is closed")
            );
        }
        self.paid = true;
        self.tried.clear();
        self.began.pauses = self.began.pauses.saturating_add(1);
        Ok(error)
    }

    /// The stream of the last try failed in this way, or was given up: another may follow.
    pub(super) fn broke(&mut self, how: Option<ErrorKind>) {
        self.began.tries = self.began.tries.saturating_add(1);
        // Its answer had begun.
        self.began.seen = Seen::Yes;
        self.broke = how;
        // What the tries before it met is no matter now.
        (self.failed, self.pause) = (None, None);
    }

    /// For who wants one more try after the deadline.
    pub(super) fn too_late(&mut self) -> ChatError {
        let what = "the deadline has passed, and nobody else is asked";
        self.of_tries(ChatError::new(ErrorKind::TimedOut, what))
    }

    /// Pays for one more try after a stream that broke.
    pub(super) fn pay(&mut self) -> Result<(), ChatError> {
        let groups = self.groups.groups.clone();
        if self.first(&groups)?.budget.withdraw() {
            self.paid = true;
            return Ok(());
        }
        Err(self.of_tries(ChatError::new(ErrorKind::NoLease, "the retry budget is spent")))
    }

    pub(super) fn is_late(&self) -> bool {
        self.began.until.is_some_and(|at| at <= Instant::now())
    }

    fn keep(&mut self, error: ChatError) {
        self.failed = Some(says_more(self.failed.take(), error));
    }

    /// What the call met, over all of its tries.
    fn told(&mut self) -> ChatError {
        match self.failed.take() {
            // Of no try.
            Some(error) if error.kind() == ErrorKind::NoLease => self.of_tries(error),
            Some(error) => error,
            None => ChatError::invalid("no group was asked"),
        }
    }

    /// An error of no try, after those that there were.
    fn of_tries(&self, error: ChatError) -> ChatError {
        error.after(self.began.tries.saturating_sub(1)).with_seen(self.began.seen)
    }

    fn first<'g>(&self, all: &'g All) -> Result<&'g Ready, ChatError> {
        all.get(&*self.name).ok_or_else(|| ChatError::invalid("the group is gone"))
    }
}

/// The later error, unless it only says that nobody was asked.
fn says_more(before: Option<ChatError>, error: ChatError) -> ChatError {
    match before {
        Some(before) if error.kind() == ErrorKind::NoLease => before,
        _ => error,
    }
}

/// Where to go on after an error of this kind, the next one last.
fn fallbacks<'g>(all: &'g All, ready: &'g Ready, kind: ErrorKind) -> Vec<&'g Ready> {
    let by_cause = ready.fallbacks_for.iter().filter(|(of, _)| *of == kind);
    let by_cause = by_cause.map(|(_, name)| name);
    // What another model would refuse as well goes only where its cause is named.
    let general = ready.fallbacks.iter().filter(|_| moves_on(kind));
    let mut groups: Vec<_> = by_cause.chain(general).filter_map(|name| all.get(name)).collect();
    groups.reverse();
    groups
}

pub(super) fn none_ready(error: &PickError) -> ChatError {
    let earliest = match error {
        PickError::NoneReady { earliest, .. } => *earliest,
        PickError::AllTried { .. } => None,
    };
    ChatError::new(ErrorKind::NoLease, error).with_retry_after(earliest)
}
