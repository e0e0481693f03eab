//! One message to all: at once, or left for whoever has a socket, within bounds.

use std::sync::{Mutex, mpsc};
use std::time::Instant;

use llm_pool::ManualClock;
use llm_pool::websocket::{Broadcast, Message, WebSocketConfig, WebSocketError, WebSockets};

use crate::peers::{Peers, registry, taken, while_attended};
use crate::support::*;

#[test]
fn a_broadcast_reaches_idle_sockets_at_once_and_those_in_use_by_their_holder() {
    let peers = Peers::echo();
    // By a clock that stands still: the background has none of them for moments.
    let sockets = registry(WebSocketConfig::default().clock(ManualClock::new().clock()));
    (0..50).for_each(|n| sockets.connect(&n.to_string(), peers.url()).unwrap());
    let mut held = sockets.get("7").unwrap();
    let kept = sockets.get("8").unwrap();
    let done = sockets.broadcast("to all").unwrap();
    assert_eq!((done.sent, done.queued, done.failed.len()), (48, 2, 0));
    assert_eq!(held.receive(LIMIT).unwrap(), Message::from("to all"));
    drop((held, kept));
    for n in (0..50).filter(|n| *n != 7) {
        let mut socket = sockets.get(&n.to_string()).unwrap();
        assert_eq!(socket.receive(LIMIT).unwrap(), Message::from("to all"), "{n}");
    }
    assert!(sockets.broadcast("x".repeat(17 << 20)).is_err());
}

#[test]
fn what_a_slow_peer_does_not_take_waits_within_bounds_and_goes_later() {
    let slow = SlowPeer::new();
    // By a clock that stands still: the background has no socket for moments.
    let sockets = slow.registry_with_room_for(20);
    let taken = broadcast_each(&sockets, 60);
    assert_eq!(taken.queued, 0, "it is idle");
    assert!((20..40).contains(&taken.sent), "{} of 1 MiB were taken", taken.sent);
    slow.reads_all(taken.sent, || sockets.clean_up());
}

#[test]
fn what_a_slow_peer_is_left_while_it_is_in_use_waits_within_bounds_and_goes_later() {
    let slow = SlowPeer::new();
    let sockets = slow.registry_with_room_for(20);
    let held = sockets.get("a").unwrap();
    let queued = broadcast_each(&sockets, 60).queued;
    assert_eq!(queued, 19, "as many as there is room for, with their frames");
    drop(held);
    let sent = broadcast_each(&sockets, 60).sent;
    let mut held = sockets.get("a").unwrap();
    assert_eq!(broadcast_each(&sockets, 5).failed.len(), 5, "what the socket holds counts as well");
    assert!(held.try_receive().unwrap().is_none());
    drop(held);
    slow.reads_all(queued + sent, || sockets.clean_up());
}

#[test]
fn a_slow_peer_is_told_all_that_was_taken_for_it_whoever_has_its_socket() {
    let slow = SlowPeer::new();
    let sockets = slow.registry_with_room_for(20);
    while_attended(&sockets, || {
        let taken = taken(&broadcast_each(&sockets, 60));
        // If none went at once, as many as there is room for, with their frames.
        assert!((19..40).contains(&taken), "{taken} of 1 MiB were taken");
        slow.reads_all(taken, || ());
    });
}

/// Reads nothing until it is to, and then says what came.
struct SlowPeer {
    peers: Peers,
    go: mpsc::Sender<()>,
    told: mpsc::Receiver<usize>,
}

impl SlowPeer {
    fn new() -> Self {
        let (go, wait) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let ends = Mutex::new((wait, tell));
        let peers = Peers::playing(move |socket| {
            let (wait, tell) = &*ends.lock().unwrap();
            if wait.recv().is_err() {
                return;
            }
            while let Ok(message) = socket.read() {
                if tell.send(message.len()).is_err() {
                    return;
                }
            }
        });
        Self { peers, go, told }
    }

    /// Of messages of 1 MiB.
    fn registry_with_room_for(&self, messages: usize) -> WebSockets {
        let config = WebSocketConfig::default().clock(ManualClock::new().clock());
        let sockets = registry(config.write_buffer_size(messages << 20));
        sockets.connect("a", self.peers.url()).unwrap();
        sockets
    }

    /// Has it read, and sees that so many messages come whole while `meanwhile` is done, and no more.
    fn reads_all(&self, messages: usize, meanwhile: impl Fn()) {
        self.go.send(()).unwrap();
        let (began, mut came) = (Instant::now(), Vec::new());
        while came.len() < messages {
            assert!(began.elapsed() < LIMIT, "{} of {messages} came", came.len());
            meanwhile();
            came.extend(self.told.recv_timeout(millis(10)));
        }
        assert!(came.iter().all(|len| *len == 1 << 20));
        meanwhile();
        assert!(self.told.recv_timeout(millis(50)).is_err(), "more than was taken came");
    }
}

/// So many broadcasts of 1 MiB; what became of all of them.
fn broadcast_each(sockets: &WebSockets, times: usize) -> Broadcast {
    let message = "x".repeat(1 << 20);
    let mut all = Broadcast::default();
    for _ in 0..times {
        let done = sockets.broadcast(&*message).unwrap();
        all.sent += done.sent;
        all.queued += done.queued;
        all.failed.extend(done.failed);
    }
    assert!(all.failed.iter().all(|(_, error)| matches!(error, WebSocketError::WriteBufferFull)));
    assert_eq!(all.sent + all.queued + all.failed.len(), times);
    all
}
