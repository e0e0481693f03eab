//! Clients that never pause, and more of them than there is room for.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use llm_pool::admin::{Admin, AdminConfig, AdminServer};

use crate::house::*;
use crate::support::*;

fn serve(config: AdminConfig) -> AdminServer {
    let pool = adapters(&Script::new(), 2);
    drop(pool.get(&gpt()).unwrap());
    Admin::new(config).unwrap().pool("adapters", pool).serve().unwrap()
}

/// How long an ordinary request took, and that it was served.
fn ordinary(addr: SocketAddr) -> Duration {
    let began = Instant::now();
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(secs(60))).unwrap();
    let get = "GET /v1/pool/stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(get.as_bytes()).unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?} {read:?}");
    began.elapsed()
}

/// Threads that go on until they are told to stop.
struct Crowd {
    doing: Arc<Doing>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Doing {
    stop: AtomicBool,
    /// Readings of what the server said.
    heard: AtomicUsize,
}

impl Crowd {
    /// Each with a connection of its own, again if that ends.
    fn new(count: usize, addr: SocketAddr, each: fn(&TcpStream, &Doing)) -> Self {
        let doing = Arc::new(Doing::default());
        let one = |_| {
            let doing = doing.clone();
            thread::spawn(move || {
                while !doing.stop.load(Ordering::Relaxed) {
                    let Ok(stream) = TcpStream::connect(addr) else { continue };
                    stream.set_read_timeout(Some(millis(200))).unwrap();
                    stream.set_write_timeout(Some(millis(200))).unwrap();
                    each(&stream, &doing);
                }
            })
        };
        let threads = (0..count).map(one).collect();
        Self { doing, threads }
    }

    /// Waits until it is in full swing.
    fn swings(&self) {
        eventually(|| self.doing.heard.load(Ordering::Relaxed) > 20 * self.threads.len());
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.doing.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Asks again and again, some requests ahead, and takes all answers.
fn pipeline(mut stream: &TcpStream, doing: &Doing) {
    let many = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(16);
    let mut answers = vec![0; 64 << 10];
    while !doing.stop.load(Ordering::Relaxed) {
        if stream.write_all(many.as_bytes()).is_err() {
            return;
        }
        match stream.read(&mut answers) {
            Ok(1..) => doing.heard.fetch_add(1, Ordering::Relaxed),
            _ => return,
        };
    }
}

#[test]
fn clients_that_never_pause_do_not_keep_another_one_out() {
    let server = serve(AdminConfig::default().max_connections(4));
    let crowd = Crowd::new(4, server.addr(), pipeline);
    crowd.swings();
    let took: Vec<_> = (0..5).map(|_| ordinary(server.addr())).collect();
    assert!(took.iter().all(|took| *took < secs(3)), "{took:?}");
    drop(crowd);
}

#[test]
fn a_thousand_silent_connections_delay_another_one_by_their_moments() {
    let _ = rlimit::increase_nofile_limit(8192);
    let server = serve(AdminConfig::default().request_timeout(secs(600)));
    let silent: Vec<_> = (0..1000).filter_map(|_| TcpStream::connect(server.addr()).ok()).collect();
    let took = ordinary(server.addr());
    // A tenth of a second for each 64 of them.
    assert!(took < secs(15), "{took:?}");
    drop(silent);
}

#[test]
fn a_crowd_that_comes_again_and_again_does_not_keep_it_from_stopping() {
    let server = serve(AdminConfig::default().max_connections(8));
    let crowd = Crowd::new(32, server.addr(), |mut stream, doing| {
        let _ = stream.write_all(b"GET /v1/pool/details HTTP/1.1\r\nHost: localhost\r\n\r\n");
        if let Ok(1..) = stream.read(&mut [0; 1000]) {
            doing.heard.fetch_add(1, Ordering::Relaxed);
        }
    });
    crowd.swings();
    let began = Instant::now();
    server.stop();
    assert!(began.elapsed() < secs(5), "{:?}", began.elapsed());
}
