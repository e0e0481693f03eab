//! What is asked for on the command line.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub const HELP: &str = "\
Asks a model from many threads at one time, through a pool, and says who waited and how long.

Usage: load_test [OPTIONS]

Options:
  --concurrency N      threads, of which each makes one call after another [default: 100]
  --requests N         calls in all [default: two for each thread]
  --max-per-host N     the pool's limit: calls at one time [default: 30]
  --compare N,N,...    the same load under several limits, one after another, shown together
  --deadline SECS      how long a call has, its wait included [default: 30]
  --stream             ask for streams, and read them to their end
  --picture FILE.svg   draw the waits: over time, and how they are distributed
  --url BASE           whom to ask, such as https://api.example.com/v1, with the key in
                       OPENAI_API_KEY if it is set; without it, a server inside this program
  --model MODEL        which model; needed with --url
  --answer SECS        how long the server inside takes for an answer [default: 0.4]
  --help               print this

SECS may have a fraction, such as 1.5. Ctrl-C prints, and draws, what there is so far.
Without --picture no file is written.

Exit status: 0 if any call succeeded, 1 if none did, 2 for wrong arguments, 130 after Ctrl-C.";

/// More would be lost in a picture, and in a table wider than a terminal.
const MOST_COMPARED: usize = 6;

/// What the command line says.
#[derive(Debug)]
pub struct Arguments {
    /// `None` for the server inside this program.
    pub server: Option<Server>,
    pub concurrency: usize,
    pub requests: usize,
    /// The limits to try, one after another.
    pub caps: Vec<usize>,
    pub deadline: Duration,
    pub stream: bool,
    pub picture: Option<PathBuf>,
    pub answer: Duration,
}

#[derive(Debug)]
pub struct Server {
    pub url: String,
    pub model: String,
}

impl Arguments {
    /// `None` if help is asked for.
    pub fn parse(words: impl Iterator<Item = OsString>) -> Result<Option<Self>, String> {
        let words = words.map(|word| {
            word.into_string().map_err(|word| format!("{} is not UTF-8", word.to_string_lossy()))
        });
        let words = words.collect::<Result<Vec<_>, _>>()?;
        let mut words = words.into_iter();
        let (mut url, mut model, mut picture, mut answer) = (None, None, None, None);
        let (mut requests, mut cap, mut compare) = (None, None, None);
        let (mut concurrency, mut deadline, mut stream) = (100, Duration::from_secs(30), false);
        while let Some(word) = words.next() {
            let mut value = || {
                let value = words.next().filter(|value| !value.trim().is_empty());
                value.ok_or(format!("{word} needs a value"))
            };
            match word.as_str() {
                "--help" | "-h" => return Ok(None),
                "--url" => url = Some(value()?),
                "--model" => model = Some(value()?),
                "--concurrency" => concurrency = count(&word, &value()?, 10_000)?,
                "--requests" => requests = Some(count(&word, &value()?, 10_000_000)?),
                "--max-per-host" => cap = Some(count(&word, &value()?, MOST_CAP)?),
                "--compare" => compare = Some(caps(&word, &value()?)?),
                "--deadline" => deadline = seconds(&word, &value()?)?,
                "--answer" => answer = Some(seconds(&word, &value()?)?),
                "--stream" => stream = true,
                "--picture" => picture = Some(svg(&word, value()?.into())?),
                option if option.starts_with('-') => {
                    return Err(format!("unknown option {option}"));
                }
                _ => return Err(format!("{word:?} belongs to no option")),
            }
        }
        if compare.is_some() && cap.is_some() {
            return Err("--compare takes the place of --max-per-host: give one of them".into());
        }
        if url.is_some() && answer.is_some() {
            return Err("--answer is for the server inside this program, and not for --url".into());
        }
        let server = match (url, model) {
            (Some(url), Some(model)) => Some(Server { url, model }),
            (Some(_), None) => return Err("--url needs --model".into()),
            (None, Some(_)) => return Err("--model needs --url".into()),
            (None, None) => None,
        };
        Ok(Some(Self {
            server,
            concurrency,
            requests: requests.unwrap_or(2 * concurrency),
            caps: compare.unwrap_or_else(|| vec![cap.unwrap_or(30)]),
            deadline,
            stream,
            picture,
            answer: answer.unwrap_or(Duration::from_millis(400)),
        }))
    }
}

const MOST_CAP: usize = 100_000;

fn count(option: &str, text: &str, most: usize) -> Result<usize, String> {
    match text.trim().parse() {
        Ok(count) if (1..=most).contains(&count) => Ok(count),
        _ => Err(format!("{option} must be a whole number of 1 to {most}, and is {text:?}")),
    }
}

fn caps(option: &str, text: &str) -> Result<Vec<usize>, String> {
    let mut caps = Vec::new();
    for cap in text.split(',') {
        let cap = count(&format!("each number of {option}"), cap, MOST_CAP)?;
        if caps.contains(&cap) {
            return Err(format!("{option} has {cap} twice"));
        }
        caps.push(cap);
    }
    match caps.len() {
        0..=MOST_COMPARED => Ok(caps),
        many => Err(format!("{option} takes up to {MOST_COMPARED} numbers, and has {many}")),
    }
}

fn seconds(option: &str, text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok().filter(|it| (0.001..=86_400.0).contains(it));
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.ok_or(format!("{option} must be 0.001 to 86400 seconds, and is {text:?}"))
}

/// Told before the load begins, not after it.
fn svg(option: &str, file: PathBuf) -> Result<PathBuf, String> {
    if !file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svg")) {
        return Err(format!("{option} must end with .svg, and is {file:?}"));
    }
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            Err(format!("{option}: there is no folder {folder:?}"))
        }
        _ => Ok(file),
    }
}

impl fmt::Display for Arguments {
    /// What the load is, on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, concurrency, deadline, .. } = self;
        let what = if self.stream { "streams" } else { "calls" };
        write!(
            f,
            "{requests} {what} of {concurrency} threads, each with {deadline:?} for wait and answer"
        )?;
        match &self.server {
            Some(server) => write!(f, ", of {}", server.model),
            None => write!(f, "; answers take {:?}", self.answer),
        }
    }
}
