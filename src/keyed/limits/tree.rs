//! What is used of every limit, who wants more, and who is next.
//!
//! **Who is next.** The pool whose first waiter has waited longest, of those that have room in
//! their host. But where a limit is what keeps them apart, a host that has its fair share of the
//! total (`max_total` over the hosts that use or want any), and a pool that has its fair share of
//! its host (`max_per_host`, or the host's share of the total, over the pools that use or want any),
//! stand behind those that have not: by order of arrival alone, everybody would wait as long as the
//! busiest.

#[cfg(test)]
#[path = "tree_growth_tests.rs"]
mod tree_growth_tests;
#[cfg(test)]
#[path = "tree_tests.rs"]
mod tree_tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Weak};

use super::super::by_use::{ByUse, Look, Step};
use super::{Caps, NONE};
use crate::clock::Time;
use crate::pool::permits::{Grant, Granted, Grants, Permitted, PutBack};

/// The books behind [`Limits`](super::Limits): plain data, no lock, no clock.
pub(super) struct Tree {
    pub(super) total: Level,
    max_per_host: usize,
    /// Of hosts that have a limit of their own.
    own_max: HashMap<Arc<str>, usize>,
    pub(super) hosts: Vec<Host>,
    host_ids: HashMap<Arc<str>, usize>,
    /// Hosts without pools, whose places are for others.
    vacant_hosts: BTreeSet<usize>,
    /// Hosts that use or want a permit.
    active_hosts: usize,
    pub(super) members: Vec<Pool>,
    vacant: Vec<usize>,
    /// Hosts of which a pool without a permit wants one: whether the host has any, since when the
    /// first such pool waits, and the host. With [`Self::holders`] these are all that want one.
    newcomers: BTreeSet<(bool, Time, usize)>,
    /// Members that have a permit and want another one: no more than there are permits.
    holders: BTreeSet<usize>,
    /// Items there are, and the bound on them.
    pub(super) open: usize,
    pub(super) max_open: usize,
    /// Members that want to make one more, in the order they came.
    pub(super) open_wanters: BTreeMap<u64, usize>,
    next_open_wanter: u64,
    /// Members that have items.
    owners: ByUse<usize>,
    /// Counts takes, to tell which pool was used last.
    takes: u64,
}

/// A limit and what is used of it.
#[derive(Clone, Copy)]
pub(super) struct Level {
    /// In force. Follows `wanted` upwards step by step.
    pub(super) max: usize,
    pub(super) wanted: usize,
    pub(super) used: usize,
}

pub(super) struct Host {
    pub(super) name: Arc<str>,
    pub(super) level: Level,
    /// Its pools, and those of them that use or want a permit.
    pub(super) members: usize,
    active: usize,
    /// Its pools that want a permit and have none, by how long they wait.
    newcomers: BTreeSet<(Time, usize)>,
}

pub(super) struct Pool {
    pub(super) host: usize,
    pub(super) pool: Option<Weak<dyn Permitted>>,
    /// Permits it has.
    used: usize,
    /// Since when its first waiter without a permit waits.
    wants: Option<Time>,
    /// Counted as active at its host.
    active: bool,
    open: usize,
    /// Its number among those that want to make an item.
    wants_open: Option<u64>,
    used_at: u64,
}

impl Host {
    /// As the host `id` is to be listed among those with newcomers.
    fn listed(&self, id: usize) -> Option<(bool, Time, usize)> {
        self.newcomers.first().map(|&(since, _)| (self.level.used > 0, since, id))
    }
}

impl Level {
    fn new(max: usize) -> Self {
        Self { max, wanted: max, used: 0 }
    }

    pub(super) fn has_room(&self) -> bool {
        self.used < self.max
    }

    /// Whether one of `parties` that has `used` of this has its fair share.
    fn is_share(&self, used: usize, parties: usize) -> bool {
        self.max != NONE && used.saturating_mul(parties) >= self.max
    }

    /// Comes nearer to what is wanted, as far as one more permit needs.
    fn step(&mut self) {
        self.max = self.wanted.min(self.max.max(self.used).saturating_add(1));
    }

    fn is_settled(&self) -> bool {
        self.max == self.wanted
    }
}

impl Tree {
    pub(super) fn new(caps: Caps) -> Self {
        Self {
            total: Level::new(caps.max_total),
            max_per_host: caps.max_per_host,
            own_max: HashMap::new(),
            hosts: Vec::new(),
            host_ids: HashMap::new(),
            vacant_hosts: BTreeSet::new(),
            active_hosts: 0,
            members: Vec::new(),
            vacant: Vec::new(),
            newcomers: BTreeSet::new(),
            holders: BTreeSet::new(),
            open: 0,
            max_open: caps.max_open,
            open_wanters: BTreeMap::new(),
            next_open_wanter: 0,
            owners: ByUse::new(),
            takes: 0,
        }
    }

