//! What concerns all sockets of a registry: a broadcast, and the figures.

use std::sync::Arc;

use super::away::By;
use super::books::{Books, Place};
use super::conn::Conn;
use super::error::WebSocketError;
use super::message::Message;
use super::shared::Shared;
use super::stats::SocketStats;
use super::{Broadcast, WebSockets};

impl WebSockets {
    /// Whether it was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.books.lock().closed
    }
}

impl Shared {
    pub(super) fn broadcast(&self, message: Message) -> Result<Broadcast, WebSocketError> {
        let (size, max) = (message.len(), self.config.write_buffer_size);
        if size > max {
            return Err(WebSocketError::TooLarge { size, max });
        }
        let wire = message.into_wire();
        let books = self.books.lock();
        if books.closed {
            return Err(WebSocketError::Closed { registry: self.config.name.clone() });
        }
        let ids: Vec<_> = books.entries.keys().cloned().collect();
        drop(books);

        let mut done = Broadcast::default();
        for id in ids {
            let pass = |conn: &mut Conn| conn.queue(wire.clone());
            let leave = |books: &mut Books| self.leave_for(books, &id, &wire);
            match self.with_idle(&id, By::Broadcast, pass, leave) {
                Ok(Ok(())) => done.sent = done.sent.saturating_add(1),
                Err(Ok(true)) => done.queued = done.queued.saturating_add(1),
                // Removed since.
                Err(Ok(false)) => {}
                Ok(Err(error)) | Err(Err(error)) => done.failed.push((id, error)),
            }
        }
        Ok(done)
    }

    /// For a socket that another has; false if there is none.
    fn leave_for(
        &self,
        books: &mut Books,
        id: &Arc<str>,
        wire: &tungstenite::Message,
    ) -> Result<bool, WebSocketError> {
        let Some(entry) = books.entries.get_mut(id) else { return Ok(false) };
        if matches!(entry.place, Place::Opening | Place::Lost(..)) {
            let registry = self.config.name.clone();
            return Err(WebSocketError::NotOpen { registry, id: id.clone() });
        }
        entry.outbox.leave(wire.clone(), &self.config).map(|()| true)
    }

    pub(super) fn stats(&self) -> SocketStats {
        let books = self.books.lock();
        let is_connecting = |place: &Place| matches!(place, Place::Opening | Place::Lost(..));
        let connecting = books.entries.values().filter(|entry| is_connecting(&entry.place)).count();
        let mut connection_ids: Vec<_> = books.entries.keys().cloned().collect();
        let [messages_sent, bytes_sent, messages_received, bytes_received] = self.traffic.read();
        let mut stats = SocketStats {
            name: self.config.name.clone(),
            total_connections: connection_ids.len(),
            max_connections: self.config.max_connections,
            connection_ids: Vec::new(),
            in_use: books.in_use,
            connecting,
            closing: books.closing.len(),
            waiting: books.waiting,
            opened: books.opened,
            reconnects_failed: books.reconnects_failed,
            messages_sent,
            messages_received,
            bytes_sent,
            bytes_received,
            round_trips: books.round_trips.clone(),
            closed: books.closed_by,
        };
        drop(books);
        connection_ids.sort_unstable();
        stats.connection_ids = connection_ids;
        stats
    }
}
