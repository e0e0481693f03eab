//! Random actions, and what must hold after each.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Act {
    Pick {
        tried: Vec<usize>,
        key: Option<u64>,
    },
    /// The call at this place of those under way.
    Report(usize, Outcome),
    Abandon(usize),
    Advance(u64),
    EndRest(usize),
    Answered(usize),
}

fn outcome() -> impl Strategy2<Value = Outcome> {
    let cause = (0..Cause::ALL.len(), prop::option::of(0_u64..100)).prop_map(|(cause, asked)| {
        Outcome::Failure(Failure::from(Cause::ALL[cause]).retry_after(asked.map(SECS)))
    });
    prop_oneof![Just(Outcome::Success), cause]
}

fn act() -> impl Strategy2<Value = Act> {
    let pick = (prop::collection::vec(0_usize..6, 0..3), prop::option::of(any::<u64>()));
    prop_oneof![
        4 => pick.prop_map(|(tried, key)| Act::Pick { tried, key }),
        3 => (any::<usize>(), outcome()).prop_map(|(at, outcome)| Act::Report(at, outcome)),
        1 => any::<usize>().prop_map(Act::Abandon),
        2 => (0_u64..5_000).prop_map(Act::Advance),
        1 => (0_usize..7).prop_map(Act::EndRest),
        1 => any::<usize>().prop_map(Act::Answered),
    ]
}

// The crate's own is of the same name.
use proptest::strategy::Strategy as Strategy2;

fn strategy(config: BalanceConfig, which: u8) -> BalanceConfig {
    match which {
        0 => config.strategy(RoundRobin::new()),
        1 => config.strategy(WeightedRandom),
        2 => config.strategy(LeastInUse),
        3 => config.strategy(PowerOfTwo),
        4 => config.strategy(PeakEwma),
        5 => config.strategy(Priority),
        _ => config.strategy(Sticky),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..Default::default() })]

    #[test]
    fn the_books_are_right_after_every_action(
        which in 0_u8..7,
        count in 1_u8..6,
        share in 0.1..1.0_f64,
        rest_last in any::<bool>(),
        caps in prop::collection::vec(prop::option::of(1_usize..4), 6),
        acts in prop::collection::vec(act(), 1..200),
    ) {
        let time = ManualClock::new();
        let cooldown = Cooldown::default().max_resting(share).rest_last(rest_last);
        let most = cooldown.most_resting(usize::from(count));
        let capped = |(one, cap): (Endpoint<u8>, &Option<usize>)| {
            one.limits(Limits::default().max_in_use(*cap))
        };
        let endpoints = named(count).into_iter().zip(&caps).map(capped);
        let config = strategy(config(&time).cooldown(cooldown), which);
        let balancer = Balancer::new(config, endpoints).unwrap();
        let mut under_way: Vec<Pick<u8>> = Vec::new();
        for act in acts {
            match act {
                Act::Pick { tried, key } => {
                    let mut call = Call::new().tried(&tried);
                    if let Some(key) = key {
                        call = call.key_hash(key);
                    }
                    let before = balancer.stats();
                    match balancer.pick(call) {
                        Ok(pick) => {
                            // One probe at a time, and only when the rest is over.
                            let due = Health::Resting { remaining: Duration::ZERO };
                            let right = if pick.is_probe() { due } else { Health::Well };
                            prop_assert_eq!(before.endpoints[pick.index()].health, right);
                            prop_assert!(!tried.contains(&pick.index()));
                            under_way.push(pick);
                        }
                        Err(PickError::AllTried { .. }) => {
                            prop_assert!((0..usize::from(count)).all(|one| tried.contains(&one)));
                        }
                        Err(PickError::NoneReady { earliest, why, .. }) => {
                            prop_assert!(earliest.is_some() || why.probing + why.full > 0);
                            prop_assert_eq!((why.promised, why.ahead, why.limited), (0, 0, 0));
                            // With a key or not, what is due would have been given.
                            prop_assert!(earliest != Some(Duration::ZERO));
                        }
                    }
                }
                Act::Report(at, outcome) if !under_way.is_empty() => {
                    let at = at % under_way.len();
                    under_way.swap_remove(at).report(outcome);
                }
                Act::Abandon(at) if !under_way.is_empty() => {
                    drop(under_way.swap_remove(at % under_way.len()));
                }
                Act::Advance(ms) => time.advance(MS(ms)),
                Act::Answered(at) if !under_way.is_empty() => {
                    let at = at % under_way.len();
                    under_way[at].answered();
                }
                Act::EndRest(index) => {
                    balancer.end_rest(index);
                }
                _ => {}
            }
            let stats = balancer.stats();
            let out = stats.endpoints.iter().filter(|one| one.health != Health::Well).count();
            prop_assert!(out <= most);
            for (index, one) in stats.endpoints.iter().enumerate() {
                let calls = under_way.iter().filter(|pick| pick.index() == index);
                prop_assert_eq!(one.in_use, calls.clone().count());
                prop_assert!(one.in_use <= caps[index].unwrap_or(usize::MAX));
                let ended = one.successes + one.failures.total() + one.abandoned;
                prop_assert_eq!(one.picks, ended + one.in_use as u64);
                prop_assert_eq!(one.why.is_some(), one.health != Health::Well);
                if one.health == Health::Probing {
                    prop_assert!(calls.filter(|pick| pick.is_probe()).count() > 0);
                }
            }
        }
        under_way.clear();
        prop_assert!(balancer.stats().endpoints.iter().all(|one| one.in_use == 0));
        // Whatever happened: after the longest rest, every endpoint serves again.
        time.advance(SECS(24 * 3600));
        for _ in 0..2 * count {
            balancer.pick(Call::new()).unwrap().success();
        }
        prop_assert!(balancer.stats().endpoints.iter().all(|one| one.health == Health::Well));
    }
}
