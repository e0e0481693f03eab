//! All that the page shows: `/v1/pool/details`.

use jiff::Timestamp;
use serde::Serialize;

use super::Admin;
use super::answer::{Answer, told};
use super::events::{self, EventText};
use super::history::{Quantiles, Told, ToldKey, millis};
use super::source::{KeyLook, Look};
use crate::balance::{BalanceStats, EndpointStats, Health};
use crate::histogram::Histogram;
use crate::keyed::{Advice, HostStats, KeyStats, LimitOf};

#[derive(Serialize)]
struct Details {
    version: &'static str,
    now: String,
    history: Told,
    pools: Vec<PoolDetails>,
    groups: Vec<Group>,
    #[cfg(feature = "websocket")]
    sockets: Vec<super::sockets::Told>,
    advice: Vec<AdviceText>,
    /// The newest first; null if there is no log of them.
    events: Option<Vec<EventText>>,
}

#[derive(Serialize)]
struct PoolDetails {
    name: String,
    closed: bool,
    max_total: Option<usize>,
    open: usize,
    max_open: Option<usize>,
    max_pools: usize,
    pools_made: u64,
    pools_evicted: u64,
    hosts: Vec<Host>,
    keys: Vec<Key>,
}

#[derive(Serialize)]
struct Host {
    host: String,
    max: Option<usize>,
    keys: usize,
    in_use: usize,
    waiting: usize,
}

#[derive(Serialize)]
struct Key {
    key: String,
    host: String,
    max_size: usize,
    min_idle: usize,
    idle: usize,
    in_use: usize,
    creating: usize,
    checking: usize,
    unhealthy: usize,
    waiting: usize,
    gets: u64,
    timeouts: u64,
    refused: u64,
    create_failures: u64,
    check_failures: u64,
    last_check_error: Option<String>,
    requests: u64,
    failures: u64,
    /// Of the last minute, those that did not wait included; in milliseconds, as all that follows.
    wait_ms: Quantiles,
    /// Since the pool was made.
    hold_ms: Quantiles,
    create_ms: Quantiles,
    history: Option<ToldKey>,
}

#[derive(Serialize)]
struct Group {
    name: String,
    waiting: usize,
    endpoints: Vec<Endpoint>,
}

#[derive(Serialize)]
struct Endpoint {
    name: String,
    /// `well`, `resting` or `probing`.
    health: &'static str,
    why: Option<String>,
    rest_ms: Option<f64>,
    in_use: usize,
    max_in_use: Option<usize>,
    requests_left: Option<u64>,
    tokens_left: Option<u64>,
    limited_ms: Option<f64>,
    mean_ms: Option<f64>,
    latency_ms: Quantiles,
    picks: u64,
    successes: u64,
    failures: u64,
    abandoned: u64,
    rests: u64,
}

/// A limit to raise.
#[derive(Serialize)]
pub(super) struct AdviceText {
    pool: String,
    /// `max_size`, `max_per_host` or `max_total`.
    limit: &'static str,
    /// The key or the host.
    of: Option<String>,
    from: usize,
    to: usize,
    waiting: usize,
    timeouts: u64,
    refused: u64,
    mean_wait_ms: Option<f64>,
    mean_hold_ms: Option<f64>,
    text: String,
}

/// `since` is the `next` of the history that the caller was told before.
pub(super) fn details(admin: &Admin, since: u64) -> Answer {
    let looks = admin.look();
    let history = admin.history.told(since);
    let advice = looks.iter().flat_map(|(name, look)| advice_of(name, &look.advice)).collect();
    let pools = looks.into_iter().zip(&admin.pools).map(|((name, look), (_, source))| {
        PoolDetails::of(admin, name, source.is_closed(), look, &history)
    });
    let pools: Vec<_> = pools.collect();
    let groups = admin.endpoints.iter().flat_map(|it| it.stats()).map(Group::of).collect();
    let keys: usize = pools.iter().map(|pool| pool.keys.len()).sum();
    let details = Details {
        version: env!("CARGO_PKG_VERSION"),
        now: Timestamp::now().to_string(),
        history,
        pools,
        groups,
        #[cfg(feature = "websocket")]
        sockets: super::sockets::told_of(admin),
        advice,
        events: admin.events.as_ref().map(events::last),
    };
    told(details, format_args!("{keys} keys"))
}

/// `GET /v1/pool/advice`.
pub(super) fn advice(admin: &Admin) -> Answer {
    let mut advice = Vec::new();
    for (name, source) in &admin.pools {
        advice.extend(advice_of(name, &source.advice()));
    }
    let message = match advice.len() {
        0 => "nobody waits in vain".to_owned(),
        n => format!("{n} limits to raise"),
    };
    told(AdviceList { advice }, message)
}

