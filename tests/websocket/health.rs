//! Pings, dead peers, reconnects.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::ManualClock;
use llm_pool::websocket::{
    CloseReason, Ending, Message, Reconnect, SocketObserver, SocketState, WebSocketConfig,
    WebSockets,
};

use crate::peers::{Peers, echo, registry};
use crate::support::*;

/// What an observer was told, in words.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn add(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl SocketObserver for Told {
    fn opened(&self, _: &Arc<str>, id: &Arc<str>) {
        self.add(format!("{id} opened"));
    }

    fn closed(&self, _: &Arc<str>, id: &Arc<str>, ending: &Ending, reconnecting: bool) {
        self.add(format!("{id} closed, {}, {reconnecting}", ending.reason));
    }

    fn reconnected(&self, _: &Arc<str>, id: &Arc<str>) {
        self.add(format!("{id} reconnected"));
    }

    fn reconnect_failed(&self, _: &Arc<str>, id: &Arc<str>, _: &str, pause: Option<Duration>) {
        self.add(format!("{id} failed, again: {}", pause.is_some()));
    }
}

fn silent() -> Peers {
    Peers::playing(|_| thread::sleep(LIMIT))
}

#[test]
fn a_pass_pings_all_and_dead_peers_delay_no_other() {
    let _ = rlimit::increase_nofile_limit(8192);
    let (well, dead) = (Peers::echo(), silent());
    let told = Told::default();
    let config = WebSocketConfig::default()
        .close_timeout(millis(100))
        .ping_timeout(millis(1000))
        .observer(told.clone());
    let sockets = registry(config);
    (0..990).for_each(|n| sockets.connect(&format!("well {n}"), well.url()).unwrap());
    (0..10).for_each(|n| sockets.connect(&format!("dead {n}"), dead.url()).unwrap());
    let _held = sockets.get("well 0").unwrap();
    let began = Instant::now();
    let report = sockets.check_all();
    let took = began.elapsed();
    assert!((millis(1000)..millis(2000)).contains(&took), "{took:?}");
    assert_eq!((report.checked, report.answered, report.ended), (999, 989, 10), "{report:?}");
    assert_eq!(report.left_alone, 1);
    let stats = sockets.stats();
    assert_eq!((stats.total_connections, stats.closed(CloseReason::NoPong)), (990, 10));
    assert_eq!(stats.round_trips.count(), 989);
    assert!(stats.ping_p50() <= stats.ping_p95() && stats.ping_p95() <= stats.ping_p99());
    let ends = told.all().into_iter().filter(|it| it.ends_with("closed, no pong, false")).count();
    assert_eq!(ends, 10);
}

#[test]
fn a_pass_also_pings_those_that_the_background_has_for_a_moment() {
    let peers = Peers::echo();
    let sockets = registry(WebSocketConfig::default().read_interval(millis(1)));
    (0..100).for_each(|n| sockets.connect(&n.to_string(), peers.url()).unwrap());
    for pass in 1..=20 {
        let report = sockets.check_all();
        assert_eq!((report.checked, report.answered, report.ended), (100, 100, 0), "{report:?}");
        assert_eq!(sockets.stats().round_trips.count(), pass * 100);
    }
}

