//! How many requests and tokens a minute one endpoint allows: what is set, and what it says itself.
//! Plain data that is told the time and takes no lock.
//!
//! # Buckets
//!
//! One of requests and one of tokens. Each holds a minute's amount and refills while time passes, which
//! is how Anthropic describes its limits (a token bucket, refilled continuously rather than at fixed
//! times, <https://platform.claude.com/docs/en/api/rate-limits>), and what the example of OpenAI's
//! headers shows (59 of 60 requests left, all there again in a second,
//! <https://platform.openai.com/docs/guides/rate-limits>). A provider may hold a client to shorter times
//! than a minute, as Anthropic warns, and refuse a burst that the bucket here allows.
//!
//! ```text
//!   begin: takes 1 and a reservation ──▶ under way ──▶ settle: takes or returns the difference
//!                                            └───────▶ give_back, if it was never sent
//! ```
//!
//! How many tokens an answer will have is not known ahead. A call reserves what its caller expects, else
//! the mean of the last calls, and may begin when so much is there; its end may run into debt, which
//! later calls wait off. What is returned is there from then on, even if the bucket was full meanwhile.
//!
//! # What the endpoint says
//!
//! What it says is left lowers a bucket and never fills it: answers come late and out of order. Its
//! limit counts while it is lower than what is set, and where nothing is set. Of a limit without what
//! is left, or without when all is there again, nothing is learnt; of what is left without a limit,
//! so much may be asked until then. A limit of 0 is no limit, as some gateways send it for what they do
//! not know. What is said is forgotten an hour after it was said last, so that nothing a server says
//! rests an endpoint for ever.
//!
//! Of Anthropic's headers, `requests` and `tokens` count. Those of `tokens` are of the workspace where
//! its limit is what binds, else the sums of the limits of input and output. A call may thus still
//! be refused for one of these two alone; that is for the cooldown.
//!
//! # Why not `governor`
//!
//! As of 0.10.4, which admits the same calls at the same times, save for its rounding (there is a test):
//!
//! - A limiter only takes. Nothing is returned to it, and it takes nothing that is not there, so
//!   the difference between reservation and use has no place in it: no debt, no giving back.
//! - Its quota cannot change and what is left cannot be set, so nothing can be learnt from an answer.
//! - More than its burst is an error (`InsufficientCapacity`), not a wait for all there is.
//! - What is left is told only to who takes some.
//! - It waits in async code alone, and in no order.
//! - It has a clock and an atomic state of its own, where here all is under the lock of the books.
//! - It rounds the time for one down to whole nanoseconds: of `u32::MAX` a minute it admits 7% more.
//!
//! Its `StateStore` can be implemented outside, and such a store could be written to. Then all of the
//! above would be reckoned here, on the store, and of the crate one comparison would be left.

use crate::clock::Time;

use super::bucket::{Bucket, MOST};
use super::rate_limits::{RateLimit, RateLimits};

pub(super) struct Rates {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    /// Of what calls used, the latest weighing an eighth (as in TCP's mean of round trips, RFC 6298).
    mean: Option<f64>,
    /// All that ever began, for what an endpoint cannot have counted yet.
    begun: Counts,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    requests: u64,
    tokens: u64,
}

/// Of a call under way: what it took, and where the counts stood when it had.
#[derive(Clone, Copy)]
pub(super) struct Reserved {
    tokens: u64,
    /// Whether there was a bucket to take them from; one that was learnt since has nothing of it.
    of_requests: bool,
    of_tokens: bool,
    begun: Counts,
    at: Time,
}

impl Rates {
    /// Full. None is no limit but what the endpoint says.
    pub(super) fn new(
        requests_per_minute: Option<u32>,
        tokens_per_minute: Option<u32>,
        now: Time,
    ) -> Self {
        let bucket = |limit: Option<u32>| limit.map(|limit| Bucket::per_minute(limit, now));
        Self {
            requests: bucket(requests_per_minute),
            tokens: bucket(tokens_per_minute),
            mean: None,
            begun: Counts::default(),
        }
    }

    /// Whether nothing is set and nothing learnt; calls then may begin at once. What is forgotten is
    /// noticed when the next call begins.
    #[inline]
    pub(super) fn is_off(&self) -> bool {
        self.requests.is_none() && self.tokens.is_none()
    }

