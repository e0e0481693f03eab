//! The thread that takes connections in, starts each one's own thread and joins it at its end.
//!
//! To start a thread takes a while, and a burst of clients may keep this one from its turn. The
//! system's queue holds the connections meanwhile, so it is asked for a long one.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::serve;
use super::socket::Line;
use super::state::Shared;

/// Memory that is never touched is never had, so this is generous: a handshake or deep JSON in a
/// debug build needs it.
const STACK: usize = 512 << 10;

/// The accepting thread. Dropping it stops the server and ends all its threads.
pub(super) struct Acceptor {
    addr: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Acceptor {
    pub(super) fn start(listener: TcpListener, shared: Arc<Shared>) -> io::Result<Self> {
        let addr = listener.local_addr()?;
        let accepting = shared.clone();
        let thread = thread::Builder::new()
            .name("test-server".into())
            .spawn(move || accept_all(&listener, &accepting))?;
        Ok(Self { addr, shared, thread: Some(thread) })
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.shared.stop();
        // The thread sleeps in `accept` and looks up only when somebody comes. If nobody can
        // (no file descriptors left), it is left behind rather than waited for.
        let woken = TcpStream::connect_timeout(&self.addr, Duration::from_secs(1)).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            join(thread);
        }
    }
}

/// Accepts until the server stops; then joins the threads of all connections.
fn accept_all(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads = HashMap::new();
    while !shared.stopped() {
        let Ok((stream, _)) = listener.accept() else {
            // Out of file descriptors, most likely: it will not be better at once.
            shared.wait(Duration::from_millis(10));
            continue;
        };
        for connection in shared.take_ended() {
            if let Some(thread) = threads.remove(&connection) {
                join(thread);
            }
        }
        // None when the server has stopped.
        let Some((connection, line)) = shared.register(stream) else { break };
        // One that could not be started has dropped its guard and its socket.
        if let Ok(thread) = start(shared, connection, line) {
            threads.insert(connection, thread);
        }
    }
    threads.into_values().for_each(join);
}

/// Starts a connection's thread.
fn start(shared: &Arc<Shared>, connection: u64, line: Arc<Line>) -> io::Result<JoinHandle<()>> {
    let guard = Registered { shared: shared.clone(), connection };
    thread::Builder::new().name(format!("test-server-{connection}")).stack_size(STACK).spawn(
        move || {
            let guard = guard;
            serve::run(&guard.shared, connection, line);
        },
    )
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
