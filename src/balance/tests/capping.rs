//! Whole runs of calls under an adaptive cap: events in order of time, no threads, no sleeping.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::ops::Range;

use super::*;
use crate::balance::cap::Cap;
use crate::balance::random::Random;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Spread {
    /// From half of the mean to one and a half.
    Even,
    Exponential,
    /// Of sigma 1.
    LogNormal,
}

const SPREADS: [Spread; 3] = [Spread::Even, Spread::Exponential, Spread::LogNormal];

#[derive(Clone)]
struct Server {
    places: usize,
    /// Or lets wait, in order.
    refuses: bool,
    /// The mean, without waiting.
    answer: Duration,
    spread: Spread,
    /// There and back, of answers and refusals.
    net: Duration,
    /// A caller gives up after so long; the server goes on.
    time_out: Duration,
}

impl Server {
    fn new(places: usize) -> Self {
        Self {
            places,
            refuses: true,
            answer: SECS(1),
            spread: Spread::Even,
            net: MS(5),
            time_out: Duration::MAX,
        }
    }

    fn draw(&self, random: &Random) -> Duration {
        let even = || 1.0 - random.fraction();
        let times = match self.spread {
            Spread::Even => 0.5 + even(),
            Spread::Exponential => -even().ln(),
            Spread::LogNormal => {
                let normal = (-2.0 * even().ln()).sqrt() * (std::f64::consts::TAU * even()).cos();
                (normal - 0.5).exp()
            }
        };
        self.answer.mul_f64(times)
    }
}

/// Threads that call again as soon as they may, and a change of the server after so many calls.
#[derive(Clone)]
struct Run {
    server: Server,
    callers: usize,
    calls: usize,
    seed: u64,
    later: Option<(usize, Server)>,
    adaptive: Adaptive,
    most: usize,
}

impl Run {
    fn of(server: Server) -> Self {
        let adaptive = Adaptive::default();
        Self { server, callers: 60, calls: 5_000, seed: 1, later: None, adaptive, most: 1_000 }
    }
}

/// What came of a call, in the order the calls ended.
#[derive(Clone, Copy)]
struct Done {
    at: Duration,
    cap: usize,
    failed: bool,
    /// How long the server worked on it.
    work: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// At the server.
    Comes(usize),
    Leaves,
    /// At the caller.
    Ends(usize),
}

#[derive(Clone, Copy)]
struct Under {
    began: Duration,
    epoch: u32,
    work: Duration,
    failed: Option<Cause>,
}

impl Run {
    fn run(self) -> Vec<Done> {
        let Self { mut server, callers, calls, seed, mut later, adaptive, most } = self;
        let random = Random::new(Some(seed));
        let mut cap = Cap::new(adaptive, most);
        let (mut now, mut in_use, mut serving) = (Duration::ZERO, 0, 0);
        let (mut events, mut queue) = (BinaryHeap::new(), VecDeque::new());
        let (mut under, mut done) = (Vec::<Under>::new(), Vec::<Done>::new());
        while done.len() < calls {
            while in_use < callers.min(cap.now()) {
                let epoch = cap.epoch();
                under.push(Under { began: now, epoch, work: Duration::ZERO, failed: None });
                events.push(Reverse((now + server.net / 2, Event::Comes(under.len() - 1))));
                in_use += 1;
            }
            let Reverse((at, event)) = events.pop().unwrap();
            now = at;
            match event {
                Event::Comes(call) if serving >= server.places && server.refuses => {
                    under[call].failed = Some(Cause::RateLimited);
                    events.push(Reverse((now + server.net / 2, Event::Ends(call))));
                }
                Event::Comes(call) => queue.push_back(call),
                Event::Leaves => serving -= 1,
                Event::Ends(call) => {
                    let Under { began, epoch, work, failed } = under[call];
                    match failed {
                        Some(cause) => cap.refused(epoch, in_use, cause),
                        None => cap.served(epoch, now - began, in_use),
                    };
                    in_use -= 1;
                    done.push(Done { at: now, cap: cap.now(), failed: failed.is_some(), work });
                    if later.as_ref().is_some_and(|(after, _)| *after == done.len()) {
                        server = later.take().unwrap().1;
                    }
                }
            }
            while serving < server.places && !queue.is_empty() {
                let call = queue.pop_front().unwrap();
                let work = server.draw(&random);
                under[call].work = work;
                let mut ends = now + work + server.net / 2;
                let gives_up = under[call].began.saturating_add(server.time_out);
                if ends > gives_up {
                    ends = gives_up.max(now);
                    under[call].failed = Some(Cause::TimedOut);
                }
                serving += 1;
                events.push(Reverse((now + work, Event::Leaves)));
                events.push(Reverse((ends, Event::Ends(call))));
            }
        }
        done
    }
}

fn caps(done: &[Done]) -> Range<usize> {
    let caps = || done.iter().map(|done| done.cap);
    caps().min().unwrap()..caps().max().unwrap() + 1
}

