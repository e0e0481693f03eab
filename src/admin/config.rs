//! The settings of the admin endpoints.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::error::{ConfigError, Problems};
use crate::setters::setters;

/// The settings of [`Admin`](super::Admin), all with a default, all set by chaining.
///
/// ```
/// use llm_pool::admin::AdminConfig;
///
/// let config = AdminConfig::default()
///     .listen(([127, 0, 0, 1], 9099))
///     .token("a text of 16 or more that is hard to guess");
/// ```
///
/// Nothing is checked here: [`Admin::new`](super::Admin::new) refuses all wrong settings at once.
#[derive(Clone)]
#[non_exhaustive]
pub struct AdminConfig {
    /// Where to listen; port 0 is one that is free. Anything but a loopback address needs a `token`.
    /// What is sent is not encrypted: beyond loopback, put something in front that does that. Default
    /// `127.0.0.1:0`.
    pub listen: SocketAddr,
    /// What a request that must be allowed has to show, as `Authorization: Bearer TOKEN`: at least 16
    /// printable ASCII characters without spaces. Default none, and then every POST is refused.
    pub token: Option<String>,
    /// Whether a GET needs the token too, but for the page, which has no figures in it, and
    /// `/healthz`. Default false, and then it does if `listen` is no loopback address.
    pub token_for_get: bool,
    /// Names beside `localhost` that requests may have in `Host`, without port, such as
    /// `pool.internal`. Addresses of loopback are always good, and so is the address of `listen`, or
    /// any address if that is all of them. A page of somebody else's can have the browser send requests
    /// here under a name of its own (DNS rebinding), and is refused by this. Default none.
    pub hosts: Vec<String>,
    /// Longest head of a request, in bytes. Default 16 KiB; 256 bytes to 1 MiB.
    pub max_head: usize,
    /// Longest body of a request, in bytes. Default 64 KiB, at most 16 MiB.
    pub max_body: usize,
    /// Most connections at one time, each of which has a thread while it is open. Default 64; 1 to 1024.
    pub max_connections: usize,
    /// How long a request may take to come, from its first byte to its last, and an answer to be
    /// taken. Default 10 s.
    pub request_timeout: Duration,
    /// How long a connection may be without a request. Default 60 s.
    pub idle_timeout: Duration,
    /// How long `POST /v1/pool/health-check` and `POST /v1/sockets/check` wait for their checks to end
    /// before they answer. The checks go on after that. Default 2 s; zero does not wait.
    pub check_wait: Duration,
}

/// A shorter token could be guessed.
const SHORTEST_TOKEN: usize = 16;

/// What a token must be, and never what it is.
pub(crate) const GOOD_TOKEN: &str = "must be at least 16 printable ASCII characters without spaces";

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            token: None,
            token_for_get: false,
            hosts: Vec::new(),
            max_head: 16 << 10,
            max_body: 64 << 10,
            max_connections: 64,
            request_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            check_wait: Duration::from_secs(2),
        }
    }
}

setters! {
    AdminConfig {
        listen: impl Into<SocketAddr>,
        token_for_get: bool,
        max_head: usize,
        max_body: usize,
        max_connections: usize,
        request_timeout: Duration,
        idle_timeout: Duration,
        check_wait: Duration,
    }
}

impl AdminConfig {
    /// Sets [`token`](Self#structfield.token).
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Adds a name to [`hosts`](Self#structfield.hosts).
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.hosts.push(host.into());
        self
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let mut problems = Problems::of("AdminConfig");
        let safe = self.is_local() || self.token.is_some();
        let what = format_args!("{} is not a loopback address, which needs a token", self.listen);
        problems.unless(safe, "listen", what);
        if let Some(token) = &self.token {
            let good = token.len() >= SHORTEST_TOKEN && token.bytes().all(|b| b.is_ascii_graphic());
            problems.unless(good, "token", GOOD_TOKEN);
        }
        problems.unless(
            !self.token_for_get || self.token.is_some(),
            "token_for_get",
            "needs a token",
        );
        for (place, host) in (1..).zip(&self.hosts) {
            let good = !host.is_empty()
                && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
            // Not what it is: from a file, it may be a secret in the wrong place.
            let what =
                format_args!("must be names without scheme and port, and number {place} is none");
            problems.unless(good, "hosts", what);
        }
        let range = |low: usize, high: usize, value: usize| (low..=high).contains(&value);
        problems.unless(range(256, 1 << 20, self.max_head), "max_head", "must be 256 to 1048576");
        problems.unless(range(0, 16 << 20, self.max_body), "max_body", "must be at most 16777216");
        problems.unless(
            range(1, 1024, self.max_connections),
            "max_connections",
            "must be 1 to 1024",
        );
        problems.zero(self.request_timeout, "request_timeout");
        problems.zero(self.idle_timeout, "idle_timeout");
        problems.check()
    }

    pub(super) fn is_local(&self) -> bool {
        self.listen.ip().to_canonical().is_loopback()
    }

    /// Whether a request may be for this host: a name or an address, without port.
    pub(super) fn expects(&self, host: &str) -> bool {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if let Ok(ip) = bare.unwrap_or(host).parse::<IpAddr>() {
            let (ip, own) = (ip.to_canonical(), self.listen.ip().to_canonical());
            return ip.is_loopback() || own.is_unspecified() || ip == own;
        }
        // A name that ends in a dot is the same name.
        let host = host.strip_suffix('.').unwrap_or(host);
        let names = self.hosts.iter().map(String::as_str).chain(["localhost"]);
        names.into_iter().any(|name| name.trim_end_matches('.').eq_ignore_ascii_case(host))
    }
}

impl fmt::Debug for AdminConfig {
    /// Whether there is a token, and not which.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminConfig")
            .field("listen", &self.listen)
            .field("token", &self.token.as_ref().map(|_| "[redacted]"))
            .field("token_for_get", &self.token_for_get)
            .field("hosts", &self.hosts)
            .field("max_head", &self.max_head)
            .field("max_body", &self.max_body)
            .field("max_connections", &self.max_connections)
            .field("request_timeout", &self.request_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("check_wait", &self.check_wait)
            .finish()
    }
}
