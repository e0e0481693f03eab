//! How the agents of a manager behave, and what of it `ureq` is told.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use ureq::config::{AutoHeaderValue, Config, ConfigBuilder};
use ureq::http::HeaderValue;
use ureq::middleware::Middleware;
use ureq::tls::{Certificate, PemItem, TlsConfig};
use ureq::typestate::AgentScope;

use crate::ConfigError;
use crate::error::Problems;
use crate::setters::setters;

/// Settings of the agents that an [`AgentManager`](super::AgentManager) makes.
///
/// Zero is refused as a time-out; none, and a duration of more than a hundred years, is no limit.
/// A request can differ from all time-outs but `keep_alive`, `dns_ttl` and `check_timeout`, through
/// [`ureq::RequestBuilder::config`].
///
/// ```
/// use llm_pool::agent::AgentConfig;
/// use std::time::Duration;
///
/// let config = AgentConfig::default()
///     .total_timeout(Duration::from_secs(300))
///     .read_timeout(None);
/// # let _ = config;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AgentConfig {
    /// How long the DNS look-up may take and, counted anew, how long it may take to connect: in
    /// ureq that is TCP, proxy and TLS set-up together. Default 10 s.
    pub connect_timeout: Option<Duration>,
    /// How long the server may think: from the end of the request until the answer's headers are
    /// complete. Default none, since `total_timeout` holds as well.
    pub first_byte_timeout: Option<Duration>,
    /// How long the server may pause between two reads once its answer has begun. An interim
    /// answer (a 1xx status) counts as a beginning. Default 30 s.
    pub read_timeout: Option<Duration>,
    /// How long a request may take from the look-up to the last byte of the body, redirects
    /// included. It goes on while the caller reads, so raise it for long streams. The wait for a
    /// lease is not part of it; a lease of [`get_within`](crate::Pool::get_within) has a deadline
    /// that covers both, sooner or later than this, and stands in its place. Default 60 s.
    pub total_timeout: Option<Duration>,
    /// How long a [check](super::AgentManager::checking) may take from the look-up to the last byte
    /// of the answer, in place of `total_timeout`; the other time-outs hold as well. Default 10 s.
    pub check_timeout: Duration,
    /// How long an idle connection is kept for the agent's next request. Default 30 s.
    pub keep_alive: Duration,
    /// How long the addresses of a host are used before they are looked up again; sooner if it
    /// cannot be connected to there, though not within a second. Zero looks them up for every
    /// request. Failures are not remembered. Default 300 s.
    pub dns_ttl: Duration,
    /// Bytes of the buffer in, and as many of the buffer out, of a connection; from 4 KiB to
    /// 16 MiB. One header of a request must fit; an answer's headers may be larger, up to ureq's
    /// 64 KiB. Default 16 KiB.
    pub buffer_size: usize,
    /// The `User-Agent` header; an empty one is not sent. Default `llm-pool/<version>`.
    pub user_agent: String,
    /// Through which proxy to connect. Default [`Proxy::Environment`].
    pub proxy: Proxy,
    /// Which certificates may vouch for a server's. Default [`RootCerts::Mozilla`].
    pub root_certs: RootCerts,
    /// Refuses requests, and redirects, to anything but https. Default false.
    pub https_only: bool,
}

/// Through which proxy agents connect.
///
/// `Debug` leaves the user and the password of a URL out.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proxy {
    /// The first valid one of `ALL_PROXY`, `HTTPS_PROXY` and `HTTP_PROXY`, upper or lower case,
    /// save for the hosts in `NO_PROXY`. Read once, when the manager is made. A SOCKS proxy is
    /// refused if ureq was built without its feature `socks-proxy`, and not gone past.
    #[default]
    Environment,
    /// None, whatever the environment says.
    Direct,
    /// `http://`, `https://`, or, with ureq's feature `socks-proxy`, `socks4://`, `socks4a://`,
    /// `socks5://` or `socks5h://`; then `user:password@` if need be, percent-encoded, and
    /// `host:port`.
    Url(String),
}

/// Which certificates may vouch for a server's.
///
/// `Debug` shows how long a PEM text is, not the text.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RootCerts {
    /// Mozilla's, as built into this program.
    #[default]
    Mozilla,
    /// The certificates in this PEM text and no others. Other things in the text are passed over.
    Pem(Vec<u8>),
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Some(Duration::from_secs(10)),
            first_byte_timeout: None,
            read_timeout: Some(Duration::from_secs(30)),
            total_timeout: Some(Duration::from_secs(60)),
            check_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(30),
            dns_ttl: Duration::from_secs(300),
            buffer_size: 16 * 1024,
            user_agent: concat!("llm-pool/", env!("CARGO_PKG_VERSION")).into(),
            proxy: Proxy::default(),
            root_certs: RootCerts::default(),
            https_only: false,
        }
    }
}

