//! Measures the library beside its peers and holds it to its targets, in one run:
//!
//! ```text
//! cargo run --release --manifest-path benches/compare/Cargo.toml [ROW...]
//! ```
//!
//! The peers are `r2d2` (another pool of blocking items), plain `ureq` agents and the balancer of `tower`. All targets are
//! ratios between two contenders measured in the same run, or bounds that follow from what was
//! asked for, so that they hold on any machine. A machine that does other things at the same time
//! still spoils single figures; so contenders take turns, and where a row can be repeated cheaply
//! its median counts. Both sides run with their default settings, save those a row names.
//!
//! The exit status is 1 if a target was missed or a row could not be measured.

mod burst;
mod chat;
mod child;
mod contender;
mod fairness;
mod http;
mod keyed;
mod pick;
mod report;
mod round_trip;
mod server;
mod share;
mod sockets;
mod tls;
mod tls_sockets;
mod watched;

use std::process::ExitCode;

use report::Table;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Keeps the calling thread, and those it starts, to one core: the same for all who ask. A system
/// that cannot do this leaves the thread free.
fn on_one_core() {
    if let Some(core) = core_affinity::get_core_ids().and_then(|cores| cores.first().copied()) {
        core_affinity::set_for_current(core);
    }
}

const HELP: &str = "\
usage: llm-pool-compare [ROW...]

Measures the rows asked for, or all:
  1  get and put back, one thread, against r2d2
  2  the same on two threads
  3  40 threads share 4 items that are held for 5 ms, against r2d2
  4  8 threads share 2 items that are given back at once, against r2d2
  5  HTTP on loopback, 1 and 16 threads, against one shared ureq::Agent
  6  HTTPS, 200 agents, against 200 plain ureq agents
  7  500 threads and answers of 400 ms, 500 connections and 30
  8  a pool per key: a warm look-up, and 1000 keys with 2 agents each
  9  3 hosts share 3 leases, one host has 50 times the threads of the others
 10  a chat call, against the same request made by hand
 11  a stream of 10 000 pieces, against lines parsed by hand
 12  one pick over 3, 30 and 300 endpoints (aim: under 100 ns at 3, flat for power of two), beside
     tower's p2c for scale
 13  the admin endpoints: stats of 100 keys (aim: under 1 ms), details of 100 and 1000
 14  get and put back with an observer and a log of events (aim: less than 15 ns more than without)
 15  WebSockets: add, get, remove and a health check of 100; 10 000 idle ones

Exits with 1 if a target is missed.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match *words.as_slice() {
        // What the processes are told that this one starts.
        ["--as-server", scheme] => server::run(scheme).map(|()| ExitCode::SUCCESS),
        ["--as-tls-client", which, url, pem] => {
            tls::client(which, url, pem).map(|()| ExitCode::SUCCESS)
        }
        ["--as-sockets", addr, count] => sockets::memory(addr, count).map(|()| ExitCode::SUCCESS),
        ["--as-tls-sockets", port, pem] => {
            tls_sockets::memory(port, pem).map(|()| ExitCode::SUCCESS)
        }
        ["--as-keyed"] => keyed::memory().map(|()| ExitCode::SUCCESS),
        _ if words.iter().any(|word| matches!(*word, "-h" | "--help")) => {
            println!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        _ => compare(&words),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

fn compare(words: &[&str]) -> Outcome<ExitCode> {
    let mut rows: Vec<u8> = words
        .iter()
        .map(|word| word.parse().ok().filter(|row| (1..=15).contains(row)))
        .collect::<Option<_>>()
        .ok_or("rows are numbers from 1 to 15; see --help")?;
    if rows.is_empty() {
        rows.extend(1..=15);
    }
    if cfg!(debug_assertions) {
        println!("This is a debug build: its figures say nothing. Use --release.");
    }

    let mut table = Table::begin();
    for row in rows {
        match row {
            1 => round_trip::one_thread(&mut table)?,
            2 => round_trip::two_threads(&mut table)?,
            3 => fairness::held(&mut table)?,
            4 => fairness::given_back_at_once(&mut table)?,
            5 => http::measure(&mut table)?,
            6 => tls::measure(&mut table)?,
            7 => burst::measure(&mut table)?,
            8 => keyed::measure(&mut table)?,
            9 => share::measure(&mut table)?,
            10 => chat::overhead(&mut table)?,
            11 => chat::stream(&mut table)?,
            12 => pick::measure(&mut table)?,
            13 => watched::answers(&mut table)?,
            14 => watched::turns(&mut table)?,
            _ => sockets::measure(&mut table)?,
        }
    }
    Ok(if table.end() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
