//! What meets in the same moment: opening, closing, the background, observers.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Instant;

use llm_pool::ManualClock;
use llm_pool::agent::{AgentConfig, AgentManager, Proxy};
use llm_pool::websocket::{
    CloseReason, Ending, Reconnect, Socket, SocketObserver, WebSocketConfig, WebSocketError,
    WebSockets, WhenFull,
};

use crate::peers::{Peers, read_to_the_end, registry, taken, while_attended};
use crate::support::*;

/// Tells its close, once its connection is over.
fn telling() -> (Peers, mpsc::Receiver<Option<(u16, String)>>) {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let peers = Peers::playing(move |socket| {
        let close = read_to_the_end(socket);
        let _ = tell.lock().unwrap().send(close);
    });
    (peers, told)
}

#[test]
fn a_connect_that_fails_costs_no_socket_that_works() {
    let peers = Peers::echo();
    let config = WebSocketConfig::default().max_connections(1);
    for config in [config.clone().when_full(WhenFull::EvictIdle), config.replace(true)] {
        let id = if config.replace { "a" } else { "b" };
        let sockets = registry(config);
        sockets.connect("a", peers.url()).unwrap();
        assert!(sockets.connect(id, "ws://127.0.0.1:1/").is_err());
        assert!(sockets.send("a", "hello").is_ok());
        sockets.connect(id, peers.url()).unwrap();
        assert_eq!((sockets.len(), sockets.contains(id)), (1, true));
    }
}

#[test]
fn a_socket_that_the_background_has_for_a_moment_can_be_evicted() {
    let peers = Peers::echo();
    let config = WebSocketConfig::default().max_connections(1).when_full(WhenFull::EvictIdle);
    let sockets = registry(config);
    while_attended(&sockets, || {
        (0..300).for_each(|n| sockets.connect(&n.to_string(), peers.url()).unwrap());
    });
    assert_eq!(sockets.stats().closed(CloseReason::Evicted), 299);
}

#[test]
fn a_connect_whose_id_was_removed_meanwhile_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    for close in [false, true] {
        let sockets = registry(WebSocketConfig::default());
        let (other, url) = (sockets.clone(), url.clone());
        let connecting = spawn(move || other.connect("a", url));
        let stream = listener.accept().unwrap().0;
        eventually(|| sockets.contains("a"));
        if close {
            sockets.close();
        } else {
            sockets.remove("a").unwrap();
        }
        let peer = spawn(move || {
            let mut socket = tungstenite::accept(stream).unwrap();
            read_to_the_end(&mut socket)
        });
        let error = connecting.result().unwrap_err();
        match close {
            false => assert!(matches!(error, WebSocketError::Unknown { .. }), "{error}"),
            true => assert!(matches!(error, WebSocketError::Closed { .. }), "{error}"),
        }
        assert!(peer.result().is_some());
    }
}

#[test]
fn a_socket_that_is_refused_or_never_added_is_closed_with_a_handshake() {
    let (peers, told) = telling();
    let sockets = registry(WebSocketConfig::default().max_connections(1));
    sockets.connect("a", peers.url()).unwrap();
    let more: Socket = sockets.open(peers.url()).unwrap();
    assert!(matches!(sockets.add("b", more), Err(WebSocketError::Full { .. })));
    assert_eq!(told.recv_timeout(LIMIT).unwrap(), Some((1000, "removed".into())));
    drop(sockets.open(peers.url()).unwrap());
    assert_eq!(told.recv_timeout(LIMIT).unwrap(), Some((1000, "removed".into())));
}

#[test]
fn agents_that_are_https_only_open_no_socket_without_tls() {
    let peers = Peers::echo();
    let config = AgentConfig::default().proxy(Proxy::Direct).https_only(true);
    let agents = AgentManager::new(config).unwrap();
    let sockets = WebSockets::with_agents(WebSocketConfig::default(), &agents).unwrap();
    let error = sockets.connect("a", peers.url()).unwrap_err();
    assert!(error.to_string().contains("https_only"), "{error}");
}

