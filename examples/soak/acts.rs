//! What a caller does: takes a lease, calls where something may go wrong, and ends the lease in one
//! way or another. All of it is counted.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use llm_pool::agent::{AgentLease, AgentPool, PooledAgent, hold};
use llm_pool::chat::{ChatError, ChatRequest, ErrorKind};
use llm_pool::keyed::ModelKey;
use llm_pool::llm::LlmPool;
use llm_pool::{GetError, Lease, Manage};
use ureq::Timeout;

use super::random::Random;
use super::wire::{CASES, SHORT, Sees, Wire, seen};

/// What the callers of one pool know of their leases themselves.
#[derive(Debug, Default)]
pub struct Tally {
    pub asked: AtomicU64,
    /// No lease in time, or none to be had at once.
    pub turned_away: AtomicU64,
    pub discarded: AtomicU64,
    pub detached: AtomicU64,
    /// Stopped, or held by a caller that panicked.
    pub failed: AtomicU64,
}

/// All that the callers share.
pub struct Scene {
    pub wire: Wire,
    pub agents: AgentPool,
    pub of_agents: Tally,
    pub models: LlmPool,
    pub of_models: Tally,
    /// Calls by case, in the order of the table.
    pub calls: Vec<AtomicU64>,
    pub chats: AtomicU64,
    pub chats_answered: AtomicU64,
    /// What should not be, a few of it.
    pub wrong: Mutex<Vec<String>>,
}

/// What a caller that is to panic says.
pub const PANIC: &str = "a caller panics";

const MODELS: usize = 6;

impl Scene {
    pub fn act(&self, random: &mut Random) {
        match random.below(100) {
            0 => self.agents.check_all(),
            1 => _ = self.agents.clean_up(),
            2 => _ = self.models.clean_up(),
            3..=60 => self.use_agent(random),
            61..=80 => self.use_client(random),
            _ => self.stream(random),
        }
    }

    fn use_agent(&self, random: &mut Random) {
        self.of_agents.asked.fetch_add(1, Relaxed);
        let time = random.millis(60);
        let got = match random.below(8) {
            0 => self.agents.try_get(),
            1 => self.agents.get_within(time + SHORT),
            _ => self.agents.get_timeout(time),
        };
        let Some(agent) = self.got(got, &self.of_agents) else { return };
        if !self.call(&agent, random) {
            self.of_agents.discarded.fetch_add(1, Relaxed);
            return Lease::discard(agent);
        }
        match random.below(8) {
            0 => self.read_a_part(agent, random),
            1 => self.be_stopped(agent),
            _ => self.end(agent, &self.of_agents, random),
        }
    }

    fn got<L, E>(&self, got: Result<L, GetError<E>>, tally: &Tally) -> Option<L> {
        match got {
            Ok(lease) => return Some(lease),
            Err(
                GetError::Timeout { .. }
                | GetError::Exhausted { .. }
                | GetError::QueueFull { .. }
                | GetError::TooManyKeys { .. }
                | GetError::KeyNotReady { .. },
            ) => _ = tally.turned_away.fetch_add(1, Relaxed),
            Err(_) => {
                tally.turned_away.fetch_add(1, Relaxed);
                self.note("a pool refuses for no reason that there is".to_owned());
            }
        }
        None
    }

    /// A fault, and then a good call by the same agent. False if that did not come to its end: the
    /// connection that the fault has spoilt may then be there still.
    fn call(&self, agent: &PooledAgent, random: &mut Random) -> bool {
        let bounded = agent.remaining().is_some();
        let index = random.below(CASES.len());
        let case = &CASES[index];
        let Some(sees) = self.wire.call(agent, case) else { return true };
        self.calls[index].fetch_add(1, Relaxed);
        let in_time = bounded && sees == Sees::Timeout(Timeout::Global);
        if !case.sees.contains(&sees) && !in_time {
            self.note(format!("{}: {sees:?}, and not {:?}", case.name, case.sees));
        }
        if case.spoils_next {
            self.wire.next_call(agent);
        }
        let good = seen(self.wire.good_call(agent, random.next()).map(|()| 200));
        let in_time = bounded && good == Sees::Timeout(Timeout::Global);
        if good != Sees::Status(200) && !in_time {
            self.note(format!("a good call after {}: {good:?}", case.name));
        }
        good == Sees::Status(200)
    }

