//! A load on a server, through a pool: who waited, how long, and where the time went; under one
//! limit or under several.
//!
//! ```sh
//! cargo run --release --example load_test
//! cargo run --release --example load_test -- --compare 30,120,600 --concurrency 500 --deadline 1.2
//! cargo run --release --example load_test -- --help
//! ```

mod args;
mod load;
mod picture;
mod table;
mod target;

use std::env;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use args::{Arguments, HELP};
use load::Interrupt;
use target::Target;

/// The exit status of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    run().unwrap_or_else(|failure| {
        eprintln!("load_test: {failure}");
        match failure {
            Failure::Usage(_) => 2.into(),
            Failure::Io(_) => ExitCode::FAILURE,
        }
    })
}

fn run() -> Result<ExitCode, Failure> {
    let Some(arguments) = Arguments::parse(env::args_os().skip(1)).map_err(Failure::Usage)? else {
        say(HELP)?;
        return Ok(ExitCode::SUCCESS);
    };
    // Each connection to the server inside is two files. Where no more are granted, calls fail and
    // say so.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let target = Target::new(&arguments)?;
    let interrupt = Interrupt::listen().map_err(io::Error::other)?;
    say(&arguments)?;
    let mut runs = Vec::new();
    for &cap in &arguments.caps {
        runs.push(load::run(&arguments, &target, cap, &interrupt)?);
        if interrupt.is_pressed() {
            break;
        }
    }
    say(format_args!("\n{}", table::table(&runs, arguments.requests).trim_end()))?;
    if let Some(file) = &arguments.picture {
        let drawn = picture::picture(&runs, &arguments.to_string());
        let written = drawn.and_then(|drawn| std::fs::write(file, drawn));
        written.map_err(|error| Failure::told(file.display(), error))?;
        say(format_args!("\nthe waits are drawn in {}", file.display()))?;
    }
    Ok(match runs.iter().any(|run| run.answered().next().is_some()) {
        _ if interrupt.is_pressed() => INTERRUPTED.into(),
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn say(what: impl fmt::Display) -> io::Result<()> {
    writeln!(io::stdout(), "{what}")
}

/// Why nothing was measured.
enum Failure {
    /// It cannot be asked for like this.
    Usage(String),
    Io(io::Error),
}

impl Failure {
    fn told(what: impl fmt::Display, error: io::Error) -> Self {
        Self::Io(io::Error::new(error.kind(), format!("{what}: {error}")))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(wrong) => write!(f, "{wrong}; see --help"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
