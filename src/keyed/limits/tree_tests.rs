//! The books of the limits against a simple model, under random actions.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::pool::permits::{Granted, Permitted};

/// The host of each pool that may join, by number.
const HOSTS: [&str; 6] = ["h", "h", "i", "i", "j", "h"];

#[derive(Clone, Debug)]
enum Action {
    Join(usize),
    Leave(usize),
    Take(usize),
    TakeOrWant(usize),
    StopWanting(usize),
    /// Up to so many permits, with somebody waiting or not.
    PutBack(usize, usize, bool),
    SetTotal(usize),
    SetPerHost(usize),
    SetOfHost(usize, usize),
    Open(usize, bool),
    Closed(usize, usize),
    StopOpening(usize),
    SetOpen(usize),
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let pool = 0..HOSTS.len();
    let max = prop_oneof![6 => 1..6_usize, 1 => Just(NONE)];
    let action = prop_oneof![
        6 => pool.clone().prop_map(Action::Join),
        2 => pool.clone().prop_map(Action::Leave),
        8 => pool.clone().prop_map(Action::Take),
        16 => pool.clone().prop_map(Action::TakeOrWant),
        2 => pool.clone().prop_map(Action::StopWanting),
        16 => (pool.clone(), 1..3_usize, any::<bool>())
            .prop_map(|(pool, count, waits)| Action::PutBack(pool, count, waits)),
        2 => max.clone().prop_map(Action::SetTotal),
        2 => max.clone().prop_map(Action::SetPerHost),
        2 => (pool.clone(), max.clone()).prop_map(|(pool, max)| Action::SetOfHost(pool, max)),
        10 => (pool.clone(), any::<bool>()).prop_map(|(pool, wanted)| Action::Open(pool, wanted)),
        10 => (pool.clone(), 1..3_usize).prop_map(|(pool, count)| Action::Closed(pool, count)),
        2 => pool.prop_map(Action::StopOpening),
        2 => max.prop_map(Action::SetOpen),
    ];
    prop::collection::vec(action, 1..120)
}

/// Stands for a pool: only its identity counts.
struct Nobody;

impl Permitted for Nobody {
    fn granted(self: Arc<Self>, _: Granted) {}

    fn give_up_idle(self: Arc<Self>) -> bool {
        false
    }
}

/// A pool as the model has it, by its number.
#[derive(Clone, Default)]
struct Model {
    used: usize,
    wants: Option<u64>,
    open: usize,
}

struct Driver {
    tree: Tree,
    /// What the pools are known by in the tree.
    ids: BTreeMap<usize, usize>,
    bound: BTreeMap<usize, Arc<dyn Permitted>>,
    model: BTreeMap<usize, Model>,
    total: usize,
    per_host: usize,
    own: BTreeMap<&'static str, usize>,
    max_open: usize,
    open_wanters: Vec<usize>,
    now: u64,
}

impl Driver {
    fn new() -> Self {
        let (max_total, max_per_host, max_open) = (3, 2, 4);
        Self {
            tree: Tree::new(Caps { max_total, max_per_host, max_open }),
            ids: BTreeMap::new(),
            bound: BTreeMap::new(),
            model: BTreeMap::new(),
            total: max_total,
            per_host: max_per_host,
            own: BTreeMap::new(),
            max_open,
            open_wanters: Vec::new(),
            now: 0,
        }
    }

    fn max_of(&self, host: &str) -> usize {
        self.own.get(host).copied().unwrap_or(self.per_host)
    }

    fn used(&self) -> usize {
        self.model.values().map(|pool| pool.used).sum()
    }

    fn of_host<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a Model> {
        self.model.iter().filter(move |&(&n, _)| HOSTS[n] == host).map(|(_, pool)| pool)
    }

    fn used_of(&self, host: &str) -> usize {
        self.of_host(host).map(|pool| pool.used).sum()
    }

    fn has_room(&self, n: usize) -> bool {
        self.used() < self.total && self.used_of(HOSTS[n]) < self.max_of(HOSTS[n])
    }

    fn active_of(&self, host: &str) -> usize {
        self.of_host(host).filter(|pool| pool.used > 0 || pool.wants.is_some()).count()
    }

