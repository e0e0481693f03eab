//! A pool's observer, told after the lock. A pool without one pays a branch for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::manage::Manage;
use super::observer::Observer;
use super::permits::SharedLimit;
use super::shared::Shared;
use super::slots::News;
use crate::caught::{caught, one_line, say};

pub(super) struct Watching {
    observer: Arc<dyn Observer>,
    /// A panic was logged.
    panicked: AtomicBool,
}

impl Watching {
    pub(super) fn new(observer: Arc<dyn Observer>) -> Self {
        Self { observer, panicked: AtomicBool::new(false) }
    }
}

impl<M: Manage> Shared<M> {
    #[inline]
    pub(super) fn tell_got(&self, waited: Duration) {
        if self.watching.is_some() {
            self.observe(|observer| observer.got(self.name(), waited));
        }
    }

    #[inline]
    pub(super) fn tell_put_back(&self, held: Option<Duration>) {
        if self.watching.is_some() {
            if let Some(held) = held {
                self.observe(|observer| observer.put_back(self.name(), held));
            }
        }
    }

    pub(super) fn tell_create_failed(&self, message: &str) {
        self.observe(|observer| observer.create_failed(self.name(), message));
    }

    pub(super) fn tell_timed_out(&self, waited: Duration, limit: Option<&SharedLimit>) {
        self.observe(|observer| observer.timed_out(self.name(), waited, limit));
    }

    pub(super) fn tell_news(&self, news: Vec<News>) {
        let pool = self.name();
        for news in news {
            self.observe(|observer| match &news {
                News::Created { took } => observer.created(pool, *took),
                News::Detached { held } => observer.detached(pool, *held),
                News::Evicted(reason) => observer.evicted(pool, *reason),
                News::Changed(change) => observer.state_changed(pool, change),
            });
        }
    }

    // Out of line: the path of a pool without an observer stays short.
    #[cold]
    #[inline(never)]
    fn observe(&self, tell: impl FnOnce(&dyn Observer)) {
        let Some(Watching { observer, panicked }) = &self.watching else { return };
        if let Err(said) = caught(|| tell(&**observer)) {
            // Relaxed: it guards no other memory.
            if !panicked.swap(true, Ordering::Relaxed) {
                let (pool, said) = (self.name(), one_line(&said));
                say!(
                    Error,
                    { pool = **pool, key:? = self.key(), event = "panicked", reason = *said },
                    "pool \"{pool}\": its observer panicked, which is logged once: {said}"
                );
            }
        }
    }
}