fn failed(done: &[Done]) -> f64 {
    done.iter().filter(|done| done.failed).count() as f64 / done.len() as f64
}

/// How much of its places the server used.
fn used(done: &[Done], places: usize) -> f64 {
    let took = done[done.len() - 1].at - done[0].at;
    let work: f64 = done.iter().map(|done| done.work.as_secs_f64()).sum();
    work / (took.as_secs_f64() * places as f64)
}

/// After how many calls the cap was within 20 % of `right`, for the next hundred.
fn settled(done: &[Done], right: usize) -> usize {
    let near = |done: &Done| (right * 4 / 5..=right * 6 / 5).contains(&done.cap);
    (0..done.len()).find(|&at| done[at..].iter().take(100).all(near)).unwrap_or(done.len())
}

/// Of runs that differ in their seed.
struct Figures {
    /// All that were seen.
    caps: Range<usize>,
    /// The share of calls at which the cap was in the range asked for.
    within: f64,
    /// The worst run's and the mean.
    failed: (f64, f64),
    used: (f64, f64),
    settled: (usize, usize),
}

const SEEDS: u64 = 24;

/// Of all calls after the first so many; `settled` counts from `change`.
fn figures(
    run: &Run,
    settling: usize,
    change: usize,
    places: usize,
    right: Range<usize>,
) -> Figures {
    let mut all = Figures {
        caps: Range { start: usize::MAX, end: 0 },
        within: 0.0,
        failed: (0.0, 0.0),
        used: (1.0, 0.0),
        settled: (0, 0),
    };
    let mut times = Vec::new();
    for seed in 0..SEEDS {
        let done = Run { seed, ..run.clone() }.run();
        times.push(settled(&done[change..], places));
        let rest = &done[settling..];
        let (range, failed, used) = (caps(rest), failed(rest), used(rest, places));
        all.caps = all.caps.start.min(range.start)..all.caps.end.max(range.end);
        all.failed = (all.failed.0.max(failed), all.failed.1 + failed / SEEDS as f64);
        all.used = (all.used.0.min(used), all.used.1 + used / SEEDS as f64);
        let within = rest.iter().filter(|done| right.contains(&done.cap)).count();
        all.within += within as f64 / (rest.len() as f64 * SEEDS as f64);
    }
    times.sort_unstable();
    all.settled = (times[times.len() - 1], times[times.len() / 2]);
    let Server { spread, answer, net, .. } = &run.server;
    println!(
        "{places:>3} places, {spread:?} {answer:?}, net {net:?}: caps {}..={}, {:.1} % of calls within \
         {}..={}, failed {:.2} % (worst {:.2} %), used {:.1} % (worst {:.1} %), settled after {} \
         (worst {})",
        all.caps.start,
        all.caps.end - 1,
        all.within * 100.0,
        right.start,
        right.end - 1,
        all.failed.1 * 100.0,
        all.failed.0 * 100.0,
        all.used.1 * 100.0,
        all.used.0 * 100.0,
        all.settled.1,
        all.settled.0,
    );
    all
}

#[test]
fn what_a_server_takes_that_refuses_more_is_found_and_kept_to() {
    for spread in SPREADS {
        let run = Run::of(Server { spread, ..Server::new(20) });
        let found = figures(&run, 200, 0, 20, 16..25);
        assert!(found.caps.start >= 16 && found.caps.end <= 25, "{:?}", found.caps);
        assert!(found.settled.0 <= 200, "{:?}", found.settled);
        assert!(found.failed.0 < 0.01, "{:?}", found.failed);
        assert!(found.used.0 > 0.95, "{:?}", found.used);
    }
}

#[test]
fn it_is_found_when_small_large_fast_slow_or_far_away() {
    // Of 10 ms answers and a network of 5 ms, and of 1 s and 300 ms, a good part is under way: more
    // than 20 calls keep 20 places full, and which is refused is chance.
    let cases = [
        (1, SECS(1), MS(5), 2),
        (2, SECS(1), MS(5), 3),
        (5, SECS(1), MS(5), 6),
        (100, SECS(1), MS(5), 120),
        (20, MS(10), MS(2), 30),
        (20, MS(10), MS(5), 40),
        (20, SECS(30), MS(50), 24),
        (20, SECS(1), MS(300), 30),
    ];
    for spread in SPREADS {
        for (places, answer, net, most) in cases {
            let server = Server { spread, answer, net, ..Server::new(places) };
            let run = Run { callers: 3 * places, ..Run::of(server) };
            let right = places * 4 / 5..most + 1;
            let found = figures(&run, 500, 0, places, right.clone());
            assert!(
                found.caps.start >= right.start && found.caps.end <= right.end,
                "{:?}",
                found.caps
            );
            assert!(found.failed.0 < 0.02, "{:?}", found.failed);
            assert!(found.used.0 > 0.7, "{:?}", found.used);
        }
    }
}