    pub(super) fn join(&mut self, host: &str) -> (usize, Arc<str>) {
        let host = match self.host_ids.get(host) {
            Some(&id) => id,
            None => self.add_host(host.into()),
        };
        self.hosts[host].members += 1;
        self.vacant_hosts.remove(&host);
        let pool = Pool {
            host,
            pool: None,
            used: 0,
            wants: None,
            active: false,
            open: 0,
            wants_open: None,
            used_at: 0,
        };
        let id = match self.vacant.pop() {
            Some(id) => {
                self.members[id] = pool;
                id
            }
            None => {
                self.members.push(pool);
                self.members.len() - 1
            }
        };
        (id, self.hosts[host].name.clone())
    }

    /// In the place of one that has no pools left, if there is one.
    fn add_host(&mut self, name: Arc<str>) -> usize {
        let max = self.own_max.get(&name).copied().unwrap_or(self.max_per_host);
        let host = Host {
            name: name.clone(),
            level: Level::new(max),
            members: 0,
            active: 0,
            newcomers: BTreeSet::new(),
        };
        let id = match self.vacant_hosts.pop_first() {
            Some(id) => {
                self.host_ids.remove(&self.hosts[id].name);
                self.hosts[id] = host;
                id
            }
            None => {
                self.hosts.push(host);
                self.hosts.len() - 1
            }
        };
        self.host_ids.insert(name, id);
        id
    }

    pub(super) fn leave(&mut self, id: usize) -> Grants {
        self.set_wants(id, None);
        self.stop_opening(id);
        let Pool { host, used, open, .. } = self.members[id];
        let mut grants = self.put_back(id, used, None).grants;
        grants.append(&mut self.closed(id, open));
        self.hosts[host].members -= 1;
        if self.hosts[host].members == 0 {
            self.vacant_hosts.insert(host);
        }
        self.members[id].pool = None;
        self.vacant.push(id);
        grants
    }

    // ---- Permits ----

    #[inline]
    pub(super) fn take(&mut self, id: usize) -> bool {
        let host = self.members[id].host;
        if !self.total.has_room() || !self.hosts[host].level.has_room() {
            return false;
        }
        self.takes += 1;
        self.members[id].used_at = self.takes;
        self.total.used += 1;
        self.change(id, |pool, level| {
            level.used += 1;
            pool.used += 1;
        });
        self.note_active(id);
        true
    }

    pub(super) fn put_back(&mut self, id: usize, permits: usize, waits: Option<Time>) -> PutBack {
        self.total.used -= permits;
        self.change(id, |pool, level| {
            level.used -= permits;
            pool.used -= permits;
        });
        match waits {
            Some(_) => self.set_wants(id, waits),
            None => self.note_active(id),
        }
        let mut result = PutBack::default();
        while let Some(next) = self.next() {
            let grant = self.grant_to(next);
            if next == id {
                result.kept = true;
            } else {
                result.grants.extend(grant);
            }
        }
        result
    }

    pub(super) fn set_wants(&mut self, id: usize, wants: Option<Time>) {
        self.change(id, |pool, _| pool.wants = wants);
        self.note_active(id);
    }

    /// Changes what a pool has or wants, and keeps the lists of those who want in step.
    #[inline]
    fn change(&mut self, id: usize, change: impl FnOnce(&mut Pool, &mut Level)) {
        let pool = &mut self.members[id];
        let host_id = pool.host;
        let host = &mut self.hosts[host_id];
        let (listed, wanted, held) = (host.listed(host_id), pool.wants, pool.used > 0);
        change(pool, &mut host.level);
        let (wants, holds) = (pool.wants, pool.used > 0);
        if (wanted, held) != (wants, holds) {
            match wanted {
                Some(_) if held => _ = self.holders.remove(&id),
                Some(since) => _ = host.newcomers.remove(&(since, id)),
                None => {}
            }
            match wants {
                Some(_) if holds => _ = self.holders.insert(id),
                Some(since) => _ = host.newcomers.insert((since, id)),
                None => {}
            }
        }
        let lists = host.listed(host_id);
        if listed != lists {
            listed.inspect(|listed| _ = self.newcomers.remove(listed));
            self.newcomers.extend(lists);
        }
    }

    #[inline]
    fn note_active(&mut self, id: usize) {
        let pool = &mut self.members[id];
        let active = pool.used > 0 || pool.wants.is_some();
        if active == std::mem::replace(&mut pool.active, active) {
            return;
        }
        let host = &mut self.hosts[pool.host];
        if active {
            host.active += 1;
            self.active_hosts += usize::from(host.active == 1);
        } else {
            host.active -= 1;
            self.active_hosts -= usize::from(host.active == 0);
        }
    }

    /// Gives a permit to whoever is next, if there is one for anybody who wants one.
    fn grant(&mut self) -> Option<Grant> {
        let id = self.next()?;
        self.grant_to(id)
    }

    fn grant_to(&mut self, id: usize) -> Option<Grant> {
        self.take(id);
        self.set_wants(id, None);
        // Bound before it could want anything.
        self.members[id].pool.clone().map(|pool| (pool, Granted::Permit))
    }

