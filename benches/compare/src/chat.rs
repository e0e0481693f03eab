//! Rows 10 and 11: what asking a model through the pool costs beside the same request made by hand.
//!
//! Row 10 asks a small question over and over, on one thread, with client and server on one core as
//! in row 5. By hand means: the same JSON written and read with `serde_json`, once with a plain
//! `ureq::Agent`, and once with an agent of the pool that is never given back, which has all that
//! the pool does for connections, so that the difference is what `chat` adds: the lease, what is
//! checked, retries, time-outs, statistics. Contenders take turns call by call.
//!
//! Row 11 reads an answer of 10 000 pieces that is sent as fast as it is taken. By hand means: lines
//! of a `BufReader`, each parsed with `serde_json` into a `Value`, as examples on the net have it.
//! How often a piece allocates is counted by `tests/allocations.rs`: what counts also slows.

use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::agent::{AgentConfig, AgentManager, Proxy};
use llm_pool::chat::Message;
use llm_pool::keyed::ModelKey;
use llm_pool::llm::{LlmConfig, LlmPool, Provider};
use llm_pool::test_server::{Reply, TestServer};
use llm_pool::{Pool, PoolConfig};
use serde_json::{Value, json};

use crate::Outcome;
use crate::child::Server;
use crate::report::{Figures, Table, median};

const CALLS: usize = 4000;
const SLICES: usize = 9;
const PIECES: usize = 10_000;
const TOTAL_TIMEOUT: Duration = Duration::from_secs(60);

fn pool(base: &str) -> Outcome<LlmPool> {
    let agents = AgentConfig::default().proxy(Proxy::Direct);
    let provider = Provider::new(format!("{base}/v1")).api_key("sk-bench");
    Ok(LlmConfig::default().agents(agents).provider("bench", provider).build()?)
}

fn messages() -> [Message; 2] {
    [Message::system("Be brief."), Message::user("Why pool connections?")]
}

pub fn overhead(table: &mut Table) -> Outcome<()> {
    let measured = thread::spawn(|| -> Outcome<[f64; 3]> {
        crate::on_one_core();
        let server = Server::http_on_one_core()?;
        let url = format!("{}/v1/chat/completions", server.url);
        let (pool, key) = (pool(&server.url)?, ModelKey::new("bench", "small").temperature(0.2));
        let messages = messages();
        let plain = ureq::Agent::config_builder().timeout_global(Some(TOTAL_TIMEOUT)).proxy(None);
        let plain = ureq::Agent::from(plain.build());
        let agents = AgentManager::new(AgentConfig::default().proxy(Proxy::Direct))?;
        let agents = Pool::new(PoolConfig::default(), agents)?;
        let kept = agents.get()?;
        let mut micros = [const { Vec::new() }; 3];
        for slice in 0..=SLICES {
            let (mut took, mut calls) = ([Duration::ZERO; 3], [0_u32; 3]);
            for turn in 0..CALLS / SLICES {
                // Each as often after the other as after itself.
                for contender in [turn % 2, (turn + turn / 2) % 2] {
                    let began = Instant::now();
                    match contender {
                        0 => drop(black_box(pool.chat(&key, &messages)?)),
                        _ => drop(black_box(by_hand(&kept, &url)?)),
                    }
                    took[contender] += began.elapsed();
                    calls[contender] += 1;
                }
            }
            // By itself: it starts a thread for every call, which its successor would feel.
            for _ in 0..CALLS / SLICES {
                let began = Instant::now();
                drop(black_box(by_hand(&plain, &url)?));
                took[2] += began.elapsed();
                calls[2] += 1;
            }
            // The first warms up.
            for ((all, took), calls) in micros.iter_mut().zip(took).zip(calls).filter(|_| slice > 0)
            {
                all.push(took.as_secs_f64() * 1e6 / f64::from(calls));
            }
        }
        Ok(micros.map(median))
    });
    let [chat, kept, plain] = measured.join().map_err(|_| "the measurement panicked")??;
    let figures = |what, ours: f64, peer: String| Figures {
        row: 10,
        what,
        ours: format!("{ours:.1} us"),
        peer,
    };
    let added = chat - kept;
    let peer = format!("same agent {kept:.1}");
    table.at_most(
        figures("a call by chat, over one by hand", chat, peer.clone()),
        added,
        5.0,
        " us",
    );
    table.at_most(figures("  in per cent", chat, peer), added / kept * 100.0, 5.0, " %");
    let peer = format!("ureq {plain:.1}");
    table.note(
        figures("  beside a plain ureq agent", chat, peer),
        &format!("{:.2} x", plain / chat),
    );
    Ok(())
}

