//! Which connections are open, and which one makes room for another.

use std::collections::BTreeMap;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// A client has this long, undisturbed, before it may have to make room. One that sends what it has
/// to say needs a thousandth of it.
const UNDISTURBED: Duration = Duration::from_millis(100);

/// How long a new connection waits for the thread of one that was cut, on a machine that is very busy.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long answers that are under way may take when the server stops.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// The open connections, at most so many.
///
/// ```text
///   accepted ──▶ Reading ──▶ Handling ──▶ Writing ──▶ closed
///                   ▲                        │
///                   └──────── Idle ◀─────────┘
/// ```
///
/// When there are too many, the first of these makes room: the one `Idle` for the longest, at once;
/// the one `Reading` or `Writing` for the longest, once it has been for a moment. So clients that
/// are slow, however many, delay another one by that moment for each time that those who came before
/// it fill all the room: a second for 640 of them by default. If all are `Handling`, the new one is
/// refused.
pub(super) struct Open {
    state: Mutex<State>,
    /// Something closed, changed its phase, or the server stops.
    changed: Condvar,
    most: usize,
}

/// Under the one lock of the server. Nothing blocks under it, and no handler runs.
#[derive(Default)]
struct State {
    lines: BTreeMap<u64, Entry>,
    next: u64,
    stopping: bool,
}

struct Entry {
    socket: Arc<TcpStream>,
    phase: Phase,
    since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Answered, and kept open for another request.
    Idle,
    /// A request is coming, or the first is waited for.
    Reading,
    /// A handler is at work.
    Handling,
    Writing,
    /// It was shut down and its thread is about to leave.
    Cut,
}

/// What becomes of a new connection.
pub(super) enum Admitted {
    As(u64),
    /// There is no room.
    Refused,
    /// The server stops.
    Stopping,
}

impl Open {
    pub(super) fn new(most: usize) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), most }
    }

    /// Takes a connection in, after another one has made room if need be.
    pub(super) fn admit(&self, socket: &Arc<TcpStream>) -> Admitted {
        let mut state = self.state.lock();
        let began = Instant::now();
        loop {
            if state.stopping {
                return Admitted::Stopping;
            }
            if state.lines.len() < self.most {
                let id = state.next;
                state.next = state.next.wrapping_add(1);
                let (socket, since) = (socket.clone(), Instant::now());
                state.lines.insert(id, Entry { socket, phase: Phase::Reading, since });
                return Admitted::As(id);
            }
            let now = Instant::now();
            let room = state.make_room(now);
            let patience = if room.is_some() { PATIENCE } else { UNDISTURBED };
            if now.saturating_duration_since(began) > patience {
                return Admitted::Refused;
            }
            let wait = room.unwrap_or(UNDISTURBED);
            self.changed.wait_for(&mut state, wait);
        }
    }

    /// Notes what a connection is about. Says whether it may go on.
    pub(super) fn enter(&self, id: u64, phase: Phase) -> bool {
        let mut state = self.state.lock();
        let stopping = state.stopping && phase != Phase::Writing;
        let Some(entry) = state.lines.get_mut(&id) else { return false };
        if entry.phase == Phase::Cut || stopping {
            return false;
        }
        (entry.phase, entry.since) = (phase, Instant::now());
        drop(state);
        self.changed.notify_all();
        true
    }

    pub(super) fn left(&self, id: u64) {
        let gone = self.state.lock().lines.remove(&id);
        drop(gone);
        self.changed.notify_all();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.state.lock().stopping
    }

    /// Sleeps, at most so long, until the server stops.
    pub(super) fn wait_for_stop(&self, time: Duration) {
        let mut state = self.state.lock();
        let until = Instant::now() + time.min(Duration::from_secs(3600));
        while !state.stopping && !self.changed.wait_until(&mut state, until).timed_out() {}
    }

    /// Takes nothing in any more, cuts what waits or reads, gives answers under way a moment, and
    /// cuts what is left then.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        state.stopping = true;
        state.cut(|phase| matches!(phase, Phase::Idle | Phase::Reading));
        self.changed.notify_all();
        let until = Instant::now() + LAST_ANSWERS;
        while !state.lines.is_empty() && !self.changed.wait_until(&mut state, until).timed_out() {}
        state.cut(|_| true);
    }
}

