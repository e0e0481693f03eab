//! Which families there are, and what each is read from. The table in [`super`] lists them.

use std::collections::BTreeMap;
use std::fmt;

use super::labels::{Labels, Part};
use super::row::{EndpointRow, Row, count};
use super::writer::Writer;
use crate::balance::Cause;
use crate::pool::{EvictReason, Stats};

/// What every pool has, and every series of keys: `prefix` says which.
pub(super) fn of_pools(
    to: &mut Writer<'_, '_>,
    prefix: &str,
    rows: &BTreeMap<Labels, Row>,
) -> fmt::Result {
    items(to, prefix, rows)?;
    leases(to, prefix, rows)?;
    requests(to, prefix, rows)?;
    let named = |name: &str| format!("{prefix}_{name}");
    to.times(
        &named("wait"),
        "How long those waited who had to wait and then got a lease.",
        rows,
        |row| &row.pool.wait,
    )?;
    to.times(&named("use"), "How long ended leases were held.", rows, |row| &row.pool.hold)?;
    to.times(&named("create"), "How long creations took that succeeded.", rows, |row| {
        &row.pool.create
    })?;
    to.times(
        &named("response"),
        "How long requests waited for their answer to begin.",
        rows,
        |row| &row.requests.response,
    )
}

fn items(to: &mut Writer<'_, '_>, prefix: &str, rows: &BTreeMap<Labels, Row>) -> fmt::Result {
    let named = |name: &str| format!("{prefix}_{name}");
    to.gauge(&named("items"), "Items there are, by where they are.", rows, |row| {
        let Stats { idle, in_use, creating, checking, unhealthy, .. } = row.pool.stats;
        [
            part("state", "idle", count(idle)),
            part("state", "in_use", count(in_use)),
            part("state", "creating", count(creating)),
            part("state", "checking", count(checking)),
            part("state", "unhealthy", count(unhealthy)),
        ]
    })?;
    to.gauge(&named("max_size"), "Most items there may be.", rows, |row| {
        [whole(count(row.pool.stats.max_size))]
    })?;
    to.gauge(&named("min_idle"), "Items kept idle.", rows, |row| {
        [whole(count(row.pool.stats.min_idle))]
    })?;
    to.gauge(&named("waiting"), "Threads that wait for an item.", rows, |row| {
        [whole(count(row.pool.stats.waiting))]
    })?;
    to.counter(&named("created"), "Items created.", rows, |row| [whole(row.pool.stats.created)])?;
    let failed = "Creations that failed or panicked.";
    to.counter(&named("create_failures"), failed, rows, |row| {
        [whole(row.pool.stats.create_failures)]
    })?;
    to.counter(&named("evicted"), "Items evicted, by reason.", rows, |row| {
        EvictReason::ALL.map(|why| part("reason", reason(why), row.pool.stats.evicted_for(why)))
    })?;
    to.counter(&named("checks"), "Checks that ended.", rows, |row| [whole(row.pool.stats.checks)])?;
    let failed = "Checks that failed, panicked or were given up.";
    to.counter(&named("check_failures"), failed, rows, |row| [whole(row.pool.stats.check_failures)])
}

fn leases(to: &mut Writer<'_, '_>, prefix: &str, rows: &BTreeMap<Labels, Row>) -> fmt::Result {
    let named = |name: &str| format!("{prefix}_{name}");
    to.counter(&named("gets"), "Leases given out.", rows, |row| [whole(row.pool.stats.gets)])?;
    to.counter(&named("waits"), "Leases for which a thread had to wait.", rows, |row| {
        [whole(row.pool.stats.waits)]
    })?;
    let help = "Waits that ended at their deadline, by the limit that they waited for.";
    to.counter(&named("timeouts"), help, rows, |row| {
        let Stats { timeouts, timeouts_at_host, timeouts_at_total, timeouts_at_open, .. } =
            row.pool.stats;
        let shared = [timeouts_at_host, timeouts_at_total, timeouts_at_open];
        [
            part("limit", "max_size", shared.into_iter().fold(timeouts, u64::saturating_sub)),
            part("limit", "max_per_host", timeouts_at_host),
            part("limit", "max_total", timeouts_at_total),
            part("limit", "max_open", timeouts_at_open),
        ]
    })?;
    to.counter(&named("refused"), "Callers turned away at once, by reason.", rows, |row| {
        let Stats { queue_full, too_late, .. } = row.pool.stats;
        [part("reason", "queue_full", queue_full), part("reason", "too_late", too_late)]
    })
}

