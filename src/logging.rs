//! What is logged: at which level, how often, and with which fields. A page without code.
//!
//! Everything goes through the [`log`] crate, so it comes where your program's logger sends it. A
//! line says what happened to which pool, in words; with the feature `log-kv` it also has the same
//! as key-value fields, for a logger that knows those.
//!
//! | level | means | what to do |
//! |---|---|---|
//! | error | code of yours panicked, or there is a bug; nothing was lost | mend it |
//! | warn | callers wait, fail or may soon, or something was left undone | look at it when it repeats |
//! | info | something went wrong and is dealt with, or is well again | nothing |
//! | debug | the life of pools and items: for finding out why | nothing |
//!
//! There is no line at *trace*, and none for a get or a put-back that went well. No line is written under a
//! lock, a logger that panics is survived, and neither text nor fields have a secret that the crate
//! knows of: not a header's value, a token, a prompt or an answer. What your own errors print is
//! logged as it is. `ureq` has lines of its own, and at *trace* they have every byte that it sends: keep
//! that target off that level where keys must not be logged.
//!
//! # Events
//!
//! Each line has one event; the text of a line may change in any release, the names of events
//! and fields only as the API does. *Counts* are `idle`, `in_use`, `waiting` and `max_size` at one
//! moment.
//!
//! Of a pool, those of keys included:
//!
//! | level | event | when | at most | fields |
//! |---|---|---|---|---|
//! | debug | `started` | a pool has started, of a key when the key is first asked for | once a pool | `pool`, `key`, counts |
//! | warn | `not_ready` | a pool starts with fewer than `min_idle` items | once a pool | `pool`, `idle`, `min_idle` |
//! | debug | `created` | an item was created | once an item | `pool`, `key`, `took` |
//! | warn | `create_failed` | an item could not be created | once a try | `pool`, `key`, `reason`, `took` |
//! | debug | `evicted` | the pool drops an item | once an item | `pool`, `key`, `reason` |
//! | warn | `unhealthy` | an item failed its check: it is set aside, or dropped | once an item, until it recovers | `pool`, `key`, `reason` |
//! | debug | `check_failed` | a check returned an error, the first or a further one | once a check | `pool`, `key`, `reason` |
//! | warn | `check_given_up` | a check ran for `check_timeout` | once a check | `pool`, `key`, `took` |
//! | info | `recovered` | an unhealthy item passed its check | once an item, until it fails again | `pool`, `key` |
//! | warn | `slow_wait` | a caller waited for `slow_wait`, and was served | once a maintenance interval | `pool`, `key`, `waited`, `at`, counts |
//! | warn | `timed_out` | a caller waited in vain, which it is told as an error | once a maintenance interval | `pool`, `key`, `waited`, counts |
//! | debug | `timed_out` | the same, for the further ones of that interval | once a caller | `pool`, `key`, `waited`, counts |
//! | warn | `nearly_full` | more than `nearly_full` per cent are in use | once a maintenance interval | `pool`, `key`, counts |
//! | warn | `waits_for_itself` | a thread waits that holds a lease of the same pool | once a maintenance interval | `pool`, `key`, `at`, counts |
//! | warn | `leak` | a lease was held for `leak_after` | once a lease | `pool`, `key`, `held`, `thread`, `at` |
//! | debug | `cleaned_up` | a pass of maintenance found something to do | once a pass | `pool`, `key`, `evicted`, `refilled`, `checks` |
//! | debug | `closed` | a pool was closed | once a pool | `pool`, `key`, counts |
//! | debug | `keyed_started` | a pool of keys was made | once a pool of keys | `pool`, `max_pools` |
//! | debug | `key_evicted` | a key was evicted for another one | once an eviction | `pool`, `key` |
//! | debug | `keyed_closed` | a pool of keys was closed | once a pool of keys | `pool`, `keys` |
//! | warn | `no_thread` | the system gave no thread; the work is done by another one, or later | once a try | `pool`, `key`, `reason` |
//! | error | `lost_grant` | a bug of this crate; please report it | | `pool`, `key` |
//! | error | `panicked` | code of yours did: a manager, an item's drop, an observer (of a pool once), a strategy (once a balancer) | once a panic | `pool`, `key`, `balancer`, `sockets`, `reason` |
//!
//! Of a balancer, that of a group of models included, which has the group's name:
//!
//! | level | event | when | at most | fields |
//! |---|---|---|---|---|
//! | warn | `rests` | an endpoint failed too often | once a rest | `balancer`, `endpoint`, `pause`, `reason` |
//! | warn | `stays` | the same, but too many rest already | once, until it is well | `balancer`, `endpoint`, `reason` |
//! | debug | `probes` | a call tries an endpoint whose rest is over | once a probe | `balancer`, `endpoint` |
//! | info | `back` | an endpoint is in service again | once a rest | `balancer`, `endpoint` |
//! | info | `cap` | an adaptive limit shrank | once a change | `balancer`, `endpoint`, `max`, `reason` |
//! | error | `bad_choice` | a strategy of yours chose what is not there | once a balancer | `balancer` |
//!
//! Of agents and of calls to models:
//!
//! | level | event | when | at most | fields |
//! |---|---|---|---|---|
//! | debug | `looked_up` | the DNS said where a host is | once a look-up | `host`, `addresses` |
//! | debug | `look_up_failed` | it did not | once a look-up | `host`, `reason` |
//! | info | `retried` | a call failed and is tried again, after `pause` | once a try | `key`, `tries`, `pause`, `reason` |
//! | info | `moved_on` | an endpoint of a group failed, and another is tried | once a try | `group`, `endpoint`, `reason` |
//! | info | `tries_again` | all endpoints failed, and are tried again after `pause` | once a round | `group`, `pause`, `reason` |
//! | warn | `token_kept` | a token could not be renewed ahead of its end, and is used on | once a try | `reason` |
//!
//! Of admin endpoints:
//!
//! | level | event | when | at most | fields |
//! |---|---|---|---|---|
//! | debug | `admin_started` | they listen | once a server | `address` |
//! | debug | `admin_stopped` | they do not any more | once a server | `address` |
//!
//! Of WebSockets:
//!
//! | level | event | when | at most | fields |
//! |---|---|---|---|---|
//! | debug | `sockets_started` | a registry was made | once a registry | `sockets`, `max_connections` |
//! | debug | `socket_opened` | a socket was added, or opened | once a socket | `sockets`, `socket` |
//! | debug | `socket_closed` | we closed one that was well | once a socket | `sockets`, `socket`, `reason` |
//! | info | `socket_lost` | one ended otherwise | once a socket, until it is open again | `sockets`, `socket`, `reason` |
//! | info | `socket_back` | a lost one is open again | once a loss | `sockets`, `socket` |
//! | debug | `reconnect_failed` | it could not be opened, and is tried again after `pause` | once a try | `sockets`, `socket`, `tries`, `pause`, `reason` |
//! | warn | `socket_given_up` | the same, and it was the last try | once a socket | `sockets`, `socket`, `tries`, `reason` |
//! | debug | `sockets_closed` | a registry was closed | once a registry | `sockets` |
//!
//! # Fields
//!
//! A field that has nothing to say is left out: `key` of a pool that stands alone.
//!
//! | field | type | what |
//! |---|---|---|
//! | `event` | text | the name in the tables above, on every line |
//! | `pool` | text | [`PoolConfig::name`](crate::PoolConfig#structfield.name); of a key's pool that, a space and the key; of events of the keys as such that alone |
//! | `key` | text | the key, as it prints |
//! | `balancer`, `endpoint`, `group` | text | their names |
//! | `sockets`, `socket` | text | the name of a registry of sockets, and the id of one of its sockets |
//! | `host` | text | a host's name |
//! | `address` | text | where is listened, address and port |
//! | `thread` | text | the name of the thread that took the lease |
//! | `at` | text | file, line and column of the `get` |
//! | `reason` | text | why: an [`EvictReason`](crate::EvictReason) as it prints, or what an error or a panic said |
//! | `waited`, `held`, `took`, `pause` | float | seconds |
//! | `idle`, `in_use`, `waiting`, `max_size`, `min_idle` | integer | as in [`Stats`](crate::Stats) |
//! | `evicted`, `refilled`, `checks` | integer | of a pass: items evicted, creations begun, checks due |
//! | `max` | integer | the limit from now on |
//! | `max_connections` | integer | sockets at most |
//! | `max_pools`, `keys` | integer | keys at most, and keys that had a pool |
//! | `addresses`, `tries` | integer | how many |