impl State {
    /// Cuts one connection if one may be; says how long to wait for what comes of it, none if all are
    /// being handled.
    fn make_room(&mut self, now: Instant) -> Option<Duration> {
        if self.lines.values().any(|entry| entry.phase == Phase::Cut) {
            return Some(UNDISTURBED);
        }
        let order = |entry: &&mut Entry| (entry.phase != Phase::Idle, entry.since);
        let movable = |entry: &&mut Entry| entry.phase != Phase::Handling;
        let first = self.lines.values_mut().filter(movable).min_by_key(order)?;
        let had = now.saturating_duration_since(first.since);
        let left = UNDISTURBED.saturating_sub(had);
        if first.phase != Phase::Idle && !left.is_zero() {
            return Some(left);
        }
        first.cut();
        Some(UNDISTURBED)
    }

    fn cut(&mut self, which: impl Fn(Phase) -> bool) {
        self.lines.values_mut().filter(|entry| which(entry.phase)).for_each(Entry::cut);
    }
}

impl Entry {
    /// Wakes its thread, wherever it blocks on the socket.
    fn cut(&mut self) {
        self.phase = Phase::Cut;
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    fn pair() -> (TcpStream, Arc<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        (client, Arc::new(listener.accept().unwrap().0))
    }

    fn admitted(open: &Open, socket: &Arc<TcpStream>) -> u64 {
        match open.admit(socket) {
            Admitted::As(id) => id,
            _ => unreachable!("there was room to be made"),
        }
    }

    /// Two connections and the thread of the first, which leaves once it is cut, and a third that
    /// comes. Says how long that took to be admitted.
    fn third_comes(phases: [Phase; 2], cut: usize) -> Duration {
        let open = Open::new(2);
        let (mut first, mut second, third) = (pair(), pair(), pair());
        let ids = [admitted(&open, &first.1), admitted(&open, &second.1)];
        for (id, phase) in ids.into_iter().zip(phases) {
            assert!(open.enter(id, phase));
        }
        let began = Instant::now();
        std::thread::scope(|scope| {
            let victim = if cut == 0 { &mut first.0 } else { &mut second.0 };
            let open = &open;
            let leaving = scope.spawn(move || {
                assert_eq!(victim.read(&mut [0]).unwrap(), 0, "it is shut down");
                assert!(!open.enter(ids[cut], Phase::Handling), "and may not go on");
                open.left(ids[cut]);
            });
            admitted(open, &third.1);
            leaving.join().unwrap();
        });
        began.elapsed()
    }

    #[test]
    fn who_reads_or_writes_has_a_moment_before_making_room() {
        assert!(third_comes([Phase::Reading, Phase::Reading], 0) > UNDISTURBED / 2);
        assert!(third_comes([Phase::Handling, Phase::Writing], 1) > UNDISTURBED / 2);
    }

    #[test]
    fn who_is_idle_makes_room_first() {
        third_comes([Phase::Reading, Phase::Idle], 1);
    }

    #[test]
    fn no_handler_is_cut_and_nobody_is_admitted_to_what_stops() {
        let open = Open::new(1);
        let (one, other) = (pair(), pair());
        let id = admitted(&open, &one.1);
        assert!(open.enter(id, Phase::Handling));
        assert!(matches!(open.admit(&other.1), Admitted::Refused));
        std::thread::scope(|scope| {
            scope.spawn(|| open.stop());
            while !open.is_stopping() {
                std::thread::yield_now();
            }
            assert!(matches!(open.admit(&other.1), Admitted::Stopping));
            assert!(open.enter(id, Phase::Writing), "its answer may still be sent");
            open.left(id);
        });
    }
}