    fn active_hosts(&self) -> usize {
        ["h", "i", "j"].into_iter().filter(|host| self.active_of(host) > 0).count()
    }

    /// By the rule at the top of `tree.rs`: of those with room, the one that waits longest, those
    /// that have their fair share of what keeps them apart behind those that have not.
    fn next(&self) -> Option<usize> {
        let has_share = |max: usize, used: usize, parties: usize| {
            max != NONE && used as f64 >= max as f64 / parties as f64
        };
        let wanting = self.model.iter().filter(|&(&n, p)| p.wants.is_some() && self.has_room(n));
        let rank = |(n, pool): (&usize, &Model)| {
            let host = HOSTS[*n];
            let of_total = has_share(self.total, self.used_of(host), self.active_hosts());
            let of_host = has_share(self.max_of(host), pool.used, self.active_of(host));
            let parties = self.active_hosts() * self.active_of(host);
            let of_hosts_share = has_share(self.total, pool.used, parties);
            ((of_total, of_host || of_hosts_share, pool.wants), *n)
        };
        wanting.map(rank).min().map(|(_, n)| n)
    }

    fn number_of(&self, pool: &Weak<dyn Permitted>) -> usize {
        let pool = pool.upgrade().expect("a pool that is there");
        let found = self.bound.iter().find(|(_, bound)| Arc::ptr_eq(bound, &pool));
        *found.expect("a pool that joined").0
    }

    fn tick(&mut self) -> Time {
        self.now += 1;
        Time::from_secs(self.now)
    }

    /// Grants as the model would, in its order.
    fn expected_grants(&mut self) -> Vec<usize> {
        let mut expected = Vec::new();
        while let Some(next) = self.next() {
            let pool = self.model.get_mut(&next).unwrap();
            pool.used += 1;
            pool.wants = None;
            expected.push(next);
        }
        expected
    }

    fn expected_open(&mut self) -> Vec<usize> {
        let mut expected = Vec::new();
        while self.model.values().map(|pool| pool.open).sum::<usize>() < self.max_open
            && !self.open_wanters.is_empty()
        {
            let next = self.open_wanters.remove(0);
            self.model.get_mut(&next).unwrap().open += 1;
            expected.push(next);
        }
        expected
    }

    #[track_caller]
    fn assert_granted(&self, grants: &Grants, expected: &[usize], what: Granted) {
        let granted: Vec<_> = grants.iter().filter(|(_, w)| *w == what).collect();
        let granted: Vec<_> = granted.iter().map(|(pool, _)| self.number_of(pool)).collect();
        assert_eq!(granted, expected, "{what:?}");
    }

    /// As `Limits::change` does it.
    fn change(&mut self, change: impl FnOnce(&mut Tree)) {
        change(&mut self.tree);
        let mut grants = Vec::new();
        for step in 0.. {
            assert!(step < 1000, "this never ends");
            let (grant, more) = self.tree.widen_by_one();
            grants.extend(grant);
            if !more {
                break;
            }
        }
        // Each step widens by one only, so shares are reckoned by narrower limits on the way: the
        // model is told who was granted, and checks that nobody was who might not, or is left.
        for (pool, what) in grants {
            assert_eq!(what, Granted::Permit);
            let n = self.number_of(&pool);
            assert!(self.has_room(n));
            let pool = self.model.get_mut(&n).unwrap();
            assert!(pool.wants.take().is_some());
            pool.used += 1;
        }
    }

