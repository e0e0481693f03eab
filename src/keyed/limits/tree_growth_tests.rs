//! That the books of the limits cost the same however many want a permit.

use std::time::Instant;

use super::*;

#[test]
fn what_a_permit_costs_that_is_handed_on_does_not_grow_with_those_who_want_one() {
    let cost = |hosts: bool, pools: usize| {
        let caps = Caps { max_total: 1, max_per_host: NONE, max_open: NONE };
        let mut tree = Tree::new(caps);
        let name = |number| if hosts { format!("host {number}") } else { "host".to_owned() };
        let ids: Vec<_> = (0..pools).map(|number| tree.join(&name(number)).0).collect();
        assert!(tree.take(ids[0]));
        for (since, &id) in ids.iter().enumerate() {
            tree.set_wants(id, Some(Time::from_secs(since as u64)));
        }
        // The first has one, and is behind all others. Each hands it on, and wants it again.
        let mut order = ids[1..].iter().chain(&ids[..1]).cycle();
        let mut holder = ids[0];
        let steps = (0..200).map(|step| {
            let since = Time::from_secs((pools + step) as u64);
            let began = Instant::now();
            tree.put_back(holder, 1, Some(since));
            let took = began.elapsed();
            holder = *order.next().unwrap();
            assert_eq!(tree.members[holder].used, 1, "out of turn");
            took
        });
        steps.min().unwrap()
    };
    for hosts in [false, true] {
        let (few, many) = (cost(hosts, 100), cost(hosts, 10_000));
        assert!(many < few * 10, "{few:?} with 100, {many:?} with 10 000; hosts: {hosts}");
    }
}
