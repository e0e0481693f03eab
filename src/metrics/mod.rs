//! What pools count, for Prometheus to scrape.
//!
//! ```text
//!   Metrics ── at each scrape ──▶ Pool, KeyedPool, ModelGroups, Balancer, WebSockets: their snapshots
//!      │                              └ keys by labels: series that do not fall
//!      └─ text, or a Collector in a Registry of your own
//! ```
//!
//! Everything is read when it is asked for, so it adds nothing to a get. One lock, in `memory`.
//!
//! # Families
//!
//! Those of pools are there twice: `llm_pool_...` with the label `pool`, the name under which it was
//! added, for a pool or the sum of a keyed pool, what its keys came to that are gone included; and
//! `llm_pool_key_...` for the keys of a keyed pool, with `pool` and what their [`MetricKey`] says of
//! `provider`, `model`, `host` and `key`. To add up the latter, or both, is to count things twice or
//! not at all: not every key has series (see [`Metrics::max_series`]).
//!
//! | name, of the sum | kind | labels beside `pool` | like OpenTelemetry's |
//! |---|---|---|---|
//! | `llm_pool_items` | gauge | `state`: `idle`, `in_use`, `creating`, `checking`, `unhealthy` | `db.client.connection.count`, with its states `idle` and `used` |
//! | `llm_pool_max_size` | gauge | | `db.client.connection.max` |
//! | `llm_pool_min_idle` | gauge | | `db.client.connection.idle.min` |
//! | `llm_pool_waiting` | gauge | | `db.client.connection.pending_requests` |
//! | `llm_pool_created_total` | counter | | none |
//! | `llm_pool_create_failures_total` | counter | | none |
//! | `llm_pool_evicted_total` | counter | `reason`: one for each [`EvictReason`](crate::EvictReason) | none |
//! | `llm_pool_checks_total`, `llm_pool_check_failures_total` | counter | | none |
//! | `llm_pool_gets_total`, `llm_pool_waits_total` | counter | | none |
//! | `llm_pool_timeouts_total` | counter | `limit`: `max_size`, `max_per_host`, `max_total`, `max_open` | `db.client.connection.timeouts` |
//! | `llm_pool_refused_total` | counter | `reason`: `queue_full`, `too_late` | none |
//! | `llm_pool_requests_total` | counter | `status_class`: `1xx` to `5xx`, `none` | the count of `http.client.request.duration` |
//! | `llm_pool_connections_opened_total` | counter | | none |
//! | `llm_pool_retries_total` | counter | | none |
//! | `llm_pool_tokens_total` | counter | `token_type`: `input`, `output` | the sum of `gen_ai.client.token.usage` |
//! | `llm_pool_wait_seconds` | histogram | `le` | `db.client.connection.wait_time`, of those who waited only |
//! | `llm_pool_use_seconds` | histogram | `le` | `db.client.connection.use_time` |
//! | `llm_pool_create_seconds` | histogram | `le` | `db.client.connection.create_time` |
//! | `llm_pool_response_seconds` | histogram | `le` | `http.client.request.duration` |
//!
//! Of keyed pools as a whole:
//!
//! | name | kind | what |
//! |---|---|---|
//! | `llm_pool_keys`, `llm_pool_max_pools` | gauge | keys that have a pool, and the most |
//! | `llm_pool_max_in_use` | gauge | `max_total`, if there is one |
//! | `llm_pool_keys_made_total`, `llm_pool_keys_evicted_total` | counter | pools made for keys, and keys evicted for another one |
//!
//! Of balancers, with the labels `pool`, the name under which groups were added, `group` and, but for
//! the first, `endpoint`; none is like one of OpenTelemetry's:
//!
//! | name | kind | labels beside these |
//! |---|---|---|
//! | `llm_pool_group_waiting` | gauge | |
//! | `llm_pool_endpoint_picks_total`, `..._successes_total`, `..._abandoned_total`, `..._rests_total` | counter | |
//! | `llm_pool_endpoint_failures_total` | counter | `cause`: one for each [`Cause`](crate::balance::Cause) |
//! | `llm_pool_endpoint_in_use`, `..._max_in_use` | gauge | |
//! | `llm_pool_endpoint_health` | gauge, 0 or 1 | `state`: `well`, `resting`, `probing` |
//!
//! Of registries of WebSockets (feature `websocket`), with the label `sockets`, the name under which one
//! was added. None has a label for the id of a socket: ids come and go without end, and every one would
//! leave a series behind. None is like one of OpenTelemetry's:
//!
//! | name | kind | labels beside `sockets` |
//! |---|---|---|
//! | `llm_pool_sockets` | gauge | `state`: `idle`, `in_use`, `connecting`; together `total_connections` |
//! | `llm_pool_sockets_max`, `llm_pool_sockets_closing`, `llm_pool_sockets_waiting` | gauge | |
//! | `llm_pool_sockets_opened_total`, `llm_pool_sockets_reconnect_failures_total` | counter | |
//! | `llm_pool_sockets_closed_total` | counter | `reason`: one for each `CloseReason` |
//! | `llm_pool_sockets_messages_total`, `llm_pool_sockets_bytes_total` | counter | `direction`: `sent`, `received` |
//! | `llm_pool_sockets_round_trip_seconds` | histogram | `le` |
//!
//! # Names
//!
//! They follow [Prometheus' guide](https://prometheus.io/docs/practices/naming/): a prefix, base units,
//! `_total` for what only grows. OpenTelemetry's conventions for
//! [pools of connections](https://opentelemetry.io/docs/specs/semconv/db/database-metrics/#connection-pools),
//! [HTTP clients](https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#http-client) and
//! [`gen_ai`](https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/) lend their meaning but
//! not their names: these items are no connections of a database; the conventions for HTTP demand the
//! method, which is not counted by; and those for `gen_ai` are histograms by call, where a pool has
//! sums.
//!
//! # Histograms
//!
//! Bounds are 5.12 ms, doubled 17 times, up to 671 s; of the round trips of pings 80 us, doubled as often,
//! up to 10.5 s. They are bounds of the finer buckets of a
//! [`Histogram`](crate::Histogram) as well, so that the counts are exact, but for an entry of just the
//! length of a bound, which counts above it.

