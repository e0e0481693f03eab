//! The one logger of a test binary: it keeps every line, and a test reads those of its pool.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Once};

use log::{Level, LevelFilter, Log, Metadata, Record};

type Hook = Arc<dyn Fn(&Line) + Send + Sync>;

#[derive(Clone, Debug)]
pub struct Line {
    pub level: Level,
    /// The crate and module that wrote it.
    pub target: String,
    pub text: String,
    /// Without the feature `log-kv` there are none.
    pub fields: Vec<(String, String)>,
}

impl Line {
    /// The field of this name, as it prints.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

struct Keeper {
    lines: Mutex<Vec<Line>>,
    hooks: Mutex<Option<HashMap<String, Hook>>>,
}

static KEEPER: Keeper = Keeper { lines: Mutex::new(Vec::new()), hooks: Mutex::new(None) };

impl Log for Keeper {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let (level, text) = (record.level(), record.args().to_string());
        let target = record.target().to_owned();
        let line = Line { level, target, text, fields: fields(record) };
        self.lines.lock().unwrap().push(line.clone());
        let hooks = self.hooks.lock().unwrap();
        let of_pool = |(name, _): &(&String, &Hook)| line.text.contains(&mention(name));
        let hook = hooks.iter().flatten().find(of_pool).map(|(_, hook)| hook.clone());
        drop(hooks);
        if let Some(hook) = hook {
            hook(&line);
        }
    }

    fn flush(&self) {}
}

#[cfg(feature = "log-kv")]
fn fields(record: &Record<'_>) -> Vec<(String, String)> {
    struct Collect(Vec<(String, String)>);
    impl<'kvs> log::kv::VisitSource<'kvs> for Collect {
        fn visit_pair(
            &mut self,
            key: log::kv::Key<'kvs>,
            value: log::kv::Value<'kvs>,
        ) -> Result<(), log::kv::Error> {
            self.0.push((key.to_string(), value.to_string()));
            Ok(())
        }
    }
    let mut all = Collect(Vec::new());
    record.key_values().visit(&mut all).unwrap();
    all.0
}

#[cfg(not(feature = "log-kv"))]
fn fields(_: &Record<'_>) -> Vec<(String, String)> {
    Vec::new()
}

pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&KEEPER).expect("no other logger");
        log::set_max_level(LevelFilter::Trace);
    });
}

/// Every line so far, oldest first.
pub fn all() -> Vec<Line> {
    KEEPER.lines.lock().unwrap().clone()
}

/// Every line about the pool `name` so far, oldest first.
pub fn of(name: &str) -> Vec<Line> {
    let lines = KEEPER.lines.lock().unwrap();
    lines.iter().filter(|line| line.text.contains(&mention(name))).cloned().collect()
}

/// The lines about `name` at `level` whose text contains `part`.
pub fn matching(name: &str, level: Level, part: &str) -> Vec<String> {
    let fits = |line: &Line| line.level == level && line.text.contains(part);
    of(name).into_iter().filter(fits).map(|line| line.text).collect()
}

/// Runs `hook` on each further line about the pool `name`, as part of logging it.
pub fn on_line(name: &str, hook: impl Fn(&Line) + Send + Sync + 'static) {
    let mut hooks = KEEPER.hooks.lock().unwrap();
    hooks.get_or_insert_default().insert(name.into(), Arc::new(hook));
}

fn mention(name: &str) -> String {
    format!("pool \"{name}\"")
}