#[test]
fn a_server_that_queues_is_kept_full_and_its_queue_short() {
    // The more answers differ, the longer a rise of latency takes to be told from chance.
    for (spread, used, within) in [
        (Spread::Even, 0.95, 0.95),
        (Spread::Exponential, 0.85, 0.82),
        (Spread::LogNormal, 0.85, 0.82),
    ] {
        let server = Server { refuses: false, spread, ..Server::new(20) };
        let run = Run { callers: 200, ..Run::of(server) };
        let found = figures(&run, 1_000, 0, 20, 15..37);
        assert!(found.used.0 > used, "{:?}", found.used);
        assert!(found.within > within, "{}", found.within);
        assert!(found.caps.end <= 80, "{:?}", found.caps);
    }
}

#[test]
fn what_has_changed_is_found_again() {
    for spread in SPREADS {
        for (from, to, calls) in [(20, 8, 100), (40, 8, 100), (8, 40, 400)] {
            let server = |places| Server { spread, ..Server::new(places) };
            let later = Some((2_000, server(to)));
            let run = Run { later, calls: 4_000, ..Run::of(server(from)) };
            print!("from {from} to ");
            let found = figures(&run, 2_000 + calls, 2_000, to, to * 4 / 5..to * 6 / 5 + 1);
            assert!(found.settled.0 <= calls, "{:?}", found.settled);
            assert!(found.failed.0 < 0.01, "{:?}", found.failed);
        }
    }
}

#[test]
fn longer_answers_are_no_reason_for_a_small_cap() {
    for spread in SPREADS {
        for times in [3, 10] {
            let server = Server { spread, ..Server::new(20) };
            let later = Some((2_000, Server { answer: SECS(times), ..server.clone() }));
            print!("{times} times longer: ");
            let run = Run { later, calls: 7_000, ..Run::of(server) };
            let found = figures(&run, 2_000, 2_000, 20, 16..25);
            assert!(found.used.0 > 0.8, "{:?}", found.used);
            assert!(found.caps.start > 3, "{:?}", found.caps);
        }
    }
}

#[test]
fn chance_does_not_keep_a_server_without_limits_from_the_most() {
    for spread in SPREADS {
        let run = Run { most: 20, ..Run::of(Server { spread, ..Server::new(1_000) }) };
        print!("up to 20 of ");
        let found = figures(&run, 200, 0, 1_000, 18..21);
        assert!(found.used.0 * 50.0 > 0.9, "{:?}", found.used);
    }
}

#[test]
fn few_callers_do_not_move_it() {
    for refuses in [true, false] {
        for spread in SPREADS {
            let server = Server { spread, refuses, ..Server::new(20) };
            let adaptive = Adaptive::default().start(20);
            let run = Run { adaptive, callers: 3, ..Run::of(server.clone()) };
            assert_eq!(figures(&run, 0, 0, 20, 20..21).caps, 20..21);
            let run = Run { callers: 3, ..Run::of(server) };
            assert_eq!(figures(&run, 0, 0, 20, 4..5).caps, 4..5);
        }
    }
}

#[test]
fn a_server_that_refuses_all_is_asked_by_the_fewest_and_comes_back() {
    for spread in SPREADS {
        let (well, dead) = (Server { spread, ..Server::new(20) }, Server::new(0));
        let down = Run { later: Some((1_000, dead.clone())), ..Run::of(well.clone()) }.run();
        let to_floor = down[1_000..].iter().position(|done| done.cap == 1).unwrap();
        assert!(to_floor < 40 && caps(&down[1_000 + to_floor..]) == (1..2), "{to_floor}");
        let back = settled(&Run { later: Some((300, well)), ..Run::of(dead) }.run()[300..], 20);
        println!("{spread:?}: at the floor after {to_floor} calls, back after {back}");
        assert!(back <= 40, "{back}");
    }
}

#[test]
fn time_outs_alone_keep_a_queue_short() {
    // Latency is no reason here. 80 calls take 4 s at 20 places; those that wait already when the
    // first gives up will give up as well.
    let server = Server { refuses: false, time_out: SECS(4), ..Server::new(20) };
    let adaptive = Adaptive::default().tolerance(1_000.0);
    let run = Run { callers: 200, adaptive, ..Run::of(server) };
    let found = figures(&run, 1_000, 0, 20, 20..81);
    assert!(found.caps.end <= 100, "{:?}", found.caps);
    assert!(found.failed.0 < 0.05 && found.failed.1 > 0.0, "{:?}", found.failed);
}

#[test]
fn time_outs_that_are_chance_do_not_starve_it() {
    // Of lognormal answers one in 180 takes more than 8 s, with no queue at all.
    let spread = Spread::LogNormal;
    let server = Server { refuses: false, spread, time_out: SECS(8), ..Server::new(20) };
    let found = figures(&Run { callers: 200, ..Run::of(server) }, 1_000, 0, 20, 15..37);
    assert!(found.failed.1 > 0.003, "{:?}", found.failed);
    assert!(found.used.0 > 0.8, "{:?}", found.used);
}