    fn run(&mut self, action: Action) {
        match action {
            Action::Join(n) => {
                if !self.ids.contains_key(&n) {
                    let (id, host) = self.tree.join(HOSTS[n]);
                    assert_eq!(&*host, HOSTS[n]);
                    let bound: Arc<dyn Permitted> = Arc::new(Nobody);
                    self.tree.members[id].pool = Some(Arc::downgrade(&bound));
                    self.bound.insert(n, bound);
                    self.ids.insert(n, id);
                    self.model.insert(n, Model::default());
                }
            }
            Action::SetTotal(max) => {
                self.total = max;
                self.change(|tree| tree.total.wanted = max);
            }
            Action::SetPerHost(max) => {
                self.per_host = max;
                self.change(|tree| tree.set_max_per_host(max));
            }
            Action::SetOfHost(n, max) => {
                self.own.insert(HOSTS[n], max);
                self.change(|tree| tree.set_max_of_host(HOSTS[n], max));
            }
            Action::SetOpen(max) => {
                self.max_open = max;
                self.tree.max_open = max;
                let grants = self.tree.grant_open();
                let expected = self.expected_open();
                self.assert_granted(&grants, &expected, Granted::Open);
            }
            Action::Leave(n)
            | Action::Take(n)
            | Action::TakeOrWant(n)
            | Action::StopWanting(n)
            | Action::PutBack(n, ..)
            | Action::Open(n, _)
            | Action::Closed(n, _)
            | Action::StopOpening(n) => {
                if let Some(&id) = self.ids.get(&n) {
                    self.run_on(n, id, action);
                }
            }
        }
    }

    fn run_on(&mut self, n: usize, id: usize, action: Action) {
        match action {
            Action::Leave(_) => {
                self.model.remove(&n);
                self.ids.remove(&n);
                self.open_wanters.retain(|&other| other != n);
                let (permits, open) = (self.expected_grants(), self.expected_open());
                let grants = self.tree.leave(id);
                self.assert_granted(&grants, &permits, Granted::Permit);
                self.assert_granted(&grants, &open, Granted::Open);
                self.bound.remove(&n);
            }
            Action::Take(_) => {
                let may = self.has_room(n);
                assert_eq!(self.tree.take(id), may);
                self.model.get_mut(&n).unwrap().used += usize::from(may);
            }
            Action::TakeOrWant(_) => {
                let since = self.tick();
                let may = self.has_room(n);
                assert_eq!(self.tree.take(id), may);
                self.tree.set_wants(id, (!may).then_some(since));
                let pool = self.model.get_mut(&n).unwrap();
                pool.used += usize::from(may);
                pool.wants = (!may).then_some(self.now);
            }
            Action::StopWanting(_) => {
                self.tree.set_wants(id, None);
                self.model.get_mut(&n).unwrap().wants = None;
            }
            Action::PutBack(_, count, waits) => {
                let since = self.tick();
                let pool = self.model.get_mut(&n).unwrap();
                let count = count.min(pool.used);
                if count == 0 {
                    return;
                }
                pool.used -= count;
                if waits {
                    pool.wants = Some(self.now);
                }
                let mut expected = self.expected_grants();
                let PutBack { kept, grants } =
                    self.tree.put_back(id, count, waits.then_some(since));
                assert_eq!(kept, expected.contains(&n));
                expected.retain(|&other| other != n);
                self.assert_granted(&grants, &expected, Granted::Permit);
            }
            Action::Open(_, wanted) => {
                let open: usize = self.model.values().map(|pool| pool.open).sum();
                let may = open < self.max_open && self.open_wanters.is_empty();
                assert_eq!(self.tree.open(id, wanted), may);
                self.model.get_mut(&n).unwrap().open += usize::from(may);
                if !may && wanted && !self.open_wanters.contains(&n) {
                    self.open_wanters.push(n);
                }
            }
            Action::Closed(_, count) => {
                let pool = self.model.get_mut(&n).unwrap();
                let count = count.min(pool.open);
                pool.open -= count;
                let expected = self.expected_open();
                let grants = self.tree.closed(id, count);
                self.assert_granted(&grants, &expected, Granted::Open);
            }
            Action::StopOpening(_) => {
                self.tree.stop_opening(id);
                self.open_wanters.retain(|&other| other != n);
            }
            _ => unreachable!("of no pool"),
        }
    }

