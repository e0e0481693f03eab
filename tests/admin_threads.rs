//! After the admin server has stopped no thread of its own is left. Alone in its process, for it
//! counts the process's threads.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::admin::{Admin, AdminConfig};

/// Those of the server, by their names, of which the system keeps 15 bytes.
fn of_the_server() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with("llm-pool-admin")).count()
}

#[test]
fn no_thread_is_left_when_it_stops_under_load() {
    for round in 0..20 {
        let config = AdminConfig::default().max_connections(16);
        // Each thread of the server keeps this.
        let kept = Arc::new(());
        let held = kept.clone();
        let hook = move || format!("{held:?}");
        let server = Admin::new(config).unwrap().metrics(hook).serve().unwrap();
        let addr = server.addr();
        let stop = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..24)
            .map(|number| {
                let stop = stop.clone();
                thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let Ok(mut stream) = TcpStream::connect(addr) else { continue };
                        let _ = stream.set_read_timeout(Some(Duration::from_millis(50)));
                        let text: &[u8] = match number % 3 {
                            0 => b"GET /v1/pool/details HTTP/1.1\r\nHost: localhost\r\n\r\n",
                            1 => b"GET /v1/po",
                            _ => b"",
                        };
                        let _ = stream.write_all(text);
                        let _ = stream.read(&mut [0; 100]);
                    }
                })
            })
            .collect();
        let began = Instant::now();
        while of_the_server() < 4 && began.elapsed() < Duration::from_secs(10) {
            thread::yield_now();
        }
        let began = Instant::now();
        server.stop();
        let took = began.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}");
        assert_eq!(Arc::strong_count(&kept), 1, "round {round}: a thread is still at work");
        // The system takes a moment to strike off one that was joined.
        while of_the_server() > 0 && began.elapsed() < took + Duration::from_secs(2) {
            thread::yield_now();
        }
        assert_eq!(of_the_server(), 0, "round {round}");
        // And nobody listens there any more.
        assert!(TcpStream::connect(addr).is_err(), "round {round}");
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().unwrap());
    }
}
