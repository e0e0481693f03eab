//! Row 12: what it costs to pick an endpoint and to report the call, over 3, 30 and 300 of them.
//!
//! Each line has two figures: of a pick alone, and of a pick with the report of its success. For the
//! first, picks are kept until a batch of them is made, and are reported while the time is not
//! taken; so up to a batch of calls is under way. Keeping one, a move of some 48 bytes, is in the
//! figure. All contenders take turns in every round; the median of the rounds counts. Those of two
//! threads are by the method of row 2: wall time by the calls of both together.
//!
//! Two targets, both for a pick alone by the default strategy: under 100 ns over 3, an absolute bound
//! for any machine of these years, and over 300 not much more than over 3, as it looks at two only.
//!
//! Beside it stands the balancer of `tower`, for scale: the better of two by requests under way. It
//! asks what it chose whether it is ready, and neither measures latency nor lets anything rest.
//! There a pick is `poll_ready` and `call`, and the report is the future's `poll`, which is ready at
//! once. It is for one task at a time, so it has no part in the lines of two threads.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::balance::{
    BalanceConfig, Balancer, Call, Endpoint, LeastInUse, PeakEwma, Pick, PowerOfTwo, RoundRobin,
    Sticky, Strategy,
};
use tower::Service;
use tower::balance::p2c::Balance;
use tower::discover::ServiceList;
use tower::load::{CompleteOnResponse, PendingRequests};

use crate::Outcome;
use crate::contender::Contender;
use crate::report::{Figures, Table, median};
use crate::round_trip::{ROUNDS, Span, nanos_per_turn, timed};

const BATCH: usize = 250;
const BATCHES: usize = 40;
const TURNS: usize = BATCH * BATCHES;
const SIZES: [usize; 3] = [3, 30, 300];

pub fn measure(table: &mut Table) -> Outcome<()> {
    one_thread(table)?;
    two_threads(table)
}

/// Something that picks, and what it gives for one call.
trait Picks {
    type Picked;

    fn pick(&mut self) -> Self::Picked;
    fn report(&mut self, picked: Self::Picked);
}

/// What one call costs, in nanoseconds.
#[derive(Clone, Copy)]
struct Cost {
    pick: f64,
    both: f64,
}

fn cost<P: Picks>(picks: &mut P) -> Cost {
    let mut kept = Vec::with_capacity(BATCH);
    let mut pick = Duration::ZERO;
    for _ in 0..BATCHES {
        let began = Instant::now();
        (0..BATCH).for_each(|_| kept.push(picks.pick()));
        pick += began.elapsed();
        kept.drain(..).for_each(|picked| picks.report(picked));
    }
    let began = Instant::now();
    for _ in 0..TURNS {
        let picked = picks.pick();
        picks.report(black_box(picked));
    }
    let each = |time: Duration| time.as_nanos() as f64 / TURNS as f64;
    Cost { pick: each(pick), both: each(began.elapsed()) }
}

const STRATEGIES: [&str; 5] =
    ["power of two", "peak EWMA", "round robin", "least in use", "sticky"];

/// The place of the default among [`STRATEGIES`].
const DEFAULT: usize = 0;

/// The place of tower's in a [`Round`].
const TOWER: usize = STRATEGIES.len();

/// What all contenders of one size cost: the strategies by their place, tower last.
type Round = Vec<Cost>;

struct OfSize {
    size: usize,
    ours: Vec<Ours>,
    tower: Tower,
    rounds: Vec<Round>,
}

fn one_thread(table: &mut Table) -> Outcome<()> {
    let mut sizes = Vec::new();
    for size in SIZES {
        sizes.push(OfSize { size, ours: ours(size)?, tower: tower(size), rounds: Vec::new() });
    }
    // One more, the first: for caches, and for what tower has not seen to be ready yet.
    for number in 0..=ROUNDS {
        for of in &mut sizes {
            let mut round: Round = of.ours.iter_mut().map(cost).collect();
            round.push(cost(&mut of.tower));
            if number > 0 {
                of.rounds.push(round);
            }
        }
    }
    for (at, strategy) in STRATEGIES.iter().enumerate() {
        for of in &sizes {
            let what = format!("{strategy}, {}: one pick / and report", of.size);
            let (ours, is_default) = (both(of, at), at == DEFAULT);
            let peer =
                if is_default { format!("tower {}", both(of, TOWER)) } else { String::new() };
            let figures = Figures { row: 12, what: &what, ours, peer };
            if is_default && of.size == SIZES[0] {
                let pick = median(of.rounds.iter().map(|round| round[at].pick).collect());
                table.at_most(figures, pick, 100.0, " ns");
            } else {
                table.note(figures, "");
            }
        }
        if at == DEFAULT {
            flat(table, &sizes, at);
        }
    }
    Ok(())
}

