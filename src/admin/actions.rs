//! What can be done by a POST, and what it came to.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Admin;
use super::answer::{Answer, refused, told};
use super::source::Resized;
use crate::pool::Stats;

#[derive(Default, Serialize)]
struct CleanedUp {
    evicted: u64,
    /// By pool.
    pools: BTreeMap<String, u64>,
}

pub(super) fn clean_up(admin: &Admin) -> Answer {
    let mut done = CleanedUp::default();
    for (name, source) in &admin.pools {
        let evicted = source.clean_up();
        done.evicted = done.evicted.saturating_add(evicted);
        done.pools.insert(name.clone(), evicted);
    }
    let message = format!("{} items were evicted", done.evicted);
    told(done, message)
}

/// What came of checks that were asked for. The pools' own, of the same time, are counted with them.
#[derive(Serialize)]
struct Checked {
    /// Items that were idle or unhealthy, and so were to be checked.
    asked: usize,
    checked: u64,
    failed: u64,
    /// Of these, the ones given up.
    timed_out: u64,
    /// Whether some are still to end.
    under_way: bool,
    unhealthy: usize,
}

/// How often one looks whether checks have ended.
const LOOK: Duration = Duration::from_millis(5);

pub(super) fn check(admin: &Admin) -> Answer {
    let sum = || {
        let mut sum = Stats::default();
        admin.pools.iter().for_each(|(_, source)| sum += &source.stats().sum);
        sum
    };
    let before = sum();
    let asked = before.idle + before.unhealthy;
    admin.pools.iter().for_each(|(_, source)| source.check_all());
    let began = Instant::now();
    let (after, under_way) = loop {
        let now = sum();
        let under_way = now.checks_due || now.checking > 0;
        if !under_way || began.elapsed() >= admin.config.check_wait {
            break (now, under_way);
        }
        thread::sleep(LOOK);
    };
    // Totals can fall, with a pool that ends between the two.
    let grown = |of: fn(&Stats) -> u64| of(&after).saturating_sub(of(&before));
    let done = Checked {
        asked,
        checked: grown(|stats| stats.checks),
        failed: grown(|stats| stats.check_failures),
        timed_out: grown(|stats| stats.check_timeouts),
        under_way,
        unhealthy: after.unhealthy,
    };
    let more = if under_way { ", more are under way" } else { "" };
    let message = format!("{} checks ended, {} of them failed{more}", done.checked, done.failed);
    told(done, message)
}

/// What `/v1/pool/resize` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resize {
    /// The name of a pool; none for all.
    pool: Option<String>,
    /// A key; none for all there are and those to come.
    key: Option<String>,
    max_size: usize,
}

#[derive(Serialize)]
struct Changed {
    changed: Vec<ChangedPool>,
}

#[derive(Serialize)]
struct ChangedPool {
    pool: String,
    #[serde(flatten)]
    resized: Resized,
}

/// Looks at everything first, so that what is wrong changes nothing.
pub(super) fn resize(admin: &Admin, body: &[u8]) -> Answer {
    let Resize { pool, key, max_size } = match serde_json::from_slice(body) {
        Ok(resize) => resize,
        Err(error) => return refused(400, format_args!("not what can be resized: {error}")),
    };
    if max_size == 0 {
        return refused(400, "max_size must be at least 1");
    }
    let pool = pool.as_deref();
    let asked = || admin.pools.iter().filter(|(name, _)| pool.is_none_or(|pool| pool == name));
    if let (Some(pool), None) = (pool, asked().next()) {
        return refused(404, format_args!("there is no pool \"{pool}\""));
    }
    let key = key.as_deref();
    if let Some(key) = key {
        let known = asked().any(|(_, source)| source.keys().iter().any(|it| it.is(key)));
        if !known {
            return refused(404, format_args!("no pool has a key \"{key}\""));
        }
    }
    let mut changed = Vec::new();
    for (name, source) in asked() {
        let resized = source.resize(key, max_size).into_iter();
        changed.extend(resized.map(|resized| ChangedPool { pool: name.clone(), resized }));
    }
    let message = match key {
        Some(key) => format!("max_size of {key} is {max_size}"),
        None => format!("max_size is {max_size}, save of keys that have one of their own"),
    };
    told(Changed { changed }, message)
}
