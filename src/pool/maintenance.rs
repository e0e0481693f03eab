//! The one background thread of all pools: it sleeps until a pool's next pass is due or a check is
//! to be given up, and ends with the last pool.
//!
//! It holds pools weakly, so a pool's end needs no word to it, and it never runs a creation or a
//! check itself: those go to workers and checkers. Its lock guards the list of pools and is not held during a
//! pass.

use std::collections::BTreeMap;
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
    rounds.visit(&pool, due_in(first));
    wake(rounds);
}

/// Has a pool visited within `pause`, if it would not be anyway.
pub(crate) fn hasten(pool: &Weak<dyn Upkeep>, pause: Duration) {
    let mut rounds = ROUNDS.lock();
    let due = due_in(pause);
    if rounds.due(pool).is_some_and(|known| known > due) {
        rounds.visit(pool, due);
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
    ROUNDS.lock().forget(pool);
    CHANGED.notify_one();
}

/// Whether this is the thread itself, which must not wait for anybody.
#[cfg(feature = "websocket")]
pub(crate) fn is_here() -> bool {
    thread::current().name() == Some(NAME)
}

const NAME: &str = "llm-pool-maintenance";

static ROUNDS: Mutex<Rounds> =
    Mutex::new(Rounds { visits: BTreeMap::new(), due: BTreeMap::new(), running: false });
static CHANGED: Condvar = Condvar::new();

/// There may be thousands of pools, one for each key: none of this looks at all of them.
struct Rounds {
    /// The next visits, in their order, by when each is due and by the pool's address, which is no
    /// other pool's while it is pointed to from here.
    visits: BTreeMap<(Instant, usize), Weak<dyn Upkeep>>,
    /// When the visit of each is due, by its address.
    due: BTreeMap<usize, Instant>,
    running: bool,
}

impl Rounds {
    fn due(&self, pool: &Weak<dyn Upkeep>) -> Option<Instant> {
        self.due.get(&address(pool)).copied()
    }

    /// Has the next visit of a pool at this time, and not when it was to be before.
    fn visit(&mut self, pool: &Weak<dyn Upkeep>, due: Instant) {
        self.forget(pool);
        self.due.insert(address(pool), due);
        self.visits.insert((due, address(pool)), pool.clone());
    }

    fn forget(&mut self, pool: &Weak<dyn Upkeep>) {
        if let Some(due) = self.due.remove(&address(pool)) {
            self.visits.remove(&(due, address(pool)));
        }
    }
}

fn address(pool: &Weak<dyn Upkeep>) -> usize {
    pool.as_ptr().cast::<()>().addr()
}

fn run() {
    let mut rounds = ROUNDS.lock();
    loop {
        let Some((&(due, _), pool)) = rounds.visits.first_key_value() else {
            rounds.running = false;
            return;
        };
        if due > Instant::now() {
            CHANGED.wait_until(&mut rounds, due);
            continue;
        }
        // Stays on the list meanwhile, so that it can be withdrawn. Whatever hastens the next visit
        // during this one may have come too late for it to see.
        let pool = pool.clone();
        rounds.visit(&pool, due_in(Duration::MAX));
        drop(rounds);
        // A manager's drop may run here, if its pool ends meanwhile, and may panic.
        let visit = || pool.upgrade().and_then(|pool| pool.upkeep());
        let pause = caught(visit).unwrap_or(None);
        rounds = ROUNDS.lock();
        match (pause, rounds.due(&pool)) {
            (Some(pause), Some(known)) => rounds.visit(&pool, known.min(due_in(pause))),
            (None, Some(_)) => rounds.forget(&pool),
            (_, None) => {}
        }
    }
}

/// A day at most, so that the sum cannot overflow.
fn due_in(pause: Duration) -> Instant {
    Instant::now() + pause.min(Duration::from_secs(24 * 3600))
}
