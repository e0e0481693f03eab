//! What is used of every limit, who wants more, and who is next.
//!
//! **Who is next.** The pool whose first waiter has waited longest, of those that have room in
//! their host. But where a limit is what keeps them apart, a host that has its fair share of the
//! total (`max_total` over the hosts that use or want any), and a pool that has its fair share of
//! its host (`max_per_host`, or the host's share of the total, over the pools that use or want any),
//! stand behind those that have not: by order of arrival alone, everybody would wait as long as the
//! busiest.

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tree_tests;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

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
    /// Hosts that use or want a permit.
    active_hosts: usize,
    pub(super) members: Vec<Pool>,
    vacant: Vec<usize>,
    /// Members that want a permit.
    wanters: Vec<usize>,
    /// Items there are, and the bound on them.
    pub(super) open: usize,
    pub(super) max_open: usize,
    /// Members that want to make one more, in the order they came.
    pub(super) open_wanters: VecDeque<usize>,
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
    used_at: u64,
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
            active_hosts: 0,
            members: Vec::new(),
            vacant: Vec::new(),
            wanters: Vec::new(),
            open: 0,
            max_open: caps.max_open,
            open_wanters: VecDeque::new(),
            takes: 0,
        }
    }

    pub(super) fn join(&mut self, host: &str) -> (usize, Arc<str>) {
        let host = match self.host_ids.get(host) {
            Some(&id) => id,
            None => self.add_host(host.into()),
        };
        self.hosts[host].members += 1;
        let pool =
            Pool { host, pool: None, used: 0, wants: None, active: false, open: 0, used_at: 0 };
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
        let host = Host { name: name.clone(), level: Level::new(max), members: 0, active: 0 };
        let id = match self.hosts.iter().position(|host| host.members == 0) {
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
        self.members[id].pool = None;
        self.vacant.push(id);
        grants
    }

    // ---- Permits ----

    #[inline]
    pub(super) fn take(&mut self, id: usize) -> bool {
        let pool = &mut self.members[id];
        let host = &mut self.hosts[pool.host];
        if !self.total.has_room() || !host.level.has_room() {
            return false;
        }
        self.total.used += 1;
        host.level.used += 1;
        pool.used += 1;
        self.takes += 1;
        pool.used_at = self.takes;
        self.note_active(id);
        true
    }

    pub(super) fn put_back(&mut self, id: usize, permits: usize, waits: Option<Time>) -> PutBack {
        let pool = &mut self.members[id];
        pool.used -= permits;
        self.hosts[pool.host].level.used -= permits;
        self.total.used -= permits;
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
        let before = std::mem::replace(&mut self.members[id].wants, wants);
        match (before, wants) {
            (None, Some(_)) => self.wanters.push(id),
            (Some(_), None) => self.wanters.retain(|&other| other != id),
            _ => {}
        }
        self.note_active(id);
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

    fn next(&self) -> Option<usize> {
        if !self.total.has_room() {
            return None;
        }
        let with_room = |&&id: &&usize| self.hosts[self.members[id].host].level.has_room();
        self.wanters.iter().filter(with_room).copied().min_by_key(|&id| {
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
            self.open += 1;
            self.members[id].open += 1;
            return true;
        }
        if wanted && !self.open_wanters.contains(&id) {
            self.open_wanters.push_back(id);
        }
        false
    }

    pub(super) fn stop_opening(&mut self, id: usize) {
        self.open_wanters.retain(|&other| other != id);
    }

    pub(super) fn closed(&mut self, id: usize, items: usize) -> Grants {
        self.members[id].open -= items;
        self.open -= items;
        self.grant_open()
    }

    pub(super) fn grant_open(&mut self) -> Grants {
        let mut grants = Vec::new();
        while self.open < self.max_open {
            let Some(id) = self.open_wanters.pop_front() else { break };
            self.open += 1;
            self.members[id].open += 1;
            grants.extend(self.members[id].pool.clone().map(|pool| (pool, Granted::Open)));
        }
        grants
    }

    pub(super) fn pools_by_use(&self) -> Vec<(u64, Weak<dyn Permitted>)> {
        let bound = |pool: &Pool| pool.pool.clone().map(|weak| (pool.used_at, weak));
        self.members.iter().filter_map(bound).collect()
    }
}
