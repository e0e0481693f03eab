//! Runs scenarios under the checker's schedulers.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use shuttle::scheduler::{
    PctScheduler, RandomScheduler, ReplayScheduler, Scheduler,
    UncontrolledNondeterminismCheckScheduler,
};
use shuttle::{Config, MaxSteps, Runner};

use crate::scenarios::Scenario;

/// Far beyond what any scenario takes: who takes more goes round for ever.
const MOST_STEPS: usize = 50_000;
/// Preemptions at most that a bug of the second scheduler's kind takes, and one.
const DEPTH: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedules {
    Random,
    /// Probabilistic concurrency testing.
    Pct,
    /// Random ones, each run again by its schedule: else a failure could not be replayed.
    Twice,
}

/// What one scenario came to under one scheduler.
pub struct Ran {
    pub scenario: Scenario,
    pub schedules: Schedules,
    pub executions: usize,
    pub took: Duration,
    pub failed: bool,
}

/// Runs all of them, on as many threads as there are cores.
pub fn all(scenarios: &[Scenario], executions: usize) -> Vec<Ran> {
    let mut jobs: Vec<_> = scenarios
        .iter()
        .flat_map(|&scenario| {
            [
                (scenario, Schedules::Random, executions),
                (scenario, Schedules::Pct, executions),
                (scenario, Schedules::Twice, executions / 20),
            ]
        })
        .collect();
    jobs.reverse();
    let (jobs, done) = (Mutex::new(jobs), Mutex::new(Vec::new()));
    let cores = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let job = jobs.lock().expect("nothing panics under it").pop();
                    let Some((scenario, schedules, executions)) = job else { return };
                    let ran = one(scenario, schedules, executions);
                    done.lock().expect("nothing panics under it").push(ran);
                }
            });
        }
    });
    done.into_inner().expect("nothing panics under it")
}

/// Runs one, on a thread of its own, since a failed execution leaves the thread unwell.
pub fn one(scenario: Scenario, schedules: Schedules, executions: usize) -> Ran {
    one_with(scenario, schedules, executions, || {})
}

/// The same once that thread has run `prepare`.
pub fn one_with(
    scenario: Scenario,
    schedules: Schedules,
    executions: usize,
    prepare: impl FnOnce() + Send + 'static,
) -> Ran {
    let (began, count) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let counted = count.clone();
    let ran = thread::spawn(move || {
        prepare();
        match schedules {
            Schedules::Random => run(RandomScheduler::new(executions), scenario, counted),
            Schedules::Pct => run(PctScheduler::new(DEPTH, executions), scenario, counted),
            Schedules::Twice => {
                let schedules = RandomScheduler::new(executions / 2);
                let twice = UncontrolledNondeterminismCheckScheduler::new(schedules);
                run(twice, scenario, counted);
            }
        }
    });
    let failed = ran.join().is_err();
    Ran { scenario, schedules, executions: count.load(SeqCst), took: began.elapsed(), failed }
}

/// Runs one by a schedule that failed.
pub fn replay(scenario: Scenario, schedule: &str) {
    run(ReplayScheduler::new_from_encoded(schedule), scenario, Arc::default());
}

fn run(scheduler: impl Scheduler + 'static, scenario: Scenario, count: Arc<AtomicUsize>) {
    let mut config = Config::new();
    config.stack_size = 128 * 1024;
    config.max_steps = MaxSteps::FailAfter(MOST_STEPS);
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(move || {
        count.fetch_add(1, SeqCst);
        (scenario.run)();
    });
}