    /// Looks at no more hosts and pools than have permits, and one more, however many want one.
    fn next(&self) -> Option<usize> {
        if !self.total.has_room() {
            return None;
        }
        let has_room = |host: usize| self.hosts[host].level.has_room();
        let with_permits = (true, Time::from_bits(0), 0);
        let with_room = |&&(.., host): &&(bool, Time, usize)| has_room(host);
        let (without_permits, with_permits) =
            (self.newcomers.range(..with_permits), self.newcomers.range(with_permits..));
        // Of the hosts without permits, none of which has its share, the first is before the rest.
        let first = without_permits.filter(with_room).take(1);
        let hosts = first.chain(with_permits.filter(with_room));
        let newcomers = hosts.filter_map(|&(.., host)| self.hosts[host].newcomers.first());
        let holders = self.holders.iter().filter(|&&id| has_room(self.members[id].host));
        newcomers.map(|(_, id)| id).chain(holders).copied().min_by_key(|&id| {
            let pool = &self.members[id];
            let host = &self.hosts[pool.host];
            let host_has_share = self.total.is_share(host.level.used, self.active_hosts);
            let pool_has_share = host.level.is_share(pool.used, host.active)
                || self.total.is_share(pool.used, host.active * self.active_hosts);
            (host_has_share, pool_has_share, pool.wants)
        })
    }

    /// Of the hosts without a limit of their own.
    pub(super) fn max_per_host(&self) -> usize {
        self.max_per_host
    }

    pub(super) fn set_max_per_host(&mut self, max: usize) {
        self.max_per_host = max;
        let Self { hosts, own_max, .. } = self;
        for host in hosts.iter_mut().filter(|host| !own_max.contains_key(&host.name)) {
            host.level.wanted = max;
        }
    }

    pub(super) fn set_max_of_host(&mut self, name: &str, max: usize) {
        self.own_max.insert(name.into(), max);
        for host in self.hosts.iter_mut().filter(|host| &*host.name == name) {
            host.level.wanted = max;
        }
    }

    /// Widens the limits as far as one more permit needs, and grants it. Says whether there is
    /// more to do. A limit that is to become narrower does so at once.
    pub(super) fn widen_by_one(&mut self) -> (Option<Grant>, bool) {
        self.total.step();
        self.hosts.iter_mut().for_each(|host| host.level.step());
        if let Some(grant) = self.grant() {
            return (Some(grant), true);
        }
        if self.total.is_settled() && self.hosts.iter().all(|host| host.level.is_settled()) {
            return (None, false);
        }
        // Nobody is kept by these; but one limit may have hidden another.
        self.total.max = self.total.wanted;
        self.hosts.iter_mut().for_each(|host| host.level.max = host.level.wanted);
        (self.grant(), true)
    }

    // ---- Open items ----

    pub(super) fn open(&mut self, id: usize, wanted: bool) -> bool {
        if self.open < self.max_open && self.open_wanters.is_empty() {
            self.add_open(id);
            return true;
        }
        if wanted && self.members[id].wants_open.is_none() {
            self.open_wanters.insert(self.next_open_wanter, id);
            self.members[id].wants_open = Some(self.next_open_wanter);
            self.next_open_wanter += 1;
        }
        false
    }

    fn add_open(&mut self, id: usize) {
        let pool = &mut self.members[id];
        self.open += 1;
        pool.open += 1;
        if pool.open == 1 {
            self.owners.put(id as u64, pool.used_at, id);
        }
    }

    pub(super) fn stop_opening(&mut self, id: usize) {
        if let Some(number) = self.members[id].wants_open.take() {
            self.open_wanters.remove(&number);
        }
    }

    pub(super) fn closed(&mut self, id: usize, items: usize) -> Grants {
        self.members[id].open -= items;
        self.open -= items;
        if self.members[id].open == 0 {
            self.owners.remove(id as u64);
        }
        self.grant_open()
    }

    pub(super) fn grant_open(&mut self) -> Grants {
        let mut grants = Vec::new();
        while self.open < self.max_open {
            let Some((_, id)) = self.open_wanters.pop_first() else { break };
            self.members[id].wants_open = None;
            self.add_open(id);
            grants.extend(self.members[id].pool.clone().map(|pool| (pool, Granted::Open)));
        }
        grants
    }

    /// Begins to look through the pools that have items, the least recently used first.
    pub(super) fn look_by_use(&self) -> Look {
        Look::new(self.takes)
    }

    /// The next of them, unless it is not bound yet.
    pub(super) fn next_by_use(&mut self, look: &mut Look) -> Step<Option<Weak<dyn Permitted>>> {
        let Self { owners, members, .. } = self;
        match owners.step(look, |&id| Some(members[id].used_at)) {
            Step::Found(id) => Step::Found(members[id].pool.clone()),
            Step::Moved => Step::Moved,
            Step::End => Step::End,
        }
    }
}
