//! When endpoints rest and how they come back.

use super::*;

#[test]
fn five_failures_in_a_row_are_enough_and_four_are_not() {
    let balancer = balancer(config(&ManualClock::new()), 2);
    for _ in 0..4 {
        fail(&balancer, 0, Cause::Server);
    }
    assert_eq!(health(&balancer, 0), Health::Well);
    fail(&balancer, 0, Cause::TimedOut);
    assert_eq!(health(&balancer, 0), resting(SECS(1)));
    let why = balancer.stats().endpoints[0].why;
    assert_eq!(why, Some(Why::Ratio { failed: 5, of: 5, last: Cause::TimedOut }));
}

#[test]
fn an_endpoint_that_dies_rests_soon_however_well_it_was() {
    for (in_a_row, failures) in [(10, 10), (0, 1000)] {
        let time = ManualClock::new();
        let cooldown = Cooldown::default().failures_in_a_row(in_a_row);
        let balancer = balancer(config(&time).cooldown(cooldown), 2);
        for _ in 0..1000 {
            pick_only(&balancer, 0).unwrap().success();
        }
        let mut failed = 0;
        while health(&balancer, 0) == Health::Well {
            fail(&balancer, 0, Cause::Server);
            failed += 1;
        }
        assert_eq!(failed, failures, "without it the ratio takes as many as went well");
    }
}

#[test]
fn failures_that_are_few_among_many_or_long_ago_do_not_count() {
    let time = ManualClock::new();
    let balancer = balancer(config(&time), 2);
    for _ in 0..6 {
        pick_only(&balancer, 0).unwrap().success();
        pick_only(&balancer, 0).unwrap().success();
        fail(&balancer, 0, Cause::Server);
    }
    for _ in 0..9 {
        fail(&balancer, 1, Cause::Server);
        time.advance(SECS(10));
    }
    assert_eq!([health(&balancer, 0), health(&balancer, 1)], [Health::Well; 2]);
}

#[test]
fn one_is_enough_of_what_will_not_heal_by_itself() {
    for cause in Cause::ALL.iter().copied() {
        let balancer = balancer(config(&ManualClock::new()), 2);
        fail(&balancer, 0, cause);
        assert_eq!(health(&balancer, 0) != Health::Well, cause.rests_at_once(), "{cause}");
    }
}

#[test]
fn client_errors_never_count() {
    let balancer = balancer(config(&ManualClock::new()), 2);
    for _ in 0..50 {
        fail(&balancer, 0, Failure::from(Cause::Client).retry_after(SECS(9)));
    }
    assert_eq!(health(&balancer, 0), Health::Well);
}

#[test]
fn an_endpoint_rests_as_long_as_it_asks_to_but_not_for_ever() {
    let balancer = balancer(config(&ManualClock::new()), 6);
    fail(&balancer, 0, Failure::from(Cause::RateLimited).retry_after(SECS(300)));
    fail(&balancer, 1, Failure::from(Cause::Server).retry_after(SECS(7)));
    fail(&balancer, 2, Failure::from(Cause::RateLimited).retry_after(Duration::MAX));
    let rests = [0, 1, 2].map(|index| health(&balancer, index));
    assert_eq!(rests, [SECS(300), SECS(7), SECS(24 * 3600)].map(resting));
}

#[test]
fn a_late_failure_of_a_call_begun_before_the_rest_only_lengthens_it_if_asked() {
    let time = ManualClock::new();
    let balancer = balancer(config(&time), 2);
    let late: Vec<_> = (0..3).map(|_| pick_only(&balancer, 0).unwrap()).collect();
    fail(&balancer, 0, Cause::ConnectRefused);
    let mut late = late.into_iter();
    late.next().unwrap().failure(Cause::ConnectRefused);
    assert_eq!(health(&balancer, 0), resting(SECS(1)));
    late.next().unwrap().failure(Failure::from(Cause::RateLimited).retry_after(SECS(5)));
    assert_eq!(health(&balancer, 0), resting(SECS(5)));
    late.next().unwrap().success();
    assert_eq!(health(&balancer, 0), resting(SECS(5)), "a success of before ends no rest");
    assert_eq!(balancer.stats().endpoints[0].rests, 1);
}

#[test]
fn when_the_rest_is_over_one_call_probes_and_the_others_go_elsewhere() {
    let time = ManualClock::new();
    let balancer = balancer(config(&time), 2);
    fail(&balancer, 0, Cause::ConnectRefused);
    time.advance(MS(999));
    assert_eq!(balancer.pick(Call::new()).unwrap().index(), 1);
    time.advance(MS(1));
    let probe = balancer.pick(Call::new()).unwrap();
    assert_eq!((probe.index(), probe.is_probe()), (0, true));
    assert_eq!(health(&balancer, 0), Health::Probing);
    for _ in 0..10 {
        assert_eq!(balancer.pick(Call::new()).unwrap().index(), 1);
    }
    probe.success();
    assert_eq!(health(&balancer, 0), Health::Well);
}

