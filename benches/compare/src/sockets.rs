//! Row 15: the registry of WebSockets, beside the figures published for a manager of sockets in Python
//! that does the same for 100 connections: add 26.5 ms, remove 26.5 ms, get 27.1 ms, a health check
//! 34.3 ms. The bounds are absolute. What goes over the network is apart: sockets are opened before they
//! are added, and the background sees off those that are removed.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::websocket::{Side, Socket, WebSocketConfig, WebSockets};

use crate::report::{Figures, Table, median};
use crate::tls::resident_bytes;
use crate::{Outcome, tls_sockets};

const ROUNDS: usize = 11;
const FEW: usize = 100;
const MANY: usize = 10_000;

pub fn measure(table: &mut Table) -> Outcome<()> {
    few(table)?;
    // In a process of its own, so that nothing else is in the figure.
    let (sockets, [bytes, nanos]) = many()?;
    let what = format!("{sockets} idle sockets: memory of each");
    let figures = |what, ours| Figures { row: 15, what, ours, peer: String::new() };
    table.at_most(figures(&what, format!("{:.1} kB", bytes / 1e3)), bytes / 1e3, 20.0, " kB");
    let what = format!("{sockets} sockets: get and put back");
    table.at_most(figures(&what, format!("{nanos:.0} ns")), nanos, 1000.0, " ns");
    tls_sockets::measure(table)
}

fn few(table: &mut Table) -> Outcome<()> {
    let (mut adds, mut gets, mut removes, mut checks) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let sockets = WebSockets::new(WebSocketConfig::default())?;
        let ids: Vec<String> = (0..FEW).map(|n| n.to_string()).collect();
        let open = pairs(&sockets, FEW)?;
        let began = Instant::now();
        for (id, socket) in ids.iter().zip(open) {
            sockets.add(id, socket)?;
        }
        adds.push(millis(began));
        let began = Instant::now();
        for id in &ids {
            drop(sockets.get(id)?);
        }
        gets.push(millis(began));
        // The first finds peers that just started.
        sockets.check_all();
        let began = Instant::now();
        let report = sockets.check_all();
        checks.push(millis(began));
        if report.answered != FEW {
            return Err(format!("{report:?}").into());
        }
        let began = Instant::now();
        for id in &ids {
            sockets.remove(id)?;
        }
        removes.push(millis(began));
    }
    let found = [
        ("add", adds, 0.1, 26.5),
        ("get and put back", gets, 0.1, 27.1),
        ("remove", removes, 0.1, 26.5),
        ("a health check on loopback", checks, 5.0, 34.3),
    ];
    for (name, millis, bound, published) in found {
        let found = median(millis);
        let what = format!("{FEW} WebSockets: {name}");
        let (ours, peer) = (format!("{found:.3} ms"), format!("Python {published} ms"));
        table.at_most(Figures { row: 15, what: &what, ours, peer }, found, bound, " ms");
    }
    Ok(())
}

fn millis(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}

/// Open sockets whose peers answer pings and closes, by one thread each.
fn pairs(sockets: &WebSockets, count: usize) -> Outcome<Vec<Socket>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    (0..count)
        .map(|_| {
            let ours = TcpStream::connect(addr)?;
            let (theirs, _) = listener.accept()?;
            thread::Builder::new().stack_size(128 * 1024).spawn(move || answer(theirs))?;
            Ok(sockets.wrap(ours, Side::Client)?)
        })
        .collect()
}

/// The least peer there can be: a masked frame of up to 125 bytes comes, and goes back unmasked, a
/// ping as a pong. Ends with a close.
fn answer(mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut head = [0; 6];
    while stream.read_exact(&mut head).is_ok() {
        let mut payload = vec![0; usize::from(head[1] & 0x7F)];
        if stream.read_exact(&mut payload).is_err() {
            return;
        }
        for (at, byte) in payload.iter_mut().enumerate() {
            *byte ^= head[2 + at % 4];
        }
        let kind = if head[0] == 0x89 { 0x8A } else { head[0] };
        let mut frame = vec![kind, head[1] & 0x7F];
        frame.extend(&payload);
        if stream.write_all(&frame).is_err() || kind == 0x88 {
            return;
        }
    }
}

/// Connects a process of its own with many sockets; gives how many there were, the bytes of each, and
/// the nanoseconds of a get.
fn many() -> Outcome<(usize, [f64; 2])> {
    let count = match rlimit::increase_nofile_limit(u64::MAX)? {
        limit if limit > MANY as u64 + 100 => MANY,
        limit => usize::try_from(limit)?.saturating_sub(100),
    };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?.to_string();
    let mut process = Command::new(std::env::current_exe()?)
        .args(["--as-sockets", &addr, &count.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut peers: Vec<TcpStream> = Vec::with_capacity(count);
    for _ in 0..count {
        peers.push(listener.accept()?.0);
    }
    // Each has something come and go, so that all its buffers are there.
    for peer in &mut peers {
        peer.write_all(&[0x89, 0])?;
    }
    // It waits for the end of this.
    drop(process.stdin.take());
    let said = String::from_utf8(process.wait_with_output()?.stdout)?;
    let figures: Vec<f64> = said.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let figures = figures.try_into().map_err(|_| format!("no figures: {said}"))?;
    Ok((count, figures))
}

/// In its own process: prints the bytes of each socket, and the nanoseconds of a get.
pub fn memory(addr: &str, count: &str) -> Outcome<()> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let (day, count) = (Duration::from_secs(24 * 3600), count.parse()?);
    let config = WebSocketConfig::default().max_connections(count).check_interval(None);
    let sockets =
        WebSockets::new(config.read_interval(day).close_timeout(Duration::from_millis(1)))?;
    let open = (0..count).map(|_| TcpStream::connect(addr)).collect::<Result<Vec<_>, _>>()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    let ids: Vec<String> = (0..count).map(|n| format!("talk-{n}")).collect();
    let before = resident_bytes()?;
    for (id, stream) in ids.iter().zip(open) {
        sockets.add(id, sockets.wrap(stream, Side::Client)?)?;
    }
    sockets.clean_up();
    let bytes = (resident_bytes()? - before) / count as f64;
    let rounds = (0..ROUNDS).map(|_| {
        let began = Instant::now();
        for id in &ids {
            drop(sockets.get(id));
        }
        millis(began) * 1e6 / count as f64
    });
    println!("{bytes} {}", median(rounds.collect()));
    Ok(())
}
