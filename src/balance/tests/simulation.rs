//! Whole runs of calls by a moved clock: events in order of time, no threads, no sleeping.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;
use crate::balance::random::Random;

/// An endpoint, as it behaves.
#[derive(Clone)]
struct Server {
    /// How long an answer takes on average; each takes from half of it to one and a half.
    answer: Duration,
    /// When each of its places is free; calls beyond them queue, in order.
    places: Vec<Duration>,
    /// Refuses or fails all calls that begin at these times.
    ill: std::ops::Range<Duration>,
    cause: Cause,
}

impl Server {
    fn new(answer: Duration) -> Self {
        let never = Duration::MAX..Duration::MAX;
        Self { answer, places: vec![Duration::ZERO; 10], ill: never, cause: Cause::Server }
    }
}

/// What came of a call, in the order the calls began.
#[derive(Clone, Copy)]
struct Done {
    began: Duration,
    server: usize,
    failed: bool,
    probe: bool,
    took: Duration,
}

/// So many calls come independently of each other (a Poisson process), so many a second.
fn run(
    strategy: impl Strategy,
    cooldown: Cooldown,
    servers: &[Server],
    rate: f64,
    calls: usize,
) -> Vec<Done> {
    let (time, random) = (ManualClock::new(), Random::new(Some(42)));
    let config = config(&time).cooldown(cooldown).strategy(strategy);
    let balancer = balancer(config, servers.len() as u8);
    let (mut servers, mut now) = (servers.to_vec(), Duration::ZERO);
    let mut arrival = Duration::ZERO;
    let (mut ends, mut picks, mut done) = (BinaryHeap::new(), Vec::new(), Vec::<Done>::new());
    loop {
        let end = ends.peek().map(|Reverse((at, _))| *at);
        let left = picks.len() < calls;
        let next = match end {
            Some(end) if !left || end <= arrival => end,
            _ if left => arrival,
            _ => return done,
        };
        time.advance(next - now);
        now = next;
        if end == Some(now) {
            if let Some(Reverse((_, call))) = ends.pop() {
                let (pick, done): (&mut Option<Pick<u8>>, &Done) = (&mut picks[call], &done[call]);
                let pick = pick.take().unwrap();
                if done.failed { pick.failure(servers[done.server].cause) } else { pick.success() }
            }
            continue;
        }
        let pick = balancer.pick(Call::new()).unwrap();
        let index = pick.index();
        let server = &mut servers[index];
        let failed = server.ill.contains(&now);
        let until = if failed {
            now + MS(5)
        } else {
            let place = server.places.iter_mut().min().unwrap();
            *place = (*place).max(now) + server.answer.mul_f64(0.5 + random.fraction());
            *place
        };
        ends.push(Reverse((until, picks.len())));
        done.push(Done {
            began: now,
            server: index,
            failed,
            probe: pick.is_probe(),
            took: until - now,
        });
        picks.push(Some(pick));
        arrival = now + Duration::from_secs_f64(-(1.0 - random.fraction()).ln() / rate);
    }
}

fn p99(done: &[Done]) -> Duration {
    let mut took: Vec<_> = done.iter().map(|call| call.took).collect();
    took.sort();
    took[took.len() * 99 / 100]
}

fn share(done: &[Done], server: usize) -> f64 {
    done.iter().filter(|call| call.server == server).count() as f64 / done.len() as f64
}

/// Four servers answer in 100 ms and one in 1 s, each ten at a time: together 410 calls a second.
/// 200 come, about half of that, so that a fair fifth is four times what the slow one can serve.
fn with_a_slow_one(strategy: impl Strategy, rate: f64) -> (f64, Duration) {
    let mut servers = vec![Server::new(MS(100)); 5];
    servers[0] = Server::new(SECS(1));
    let done = run(strategy, Cooldown::default(), &servers, rate, 10_000);
    (share(&done, 0), p99(&done))
}