#[derive(Serialize)]
struct AdviceList {
    advice: Vec<AdviceText>,
}

fn advice_of<'a>(
    pool: &'a str,
    advice: &'a [Advice<String>],
) -> impl Iterator<Item = AdviceText> + 'a {
    advice.iter().map(move |it| {
        let (limit, of) = match &it.limit {
            LimitOf::Key(key) => ("max_size", Some(key.clone())),
            LimitOf::Host(host) => ("max_per_host", Some(host.to_string())),
            LimitOf::Total => ("max_total", None),
        };
        AdviceText {
            pool: pool.to_owned(),
            limit,
            of,
            from: it.from,
            to: it.to,
            waiting: it.waiting,
            timeouts: it.timeouts,
            refused: it.refused,
            mean_wait_ms: it.mean_wait.map(millis),
            mean_hold_ms: it.mean_hold.map(millis),
            text: it.to_string(),
        }
    })
}

impl PoolDetails {
    fn of(admin: &Admin, name: &str, closed: bool, look: Look, history: &Told) -> Self {
        let keys = look.stats.keys.into_iter().zip(look.keys);
        let keys = keys.map(|(stats, key)| {
            let told = admin.history.told_key((name, &stats.key), history, &key.pool);
            Key::of(stats, key, told)
        });
        Self {
            name: name.to_owned(),
            closed,
            max_total: look.stats.max_total,
            open: look.stats.open,
            max_open: look.stats.max_open,
            max_pools: look.stats.max_pools,
            pools_made: look.stats.pools_made,
            pools_evicted: look.stats.pools_evicted,
            hosts: look.stats.hosts.iter().map(Host::of).collect(),
            keys: keys.collect(),
        }
    }
}

impl Host {
    fn of(stats: &HostStats) -> Self {
        Self {
            host: stats.host.to_string(),
            max: stats.max,
            keys: stats.keys,
            in_use: stats.sum.in_use,
            waiting: stats.sum.waiting,
        }
    }
}

impl Key {
    fn of(stats: KeyStats<String>, look: KeyLook, told: Option<(ToldKey, Quantiles)>) -> Self {
        let KeyLook { pool, requests, last_check_error } = look;
        let (history, wait_ms) =
            told.map_or((None, since_start(&pool.wait)), |(history, wait)| (Some(history), wait));
        let counts = pool.stats;
        Self {
            key: stats.key,
            host: stats.host.to_string(),
            max_size: counts.max_size,
            min_idle: counts.min_idle,
            idle: counts.idle,
            in_use: counts.in_use,
            creating: counts.creating,
            checking: counts.checking,
            unhealthy: counts.unhealthy,
            waiting: counts.waiting,
            gets: counts.gets,
            timeouts: counts.timeouts,
            refused: counts.queue_full.saturating_add(counts.too_late),
            create_failures: counts.create_failures,
            check_failures: counts.check_failures,
            last_check_error,
            requests: requests.requests,
            failures: requests.failures,
            wait_ms,
            hold_ms: since_start(&pool.hold),
            create_ms: since_start(&pool.create),
            history,
        }
    }
}

impl Group {
    fn of(stats: BalanceStats) -> Self {
        let endpoints = stats.endpoints.into_iter().map(Endpoint::of).collect();
        Self { name: stats.name.to_string(), waiting: stats.waiting, endpoints }
    }
}

impl Endpoint {
    fn of(stats: EndpointStats) -> Self {
        let (health, rest) = match stats.health {
            Health::Well => ("well", None),
            Health::Resting { remaining } => ("resting", Some(remaining)),
            Health::Probing => ("probing", None),
        };
        let latency_ms = Quantiles {
            p50: stats.p50.map(millis),
            p95: stats.p95.map(millis),
            p99: stats.p99.map(millis),
        };
        Self {
            name: stats.name.to_string(),
            health,
            why: stats.why.map(|why| why.to_string()),
            rest_ms: rest.map(millis),
            in_use: stats.in_use,
            max_in_use: stats.max_in_use,
            requests_left: stats.requests_left,
            tokens_left: stats.tokens_left,
            limited_ms: stats.limited.map(millis),
            mean_ms: stats.latency.map(millis),
            latency_ms,
            picks: stats.picks,
            successes: stats.successes,
            failures: stats.failures.total(),
            abandoned: stats.abandoned,
            rests: stats.rests,
        }
    }
}

pub(super) fn since_start(times: &Histogram) -> Quantiles {
    Quantiles {
        p50: times.p50().map(millis),
        p95: times.p95().map(millis),
        p99: times.p99().map(millis),
    }
}
