//! The log of the last events.

mod support;

use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use llm_pool::agent::{AgentConfig, AgentManager, Proxy};
use llm_pool::balance::{
    Adaptive, BalanceConfig, Balancer, Call, Cause, Cooldown, Endpoint, EndpointChange,
    EndpointObserver, Limits,
};
use llm_pool::websocket::{
    CloseReason, Reconnect, Side, SocketChange, WebSocketConfig, WebSockets,
};
use llm_pool::{EventKind, EventLog, Lease, ManualClock};
use support::*;

fn texts(log: &EventLog, count: usize) -> Vec<String> {
    let events = log.last(count);
    events.iter().map(|event| format!("{} {}", event.pool, event.what)).collect()
}

#[test]
fn it_remembers_what_is_worth_it_and_no_lease() {
    let (script, time, log) = (Script::new(), ManualClock::new(), EventLog::default());
    let config = manual("remembered", 1, &time).observer(log.clone()).nearly_full(None);
    let pool = start(config, &script);
    (0..500).for_each(|_| drop(pool.get().unwrap()));
    assert_eq!(texts(&log, 9), ["remembered created an item in 0.0ns"]);
    let lease = pool.get().unwrap();
    let late = waiter(&pool, secs(2));
    time.advance(secs(2));
    assert!(late.result().is_err());
    Lease::discard(lease);
    script.on_create.set(fail("refused"));
    assert!(pool.try_get().is_err());
    pool.close();
    let expected = [
        "remembered closed",
        "remembered cannot create an item: refused",
        "remembered evicted an item: discarded by its holder",
        "remembered a wait timed out after 2.0s",
        "remembered created an item in 0.0ns",
    ];
    assert_eq!(texts(&log, 9), expected);
    assert_eq!(texts(&log, 2), expected[..2]);
    let names: Vec<_> = log.last(9).iter().map(|event| event.what.name()).collect();
    assert_eq!(names, ["closed", "create failed", "evicted", "timed out", "created"]);
    let times: Vec<_> = log.last(9).iter().map(|event| event.since_start).collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
    assert!(log.last(1)[0].at.elapsed().unwrap() < LIMIT);
    assert!(log.last(1)[0].to_string().ends_with("s pool \"remembered\": closed"));
}

#[test]
fn it_forgets_the_oldest_and_is_shared_by_its_pools() {
    let (script, time, log) = (Script::new(), ManualClock::new(), EventLog::new(3));
    for name in ["one", "two"] {
        let config = manual(name, 1, &time).observer(log.clone()).nearly_full(None);
        let pool = start(config, &script);
        Lease::discard(pool.get().unwrap());
        pool.close();
    }
    let expected = ["two closed", "two evicted an item: discarded by its holder"];
    assert_eq!(texts(&log, 2), expected);
    assert_eq!(texts(&log, 9).len(), 3, "one had three of its own");
    assert_eq!(format!("{log:?}"), "EventLog { events: 3, capacity: 3, .. }");
    let none = EventLog::new(0);
    let pool = start(manual("none", 1, &time).observer(none.clone()), &script);
    Lease::discard(pool.get().unwrap());
    assert!(none.last(9).is_empty());
}

#[test]
fn it_remembers_how_endpoints_fare() {
    let (time, log) = (ManualClock::new(), EventLog::default());
    let cooldown = Cooldown::default().jitter(0.0);
    let config = BalanceConfig::default().name("chat").clock(time.clock()).cooldown(cooldown);
    let adaptive = Limits::default().adaptive(Adaptive::default());
    let endpoints = [Endpoint::new("a", ()), Endpoint::new("b", ()).limits(adaptive)];
    let balancer = Balancer::new(config.observer(log.clone()), endpoints).unwrap();
    let pick = |other| balancer.pick(Call::new().tried(&[other])).unwrap();
    pick(1).failure(Cause::Unauthorized);
    time.advance(secs(1));
    pick(1).success();
    let busy = [pick(0), pick(0), pick(0), pick(0)];
    for pick in busy {
        pick.failure(Cause::Overloaded);
    }
    pick(1).failure(Cause::Forbidden);
    pick(0).failure(Cause::NotFound);
    let expected = [
        "chat b fails, but stays in service, as others rest: not found",
        "chat a rests for 2.0s: forbidden",
        "chat b at most 3 at one time: refused: overloaded",
        "chat a is back in service",
        "chat a rests for 1.0s: unauthorized",
    ];
    assert_eq!(texts(&log, 9), expected);
    assert!(
        log.last(1)[0]
            .to_string()
            .ends_with(&format!("endpoint \"chat b\": {}", &expected[0][7..]))
    );
}

