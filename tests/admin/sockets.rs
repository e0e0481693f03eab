//! Registries of WebSockets: what is told of them, and what can be done to their sockets.

use std::net::{TcpListener, TcpStream};

use llm_pool::admin::{Admin, AdminConfig};
use llm_pool::websocket::{CloseReason, Reconnect, Side, WebSocketConfig, WebSockets};
use llm_pool::{EventLog, ManualClock};
use serde_json::{Value, json};

use crate::house::*;
use crate::support::*;

const DETAILS: &str = "/v1/sockets/details";
const CHECK: &str = "/v1/sockets/check";
const CLOSE: &str = "/v1/sockets/close";

/// A registry whose peers say nothing by themselves: nothing is done in the background, and no close
/// is waited for.
struct Talks {
    sockets: WebSockets,
    peers: Vec<TcpStream>,
    _time: ManualClock,
}

impl Talks {
    fn new(ids: &[&str]) -> Self {
        Self::with(WebSocketConfig::default(), ids)
    }

    fn with(config: WebSocketConfig, ids: &[&str]) -> Self {
        let time = ManualClock::new();
        let config = config.clock(time.clock()).close_timeout(millis(1));
        let sockets = WebSockets::new(config).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let add = |id: &&str| {
            let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            sockets.add(id, sockets.wrap(near, Side::Client).unwrap()).unwrap();
            listener.accept().unwrap().0
        };
        let peers = ids.iter().map(add).collect();
        Self { sockets, peers, _time: time }
    }
}

fn bare() -> Admin {
    Admin::new(AdminConfig::default().token(TOKEN)).unwrap()
}

fn admin_of(talks: &Talks) -> Admin {
    bare().sockets("talks", talks.sockets.clone())
}

/// Of the one registry there is.
fn details(admin: &Admin, query: &str) -> Value {
    let mut told = data(&get(admin, &format!("{DETAILS}?{query}")));
    assert_eq!(told["sockets"].as_array().unwrap().len(), 1, "{told}");
    told["sockets"][0].take()
}

#[test]
fn the_figures_of_a_registry_are_told_by_name_and_without_ids_where_nobody_asked_for_these() {
    let talks = Talks::new(&["planted-1", "planted-2", "planted-3"]);
    let admin = admin_of(&talks);
    talks.sockets.send("planted-1", "12345").unwrap();
    talks.sockets.remove("planted-3").unwrap();
    let _lease = talks.sockets.get("planted-2").unwrap();
    let figures = json!({
        "total_connections": 2, "max_connections": 1000, "idle": 1, "in_use": 1, "connecting": 0,
        "closing": 1, "waiting": 0, "opened": 3, "closed_total": 1,
        "closed_by_reason": { "removed": 1 }, "reconnects_failed": 0, "messages_sent": 1,
        "messages_received": 0, "bytes_sent": 5, "bytes_received": 0,
        "round_trip_ms": { "p50": null, "p95": null, "p99": null },
    });
    let stats = data(&get(&admin, "/v1/pool/stats"));
    assert_eq!(stats["sockets"], json!({ "talks": figures }));
    let mut told = data(&get(&admin, "/v1/pool/details"));
    let mut named = figures;
    named["name"] = "talks".into();
    named["closed"] = false.into();
    assert_eq!(told["sockets"], json!([named]));
    assert!(!told.to_string().contains("planted"), "{told}");
    told = details(&admin, "");
    assert_eq!(told["connection_ids"], json!(["planted-1", "planted-2"]));
    assert_eq!(told["states"], json!({ "planted-1": "open", "planted-2": "open" }));
    assert_eq!((&told["in_use"], &told["next"]), (&json!(1), &Value::Null));
}

#[test]
fn without_a_registry_the_answers_are_as_they_were() {
    let admin = bare();
    let stats = data(&get(&admin, "/v1/pool/stats"));
    assert_eq!(stats, json!({ "total_pools": 0, "pools": {} }));
    assert!(data(&get(&admin, "/v1/pool/config")).get("sockets").is_none());
    assert_eq!(data(&get(&admin, DETAILS)), json!({ "sockets": [] }));
    let told = data(&post(&admin, CHECK, ""));
    assert_eq!((&told["checked"], &told["under_way"]), (&json!(0), &json!(false)));
}

