//! Being told what becomes of sockets, as it happens.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::error::Ending;

/// Is told what happens in a registry, which is named as in
/// [`name`](super::WebSocketConfig#structfield.name). Every method does nothing unless it is written.
///
/// A method is called without a lock, on the thread that did what it tells of, which may be the one
/// that looks after all pools: it must not block. It may use the registry; one that keeps a handle to
/// it keeps it open. A panic is caught and logged.
pub trait SocketObserver: Send + Sync {
    /// A socket was added, or opened.
    fn opened(&self, registry: &Arc<str>, id: &Arc<str>) {
        let _ = (registry, id);
    }

    /// A socket is closed and no more in the registry, or will be `reconnecting`.
    fn closed(&self, registry: &Arc<str>, id: &Arc<str>, ending: &Ending, reconnecting: bool) {
        let _ = (registry, id, ending, reconnecting);
    }

    /// A socket that was lost is open again.
    fn reconnected(&self, registry: &Arc<str>, id: &Arc<str>) {
        let _ = (registry, id);
    }

    /// A lost socket could not be opened; the next try is after `pause`, or never: then it is no
    /// more in the registry.
    fn reconnect_failed(
        &self,
        registry: &Arc<str>,
        id: &Arc<str>,
        error: &str,
        pause: Option<Duration>,
    ) {
        let _ = (registry, id, error, pause);
    }
}

impl fmt::Debug for dyn SocketObserver {
    /// No more than that it is one: it may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SocketObserver")
    }
}
