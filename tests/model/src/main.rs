//! The pool's locking and hand-off under the model checker `shuttle`, which runs all threads of an
//! execution on one, chooses at every lock, wait and wake-up which goes on, and sees when none can.
//! Each scenario is a few threads with a few steps each, run many times with other choices: by
//! chance, and by PCT, which finds what takes few preemptions (Burckhardt et al., *A Randomized
//! Scheduler with Probabilistic Guarantees of Finding Bugs*, ASPLOS 2010). Every execution ends by
//! checking both laws of the pool.
//!
//! ```text
//! .ci/model                                 all, and the test of the test
//! .ci/model 100000                          so many executions of each scenario
//! .ci/model 5000 time_out                   of one scenario
//! .ci/model replay time_out schedule.txt    one that failed, from the text that was printed then
//! ```
//!
//! An execution that fails prints its schedule between two quotes. Put that in a file to replay it, as
//! often as it takes, with `RUST_BACKTRACE=1` or prints wherever they help.

mod hunt;
mod items;
mod keyed_scene;
mod run;
mod scenarios;
mod scene;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use run::{Ran, Schedules};
use scenarios::Scenario;

/// Of each scenario under each of two schedulers.
const EXECUTIONS: usize = 4000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => check(scenarios::ALL, EXECUTIONS).and(hunt::all()),
        ["replay", name, file] => replay(name, file),
        ["hunt", bug] => hunt::one(bug),
        [count] => check(scenarios::ALL, number(count)),
        [count, name] => named(name).and_then(|scenario| check(&[scenario], number(count))),
        _ => Err("usage: model [executions [scenario]] | replay scenario file".into()),
    }
    .map_or_else(
        |what| {
            eprintln!("model: {what}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or(EXECUTIONS)
}

fn named(name: &str) -> Result<Scenario, String> {
    let found = scenarios::ALL.iter().find(|scenario| scenario.name == name);
    found.copied().ok_or_else(|| {
        let names: Vec<_> = scenarios::ALL.iter().map(|scenario| scenario.name).collect();
        format!("no scenario \"{name}\"; there are {}", names.join(", "))
    })
}

fn replay(name: &str, file: &str) -> Result<(), String> {
    let scenario = named(name)?;
    let schedule = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    run::replay(scenario, schedule.trim().trim_matches('"').trim());
    println!("it does not fail by this schedule");
    Ok(())
}

fn check(scenarios: &[Scenario], executions: usize) -> Result<(), String> {
    let began = Instant::now();
    let all = run::all(scenarios, executions);
    let mut failed = Vec::new();
    row("scenario", ["random", "PCT", "twice", "s"].map(Into::into));
    for &Scenario { name, .. } in scenarios {
        let of = |ran: &&Ran| ran.scenario.name == name;
        failed.extend(all.iter().filter(of).any(|ran| ran.failed).then_some(name));
        row(name, columns(all.iter().filter(of), None));
    }
    row("all", columns(all.iter(), Some(began.elapsed())));
    println!("{} executions", all.iter().map(|ran| ran.executions).sum::<usize>());
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

/// Executions under each scheduler, and the time that they took: the sum, unless it is known.
fn columns<'a>(ran: impl Iterator<Item = &'a Ran> + Clone, took: Option<Duration>) -> [String; 4] {
    let under = |schedules| {
        let ran = ran.clone().filter(|ran| ran.schedules == schedules);
        ran.map(|ran| ran.executions).sum::<usize>().to_string()
    };
    let took = took.unwrap_or_else(|| ran.clone().map(|ran| ran.took).sum());
    let seconds = format!("{:.1}", took.as_secs_f64());
    [under(Schedules::Random), under(Schedules::Pct), under(Schedules::Twice), seconds]
}

fn row(name: &str, [random, pct, twice, seconds]: [String; 4]) {
    println!("{name:<24} {random:>8} {pct:>8} {twice:>6} {seconds:>7}");
}
