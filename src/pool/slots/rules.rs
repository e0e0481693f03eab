//! The settings that the books go by.

use std::time::Duration;

use super::super::config::{PoolConfig, WhenUnhealthy};
use super::queue::MOMENT;

pub(super) struct Rules {
    pub(super) max_size: usize,
    pub(super) min_idle: usize,
    pub(super) max_waiting: usize,
    pub(super) admission: bool,
    pub(super) max_creating: usize,
    pub(super) max_uses: u64,
    pub(super) max_check_failures: u32,
    pub(super) check_timeout: Duration,
    pub(super) when_unhealthy: WhenUnhealthy,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) max_lifetime: Option<Duration>,
    pub(super) check_interval: Option<Duration>,
    pub(super) maintenance_interval: Duration,
    pub(super) leak_after: Option<Duration>,
    pub(super) nearly_full: Option<u8>,
    /// Whether somebody is to be told the news.
    pub(super) is_observed: bool,
    /// More in use than this is nearly full.
    pub(super) full_above: usize,
    /// How long a waiter may be overtaken. Not at all by a clock that a test moves: such a moment
    /// might never end.
    pub(super) moment: Duration,
}

impl Rules {
    pub(super) fn new(config: &PoolConfig) -> Self {
        let mut rules = Self {
            max_size: 0,
            min_idle: config.min_idle_or_default(),
            max_waiting: config.max_waiting.unwrap_or(usize::MAX),
            admission: config.admission,
            max_creating: config.max_creating,
            max_uses: config.max_uses.unwrap_or(u64::MAX),
            max_check_failures: config.max_check_failures,
            check_timeout: config.check_timeout,
            when_unhealthy: config.when_unhealthy.unwrap_or(WhenUnhealthy::Replace),
            idle_timeout: config.idle_timeout,
            max_lifetime: config.max_lifetime,
            check_interval: config.check_interval,
            maintenance_interval: config.maintenance_interval,
            leak_after: config.leak_after,
            nearly_full: config.nearly_full,
            is_observed: config.observer.is_some(),
            full_above: usize::MAX,
            moment: if has_moments(config) { MOMENT } else { Duration::ZERO },
        };
        rules.set_max_size(config.max_size);
        rules
    }

    pub(super) fn set_max_size(&mut self, max_size: usize) {
        self.max_size = max_size;
        // Wide, since a cap may be as good as none.
        let share = self.nearly_full.map(|share| max_size as u128 * u128::from(share) / 100);
        self.full_above = share.and_then(|share| share.try_into().ok()).unwrap_or(usize::MAX);
    }
}

fn has_moments(config: &PoolConfig) -> bool {
    #[cfg(llm_pool_shuttle)]
    if crate::sync::may_overtake() {
        return true;
    }
    config.clock.is_system()
}
