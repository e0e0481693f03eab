//! The load: threads that ask one question after another, and what became of each.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Barrier, OnceLock};
use std::time::{Duration, Instant};
use std::{io, process, thread};

use indicatif::{ProgressBar, ProgressStyle};
use llm_pool::chat::{ChatError, ChatReply, ErrorKind};
use llm_pool::keyed::ModelKey;
use llm_pool::llm::{Llm, LlmPool};
use llm_pool::{GetError, Lease};

use crate::args::Arguments;
use crate::target::Target;
use crate::{Failure, INTERRUPTED};

/// What came of the load under one limit.
pub struct Run {
    /// The limit: `max_per_host`.
    pub cap: usize,
    pub took: Duration,
    /// Those that ended, in that order.
    pub calls: Vec<Call>,
    /// What the pool advises in the end.
    pub advice: Vec<String>,
    pub cut_short: Option<CutShort>,
}

/// What there was when Ctrl-C came.
pub struct CutShort {
    pub in_use: usize,
    pub waiting: usize,
    pub not_begun: usize,
}

/// What became of one call.
pub struct Call {
    /// When its wait for an agent ended, since the run began.
    pub at: Duration,
    pub waited: Duration,
    pub end: End,
}

pub enum End {
    Answered(Phases),
    /// The deadline came before there was an agent.
    NoAgent,
    /// The deadline came in the call.
    CutOff,
    Failed(String),
}

/// Where the time of a call went that was answered, after its wait.
#[derive(Clone, Copy)]
pub struct Phases {
    pub connect: Duration,
    /// From the connection to the head of the answer.
    pub first_byte: Duration,
    pub body: Duration,
}

impl Run {
    pub fn answered(&self) -> impl Iterator<Item = (&Call, Phases)> {
        self.calls.iter().filter_map(|call| match call.end {
            End::Answered(phases) => Some((call, phases)),
            _ => None,
        })
    }

    pub fn count(&self, of: fn(&End) -> bool) -> usize {
        self.calls.iter().filter(|call| of(&call.end)).count()
    }
}

/// Ctrl-C ends the load, and a second one the program.
pub struct Interrupt(Arc<OnceLock<Instant>>);

/// One press may come twice, by way of the terminal and of a program in between.
const ONE_PRESS: Duration = Duration::from_millis(300);

impl Interrupt {
    pub fn listen() -> Result<Self, ctrlc::Error> {
        let pressed = Arc::<OnceLock<Instant>>::default();
        let heard = pressed.clone();
        // Not in the signal handler itself: `ctrlc` has a thread for this.
        ctrlc::set_handler(move || {
            if heard.get_or_init(Instant::now).elapsed() > ONE_PRESS {
                process::exit(INTERRUPTED.into());
            }
        })?;
        Ok(Self(pressed))
    }

    pub fn is_pressed(&self) -> bool {
        self.0.get().is_some()
    }
}

/// How often the bar is drawn, and Ctrl-C looked for.
const TICK: Duration = Duration::from_millis(50);

/// Virtual memory: a thread uses what it needs of it.
const STACK: usize = 1 << 20;

/// Runs the load under `cap`, until all calls have ended or Ctrl-C is pressed.
pub fn run(
    arguments: &Arguments,
    target: &Target,
    cap: usize,
    interrupt: &Interrupt,
) -> Result<Run, Failure> {
    let requests = arguments.requests;
    let threads = arguments.concurrency.min(requests);
    let pool = target.pool(cap, threads)?;
    let (ended, calls_ended) = mpsc::channel();
    let workers = Arc::new(Workers {
        pool: pool.clone(),
        key: target.key.clone(),
        deadline: arguments.deadline,
        stream: arguments.stream,
        requests,
        begun: AtomicUsize::new(0),
        all_there: Barrier::new(threads + 1),
        start: OnceLock::new(),
    });
    for _ in 0..threads {
        let (workers, ended) = (workers.clone(), ended.clone());
        let thread = thread::Builder::new().stack_size(STACK);
        // Not joined: after Ctrl-C nobody waits for those that have not ended.
        thread.spawn(move || workers.work(&ended)).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot start {threads} threads: {error}"))
        })?;
    }
    drop(ended);
    let bar = bar(cap, requests);
    let began = workers.begin();
    let mut calls = Vec::with_capacity(requests);
    let mut cut_short = None;
    let mut drawn = began;
    loop {
        match calls_ended.recv_timeout(TICK) {
            Ok(call) => calls.push(call),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if interrupt.is_pressed() {
            let now = pool.stats().sum;
            let not_begun = requests.saturating_sub(workers.begun.load(Relaxed));
            cut_short = Some(CutShort { in_use: now.in_use, waiting: now.waiting, not_begun });
            break;
        }
        if drawn.elapsed() >= TICK && !bar.is_hidden() {
            let now = pool.stats().sum;
            bar.set_message(format!("{} in use, {} waiting", now.in_use, now.waiting));
            bar.set_position(calls.len() as u64);
            drawn = Instant::now();
        }
    }
    bar.finish_and_clear();
    let advice = pool.advice().iter().map(ToString::to_string).collect();
    Ok(Run { cap, took: began.elapsed(), calls, advice, cut_short })
}

/// On standard error, if that is a terminal.
fn bar(cap: usize, requests: usize) -> ProgressBar {
    let style = "{prefix} [{bar:30}] {pos} of {len}, {elapsed}, {msg}";
    let style =
        ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(requests as u64).with_style(style.progress_chars("=> "));
    bar.with_prefix(format!("max_per_host {cap}"))
}

/// What the threads share.
struct Workers {
    pool: LlmPool,
    key: ModelKey,
    deadline: Duration,
    stream: bool,
    requests: usize,
    begun: AtomicUsize,
    all_there: Barrier,
    start: OnceLock<Instant>,
}

impl Workers {
    /// Waits for all threads, and says when they began.
    fn begin(&self) -> Instant {
        self.all_there.wait();
        *self.start.get_or_init(Instant::now)
    }

    fn work(&self, ended: &Sender<Call>) {
        let start = self.begin();
        while self.begun.fetch_add(1, Relaxed) < self.requests {
            // Nobody listens any more after Ctrl-C.
            if ended.send(self.call(start)).is_err() {
                return;
            }
        }
    }

    fn call(&self, start: Instant) -> Call {
        let asked = Instant::now();
        let got = self.pool.get_within(&self.key, self.deadline);
        let at = start.elapsed();
        match got {
            Ok(llm) => {
                let waited = Lease::waited(&llm);
                let end = match self.ask(&llm) {
                    Ok(reply) => End::Answered(phases(&reply)),
                    Err(error) if error.kind() == ErrorKind::TimedOut => End::CutOff,
                    Err(error) => End::Failed(error.to_string()),
                };
                Call { at, waited, end }
            }
            Err(GetError::Timeout { waited, .. }) => Call { at, waited, end: End::NoAgent },
            Err(error) => Call { at, waited: asked.elapsed(), end: End::Failed(error.to_string()) },
        }
    }

    fn ask(&self, llm: &Llm) -> Result<ChatReply, ChatError> {
        const QUESTION: &str = "Why pool connections?";
        if self.stream { llm.stream(QUESTION)?.finish() } else { llm.chat(QUESTION) }
    }
}

fn phases(reply: &ChatReply) -> Phases {
    let timing = reply.timing();
    let connect = timing.connecting.unwrap_or_default();
    Phases {
        connect,
        first_byte: timing.first_byte.saturating_sub(connect),
        body: timing.total.saturating_sub(timing.first_byte),
    }
}
