//! Reads either text format, strictly: what is not as the format has it fails the test.

use std::collections::{BTreeMap, HashSet};

use llm_pool::metrics::Metrics;

/// Samples by name and labels, as they are written.
pub struct Text {
    pub samples: BTreeMap<String, f64>,
    /// By name; kinds and, where there is one, units.
    pub families: BTreeMap<String, (String, Option<String>)>,
}

/// The text 0.0.4 of the metrics, checked.
#[track_caller]
pub fn scrape(metrics: &Metrics) -> Text {
    read(&metrics.text(), false)
}

#[track_caller]
pub fn read(text: &str, open: bool) -> Text {
    let body = text.strip_suffix("# EOF\n").expect("it ends with # EOF");
    let mut read = Text { samples: BTreeMap::new(), families: BTreeMap::new() };
    let mut family: Option<(String, String)> = None;
    let mut helped = String::new();
    for line in body.lines() {
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a help");
            assert!(help.ends_with('.') && !help.contains('\\'), "{line}");
            helped = name.to_owned();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type");
            assert_eq!(name, helped, "help and type are of one family");
            let counts = kind == "counter";
            assert_eq!(name.ends_with("_total"), counts && !open, "{line}");
            let new = read.families.insert(name.to_owned(), (kind.to_owned(), None));
            assert!(new.is_none(), "a family that is there twice: {line}");
            family = Some((name.to_owned(), kind.to_owned()));
        } else if let Some(unit) = line.strip_prefix("# UNIT ") {
            let (name, unit) = unit.split_once(' ').expect("a unit");
            assert!(open && name.ends_with(&format!("_{unit}")), "{line}");
            read.families.get_mut(name).expect("its type came first").1 = Some(unit.to_owned());
        } else {
            let (family, kind) = family.as_ref().expect("a family");
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let name = series.split('{').next().unwrap_or_default();
            let rest = name.strip_prefix(family.as_str()).expect("samples follow their type");
            match kind.as_str() {
                "counter" => assert_eq!(rest, if open { "_total" } else { "" }, "{line}"),
                "gauge" => assert_eq!(rest, "", "{line}"),
                "histogram" => assert!(["_sum", "_count", "_bucket"].contains(&rest), "{line}"),
                other => panic!("an unknown kind: {other}"),
            }
            assert_labels(&series[name.len()..]);
            let new = read.samples.insert(series.to_owned(), value.parse().expect("a number"));
            assert!(new.is_none(), "a series that is there twice: {line}");
        }
    }
    read.assert_histograms();
    read
}

/// `{name="value",...}` in which no value needs an escape.
#[track_caller]
fn assert_labels(labels: &str) {
    let inner = labels.strip_prefix('{').and_then(|it| it.strip_suffix('}')).expect("braces");
    let inner = inner.strip_suffix('"').expect("a quote at the end");
    let mut names = HashSet::new();
    for label in inner.split("\",") {
        let (name, value) = label.split_once("=\"").expect("a value in quotes");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
        assert!(names.insert(name), "{name} twice in {labels}");
        assert!(!value.contains(['"', '\\']), "{value:?}");
        assert!(!value.is_empty() && value.chars().count() <= 128, "{value:?}");
    }
}

impl Text {
    /// The value of a series, written as it is in the text.
    #[track_caller]
    pub fn value(&self, series: &str) -> f64 {
        *self.samples.get(series).unwrap_or_else(|| panic!("there is no {series}"))
    }

    /// All values of a name, added up.
    pub fn sum(&self, name: &str) -> f64 {
        let named = |series: &&String| series.split('{').next() == Some(name);
        self.samples.keys().filter(named).map(|series| self.value(series)).sum()
    }

    /// How many series of a name there are.
    pub fn series(&self, name: &str) -> usize {
        self.samples.keys().filter(|series| series.split('{').next() == Some(name)).count()
    }

    /// What may only grow.
    pub fn growing(&self) -> impl Iterator<Item = (&String, f64)> {
        let ends = ["_total", "_count", "_sum", "_bucket"];
        let grows = move |series: &str| {
            let name = series.split('{').next().unwrap_or_default();
            ends.iter().any(|end| name.ends_with(end))
        };
        self.samples.iter().filter(move |(series, _)| grows(series)).map(|(name, of)| (name, *of))
    }

    /// Buckets grow with their bounds, the last is for all and is the count.
    #[track_caller]
    fn assert_histograms(&self) {
        let mut seen = BTreeMap::<_, Vec<(f64, f64)>>::new();
        for (series, value) in &self.samples {
            if let Some((name, labels)) = series.split_once("_bucket{le=\"") {
                let (bound, labels) = labels.split_once('"').expect("a bound");
                let bound = bound.replace("+Inf", "inf").parse().expect("a bound is a number");
                let labels = labels.trim_start_matches(',');
                seen.entry(format!("{name}_count{{{labels}")).or_default().push((bound, *value));
            }
        }
        for (series, mut buckets) in seen {
            buckets.sort_by(|this, that| this.0.total_cmp(&that.0));
            assert!(buckets.is_sorted_by(|this, that| this.1 <= that.1), "{series}: {buckets:?}");
            assert_eq!(buckets.len(), 19, "{series}");
            assert_eq!(buckets.last(), Some(&(f64::INFINITY, self.value(&series))), "{series}");
            let sum = self.value(&series.replacen("_count{", "_sum{", 1));
            assert!(sum >= 0.0 && sum.is_finite());
        }
    }
}