#[test]
fn nothing_a_peer_or_an_id_says_can_forge_a_line_or_move_a_cursor() {
    use tungstenite::protocol::frame::CloseFrame;
    use tungstenite::protocol::frame::coding::CloseCode;
    let peers = Peers::playing(|socket| {
        let reason = "a\rb\u{1b}[2J\u{7}c\nd\u{2028}e\u{202e}f".into();
        socket.close(Some(CloseFrame { code: CloseCode::Normal, reason })).unwrap();
        read_to_the_end(socket);
    });
    let sockets = registry(WebSocketConfig::default());
    sockets.connect("a\n\u{1b}[2J", peers.url()).unwrap();
    let lease = sockets.get("a\n\u{1b}[2J").unwrap();
    let waited = sockets.try_get("a\n\u{1b}[2J").unwrap_err().to_string();
    let mut lease = lease;
    let closed = lease.receive(LIMIT).unwrap_err().to_string();
    let bad = |c: char| c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c);
    for shown in [waited, closed, sockets.get_timeout("\n", millis(1)).unwrap_err().to_string()] {
        assert!(!shown.contains(bad), "{shown:?}");
    }
}

#[test]
fn a_peer_that_keeps_closing_is_opened_again_more_and_more_slowly() {
    let peers = Peers::playing(|socket| {
        let _ = socket.close(None);
        read_to_the_end(socket);
    });
    let again = Reconnect::default().first_pause(millis(20)).max_pause(secs(10)).jitter(0.0);
    let config = WebSocketConfig::default().read_interval(millis(1)).reconnect(again);
    let sockets = registry(config);
    let began = Instant::now();
    sockets.connect("a", peers.url()).unwrap();
    eventually(|| sockets.stats().opened == 6);
    // 20 + 40 + 80 + 160 + 320.
    assert!(began.elapsed() >= millis(620), "{:?}", began.elapsed());
}

#[test]
fn what_was_broadcast_to_a_lost_socket_does_not_come_after_later_messages() {
    let (hang_up, wait) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let both = Mutex::new((wait, tell, 0));
    let peers = Peers::playing(move |socket| {
        let mut both = both.lock().unwrap();
        both.2 += 1;
        if both.2 == 1 {
            both.0.recv().unwrap();
            return;
        }
        while let Ok(tungstenite::Message::Text(text)) = socket.read() {
            both.1.send(text.to_string()).unwrap();
        }
    });
    let again = Reconnect::default().first_pause(millis(1));
    let sockets = registry(WebSocketConfig::default().reconnect(again));
    sockets.connect("a", peers.url()).unwrap();
    let mut held = sockets.get("a").unwrap();
    hang_up.send(()).unwrap();
    assert!(held.receive(LIMIT).is_err());
    assert_eq!(sockets.broadcast("early").unwrap().queued, 1);
    drop(held);
    eventually(|| sockets.stats().opened == 2);
    assert_eq!(taken(&sockets.broadcast("late").unwrap()), 1);
    sockets.send("a", "last").unwrap();
    let came = [(); 2].map(|()| told.recv_timeout(LIMIT).unwrap());
    assert_eq!(came, ["late", "last"]);
}

#[test]
fn a_socket_nobody_holds_is_had_at_once_whatever_the_background_does() {
    let peers = Peers::echo();
    let sockets = registry(WebSocketConfig::default());
    (0..32).for_each(|n| sockets.connect(&n.to_string(), peers.url()).unwrap());
    let (other, over) = (sockets.clone(), Arc::new(Mutex::new(false)));
    let stop = over.clone();
    let visiting = spawn(move || {
        while !*stop.lock().unwrap() {
            other.clean_up();
        }
    });
    for n in 0..20_000 {
        let lease = sockets.try_get(&(n % 32).to_string());
        assert!(lease.is_ok(), "{}", lease.unwrap_err());
    }
    *over.lock().unwrap() = true;
    visiting.result();
}

