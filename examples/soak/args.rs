//! What is asked for on the command line.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub const HELP: &str = "\
Brings every fault of a network on a pool and a keyed pool, at random and from many
threads, and balances the books.

Usage: soak [OPTIONS]

Options:
  --seconds N  for how long, from 1 to 86400 [default: 5]
  --threads N  how many threads call, from 1 to 1000 [default: 64]
  --seed N     the same choices in the same order on every thread [default: of the time]
  --help       print this

Exit status: 0 if the books balance and nothing has grown, 1 if not, 2 if it cannot be
run like this.";

#[derive(Debug)]
pub struct Arguments {
    pub time: Duration,
    pub threads: usize,
    pub seed: u64,
}

impl Arguments {
    /// `None` if help is asked for.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = since.as_micros() as u64;
        let mut arguments = Self { time: Duration::from_secs(5), threads: 64, seed };
        while let Some(word) = words.next() {
            if word == "--help" || word == "-h" {
                return Ok(None);
            }
            let mut number = |least: u64, most: u64| {
                let text = words.next().ok_or(format!("{word} needs a value"))?;
                let number = text.parse().ok().filter(|number| (least..=most).contains(number));
                let range = format!("{word} must be a whole number from {least} to {most}");
                number.ok_or(format!("{range}, and is {text:?}"))
            };
            match word.as_str() {
                "--seconds" => arguments.time = Duration::from_secs(number(1, 86_400)?),
                "--threads" => arguments.threads = number(1, 1000)? as usize,
                "--seed" => arguments.seed = number(0, u64::MAX)?,
                _ => return Err(format!("unknown argument {word:?}")),
            }
        }
        Ok(Some(arguments))
    }
}