#[test]
fn a_slow_endpoint_gets_few_calls_and_the_slowest_answers_come_sooner() {
    for rate in [40.0, 100.0, 200.0, 300.0] {
        let (even, slow) = with_a_slow_one(RoundRobin::new(), rate);
        let (of_two, two) = with_a_slow_one(PowerOfTwo, rate);
        let (of_peak, peak) = with_a_slow_one(PeakEwma, rate);
        let (of_least, least) = with_a_slow_one(LeastInUse, rate);
        println!(
            "{rate}/s: round robin {even:.4} {slow:?}, power of two {of_two:.4} {two:?}, \
            peak EWMA {of_peak:.4} {peak:?}, least in use {of_least:.4} {least:?}"
        );
        if rate == 200.0 {
            assert!((0.19..0.21).contains(&even), "{even}");
            assert!(of_two < 0.08, "{of_two}");
            assert!(of_peak < 0.03, "{of_peak}");
            assert!(two * 3 <= slow, "{two:?} {slow:?}");
            assert!(peak * 3 <= slow, "{peak:?} {slow:?}");
        }
    }
}

fn with_an_ill_one(strategy: impl Strategy, cause: Cause, ill: std::ops::Range<u64>) -> Vec<Done> {
    let mut servers = vec![Server::new(MS(100)); 5];
    servers[2].ill = SECS(ill.start)..SECS(ill.end);
    servers[2].cause = cause;
    run(strategy, Cooldown::default(), &servers, 100.0, 6_000)
}

#[test]
fn an_endpoint_that_fails_always_is_seen_by_few_and_then_by_its_probes_only() {
    for cause in [Cause::Server, Cause::ConnectRefused] {
        let runs = [
            ("round robin", with_an_ill_one(RoundRobin::new(), cause, 0..9999)),
            ("power of two", with_an_ill_one(PowerOfTwo, cause, 0..9999)),
            ("peak EWMA", with_an_ill_one(PeakEwma, cause, 0..9999)),
            ("least in use", with_an_ill_one(LeastInUse, cause, 0..9999)),
        ];
        for (name, done) in runs {
            let failed: Vec<_> = done.iter().filter(|call| call.failed).collect();
            let before = failed.iter().filter(|call| !call.probe).count();
            let thousand = done[..1000].iter().filter(|call| call.failed).count();
            println!(
                "{name}, {cause}: {before} before the rest, {thousand} in the first thousand with \
                 probes, {} of all {}",
                failed.len(),
                done.len()
            );
            // Those before the rest come first: after it only probes fail.
            assert!(failed[before..].iter().all(|call| call.probe));
            assert!(before <= 20 && thousand <= 20, "2 % of the first thousand");
            // In a minute probes come after 1, 2, 4, 8, 16 and 32 s, or so.
            assert!(failed.len() - before <= 6, "{}", failed.len());
        }
    }
}

#[test]
fn an_endpoint_that_recovers_is_back_within_two_probe_intervals() {
    for recovers in [3, 5, 9, 14, 20] {
        let done = with_an_ill_one(PowerOfTwo, Cause::ConnectRefused, 0..recovers);
        let last =
            done.iter().filter(|call| call.failed).map(|call| call.began).next_back().unwrap();
        let back = done.iter().find(|call| call.server == 2 && !call.failed).unwrap().began;
        // The rest after the last failure is the interval under way.
        let probes = done.iter().filter(|call| call.failed && call.probe).count() as u32;
        let interval = SECS(1) * 2_u32.pow(probes);
        println!("ill for {recovers} s: back after {:?}, {interval:?}", back - SECS(recovers));
        assert!(back - last <= interval + MS(200), "{back:?} {last:?}");
        assert!(back - SECS(recovers) <= 2 * interval);
        let serving = done.iter().filter(|call| call.began > back + SECS(1)).copied();
        let serving: Vec<_> = serving.collect();
        assert!((0.17..0.23).contains(&share(&serving, 2)), "it has its share again");
    }
}