/// Uses the other sockets when one is gone.
#[derive(Clone, Default)]
struct Meddling(Arc<Mutex<Option<WebSockets>>>, Arc<Mutex<Vec<bool>>>);

impl SocketObserver for Meddling {
    fn closed(&self, _: &Arc<str>, _: &Arc<str>, _: &Ending, _: bool) {
        let sockets = self.0.lock().unwrap().clone();
        if let Some(sockets) = sockets {
            let sent = sockets.ids().iter().all(|id| sockets.try_get(id).is_ok());
            self.1.lock().unwrap().push(sent);
        }
    }
}

#[test]
fn an_observer_finds_all_other_sockets_in_their_places() {
    let (well, ill) = (Peers::echo(), Peers::echo());
    let meddling = Meddling::default();
    let time = ManualClock::new();
    let config = WebSocketConfig::default().clock(time.clock()).observer(meddling.clone());
    let sockets = registry(config);
    (0..10).for_each(|n| sockets.connect(&format!("ill {n}"), ill.url()).unwrap());
    (0..10).for_each(|n| sockets.connect(&format!("well {n}"), well.url()).unwrap());
    ill.kill();
    eventually(|| {
        // Without one that is gone, its leases are had as well: nothing looks at them.
        *meddling.0.lock().unwrap() = Some(sockets.clone());
        sockets.clean_up();
        *meddling.0.lock().unwrap() = None;
        sockets.len() == 10
    });
    let all = meddling.1.lock().unwrap().clone();
    assert_eq!(all, [true; 10]);
}

/// Gives the last handle up when a socket is gone.
#[derive(Clone, Default)]
struct Owning(Arc<Mutex<Option<WebSockets>>>);

impl SocketObserver for Owning {
    fn closed(&self, _: &Arc<str>, id: &Arc<str>, _: &Ending, _: bool) {
        let last = if &**id == "ill" { self.0.lock().unwrap().take() } else { None };
        drop(last);
    }
}

#[test]
fn a_registry_that_ends_in_the_background_holds_no_other_up() {
    let silent = Peers::playing(|_| thread::sleep(LIMIT));
    let ill = Peers::echo();
    let owning = Owning::default();
    let config = WebSocketConfig::default().close_timeout(secs(10)).read_interval(millis(5));
    let sockets = registry(config.clone().observer(owning.clone()));
    sockets.connect("silent", silent.url()).unwrap();
    sockets.connect("ill", ill.url()).unwrap();
    let other = registry(config);
    let well = Peers::echo();
    other.connect("well", well.url()).unwrap();
    *owning.0.lock().unwrap() = Some(sockets);
    ill.kill();
    eventually(|| owning.0.lock().unwrap().is_none());
    let began = Instant::now();
    other.broadcast("hello").unwrap();
    eventually(|| other.stats().messages_received == 1);
    assert!(began.elapsed() < secs(5), "{:?}", began.elapsed());
    assert_eq!(other.stats().closed(CloseReason::Lost), 0);
}

#[test]
fn a_host_that_moved_is_found_though_its_old_address_is_known() {
    let peers = Peers::echo();
    let asked = AtomicUsize::new(0);
    let look_up = move |_: &str| {
        // Nobody listens at the first.
        let last = if asked.fetch_add(1, Ordering::SeqCst) == 0 { 2 } else { 1 };
        Ok(vec![Ipv4Addr::new(127, 0, 0, last).into()])
    };
    let agents = AgentConfig::default().proxy(Proxy::Direct);
    let agents = AgentManager::with_look_up(agents, look_up).unwrap();
    let sockets = WebSockets::with_agents(WebSocketConfig::default(), &agents).unwrap();
    let url = format!("ws://moved.test:{}/", peers.addr.port());
    assert!(matches!(sockets.connect("a", url.as_str()), Err(WebSocketError::Unreachable { .. })));
    eventually(|| sockets.connect("a", url.as_str()).is_ok());
}