#[test]
fn ids_are_told_a_page_at_a_time() {
    let all: Vec<_> = (0..230).map(|n| format!("s {n:03}&ж")).collect();
    let talks = Talks::new(&all.iter().map(String::as_str).collect::<Vec<_>>());
    let admin = admin_of(&talks);
    let (mut seen, mut sizes, mut query) = (Vec::new(), Vec::new(), String::new());
    loop {
        let told = details(&admin, &query);
        let ids: Vec<String> = serde_json::from_value(told["connection_ids"].clone()).unwrap();
        sizes.push(ids.len());
        seen.extend(ids);
        let Some(next) = told["next"].as_str() else { break };
        query =
            format!("from={}", next.replace(' ', "+").replace('&', "%26").replace('ж', "%D0%b6"));
    }
    assert_eq!((seen, sizes), (all.clone(), vec![100, 100, 30]));
    let told = details(&admin, "limit=1000&sockets=talks");
    assert_eq!(
        (told["connection_ids"].as_array().unwrap().len(), &told["next"]),
        (230, &Value::Null)
    );
    // Also from where there is none.
    assert_eq!(details(&admin, "limit=1&from=s%20100")["connection_ids"], json!([all[100]]));
    assert_eq!(details(&admin, "from=z")["connection_ids"], json!([]));
}

#[test]
fn a_query_that_is_wrong_is_refused() {
    let admin = admin_of(&Talks::new(&["a"]));
    for (status, query) in [
        (400, "limit=0"),
        (400, "limit=1001"),
        (400, "limit=ten"),
        (400, "limit="),
        (400, "from=%ff"),
        (400, "sockets=%4"),
        (404, "sockets=others"),
    ] {
        refused(&get(&admin, &format!("{DETAILS}?{query}")), status);
    }
}

