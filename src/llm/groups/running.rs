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
use crate::balance::{Call, Health, Pick, PickError};
use crate::caught::say;
use crate::chat::{Began, ChatError, ErrorKind, Seen};
use crate::keyed::ModelKey;

/// A call on its way. Owns all that it needs, for it may outlive the function that began it.
pub(super) struct Running {
    pub(super) groups: ModelGroups,
    /// Of the group that was asked.
    name: Arc<str>,
    call: Call<'static>,
    pub(super) began: Began,
    /// The endpoints tried in this round, each with its group.
    tried: Vec<(Arc<str>, usize)>,
    /// Whether an endpoint was picked in this round.
    picked: bool,
    /// Whether the next try is paid for.
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

/// The pool had no client, which is not the endpoint's doing.
impl From<ChatError> for Tried {
    fn from(error: ChatError) -> Self {
        Self { error, pick: None }
    }
}

type All = BTreeMap<String, Ready>;

impl Running {
    pub(super) fn new(
        groups: &ModelGroups,
        name: &str,
        conversation: Option<&str>,
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
            call: conversation.map_or_else(Call::new, |text| Call::new().key(text)),
            began: Began::now(within),
            tried: Vec::new(),
            picked: false,
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
            let served = self.round(|call, ready, waits| call.group(ready, waits, &mut attempt));
            match served {
                Ok(done) => return Ok(done),
                Err(error) => self.failed = Some(self.again(error)?),
            }
        }
    }

    /// Visits the group and its fallbacks, each once. If no endpoint was well in any of them, the
    /// group once more, to wait.
    pub(super) fn round<T>(
        &mut self,
        mut visit: impl FnMut(&mut Self, &Ready, bool) -> Result<T, ChatError>,
    ) -> Result<T, ChatError> {
        let all = self.groups.groups.clone();
        let first = self.first(&all)?;
        let (mut waiting, mut asked) = (vec![first], Vec::<&Ready>::new());
        self.picked = false;
        while let Some(ready) = waiting.pop() {
            // Two groups may have the same fallback.
            if asked.iter().any(|group| group.name == ready.name) {
                continue;
            }
            asked.push(ready);
            match visit(self, ready, false) {
                Ok(done) => return Ok(done),
                Err(error) => {
                    if !self.is_late() {
                        let kind = match error.kind() {
                            ErrorKind::NoLease => self.broke.unwrap_or(ErrorKind::NoLease),
                            kind => kind,
                        };
                        waiting.extend(fallbacks(&all, ready, kind));
                    }
                    self.keep(error);
                }
            }
        }
        if !self.picked {
            match visit(self, first, true) {
                Ok(done) => return Ok(done),
                Err(error) => self.keep(error),
            }
        }
        if self.pause.is_some() {
            self.back = asked.iter().filter_map(|ready| back(ready)).min();
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
        loop {
            let pick = match self.pick(ready, waits) {
                Ok(pick) if self.may_try() => pick,
                picked => {
                    // What a try met says more.
                    return Err(failed.unwrap_or_else(|| match picked {
                        Ok(_) => ChatError::new(ErrorKind::NoLease, "the retry budget is spent"),
                        Err(error) => none_well(&error),
                    }));
                }
            };
            let endpoint = pick.name().clone();
            let Tried { error, pick } = match attempt(pick, &mut self.began) {
                Ok(done) => return Ok(done),
                Err(tried) => tried,
            };
            let error = error
                .with_more(format_args!("endpoint \"{endpoint}\" of group \"{}\"", ready.name));
            if let Some(pick) = pick {
                pick.failure(failure(&error));
                self.began.tries = self.began.tries.saturating_add(1);
                self.began.seen = self.began.seen.max(error.seen());
            }
            if self.is_late() || !moves_on(error.kind()) {
                self.pause = None;
                return Err(error);
            }
            self.pause = [self.pause, error.pause()].into_iter().flatten().min();
            say!(
                Info,
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
        let pick = if waits {
            let left = |at: Instant| at.saturating_duration_since(Instant::now());
            let timeout = self.began.until.map_or(ready.wait_timeout, left);
            ready.balancer.pick_within(call, timeout)?
        } else {
            ready.balancer.pick(call)?
        };
        self.picked = true;
        self.tried.push((ready.name.clone(), pick.index()));
        Ok(pick)
    }

    /// Has the endpoints of a group for those that this round has not tried.
    pub(super) fn forget(&mut self, ready: &Ready) {
        self.tried.retain(|(name, _)| *name != ready.name);
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
            None => back > first.wait_timeout,
        };
        let pool = &self.groups.pool;
        if too_long || !first.budget.withdraw() {
            return Err(error);
        }
        let name = &first.name;
        say!(
            Info,
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

    pub(super) fn is_late(&self) -> bool {
        self.began.until.is_some_and(|at| at <= Instant::now())
    }

    /// The first try is free. One that was not made, for want of a client, costs nothing.
    fn may_try(&mut self) -> bool {
        let free = self.began.tries == 0 || mem::take(&mut self.paid);
        free || self.groups.groups.get(&*self.name).is_some_and(|first| first.budget.withdraw())
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

/// In how long the first endpoint is back, zero if one is well or may be back at any time.
fn back(ready: &Ready) -> Option<Duration> {
    let stats = ready.balancer.stats();
    let back = stats.endpoints.iter().map(|endpoint| match endpoint.health {
        Health::Resting { remaining } => remaining,
        Health::Well | Health::Probing => Duration::ZERO,
    });
    back.min()
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

pub(super) fn none_well(error: &PickError) -> ChatError {
    let earliest = match error {
        PickError::NoneWell { earliest, .. } => *earliest,
        PickError::AllTried { .. } => None,
    };
    ChatError::new(ErrorKind::NoLease, error).with_retry_after(earliest)
}
