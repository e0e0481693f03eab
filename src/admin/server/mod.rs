//! The server: takes connections in and has the handler answer what comes.
//!
//! Threads: one accepts, one takes samples for the page, and each connection has its own while it is
//! open. See [`open`] for how their number is bounded and for the states of a connection.

mod line;
mod open;
mod serve;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;

use super::Admin;
use super::history::STEP;
use crate::caught::{caught, say};
use crate::http1::listen;
use open::{Admitted, Open};

/// Memory that is never touched is never had, so this is generous: deep JSON in a debug build needs
/// it, and so may a metrics hook.
const STACK: usize = 1 << 20;

/// The admin endpoints, served: [`Admin::serve`]. Dropping it stops them.
pub struct AdminServer {
    addr: SocketAddr,
    /// Kept, so that it can be woken from here; closes when the server is dropped.
    listener: Arc<TcpListener>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    admin: Admin,
    open: Open,
}

impl AdminServer {
    pub(super) fn start(admin: Admin) -> io::Result<Self> {
        let asked = admin.config.listen;
        let told = |error: io::Error| {
            io::Error::new(
                error.kind(),
                format!("the admin endpoints cannot listen at {asked}: {error}"),
            )
        };
        let listener = Arc::new(listen(asked).map_err(told)?);
        let addr = listener.local_addr().map_err(told)?;
        let open = Open::new(admin.config.max_connections);
        let shared = Arc::new(Shared { admin, open });
        // Its drop ends what has started if the rest cannot.
        let accepting = listener.clone();
        let mut server = Self { addr, listener, shared: shared.clone(), threads: Vec::new() };
        let sampling = shared.clone();
        server.spawn("llm-pool-admin-samples", move || take_samples(&sampling))?;
        server.spawn("llm-pool-admin", move || accept_all(&accepting, &shared))?;
        say!(Debug, { event = "admin_started", address:% = addr }, "admin endpoints at http://{addr}");
        Ok(server)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let builder = thread::Builder::new().name(name.into()).stack_size(STACK);
        self.threads.push(builder.spawn(run)?);
        Ok(())
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address of the page, without a slash at its end: `http://127.0.0.1:PORT`. If it listens at
    /// all addresses, that of loopback.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", reachable(self.addr))
    }

    /// Stops: no connection is taken in any more, those without a request are closed, answers under
    /// way have a second to be sent, and all threads have ended on return. A handler at work, which
    /// waits [`check_wait`](super::AdminConfig#structfield.check_wait) at most, is waited for.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.open.stop();
        let woken = self.wake();
        let accepting = self.threads.len().checked_sub(1);
        for (place, thread) in self.threads.drain(..).enumerate() {
            if woken || Some(place) != accepting || thread.is_finished() {
                // One that panicked has said so on its own thread.
                let _ = thread.join();
            }
        }
        say!(
            Debug,
            { event = "admin_stopped", address:% = self.addr },
            "admin endpoints at http://{} have stopped",
            self.addr
        );
    }

    /// Has the accepting thread look up, which it does only when somebody comes or the listener is no
    /// more. If it cannot be made to (no file descriptors left, on a system where listeners are not
    /// shut down), it is left behind rather than waited for.
    fn wake(&self) -> bool {
        let shut = SockRef::from(&*self.listener).shutdown(Shutdown::Both);
        // Whoever is queued already wakes it as well, even if there is no room for one more.
        let came = || TcpStream::connect_timeout(&reachable(self.addr), Duration::from_secs(1));
        shut.is_ok() || came().is_ok()
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.end();
        }
    }
}

impl fmt::Debug for AdminServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminServer")
            .field("addr", &self.addr)
            .field("admin", &self.shared.admin)
            .finish()
    }
}

/// An address to connect to, for one to listen at.
fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}

fn take_samples(shared: &Shared) {
    while !shared.open.is_stopping() {
        // The end of a step is another thread's business to survive: keys are the user's.
        let _ = caught(|| shared.admin.sample());
        shared.open.wait_for_stop(STEP);
    }
}

/// Accepts until the server stops; then joins the threads of all connections.
fn accept_all(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    loop {
        let Ok((socket, _)) = listener.accept() else {
            // Out of file descriptors, most likely: it will not be better at once.
            shared.open.wait_for_stop(Duration::from_millis(10));
            if shared.open.is_stopping() {
                break;
            }
            continue;
        };
        join_finished(&mut threads);
        let socket = Arc::new(socket);
        match shared.open.admit(&socket) {
            Admitted::Stopping => break,
            Admitted::Refused => serve::refuse(&shared.admin, socket),
            Admitted::As(id) => threads.extend(start(shared, id, socket)),
        }
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// Not only forgets them: a thread whose work is done may still be on its way out.
fn join_finished(threads: &mut Vec<JoinHandle<()>>) {
    let mut place = 0;
    while let Some(thread) = threads.get(place) {
        if thread.is_finished() {
            let _ = threads.swap_remove(place).join();
        } else {
            place += 1;
        }
    }
}

/// Starts a connection's thread; if there is none to be had, the connection closes.
fn start(shared: &Arc<Shared>, id: u64, socket: Arc<TcpStream>) -> Option<JoinHandle<()>> {
    let guard = Admission { shared: shared.clone(), id };
    let run = move || {
        let guard = guard;
        serve::run(&guard.shared.admin, &guard.shared.open, id, socket);
    };
    let started = thread::Builder::new().name(format!("llm-pool-admin-{id}")).stack_size(STACK);
    let started = started.spawn(run);
    if let Err(error) = &started {
        say!(
            Warn,
            { event = "no_thread", reason:% = error },
            "admin endpoints: no thread for a connection: {error}"
        );
    }
    started.ok()
}

/// Strikes a connection off, however its thread ends.
struct Admission {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.shared.open.left(self.id);
    }
}