fn requests(to: &mut Writer<'_, '_>, prefix: &str, rows: &BTreeMap<Labels, Row>) -> fmt::Result {
    let named = |name: &str| format!("{prefix}_{name}");
    let help = "Requests that ended, by the class of their status, or none without an answer.";
    to.counter(&named("requests"), help, rows, |row| {
        let [informed, good, moved, refused, failed] = row.requests.by_class;
        [
            part("status_class", "1xx", informed),
            part("status_class", "2xx", good),
            part("status_class", "3xx", moved),
            part("status_class", "4xx", refused),
            part("status_class", "5xx", failed),
            part("status_class", "none", row.requests.unanswered),
        ]
    })?;
    to.counter(&named("connections_opened"), "Connections opened for requests.", rows, |row| {
        [whole(row.requests.connections)]
    })?;
    let help = "Tries of calls to a model after the first.";
    to.counter(&named("retries"), help, rows, |row| [whole(row.requests.retries)])?;
    let help = "Tokens of calls to a model, as far as the provider tells.";
    to.counter(&named("tokens"), help, rows, |row| {
        [
            part("token_type", "input", row.requests.tokens_in),
            part("token_type", "output", row.requests.tokens_out),
        ]
    })
}

/// What only keyed pools have, as a whole.
pub(super) fn of_keyed(to: &mut Writer<'_, '_>, rows: &BTreeMap<Labels, Row>) -> fmt::Result {
    let keys = |row: &Row| row.keys.clone();
    to.gauge("llm_pool_keys", "Keys that have a pool.", rows, |row| {
        keys(row).map(|keys| whole(keys.there))
    })?;
    to.gauge("llm_pool_max_pools", "Most keys at one time.", rows, |row| {
        keys(row).map(|keys| whole(keys.max))
    })?;
    let help = "Most leases in use over all keys, if there is a limit.";
    to.gauge("llm_pool_max_in_use", help, rows, |row| {
        keys(row).and_then(|keys| keys.max_in_use).map(whole)
    })?;
    let help = "Pools made for keys, those made anew included.";
    to.counter("llm_pool_keys_made", help, rows, |row| keys(row).map(|keys| whole(keys.made)))?;
    to.counter("llm_pool_keys_evicted", "Keys evicted for another one.", rows, |row| {
        keys(row).map(|keys| whole(keys.evicted))
    })
}

pub(super) fn of_groups(to: &mut Writer<'_, '_>, waiting: &BTreeMap<Labels, u64>) -> fmt::Result {
    let help = "Threads that wait for an endpoint of the group.";
    to.gauge("llm_pool_group_waiting", help, waiting, |waiting| [whole(*waiting)])
}

pub(super) fn of_endpoints(
    to: &mut Writer<'_, '_>,
    rows: &BTreeMap<Labels, EndpointRow>,
) -> fmt::Result {
    let help = "How often the endpoint was picked.";
    to.counter("llm_pool_endpoint_picks", help, rows, |row| [whole(row.picks)])?;
    let help = "Calls reported as served.";
    to.counter("llm_pool_endpoint_successes", help, rows, |row| [whole(row.successes)])?;
    let help = "Calls reported as failed, by cause.";
    to.counter("llm_pool_endpoint_failures", help, rows, |row| {
        let causes = Cause::ALL.iter().zip(row.failures);
        causes.map(|(why, failures)| part("cause", cause(*why), failures)).collect::<Vec<_>>()
    })?;
    let help = "Picks dropped without a report.";
    to.counter("llm_pool_endpoint_abandoned", help, rows, |row| [whole(row.abandoned)])?;
    let help = "How often the endpoint rested.";
    to.counter("llm_pool_endpoint_rests", help, rows, |row| [whole(row.rests)])?;
    let help = "Picks neither reported nor dropped so far.";
    to.gauge("llm_pool_endpoint_in_use", help, rows, |row| [whole(row.in_use)])?;
    let help = "Most calls at one time, if there is a limit.";
    to.gauge("llm_pool_endpoint_max_in_use", help, rows, |row| row.max_in_use.map(whole))?;
    let help = "1 for the state in which the endpoint is, 0 for the others.";
    to.gauge("llm_pool_endpoint_health", help, rows, |row| {
        [
            part("state", "well", row.well),
            part("state", "resting", row.resting),
            part("state", "probing", row.probing),
        ]
    })
}

pub(super) fn part(name: &'static str, value: &'static str, number: u64) -> (Part, u64) {
    (Some((name, value)), number)
}

pub(super) fn whole(number: u64) -> (Part, u64) {
    (None, number)
}

/// Words for queries, unlike those for people.
fn reason(reason: EvictReason) -> &'static str {
    match reason {
        EvictReason::Discarded => "discarded",
        EvictReason::Broken => "broken",
        EvictReason::Panicked => "panicked",
        EvictReason::Idle => "idle_timeout",
        EvictReason::Lifetime => "max_lifetime",
        EvictReason::Uses => "max_uses",
        EvictReason::Unhealthy => "unhealthy",
        EvictReason::Reset => "reset",
        EvictReason::Resized => "resized",
        EvictReason::MaxOpen => "max_open",
        EvictReason::Closed => "closed",
    }
}

fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Unauthorized => "unauthorized",
        Cause::Forbidden => "forbidden",
        Cause::NotFound => "not_found",
        Cause::RateLimited => "rate_limited",
        Cause::ConnectRefused => "connect_refused",
        Cause::Server => "server",
        Cause::Overloaded => "overloaded",
        Cause::TimedOut => "timed_out",
        Cause::Broken => "broken",
        Cause::Client => "client",
    }
}
