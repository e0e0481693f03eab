//! The tables of the page `logging` name every line there is in the code, with its level and its
//! fields, and nothing else.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../src/logging.rs");
const COUNTS: [&str; 4] = ["idle", "in_use", "waiting", "max_size"];

/// By level and event: the fields it may have.
type Table = BTreeMap<(String, String), BTreeSet<String>>;

fn cells(line: &str) -> Vec<&str> {
    line.trim_start_matches("//!").trim().trim_matches('|').split('|').map(str::trim).collect()
}

fn names(cell: &str) -> impl Iterator<Item = String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

fn page() -> Table {
    let mut table = Table::new();
    for row in PAGE.lines().map(cells).filter(|row| row.len() == 5 && row[1].starts_with('`')) {
        let event = row[1].trim_matches('`').to_owned();
        let mut fields: BTreeSet<_> = names(row[4]).collect();
        if row[4].contains("counts") {
            fields.extend(COUNTS.map(str::to_owned));
        }
        let was = table.insert((row[0].to_owned(), event.clone()), fields);
        assert!(was.is_none(), "{event} is there twice");
    }
    table
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
}

/// The levels, event and fields of the `say!` that begins here.
fn told(said: &str, path: &Path) -> (Vec<String>, String, BTreeSet<String>) {
    let (level, rest) = said.trim_start().split_once(',').unwrap();
    let fields = rest.trim_start().strip_prefix('{').unwrap_or_else(|| panic!("{path:?}: {rest}"));
    let (fields, _) = fields.split_once('}').unwrap();
    let mut names = BTreeSet::new();
    let mut event = None;
    // `name = value`, `name:% = value`; no value has " = " in it.
    for field in fields.split(',').map(str::trim).filter(|field| field.contains(" = ")) {
        let (name, value) = field.split_once(" = ").unwrap();
        let name = name.trim_end_matches([':', '%', '?']);
        if name == "event" {
            event = Some(value.trim_matches('"').to_owned());
        } else {
            names.insert(name.to_owned());
        }
    }
    if fields.contains("..stats") {
        names.extend(COUNTS.map(str::to_owned));
    }
    let event = event.unwrap_or_else(|| panic!("{path:?}: a line without an event: {fields}"));
    // One line is written at either of two levels.
    let levels = if level == "$level" { vec!["warn", "debug"] } else { vec![level] };
    (levels.into_iter().map(str::to_lowercase).collect(), event, names)
}

fn code() -> Table {
    let (mut table, mut found) = (Table::new(), Vec::new());
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    for path in found {
        let text = fs::read_to_string(&path).unwrap();
        // Tests of the macro itself are no events.
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for said in text.split("say!(").skip(1) {
            let (levels, event, names) = told(said, &path);
            for level in levels {
                table.entry((level, event.clone())).or_default().extend(names.clone());
            }
        }
    }
    table
}

#[test]
fn the_page_lists_every_line_of_the_code_with_its_level_and_fields() {
    let (page, code) = (page(), code());
    assert!(page.len() > 30 && code.len() > 30, "{} and {}", page.len(), code.len());
    for (key, fields) in &code {
        assert_eq!(page.get(key), Some(fields), "{key:?} on the page");
    }
    for key in page.keys() {
        assert!(code.contains_key(key), "{key:?} is on the page only");
    }
}

#[test]
fn the_page_explains_every_field_and_no_other() {
    let rows = PAGE.lines().map(cells).filter(|row| row.len() == 3 && row[0].starts_with('`'));
    let explained: BTreeSet<_> = rows.flat_map(|row| names(row[0]).collect::<Vec<_>>()).collect();
    let mut used: BTreeSet<_> = page().into_values().flatten().collect();
    used.insert("event".into());
    assert_eq!(explained, used);
}

#[cfg(feature = "log-kv")]
mod fields {
    use std::time::Duration;

    use llm_pool::balance::{BalanceConfig, Balancer, Call, Cause, Cooldown, Endpoint};
    use llm_pool::keyed::{KeyedConfig, KeyedPool, Setup};
    use llm_pool::{Lease, ManualClock, WhenUnhealthy};
    use log::Level;

