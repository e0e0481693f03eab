//! Row 6: two hundred agents and one HTTPS host. What their handshakes and their memory cost.
//!
//! Each agent sends one request, one after another, and none is given back before all are done,
//! so that two hundred connections are open in the end. The server says which handshakes were full
//! ones. Memory is what the client's process holds in RAM at the end less what it held before its
//! first agent, everything shared included, by the number of agents; each contender has a process
//! of its own for it, so that none finds memory that another has left. Both trust the server's one
//! certificate and nothing else.

use std::fs;

use llm_pool::agent::{AgentConfig, AgentManager, Proxy, RootCerts};
use llm_pool::{Pool, PoolConfig};
use ureq::tls::{Certificate, TlsConfig};

use crate::Outcome;
use crate::child::{self, Server};
use crate::report::{Figures, Table};

const AGENTS: usize = 200;

pub fn measure(table: &mut Table) -> Outcome<()> {
    let (ours, peer) = (in_own_process("pool")?, in_own_process("plain")?);
    let handshakes = |it: &Found| format!("{} + {}", it.full, it.resumed);
    let figures = Figures {
        row: 6,
        what: "HTTPS, 200 agents: full + resumed handshakes",
        ours: handshakes(&ours),
        peer: format!("ureq {}", handshakes(&peer)),
    };
    table.at_most(figures, ours.full as f64, 1.0, " full");
    let figures = Figures {
        row: 6,
        what: "  memory per agent after a request",
        ours: format!("{:.0} kB", ours.kilobytes),
        peer: format!("ureq {:.0} kB", peer.kilobytes),
    };
    table.at_most(figures, ours.kilobytes, 100.0, " kB");
    Ok(())
}

struct Found {
    full: u64,
    resumed: u64,
    /// For each agent.
    kilobytes: f64,
}

fn in_own_process(which: &str) -> Outcome<Found> {
    let mut server = Server::https()?;
    let kilobytes = child::run(&["--as-tls-client", which, &server.url, &server.pem])?;
    let counts = server.counts()?;
    Ok(Found {
        full: counts.full_handshakes,
        resumed: counts.resumed_handshakes,
        kilobytes: kilobytes.parse()?,
    })
}

/// What the client's process does: sends the requests and prints its memory per agent.
pub fn client(which: &str, url: &str, pem: &str) -> Outcome<()> {
    let url = format!("{url}/v1/models");
    let before = resident_bytes()?;
    let grown = match which {
        "pool" => {
            let roots = RootCerts::Pem(pem.as_bytes().to_vec());
            let config = AgentConfig::default().proxy(Proxy::Direct).root_certs(roots);
            let pool = Pool::new(
                PoolConfig::default().min_idle(0_usize).max_size(AGENTS),
                AgentManager::new(config)?,
            )?;
            grown_since(before, &url, || Ok(pool.get()?), |lease| lease)?
        }
        _ => {
            let tls = TlsConfig::builder()
                .root_certs([Certificate::from_pem(pem.as_bytes())?].into_iter().into())
                .build();
            let timeout = AgentConfig::default().total_timeout;
            let config = ureq::Agent::config_builder().timeout_global(timeout).proxy(None);
            let config = config.tls_config(tls).build();
            grown_since(before, &url, || Ok(ureq::Agent::from(config.clone())), |agent| agent)?
        }
    };
    println!("{}", grown / 1e3 / AGENTS as f64);
    Ok(())
}

/// The memory that agents took until each had sent a request. They are all kept until then.
fn grown_since<A>(
    before: f64,
    url: &str,
    agent: impl Fn() -> Outcome<A>,
    plain: impl Fn(&A) -> &ureq::Agent,
) -> Outcome<f64> {
    let mut agents = Vec::new();
    for _ in 0..AGENTS {
        let agent = agent()?;
        plain(&agent).get(url).call()?.body_mut().read_to_vec()?;
        agents.push(agent);
    }
    Ok(resident_bytes()? - before)
}

pub fn resident_bytes() -> Outcome<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).ok_or("no VmRSS")?;
    Ok(kib.parse::<f64>()? * 1024.0)
}