    fn check(&self) {
        let tree = &self.tree;
        assert_eq!(tree.total.used, self.used());
        assert_eq!((tree.total.max, tree.total.wanted), (self.total, self.total));
        assert_eq!(tree.active_hosts, self.active_hosts());
        assert_eq!(self.next(), None, "somebody wants what there is");
        let newcomers: usize = tree.hosts.iter().map(|host| host.newcomers.len()).sum();
        let wanting = self.model.values().filter(|pool| pool.wants.is_some());
        assert_eq!(newcomers + tree.holders.len(), wanting.count());
        let listed = tree.hosts.iter().enumerate().filter_map(|(id, host)| host.listed(id));
        assert_eq!(tree.newcomers, listed.collect());
        for (n, &id) in &self.ids {
            let (pool, model) = (&tree.members[id], &self.model[n]);
            assert_eq!((pool.used, pool.open), (model.used, model.open));
            assert_eq!(pool.wants, model.wants.map(Time::from_secs));
            let host = &tree.hosts[pool.host];
            assert_eq!(&*host.name, HOSTS[*n]);
            assert_eq!(host.level.used, self.used_of(HOSTS[*n]));
            assert_eq!(host.level.max, self.max_of(HOSTS[*n]));
            assert_eq!(host.members, self.of_host(HOSTS[*n]).count());
            assert_eq!(host.active, self.active_of(HOSTS[*n]));
        }
        assert_eq!(tree.open, self.model.values().map(|pool| pool.open).sum::<usize>());
        assert_eq!(tree.open_wanters.len(), self.open_wanters.len());
        assert!(self.open_wanters.is_empty() || tree.open >= tree.max_open);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..Default::default() })]

    #[test]
    fn the_books_agree_with_the_model_and_nobody_wants_what_there_is(actions in actions()) {
        let mut driver = Driver::new();
        for action in actions {
            // Takes never break a limit; only narrowing leaves more in use than there may be.
            let (before, total) = (driver.used(), driver.total);
            driver.run(action);
            driver.check();
            assert!(driver.used() <= driver.total || driver.used() <= before || total == NONE);
        }
    }
}

/// Three pools of three hosts, all wanting, in the order of their numbers.
fn three_that_want(caps: Caps, hosts: [&str; 3]) -> (Tree, [usize; 3], Vec<Arc<dyn Permitted>>) {
    let mut tree = Tree::new(caps);
    let mut bound: Vec<Arc<dyn Permitted>> = Vec::new();
    let ids = hosts.map(|host| {
        let pool: Arc<dyn Permitted> = Arc::new(Nobody);
        let (id, _) = tree.join(host);
        tree.members[id].pool = Some(Arc::downgrade(&pool));
        bound.push(pool);
        id
    });
    (tree, ids, bound)
}

#[test]
fn a_host_with_its_share_stands_behind_one_without_however_long_it_waits() {
    let caps = Caps { max_total: 3, max_per_host: NONE, max_open: NONE };
    let (mut tree, [a, b, c], bound) = three_that_want(caps, ["h", "i", "j"]);
    assert!((0..3).all(|_| tree.take(a)));
    for (since, id) in [a, b, c].into_iter().enumerate() {
        tree.set_wants(id, Some(Time::from_secs(since as u64)));
    }
    let mut order = Vec::new();
    for _ in 0..2 {
        let PutBack { kept, grants } = tree.put_back(a, 1, None);
        assert!(!kept);
        order.extend(grants.iter().map(|(pool, _)| pool.upgrade().unwrap()));
    }
    assert!(Arc::ptr_eq(&order[0], &bound[1]) && Arc::ptr_eq(&order[1], &bound[2]));
    assert!(tree.put_back(a, 1, None).kept, "now it has less than the others");
}

#[test]
fn a_host_without_pools_leaves_its_place_to_the_next_and_its_own_limit_stays_known() {
    let caps = Caps { max_total: NONE, max_per_host: 2, max_open: NONE };
    let mut tree = Tree::new(caps);
    tree.set_max_of_host("h", 5);
    let (id, _) = tree.join("h");
    assert!((0..5).all(|_| tree.take(id)) && !tree.take(id));
    assert!(tree.leave(id).is_empty());
    let (id, _) = tree.join("i");
    assert!((0..2).all(|_| tree.take(id)) && !tree.take(id));
    assert_eq!(tree.hosts.len(), 1);
    let (id, _) = tree.join("h");
    assert!((0..5).all(|_| tree.take(id)) && !tree.take(id));
    assert_eq!((tree.hosts.len(), tree.members.len()), (2, 2));
}
