//! How many pings a peer may send.

use crate::clock::Time;

/// So many a second on the average; those of a minute may come at once, since nobody may have read
/// for as long.
pub(super) struct Allowance {
    left: f64,
    a_second: f64,
    at: Time,
}

/// Seconds' worth that may come at once.
const AT_ONCE: f64 = 60.0;

impl Allowance {
    pub(super) fn new(a_second: u32, now: Time) -> Self {
        let a_second = f64::from(a_second);
        Self { left: a_second * AT_ONCE, a_second, at: now }
    }

    /// False if it is used up.
    pub(super) fn take(&mut self, now: Time) -> bool {
        let more = now.since(self.at).as_secs_f64() * self.a_second;
        self.at = now;
        self.left = (self.left + more).min(self.a_second * AT_ONCE) - 1.0;
        if self.left < 0.0 {
            self.left = 0.0;
            return false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_worth_may_come_at_once_and_then_so_many_a_second() {
        let mut allowance = Allowance::new(10, Time::from_secs(100));
        assert!((0..600).all(|_| allowance.take(Time::from_secs(100))));
        assert!(!allowance.take(Time::from_secs(100)));
        assert!((0..20).all(|_| allowance.take(Time::from_secs(102))));
        assert!(!allowance.take(Time::from_secs(102)));
    }
}
