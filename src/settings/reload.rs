//! Other settings for pools that run.

use std::collections::BTreeMap;

use super::Settings;
use super::form::Line;
use super::reader::join;
use crate::balance::{Endpoint, Limits};
use crate::error::ConfigError;
use crate::keyed::{KeyedConfig, ModelKey};
use crate::llm::{LlmPool, ModelGroups};

/// What a [reload](Settings::reload) did, each setting as `path: old -> new`, and secrets as `***`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reloaded {
    /// What holds from now on.
    pub applied: Vec<String>,
    /// What holds when the pools are next built.
    pub needs_restart: Vec<String>,
}

impl Settings {
    /// Applies to a running pool what can be of other settings, and takes that over into these, which
    /// must be the ones it was built with: [`max_total`](KeyedConfig#structfield.max_total),
    /// `max_per_host`, `max_open`, and `max_size` and `wait_timeout` of the pools. All else needs a
    /// restart.
    ///
    /// Reads the environment variables and files with keys, as a restart would. A key that changed in
    /// its place is not noticed.
    ///
    /// # Errors
    /// All that is wrong with the new settings; then nothing changes.
    pub fn reload(&mut self, pool: &LlmPool, new: &Self) -> Result<Reloaded, ConfigError> {
        self.apply(pool, None, new)
    }

    /// The same for groups and the pool below them, for programs that have some: also `wait_timeout`
    /// and `fallback_after` of groups, and weights and limits of endpoints, in groups of which the
    /// endpoints are the same ones. A new `max_size` is
    /// that of endpoints without a `max_in_use` too. An endpoint whose limits change has all of its
    /// rates anew, and an adaptive cap at its start.
    ///
    /// # Errors
    /// As [`reload`](Self::reload).
    pub fn reload_groups(
        &mut self,
        groups: &ModelGroups,
        new: &Self,
    ) -> Result<Reloaded, ConfigError> {
        self.apply(groups.pool(), Some(groups), new)
    }

    fn apply(
        &mut self,
        pool: &LlmPool,
        groups: Option<&ModelGroups>,
        new: &Self,
    ) -> Result<Reloaded, ConfigError> {
        new.check()?;
        let before = self.lines();
        set_shared(pool, &self.pools, &new.pools)?;
        self.pools.max_total = new.pools.max_total;
        self.pools.max_per_host = new.pools.max_per_host;
        self.pools.max_open = new.pools.max_open;
        let (old_size, new_size) = (self.pools.pool.max_size, new.pools.pool.max_size);
        if old_size != new_size {
            pool.set_max_size(new_size)?;
            self.pools.pool.max_size = new_size;
        }
        if self.pools.pool.wait_timeout != new.pools.pool.wait_timeout {
            pool.set_wait_timeout(new.pools.pool.wait_timeout)?;
            self.pools.pool.wait_timeout = new.pools.pool.wait_timeout;
        }
        if let Some(groups) = groups {
            self.apply_to_endpoints(groups, new, (old_size, new_size))?;
        }
        let applied = differences(&before, &self.lines());
        Ok(Reloaded { applied, needs_restart: self.left(new) })
    }

    fn apply_to_endpoints(
        &mut self,
        groups: &ModelGroups,
        new: &Self,
        (old_size, new_size): (usize, usize),
    ) -> Result<(), ConfigError> {
        for (name, group) in &mut self.groups {
            let (Some(new), Some(balancer)) = (new.groups.get(name), groups.balancer(name)) else {
                continue;
            };
            groups.set_times(name, new.wait_timeout, new.fallback_after);
            (group.wait_timeout, group.fallback_after) = (new.wait_timeout, new.fallback_after);
            if !are_same(&group.endpoints, &new.endpoints) {
                continue;
            }
            for (index, (old, new)) in group.endpoints.iter_mut().zip(&new.endpoints).enumerate() {
                if old.weight != new.weight {
                    balancer.set_weight(index, new.weight)?;
                    old.weight = new.weight;
                }
                let limits = in_force(&new.limits, new_size);
                if limits != in_force(&old.limits, old_size) {
                    balancer.set_limits(index, limits)?;
                }
                old.limits = new.limits.clone();
            }
        }
        Ok(())
    }

