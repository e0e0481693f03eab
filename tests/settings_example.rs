//! `llm-pool.example.toml` has every setting, and what it says of them is so.

use std::collections::{BTreeMap, BTreeSet};

use llm_pool::balance::{Adaptive, Endpoint, Limits};
use llm_pool::keyed::ModelKey;
use llm_pool::llm::Group;
use llm_pool::settings::{ProviderConfig, Settings};
use llm_pool::websocket::{Reconnect, WebSocketConfig};

const EXAMPLE: &str = include_str!("../llm-pool.example.toml");

/// What stands in the file as a table too, in place of a line.
const ADAPTIVE: Table =
    Table { line: "adaptive = \"none\"", header: "[groups.small.endpoints.limits.adaptive]" };
const RECONNECT: Table = Table { line: "reconnect = \"none\"", header: "[websocket.reconnect]" };

struct Table {
    line: &'static str,
    header: &'static str,
}

impl Table {
    /// The text with the line alone.
    fn left_out(&self, text: &str) -> String {
        let (before, table) = text.split_once(self.header).unwrap();
        let after = table.split_once("\n\n").map_or("", |(_, after)| after);
        format!("{before}\n{after}")
    }

    /// The text with the table alone.
    fn put_in(&self, text: &str) -> String {
        assert!(text.contains(self.line));
        text.replacen(self.line, "", 1)
    }
}

/// With every setting and every table in force.
fn uncommented() -> String {
    let line = |line: &str| {
        let setting = line.strip_prefix("# ").filter(|rest| is_table(rest) || name(rest).is_some());
        format!("{}\n", setting.unwrap_or(line))
    };
    EXAMPLE.lines().map(line).collect()
}

fn is_table(line: &str) -> bool {
    line.starts_with('[')
}

fn name(line: &str) -> Option<&str> {
    let (name, _) = line.split_once(" = ")?;
    let is_name = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    is_name.then_some(name)
}

/// What the example has, made by code.
fn by_code(limits: Limits) -> Settings {
    let provider = ProviderConfig::default().base_url("http://localhost:8000/v1".to_owned());
    let endpoint = Endpoint::from(ModelKey::new("example", "small")).limits(limits);
    Settings::default()
        .provider("example", provider)
        .group("small", Group::default().endpoint(endpoint))
}

#[test]
fn the_example_can_be_used_as_it_is() {
    let settings = Settings::parse(EXAMPLE).unwrap();
    assert_eq!(settings.values(), by_code(Limits::default()).values());
    assert_eq!(settings.build_groups().unwrap().names().collect::<Vec<_>>(), ["small"]);
}

#[test]
fn every_value_that_is_commented_out_is_the_default() {
    let all = uncommented();
    let settings = Settings::parse(&ADAPTIVE.left_out(&RECONNECT.left_out(&all))).unwrap();
    assert_eq!(settings.values(), by_code(Limits::default()).values());
    assert_eq!(format!("{settings:?}"), format!("{:?}", by_code(Limits::default())));

    let settings = Settings::parse(&ADAPTIVE.put_in(&RECONNECT.put_in(&all))).unwrap();
    let sockets = WebSocketConfig::default().reconnect(Reconnect::default());
    let with_tables = by_code(Limits::default().adaptive(Adaptive::default())).websocket(sockets);
    assert_eq!(settings.values(), with_tables.values());
}

/// The tables, each with what stands in it, tables included.
fn tables(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut tables = BTreeMap::<String, BTreeSet<String>>::new();
    let mut table = String::new();
    for line in text.lines() {
        if is_table(line) {
            table = line.trim_matches(['[', ']']).to_owned();
            let (within, name) = table.rsplit_once('.').unwrap_or(("", &table));
            tables.entry(within.to_owned()).or_default().insert(name.to_owned());
            tables.entry(table.clone()).or_default();
        } else if let Some(name) = name(line) {
            tables.entry(table.clone()).or_default().insert(name.to_owned());
        }
    }
    // Their names are the user's.
    tables.retain(|name, _| {
        !["providers", "groups", "groups.small.fallbacks_for"].contains(&name.as_str())
    });
    let root = tables.get_mut("").unwrap();
    root.extend(["providers", "groups"].map(str::to_owned));
    tables
}

#[test]
fn every_setting_that_is_known_is_in_the_example_and_has_a_comment() {
    let all = ADAPTIVE.put_in(&RECONNECT.put_in(&uncommented()));
    let tables = tables(&all);
    assert_eq!(tables.len(), 15, "{:?}", tables.keys());
    for (table, names) in tables {
        let header =
            all.lines().find(|line| line.trim_matches(['[', ']']) == table && is_table(line));
        let text = match header {
            // At the start of its line: comments name tables too.
            Some(header) => {
                let header = format!("\n{header}\n");
                all.replacen(&header, &format!("{header}qqqqqqqqqq = 1\n"), 1)
            }
            None => format!("qqqqqqqqqq = 1\n{all}"),
        };
        let error = Settings::parse(&text).unwrap_err().to_string();
        let (_, known) = error.split_once("known here are ").unwrap_or_else(|| panic!("{error}"));
        let known: BTreeSet<_> = known.split(", ").map(str::to_owned).collect();
        assert_eq!(names, known, "[{table}]");
    }
    for line in uncommented().lines().filter(|line| name(line).is_some()) {
        assert!(line.contains(" # "), "no comment: {line}");
    }
}
