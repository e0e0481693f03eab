//! Ids, leases, the bound, eviction.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::websocket::{
    CloseReason, Message, SocketState, WebSocketConfig, WebSocketError, WebSockets, WhenFull,
};
use llm_pool::{ConfigError, ManualClock};

use crate::peers::{Peers, read_to_the_end, registry};
use crate::support::*;

#[test]
fn a_message_goes_and_its_echo_comes() {
    let peers = Peers::echo();
    let sockets = registry(WebSocketConfig::default());
    sockets.connect("a", peers.url()).unwrap();
    let mut socket = sockets.get("a").unwrap();
    for message in [Message::from("hello"), Message::from(vec![0_u8, 255]), Message::from("")] {
        socket.send(message.clone()).unwrap();
        assert_eq!(socket.receive(LIMIT).unwrap(), message);
    }
    let big = "x".repeat(3 << 20);
    socket.send(&*big).unwrap();
    assert_eq!(socket.receive(LIMIT).unwrap().as_text(), Some(&*big));
    assert!(socket.ping().unwrap() < LIMIT);
    assert!(socket.try_receive().unwrap().is_none());
    drop(socket);
    let stats = sockets.stats();
    assert_eq!((stats.total_connections, stats.in_use, stats.opened), (1, 0, 1));
    assert_eq!((stats.messages_sent, stats.messages_received), (4, 4));
    assert_eq!((stats.bytes_sent, stats.bytes_received), (7 + (3 << 20), 7 + (3 << 20)));
    assert_eq!(stats.round_trips.count(), 1);
    assert_eq!(&*stats.connection_ids[0], "a");
}

#[test]
fn a_time_out_in_the_middle_of_a_message_loses_nothing() {
    use std::io::Write;
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let peers = Peers::playing(move |socket| {
        // A text of ten bytes, in three pieces, none of which is a frame.
        let frame = [&[0x81, 10][..], b"0123456789"].concat();
        for piece in [&frame[..1], &frame[1..5], &frame[5..]] {
            socket.get_mut().write_all(piece).unwrap();
            wait.lock().unwrap().recv().unwrap();
        }
        read_to_the_end(socket);
    });
    let sockets = registry(WebSocketConfig::default());
    sockets.connect("a", peers.url()).unwrap();
    let mut socket = sockets.get("a").unwrap();
    for _ in 0..2 {
        let error = socket.receive(millis(20)).unwrap_err();
        assert!(matches!(error, WebSocketError::ReceiveTimedOut { .. }), "{error}");
        go.send(()).unwrap();
    }
    // A visit of the background reads a part as well.
    drop(socket);
    sockets.clean_up();
    let mut socket = sockets.get("a").unwrap();
    assert_eq!(socket.receive(LIMIT).unwrap(), Message::from("0123456789"));
    go.send(()).unwrap();
}

#[test]
fn what_comes_while_nobody_has_the_socket_is_kept_within_bounds_and_in_order() {
    let peers = Peers::playing(|socket| {
        for n in 0..1000 {
            socket.send(format!("{n:0100}").into()).unwrap();
        }
        read_to_the_end(socket);
    });
    let sockets = registry(WebSocketConfig::default().max_kept(10_000));
    sockets.connect("a", peers.url()).unwrap();
    for _ in 0..50 {
        sockets.clean_up();
        thread::sleep(millis(1));
    }
    let kept = sockets.stats().messages_received;
    assert!((60..200).contains(&kept), "{kept} of 100 bytes were read ahead");
    let mut socket = sockets.get("a").unwrap();
    for n in 0..1000 {
        assert_eq!(socket.receive(LIMIT).unwrap(), Message::from(format!("{n:0100}")));
    }
}

