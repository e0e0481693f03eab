//! The settings of a registry, as `/v1/pool/config` shows them: durations in seconds.

use std::time::Duration;

use serde::Serialize;

use crate::websocket::{Reconnect, WebSocketConfig, WhenFull};

#[derive(Serialize)]
pub(in crate::admin) struct Shown {
    name: String,
    max_connections: usize,
    when_full: &'static str,
    replace: bool,
    wait_timeout: f64,
    connect_timeout: f64,
    write_timeout: f64,
    close_timeout: f64,
    check_interval: Option<f64>,
    ping_timeout: f64,
    idle_timeout: Option<f64>,
    read_interval: f64,
    max_message_size: usize,
    max_frame_size: usize,
    write_buffer_size: usize,
    read_buffer_size: usize,
    max_kept: usize,
    max_pings: u32,
    reconnect: Option<Again>,
}

#[derive(Serialize)]
struct Again {
    first_pause: f64,
    max_pause: f64,
    jitter: f64,
    max_tries: Option<u32>,
}

impl Shown {
    pub(in crate::admin) fn of(config: &WebSocketConfig) -> Self {
        // By name, so that a new setting cannot be forgotten.
        let WebSocketConfig {
            name,
            max_connections,
            when_full,
            replace,
            wait_timeout,
            connect_timeout,
            write_timeout,
            close_timeout,
            check_interval,
            ping_timeout,
            idle_timeout,
            read_interval,
            max_message_size,
            max_frame_size,
            write_buffer_size,
            read_buffer_size,
            max_kept,
            max_pings,
            reconnect,
            observer: _,
            clock: _,
        } = config;
        Self {
            name: name.to_string(),
            max_connections: *max_connections,
            when_full: match when_full {
                WhenFull::Refuse => "refuse",
                WhenFull::EvictIdle => "evict_idle",
            },
            replace: *replace,
            wait_timeout: secs(*wait_timeout),
            connect_timeout: secs(*connect_timeout),
            write_timeout: secs(*write_timeout),
            close_timeout: secs(*close_timeout),
            check_interval: check_interval.map(secs),
            ping_timeout: secs(*ping_timeout),
            idle_timeout: idle_timeout.map(secs),
            read_interval: secs(*read_interval),
            max_message_size: *max_message_size,
            max_frame_size: *max_frame_size,
            write_buffer_size: *write_buffer_size,
            read_buffer_size: *read_buffer_size,
            max_kept: *max_kept,
            max_pings: *max_pings,
            reconnect: reconnect.as_ref().map(Again::of),
        }
    }
}

impl Again {
    fn of(reconnect: &Reconnect) -> Self {
        let Reconnect { first_pause, max_pause, jitter, max_tries } = reconnect;
        Self {
            first_pause: secs(*first_pause),
            max_pause: secs(*max_pause),
            jitter: *jitter,
            max_tries: *max_tries,
        }
    }
}

fn secs(time: Duration) -> f64 {
    time.as_secs_f64()
}