    /// What differs between these settings and new ones.
    fn left(&self, new: &Self) -> Vec<String> {
        let (mut old, mut new_lines) = (self.lines(), new.lines());
        let mut left = Vec::new();
        // As a whole what is only on one side, which would be many lines.
        let names = |table: &str, of: Vec<&String>| -> Vec<String> {
            of.into_iter().map(|name| join(table, name)).collect()
        };
        for (table, before, after) in [
            ("providers", self.providers.keys().collect(), new.providers.keys().collect()),
            ("groups", self.groups.keys().collect(), new.groups.keys().collect::<Vec<_>>()),
        ] {
            let (before, after) = (names(table, before), names(table, after));
            let gone =
                before.iter().filter(|name| !after.contains(name)).map(|name| (name, "gone"));
            let come = after.iter().filter(|name| !before.contains(name)).map(|name| (name, "new"));
            for (path, what) in gone.chain(come) {
                left.push(format!("{path}: {what}"));
                remove_below(path, '.', &mut old, &mut new_lines);
            }
        }
        for (name, group) in &self.groups {
            let Some(new) = new.groups.get(name) else { continue };
            if !are_same(&group.endpoints, &new.endpoints) {
                let names = |of: &[Endpoint<ModelKey>]| {
                    of.iter().map(|it| it.name.to_string()).collect::<Vec<_>>()
                };
                let path = format!("{}.endpoints", join("groups", name));
                let (before, after) = (names(&group.endpoints), names(&new.endpoints));
                left.push(format!("{path}: {before:?} -> {after:?}"));
                remove_below(&path, '[', &mut old, &mut new_lines);
            }
        }
        left.extend(differences(&old, &new_lines));
        left
    }
}

/// Changes the shared limits, all or none: somebody else may change them meanwhile.
fn set_shared(pool: &LlmPool, old: &KeyedConfig, new: &KeyedConfig) -> Result<(), ConfigError> {
    let set = |from: &KeyedConfig, to: &KeyedConfig| {
        let total = |max: Option<usize>| max.unwrap_or(usize::MAX);
        // In this order, so that the total is never above what may be open.
        let open_first = total(to.max_total) > total(from.max_open);
        if open_first {
            pool.set_max_open(to.max_open)?;
        }
        if from.max_total != to.max_total {
            pool.set_max_total(to.max_total)?;
        }
        if !open_first && from.max_open != to.max_open {
            pool.set_max_open(to.max_open)?;
        }
        if from.max_per_host != to.max_per_host {
            pool.set_max_per_host(to.max_per_host)?;
        }
        Ok(())
    };
    set(old, new).inspect_err(|_| {
        // It was so before; if it cannot be so again, somebody else has changed it.
        let _ = set(new, old);
    })
}

/// With what holds where nothing is set.
fn in_force(limits: &Limits, max_size: usize) -> Limits {
    let mut limits = limits.clone();
    limits.max_in_use.get_or_insert(max_size);
    limits
}

/// Whether these are the same endpoints in the same order, with weights and limits that may differ.
fn are_same(old: &[Endpoint<ModelKey>], new: &[Endpoint<ModelKey>]) -> bool {
    let what = |it: &Endpoint<ModelKey>| (it.name.clone(), it.order, it.value.clone());
    old.iter().map(what).eq(new.iter().map(what))
}

fn remove_below(path: &str, next: char, old: &mut Vec<Line>, new: &mut Vec<Line>) {
    let below =
        |line: &Line| line.path.strip_prefix(path).is_some_and(|rest| rest.starts_with(next));
    old.retain(|line| !below(line));
    new.retain(|line| !below(line));
}

/// Every setting that is not the same in both.
fn differences(old: &[Line], new: &[Line]) -> Vec<String> {
    let mut both = BTreeMap::<&str, (Option<&Line>, Option<&Line>)>::new();
    old.iter().for_each(|line| both.entry(&line.path).or_default().0 = Some(line));
    new.iter().for_each(|line| both.entry(&line.path).or_default().1 = Some(line));
    let shown = |line: Option<&Line>| line.map_or("not set".to_owned(), |line| line.shown().into());
    let differ = both.iter().filter(|(_, (old, new))| old != new);
    differ.map(|(path, (old, new))| format!("{path}: {} -> {}", shown(*old), shown(*new))).collect()
}
