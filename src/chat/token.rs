//! Tokens that expire, fetched once for all who need one.
//!
//! A token is none, good, or being fetched by one thread. Good ones are renewed ahead of their end:
//! whoever comes first then fetches, while the others go on with the old one. Where there is no good
//! one, the others wait, each until its own deadline, and share what came of it, success or failure;
//! but not that whoever fetched ran out of time. Who comes after a failure tries anew.
//! The one lock guards this state; the source is asked, and lines are logged, without it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ureq::Agent;
use ureq::http::HeaderValue;

use super::error::ChatError;
use super::error_kind::ErrorKind;
use super::hide::without_secret;
use crate::agent::AgentManager;
use crate::agent::headers::visible;
use crate::caught::{caught, say};
use crate::clock::{Clock, Time};
use crate::pool::{Manage, Terms};
use crate::sync::{Condvar, Mutex};

/// Where tokens come from, such as an OAuth server.
///
/// ```
/// use llm_pool::chat::{ChatError, Token, TokenSource};
/// use llm_pool::ureq::Agent;
/// use std::time::Duration;
///
/// struct FromFile;
///
/// impl TokenSource for FromFile {
///     fn fetch(&self, _: &Agent) -> Result<Token, ChatError> {
///         let token = std::fs::read_to_string("token").map_err(ChatError::invalid)?;
///         Ok(Token::new(token.trim()).expires_in(Duration::from_secs(3600)))
///     }
/// }
/// ```
pub trait TokenSource: Send + Sync + 'static {
    /// Fetches a token. May block: called by one thread at a time, and without a lock held.
    /// `agent` is for this alone; it keeps to the caller's deadline and has the root certificates
    /// of the provider.
    ///
    /// # Errors
    /// Why there is none, without a secret in it.
    fn fetch(&self, agent: &Agent) -> Result<Token, ChatError>;

    /// Whether tokens can be had at all, as far as can be seen without asking anybody: called once,
    /// when the pool is built. Default yes.
    ///
    /// # Errors
    /// What is wrong with the settings, without a secret in it; no pool is built then.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// What is sent as `Authorization: Bearer`.
///
/// `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    secret: String,
    expires_in: Option<Duration>,
}

impl Token {
    /// A token that is good until the server refuses it.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self { secret: secret.into(), expires_in: None }
    }

    /// It is good for so long from now on. Zero is taken for no time, since nobody gives out what is
    /// good for nothing.
    #[must_use]
    pub fn expires_in(mut self, time: Duration) -> Self {
        self.expires_in = Some(time).filter(|time| !time.is_zero());
        self
    }

    /// It is good until then, by this machine's clock. A time that has passed says that one of the
    /// two clocks is wrong, and is taken for no time.
    #[must_use]
    pub fn expires_at(mut self, at: SystemTime) -> Self {
        self.expires_in = at.duration_since(SystemTime::now()).ok().filter(|left| !left.is_zero());
        self
    }
}