#[test]
fn the_background_finds_dead_peers_and_answers_pings() {
    let dead = silent();
    // This one pings, and stays only while it is answered.
    let pinging = Peers::playing(|socket| {
        for n in 0..u64::MAX {
            let payload = n.to_be_bytes().to_vec();
            socket.send(tungstenite::Message::Ping(payload.clone().into())).unwrap();
            loop {
                match socket.read() {
                    Ok(tungstenite::Message::Pong(pong)) if pong[..] == payload[..] => break,
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
            if n == 5 {
                socket.send("answered".into()).unwrap();
            }
        }
    });
    let config = WebSocketConfig::default();
    let config = config.check_interval(millis(50)).ping_timeout(millis(100));
    let sockets = registry(config.read_interval(millis(5)));
    sockets.connect("dead", dead.url()).unwrap();
    sockets.connect("pinging", pinging.url()).unwrap();
    eventually(|| sockets.stats().messages_received == 1);
    eventually(|| !sockets.contains("dead"));
    assert!(sockets.contains("pinging"));
    assert_eq!(sockets.stats().closed(CloseReason::NoPong), 1);
    assert_eq!(sockets.get("pinging").unwrap().receive(LIMIT).unwrap(), "answered".into());
}

#[test]
fn a_holder_who_did_not_read_costs_the_socket_nothing() {
    let peers = Peers::echo();
    let time = ManualClock::new();
    let config = WebSocketConfig::default().idle_timeout(None).clock(time.clock());
    let sockets = registry(config);
    sockets.connect("a", peers.url()).unwrap();
    time.advance(secs(60));
    sockets.clean_up(); // pings
    let held = sockets.get("a").unwrap();
    time.advance(secs(60));
    sockets.clean_up();
    drop(held);
    eventually(|| {
        sockets.clean_up();
        assert_eq!(sockets.state("a"), Some(SocketState::Open));
        sockets.stats().round_trips.count() == 1
    });
}

#[test]
fn a_peer_without_a_pong_is_gone_when_its_time_is_over_and_not_before() {
    let dead = silent();
    let time = ManualClock::new();
    let sockets = registry(WebSocketConfig::default().clock(time.clock()));
    sockets.connect("a", dead.url()).unwrap();
    for (advance, there) in [(60, true), (9, true), (1, false)] {
        time.advance(secs(advance));
        sockets.clean_up();
        assert_eq!(sockets.contains("a"), there, "after {advance} s more");
    }
    assert_eq!(sockets.stats().closed(CloseReason::NoPong), 1);
}

#[test]
fn lost_sockets_are_opened_again_and_who_waits_gets_them() {
    let peers = Peers::echo();
    let addr = peers.addr;
    let told = Told::default();
    let again = Reconnect::default().first_pause(millis(5)).max_pause(millis(50)).max_tries(None);
    let config = WebSocketConfig::default().reconnect(again).observer(told.clone());
    let sockets = registry(config.read_interval(millis(5)));
    (0..20).for_each(|n| sockets.connect(&n.to_string(), peers.url()).unwrap());
    peers.kill();
    drop(peers);
    eventually(|| sockets.stats().connecting == 20);
    assert_eq!(sockets.state("3"), Some(SocketState::Connecting));
    let other = sockets.clone();
    let waiter = spawn(move || other.get("3").map(|mut lease| lease.send("hello").is_ok()));
    eventually(|| sockets.stats().reconnects_failed > 20);
    let peers = Peers::at(addr, echo);
    assert!(waiter.result().unwrap());
    eventually(|| sockets.stats().connecting == 0);
    let stats = sockets.stats();
    assert_eq!((stats.total_connections, stats.opened), (20, 40));
    assert_eq!(stats.closed(CloseReason::Lost), 20);
    let mut socket = sockets.get("3").unwrap();
    assert_eq!(socket.receive(LIMIT).unwrap(), Message::from("hello"));
    let told = told.all();
    for what in ["3 opened", "3 closed, lost, true", "3 reconnected"] {
        assert_eq!(told.iter().filter(|it| *it == what).count(), 1, "{what}");
    }
    drop(peers);
}

#[test]
fn after_the_last_try_a_lost_socket_is_given_up() {
    let peers = Peers::echo();
    let told = Told::default();
    let again = Reconnect::default().first_pause(millis(1)).max_tries(3);
    let config = WebSocketConfig::default().reconnect(again).observer(told.clone());
    let sockets = registry(config.read_interval(millis(5)));
    sockets.connect("a", peers.url()).unwrap();
    peers.kill();
    eventually(|| sockets.is_empty());
    eventually(|| told.all().len() == 5);
    let lines = ["a opened", "a closed, lost, true"];
    let tries = ["a failed, again: true", "a failed, again: true", "a failed, again: false"];
    assert_eq!(told.all(), [&lines[..], &tries].concat());
}

#[test]
fn what_was_closed_for_cause_is_not_opened_again() {
    let peers = Peers::playing(|socket| {
        socket.send("x".repeat(100).into()).unwrap();
        crate::peers::read_to_the_end(socket);
    });
    let config = WebSocketConfig::default().reconnect(Reconnect::default()).max_message_size(50);
    let sockets = registry(config);
    sockets.connect("a", peers.url()).unwrap();
    eventually(|| {
        sockets.clean_up();
        sockets.is_empty()
    });
    assert_eq!(sockets.stats().closed(CloseReason::TooLarge), 1);
}

#[test]
fn an_observer_that_panics_costs_nothing_and_may_use_the_registry() {
    struct Rude(Arc<Mutex<Option<WebSockets>>>);
    impl SocketObserver for Rude {
        fn opened(&self, _: &Arc<str>, _: &Arc<str>) {
            if let Some(sockets) = &*self.0.lock().unwrap() {
                assert_eq!(sockets.stats().total_connections, 1);
            }
            panic!("rude");
        }
    }
    let peers = Peers::echo();
    let place = Arc::default();
    let sockets = registry(WebSocketConfig::default().observer(Rude(Arc::clone(&place))));
    *place.lock().unwrap() = Some(sockets.clone());
    sockets.connect("a", peers.url()).unwrap();
    sockets.get("a").unwrap().send("hello").unwrap();
    *place.lock().unwrap() = None;
}
