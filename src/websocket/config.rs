//! The settings of a registry of sockets.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::error::{ConfigError, Problems};
use crate::setters::setters;

use super::observer::SocketObserver;

/// The settings of [`WebSockets`](super::WebSockets), all with a default, all set by chaining.
///
/// Nothing is checked here: [`WebSockets::new`](super::WebSockets::new) refuses all wrong settings
/// at once.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WebSocketConfig {
    /// Goes into logs and errors. Default "websockets".
    pub name: Arc<str>,
    /// Most sockets at one time, those being opened included. Default 1000.
    pub max_connections: usize,
    /// What becomes of one socket more. Default [`WhenFull::Refuse`].
    ///
    /// A socket that goes for another, by this or by `replace`, goes once the other is open, which
    /// until then does not count.
    pub when_full: WhenFull,
    /// Whether a socket takes the place of another with its id, which is then closed, instead of
    /// being refused. Default false.
    pub replace: bool,
    /// How long [`get`](super::WebSockets::get) waits for a socket that another holds. Default 30 s.
    pub wait_timeout: Duration,
    /// How long it may take to open a socket: DNS, TCP, TLS and the handshake together. Default 10 s.
    pub connect_timeout: Duration,
    /// How long a peer may take less than 16 KiB of what waits to be sent to it, or not the rest of
    /// it, before it is closed. Default 10 s.
    pub write_timeout: Duration,
    /// How long a peer has to answer our close. Default 5 s.
    pub close_timeout: Duration,
    /// How often idle sockets are pinged; none never does. Default 60 s.
    pub check_interval: Option<Duration>,
    /// How long a pong may take; a socket without one is closed. Default 10 s.
    pub ping_timeout: Duration,
    /// A socket that nobody used for this long is closed; none keeps it. Default 300 s.
    pub idle_timeout: Option<Duration>,
    /// How often what has come for idle sockets is read, so that the pings of peers are answered
    /// and their closes seen. Default 1 s.
    pub read_interval: Duration,
    /// Bytes a message that comes may have, in all of its frames. Default 16 MiB.
    pub max_message_size: usize,
    /// Bytes a frame may have. A larger message goes out in several. The buffer of a socket keeps the
    /// size of the largest frame that came. Default 4 MiB.
    pub max_frame_size: usize,
    /// Bytes that may wait to be sent to one peer, broadcasts for a socket in use included; a message must
    /// fit. Default 16 MiB.
    pub write_buffer_size: usize,
    /// Bytes that are read at one time, held by every socket; from 512 to 16 MiB. Default 4 KiB.
    pub read_buffer_size: usize,
    /// Bytes of messages kept for the next holder of a socket nobody holds. Once there are as many,
    /// it is neither read nor pinged, and the peer has to wait. One message may go beyond: so all
    /// peers together can make a registry hold `max_connections` times this, `max_message_size` twice
    /// and `max_frame_size`; lower these where peers are not to be trusted. Default 1 MiB.
    pub max_kept: usize,
    /// Pings and unasked pongs a second that a peer may send on the average of a minute; one that
    /// sends more is closed. Default 10.
    pub max_pings: u32,
    /// Whether and how sockets made by [`connect`](super::WebSockets::connect) are opened again when
    /// they are lost. Default none.
    pub reconnect: Option<Reconnect>,
    /// Is told when sockets open and close. Default none.
    pub observer: Option<Arc<dyn SocketObserver>>,
    /// Where time comes from. With one that a test moves nothing runs in the background: see
    /// [`clean_up`](super::WebSockets::clean_up). Default the system.
    pub clock: Clock,
}

/// What becomes of one socket more than [`max_connections`](WebSocketConfig#structfield.max_connections).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// It is refused.
    #[default]
    Refuse,
    /// The idle one that was used least recently is closed for it; if all are in use it is refused.
    EvictIdle,
}

/// How lost sockets are opened again.
///
/// Lost are those whose peer hung up, did not answer a ping, or closed. What we close for cause, or
/// because nobody uses it, is not opened again.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Reconnect {
    /// Before the first try; doubles with every further one, and with every socket in a row that did
    /// not last for `max_pause`. Default 0.5 s.
    pub first_pause: Duration,
    /// The longest pause. Default 30 s.
    pub max_pause: Duration,
    /// By up to which share of itself a pause is shortened by chance, from 0 to 1. Default 0.25.
    pub jitter: f64,
    /// So many tries in vain, and the socket is given up; none never gives up. Default 10.
    pub max_tries: Option<u32>,
}