mod families;
mod labels;
mod memory;
mod row;
#[cfg(feature = "websocket")]
mod sockets;
mod sources;
mod writer;

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;

pub use labels::{KeyLabels, MetricKey};

use crate::balance::Balancer;
use crate::keyed::KeyedPool;
#[cfg(feature = "chat")]
use crate::llm::ModelGroups;
use crate::pool::{Manage, Pool};
#[cfg(feature = "websocket")]
use crate::websocket::WebSockets;
use sources::{Balanced, Keyed, Plain, Reading, Source};
use writer::{Format, Writer};

/// What [`Metrics::text`] is, for the header `content-type`.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What [`Metrics::open_metrics`] is, for the header `content-type`.
pub const OPEN_METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Pools, groups and registries of sockets whose counts are to be scraped.
///
/// Those added under one name are counted together. A handle of each is kept: what is to be closed by
/// the drop of its last handle must be closed by `close`. Cloning gives another handle to the same.
///
/// ```
/// use llm_pool::keyed::ModelKey;
/// use llm_pool::llm::{LlmConfig, Provider};
/// use llm_pool::metrics::Metrics;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = llm_pool::test_server::TestServer::start()?;
/// # let provider = Provider::new(format!("{}/v1", server.url()));
/// let pool = LlmConfig::default().provider("example", provider).build()?;
/// let metrics = Metrics::new().pool("llm", pool.clone());
///
/// let llm = pool.get(&ModelKey::new("example", "small"))?;
/// let text = metrics.text(); // the answer to GET /metrics
/// assert!(text.contains("llm_pool_items{pool=\"llm\",state=\"in_use\"} 1\n"));
/// assert!(text.contains("llm_pool_key_gets_total{pool=\"llm\",provider=\"example\",model=\"small\""));
/// # drop(llm);
/// # Ok(())
/// # }
/// ```
///
/// It is a [`Collector`] too, for a program that has a registry:
///
/// ```
/// use llm_pool::metrics::Metrics;
/// use prometheus_client::registry::Registry;
///
/// let mut registry = Registry::default();
/// registry.register_collector(Box::new(Metrics::new()));
/// ```
#[derive(Clone)]
pub struct Metrics {
    sources: Vec<Arc<dyn Source>>,
    max_series: usize,
}

impl Metrics {
    /// Without any pool.
    #[must_use]
    pub fn new() -> Self {
        Self { sources: Vec::new(), max_series: 100 }
    }

