//! The test of the test: bugs that were planted must be found, each in few executions, and by what
//! it does wrong.

use std::env;
use std::process::Command;

use llm_pool::Bug;

use crate::run::{self, Schedules};
use crate::scenarios::{Scenario, creating, ending, waiting};

/// A bug that is not found in so many executions is not found.
const EXECUTIONS: usize = 2000;

struct Hunt {
    name: &'static str,
    bug: Bug,
    scenario: Scenario,
}

const HUNTS: &[Hunt] = &[
    Hunt { name: "lost_wake_up", bug: Bug::LostWakeUp, scenario: ending::DISCARD },
    Hunt { name: "lost_hand_off", bug: Bug::LostHandOff, scenario: waiting::TIME_OUT },
    Hunt { name: "lost_slot", bug: Bug::LostSlot, scenario: creating::PANIC },
];

/// What the checker, or a law, says of who waits for what never comes. That no other failure of a
/// scenario is taken for a find.
const SYMPTOMS: [&str; 3] = ["deadlock!", "exceeded max_steps", "nothing is made for a waiter"];

/// Each in a process of its own: what a failed execution prints and leaves behind is no matter here.
pub fn all() -> Result<(), String> {
    for hunt in HUNTS {
        let program = env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        let output = command.args(["hunt", hunt.name]).env("RUST_BACKTRACE", "0").output();
        let output = output.map_err(|error| error.to_string())?;
        let (found, said) = (
            String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            String::from_utf8_lossy(&output.stderr),
        );
        let name = hunt.name;
        if found.is_empty() {
            return Err(format!("planted {name}: not found:\n{said}"));
        }
        let Some(symptom) = SYMPTOMS.into_iter().find(|symptom| said.contains(symptom)) else {
            return Err(format!("planted {name}: found, but not by what it does:\n{said}"));
        };
        println!("planted {name:<14} {found}: {symptom}");
    }
    Ok(())
}

/// Says on its output how it was found, and nothing if it was not.
pub fn one(name: &str) -> Result<(), String> {
    let hunt = HUNTS.iter().find(|hunt| hunt.name == name).ok_or("no such bug")?;
    let (bug, mut found) = (hunt.bug, Vec::new());
    for schedules in [Schedules::Random, Schedules::Pct] {
        let ran = run::one_with(hunt.scenario, schedules, EXECUTIONS, move || bug.plant());
        if !ran.failed {
            return Err(format!("{schedules:?} does not find it in {EXECUTIONS} executions"));
        }
        found.push(format!("{schedules:?} finds it in execution {}", ran.executions));
    }
    println!("{}", found.join(", "));
    Ok(())
}
