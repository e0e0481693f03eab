//! Every fault of a network at random, from many threads, against a pool and a keyed pool with
//! limits; with callers that discard, detach, stop, panic and run out of time. At the end the books:
//! what became of every lease, and whether threads, descriptors or memory have grown.
//!
//! `cargo run --release --example soak -- --seconds 60`; `-- --help` for the rest.

#[path = "soak/acts.rs"]
mod acts;
#[path = "soak/args.rs"]
mod args;
#[path = "../tests/faults/books.rs"]
mod books;
#[path = "../tests/faults/held.rs"]
mod held;
#[path = "soak/random.rs"]
mod random;
#[allow(dead_code)]
#[path = "../tests/agent/support.rs"]
mod raw;
#[path = "../tests/faults/tls.rs"]
mod tls;
#[path = "soak/weather.rs"]
mod weather;
#[path = "../tests/faults/wire.rs"]
mod wire;

use std::env;
use std::error::Error;
use std::panic;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::agent::AgentPool;
use llm_pool::chat::ChatConfig;
use llm_pool::keyed::KeyedConfig;
use llm_pool::llm::{LlmConfig, LlmPool, Provider};
use llm_pool::{Pool, PoolConfig, Stats};

use acts::{PANIC, Scene, Tally};
use args::{Arguments, HELP};
use books::{Books, problem};
use held::Held;
use random::Random;
use weather::Weather;
use wire::{CASES, Wire};

/// Memory that may be kept for later, whatever the time; a leak in every call is soon more.
const ALLOWED_KIB: usize = 16 << 10;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            eprintln!("soak: {wrong}; see --help");
            return 2.into();
        }
    };
    match run(&arguments) {
        Ok(problems) if problems.is_empty() => {
            println!("the books balance, and nothing has grown");
            ExitCode::SUCCESS
        }
        Ok(problems) => {
            problems.iter().for_each(|problem| eprintln!("soak: {problem}"));
            eprintln!("soak: the seed was {}", arguments.seed);
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Says what happened, and returns what should not have.
fn run(arguments: &Arguments) -> Result<Vec<String>, Box<dyn Error>> {
    let Arguments { time, threads, seed } = *arguments;
    println!("{time:?}, {threads} threads, seed {seed}");
    say_nothing_of_panics_that_are_meant();
    let mut weather = Weather::start()?;
    let wire = Wire::start();
    let scene = Scene {
        agents: agents(&wire, &weather)?,
        models: models(&weather)?,
        wire,
        of_agents: Tally::default(),
        of_models: Tally::default(),
        calls: CASES.iter().map(|_| AtomicU64::new(0)).collect(),
        chats: AtomicU64::new(0),
        chats_answered: AtomicU64::new(0),
        wrong: Mutex::default(),
    };

    // Whatever is made once is made in the first quarter.
    let mut random = Random(seed);
    part(&scene, &mut weather, &mut random, threads, time / 4);
    let before = at_rest(&scene);
    part(&scene, &mut weather, &mut random, threads, time - time / 4);
    let after = at_rest(&scene);

    let mut problems = scene.wrong.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let counts = scene.calls.iter().map(|calls| calls.load(Relaxed));
    let calls: Vec<_> =
        CASES.iter().zip(counts).map(|(it, n)| format!("{} {n}", it.name)).collect();
    println!("faults: {}", calls.join(", "));
    let (chats, answered) = (scene.chats.load(Relaxed), scene.chats_answered.load(Relaxed));
    let restarts = weather.restarts.load(Relaxed);
    println!("models asked {chats} times, answered {answered}; server restarted {restarts} times");
    problems.extend(balance("agents", &scene.agents.stats(), &scene.of_agents));
    problems.extend(balance("models", &scene.models.stats().sum, &scene.of_models));
    if let (Some(before), Some(after)) = (before, after) {
        println!("held: {before} after a quarter of the time, {after} at the end");
        let grown = Held::more_than(before, ALLOWED_KIB, Duration::from_secs(5));
        problems.extend(grown.map(|grown| format!("something has grown: {grown}")));
    }
    Ok(problems)
}

fn agents(wire: &Wire, weather: &Weather) -> Result<AgentPool, Box<dyn Error>> {
    let manager = wire.manager().checking(format!("{}/models", Weather::url(weather.port())))?;
    let config = PoolConfig::default()
        .name("soak")
        .max_size(24)
        .min_idle(2)
        .max_waiting(60)
        .idle_timeout(Duration::from_millis(200))
        .check_interval(Duration::from_millis(100))
        .maintenance_interval(Duration::from_millis(50));
    Ok(Pool::new(config, manager)?)
}

fn models(weather: &Weather) -> Result<LlmPool, Box<dyn Error>> {
    let each = PoolConfig::default()
        .name("soak")
        .max_size(6)
        .min_idle(0)
        .wait_timeout(Duration::from_millis(40))
        .idle_timeout(Duration::from_millis(100))
        .maintenance_interval(Duration::from_millis(50));
    let pools =
        KeyedConfig::default().pool(each).max_pools(4).max_per_host(14).max_total(16).max_open(18);
    let pause = Duration::from_millis(2);
    let chat = ChatConfig::default().max_retries(1).first_pause(pause).max_pause(pause);
    let agents = raw::config().connect_timeout(Duration::from_millis(500));
    let provider = Provider::new(Weather::url(weather.port())).api_key("sk-soak");
    Ok(LlmConfig::default()
        .agents(agents)
        .pools(pools)
        .chat(chat)
        .provider("weather", provider)
        .build()?)
}

/// Panics that are not meant are told, and end the program with the thread's join.
fn say_nothing_of_panics_that_are_meant() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let text = info.payload().downcast_ref::<&str>().copied();
        let text = text.or_else(|| info.payload().downcast_ref::<String>().map(String::as_str));
        if text != Some(PANIC) {
            report(info);
        }
    }));
}

fn part(scene: &Scene, weather: &mut Weather, random: &mut Random, threads: usize, time: Duration) {
    let until = Instant::now() + time;
    thread::scope(|scope| {
        for _ in 0..threads {
            let mut random = Random(random.next());
            scope.spawn(move || {
                while Instant::now() < until {
                    scene.act(&mut random);
                }
            });
        }
        weather.change_until(until, random);
    });
}

/// What is held once all is over: connections that are kept for later are closed.
fn at_rest(scene: &Scene) -> Option<Held> {
    scene.agents.reset();
    scene.models.keys().iter().for_each(|key| _ = scene.models.close_key(key));
    scene.wire.disconnect_all();
    Held::at_rest()
}

/// Prints the books of a pool, and says what is wrong with them.
fn balance(name: &str, stats: &Stats, tally: &Tally) -> Vec<String> {
    // Checks may still be under way.
    let books = Books::of(stats);
    let [asked, turned_away, discarded, detached, failed] =
        [&tally.asked, &tally.turned_away, &tally.discarded, &tally.detached, &tally.failed]
            .map(|count| count.load(Relaxed));
    println!("{name}: {books}; asked {asked} = gets + turned away {turned_away}");
    let mut problems = Vec::new();
    if let Some(problem) = problem(stats) {
        problems.push(format!("{name}: {problem}"));
    }
    if asked != books.gets + turned_away {
        problems.push(format!("{name}: the callers were given {} leases", asked - turned_away));
    }
    if (discarded, detached, failed) != (books.discarded, books.detached, books.failed) {
        problems.push(format!("{name}: the callers have it differently: {tally:?}"));
    }
    problems
}