    /// Sets how many series a keyed pool has at most in each family of keys: those of the keys with
    /// the most gets. 0 is for the sums alone, where no key need be known. What the others came to is
    /// what the sum has more. There is none for them together, since it would fall when a key comes
    /// to have its own. Default 100, which are some 12 000 samples, buckets included.
    #[must_use]
    pub fn max_series(mut self, max: usize) -> Self {
        self.max_series = max;
        self
    }

    /// Adds a keyed pool: its sum, and its keys by their labels. The pool below `ModelGroups` is added
    /// so as well.
    #[must_use]
    pub fn pool<K: MetricKey, M: Manage>(
        self,
        name: impl Into<String>,
        pool: KeyedPool<K, M>,
    ) -> Self {
        self.with(Keyed::new(named(name), pool))
    }

    /// Adds a pool without keys.
    #[must_use]
    pub fn plain<M: Manage>(self, name: impl Into<String>, pool: Pool<M>) -> Self {
        self.with(Plain { name: named(name), pool })
    }

    /// Adds the endpoints of all groups, but not the pool below them.
    #[cfg(feature = "chat")]
    #[must_use]
    pub fn groups(self, name: impl Into<String>, groups: ModelGroups) -> Self {
        let read = move || groups.names().filter_map(|name| groups.stats(name)).collect();
        self.with(Balanced { name: named(name), read })
    }

    /// Adds the endpoints of a balancer that belongs to no groups; its own name is the label `group`.
    #[must_use]
    pub fn balancer<T: Send + Sync + 'static>(
        self,
        name: impl Into<String>,
        balancer: Balancer<T>,
    ) -> Self {
        self.with(Balanced { name: named(name), read: move || vec![balancer.stats()] })
    }

    /// Adds a registry of WebSockets. It has series of its own, by reason and direction, and none by the
    /// ids of its sockets.
    #[cfg(feature = "websocket")]
    #[must_use]
    pub fn sockets(self, name: impl Into<String>, sockets: WebSockets) -> Self {
        self.with(sockets::Sockets { name: named(name), sockets })
    }

    /// All of it in the text format 0.0.4, which every Prometheus reads and `promtool check metrics`
    /// checks. Its type is [`CONTENT_TYPE`]. It ends with `# EOF`, a comment there, so that one that was
    /// cut off shows. Costs what the snapshots cost and some microseconds a series; a pool's lock is
    /// held no longer than for a snapshot.
    #[must_use]
    pub fn text(&self) -> String {
        self.encoded(Format::Plain)
    }

    /// All of it as `OpenMetrics` 1.0, whose type is [`OPEN_METRICS_TYPE`]: the same series and values.
    #[must_use]
    pub fn open_metrics(&self) -> String {
        self.encoded(Format::OpenMetrics)
    }

    fn with(mut self, source: impl Source) -> Self {
        self.sources.push(Arc::new(source));
        self
    }

    fn encoded(&self, format: Format) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(InFormat(self.clone(), format)));
        let mut all = String::new();
        // Cannot fail: a string takes everything, and there is no number that is refused.
        let _ = text::encode(&mut all, &registry);
        all
    }

    fn write(&self, to: &mut Writer<'_, '_>) -> fmt::Result {
        let mut read = Reading::default();
        self.sources.iter().for_each(|source| source.read(self.max_series, &mut read));
        families::of_pools(to, "llm_pool", &read.pools)?;
        families::of_keyed(to, &read.pools)?;
        families::of_pools(to, "llm_pool_key", &read.keys)?;
        families::of_groups(to, &read.groups)?;
        families::of_endpoints(to, &read.endpoints)?;
        #[cfg(feature = "websocket")]
        sockets::families(to, &read.sockets)?;
        Ok(())
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Collector for Metrics {
    /// In any format of `prometheus-client`; in text, that is `OpenMetrics`.
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.write(&mut Writer { encoder: &mut encoder, format: Format::OpenMetrics })
    }
}

/// Cleaned here, since `Debug` shows it too.
fn named(name: impl Into<String>) -> String {
    labels::clean(&name.into())
}

/// In one of the two text formats.
#[derive(Debug)]
struct InFormat(Metrics, Format);

impl Collector for InFormat {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.write(&mut Writer { encoder: &mut encoder, format: self.1 })
    }
}

impl fmt::Debug for Metrics {
    /// The names of what was added.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field("sources", &self.sources.iter().map(|source| source.name()).collect::<Vec<_>>())
            .field("max_series", &self.max_series)
            .finish()
    }
}