setters! {
    AgentConfig {
        connect_timeout: impl Into<Option<Duration>>,
        first_byte_timeout: impl Into<Option<Duration>>,
        read_timeout: impl Into<Option<Duration>>,
        total_timeout: impl Into<Option<Duration>>,
        check_timeout: Duration,
        keep_alive: Duration,
        dns_ttl: Duration,
        buffer_size: usize,
        user_agent: impl Into<String>,
        proxy: Proxy,
        root_certs: RootCerts,
        https_only: bool,
    }
}

impl AgentConfig {
    /// What `ureq` is told; `socks` is whether it was built with its feature `socks-proxy`.
    pub(super) fn to_ureq(&self, socks: bool) -> Result<Config, ConfigError> {
        let mut problems = Problems::of("AgentConfig");
        problems.zero(self.connect_timeout, "connect_timeout");
        problems.zero(self.first_byte_timeout, "first_byte_timeout");
        problems.zero(self.read_timeout, "read_timeout");
        problems.zero(self.total_timeout, "total_timeout");
        problems.zero(self.check_timeout, "check_timeout");
        problems.zero(self.keep_alive, "keep_alive");
        problems.unless(
            BUFFER_SIZES.contains(&self.buffer_size),
            "buffer_size",
            format_args!("must be from 4 KiB to 16 MiB, is {} bytes", self.buffer_size),
        );
        // ureq unwraps it at every request.
        let legal = HeaderValue::from_str(&self.user_agent).is_ok();
        let not_legal = "must be visible ASCII, since it is a header";
        problems.unless(legal, "user_agent", not_legal);
        let proxy = self.proxy.to_ureq(socks).unwrap_or_else(|what| {
            problems.unless(false, "proxy", what);
            None
        });
        let root_certs = self.root_certs.to_ureq().unwrap_or_else(|what| {
            problems.unless(false, "root_certs", what);
            ureq::tls::RootCerts::WebPki
        });
        problems.check()?;

        let tls = TlsConfig::builder().root_certs(root_certs).build();
        Ok(self.builder(proxy, tls, (&self.user_agent).into()).build())
    }

    /// `general`, which [`to_ureq`](Self::to_ureq) made of these settings, with a middleware.
    /// `ureq` adds none to what is built.
    pub(super) fn with_middleware(&self, general: &Config, middleware: impl Middleware) -> Config {
        let (proxy, tls) = (general.proxy().cloned(), general.tls_config().clone());
        self.builder(proxy, tls, general.user_agent().clone()).middleware(middleware).build()
    }

    fn builder(
        &self,
        proxy: Option<ureq::Proxy>,
        tls: TlsConfig,
        user_agent: AutoHeaderValue,
    ) -> ConfigBuilder<AgentScope> {
        ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_idle_connections(1)
            .max_idle_connections_per_host(1)
            .max_idle_age(self.keep_alive)
            .timeout_resolve(bounded(self.connect_timeout))
            .timeout_connect(bounded(self.connect_timeout))
            .timeout_recv_response(bounded(self.first_byte_timeout))
            .timeout_per_read(bounded(self.read_timeout))
            .timeout_global(bounded(self.total_timeout))
            .input_buffer_size(self.buffer_size)
            .output_buffer_size(self.buffer_size)
            .user_agent(user_agent)
            .proxy(proxy)
            .tls_config(tls)
            .https_only(self.https_only)
    }
}

/// Below, a common request header does not fit; above, ureq's own limit would panic at 100 MiB.
const BUFFER_SIZES: std::ops::RangeInclusive<usize> = 4 * 1024..=16 * 1024 * 1024;

/// ureq adds time-outs to the time of day without looking whether the sum exists.
pub(crate) fn bounded(limit: Option<Duration>) -> Option<Duration> {
    const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    limit.filter(|limit| *limit <= LONGEST)
}

impl Proxy {
    /// The reasons never quote the URL, which may hold a password.
    fn to_ureq(&self, socks: bool) -> Result<Option<ureq::Proxy>, &'static str> {
        let proxy = match self {
            Self::Environment => ureq::Proxy::try_from_env(),
            Self::Direct => None,
            Self::Url(url) => {
                let proxy = ureq::Proxy::new(url).ok().filter(|proxy| !proxy.host().is_empty());
                Some(proxy.ok_or("must be the URL of an http, https or socks proxy")?)
            }
        };
        match &proxy {
            // ureq would panic, or, for one from the environment, go past it.
            Some(proxy) if is_socks(proxy) && !socks => {
                Err("a socks proxy needs the feature `socks-proxy` of ureq")
            }
            _ => Ok(proxy),
        }
    }
}

pub(super) fn is_socks(proxy: &ureq::Proxy) -> bool {
    !matches!(proxy.protocol(), ureq::ProxyProtocol::Http | ureq::ProxyProtocol::Https)
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("Environment"),
            Self::Direct => f.write_str("Direct"),
            Self::Url(url) => f.debug_tuple("Url").field(&without_user(url)).finish(),
        }
    }
}

