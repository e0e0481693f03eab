//! Every rule of the balancer, by a clock that is moved.

mod capping;
mod cooling;
mod limiting;
mod lines;
mod properties;
mod queueing;
mod rates;
mod rates_and_governor;
mod rates_told;
mod simulation;
mod storm;
mod strategies;
mod waiting;

use super::*;
use crate::ManualClock;

const MS: fn(u64) -> Duration = Duration::from_millis;
const SECS: fn(u64) -> Duration = Duration::from_secs;

/// Rests without chance, so that a test can say when they end.
fn config(time: &ManualClock) -> BalanceConfig {
    BalanceConfig::default().clock(time.clock()).seed(7).cooldown(Cooldown::default().jitter(0.0))
}

/// So many, named a, b, c and so on.
fn named(count: u8) -> Vec<Endpoint<u8>> {
    (0..count).map(|n| Endpoint::new(String::from(char::from(b'a' + n)), n)).collect()
}

fn balancer(config: BalanceConfig, count: u8) -> Balancer<u8> {
    Balancer::new(config, named(count)).unwrap()
}

/// A call to one endpoint of all.
fn pick_only(balancer: &Balancer<u8>, index: usize) -> Result<Pick<u8>, PickError> {
    let others: Vec<_> = (0..balancer.values().len()).filter(|other| *other != index).collect();
    balancer.pick(Call::new().tried(&others))
}

fn fail(balancer: &Balancer<u8>, index: usize, failure: impl Into<Failure>) {
    pick_only(balancer, index).unwrap().failure(failure);
}

fn health(balancer: &Balancer<u8>, index: usize) -> Health {
    balancer.stats().endpoints[index].health
}

fn resting(remaining: Duration) -> Health {
    Health::Resting { remaining }
}

#[test]
fn all_that_is_wrong_is_refused_in_one_error() {
    let config = BalanceConfig::default()
        .decay(Duration::ZERO)
        .cooldown(Cooldown::default().failure_ratio(0.0).min_sample(0));
    let weights = [0.0, -1.0, f64::NAN, f64::INFINITY];
    let endpoints = weights.map(|weight| Endpoint::new("same", ()).weight(weight));
    let error = Balancer::new(config, endpoints).unwrap_err();
    // Decay, ratio, sample, three names that were there before, four weights.
    assert_eq!(error.problems().len(), 10, "{error}");
    let none = Balancer::<()>::new(BalanceConfig::default(), []).unwrap_err();
    assert_eq!(none.problems(), ["endpoints: must be at least one"]);
}

#[test]
fn statistics_tell_of_every_pick_what_came_of_it() {
    let time = ManualClock::new();
    let balancer = balancer(config(&time), 1);
    for ms in 1..=100 {
        let pick = balancer.pick(Call::new()).unwrap();
        time.advance(MS(ms));
        assert_eq!(pick.elapsed(), MS(ms));
        pick.success();
    }
    balancer.pick(Call::new()).unwrap().report(Outcome::SuccessIn(MS(50)));
    balancer.pick(Call::new()).unwrap().failure(Cause::Server);
    balancer.pick(Call::new()).unwrap().failure(Cause::Client);
    drop(balancer.pick(Call::new()).unwrap());
    let held = balancer.pick(Call::new()).unwrap();
    let stats = &balancer.stats().endpoints[0];
    assert_eq!((stats.picks, stats.successes, stats.abandoned, stats.in_use), (105, 101, 1, 1));
    assert_eq!((stats.failures.of(Cause::Server), stats.failures.total()), (1, 2));
    for (found, right) in [(stats.p50, 50), (stats.p95, 95), (stats.p99, 99)] {
        let off = found.unwrap().as_secs_f64() / MS(right).as_secs_f64();
        assert!((0.93..1.07).contains(&off), "{found:?} for {right} ms");
    }
    assert!(stats.latency > Some(MS(10)) && stats.latency < Some(MS(100)));
    drop(held);
    assert_eq!(balancer.stats().endpoints[0].in_use, 0);
}

#[test]
fn nothing_shows_the_values_of_endpoints() {
    let balancer = Balancer::new(BalanceConfig::default(), [Endpoint::new("a", "sk-key")]).unwrap();
    let pick = balancer.pick(Call::new()).unwrap();
    let endpoint = Endpoint::new("a", "sk-key");
    let shown = format!("{balancer:?} {pick:?} {endpoint:?}");
    assert!(!shown.contains("sk-key") && shown.contains("\"a\""), "{shown}");
    assert_eq!((*pick.value(), &**pick.name()), ("sk-key", "a"));
}

#[test]
fn a_value_or_strategy_whose_drop_panics_harms_nobody() {
    #[derive(Debug)]
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("gone");
        }
    }
    impl Strategy for Bomb {
        fn pick(&self, _: &Candidates<'_>, _: &Draw<'_>) -> usize {
            0
        }
    }
    let endpoints = [Endpoint::new("a", Bomb), Endpoint::new("b", Bomb)];
    let balancer = Balancer::new(BalanceConfig::default().strategy(Bomb), endpoints).unwrap();
    let pick = balancer.pick(Call::new()).unwrap();
    drop(balancer);
    pick.success();
}
