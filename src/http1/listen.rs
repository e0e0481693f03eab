//! A listener for which the system queues many connections.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// How many connections the system is to queue. std asks for 128.
const BACKLOG: i32 = 4096;

/// Listens at `addr`; port 0 is one that is free.
pub(crate) fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // Else a port stays closed for a minute after its last connection. Elsewhere than on Unix this
    // would let two programs listen at one port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
