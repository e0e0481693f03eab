//! What can be seen to be wrong with values, each by the path that it has in a file.

use crate::agent::AgentManager;
use crate::balance::{BalanceConfig, Endpoint};
use crate::error::ConfigError;
#[cfg(any(feature = "admin", feature = "websocket"))]
use crate::error::Problems;
use crate::key_error::cut;
use crate::keyed::{KeyedConfig, ModelKey};
use crate::llm::{Group, ModelGroups};

use super::Settings;
use super::reader::{join, nearest};

/// A path, and what is wrong there.
pub(super) type Wrong = (String, String);

/// All but what takes a look at the environment for keys.
pub(super) fn values(settings: &Settings) -> Vec<Wrong> {
    let Settings { pools, agents, chat, providers, groups, .. } = settings;
    let mut wrong = Vec::new();
    part("pools.pool", pools.pool.check(), &mut wrong);
    // The part alone, which has names of its own.
    let alone = KeyedConfig { pool: KeyedConfig::default().pool, ..pools.clone() };
    part("pools", alone.check(), &mut wrong);
    part("agents", AgentManager::new(agents.clone()).map(drop), &mut wrong);
    part("chat", chat.check(), &mut wrong);
    for (name, provider) in providers {
        let path = join("providers", name);
        part(&path, provider.check_values(), &mut wrong);
        if let Some(chat) = &provider.chat {
            part(&join(&path, "chat"), chat.check(), &mut wrong);
        }
        if name.trim().is_empty() || name.contains(char::is_control) {
            wrong.push((path, "its name must be some text on one line".into()));
        }
    }
    for (name, group) in groups {
        of_group(&join("groups", name), group, pools.pool.max_size, &mut wrong);
    }
    #[cfg(feature = "admin")]
    part("admin", settings.admin.check_values(), &mut wrong);
    #[cfg(feature = "websocket")]
    part("websocket", settings.websocket.check(), &mut wrong);
    if !groups.is_empty() {
        together(settings, &mut wrong);
    }
    wrong
}

/// Endpoints whose provider is not in the file, which a program may add by itself.
pub(super) fn providers_of_endpoints(settings: &Settings) -> Vec<Wrong> {
    let known: Vec<_> = settings.providers.keys().map(String::as_str).collect();
    let mut wrong = Vec::new();
    for (name, group) in &settings.groups {
        for (index, endpoint) in group.endpoints.iter().enumerate() {
            let provider = endpoint.value.provider();
            if !known.contains(&provider) {
                let meant = nearest(provider, &known)
                    .map(|near| format!(", did you mean `{near}`?"))
                    .unwrap_or_default();
                let path = format!("{}.endpoints[{index}].provider", join("groups", name));
                wrong.push((path, format!("there is no provider \"{}\"{meant}", cut(provider))));
            }
        }
    }
    wrong
}

fn of_group(path: &str, group: &Group, max_size: usize, wrong: &mut Vec<Wrong>) {
    let balance = &group.balance;
    let path_of_balance = join(path, "balance");
    part(&join(&path_of_balance, "cooldown"), balance.cooldown.check(), wrong);
    let alone = BalanceConfig::default().decay(balance.decay);
    part(&path_of_balance, alone.check(&[Endpoint::new("", ())]), wrong);
    // Their names alone: whether there are some, and whether one is there twice.
    let named = |endpoint: &Endpoint<ModelKey>| Endpoint::new(endpoint.name.clone(), ());
    let names: Vec<_> = group.endpoints.iter().map(named).collect();
    part(path, BalanceConfig::default().check(&names), wrong);
    for (index, endpoint) in group.endpoints.iter().enumerate() {
        let path = format!("{path}.endpoints[{index}]");
        let Endpoint { name, weight, limits, value: key, .. } = endpoint;
        if let Err(error) = key.check() {
            wrong.push((path.clone(), error.reason().into()));
        }
        let alone = Endpoint::new(name.clone(), ()).weight(*weight);
        part(&path, BalanceConfig::default().check(&[alone]), wrong);
        let path = join(&path, "limits");
        part(&path, limits.clone().adaptive(None).check(), wrong);
        if let Some(adaptive) = &limits.adaptive {
            let most = limits.max_in_use.unwrap_or(max_size).max(1);
            part(&join(&path, "adaptive"), adaptive.check(most), wrong);
        }
    }
}

/// How groups hang together, each with an endpoint that cannot be wrong.
fn together(settings: &Settings, wrong: &mut Vec<Wrong>) {
    let good = |(name, group): (&String, &Group)| {
        let mut group = group.clone();
        group.endpoints = vec![ModelKey::new("provider", "model").into()];
        (name.clone(), group.balance(BalanceConfig::default()))
    };
    let groups = settings.groups.iter().map(good).collect();
    let checked = ModelGroups::check(groups, settings.pools.pool.max_size.max(1));
    let mut found = Vec::new();
    part("groups", checked, &mut found);
    for (path, what) in found {
        // What it says begins with the name of the setting, where that is one.
        let setting = ["retry_share", "wait_timeout"].into_iter().find_map(|name| {
            let rest = what.strip_prefix(name)?;
            Some((join_raw(&path, name), rest.trim_start_matches([':', ' ']).to_owned()))
        });
        wrong.push(setting.unwrap_or((path, what)));
    }
}

/// The problems of one struct, below the path of its table.
pub(super) fn part(path: &str, checked: Result<(), ConfigError>, wrong: &mut Vec<Wrong>) {
    let Err(error) = checked else { return };
    for problem in error.problems() {
        let (name, what) = problem.split_once(": ").unwrap_or(("", problem));
        wrong.push((join_raw(path, name), what.into()));
    }
}

/// A part alone, its problems below the path of its table.
#[cfg(any(feature = "admin", feature = "websocket"))]
pub(super) fn within<T>(path: &str, part_of: Result<T, ConfigError>) -> Result<T, ConfigError> {
    part_of.map_err(|error| {
        let mut wrong = Vec::new();
        part(path, Err(error.clone()), &mut wrong);
        let mut problems = Problems::of("settings");
        wrong.iter().for_each(|(path, what)| problems.unless(false, path, what));
        problems.check().err().unwrap_or(error)
    })
}

/// A name that is a path below `path` already.
fn join_raw(path: &str, name: &str) -> String {
    if name.is_empty() { path.into() } else { format!("{path}.{name}") }
}