    /// When a call may begin that needs about so many tokens, or as many as the last calls if that is
    /// none; `now` or earlier if at once. A need above the whole capacity counts as the capacity, so
    /// this is never [`Time::NEVER`]. Another call may begin by then: ask again.
    pub(super) fn ready_at(&self, tokens: impl Into<Option<u64>>, now: Time) -> Time {
        let tokens = self.need(tokens.into());
        let ready = |bucket: &Option<Bucket>, count| {
            bucket.as_ref().map_or(now, |bucket| bucket.ready_at(count, now))
        };
        ready(&self.requests, 1).max(ready(&self.tokens, tokens))
    }

    /// A call begins, whether or not it is time. Also where [`is_off`](Self::is_off): what is learnt
    /// later needs the counts.
    pub(super) fn begin(&mut self, tokens: Option<u64>, now: Time) -> Reserved {
        self.forget(now);
        let capacity = self.tokens.as_ref().and_then(|bucket| bucket.capacity(now));
        let tokens = self.need(tokens).min(capacity.unwrap_or(u64::MAX));
        if let Some(requests) = &mut self.requests {
            requests.take(1, now);
        }
        if let Some(bucket) = &mut self.tokens {
            bucket.take(tokens, now);
        }
        self.begun.requests = self.begun.requests.saturating_add(1);
        self.begun.tokens = self.begun.tokens.saturating_add(tokens);
        let (of_requests, of_tokens) = (self.requests.is_some(), self.tokens.is_some());
        Reserved { tokens, of_requests, of_tokens, begun: self.begun, at: now }
    }

    /// It used so many tokens; of none, the reservation stands.
    pub(super) fn settle(&mut self, reserved: Reserved, used: Option<u64>, now: Time) {
        let Some(used) = used else { return };
        if let Some(bucket) = self.tokens.as_mut().filter(|_| reserved.of_tokens) {
            if used > reserved.tokens {
                bucket.owe(used - reserved.tokens, now);
            } else {
                bucket.put_back(reserved.tokens - used, now);
            }
        }
        let capacity = self.tokens.as_ref().and_then(|bucket| bucket.capacity(now));
        // What a server claims to have used must not weigh on the calls that follow for long.
        let used = used.min(capacity.unwrap_or(MOST)) as f64;
        self.mean = Some(self.mean.map_or(used, |mean| mean + (used - mean) / 8.0));
    }

    /// It was never sent. A call that was sent counts even if it failed, as OpenAI documents.
    pub(super) fn give_back(&mut self, reserved: Reserved, now: Time) {
        if let Some(requests) = self.requests.as_mut().filter(|_| reserved.of_requests) {
            requests.put_back(1, now);
        }
        if let Some(tokens) = self.tokens.as_mut().filter(|_| reserved.of_tokens) {
            tokens.put_back(reserved.tokens, now);
        }
    }

    /// What the endpoint said in the answer to the call of `reserved`; best told when the headers are
    /// there, not when all of a stream is.
    pub(super) fn told(&mut self, reserved: Reserved, limits: &RateLimits, now: Time) {
        let ago = now.since(reserved.at);
        let hear = |bucket: &mut Option<Bucket>, said: &RateLimit, begun| {
            if said.is_known() {
                bucket.get_or_insert_with(|| Bucket::unset(now)).hear(said, begun, ago, now);
            }
        };
        let (begun, then) = (self.begun, reserved.begun);
        let requests = begun.requests.saturating_sub(then.requests);
        hear(&mut self.requests, &limits.requests, requests);
        hear(&mut self.tokens, &limits.tokens, begun.tokens.saturating_sub(then.tokens));
        self.forget(now);
    }

    /// Requests and tokens that are left, for statistics: none without a limit, zero in debt.
    pub(super) fn left(&self, now: Time) -> (Option<u64>, Option<u64>) {
        let left = |bucket: &Option<Bucket>| bucket.as_ref().and_then(|bucket| bucket.left(now));
        (left(&self.requests), left(&self.tokens))
    }

    fn need(&self, tokens: Option<u64>) -> u64 {
        tokens.unwrap_or_else(|| self.mean.unwrap_or(0.0).round() as u64)
    }

    fn forget(&mut self, now: Time) {
        for bucket in [&mut self.requests, &mut self.tokens] {
            if bucket.as_ref().is_some_and(|bucket| bucket.is_off(now)) {
                *bucket = None;
            }
        }
    }
}