#[test]
fn a_socket_is_closed_by_its_id() {
    let talks = Talks::new(&["a", "b c"]);
    let admin = admin_of(&talks);
    let told = data(&post(&admin, CLOSE, r#"{"id": "b c"}"#));
    assert_eq!(told, json!({ "sockets": "talks", "id": "b c", "state": "open" }));
    assert!(!talks.sockets.contains("b c") && talks.sockets.contains("a"));
    assert_eq!(talks.sockets.stats().closed(CloseReason::Removed), 1);
    let told = refused(&post(&admin, CLOSE, r#"{"id": "b c"}"#), 404);
    assert_eq!(told, "there is no socket \"b c\"");

    // Of two registries that have one, it must be said which.
    let others = Talks::new(&["a", "z"]);
    let admin = admin.sockets("others", others.sockets.clone());
    refused(&post(&admin, CLOSE, r#"{"id": "a"}"#), 400);
    assert_eq!(talks.sockets.len() + others.sockets.len(), 3);
    data(&post(&admin, CLOSE, r#"{"id": "a", "sockets": "others"}"#));
    data(&post(&admin, CLOSE, r#"{"id": "z"}"#));
    assert!(talks.sockets.contains("a") && others.sockets.is_empty());
}

#[test]
fn what_is_wrong_closes_and_checks_nothing() {
    let talks = Talks::new(&["a"]);
    let admin = admin_of(&talks);
    for (status, path, body) in [
        (400, CLOSE, ""),
        (400, CLOSE, "{}"),
        (400, CLOSE, r#"{"id": 1}"#),
        (400, CLOSE, r#"{"id": "a", "all": true}"#),
        (404, CLOSE, r#"{"id": "a", "sockets": "others"}"#),
        (404, CLOSE, r#"{"id": ""}"#),
        (400, CHECK, "[]x"),
        (400, CHECK, r#"{"id": "a"}"#),
        (404, CHECK, r#"{"sockets": "others"}"#),
    ] {
        refused(&post(&admin, path, body), status);
    }
    let body = r#"{"id": "a"}"#;
    let json_of = |request: llm_pool::ureq::http::request::Builder| {
        request.header("content-type", "application/json")
    };
    for path in [CLOSE, CHECK] {
        refused(&ask(&admin, json_of(request("POST", path)), body), 401);
        refused(&get(&admin, path), 405);
        let request = request("POST", path).header("authorization", format!("Bearer {TOKEN}"));
        refused(&ask(&admin, request, body), 415);
    }
    refused(&post(&admin, DETAILS, ""), 405);
    let without_token = Admin::new(AdminConfig::default()).unwrap();
    let without_token = without_token.sockets("talks", talks.sockets.clone());
    refused(&post(&without_token, CLOSE, body), 403);
    let closed_to_all = AdminConfig::default().token(TOKEN).token_for_get(true);
    let closed_to_all = Admin::new(closed_to_all).unwrap().sockets("talks", talks.sockets.clone());
    refused(&get(&closed_to_all, DETAILS), 401);
    assert_eq!((talks.sockets.len(), talks.sockets.stats().closed_total()), (1, 0));
}

#[test]
fn a_check_says_who_answered() {
    let talks = Talks::new(&["a", "b", "held"]);
    let _held = talks.sockets.get("held").unwrap();
    let answering: Vec<_> = talks.peers[..2]
        .iter()
        .map(|peer| {
            let mut peer = tungstenite::WebSocket::from_raw_socket(
                peer.try_clone().unwrap(),
                tungstenite::protocol::Role::Server,
                None,
            );
            // Answers one ping.
            spawn(move || peer.read().map(drop).and_then(|()| peer.flush()).unwrap())
        })
        .collect();
    let told = data(&post(&admin_of(&talks), CHECK, r#"{"sockets": "talks"}"#));
    let done =
        json!({ "checked": 2, "answered": 2, "ended": 0, "left_alone": 1, "under_way": false });
    assert_eq!(told, done);
    answering.into_iter().for_each(|it| it.result());
    assert_eq!(talks.sockets.stats().round_trips.count(), 2);
}

#[test]
fn a_check_does_not_wait_for_pongs_longer_than_it_may_and_there_is_one_at_a_time() {
    use std::io::Read;
    let talks = Talks::new(&["a"]);
    let config = AdminConfig::default().token(TOKEN).check_wait(millis(50));
    let admin = Admin::new(config).unwrap().sockets("talks", talks.sockets.clone());
    for _ in 0..3 {
        let told = data(&post(&admin, CHECK, ""));
        assert_eq!((&told["checked"], &told["under_way"]), (&json!(0), &json!(true)));
    }
    // One ping: two bytes of head, four of the mask, eight of its own.
    let mut peer = &talks.peers[0];
    let mut bytes = [0; 99];
    assert_eq!((peer.read(&mut bytes).unwrap(), bytes[0]), (14, 0x89));
    peer.set_nonblocking(true).unwrap();
    assert!(peer.read(&mut bytes).is_err(), "there was another ping");
    // The end of the socket is the end of the check.
    talks.sockets.remove("a").unwrap();
    eventually(|| data(&post(&admin, CHECK, ""))["under_way"] == false);
}

#[test]
fn a_registry_that_is_closed_is_not_well() {
    let talks = Talks::new(&["a"]);
    let admin = admin_of(&talks);
    assert_eq!(get(&admin, "/healthz").status(), 200);
    talks.sockets.close();
    let answer = get(&admin, "/healthz");
    assert_eq!(answer.status(), 503);
    let told = json(&answer);
    assert_eq!(told["data"], json!({ "pools": 0, "closed": 1 }));
    assert_eq!(told["message"], "1 registries of sockets are closed");
    assert_eq!(details(&admin, "")["closed"], true);
}

#[test]
fn the_settings_of_a_registry_are_shown_and_its_events_are_among_the_others() {
    let log = EventLog::default();
    let config = WebSocketConfig::default().name("own").idle_timeout(None);
    let config = config.reconnect(Reconnect::default()).observer(log.clone());
    let talks = Talks::with(config, &["a"]);
    let admin = admin_of(&talks).events(log);
    let shown = data(&get(&admin, "/v1/pool/config"));
    let shown = &shown["sockets"]["talks"];
    assert_eq!((&shown["name"], &shown["when_full"]), (&json!("own"), &json!("refuse")));
    assert_eq!((&shown["wait_timeout"], &shown["idle_timeout"]), (&json!(30.0), &Value::Null));
    assert_eq!(shown["reconnect"]["max_tries"], 10);
    assert_eq!(shown.as_object().unwrap().len(), 19);
    talks.peers[0].shutdown(std::net::Shutdown::Both).unwrap();
    eventually(|| {
        talks.sockets.clean_up();
        talks.sockets.is_empty()
    });
    eventually(|| {
        let told = data(&get(&admin, "/v1/pool/details"));
        told["events"].as_array().unwrap().len() == 2
    });
    let told = data(&get(&admin, "/v1/pool/details"));
    let lost = &told["events"][0];
    assert_eq!(
        (&lost["pool"], &lost["kind"], &lost["bad"]),
        (&json!("own"), &json!("lost"), &json!(true))
    );
    assert!(lost["text"].as_str().unwrap().starts_with("the socket a is gone: lost"), "{lost}");
    assert_eq!(told["events"][1]["bad"], false);
}