    use super::page;
    use super::support::*;

    fn with_event(name: &str, level: Level, event: &str) -> Vec<logs::Line> {
        let is_it = |line: &logs::Line| line.level == level && line.field("event") == Some(event);
        logs::of(name).into_iter().filter(is_it).collect()
    }

    /// The one line of this event.
    #[track_caller]
    fn one(name: &str, level: Level, event: &str) -> logs::Line {
        eventually(|| !with_event(name, level, event).is_empty());
        let lines = with_event(name, level, event);
        assert_eq!(lines.len(), 1, "{event}: {lines:?}");
        lines[0].clone()
    }

    /// That each line there is has the fields of the page, and those of it that are not optional.
    fn assert_on_the_page(lines: &[logs::Line]) {
        let page = page();
        for line in lines {
            let level = line.level.to_string().to_lowercase();
            let event = line.field("event").unwrap_or_else(|| panic!("no event: {line:?}"));
            let fields = page.get(&(level, event.to_owned()));
            let fields = fields.unwrap_or_else(|| panic!("not on the page: {line:?}"));
            for (name, _) in line.fields.iter().filter(|(name, _)| name != "event") {
                assert!(fields.contains(name), "{name} of {line:?}");
            }
            let optional = ["key", "balancer", "pool"];
            for name in fields.iter().filter(|name| !optional.contains(&name.as_str())) {
                assert!(line.field(name).is_some(), "{line:?} lacks {name}");
            }
        }
    }

    /// All that can happen to a pool, once each.
    fn whole_life(pool: &TestPool, script: &std::sync::Arc<Script>, time: &ManualClock) {
        // Created, nearly full and, with a second thread, slow; then two time-outs.
        let lease = pool.get().unwrap();
        let patient = waiter(pool, Duration::MAX);
        time.advance(secs(5));
        drop(lease);
        let lease = patient.result().unwrap();
        for _ in 0..2 {
            let hasty = waiter(pool, secs(1));
            time.advance(secs(1));
            assert!(hasty.result().is_err());
        }
        drop(lease);
        let itself = pool.clone();
        spawn(move || itself.get().map(|_held| itself.get_timeout(Duration::ZERO).is_err()).ok())
            .result();
        // Held for too long.
        let lease = pool.get().unwrap();
        time.advance(secs(20));
        pool.clean_up();
        drop(lease);
        // Unwell, and well again.
        script.on_check.set(fail("unwell"));
        pool.check_all();
        eventually(|| pool.stats().unhealthy == 1);
        script.on_check.set(succeed());
        time.advance(secs(60));
        pool.clean_up();
        eventually(|| pool.stats().idle == 1);
        // A check that hangs.
        let gate = Gate::new();
        script.on_check.set(gate.before(succeed()));
        pool.check_all();
        gate.await_entered(1);
        time.advance(secs(10));
        pool.clean_up();
        gate.open();
        script.on_create.set(fail("refused"));
        assert!(pool.get().is_err());
        script.on_create.set(succeed());
        Lease::discard(pool.get().unwrap());
        pool.close();
    }

    const OF_EACH_POOL: [(Level, &str); 16] = [
        (Level::Debug, "started"),
        (Level::Debug, "created"),
        (Level::Debug, "evicted"),
        (Level::Debug, "closed"),
        (Level::Debug, "cleaned_up"),
        (Level::Debug, "check_failed"),
        (Level::Debug, "timed_out"),
        (Level::Warn, "timed_out"),
        (Level::Warn, "unhealthy"),
        (Level::Warn, "check_given_up"),
        (Level::Warn, "create_failed"),
        (Level::Warn, "slow_wait"),
        (Level::Warn, "nearly_full"),
        (Level::Warn, "leak"),
        (Level::Warn, "waits_for_itself"),
        (Level::Info, "recovered"),
    ];