#[cfg(test)]
impl Token {
    pub(super) fn time(&self) -> Option<Duration> {
        self.expires_in
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// A token is renewed when so much of its time is left.
const MARGIN: Duration = Duration::from_secs(60);

/// A renewal ahead of time that failed is not repeated sooner.
const REST: Duration = Duration::from_secs(10);

/// A renewal ahead of time takes no longer, and no more than half of its caller's time: the caller
/// has a token that is good, and a call to make.
const EARLY: Duration = Duration::from_secs(5);

/// No fetch takes longer, so that a server that hangs does not hold up those without a deadline.
const LONGEST: Duration = Duration::from_secs(60);

/// So many tokens are remembered, not to be shown in errors.
const KNOWN: usize = 4;

/// The token of one provider's account.
pub(crate) struct SharedToken {
    source: Arc<dyn TokenSource>,
    agents: AgentManager,
    clock: Clock,
    /// Never held while the source is asked.
    state: Mutex<State>,
    /// A fetch has ended.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    good: Option<Good>,
    /// Somebody fetches one.
    fetching: bool,
    /// How many fetches have ended.
    fetches: u64,
    /// How many threads wait for one, for tests.
    #[cfg(test)]
    waiting: usize,
    /// The last tokens, the newest last: a stream may outlive the one that it began with.
    known: VecDeque<Arc<HeaderValue>>,
    /// What the last fetch failed with, if that concerns others.
    failure: Option<ChatError>,
}

#[derive(Clone)]
struct Good {
    value: Arc<HeaderValue>,
    /// When to renew it, and when it is over.
    renew_at: Time,
    until: Time,
}

/// A token to send.
pub(crate) struct Sendable {
    pub(crate) value: Arc<HeaderValue>,
    /// It was fetched for this very call, so another one would be no better.
    pub(crate) fresh: bool,
}

impl SharedToken {
    pub(crate) fn new(source: Arc<dyn TokenSource>, agents: &AgentManager) -> Self {
        Self::with_clock(source, agents, Clock::system())
    }

    /// With a clock that a test moves.
    fn with_clock(source: Arc<dyn TokenSource>, agents: &AgentManager, clock: Clock) -> Self {
        let agents = agents.with_own_totals();
        Self { source, agents, clock, state: Mutex::default(), ended: Condvar::new() }
    }

    /// A good token, fetched if need be. Blocks for `remaining` at most, if there is such a limit.
    pub(crate) fn get(&self, remaining: Option<Duration>) -> Result<Sendable, ChatError> {
        let deadline = remaining.map_or(Time::NEVER, |left| self.clock.now().after(left));
        let mut state = self.state.lock();
        let mut awaited = None;
        loop {
            let now = self.clock.now();
            let good = state.good.clone().filter(|good| now < good.until);
            let usable = good.as_ref().filter(|good| now < good.renew_at || state.fetching);
            if let Some(good) = usable {
                return Ok(Sendable { value: good.value.clone(), fresh: awaited.is_some() });
            }
            // Also while somebody who came later tries anew.
            if awaited.is_some_and(|fetches| state.fetches > fetches) {
                if let Some(failure) = &state.failure {
                    return Err(failure.shared());
                }
            }
            if !state.fetching {
                state.fetching = true;
                drop(state);
                return self.fetch(deadline, good);
            }
            awaited.get_or_insert(state.fetches);
            let left = deadline.since(now);
            if left.is_zero() {
                let what = "no token came in time: another thread waits for one";
                return Err(ChatError::new(ErrorKind::TimedOut, what));
            }
            #[cfg(test)]
            {
                state.waiting += 1;
            }
            self.clock.wait(&self.ended, &mut state, left);
            #[cfg(test)]
            {
                state.waiting -= 1;
            }
        }
    }

    /// Forgets a token that a server has refused, unless another one has taken its place.
    pub(crate) fn refused(&self, value: &HeaderValue) {
        let mut state = self.state.lock();
        if state.good.as_ref().is_some_and(|good| *good.value == *value) {
            state.good = None;
        }
    }

    /// `text` without the tokens that may still be in use.
    pub(super) fn hidden(&self, text: String) -> String {
        let known = self.state.lock().known.clone();
        known
            .iter()
            .filter_map(|value| value.to_str().ok()?.rsplit(' ').next())
            .fold(text, without_secret)
    }

    /// By the one thread that said it would.
    fn fetch(&self, deadline: Time, old: Option<Good>) -> Result<Sendable, ChatError> {
        let began = self.clock.now();
        let left = deadline.since(began);
        let (most, left) = if old.is_some() { (EARLY, left / 2) } else { (LONGEST, left) };
        let longest = most.min(left);
        let fetched = self.ask(began.after(longest));
        let now = self.clock.now();
        let mut state = self.state.lock();
        state.fetching = false;
        state.fetches += 1;
        self.ended.notify_all();
        let error = match fetched {
            Ok((value, expires_in)) => {
                let value = Arc::new(value);
                let until = expires_in.map_or(Time::NEVER, |time| now.after(time));
                // Half of a short life is better than none.
                let margin = |time: Duration| MARGIN.min(time / 2);
                let renew_at =
                    expires_in.map_or(Time::NEVER, |time| now.after(time - margin(time)));
                state.failure = None;
                // One that comes again must not push out the others.
                state.known.retain(|known| *known != value);
                if state.known.len() == KNOWN {
                    state.known.pop_front();
                }
                state.known.push_back(value.clone());
                state.good = Some(Good { value: value.clone(), renew_at, until });
                return Ok(Sendable { value, fresh: true });
            }
            Err(error) => error,
        };
        // Nobody may have had it refused meanwhile.
        let kept = old.filter(|old| {
            let same = state.good.as_ref().is_some_and(|good| good.value == old.value);
            same && now < old.until
        });
        if let Some(old) = kept {
            let value = old.value.clone();
            state.good = Some(Good { renew_at: now.after(REST), ..old });
            drop(state);
            say!(
                Warn,
                { event = "token_kept", reason:% = error },
                "a token could not be renewed ahead of its end: {error}"
            );
            return Ok(Sendable { value, fresh: false });
        }
        // Others have more time than this caller had, and one of them fetches next.
        let hurried = error.kind() == ErrorKind::TimedOut && longest < most;
        state.failure = (now < deadline && !hurried).then(|| error.shared());
        Err(error)
    }

    /// Must not panic, or nobody would ever fetch again.
    fn ask(&self, deadline: Time) -> Result<(HeaderValue, Option<Duration>), ChatError> {
        let no_agent = |error| ChatError::new(ErrorKind::Invalid, error);
        let mut agent = self.agents.create().map_err(no_agent)?;
        let remaining = deadline.since(self.clock.now());
        self.agents.lend(&mut agent, Terms::default().remaining(Some(remaining)));
        let panicked = |said| {
            ChatError::new(
                ErrorKind::Unauthorized,
                format_args!("the token source panicked: {said}"),
            )
        };
        let token = caught(|| self.source.fetch(&agent)).map_err(panicked)??;
        // What is around it would not come to the server as part of it.
        let secret = token.secret.trim_matches(' ');
        if secret.is_empty() {
            return Err(ChatError::malformed("the token is empty"));
        }
        let mut value = visible(&format!("Bearer {secret}"))
            .ok_or_else(|| ChatError::malformed("the token is no visible ASCII"))?;
        value.set_sensitive(true);
        Ok((value, token.expires_in))
    }
}

#[cfg(test)]
mod tests;
