use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::*;
use crate::ManualClock;
use crate::agent::AgentConfig;

/// No wait in a test is longer.
const LIMIT: Duration = Duration::from_secs(20);
const SECS: fn(u64) -> Duration = Duration::from_secs;

type Fetched = Result<Token, ChatError>;

/// Asks the test what to say, each time.
struct Asked {
    asked: Sender<Sender<Fetched>>,
    times: Arc<AtomicUsize>,
}

impl TokenSource for Asked {
    fn fetch(&self, _: &Agent) -> Fetched {
        self.times.fetch_add(1, Ordering::SeqCst);
        let (say, said) = bounded(1);
        self.asked.send(say).unwrap();
        // The test lets go of it to have a panic.
        said.recv_timeout(LIMIT).expect("a panic of the source")
    }
}

/// A token with its source in the test's hand.
struct Stage {
    tokens: Arc<SharedToken>,
    time: ManualClock,
    asked: Receiver<Sender<Fetched>>,
    times: Arc<AtomicUsize>,
}

impl Stage {
    fn new() -> Self {
        let (asking, asked) = unbounded();
        let (time, times) = (ManualClock::new(), Arc::<AtomicUsize>::default());
        let source = Asked { asked: asking, times: times.clone() };
        let agents = AgentManager::new(AgentConfig::default()).unwrap();
        let tokens = SharedToken::with_clock(Arc::new(source), &agents, time.clock());
        Self { tokens: Arc::new(tokens), time, asked, times }
    }

    /// Of an hour, fetched just now.
    fn with_token() -> Self {
        let stage = Self::new();
        let getting = stage.get(None);
        stage.next().send(token("old")).unwrap();
        assert_eq!(text(&getting), "old fresh");
        stage
    }

    /// Gets a token on a thread of its own.
    fn get(&self, remaining: Option<Duration>) -> Receiver<Result<Sendable, ChatError>> {
        let (done, result) = bounded(1);
        let tokens = self.tokens.clone();
        thread::spawn(move || done.send(tokens.get(remaining)));
        result
    }

    /// The source is asked.
    fn next(&self) -> Sender<Fetched> {
        self.asked.recv_timeout(LIMIT).unwrap()
    }

    fn times(&self) -> usize {
        self.times.load(Ordering::SeqCst)
    }

    /// Until so many wait for the token of somebody else.
    fn until_waiting(&self, threads: usize) {
        let began = Instant::now();
        while self.tokens.state.lock().waiting != threads {
            assert!(began.elapsed() < LIMIT, "they never waited");
            thread::yield_now();
        }
    }
}

fn token(secret: &str) -> Fetched {
    Ok(Token::new(secret).expires_in(SECS(3600)))
}

fn failure() -> ChatError {
    ChatError::new(ErrorKind::RateLimited, "not now")
        .with_code("7".to_owned())
        .with_retry_after(SECS(9))
}

/// What came of a get.
fn text(getting: &Receiver<Result<Sendable, ChatError>>) -> String {
    match getting.recv_timeout(LIMIT).unwrap() {
        Ok(Sendable { value, fresh }) => {
            let secret = value.to_str().unwrap().strip_prefix("Bearer ").unwrap();
            format!("{secret}{}", if fresh { " fresh" } else { "" })
        }
        Err(error) => format!("{:?}", error.kind()),
    }
}

#[test]
fn a_token_that_comes_again_and_again_does_not_make_others_be_forgotten() {
    let stage = Stage::new();
    for secret in ["of-yesterday"].into_iter().chain(["again"; 2 * KNOWN]) {
        let getting = stage.get(None);
        stage.next().send(token(secret)).unwrap();
        assert_eq!(text(&getting), format!("{secret} fresh"));
        stage.time.advance(SECS(3600));
    }
    assert_eq!(stage.tokens.hidden("not with of-yesterday".to_owned()), "not with ***");
}

#[test]
fn twenty_threads_cost_one_fetch() {
    let stage = Stage::new();
    let getting: Vec<_> = (0..20).map(|_| stage.get(None)).collect();
    let say = stage.next();
    stage.until_waiting(19);
    say.send(token("new")).unwrap();
    for result in &getting {
        assert_eq!(text(result), "new fresh");
    }
    assert_eq!(stage.times(), 1);
    assert_eq!(text(&stage.get(None)), "new");
}

#[test]
fn one_thread_renews_ahead_while_the_others_go_on_with_the_old_token() {
    let stage = Stage::with_token();
    stage.time.advance(SECS(3539));
    assert_eq!(text(&stage.get(None)), "old");
    stage.time.advance(SECS(1));
    let renewing = stage.get(None);
    let say = stage.next();
    for _ in 0..5 {
        assert_eq!(text(&stage.get(None)), "old");
    }
    say.send(token("new")).unwrap();
    assert_eq!(text(&renewing), "new fresh");
    assert_eq!(text(&stage.get(None)), "new");
    assert_eq!(stage.times(), 2);
}

