//! The table `[websocket]`.

use std::time::Duration;

use llm_pool::settings::Settings;
use llm_pool::websocket::{Reconnect, WebSocketConfig, WebSockets, WhenFull};

/// All that `Settings::parse` says of this table.
#[track_caller]
fn refused(settings: &str, problems: &[&str]) {
    let error = Settings::parse(&format!("[websocket]\n{settings}\n")).unwrap_err();
    assert_eq!(error.problems(), problems, "\n{settings}");
}

#[test]
fn every_setting_of_a_registry_is_taken_over() {
    let text = "[websocket]\nname = 'talks'\nmax_connections = 7\nwhen_full = 'evict_idle'
        replace = true\nwait_timeout = '1 s'\nconnect_timeout = '2 s'\nwrite_timeout = '3 s'
        close_timeout = '4 s'\ncheck_interval = 'none'\nping_timeout = '5 s'\nidle_timeout = 'none'
        read_interval = '6 s'\nmax_message_size = 8\nmax_frame_size = 9\nwrite_buffer_size = 10
        read_buffer_size = 512\nmax_kept = 11\nmax_pings = 12
        [websocket.reconnect]\nfirst_pause = '13 s'\nmax_pause = '14 s'\njitter = 1
        max_tries = 'none'";
    let secs = Duration::from_secs;
    let again = Reconnect::default().first_pause(secs(13)).max_pause(secs(14)).jitter(1.0);
    let right = WebSocketConfig::default()
        .name("talks")
        .max_connections(7)
        .when_full(WhenFull::EvictIdle)
        .replace(true)
        .wait_timeout(secs(1))
        .connect_timeout(secs(2))
        .write_timeout(secs(3))
        .close_timeout(secs(4))
        .check_interval(None)
        .ping_timeout(secs(5))
        .idle_timeout(None)
        .read_interval(secs(6))
        .max_message_size(8)
        .max_frame_size(9)
        .write_buffer_size(10)
        .read_buffer_size(512)
        .max_kept(11)
        .max_pings(12)
        .reconnect(again.max_tries(None));
    let settings = Settings::parse(text).unwrap();
    assert_eq!(format!("{:?}", settings.websocket), format!("{right:?}"));
    let values = settings.values();
    let value = |path: &str| values.iter().find(|(it, _)| it == path).map(|(_, value)| &**value);
    assert_eq!(value("websocket.when_full"), Some("\"evict_idle\""));
    assert_eq!(value("websocket.reconnect.max_tries"), Some("\"none\""));
}

#[test]
fn a_registry_is_built_with_them_and_with_the_settings_of_the_agents() {
    let settings = Settings::parse("[websocket]\nname = 'talks'\nmax_connections = 7").unwrap();
    let sockets: WebSockets = settings.build_websockets().unwrap();
    assert_eq!((&*sockets.config().name, sockets.config().max_connections), ("talks", 7));

    // Through their proxy, there is no way for a socket.
    let proxied = Settings::parse("[agents]\nproxy = 'http://127.0.0.1:1'").unwrap();
    let error = proxied.build_websockets().unwrap().connect("a", "ws://example.com/").unwrap_err();
    assert!(error.to_string().contains("proxy"), "{error}");

    let mut wrong = Settings::default();
    wrong.websocket.max_kept = 0;
    wrong.agents.buffer_size = 1;
    let error = wrong.build_websockets().unwrap_err();
    let paths: Vec<_> = error.problems().iter().map(|it| it.split(": ").next().unwrap()).collect();
    assert_eq!(paths, ["websocket.max_kept", "agents.buffer_size"], "{error}");
}

#[test]
fn what_cannot_be_is_refused_with_its_place_and_with_the_rest() {
    refused(
        "max_connections = 0\nping_timeout = '0 s'\nread_buffer_size = 511",
        &[
            "websocket.max_connections (line 2, column 19): must be at least 1",
            "websocket.ping_timeout (line 3, column 16): must be longer than zero",
            "websocket.read_buffer_size (line 4, column 20): must be from 512 bytes to 16 MiB",
        ],
    );
    refused(
        "max_conections = 3\nwhen_full = 'evict'\nreconnect = 3",
        &[
            "websocket.max_conections (line 2, column 1): unknown name, did you mean \
             `max_connections`?",
            "websocket.reconnect (line 4, column 13): must be a table or \"none\", and is 3",
            "websocket.when_full (line 3, column 13): must be one of \"refuse\", \"evict_idle\"",
        ],
    );
    refused(
        "[websocket.reconnect]\nfirst_pause = '1 min'\njitter = 1.5\nmax_tries = 0",
        &[
            "websocket.reconnect.max_pause: must not be shorter than first_pause",
            "websocket.reconnect.jitter (line 4, column 10): must be from 0 to 1",
            "websocket.reconnect.max_tries (line 5, column 13): must be at least 1",
        ],
    );
    let both = "[pools.pool]\nmax_size = 0\n[websocket]\nmax_pings = 0";
    assert_eq!(Settings::parse(both).unwrap_err().problems().len(), 2);
}

#[test]
fn settings_by_code_are_checked_with_the_rest() {
    let mut settings = Settings::default();
    settings.websocket.idle_timeout = Some(Duration::ZERO);
    let error = settings.check().unwrap_err().to_string();
    assert!(error.contains("websocket.idle_timeout: must be longer than zero"), "{error}");
}

#[test]
fn a_reload_says_that_other_settings_of_a_registry_need_a_restart() {
    let settings = |max: usize| {
        let own = "[providers.own]\nbase_url = 'http://127.0.0.1:1/v1'";
        Settings::parse(&format!("{own}\n[websocket]\nmax_connections = {max}")).unwrap()
    };
    let mut held = settings(7);
    let pool = held.build().unwrap();
    let done = held.reload(&pool, &settings(8)).unwrap();
    assert_eq!(done.needs_restart, ["websocket.max_connections: 7 -> 8"]);
    assert!(done.applied.is_empty());
    assert_eq!(held.websocket.max_connections, 7);
}
