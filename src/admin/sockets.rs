//! Registries of WebSockets: what is told of them. Needs the feature `websocket`.
//!
//! However many sockets there are, what the page asks for has no ids, and who asks for ids gets a
//! page of them at a time.

mod actions;
mod query;
mod shown;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::Serialize;
use ureq::http::Uri;

use super::Admin;
use super::answer::{Answer, refused, told};
use super::details::since_start;
use super::history::Quantiles;
use crate::websocket::{CloseReason, SocketStats, WebSockets};
use query::Query;
pub(super) use shown::Shown;

/// A registry, and the name under which it was added.
pub(super) struct Registry {
    pub(super) name: String,
    pub(super) sockets: WebSockets,
    /// Whether a check that was asked for is under way: so there is one at a time.
    checking: Arc<AtomicBool>,
}

impl Registry {
    pub(super) fn new(name: String, sockets: WebSockets) -> Self {
        Self { name, sockets, checking: Arc::default() }
    }
}

/// The paths that have to do with sockets.
#[derive(Clone, Copy)]
pub(super) enum Route {
    Details,
    Check,
    Close,
}

impl Route {
    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/v1/sockets/details" => Self::Details,
            "/v1/sockets/check" => Self::Check,
            "/v1/sockets/close" => Self::Close,
            _ => return None,
        })
    }

    pub(super) fn is_post(self) -> bool {
        !matches!(self, Self::Details)
    }

    /// Whether it does nothing without a body.
    pub(super) fn needs_body(self) -> bool {
        matches!(self, Self::Close)
    }

    pub(super) fn answer(self, admin: &Admin, uri: &Uri, body: &[u8]) -> Answer {
        match self {
            Self::Details => details(admin, uri).unwrap_or_else(|refusal| *refusal),
            Self::Check => actions::check(admin, body),
            Self::Close => actions::close(admin, body),
        }
    }
}

/// The figures of a registry.
#[derive(Serialize)]
pub(super) struct Figures {
    total_connections: usize,
    max_connections: usize,
    idle: usize,
    in_use: usize,
    connecting: usize,
    closing: usize,
    waiting: usize,
    opened: u64,
    closed_total: u64,
    /// Of these, by the reasons that there were.
    closed_by_reason: BTreeMap<&'static str, u64>,
    reconnects_failed: u64,
    messages_sent: u64,
    messages_received: u64,
    bytes_sent: u64,
    bytes_received: u64,
    /// Of pings, since the registry was made; in milliseconds.
    round_trip_ms: Quantiles,
}

/// A registry without ids.
#[derive(Serialize)]
pub(super) struct Told {
    name: String,
    closed: bool,
    #[serde(flatten)]
    figures: Figures,
}

#[derive(Serialize)]
struct Details {
    sockets: Vec<WithIds>,
}

/// A registry with some of its ids.
#[derive(Serialize)]
struct WithIds {
    #[serde(flatten)]
    told: Told,
    /// In order.
    connection_ids: Vec<String>,
    /// What each of these does, by its id; one that went meanwhile is missing.
    states: BTreeMap<String, &'static str>,
    /// What to ask for next, as `from`; null if these are the last.
    next: Option<String>,
}

pub(super) fn told_of(admin: &Admin) -> Vec<Told> {
    admin.sockets.iter().map(|it| Told::of(it, &it.sockets.stats())).collect()
}

pub(super) fn figures(admin: &Admin) -> BTreeMap<String, Figures> {
    let each = admin.sockets.iter();
    each.map(|it| (it.name.clone(), Figures::of(&it.sockets.stats()))).collect()
}

/// `GET /v1/sockets/details`
fn details(admin: &Admin, uri: &Uri) -> Result<Answer, Box<Answer>> {
    let query = Query::of(uri)?;
    let named = named(admin, query.sockets.as_deref())?;
    let sockets: Vec<_> = named.into_iter().map(|it| WithIds::of(it, &query)).collect();
    let ids: usize = sockets.iter().map(|it| it.connection_ids.len()).sum();
    let all = sockets
        .iter()
        .fold(0_usize, |sum, it| sum.saturating_add(it.told.figures.total_connections));
    Ok(told(Details { sockets }, format_args!("{ids} of {all} sockets")))
}

/// The registry of this name, or all of them without.
fn named<'a>(admin: &'a Admin, name: Option<&str>) -> Result<Vec<&'a Registry>, Box<Answer>> {
    let found: Vec<_> =
        admin.sockets.iter().filter(|it| name.is_none_or(|name| name == it.name)).collect();
    match (name, found.is_empty()) {
        (Some(name), true) => {
            let message = format_args!("there are no sockets named \"{name}\"");
            Err(refused(404, message).into())
        }
        _ => Ok(found),
    }
}

impl Told {
    fn of(registry: &Registry, stats: &SocketStats) -> Self {
        let closed = registry.sockets.is_closed();
        Self { name: registry.name.clone(), closed, figures: Figures::of(stats) }
    }
}

impl WithIds {
    fn of(registry: &Registry, query: &Query) -> Self {
        let stats = registry.sockets.stats();
        let told = Told::of(registry, &stats);
        let from = query.from.as_deref().unwrap_or_default();
        let mut ids = stats.connection_ids.iter().skip_while(|id| ***id < *from);
        let connection_ids: Vec<_> =
            ids.by_ref().take(query.limit).map(|id| id.to_string()).collect();
        let state = |id: &String| Some((id.clone(), registry.sockets.state(id)?.name()));
        let states = connection_ids.iter().filter_map(state).collect();
        let next = ids.next().map(|id| id.to_string());
        Self { told, connection_ids, states, next }
    }
}

impl Figures {
    fn of(stats: &SocketStats) -> Self {
        let reasons = CloseReason::ALL.iter().map(|why| (why.name(), stats.closed(*why)));
        Self {
            total_connections: stats.total_connections,
            max_connections: stats.max_connections,
            idle: stats.idle(),
            in_use: stats.in_use,
            connecting: stats.connecting,
            closing: stats.closing,
            waiting: stats.waiting,
            opened: stats.opened,
            closed_total: stats.closed_total(),
            closed_by_reason: reasons.filter(|(_, count)| *count > 0).collect(),
            reconnects_failed: stats.reconnects_failed,
            messages_sent: stats.messages_sent,
            messages_received: stats.messages_received,
            bytes_sent: stats.bytes_sent,
            bytes_received: stats.bytes_received,
            round_trip_ms: since_start(&stats.round_trips),
        }
    }
}