    #[test]
    fn a_pool_tells_of_its_whole_life_with_the_fields_of_the_page() {
        let (script, time) = (Script::new(), ManualClock::new());
        let config = manual("whole life", 1, &time).leak_after(secs(20));
        let pool = start(config.when_unhealthy(WhenUnhealthy::Replace), &script);
        whole_life(&pool, &script, &time);
        let lines = || logs::of("whole life");
        for (level, event) in OF_EACH_POOL {
            eventually(|| !with_event("whole life", level, event).is_empty());
        }
        assert_on_the_page(&lines());
        assert!(lines().iter().all(|line| line.field("pool") == Some("whole life")));
        assert!(lines().iter().all(|line| line.field("key").is_none()), "it stands alone");
        assert_eq!(one("whole life", Level::Warn, "slow_wait").field("waited"), Some("5"));
        assert_eq!(one("whole life", Level::Warn, "leak").field("held"), Some("20"));
        let unwell = &with_event("whole life", Level::Warn, "unhealthy")[0];
        assert_eq!(unwell.field("reason"), Some("unwell"));
        let full = &with_event("whole life", Level::Warn, "nearly_full")[0];
        let counts = ["idle", "in_use", "max_size"].map(|name| full.field(name).unwrap());
        assert_eq!(counts, ["0", "1", "1"]);
    }

    #[test]
    fn the_pool_of_a_key_names_its_key_on_every_line() {
        let (script, time) = (Script::new(), ManualClock::new());
        let config = manual("keyed life", 1, &time).leak_after(secs(20));
        let config = config.when_unhealthy(WhenUnhealthy::Replace);
        let config = KeyedConfig::default().pool(config).max_pools(1);
        let of_key = script.clone();
        let setup = move |_: &String| Ok(Setup::new(of_key.maker()));
        let pools: KeyedPool<String, Maker> = KeyedPool::new(config, setup).unwrap();
        drop(pools.get(&"a".to_owned()).unwrap());
        // Evicts the first, and is closed at the end of its life, which is not that of its key.
        drop(pools.get(&"b".to_owned()).unwrap());
        let pool = pools.pool(&"b".to_owned()).unwrap();
        whole_life(&pool, &script, &time);
        pools.close();
        pools.close();
        for (level, event) in OF_EACH_POOL {
            eventually(|| !with_event("keyed life b", level, event).is_empty());
        }
        let of_b = logs::of("keyed life b");
        assert_on_the_page(&of_b);
        assert!(of_b.iter().all(|line| line.field("key") == Some("b")), "{of_b:?}");
        assert_on_the_page(&logs::of("keyed life"));
        assert_eq!(one("keyed life", Level::Debug, "key_evicted").field("key"), Some("a"));
        one("keyed life", Level::Debug, "keyed_started");
        assert_eq!(one("keyed life", Level::Debug, "keyed_closed").field("keys"), Some("2"));
    }

    #[test]
    fn a_balancer_tells_who_rests_and_for_how_long() {
        logs::install();
        let time = ManualClock::new();
        let config = BalanceConfig::default().name("told").clock(time.clock()).seed(1);
        let config = config.cooldown(Cooldown::default().jitter(0.0));
        let ends = ["a", "b"].map(|name| Endpoint::new(name, ()));
        let balancer = Balancer::new(config, ends).unwrap();
        // The first rests, the second cannot be spared.
        for _ in 0..2 {
            balancer.pick(Call::new()).unwrap().failure(Cause::Unauthorized);
        }
        time.advance(secs(3600));
        for _ in 0..2 {
            balancer.pick(Call::new()).unwrap().success();
        }
        let mut lines = logs::all();
        lines.retain(|line| line.field("balancer") == Some("told"));
        assert_on_the_page(&lines);
        let told: Vec<_> =
            lines.iter().map(|line| (line.level, line.field("event").unwrap())).collect();
        let expected = [
            (Level::Warn, "rests"),
            (Level::Warn, "stays"),
            (Level::Debug, "probes"),
            (Level::Info, "back"),
        ];
        assert_eq!(told, expected);
        let pause: f64 = lines[0].field("pause").unwrap().parse().unwrap();
        assert!(pause >= 1.0, "{pause}");
        assert_ne!(lines[0].field("endpoint"), lines[1].field("endpoint"));
    }
}