fn by_hand(agent: &ureq::Agent, url: &str) -> Outcome<String> {
    let question = json!({"model": "small", "temperature": 0.2, "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Why pool connections?"}]});
    let request = agent.post(url).header("content-type", "application/json");
    let mut response =
        request.header("authorization", "Bearer sk-bench").send(question.to_string())?;
    let answer: Value = serde_json::from_slice(&response.body_mut().read_to_vec()?)?;
    Ok(answer["choices"][0]["message"]["content"].as_str().ok_or("no text")?.to_owned())
}

pub fn stream(table: &mut Table) -> Outcome<()> {
    let server = TestServer::start()?;
    let body = body();
    server.set_reply(Reply::ok().pieces([body.as_str()]));
    let pool = pool(server.url())?;
    let (key, messages) = (ModelKey::new("bench", "small"), messages());
    let plain = ureq::Agent::config_builder().timeout_global(Some(TOTAL_TIMEOUT)).proxy(None);
    let plain = ureq::Agent::from(plain.build());
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..15 {
        ours.push(rate(&body, || {
            let mut pieces = 0;
            for piece in pool.stream(&key, &messages)? {
                pieces += usize::from(!black_box(piece?).text().is_empty());
            }
            Ok(pieces)
        })?);
        peer.push(rate(&body, || lines_by_hand(&plain, &server.chat_url()))?);
    }
    let (ours, peer) = (median(ours), median(peer));
    let rates = Figures {
        row: 11,
        what: "a stream of 10 000 pieces",
        ours: format!("{ours:.0} MB/s"),
        peer: format!("by hand {peer:.0}"),
    };
    table.at_least(rates, ours / peer, 1.0, " x");
    Ok(())
}

/// Megabytes a second.
fn rate(body: &str, read: impl FnOnce() -> Outcome<usize>) -> Outcome<f64> {
    let began = Instant::now();
    match read()? {
        PIECES => Ok(body.len() as f64 / 1e6 / began.elapsed().as_secs_f64()),
        other => Err(format!("{other} pieces came").into()),
    }
}

fn lines_by_hand(agent: &ureq::Agent, url: &str) -> Outcome<usize> {
    let response = agent.post(url).send("{}")?;
    let (mut text, mut pieces) = (String::new(), 0);
    for line in BufReader::new(response.into_body().into_reader()).lines() {
        let line = line?;
        let Some(data) = line.strip_prefix("data: ") else { continue };
        if data == "[DONE]" {
            break;
        }
        let chunk: Value = serde_json::from_str(data)?;
        if let Some(more) = chunk["choices"][0]["delta"]["content"].as_str() {
            let piece = black_box(more.to_owned());
            text.push_str(&piece);
            pieces += 1;
        }
    }
    black_box(text);
    Ok(pieces)
}

/// As OpenAI sends it.
fn body() -> String {
    let mut body = String::new();
    for number in 0..PIECES {
        let chunk = json!({"id": "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG", "created": 1741570283,
            "object": "chat.completion.chunk", "model": "gpt-4o-2024-08-06",
            "service_tier": "default", "system_fingerprint": "fp_fc9f1d7035",
            "choices": [{"index": 0, "delta": {"content": format!(" token{number}")},
                         "logprobs": null, "finish_reason": null}], "usage": null});
        body.push_str(&format!("data: {chunk}\n\n"));
    }
    body + "data: [DONE]\n\n"
}
