//! The one background thread of all pools: it sleeps until a pool's next pass is due or a check is
//! to be given up, and ends with the last pool.
//!
//! It holds pools weakly, so a pool's end needs no word to it, and it never runs a creation or a
//! check itself: those go to workers and checkers. Its lock guards the list of pools and is not held during a
//! pass.

use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::caught::{caught, say};

/// What can be maintained.
pub(crate) trait Upkeep: Send + Sync {
    /// One visit. Returns when the next is due, or `None` if there need be none.
    fn upkeep(self: Arc<Self>) -> Option<Duration>;
}

/// Adds a pool to the rounds; its first pass comes after `first`.
pub(crate) fn enrol(pool: Weak<dyn Upkeep>, first: Duration) {
    let mut rounds = ROUNDS.lock();
    rounds.visits.push(Visit { due: due_in(first), pool });
    wake(rounds);
}

/// Has a pool visited within `pause`, if it would not be anyway.
pub(crate) fn hasten(pool: &Weak<dyn Upkeep>, pause: Duration) {
    let mut rounds = ROUNDS.lock();
    let due = due_in(pause);
    let found = rounds.visits.iter_mut().find(|visit| visit.is_of(pool) && visit.due > due);
    if let Some(visit) = found {
        visit.due = due;
        wake(rounds);
    }
}

/// Lets the thread look at the list again, or starts it.
fn wake(mut rounds: MutexGuard<'_, Rounds>) {
    if rounds.running {
        CHANGED.notify_one();
        return;
    }
    let spawned = thread::Builder::new().name(NAME.into()).spawn(run);
    rounds.running = spawned.is_ok();
    drop(rounds);
    if let Err(error) = spawned {
        // The next pool or check tries again. Until then the pools work, but expire only at use.
        say!(Warn, { event = "no_thread", reason:% = error }, "cannot start the maintenance thread: {error}");
    }
}

/// Takes a pool off the rounds. The thread ends if it was the last.
pub(crate) fn withdraw(pool: &Weak<dyn Upkeep>) {
    ROUNDS.lock().visits.retain(|visit| !visit.is_of(pool));
    CHANGED.notify_one();
}

/// Whether this is the thread itself, which must not wait for anybody.
#[cfg(feature = "websocket")]
pub(crate) fn is_here() -> bool {
    thread::current().name() == Some(NAME)
}

const NAME: &str = "llm-pool-maintenance";

static ROUNDS: Mutex<Rounds> = Mutex::new(Rounds { visits: Vec::new(), running: false });
static CHANGED: Condvar = Condvar::new();

struct Rounds {
    visits: Vec<Visit>,
    running: bool,
}

struct Visit {
    due: Instant,
    pool: Weak<dyn Upkeep>,
}

impl Visit {
    fn is_of(&self, pool: &Weak<dyn Upkeep>) -> bool {
        self.pool.ptr_eq(pool)
    }
}

fn run() {
    let mut rounds = ROUNDS.lock();
    loop {
        let Some(next) = rounds.visits.iter().min_by_key(|visit| visit.due) else {
            rounds.running = false;
            return;
        };
        if next.due > Instant::now() {
            let due = next.due;
            CHANGED.wait_until(&mut rounds, due);
            continue;
        }
        // Stays on the list meanwhile, so that it can be withdrawn.
        let pool = next.pool.clone();
        // Whatever hastens the next visit during this one may have come too late for it to see.
        if let Some(visit) = rounds.visits.iter_mut().find(|visit| visit.is_of(&pool)) {
            visit.due = due_in(Duration::MAX);
        }
        drop(rounds);
        // A manager's drop may run here, if its pool ends meanwhile, and may panic.
        let visit = || pool.upgrade().and_then(|pool| pool.upkeep());
        let pause = caught(visit).unwrap_or(None);
        rounds = ROUNDS.lock();
        match (pause, rounds.visits.iter().position(|visit| visit.is_of(&pool))) {
            (Some(pause), Some(at)) => {
                let visit = &mut rounds.visits[at];
                visit.due = visit.due.min(due_in(pause));
            }
            (None, Some(at)) => {
                rounds.visits.swap_remove(at);
            }
            (_, None) => {}
        }
    }
}

/// A day at most, so that the sum cannot overflow.
fn due_in(pause: Duration) -> Instant {
    Instant::now() + pause.min(Duration::from_secs(24 * 3600))
}