#[test]
fn rests_grow_with_each_probe_that_fails_and_begin_anew_after_a_good_while() {
    let time = ManualClock::new();
    let balancer = balancer(config(&time), 2);
    fail(&balancer, 0, Cause::ConnectRefused);
    for secs in [1, 2, 4, 8, 16, 32, 60, 60] {
        assert_eq!(health(&balancer, 0), resting(SECS(secs)));
        time.advance(SECS(secs));
        let probe = balancer.pick(Call::new()).unwrap();
        assert!(probe.is_probe());
        probe.failure(Cause::Broken);
    }
    assert_eq!(balancer.stats().endpoints[0].why, Some(Why::Probe(Cause::Broken)));
    assert!(balancer.end_rest(0) && !balancer.end_rest(0) && !balancer.end_rest(99));
    time.advance(SECS(59));
    fail(&balancer, 0, Cause::ConnectRefused);
    assert_eq!(health(&balancer, 0), resting(SECS(60)), "not well for long enough");
    assert!(balancer.end_rest(0));
    time.advance(SECS(60));
    fail(&balancer, 0, Cause::ConnectRefused);
    assert_eq!(health(&balancer, 0), resting(SECS(1)));
}

#[test]
fn a_probe_that_finds_nothing_out_lets_the_next_call_probe() {
    let time = ManualClock::new();
    let balancer = balancer(config(&time), 2);
    fail(&balancer, 0, Cause::ConnectRefused);
    time.advance(SECS(1));
    drop(balancer.pick(Call::new()).unwrap());
    let second = balancer.pick(Call::new()).unwrap();
    assert!(second.is_probe());
    second.failure(Cause::Client);
    assert!(balancer.pick(Call::new()).unwrap().is_probe());
}

#[test]
fn a_probe_that_is_answered_brings_its_endpoint_back_before_its_end() {
    let time = ManualClock::new();
    let balancer = balancer(config(&time), 2);
    fail(&balancer, 0, Cause::ConnectRefused);
    time.advance(SECS(1));
    let mut probe = balancer.pick(Call::new()).unwrap();
    probe.answered();
    assert_eq!((health(&balancer, 0), probe.is_probe()), (Health::Well, false));
    probe.answered();
    probe.failure(Cause::RateLimited);
    assert_eq!(health(&balancer, 0), resting(SECS(2)), "how it ends counts as of any call");
    time.advance(SECS(2));
    let mut overtaken = balancer.pick(Call::new()).unwrap();
    balancer.end_rest(0);
    fail(&balancer, 0, Cause::RateLimited);
    overtaken.answered();
    assert_eq!(health(&balancer, 0), resting(SECS(4)));
}

#[test]
fn at_most_a_share_rests_and_the_last_one_serves_unless_told_otherwise() {
    let time = ManualClock::new();
    let resting = |config: BalanceConfig, count| {
        let balancer = balancer(config, count);
        (0..usize::from(count)).for_each(|index| fail(&balancer, index, Cause::ConnectRefused));
        balancer.stats().endpoints.iter().filter(|one| one.health != Health::Well).count()
    };
    let all = Cooldown::default().max_resting(1.0);
    assert_eq!([1, 2, 3, 5].map(|of| resting(config(&time), of)), [0, 1, 2, 4]);
    assert_eq!([1, 3].map(|of| resting(config(&time).cooldown(all.clone()), of)), [0, 2]);
    let all = all.rest_last(true);
    assert_eq!([1, 3].map(|of| resting(config(&time).cooldown(all.clone()), of)), [1, 3]);
}

#[test]
fn who_could_not_be_spared_rests_with_its_next_failure_once_it_can() {
    let time = ManualClock::new();
    let balancer = balancer(config(&time), 2);
    fail(&balancer, 0, Cause::ConnectRefused);
    fail(&balancer, 1, Cause::ConnectRefused);
    assert_eq!(health(&balancer, 1), Health::Well);
    balancer.end_rest(0);
    fail(&balancer, 1, Cause::ConnectRefused);
    assert_eq!(health(&balancer, 1), resting(SECS(1)));
}

#[test]
fn a_base_of_zero_is_off() {
    let cooldown = Cooldown::default().base_rest(Duration::ZERO);
    let balancer = balancer(config(&ManualClock::new()).cooldown(cooldown), 3);
    for _ in 0..20 {
        fail(&balancer, 0, Failure::from(Cause::RateLimited).retry_after(SECS(60)));
    }
    assert_eq!(health(&balancer, 0), Health::Well);
}