    /// A body that keeps its lease, and is dropped or read somewhere in its midst.
    fn read_a_part(&self, lease: AgentLease, random: &mut Random) {
        let url = format!("{}/v1/models", self.wire.good.url());
        let Ok(answer) = lease.get(url).call() else { return };
        let mut body = hold(lease, answer).into_body();
        let _ = std::io::Read::read(&mut body, &mut vec![0; random.below(60)]);
    }

    fn be_stopped(&self, lease: AgentLease) {
        let stopper = lease.stopper();
        let stopping = thread::spawn(move || {
            thread::sleep(Duration::from_millis(1));
            stopper.stop();
        });
        // Whether it is stopped in its midst or before it began.
        if lease.get(format!("{}/stall-before", self.wire.good.url())).call().is_ok() {
            self.note("what was stopped is answered".to_owned());
        }
        let _ = stopping.join();
        self.of_agents.failed.fetch_add(1, Relaxed);
    }

    fn end<M: Manage>(&self, lease: Lease<M>, tally: &Tally, random: &mut Random) {
        match random.below(16) {
            0 => {
                tally.discarded.fetch_add(1, Relaxed);
                Lease::discard(lease);
            }
            1 => {
                tally.detached.fetch_add(1, Relaxed);
                drop(Lease::detach(lease));
            }
            2 => {
                tally.failed.fetch_add(1, Relaxed);
                let _ = catch_unwind(AssertUnwindSafe(|| {
                    let _lease = lease;
                    panic!("{PANIC}");
                }));
            }
            3 => thread::scope(|scope| _ = scope.spawn(|| drop(lease))),
            _ => drop(lease),
        }
    }

    fn use_client(&self, random: &mut Random) {
        self.of_models.asked.fetch_add(1, Relaxed);
        let (key, time) = (self.key(random), random.millis(60));
        let got = match random.below(8) {
            0 => self.models.try_get(&key),
            1 => self.models.get_within(&key, time + SHORT),
            _ => self.models.get_timeout(&key, time),
        };
        let Some(client) = self.got(got, &self.of_models) else { return };
        let word = random.next().to_string();
        let answer = client.chat(ChatRequest::from(&*word).within(SHORT * 2));
        self.look(answer.map(|reply| reply.text().to_owned()), &word);
        self.end(client, &self.of_models, random);
    }

    /// A stream has a lease of its own, and each try another one.
    fn stream(&self, random: &mut Random) {
        let (key, word) = (self.key(random), random.next().to_string());
        let within = SHORT + random.millis(60);
        let stream = match self.models.stream(&key, ChatRequest::from(&*word).within(within)) {
            Ok(stream) => stream,
            Err(error) => {
                let no_more = error.to_string().contains("for another try there was no client");
                let turned_away = no_more || error.kind() == ErrorKind::NoLease;
                let tries = u64::from(error.tries()) + u64::from(no_more);
                self.of_models.asked.fetch_add(tries, Relaxed);
                self.of_models.turned_away.fetch_add(turned_away.into(), Relaxed);
                return self.look(Err(error), &word);
            }
        };
        self.of_models.asked.fetch_add(stream.reply().tries().into(), Relaxed);
        if random.one_in(4) {
            // In its midst.
            let _ = stream.take(random.below(3)).count();
        } else {
            self.look(stream.finish().map(|reply| reply.text().to_owned()), &word);
        }
    }

    /// The server answers well or badly, but nobody is answered what another one asked.
    fn look(&self, answer: Result<String, ChatError>, word: &str) {
        self.chats.fetch_add(1, Relaxed);
        if let Ok(text) = answer {
            self.chats_answered.fetch_add(1, Relaxed);
            if text != format!("You said: {word}") && text != "Not yours." {
                self.note(format!("{word} is answered {text:?}"));
            }
        }
    }

    fn key(&self, random: &mut Random) -> ModelKey {
        ModelKey::new("weather", format!("model-{}", random.below(MODELS)))
    }

    fn note(&self, what: String) {
        let mut wrong = self.wrong.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if wrong.len() < 20 {
            wrong.push(what);
        }
    }
}