/// All that could be a user or a password goes, also from what is no URL.
fn without_user(url: &str) -> String {
    match url.rsplit_once('@') {
        None => url.to_owned(),
        Some((user, host)) => {
            let scheme = user.split_once("://").map_or("", |(scheme, _)| scheme);
            // A password may itself hold a "://".
            let named = scheme.bytes().all(|b| b.is_ascii_alphanumeric()) && !scheme.is_empty();
            if named { format!("{scheme}://***@{host}") } else { format!("***@{host}") }
        }
    }
}

impl RootCerts {
    fn to_ureq(&self) -> Result<ureq::tls::RootCerts, &'static str> {
        let Self::Pem(pem) = self else { return Ok(ureq::tls::RootCerts::WebPki) };
        let mut certs = Vec::new();
        for item in ureq::tls::parse_pem(pem) {
            match item {
                // ureq passes over what is no certificate, and would then trust nobody.
                Ok(PemItem::Certificate(cert)) if !is_der(&cert) => {
                    return Err("the PEM text has a certificate that is none");
                }
                Ok(PemItem::Certificate(cert)) => certs.push(cert),
                Ok(_) => {}
                Err(_) => return Err("the PEM text is damaged"),
            }
        }
        if certs.is_empty() {
            return Err("the PEM text has no certificate");
        }
        Ok(certs.into_iter().into())
    }
}

/// Tells one TLS configuration from another.
pub(super) fn tls_hash(config: &TlsConfig) -> u64 {
    let mut hasher = DefaultHasher::new();
    config.hash(&mut hasher);
    hasher.finish()
}

/// Whether this has the outer form of a certificate: one DER sequence, as long as it says.
fn is_der(cert: &Certificate<'_>) -> bool {
    // The lengths of real certificates take two bytes; of tiny ones, one.
    match cert.der() {
        [0x30, 0x82, high, low, rest @ ..] => {
            rest.len() == usize::from(u16::from_be_bytes([*high, *low]))
        }
        [0x30, 0x81, length, rest @ ..] => rest.len() == usize::from(*length),
        _ => false,
    }
}

impl fmt::Debug for RootCerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mozilla => f.write_str("Mozilla"),
            Self::Pem(pem) => write!(f, "Pem({} bytes)", pem.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bad_settings_are_named_in_one_error() {
        let config = AgentConfig::default()
            .connect_timeout(Duration::ZERO)
            .first_byte_timeout(Duration::ZERO)
            .read_timeout(Duration::ZERO)
            .total_timeout(Duration::ZERO)
            .check_timeout(Duration::ZERO)
            .keep_alive(Duration::ZERO)
            .buffer_size(10)
            .user_agent("two\r\nlines")
            .proxy(Proxy::Url("gopher://user:hunter2@nowhere".into()))
            .root_certs(RootCerts::Pem(b"nothing".to_vec()));
        let error = config.to_ureq(false).unwrap_err();
        let named: Vec<_> =
            error.problems().iter().filter_map(|p| Some(p.split_once(':')?.0)).collect();
        let all = [
            "connect_timeout",
            "first_byte_timeout",
            "read_timeout",
            "total_timeout",
            "check_timeout",
            "keep_alive",
            "buffer_size",
            "user_agent",
            "proxy",
            "root_certs",
        ];
        assert_eq!(named, all);
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn socks_is_refused_only_where_ureq_cannot_speak_it() {
        let config = AgentConfig::default().proxy(Proxy::Url("socks5://localhost:1080".into()));
        assert!(config.to_ureq(false).unwrap_err().to_string().contains("socks-proxy"));
        assert!(config.to_ureq(true).is_ok());
    }

    #[test]
    fn no_user_or_password_of_a_proxy_is_shown() {
        for (url, shown) in [
            ("http://user:hunter2@host:80", "http://***@host:80"),
            ("user:hunter2@host", "***@host"),
            ("http://us@er:hunter2@host", "http://***@host"),
            ("us:er://hunter2@host", "***@host"),
            ("socks5h://host:1080", "socks5h://host:1080"),
        ] {
            let config = AgentConfig::default().proxy(Proxy::Url(url.into()));
            let debug = format!("{config:?}");
            assert!(!debug.contains("hunter2") && debug.contains(shown), "{debug}");
        }
    }

    #[test]
    fn a_pem_text_must_hold_certificates() {
        for (pem, what) in [
            ("", "no certificate"),
            ("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", "damaged"),
            ("-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n", "is none"),
        ] {
            let config = AgentConfig::default().root_certs(RootCerts::Pem(pem.into()));
            let error = config.to_ureq(false).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }

    #[test]
    fn a_proxy_url_never_panics() {
        for url in
            ["", "http://", "http://:80", "http://%", "@", "http://[::1", "http://%ff@h", "/x"]
        {
            let config = AgentConfig::default().proxy(Proxy::Url(url.into()));
            assert!(config.to_ureq(true).is_err(), "{url}");
        }
    }
}
