//! Rows 3 and 4: many threads, few items. Who waits how long, and who gets how many turns.
//!
//! Every thread takes an item, holds it, puts it back, and at once asks again, until the window is
//! over. A turn counts if its item came back within the window, so every thread is cut off at the
//! same moment and loses at most the turn it is in. A wait counts even if it ends after the
//! window: a thread that was starved to the end would else not show.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::contender::{self, Contender};
use crate::report::{Figures, Table, millis, range};

/// Row 3: an item is in demand by ten threads, and held for as long as a quick call takes. In a
/// perfect order each thread gets a turn every 40 / 4 x 5 ms = 50 ms; a fifth more is allowed.
pub fn held(table: &mut Table) -> Outcome<()> {
    const HOLD: Duration = Duration::from_millis(5);
    const WINDOW: Duration = Duration::from_secs(3);
    let (ours, r2d2) = contender::both(4)?;
    let (ours, peer) = (run(&ours, 40, HOLD, WINDOW), run(&r2d2, 40, HOLD, WINDOW));

    let wait = |it: &Turns| format!("{:.0} ms", millis(it.worst_wait));
    let what = "40 threads, 4 items, 5 ms each: worst wait";
    let figures =
        Figures { row: 3, what, ours: wait(&ours), peer: format!("r2d2 {}", wait(&peer)) };
    table.at_most(figures, millis(ours.worst_wait), 60.0, " ms");

    let figures = Figures {
        row: 3,
        what: "  turns per thread, (most - least) / mean",
        ours: range(&ours.per_thread),
        peer: format!("r2d2 {}", range(&peer.per_thread)),
    };
    table.at_most(figures, ours.spread(), 0.05, "");
    Ok(())
}

/// Row 4: the opposite, where a strict order would be slow: items that come back at once. The
/// contenders take turns, for two seconds each in all.
pub fn given_back_at_once(table: &mut Table) -> Outcome<()> {
    const SLICES: u32 = 5;
    const SLICE: Duration = Duration::from_millis(400);
    let (ours, r2d2) = contender::both(2)?;
    let (mut our_turns, mut peer_turns) = (Turns::of(8), Turns::of(8));
    for _ in 0..SLICES {
        our_turns.add(&run(&ours, 8, Duration::ZERO, SLICE));
        peer_turns.add(&run(&r2d2, 8, Duration::ZERO, SLICE));
    }

    let per_second = |it: &Turns| it.total() as f64 / (SLICE * SLICES).as_secs_f64();
    let (ours, peer) = (our_turns, peer_turns);
    let figures = Figures {
        row: 4,
        what: "8 threads, 2 items, back at once: turns",
        ours: format!("{:.2} M/s", per_second(&ours) / 1e6),
        peer: format!("r2d2 {:.2} M/s", per_second(&peer) / 1e6),
    };
    table.at_least(figures, per_second(&ours) / per_second(&peer), 1.0, " x");

    let figures = Figures {
        row: 4,
        what: "  worst wait",
        ours: format!("{:.1} ms", millis(ours.worst_wait)),
        peer: format!("r2d2 {:.1} ms", millis(peer.worst_wait)),
    };
    table.note(figures, "");
    let figures = Figures {
        row: 4,
        what: "  turns per thread, in thousands",
        ours: range(&ours.thousands()),
        peer: format!("r2d2 {}", range(&peer.thousands())),
    };
    table.note(figures, "");
    Ok(())
}

struct Turns {
    per_thread: Vec<u64>,
    worst_wait: Duration,
}

impl Turns {
    fn of(threads: usize) -> Self {
        Self { per_thread: vec![0; threads], worst_wait: Duration::ZERO }
    }

    fn add(&mut self, more: &Self) {
        self.per_thread.iter_mut().zip(&more.per_thread).for_each(|(sum, more)| *sum += more);
        self.worst_wait = self.worst_wait.max(more.worst_wait);
    }

    fn total(&self) -> u64 {
        self.per_thread.iter().sum()
    }

    fn thousands(&self) -> Vec<u64> {
        self.per_thread.iter().map(|turns| turns / 1000).collect()
    }

    fn spread(&self) -> f64 {
        let most = self.per_thread.iter().max().copied().unwrap_or(0);
        let least = self.per_thread.iter().min().copied().unwrap_or(0);
        (most - least) as f64 * self.per_thread.len() as f64 / self.total() as f64
    }
}

fn run(contender: &impl Contender, threads: usize, hold: Duration, window: Duration) -> Turns {
    let (start, over) = (Barrier::new(threads + 1), AtomicBool::new(false));
    let work = || {
        let (mut turns, mut worst_wait) = (0, Duration::ZERO);
        start.wait();
        while !over.load(Ordering::Relaxed) {
            let asked = Instant::now();
            contender.turn(|| {
                worst_wait = worst_wait.max(asked.elapsed());
                if !hold.is_zero() {
                    thread::sleep(hold);
                }
            });
            turns += u64::from(!over.load(Ordering::Relaxed));
        }
        (turns, worst_wait)
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        start.wait();
        thread::sleep(window);
        over.store(true, Ordering::Relaxed);
        let mut sum = Turns::of(0);
        for thread in running {
            let (turns, worst_wait) = thread.join().expect("a thread that ends well");
            sum.per_thread.push(turns);
            sum.worst_wait = sum.worst_wait.max(worst_wait);
        }
        sum
    })
}
