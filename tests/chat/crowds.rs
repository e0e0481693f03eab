//! Many threads through few clients, while connections close, servers refuse and streams are
//! dropped.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use llm_pool::chat::{ChatConfig, ChatRequest, ErrorKind, Seen};
use llm_pool::llm::{LlmPool, Provider};
use llm_pool::test_server::{Fault, Reply, TestServer};

use crate::hostile::GOOD;
use crate::raw::{Server, ok, read_whole};
use crate::support::*;
use crate::*;

const CLIENTS: usize = 8;

fn wide(url: String, chat: ChatConfig) -> LlmPool {
    let pools = KeyedConfig::default().pool(PoolConfig::default().max_size(CLIENTS).min_idle(0));
    let agents = AgentConfig::default().proxy(Proxy::Direct);
    let config = LlmConfig::default().pools(pools).agents(agents).chat(chat);
    config.provider("test", Provider::new(url).check(None)).build().unwrap()
}

/// All that `work` makes of the numbers, each on a thread of its own.
fn on_threads<T: Send + 'static>(
    count: usize,
    work: impl Fn(usize) -> T + Send + Sync + 'static,
) -> Vec<T> {
    let work = Arc::new(work);
    let spawned = |number| {
        let work = work.clone();
        spawn(move || work(number))
    };
    let tasks: Vec<_> = (0..count).map(spawned).collect();
    tasks.into_iter().map(|task| task.result()).collect()
}

#[test]
fn two_hundred_threads_stream_and_drop_and_fail_and_nobody_gets_anothers_text() {
    let server = TestServer::builder().remember(0).start().unwrap();
    let pool = wide(format!("{}/v1", server.url()), chat_config().max_retries(0));
    for fault in [
        Fault::CloseBeforeAnswer,
        Fault::CloseDuringAnswer,
        Fault::ResetDuringAnswer,
        Fault::GarbageStatusLine,
        Fault::CloseAfterAnswer,
    ] {
        // Among the good ones, at any time.
        for _ in 0..8 {
            server.plan(Reply::ok().times(9));
            server.plan(Reply::fault(fault));
        }
    }
    server.plan(Reply::status(429).times(10));
    server.plan(Reply::ok().error_mid_stream("overheated").times(10));
    let handle = pool.clone();
    let outcomes = on_threads(200, move |number| {
        let (mut finished, mut failed) = (0, 0);
        for round in 0..3 {
            let words = if (number + round) % 11 == 0 { 4000 } else { 5 };
            let asked = format!("{number}-{round} {}", "word ".repeat(words)).trim().to_owned();
            let expected = format!("You said: {asked}");
            match handle.stream(&key(), asked.as_str()) {
                Ok(mut stream) => match (number * 7 + round) % 4 {
                    0 => drop(stream),
                    1 => {
                        let first = stream.next();
                        let said = stream.reply().into_text();
                        assert!(expected.starts_with(&said), "{said} {first:?}");
                    }
                    _ => match stream.finish() {
                        Ok(reply) => {
                            assert_eq!(reply.text(), expected);
                            finished += 1;
                        }
                        Err(error) => {
                            assert!(expected.starts_with(error.text_so_far()), "{error:?}");
                            failed += 1;
                        }
                    },
                },
                Err(error) => {
                    assert!(error.kind() != ErrorKind::NoLease, "{error}");
                    failed += 1;
                }
            }
        }
        (finished, failed)
    });
    let finished: usize = outcomes.iter().map(|it| it.0).sum();
    let failed: usize = outcomes.iter().map(|it| it.1).sum();
    assert!(finished >= 200 && failed >= 10 && finished + failed <= 600, "{finished} {failed}");
    eventually(|| in_use(&pool) == 0);
    let stats = pool.stats().sum;
    assert!(stats.created <= CLIENTS as u64 && stats.waiting == 0, "{stats}");
    // One a client, and one more for each that a drop or a fault closed.
    assert!(server.stats().connections < 600, "{:?}", server.stats());
    server.clear_plan();
    let before = server.stats().connections;
    for _ in 0..20 {
        assert_eq!(pool.chat(&key(), "still there?").unwrap().text(), "You said: still there?");
    }
    assert!(server.stats().connections <= before + 1, "{:?}", server.stats());
}

const CHATS: &str = "/v1/chat/completions";

#[test]
fn a_storm_of_refusals_is_sent_what_the_tries_allow_and_no_more() {
    let server = TestServer::builder().remember(0).start().unwrap();
    server.plan(Reply::status(503).at(CHATS).times(300));
    let pool = wide(format!("{}/v1", server.url()), chat_config());
    let handle = pool.clone();
    let errors = on_threads(100, move |number| {
        let request = ChatRequest::from(format!("number {number}")).within(secs(15));
        handle.chat(&key(), request).unwrap_err()
    });
    for error in &errors {
        assert_eq!((error.status(), error.tries()), (Some(503), 3), "{error}");
    }
    assert_eq!(server.stats().requests, 300);
    assert_eq!(in_use(&pool), 0);
}

