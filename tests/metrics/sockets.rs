//! Registries of WebSockets.

use std::net::{TcpListener, TcpStream};

use llm_pool::ManualClock;
use llm_pool::metrics::Metrics;
use llm_pool::websocket::{CloseReason, Side, WebSocketConfig, WebSockets};

use crate::parse::{Text, read, scrape};
use crate::support::*;

/// Two registries, each with a part of as many connections. Their clock stands still, so that nothing
/// is done in the background, and the ping of a holder takes no time.
fn talks(ids: &[&str]) -> (WebSockets, WebSockets, ManualClock) {
    let time = ManualClock::new();
    // Nobody looks after the peers, so none would answer a close.
    let config = || WebSocketConfig::default().clock(time.clock()).close_timeout(millis(1));
    let registry = || WebSockets::new(config()).unwrap();
    let (ours, theirs) = (registry(), registry());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for id in ids {
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        ours.add(id, ours.wrap(near, Side::Client).unwrap()).unwrap();
        theirs.add(id, theirs.wrap(far, Side::Server).unwrap()).unwrap();
    }
    (ours, theirs, time)
}

fn value(text: &Text, name: &str, more: &str) -> f64 {
    text.value(&format!("llm_pool_sockets{name}{{sockets=\"talks\"{more}}}"))
}

#[test]
fn a_registry_says_what_its_sockets_do_and_how_they_ended() {
    let (ours, theirs, time) = talks(&["a", "b", "c"]);
    let metrics = Metrics::new().sockets("talks", ours.clone());
    let mut lease = ours.get("a").unwrap();
    lease.send("12345").unwrap();
    theirs.send("a", "123").unwrap();
    theirs.send("a", "").unwrap();
    lease.receive(LIMIT).unwrap();
    lease.receive(LIMIT).unwrap();
    ours.remove("c").unwrap();
    let text = scrape(&metrics);
    let states = |text: &Text| {
        ["idle", "in_use", "connecting"]
            .map(|state| value(text, "", &format!(",state=\"{state}\"")))
    };
    assert_eq!(states(&text), [1.0, 1.0, 0.0]);
    assert_eq!(value(&text, "_max", ""), 1000.0);
    assert_eq!((value(&text, "_closing", ""), value(&text, "_waiting", "")), (1.0, 0.0));
    assert_eq!(value(&text, "_opened_total", ""), 3.0);
    assert_eq!(value(&text, "_closed_total", ",reason=\"removed\""), 1.0);
    assert_eq!(text.series("llm_pool_sockets_closed_total"), CloseReason::ALL.len());
    assert_eq!(text.sum("llm_pool_sockets_closed_total"), 1.0);
    assert_eq!(value(&text, "_reconnect_failures_total", ""), 0.0);
    let both = |name: &str| {
        ["sent", "received"].map(|way| value(&text, name, &format!(",direction=\"{way}\"")))
    };
    assert_eq!(both("_messages_total"), [1.0, 2.0]);
    assert_eq!(both("_bytes_total"), [5.0, 3.0]);
    drop(lease);

    // A ping whose pong takes three seconds.
    time.advance(secs(60));
    ours.clean_up();
    time.advance(secs(3));
    eventually(|| {
        theirs.clean_up();
        ours.clean_up();
        ours.stats().round_trips.count() == 2
    });
    let text = scrape(&metrics);
    assert_eq!(states(&text), [2.0, 0.0, 0.0]);
    let round_trips =
        |name: &str, more: &str| value(&text, &format!("_round_trip_seconds_{name}"), more);
    assert_eq!((round_trips("count", ""), round_trips("sum", "")), (2.0, 6.0));
    let in_all = text.samples.iter().filter(|(name, _)| name.contains("round_trip_seconds_bucket"));
    let bounds: Vec<_> = in_all.filter(|(_, count)| **count == 0.0).collect();
    assert_eq!(bounds.len(), 16, "80 us, doubled 15 times, is 2.6 s");
    read(&metrics.open_metrics(), true);
}

#[test]
fn no_series_has_the_id_of_a_socket_and_registries_of_one_name_are_counted_together() {
    let (ours, theirs, _time) = talks(&["planted-1", "planted-2"]);
    let metrics = Metrics::new().sockets("talks", ours.clone()).sockets("talks", theirs.clone());
    let before = scrape(&metrics);
    assert_eq!(value(&before, "", ",state=\"idle\""), 4.0);
    assert!(!metrics.text().contains("planted"), "{}", metrics.text());
    // Those of a registry that is closed stay, as those of a pool do.
    ours.close();
    let after = scrape(&metrics);
    assert_eq!(after.samples.len(), before.samples.len());
    assert_eq!(value(&after, "_closed_total", ",reason=\"registry_closed\""), 2.0);
    assert!(before.growing().all(|(series, value)| after.value(series) >= value));
}

#[test]
fn the_name_of_a_registry_is_cleaned_and_shown_by_debug() {
    let (ours, _theirs, _time) = talks(&[]);
    let metrics = Metrics::new().sockets("a\"b\nc", ours);
    assert_eq!(scrape(&metrics).series("llm_pool_sockets_max"), 1);
    assert_eq!(format!("{metrics:?}"), "Metrics { sources: [\"a_b_c\"], max_series: 100 }");
}
