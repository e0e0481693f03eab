//! The threads that take connections in: some only accept, one starts and joins the
//! connections' threads.
//!
//! Accepting is kept apart because std's `listen` queues 128 connections and no more: of a
//! faster burst the system drops some, and each of those comes back only after a second.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::serve;
use super::state::Shared;

/// The threads of a server, save those of its connections. Dropping it ends them all.
pub(super) struct Threads {
    addr: SocketAddr,
    shared: Arc<Shared>,
    acceptors: Vec<JoinHandle<()>>,
    /// Ends after the acceptors, which feed it, and after the connections' threads.
    starter: Option<JoinHandle<()>>,
}

/// So many, because each has its own claim to the processor: a burst's clients may otherwise fill
/// the queue before a single one gets its turn. Measured on two busy cores, 10 threads that
/// connect 50 times each without a pause, rounds of 40 in which a connection was dropped: 39
/// with 1, 23 with 3, 14 and 18 with 8, 8 and 9 with 16. It lessens the loss and does not end it.
const ACCEPTORS: usize = 16;

const ACCEPTOR_STACK: usize = 64 << 10;

/// Memory that is never touched is never had, so this is generous: a handshake or deep JSON in a
/// debug build needs it.
const STACK: usize = 512 << 10;

impl Threads {
    pub(super) fn start(listener: TcpListener, shared: Arc<Shared>) -> io::Result<Self> {
        let addr = listener.local_addr()?;
        let listener = Arc::new(listener);
        let (accepted, to_start) = unbounded();
        // From here on its drop tidies up, also after an error.
        let mut threads = Self { addr, shared, acceptors: Vec::new(), starter: None };
        for _ in 0..ACCEPTORS {
            let (listener, accepted) = (listener.clone(), accepted.clone());
            let shared = threads.shared.clone();
            let acceptor = thread::Builder::new()
                .name("test-server-accept".into())
                .stack_size(ACCEPTOR_STACK)
                .spawn(move || accept(&listener, &accepted, &shared))?;
            threads.acceptors.push(acceptor);
        }
        let shared = threads.shared.clone();
        let starter = thread::Builder::new()
            .name("test-server".into())
            .spawn(move || start_all(&to_start, &shared))?;
        threads.starter = Some(starter);
        Ok(threads)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.stop();
        // An acceptor sleeps in `accept` and looks up only when somebody comes. If nobody can
        // (no file descriptors left), it is left behind rather than waited for.
        let woken = self
            .acceptors
            .iter()
            .filter(|_| TcpStream::connect_timeout(&self.addr, Duration::from_secs(1)).is_ok())
            .count();
        if woken == self.acceptors.len() {
            self.acceptors.drain(..).chain(self.starter.take()).for_each(join);
        }
    }
}

/// Accepts until the server stops, and does nothing else.
fn accept(listener: &TcpListener, accepted: &Sender<TcpStream>, shared: &Shared) {
    while !shared.stopped() {
        match listener.accept() {
            Ok((stream, _)) => {
                if accepted.send(stream).is_err() {
                    return;
                }
            }
            // Out of file descriptors, most likely: it will not be better at once.
            Err(_) => {
                shared.wait(Duration::from_millis(10));
            }
        }
    }
}

/// Starts a thread for each connection and joins those that end; in the end, all.
fn start_all(accepted: &Receiver<TcpStream>, shared: &Arc<Shared>) {
    let mut threads = HashMap::new();
    for stream in accepted {
        for connection in shared.take_ended() {
            if let Some(thread) = threads.remove(&connection) {
                join(thread);
            }
        }
        // None when the server has stopped.
        let Some((connection, line)) = shared.register(stream) else { continue };
        let guard = Registered { shared: shared.clone(), connection };
        let spawned = thread::Builder::new()
            .name(format!("test-server-{connection}"))
            .stack_size(STACK)
            .spawn(move || {
                let guard = guard;
                serve::run(&guard.shared, connection, line);
            });
        // One that could not be started has dropped its guard and its socket.
        if let Ok(thread) = spawned {
            threads.insert(connection, thread);
        }
    }
    threads.into_values().for_each(join);
}

fn join(thread: JoinHandle<()>) {
    // A wrapper that panicked has said so on its own thread.
    let _ = thread.join();
}

/// Strikes the connection off even if its wrapper panics. Dropped after the socket.
struct Registered {
    shared: Arc<Shared>,
    connection: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shared.deregister(self.connection);
    }
}