#[test]
fn a_storm_that_passes_is_outlived_by_those_who_may_try_often_enough() {
    let server = TestServer::builder().remember(0).start().unwrap();
    server.plan(Reply::status(503).at(CHATS).times(300));
    let pool = wide(format!("{}/v1", server.url()), chat_config().max_retries(300));
    let handle = pool.clone();
    let began = Instant::now();
    let replies = on_threads(100, move |number| {
        let request = ChatRequest::from(format!("number {number}")).within(secs(15));
        let reply = handle.chat(&key(), request).unwrap();
        assert_eq!(reply.text(), format!("You said: number {number}"));
        u64::from(reply.tries())
    });
    assert_eq!(replies.iter().sum::<u64>(), 400, "what is told is what was sent");
    assert_eq!(server.stats().requests, 400);
    assert!(began.elapsed() < secs(15));
    assert!(server.stats().connections <= CLIENTS as u64, "{:?}", server.stats());
}

#[test]
fn a_storm_does_not_outlast_the_deadline() {
    let server = TestServer::builder().remember(0).start().unwrap();
    server.set_reply(Reply::status(503).at(CHATS));
    let chat = chat_config().max_retries(u32::MAX).first_pause(millis(20)).max_pause(millis(50));
    let pool = wide(format!("{}/v1", server.url()), chat);
    let handle = pool.clone();
    let told = on_threads(100, move |_| {
        let began = Instant::now();
        let request = ChatRequest::new(hi().to_vec()).within(millis(400));
        let error = handle.chat(&key(), request).unwrap_err();
        let took = began.elapsed();
        // More than what is promised is for a machine that is busy.
        assert!(took < millis(400) + secs(1), "{took:?}");
        match error.kind() {
            ErrorKind::NoLease => error.tries() - 1,
            _ => error.tries(),
        }
    });
    let sent = server.stats().requests;
    assert!(u64::from(told.iter().sum::<u32>()) >= sent && sent > 0, "{told:?} {sent}");
    eventually(|| in_use(&pool) == 0);
}

/// How often each question was read by the server.
type Asked = Arc<Mutex<HashMap<String, usize>>>;

/// Closes a connection after every third answer; with `reads_on`, only once it has read one more
/// request.
fn closing(reads_on: bool) -> (Server, Asked) {
    let asked = Asked::default();
    let seen = asked.clone();
    let server = Server::accept(move |mut stream| {
        for number in 0.. {
            if number == 3 && !reads_on {
                return Ok(());
            }
            let Some((_, body)) = read_whole(&mut stream)? else { return Ok(()) };
            let body: serde_json::Value = serde_json::from_slice(&body)?;
            let question = body["messages"][0]["content"].as_str().unwrap().to_owned();
            *seen.lock().unwrap().entry(question.clone()).or_default() += 1;
            if number == 3 {
                return Ok(());
            }
            ok(&mut stream, &GOOD.replace("Good.", &question))?;
        }
        Ok(())
    });
    (server, asked)
}

fn question(number: usize, round: usize) -> String {
    format!("question {number} of round {round}")
}

#[test]
fn connections_that_close_between_two_requests_cost_nobody_a_try_or_a_second_request() {
    let (server, asked) = closing(false);
    let pool = wide(server.url(""), chat_config().max_retries(0));
    let handle = pool.clone();
    on_threads(40, move |number| {
        for round in 0..5 {
            let asked = question(number, round);
            let reply = handle.chat(&key(), asked.as_str()).unwrap();
            assert_eq!((reply.text(), reply.tries()), (&*asked, 1));
        }
    });
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 200);
    assert!(asked.values().all(|times| *times == 1), "{asked:?}");
    assert_eq!(in_use(&pool), 0);
}

#[test]
fn connections_that_close_on_a_request_have_it_sent_twice_unless_that_is_not_wanted() {
    for retry_stale in [true, false] {
        let (server, asked) = closing(true);
        let chat = chat_config().max_retries(0).retry_stale(retry_stale);
        let pool = wide(server.url(""), chat);
        let handle = pool.clone();
        let failed: usize = on_threads(40, move |number| {
            let asked = |round| question(number, round);
            let answered = |round| match handle.chat(&key(), asked(round).as_str()) {
                Ok(reply) => {
                    assert_eq!(reply.text(), asked(round));
                    true
                }
                Err(error) => {
                    let told = (error.kind(), error.seen(), error.tries());
                    assert_eq!(told, (ErrorKind::Broken, Seen::Maybe, 1), "{error}");
                    false
                }
            };
            (0..5).filter(|round| !answered(*round)).count()
        })
        .into_iter()
        .sum();
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len(), 200, "each was read");
        let twice = asked.values().filter(|times| **times == 2).count();
        assert!(asked.values().all(|times| *times <= 2), "{asked:?}");
        // One after three answers of a connection.
        let closed = if retry_stale { twice } else { failed };
        assert_eq!(if retry_stale { failed } else { twice }, 0);
        assert!((30..=70).contains(&closed), "{closed}");
        assert_eq!(in_use(&pool), 0);
    }
}

#[test]
fn a_stale_connection_of_a_stream_costs_no_try_either() {
    let read = Arc::new(AtomicUsize::new(0));
    let count = read.clone();
    let server = Server::accept(move |mut stream| {
        for number in 0.. {
            if read_whole(&mut stream)?.is_none() {
                return Ok(());
            }
            count.fetch_add(1, SeqCst);
            if number == 1 {
                return Ok(());
            }
            ok(&mut stream, GOOD)?;
        }
        Ok(())
    });
    let pool = wide(server.url(""), chat_config().max_retries(0));
    let llm = pool.get(&key()).unwrap();
    for sent in [1, 3, 5] {
        let reply = llm.stream(&hi()).unwrap().finish().unwrap();
        assert_eq!((reply.text(), reply.tries(), read.load(SeqCst)), ("Good.", 1, sent));
    }
}
