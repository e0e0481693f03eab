//! Many threads, all limits and rests at once, by the system's clock: whoever may have an endpoint
//! gets it, and whoever may not is told in time.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use super::*;

const THREADS: u64 = 32;
/// After each, nothing is under way: who then still sleeps was not woken.
const BURSTS: u64 = 15;
const CALLS: u64 = 3;
const TOKENS_PER_MINUTE: u32 = 600_000_000;
const PATIENT: Duration = Duration::from_secs(60);
/// What two busy cores may be late by.
const LATE: Duration = Duration::from_secs(1);

/// Xorshift, after Marsaglia.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        for shift in [13, -7, 17] {
            self.0 ^= if shift > 0 { self.0 << shift } else { self.0 >> -shift };
        }
        self.0 % most
    }
}

/// All of them can be full or rest at one time, each for some milliseconds.
fn stormy() -> Balancer<u8> {
    let capped = Limits::default().max_in_use(2);
    let rated = Limits::default().tokens_per_minute(TOKENS_PER_MINUTE).max_in_use(3);
    let adaptive = Limits::default().max_in_use(4).adaptive(Adaptive::default());
    let limits = [capped.clone(), capped, rated, adaptive];
    let endpoints = named(4).into_iter().zip(limits).map(|(one, limits)| one.limits(limits));
    let cooldown = Cooldown::default().base_rest(MS(1)).max_rest(MS(8)).max_resting(1.0);
    let config = BalanceConfig::default().cooldown(cooldown.rest_last(true));
    let balancer = Balancer::new(config, endpoints).unwrap();
    // The minute's amount that there is at first.
    let all = Call::new().tried(&[0, 1, 3]).tokens(TOKENS_PER_MINUTE.into());
    balancer.pick(all).unwrap().success();
    balancer
}

fn end(mut pick: Pick<u8>, dice: &mut Dice) {
    if dice.below(4) == 0 {
        thread::sleep(Duration::from_micros(dice.below(1500)));
    }
    if dice.below(20) == 0 {
        let mut said = RateLimits::default();
        said.requests.limit = Some(100);
        said.requests.remaining = Some(dice.below(5));
        said.requests.reset = Some(MS(1 + dice.below(9)));
        pick.told(&said);
    }
    pick.used(dice.below(40_000));
    match dice.below(16) {
        0 => pick.failure(Failure::from(Cause::RateLimited).retry_after(MS(dice.below(8)))),
        1 => pick.failure(Cause::Overloaded),
        2 => pick.failure(Cause::Client),
        3 => drop(pick),
        4 => pick.unsent(),
        _ => pick.success(),
    }
}

/// One call: served in time, or told what kept it, of each endpoint that it could have had.
fn call(balancer: &Balancer<u8>, dice: &mut Dice) {
    let tried: Vec<_> = (0..4).filter(|_| dice.below(4) == 0).take(3).collect();
    let mut call = Call::new().tried(&tried);
    if dice.below(2) == 0 {
        call = call.tokens(dice.below(50_000));
    }
    if dice.below(4) == 0 {
        call = call.key_hash(dice.below(9));
    }
    let timeout = if dice.below(3) == 0 { MS(dice.below(20)) } else { PATIENT };
    let began = Instant::now();
    let picked = balancer.pick_within(call, timeout);
    let waited = began.elapsed();
    assert!(waited < timeout.min(SECS(1)) + LATE, "{waited:?} of {timeout:?}, not {tried:?}");
    match picked {
        Ok(pick) => {
            assert!(!tried.contains(&pick.index()));
            end(pick, dice);
        }
        Err(PickError::NoneReady { earliest, why, .. }) => {
            assert!(timeout < PATIENT, "{why:?}");
            let kept = why.resting + why.probing + why.full + why.limited + why.promised;
            assert_eq!(kept, 4 - tried.len(), "{why:?}");
            assert!(why.promised == 0 || why.ahead > 0, "{why:?}");
            // Before its time only where waiting is in vain.
            let vain = why.probing + why.full + why.promised == 0;
            assert!(waited >= timeout || (vain && earliest > Some(Duration::ZERO)), "{why:?}");
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn in_a_storm_nobody_sleeps_who_could_be_served_and_all_is_put_back() {
    let balancer = stormy();
    let barrier = Barrier::new(THREADS as usize);
    let began = Instant::now();
    let wrong = thread::scope(|scope| {
        let threads: Vec<_> = (1..=THREADS)
            .map(|number| {
                let (balancer, barrier) = (&balancer, &barrier);
                scope.spawn(move || {
                    let mut dice = Dice(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                    let mut wrong = Vec::new();
                    for _ in 0..BURSTS {
                        for _ in 0..CALLS {
                            // A thread that is gone would hold up the others at the barrier.
                            wrong.extend(caught(|| call(balancer, &mut dice)).err());
                        }
                        barrier.wait();
                    }
                    wrong
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
    let stats = balancer.stats();
    assert_eq!(stats.waiting, 0);
    for one in &stats.endpoints {
        assert_eq!(one.in_use, 0);
        assert_eq!(one.picks, one.successes + one.failures.total() + one.abandoned);
        assert!(one.picks > 0 && one.health != Health::Probing);
    }
    println!("{:?}", began.elapsed());
}
