//! The settings of a server that are fixed once it runs, and those it starts with.

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use super::accept::Acceptor;
use super::openai::Rules;
use super::reply::Reply;
use super::socket::{Connection, Socket};
use super::state::Shared;
use super::{TestServer, seen};
use crate::http1::listen;

/// Settings for a [`TestServer`]; what can be changed later has a setter there too.
#[must_use]
pub struct TestServerBuilder {
    pub(super) delay: Duration,
    pub(super) pause: Duration,
    pub(super) reply: Reply,
    pub(super) max_body: usize,
    pub(super) max_at_once: usize,
    pub(super) remember: usize,
    pub(super) wrap: Option<Wrap>,
    pub(super) rules: Rules,
    scheme: String,
    host: String,
    port: u16,
}

/// Makes what the server reads and writes out of an accepted socket.
pub(super) type Wrap = Box<dyn Fn(Socket) -> io::Result<Box<dyn Connection>> + Send + Sync>;

impl TestServerBuilder {
    /// How long each request waits for its answer. Default: zero.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The pause between the pieces of a streamed answer, unless its [`Reply`] says otherwise.
    /// Default: zero.
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// How requests are answered for which nothing is planned, or those for its path if it has one
    /// ([`Reply::at`]). Default: [`Reply::ok`]. More of them: [`TestServer::set_reply`].
    pub fn reply(mut self, reply: Reply) -> Self {
        self.reply = reply;
        self
    }

    /// The longest request body in bytes; a longer one is refused with 413 and the connection
    /// closed. Default: 16 MiB.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// How many requests [`TestServer::requests`] remembers. Default: 1024. Zero remembers none
    /// and saves a benchmark the copying.
    pub fn remember(mut self, requests: usize) -> Self {
        self.remember = requests;
        self
    }

    /// The models that are listed and served; requests for others get 404 `model_not_found`.
    /// Default: any model is served, and one, `test-model`, is listed.
    pub fn models(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.rules.models = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Asks for `Authorization: Bearer` and this key; requests without get 401. Replies that
    /// have a status or a body of their own are sent all the same. Default: no key is asked for.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.rules.api_key = Some(key.into());
        self
    }

    /// Allows so many chat completions and embeddings, and so many tokens in them (words pass for
    /// tokens), in each [`rate_window`](Self::rate_window). Their answers tell what is left in
    /// `x-ratelimit-` headers as OpenAI's do; those too many get 429 `rate_limit_exceeded` with
    /// `Retry-After`, and are not counted. Nor are requests refused for another reason, and
    /// replies that have a status or a body of their own. Default: no limit and no such headers.
    pub fn rate_limit(mut self, requests: u64, tokens: u64) -> Self {
        self.rules.limits.most = Some((requests, tokens));
        self
    }

    /// After how long all of the [`rate_limit`](Self::rate_limit) can be used again, counted from
    /// the first request that used it. Default: one minute.
    pub fn rate_window(mut self, window: Duration) -> Self {
        self.rules.limits.window = window;
        self
    }

    /// Serves so many requests at one time; those beyond get 429 at once, whatever was planned,
    /// without `Retry-After`. Default: any number.
    pub fn max_at_once(mut self, requests: usize) -> Self {
        self.max_at_once = requests;
        self
    }

    /// Wraps each accepted socket, for TLS: do the handshake here (it runs on the connection's
    /// own thread) and give back what is to be read from and written to. An error closes the
    /// connection. The server closes by dropping it, without a TLS farewell unless its `Drop` says
    /// one. A wrapper that blocks on something other than its socket holds up the
    /// server's drop. Default: the bare socket.
    ///
    /// Set [`scheme`](Self::scheme) and [`host`](Self::host) to fit.
    pub fn wrap<W>(mut self, wrap: W) -> Self
    where
        W: Fn(Socket) -> io::Result<Box<dyn Connection>> + Send + Sync + 'static,
    {
        self.wrap = Some(Box::new(wrap));
        self
    }

    /// The scheme in [`TestServer::url`]; text only. Default: `http`.
    pub fn scheme(mut self, scheme: impl Into<String>) -> Self {
        self.scheme = scheme.into();
        self
    }

    /// The host in [`TestServer::url`], for certificates made out to a name; text only, the
    /// server listens on 127.0.0.1 in any case. Default: `127.0.0.1`.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }

    /// The port to listen on: that of a server before it, to play one that starts again. Default:
    /// zero, one that is free.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Starts the server.
    ///
    /// # Errors
    /// When the port cannot be had or no thread started.
    pub fn start(self) -> io::Result<TestServer> {
        let listener = listen((Ipv4Addr::LOCALHOST, self.port).into())?;
        let addr = listener.local_addr()?;
        let url = format!("{}://{}:{}", self.scheme, self.host, addr.port());
        let shared = Arc::new(Shared::new(self));
        let acceptor = Acceptor::start(listener, shared.clone())?;
        Ok(TestServer { shared, addr, url, _acceptor: acceptor })
    }
}

impl Default for TestServerBuilder {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            pause: Duration::ZERO,
            reply: Reply::ok(),
            max_body: 16 << 20,
            max_at_once: usize::MAX,
            remember: seen::DEFAULT_REQUESTS,
            wrap: None,
            rules: Rules::default(),
            scheme: "http".into(),
            host: "127.0.0.1".into(),
            port: 0,
        }
    }
}

impl fmt::Debug for TestServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestServerBuilder")
            .field("delay", &self.delay)
            .field("pause", &self.pause)
            .field("reply", &self.reply)
            .field("max_body", &self.max_body)
            .field("max_at_once", &self.max_at_once)
            .field("remember", &self.remember)
            .field("wrap", &self.wrap.is_some())
            .field("models", &self.rules.models)
            // Whether there is one, for a key is nobody's business.
            .field("api_key", &self.rules.api_key.is_some())
            .field("rate_limit", &self.rules.limits.most)
            .field("rate_window", &self.rules.limits.window)
            .field("scheme", &self.scheme)
            .field("host", &self.host)
            .field("port", &self.port)
            .finish()
    }
}
