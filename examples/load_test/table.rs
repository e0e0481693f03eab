//! The runs beside each other: a column for each limit.

use std::time::Duration;

use crate::load::{Call, CutShort, End, Phases, Run};

/// Lines for a terminal.
pub fn table(runs: &[Run], requests: usize) -> String {
    let mut table = Table { runs, lines: String::new() };
    table.row("max_per_host", |run| run.cap.to_string());
    table.row("succeeded", |run| format!("{} of {requests}", run.answered().count()));
    table.count("no agent by the deadline", |end| matches!(end, End::NoAgent));
    table.count("cut off by the deadline", |end| matches!(end, End::CutOff));
    if runs.iter().any(|run| run.count(is_other) > 0) {
        table.count("failed otherwise", is_other);
    }
    table.row("took, all together", |run| readable(run.took));
    table.row("wait, mean", |run| mean_wait(run).map_or_else(none, readable));
    table.row("wait, maximum", |run| longest_wait(run).map_or_else(none, readable));
    table.line("of those that succeeded, on average");
    table.phase("  wait", |call, _| call.waited);
    table.phase("  connect", |_, phases| phases.connect);
    table.phase("  first byte", |_, phases| phases.first_byte);
    table.phase("  body", |_, phases| phases.body);
    table.phase("  total", |call, Phases { connect, first_byte, body }| {
        call.waited + connect + first_byte + body
    });
    table.line("");
    for run in runs {
        let cap = run.cap;
        if let Some(CutShort { in_use, waiting, not_begun }) = run.cut_short {
            table.line(&format!(
                "max_per_host {cap}: Ctrl-C, with {in_use} calls under way, {waiting} waiting \
                 and {not_begun} not begun"
            ));
        }
        if let Some(error) = first_error(run) {
            table.line(&format!("max_per_host {cap}: the first other failure: {error}"));
        }
        for advice in advice(run) {
            table.line(&format!("max_per_host {cap}: {advice}"));
        }
    }
    table.lines
}

/// What the pool said of a run, in at least one sentence.
pub fn advice(run: &Run) -> Vec<String> {
    if run.advice.is_empty() {
        return vec!["no limit kept anyone waiting for long".into()];
    }
    run.advice.clone()
}

/// Over all calls, also those that waited in vain.
pub fn mean_wait(run: &Run) -> Option<Duration> {
    mean(run.calls.iter().map(|call| call.waited))
}

pub fn longest_wait(run: &Run) -> Option<Duration> {
    run.calls.iter().map(|call| call.waited).max()
}

fn is_other(end: &End) -> bool {
    matches!(end, End::Failed(_))
}

fn first_error(run: &Run) -> Option<&str> {
    run.calls.iter().find_map(|call| match &call.end {
        End::Failed(error) => Some(error.as_str()),
        _ => None,
    })
}

struct Table<'a> {
    runs: &'a [Run],
    lines: String,
}

impl Table<'_> {
    fn row(&mut self, name: &str, cell: impl Fn(&Run) -> String) {
        let cells: String = self.runs.iter().map(|run| format!("{:>16}", cell(run))).collect();
        self.line(&format!("{name:<26}{cells}"));
    }

    fn count(&mut self, name: &str, of: fn(&End) -> bool) {
        self.row(name, |run| run.count(of).to_string());
    }

    fn phase(&mut self, name: &str, part: impl Fn(&Call, Phases) -> Duration) {
        self.row(name, |run| {
            let times = run.answered().map(|(call, phases)| part(call, phases));
            mean(times).map_or_else(none, readable)
        });
    }

    fn line(&mut self, line: &str) {
        self.lines += line;
        self.lines += "\n";
    }
}

/// `None` of nothing.
fn mean(times: impl Iterator<Item = Duration>) -> Option<Duration> {
    let (mut sum, mut count) = (Duration::ZERO, 0_u32);
    for time in times {
        sum += time;
        count += 1;
    }
    (count > 0).then(|| sum / count)
}

/// In place of the mean of nothing.
fn none() -> String {
    "-".into()
}

/// With a unit that its size asks for.
pub fn readable(time: Duration) -> String {
    match time {
        it if it >= Duration::from_secs(1) => format!("{:.1} s", it.as_secs_f64()),
        it => format!("{:.1} ms", it.as_secs_f64() * 1e3),
    }
}