impl Default for WebSocketConfig {
    fn default() -> Self {
        Self {
            name: "websockets".into(),
            max_connections: 1000,
            when_full: WhenFull::Refuse,
            replace: false,
            wait_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            check_interval: Some(Duration::from_secs(60)),
            ping_timeout: Duration::from_secs(10),
            idle_timeout: Some(Duration::from_secs(300)),
            read_interval: Duration::from_secs(1),
            max_message_size: 16 << 20,
            max_frame_size: 4 << 20,
            write_buffer_size: 16 << 20,
            read_buffer_size: 4 << 10,
            max_kept: 1 << 20,
            max_pings: 10,
            reconnect: None,
            observer: None,
            clock: Clock::default(),
        }
    }
}

impl Default for Reconnect {
    fn default() -> Self {
        let (first_pause, max_pause) = (Duration::from_millis(500), Duration::from_secs(30));
        Self { first_pause, max_pause, jitter: 0.25, max_tries: Some(10) }
    }
}

setters! {
    WebSocketConfig {
        name: impl Into<Arc<str>>,
        max_connections: usize,
        when_full: WhenFull,
        replace: bool,
        wait_timeout: Duration,
        connect_timeout: Duration,
        write_timeout: Duration,
        close_timeout: Duration,
        check_interval: impl Into<Option<Duration>>,
        ping_timeout: Duration,
        idle_timeout: impl Into<Option<Duration>>,
        read_interval: Duration,
        max_message_size: usize,
        max_frame_size: usize,
        write_buffer_size: usize,
        read_buffer_size: usize,
        max_kept: usize,
        max_pings: u32,
        reconnect: impl Into<Option<Reconnect>>,
        clock: Clock,
    }
}

setters! {
    Reconnect {
        first_pause: Duration,
        max_pause: Duration,
        jitter: f64,
        max_tries: impl Into<Option<u32>>,
    }
}

impl WebSocketConfig {
    /// Sets [`observer`](Self#structfield.observer).
    #[must_use]
    pub fn observer(mut self, observer: impl SocketObserver + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let mut problems = Problems::of("WebSocketConfig");
        for (count, name) in [
            (self.max_connections, "max_connections"),
            (self.max_message_size, "max_message_size"),
            (self.max_frame_size, "max_frame_size"),
            (self.write_buffer_size, "write_buffer_size"),
            (self.max_kept, "max_kept"),
            (usize::try_from(self.max_pings).unwrap_or(usize::MAX), "max_pings"),
        ] {
            problems.unless(count > 0, name, "must be at least 1");
        }
        for (time, name) in [
            (Some(self.wait_timeout), "wait_timeout"),
            (Some(self.connect_timeout), "connect_timeout"),
            (Some(self.write_timeout), "write_timeout"),
            (Some(self.close_timeout), "close_timeout"),
            (self.check_interval, "check_interval"),
            (Some(self.ping_timeout), "ping_timeout"),
            (self.idle_timeout, "idle_timeout"),
            (Some(self.read_interval), "read_interval"),
        ] {
            problems.zero(time, name);
        }
        let sizes = 512..=16 << 20;
        let what = "must be from 512 bytes to 16 MiB";
        problems.unless(sizes.contains(&self.read_buffer_size), "read_buffer_size", what);
        // What tungstenite is given lies a little above.
        let most = usize::MAX / 2;
        problems.unless(self.write_buffer_size <= most, "write_buffer_size", "is too much");
        if let Some(Reconnect { first_pause, max_pause, jitter, max_tries }) = &self.reconnect {
            problems.zero(*first_pause, "reconnect.first_pause");
            let what = "must not be shorter than first_pause";
            problems.unless(max_pause >= first_pause, "reconnect.max_pause", what);
            let what = "must be from 0 to 1";
            problems.unless((0.0..=1.0).contains(jitter), "reconnect.jitter", what);
            problems.unless(*max_tries != Some(0), "reconnect.max_tries", "must be at least 1");
        }
        problems.check()
    }
}
