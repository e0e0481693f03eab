//! The table: a line a figure, printed as soon as it is known.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// Prints, and remembers what was missed.
pub struct Table {
    began: Instant,
    targets: usize,
    missed: usize,
}

/// What both sides showed. The peer's is empty where there is none.
pub struct Figures<'a> {
    pub row: u8,
    pub what: &'a str,
    pub ours: String,
    pub peer: String,
}

impl Table {
    pub fn begin() -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        println!("{cores} cores\n");
        line(&["row", "what", "llm-pool", "peer", "result", "target", ""]);
        line(&["---", "----", "--------", "----", "------", "------", ""]);
        Self { began: Instant::now(), targets: 0, missed: 0 }
    }

    /// A figure that must be at most `bound`. `unit` follows both numbers.
    pub fn at_most(&mut self, figures: Figures<'_>, found: f64, bound: f64, unit: &str) {
        self.judge(figures, found, "at most", bound, unit, found <= bound);
    }

    /// A figure that must be at least `bound`.
    pub fn at_least(&mut self, figures: Figures<'_>, found: f64, bound: f64, unit: &str) {
        self.judge(figures, found, "at least", bound, unit, found >= bound);
    }

    /// A figure that must be just `wanted`.
    pub fn exactly(&mut self, figures: Figures<'_>, found: u64, wanted: u64, unit: &str) {
        let met = found == wanted;
        self.judge(figures, found as f64, "exactly", wanted as f64, unit, met);
    }

    fn judge(
        &mut self,
        figures: Figures<'_>,
        found: f64,
        relation: &str,
        bound: f64,
        unit: &str,
        met: bool,
    ) {
        self.targets += 1;
        self.missed += usize::from(!met);
        let found = format!("{}{unit}", short(found));
        let target = format!("{relation} {}{unit}", short(bound));
        print(&figures, &found, &target, if met { "met" } else { "MISSED" });
    }

    /// A figure without a target. `found` may be empty.
    pub fn note(&self, figures: Figures<'_>, found: &str) {
        print(&figures, found, "", "");
    }

    /// Sums up; false if a target was missed.
    pub fn end(self) -> bool {
        let (targets, missed) = (self.targets, self.missed);
        let took = self.began.elapsed().as_secs();
        println!("\n{} of {targets} targets met, in {took} s", targets - missed);
        missed == 0
    }
}

fn print(figures: &Figures<'_>, found: &str, target: &str, verdict: &str) {
    let Figures { row, what, ours, peer } = figures;
    line(&[&row.to_string(), what, ours, peer, found, target, verdict]);
}

fn line(cells: &[&str; 7]) {
    let [row, what, ours, peer, found, target, verdict] = cells;
    println!("{row:<3} {what:<44} {ours:>10} {peer:>16} {found:>8}  {target:<16} {verdict}");
}

/// Three digits that count, or the whole number.
fn short(number: f64) -> String {
    match number.abs() {
        it if it.fract() == 0.0 || it >= 100.0 => format!("{number:.0}"),
        it if it >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The least and the most, as `59..60`.
pub fn range<T: Ord + Display>(values: &[T]) -> String {
    match (values.iter().min(), values.iter().max()) {
        (Some(least), Some(most)) => format!("{least}..{most}"),
        _ => "none".into(),
    }
}

/// The middle one of an odd number of values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