/// Holds the most endpoints to the fewest.
fn flat(table: &mut Table, sizes: &[OfSize], at: usize) {
    let [few, .., many] = sizes else { return };
    let pairs = many.rounds.iter().zip(&few.rounds);
    let ratio = median(pairs.map(|(many, few)| many[at].pick / few[at].pick).collect());
    let what = format!("  one pick of {} by one of {}", many.size, few.size);
    let (ours, peer) = Default::default();
    table.at_most(Figures { row: 12, what: &what, ours, peer }, ratio, 1.5, " x");
}

/// As `52/97 ns`.
fn both(of: &OfSize, at: usize) -> String {
    let of = |figure: fn(&Cost) -> f64| {
        median(of.rounds.iter().map(|round| figure(&round[at])).collect())
    };
    match (of(|cost| cost.pick), of(|cost| cost.both)) {
        (pick, both) if both < 1e3 => format!("{pick:.0}/{both:.0} ns"),
        (pick, both) => format!("{:.1}/{:.1} us", pick / 1e3, both / 1e3),
    }
}

/// By the method of row 2.
fn two_threads(table: &mut Table) -> Outcome<()> {
    const THREADS: usize = 2;
    for size in SIZES {
        let turns = Turns(balancer(PowerOfTwo, size)?);
        let start = Barrier::new(THREADS);
        let run = || (0..ROUNDS).map(|_| timed(&turns, &start)).collect();
        let threads: Vec<Vec<Span>> = thread::scope(|scope| {
            let running: Vec<_> = (0..THREADS).map(|_| scope.spawn(run)).collect();
            let ended = running.into_iter().map(|thread| thread.join());
            ended.map(|spans| spans.expect("a thread that ends well")).collect()
        });
        let what = format!("2 threads, {size}, power of two: pick and report");
        let ours = format!("{:.0} ns", median(nanos_per_turn(&threads)));
        table.note(Figures { row: 12, what: &what, ours, peer: String::new() }, "");
    }
    Ok(())
}

// ---- The contenders ----

/// For the threads of row 2's method.
struct Turns(Balancer<usize>);

impl Contender for Turns {
    #[inline]
    fn turn(&self, hold: impl FnOnce()) {
        let picked = pick(&self.0, Call::new());
        hold();
        picked.success();
    }
}

struct Ours {
    balancer: Balancer<usize>,
    /// The conversation that the next call belongs to, where that matters.
    key: Option<u64>,
}

fn ours(size: usize) -> Outcome<Vec<Ours>> {
    Ok(vec![
        Ours { balancer: balancer(PowerOfTwo, size)?, key: None },
        Ours { balancer: balancer(PeakEwma, size)?, key: None },
        Ours { balancer: balancer(RoundRobin::new(), size)?, key: None },
        Ours { balancer: balancer(LeastInUse, size)?, key: None },
        Ours { balancer: balancer(Sticky, size)?, key: Some(0) },
    ])
}

fn balancer(strategy: impl Strategy, size: usize) -> Outcome<Balancer<usize>> {
    let endpoints = (0..size).map(|number| Endpoint::new(format!("endpoint {number}"), number));
    Ok(Balancer::new(BalanceConfig::default().strategy(strategy), endpoints)?)
}

fn pick(balancer: &Balancer<usize>, call: Call<'_>) -> Pick<usize> {
    balancer.pick(call).expect("all of them are well")
}

impl Picks for Ours {
    type Picked = Pick<usize>;

    #[inline]
    fn pick(&mut self) -> Pick<usize> {
        let Some(key) = &mut self.key else { return pick(&self.balancer, Call::new()) };
        *key += 1;
        pick(&self.balancer, Call::new().key_hash(*key))
    }

    #[inline]
    fn report(&mut self, picked: Pick<usize>) {
        picked.success();
    }
}

/// Always ready, and answers at once.
struct NoOp;

impl Service<()> for NoOp {
    type Response = ();
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(()))
    }
}

type Tower = Balance<ServiceList<Vec<PendingRequests<NoOp>>>, ()>;

fn tower(size: usize) -> Tower {
    let service = |_| PendingRequests::new(NoOp, CompleteOnResponse::default());
    Balance::new(ServiceList::new::<()>((0..size).map(service).collect()))
}

impl Picks for Tower {
    type Picked = <Tower as Service<()>>::Future;

    #[inline]
    fn pick(&mut self) -> Self::Picked {
        let readiness = self.poll_ready(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(readiness, Poll::Ready(Ok(()))), "its services are always ready");
        self.call(())
    }

    #[inline]
    fn report(&mut self, mut picked: Self::Picked) {
        let answer = Pin::new(&mut picked).poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(answer, Poll::Ready(Ok(()))), "its answers are there at once");
    }
}