#[test]
fn a_failed_early_renewal_keeps_the_old_token_and_rests() {
    let stage = Stage::with_token();
    stage.time.advance(SECS(3540));
    let renewing = stage.get(None);
    stage.next().send(Err(failure())).unwrap();
    assert_eq!(text(&renewing), "old");
    assert_eq!(text(&stage.get(None)), "old");
    assert_eq!(stage.times(), 2);
    stage.time.advance(REST);
    let renewing = stage.get(None);
    stage.next().send(token("new")).unwrap();
    assert_eq!(text(&renewing), "new fresh");
}

#[test]
fn an_early_renewal_leaves_its_caller_half_of_the_time() {
    struct Slow(Sender<Duration>);
    impl TokenSource for Slow {
        fn fetch(&self, agent: &Agent) -> Fetched {
            let began = Instant::now();
            // Accepted by the system and answered by nobody.
            let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}", silent.local_addr().unwrap());
            let error = agent.get(url).call().unwrap_err();
            self.0.send(began.elapsed()).unwrap();
            Err(ChatError::new(ErrorKind::TimedOut, error))
        }
    }
    let (took, taken) = unbounded();
    let (time, agents) = (ManualClock::new(), AgentManager::new(AgentConfig::default()).unwrap());
    let tokens = SharedToken::with_clock(Arc::new(Slow(took)), &agents, time.clock());
    let good = |secret: &str, now: Time| Good {
        value: Arc::new(HeaderValue::from_str(secret).unwrap()),
        renew_at: now,
        until: now.after(SECS(60)),
    };
    tokens.state.lock().good = Some(good("Bearer old", time.clock().now()));
    let sendable = tokens.get(Some(Duration::from_millis(400))).unwrap();
    assert_eq!(
        (&*sendable.value, sendable.fresh),
        (&HeaderValue::from_static("Bearer old"), false)
    );
    let took = taken.recv().unwrap();
    assert!(took >= Duration::from_millis(190) && took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn a_token_refused_during_its_renewal_does_not_come_back() {
    let stage = Stage::with_token();
    stage.time.advance(SECS(3540));
    let refused = stage.tokens.state.lock().good.clone().unwrap().value;
    let renewing = stage.get(None);
    let say = stage.next();
    stage.tokens.refused(&refused);
    let waiting = stage.get(None);
    stage.until_waiting(1);
    say.send(Err(failure())).unwrap();
    assert_eq!(text(&renewing), "RateLimited");
    assert_eq!(text(&waiting), "RateLimited");
    let getting = stage.get(None);
    stage.next().send(token("new")).unwrap();
    assert_eq!(text(&getting), "new fresh");
}

#[test]
fn once_a_token_is_over_all_wait_for_one_fetch() {
    let stage = Stage::with_token();
    stage.time.advance(SECS(3600));
    let getting: Vec<_> = (0..5).map(|_| stage.get(None)).collect();
    let say = stage.next();
    stage.until_waiting(4);
    say.send(token("new")).unwrap();
    assert!(getting.iter().all(|result| text(result) == "new fresh"));
    assert_eq!(stage.times(), 2);
}

#[test]
fn a_token_that_ends_during_its_renewal_is_waited_for() {
    let stage = Stage::with_token();
    stage.time.advance(SECS(3590));
    let renewing = stage.get(None);
    let say = stage.next();
    stage.time.advance(SECS(10));
    let waiting = stage.get(None);
    stage.until_waiting(1);
    say.send(Err(failure())).unwrap();
    assert_eq!([text(&renewing), text(&waiting)], ["RateLimited", "RateLimited"]);
}

#[test]
fn those_who_waited_share_a_failure_and_the_next_caller_tries_anew() {
    let stage = Stage::new();
    let getting: Vec<_> = (0..5).map(|_| stage.get(None)).collect();
    let say = stage.next();
    stage.until_waiting(4);
    say.send(Err(failure())).unwrap();
    for result in getting {
        let error = result.recv_timeout(LIMIT).unwrap().err().unwrap();
        assert_eq!((error.code(), error.retry_after()), (Some("7"), Some(SECS(9))));
        assert_eq!((error.kind(), error.message()), (ErrorKind::RateLimited, "not now"));
    }
    assert_eq!(stage.times(), 1);
    let next = stage.get(None);
    stage.next().send(token("new")).unwrap();
    assert_eq!(text(&next), "new fresh");
}

#[test]
fn a_waiter_keeps_to_its_own_deadline() {
    let stage = Stage::new();
    let fetching = stage.get(None);
    let say = stage.next();
    let waiting = stage.get(Some(SECS(5)));
    stage.until_waiting(1);
    stage.time.advance(SECS(4));
    assert!(waiting.try_recv().is_err());
    stage.time.advance(SECS(1));
    assert_eq!(text(&waiting), "TimedOut");
    say.send(token("new")).unwrap();
    assert_eq!(text(&fetching), "new fresh");
}

#[test]
fn who_runs_out_of_time_while_fetching_fails_nobody_else() {
    let stage = Stage::new();
    let hurried = stage.get(Some(SECS(1)));
    let say = stage.next();
    let patient = stage.get(Some(SECS(60)));
    stage.until_waiting(1);
    stage.time.advance(SECS(1));
    say.send(Err(ChatError::new(ErrorKind::TimedOut, "too late"))).unwrap();
    assert_eq!(text(&hurried), "TimedOut");
    stage.next().send(token("new")).unwrap();
    assert_eq!(text(&patient), "new fresh");
}

#[test]
fn a_source_that_panics_frees_the_next_caller() {
    let stage = Stage::new();
    let getting = stage.get(None);
    let say = stage.next();
    let waiting = stage.get(None);
    stage.until_waiting(1);
    drop(say);
    let error = getting.recv_timeout(LIMIT).unwrap().err().unwrap();
    assert!(error.message().contains("panicked"), "{error}");
    assert_eq!(text(&waiting), "Unauthorized");
    let next = stage.get(None);
    stage.next().send(token("new")).unwrap();
    assert_eq!(text(&next), "new fresh");
}

#[test]
fn a_refused_token_is_forgotten_unless_there_is_a_newer_one() {
    let stage = Stage::with_token();
    let old = stage.tokens.state.lock().good.clone().unwrap().value;
    stage.tokens.refused(&old);
    let getting = stage.get(None);
    stage.next().send(token("new")).unwrap();
    assert_eq!(text(&getting), "new fresh");
    stage.tokens.refused(&old);
    assert_eq!(text(&stage.get(None)), "new");
    assert_eq!(stage.times(), 2);
}

#[test]
fn a_short_life_is_used_for_its_first_half_and_none_known_for_ever() {
    let stage = Stage::new();
    let getting = stage.get(None);
    stage.next().send(Ok(Token::new("short").expires_in(SECS(20)))).unwrap();
    assert_eq!(text(&getting), "short fresh");
    stage.time.advance(SECS(9));
    assert_eq!(text(&stage.get(None)), "short");
    stage.time.advance(SECS(1));
    let renewing = stage.get(None);
    stage.next().send(Ok(Token::new("endless").expires_in(Duration::ZERO))).unwrap();
    assert_eq!(text(&renewing), "endless fresh");
    stage.time.advance(SECS(1_000_000_000));
    assert_eq!(text(&stage.get(None)), "endless");
}

#[test]
fn what_is_no_header_is_refused_without_showing_it() {
    for bad in ["s3cr3t\n", "s3cr3t-ключ"] {
        let stage = Stage::new();
        let getting = stage.get(None);
        stage.next().send(token(bad)).unwrap();
        let error = getting.recv_timeout(LIMIT).unwrap().err().unwrap();
        assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error}");
    }
    assert!(!format!("{:?}", Token::new("s3cr3t")).contains("s3cr3t"));
}

#[test]
fn many_threads_with_tokens_that_end_and_fail_all_come_back() {
    struct Fickle(AtomicUsize);
    impl TokenSource for Fickle {
        fn fetch(&self, _: &Agent) -> Fetched {
            match self.0.fetch_add(1, Ordering::SeqCst) % 4 {
                0 => Err(failure()),
                1 => panic!("a panic of the source"),
                _ => Ok(Token::new("good").expires_in(Duration::from_micros(50))),
            }
        }
    }
    let agents = AgentManager::new(AgentConfig::default()).unwrap();
    let source = Arc::new(Fickle(AtomicUsize::new(0)));
    let tokens = SharedToken::with_clock(source.clone(), &agents, Clock::system());
    let (barrier, good) = (Barrier::new(8), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..50 {
                    match tokens.get(Some(LIMIT)) {
                        Ok(_) => drop(good.fetch_add(1, Ordering::SeqCst)),
                        Err(error) => assert_ne!(error.kind(), ErrorKind::TimedOut, "{error}"),
                    }
                }
            });
        }
    });
    assert!(good.into_inner() > 0);
    assert!(!tokens.state.lock().fetching);
}