#[test]
fn it_remembers_what_becomes_of_sockets() {
    let (listener, log) = (TcpListener::bind("127.0.0.1:0").unwrap(), EventLog::default());
    let addr = listener.local_addr().unwrap();
    // Nobody looks after its peer while it closes.
    let config = WebSocketConfig::default().close_timeout(millis(1));
    let serving = WebSockets::new(config).unwrap();
    let serve = {
        let serving = serving.clone();
        // One connection, and no more.
        move || serving.add("it", serving.accept(listener.accept().unwrap().0).unwrap()).unwrap()
    };
    let time = ManualClock::new();
    let once = Reconnect::default().max_tries(2).jitter(0.0);
    let config = WebSocketConfig::default().name("talks").clock(time.clock()).reconnect(once);
    let agents = AgentManager::new(AgentConfig::default().proxy(Proxy::Direct)).unwrap();
    let sockets = WebSockets::with_agents(config.observer(log.clone()), &agents).unwrap();
    let served = spawn(serve);
    sockets.connect("odd\nid", format!("ws://{addr}/")).unwrap();
    served.result();
    assert_eq!(texts(&log, 9), ["talks the socket odd\\nid is open"]);

    // It listens no more, so every try to open it again is refused.
    serving.close();
    let kinds = |count| {
        let events = log.last(count);
        events.iter().map(|event| event.what.name()).collect::<Vec<_>>()
    };
    eventually(|| {
        time.advance(millis(100));
        sockets.clean_up();
        sockets.is_empty()
    });
    eventually(|| kinds(1) == ["given up"]);
    assert_eq!(kinds(9), ["given up", "reconnect failed", "lost", "opened"]);
    let texts = texts(&log, 3);
    let given_up = "talks the socket odd\\nid is given up: cannot connect to ws://127.0.0.1:";
    assert!(texts[0].starts_with(given_up), "{texts:?}");
    assert!(texts[1].ends_with("; tries again in 1.0s"), "{texts:?}");
    let gone = "talks the socket odd\\nid is gone and will be opened again: closed by the peer";
    assert!(texts[2].starts_with(gone), "{texts:?}");
    assert!(log.last(1)[0].to_string().contains("s sockets \"talks\": the socket "));
}

#[test]
fn a_socket_whose_peer_says_good_bye_is_closed_and_not_lost() {
    let (listener, log) = (TcpListener::bind("127.0.0.1:0").unwrap(), EventLog::default());
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    let ours = WebSockets::new(WebSocketConfig::default().observer(log.clone())).unwrap();
    ours.add("a", ours.wrap(near, Side::Client).unwrap()).unwrap();
    let theirs = WebSockets::new(WebSocketConfig::default()).unwrap();
    theirs.add("a", theirs.wrap(far, Side::Server).unwrap()).unwrap();
    theirs.remove("a").unwrap();
    eventually(|| {
        ours.clean_up();
        ours.is_empty()
    });
    eventually(|| log.last(9).len() == 2);
    let EventKind::Socket { id, change: SocketChange::Closed { ending, .. }, .. } =
        &log.last(1)[0].what
    else {
        panic!("{:?}", log.last(1))
    };
    assert_eq!((&**id, ending.reason, ending.code), ("a", CloseReason::ByPeer, Some(1000)));
}

#[test]
fn an_observer_of_endpoints_that_panics_or_asks_harms_nobody() {
    #[derive(Clone, Default)]
    struct Asks(Arc<Mutex<Option<Balancer<()>>>>);
    impl EndpointObserver for Asks {
        fn changed(&self, _: &Arc<str>, _: &Arc<str>, _: &EndpointChange) {
            let balancer = self.0.lock().unwrap().clone().unwrap();
            assert_eq!(balancer.stats().endpoints.len(), 2);
            panic!("it may");
        }
    }
    let asks = Asks::default();
    let endpoints = [Endpoint::new("a", ()), Endpoint::new("b", ())];
    let balancer =
        Balancer::new(BalanceConfig::default().observer(asks.clone()), endpoints).unwrap();
    *asks.0.lock().unwrap() = Some(balancer.clone());
    balancer.pick(Call::new().tried(&[1])).unwrap().failure(Cause::Unauthorized);
    let stats = balancer.stats();
    assert!((stats.endpoints[0].rests, stats.endpoints[0].in_use) == (1, 0));
    *asks.0.lock().unwrap_or_else(|gone| gone.into_inner()) = None;
}