#[test]
fn who_waits_is_served_in_the_order_of_arrival() {
    let peers = Peers::echo();
    let sockets = registry(WebSocketConfig::default());
    sockets.connect("a", peers.url()).unwrap();
    let held = sockets.get("a").unwrap();
    let (tell, told) = mpsc::channel();
    let mut threads = Vec::new();
    for n in 0..5 {
        let (sockets2, tell) = (sockets.clone(), tell.clone());
        threads.push(thread::spawn(move || {
            let lease = sockets2.get("a").unwrap();
            tell.send(n).unwrap();
            drop(lease);
        }));
        eventually(|| sockets.stats().waiting == n + 1);
    }
    drop(held);
    let order: Vec<_> = told.iter().take(5).collect();
    assert_eq!(order, [0, 1, 2, 3, 4]);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_wait_ends_at_its_deadline_and_says_why() {
    let peers = Peers::echo();
    let time = ManualClock::new();
    let sockets = registry(WebSocketConfig::default().clock(time.clock()).name("talks"));
    sockets.connect("a", peers.url()).unwrap();
    let _held = sockets.get("a").unwrap();
    let other = sockets.clone();
    let waiter = spawn(move || other.get("a").map(drop));
    eventually(|| sockets.stats().waiting == 1);
    time.advance(secs(30));
    let error = waiter.result().unwrap_err().to_string();
    assert_eq!(error, "talks: waited 30.0s for the socket \"a\", which is in use; 0 were ahead");
    assert!(matches!(sockets.try_get("a"), Err(WebSocketError::WaitTimedOut { .. })));
    assert!(matches!(sockets.get("b"), Err(WebSocketError::Unknown { .. })));
}

#[test]
fn at_the_limit_one_more_is_refused_or_evicts_the_least_recently_used_idle_one() {
    let peers = Peers::echo();
    let config = WebSocketConfig::default().max_connections(2);
    let sockets = registry(config.clone());
    sockets.connect("a", peers.url()).unwrap();
    sockets.connect("b", peers.url()).unwrap();
    let error = sockets.connect("c", peers.url()).unwrap_err();
    assert!(error.to_string().contains("raise `max_connections`"), "{error}");

    let time = ManualClock::new();
    let sockets = registry(config.when_full(WhenFull::EvictIdle).clock(time.clock()));
    for id in ["a", "b"] {
        sockets.connect(id, peers.url()).unwrap();
        time.advance(secs(1));
    }
    drop(sockets.get("a").unwrap());
    sockets.connect("c", peers.url()).unwrap();
    assert_eq!(sockets.ids().iter().map(|id| &**id).collect::<Vec<_>>(), ["a", "c"]);
    let _held = [sockets.get("a").unwrap(), sockets.get("c").unwrap()];
    let error = sockets.connect("d", peers.url()).unwrap_err();
    assert!(matches!(error, WebSocketError::Full { max: 2, in_use: 2, .. }), "{error}");
    assert_eq!(sockets.stats().closed(CloseReason::Evicted), 1);
}

#[test]
fn of_sockets_used_within_one_moment_the_first_used_is_evicted_first() {
    let peers = Peers::echo();
    let config = WebSocketConfig::default().max_connections(10).when_full(WhenFull::EvictIdle);
    // A clock that stands still tells them not apart.
    let sockets = registry(config.clock(ManualClock::new().clock()));
    let connect = |id: usize| sockets.connect(&id.to_string(), peers.url()).unwrap();
    (0..10).for_each(connect);
    (0..5).for_each(|id| drop(sockets.get(&id.to_string()).unwrap()));
    (10..15).for_each(connect);
    let left: Vec<_> = sockets.ids().iter().map(|id| id.parse().unwrap()).collect();
    assert!((0..5).chain(10..15).all(|id: usize| left.contains(&id)), "{left:?}");
}

#[test]
fn an_id_twice_is_refused_or_replaces() {
    let peers = Peers::echo();
    let sockets = registry(WebSocketConfig::default());
    sockets.connect("a", peers.url()).unwrap();
    assert!(matches!(sockets.connect("a", peers.url()), Err(WebSocketError::Duplicate { .. })));

    let sockets = registry(WebSocketConfig::default().replace(true));
    sockets.connect("a", peers.url()).unwrap();
    let held = sockets.get("a").unwrap();
    sockets.connect("a", peers.url()).unwrap();
    let mut fresh = sockets.get("a").unwrap();
    drop(held);
    fresh.send("still here").unwrap();
    assert_eq!(fresh.receive(LIMIT).unwrap(), Message::from("still here"));
    drop(fresh);
    let stats = sockets.stats();
    assert_eq!((stats.closed(CloseReason::Replaced), stats.in_use, stats.opened), (1, 0, 2));
    assert_eq!(sockets.len(), 1);
}

#[test]
fn a_removed_socket_is_closed_with_a_handshake_also_if_it_was_in_use() {
    let (tell, told) = mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let peers = Peers::playing(move |socket| {
        let close = read_to_the_end(socket);
        tell.lock().unwrap().send(close).unwrap();
    });
    let sockets = registry(WebSocketConfig::default());
    let normal = Some((1000, "removed".to_owned()));
    sockets.connect("a", peers.url()).unwrap();
    sockets.remove("a").unwrap();
    assert_eq!(told.recv_timeout(LIMIT).unwrap(), normal);
    sockets.connect("a", peers.url()).unwrap();
    let held = sockets.get("a").unwrap();
    sockets.remove("a").unwrap();
    assert!(!sockets.contains("a"));
    assert!(told.try_recv().is_err(), "the holder still has it");
    drop(held);
    assert_eq!(told.recv_timeout(LIMIT).unwrap(), normal);
    sockets.connect("a", peers.url()).unwrap();
    sockets.get("a").unwrap().close();
    assert_eq!(told.recv_timeout(LIMIT).unwrap(), normal);
    assert!(!sockets.contains("a") && sockets.remove("a").is_err());
    eventually(|| sockets.stats().closing == 0);

    // The last handle closes the rest.
    sockets.connect("a", peers.url()).unwrap();
    sockets.connect("b", peers.url()).unwrap();
    let held = sockets.get("b").unwrap();
    drop(sockets);
    let away = Some((1001, "registry closed".to_owned()));
    assert_eq!(told.recv_timeout(LIMIT).unwrap(), away);
    drop(held);
    assert_eq!(told.recv_timeout(LIMIT).unwrap(), away);
}

#[test]
fn closing_waits_no_longer_than_its_limit_for_a_peer_that_does_not_answer() {
    let peers = Peers::playing(|_| thread::sleep(LIMIT));
    let sockets = registry(WebSocketConfig::default().close_timeout(millis(50)));
    (0..20).for_each(|n| sockets.connect(&n.to_string(), peers.url()).unwrap());
    let began = Instant::now();
    sockets.close();
    let took = began.elapsed();
    assert!((millis(50)..secs(5)).contains(&took), "{took:?}");
    assert_eq!(sockets.stats().closed(CloseReason::RegistryClosed), 20);
    assert!(matches!(sockets.connect("a", peers.url()), Err(WebSocketError::Closed { .. })));
    assert!(matches!(sockets.get("1"), Err(WebSocketError::Closed { .. })));
}

#[test]
fn a_socket_nobody_uses_is_closed() {
    let peers = Peers::echo();
    let time = ManualClock::new();
    let config = WebSocketConfig::default().clock(time.clock()).check_interval(None);
    let sockets = registry(config);
    for id in ["used", "unused", "held"] {
        sockets.connect(id, peers.url()).unwrap();
    }
    let _held = sockets.get("held").unwrap();
    time.advance(secs(200));
    sockets.send("used", "hello").unwrap();
    time.advance(secs(100));
    sockets.clean_up();
    assert_eq!(sockets.ids().iter().map(|id| &**id).collect::<Vec<_>>(), ["held", "used"]);
    assert_eq!(sockets.stats().closed(CloseReason::Unused), 1);
}

#[test]
fn states_are_seen() {
    let peers = Peers::echo();
    let sockets = registry(WebSocketConfig::default());
    sockets.connect("a", peers.url()).unwrap();
    assert_eq!(sockets.state("a"), Some(SocketState::Open));
    assert_eq!(sockets.state("b"), None);
    assert_eq!(sockets.get("a").unwrap().state(), SocketState::Open);
}

#[test]
fn all_bad_settings_are_named_in_one_error() {
    let zero = Duration::ZERO;
    let config = WebSocketConfig::default()
        .max_connections(0)
        .ping_timeout(zero)
        .check_interval(zero)
        .read_buffer_size(1)
        .reconnect(llm_pool::websocket::Reconnect::default().jitter(2.0).max_tries(0));
    let error: ConfigError = WebSockets::new(config).unwrap_err();
    let named: Vec<_> =
        error.problems().iter().filter_map(|it| Some(it.split_once(": ")?.0)).collect();
    let all = [
        "max_connections",
        "check_interval",
        "ping_timeout",
        "read_buffer_size",
        "reconnect.jitter",
        "reconnect.max_tries",
    ];
    assert_eq!(named, all);
}

#[test]
fn many_threads_share_many_sockets_and_the_books_hold() {
    let peers = Peers::echo();
    let sockets = registry(WebSocketConfig::default().max_connections(8).read_interval(millis(1)));
    let threads: Vec<_> = (0..6_u32)
        .map(|thread| {
            let (sockets, url) = (sockets.clone(), peers.url());
            spawn(move || {
                for turn in 0..150_u32 {
                    let id = ((thread * 7 + turn * 13) % 10).to_string();
                    match (thread + turn) % 7 {
                        0 => drop(sockets.connect(&id, &*url)),
                        1 => drop(sockets.remove(&id)),
                        2 => drop(sockets.check_all()),
                        3 => drop(sockets.broadcast("x")),
                        _ => drop(sockets.get_timeout(&id, millis(20)).map(|mut lease| {
                            let _ = lease.send("y");
                            let _ = lease.receive(millis(5));
                        })),
                    }
                    assert!(sockets.len() <= 8);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.result());
    let stats = sockets.stats();
    assert_eq!((stats.in_use, stats.waiting), (0, 0));
    let gone = stats.opened - stats.closed_total();
    assert_eq!(gone, stats.total_connections as u64, "{stats:?}");
    assert!(sockets.ids().iter().all(|id| sockets.try_get(id).is_ok()));
}
