//! What a group is made of.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Ready;
use super::budget::Budget;
use crate::balance::{BalanceConfig, Balancer, Endpoint};
use crate::chat::ErrorKind;
use crate::clock::SharedDuration;
use crate::error::{ConfigError, Problems};
use crate::key_error::cut;
use crate::keyed::ModelKey;
use crate::setters::setters;

/// Endpoints that serve the same, and how calls are spread over them.
///
/// An endpoint is a [`ModelKey`]: a provider, which is an account at a base URL, and its name for
/// the model. It has [`Limits`](crate::balance::Limits) of its own, of which a `max_in_use` that is
/// not set is the [`max_size`](crate::PoolConfig#structfield.max_size) of the pools: so calls wait
/// here, for whichever endpoint has room first.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Group {
    /// At least one, no two of one name.
    pub endpoints: Vec<Endpoint<ModelKey>>,
    /// The strategy, the cooldown and the measuring. Its name is that of the group, unless set.
    pub balance: BalanceConfig,
    /// Groups to be asked, in this order, when this one could not serve.
    pub fallbacks: Vec<String>,
    /// Groups to be asked before these for errors of one kind, such as
    /// [`TooLong`](ErrorKind::TooLong) and [`ContentRefused`](ErrorKind::ContentRefused), for which
    /// no other is asked.
    pub fallbacks_for: Vec<(ErrorKind, String)>,
    /// How much tries after the first, elsewhere, after a pause or by a restart, may add to the load
    /// of the group, as a share of it. Ten are free; zero is none at all. The first try in a fallback
    /// is free: it is no load here. Default 0.2.
    pub retry_share: f64,
    /// How long a call without a deadline waits if all endpoints rest or are at a limit. Default
    /// 30 s.
    pub wait_timeout: Duration,
    /// How long a call waits for an endpoint of this group before the fallbacks are asked. Default
    /// 0 s: not at all.
    pub fallback_after: Duration,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            balance: BalanceConfig::default(),
            fallbacks: Vec::new(),
            fallbacks_for: Vec::new(),
            retry_share: 0.2,
            wait_timeout: Duration::from_secs(30),
            fallback_after: Duration::ZERO,
        }
    }
}

setters! {
    Group {
        balance: BalanceConfig,
        retry_share: f64,
        wait_timeout: Duration,
        fallback_after: Duration,
    }
}

impl Group {
    /// Adds an endpoint: a key, of which the text is its name, or an [`Endpoint`] with a name, a
    /// weight and an order of its own.
    #[must_use]
    pub fn endpoint(mut self, endpoint: impl Into<Endpoint<ModelKey>>) -> Self {
        self.endpoints.push(endpoint.into());
        self
    }

    /// Adds a group to [`fallbacks`](Self#structfield.fallbacks).
    #[must_use]
    pub fn fallback(mut self, group: impl Into<String>) -> Self {
        self.fallbacks.push(group.into());
        self
    }

    /// Adds a group to [`fallbacks_for`](Self#structfield.fallbacks_for).
    #[must_use]
    pub fn fallback_for(mut self, kind: ErrorKind, group: impl Into<String>) -> Self {
        self.fallbacks_for.push((kind, group.into()));
        self
    }

    fn all_fallbacks(&self) -> impl Iterator<Item = &String> {
        self.fallbacks.iter().chain(self.fallbacks_for.iter().map(|(_, name)| name))
    }
}

impl From<ModelKey> for Endpoint<ModelKey> {
    fn from(key: ModelKey) -> Self {
        Self::new(key.to_string(), key)
    }
}

/// Groups that can work, or all that is wrong with them.
pub(super) fn ready(
    groups: Vec<(String, Group)>,
    max_size: usize,
) -> Result<BTreeMap<String, Ready>, ConfigError> {
    let mut problems = Problems::of("ModelGroups");
    problems.unless(!groups.is_empty(), "groups", "there must be at least one");
    let names: BTreeMap<_, _> = groups.iter().map(|(name, group)| (name.as_str(), group)).collect();
    let mut made = BTreeMap::new();
    for (name, group) in &groups {
        let shown = cut(name);
        let twice = groups.iter().filter(|(other, _)| other == name).count() > 1;
        problems.unless(!twice, &shown, "is the name of two groups");
        problems.unless(!name.trim().is_empty(), "groups", "one has no name");
        for fallback in group.all_fallbacks() {
            let known = names.contains_key(fallback.as_str());
            let what = format_args!("its fallback \"{}\" is no group", cut(fallback));
            problems.unless(known, &shown, what);
        }
        problems.unless(!leads_back(name, &names), &shown, "its fallbacks lead back to it");
        problems.zero(group.wait_timeout, &format!("{shown}: wait_timeout"));
        let share = group.retry_share;
        let what = format_args!("retry_share must be 0 to 1, and is {share}");
        problems.unless((0.0..=1.0).contains(&share), &shown, what);
        for endpoint in &group.endpoints {
            problems.value(&shown, endpoint.value.check());
        }
        let mut balance = group.balance.clone();
        if *balance.name == *BalanceConfig::default().name {
            balance.name = name.as_str().into();
        }
        if !group.fallbacks.is_empty() {
            // There is somebody else to serve.
            balance.cooldown.max_resting.get_or_insert(1.0);
            balance.cooldown.rest_last.get_or_insert(true);
        }
        let mut endpoints = group.endpoints.clone();
        for endpoint in &mut endpoints {
            // Else a call would wait at one endpoint for a client while another has room.
            endpoint.limits.max_in_use.get_or_insert(max_size);
        }
        let balancer = problems.value(&shown, Balancer::new(balance, endpoints));
        made.extend(balancer.map(|balancer| {
            let ready = Ready {
                name: name.as_str().into(),
                balancer,
                budget: Budget::new(share),
                wait_timeout: SharedDuration::new(group.wait_timeout),
                fallback_after: SharedDuration::new(group.fallback_after),
                fallbacks: group.fallbacks.clone(),
                fallbacks_for: group.fallbacks_for.clone(),
            };
            (name.clone(), ready)
        }));
    }
    problems.check_with(Some(made))
}

/// Whether a call to `name` could come to `name` again.
fn leads_back(name: &str, groups: &BTreeMap<&str, &Group>) -> bool {
    let (mut seen, mut next) = (Vec::new(), vec![name]);
    while let Some(at) = next.pop() {
        let Some(group) = groups.get(at) else { continue };
        for fallback in group.all_fallbacks() {
            if fallback == name {
                return true;
            }
            if !seen.contains(&fallback.as_str()) {
                seen.push(fallback);
                next.push(fallback);
            }
        }
    }
    false
}
