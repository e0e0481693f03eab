//! Clients that never pause, and more of them than there is room for.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Crowd {
    /// Each with a connection of its own, again if that ends.
    fn new(count: usize, addr: SocketAddr, each: fn(&TcpStream, &AtomicBool)) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let one = |_| {
            let stop = stop.clone();
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let Ok(stream) = TcpStream::connect(addr) else { continue };
                    stream.set_read_timeout(Some(millis(200))).unwrap();
                    stream.set_write_timeout(Some(millis(200))).unwrap();
                    each(&stream, &stop);
                }
            })
        };
        let threads = (0..count).map(one).collect();
        Self { stop, threads }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Asks again and again, some requests ahead, and takes all answers.
fn pipeline(mut stream: &TcpStream, stop: &AtomicBool) {
    let many = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(16);
    let mut answers = vec![0; 64 << 10];
    while !stop.load(Ordering::Relaxed) {
        if stream.write_all(many.as_bytes()).is_err() {
            return;
        }
        match stream.read(&mut answers) {
            Ok(1..) => {}
            _ => return,
        }
    }
}

#[test]
fn clients_that_never_pause_do_not_keep_another_one_out() {
    let server = serve(AdminConfig::default().max_connections(4));
    let crowd = Crowd::new(4, server.addr(), pipeline);
    thread::sleep(millis(300));
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
    let _crowd = Crowd::new(32, server.addr(), |mut stream, _| {
        let _ = stream.write_all(b"GET /v1/pool/details HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let _ = stream.read(&mut [0; 1000]);
    });
    thread::sleep(millis(300));
    let began = Instant::now();
    server.stop();
    assert!(began.elapsed() < secs(5), "{:?}", began.elapsed());
}
