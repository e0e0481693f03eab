//! A server that is never the same for long: it answers well or badly, loses its connections, and
//! starts again.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::test_server::{Reply, TestServer};

use super::random::Random;
use super::wire::{CASES, Place, good};

pub struct Weather {
    server: Option<TestServer>,
    port: u16,
    pub restarts: AtomicU64,
}

impl Weather {
    pub fn start() -> std::io::Result<Self> {
        let server = TestServer::builder().remember(0).start()?;
        let port = server.addr().port();
        Ok(Self { server: Some(server), port, restarts: AtomicU64::new(0) })
    }

    pub fn url(port: u16) -> String {
        format!("http://127.0.0.1:{port}/v1")
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes until then; in the end all is well.
    pub fn change_until(&mut self, until: Instant, random: &mut Random) {
        while Instant::now() < until {
            match random.below(12) {
                0 => self.restart(random.millis(20)),
                1 => self.server.iter().for_each(TestServer::disconnect_all),
                2..=5 => self.answer(Reply::ok()),
                6 => self.answer(good()),
                _ => {
                    let case = &CASES[random.below(CASES.len())];
                    if let Place::Path(reply) = case.place {
                        self.answer(reply());
                    }
                }
            }
            thread::sleep(random.millis(40));
        }
        self.answer(Reply::ok());
    }

    fn answer(&self, reply: Reply) {
        self.server.iter().for_each(|server| server.set_reply(reply.clone()));
    }

    fn restart(&mut self, pause: Duration) {
        self.server = None;
        thread::sleep(pause);
        // The port may be in use for a moment, by a caller that tries to connect from it.
        while self.server.is_none() {
            self.server = TestServer::builder().remember(0).port(self.port).start().ok();
        }
        self.restarts.fetch_add(1, Relaxed);
    }
}
