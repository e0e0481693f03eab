//! Broadcasts for a socket that somebody has: they go out through whoever has it.

use tungstenite::Message as Wire;

use super::config::WebSocketConfig;
use super::conn::to_send;
use super::error::WebSocketError;

/// Messages that wait for one connection, in order. With what the connection itself holds unsent
/// they are within its bound, so that none that was left here is refused later.
#[derive(Default)]
pub(super) struct Outbox {
    messages: Vec<Wire>,
    /// What it takes to send them.
    bytes: usize,
    /// What the connection held when it was put back or messages were last taken for it. It can
    /// only be less now: its holder's own messages are sent before anything else is done with it.
    unsent: usize,
}

/// However small they are.
const MOST: usize = 1024;

impl Outbox {
    pub(super) fn leave(
        &mut self,
        message: Wire,
        config: &WebSocketConfig,
    ) -> Result<(), WebSocketError> {
        let (size, waits) = (message.len(), self.unsent.saturating_add(self.bytes));
        if !fits(waits, size, config.write_buffer_size) || self.messages.len() >= MOST {
            return Err(WebSocketError::WriteBufferFull);
        }
        self.bytes = self.bytes.saturating_add(to_send(size, config.max_frame_size));
        self.messages.push(message);
        Ok(())
    }

    /// Takes all of them for a connection that holds so many bytes unsent, to which they are to go.
    pub(super) fn take(&mut self, unsent: usize) -> Vec<Wire> {
        self.unsent = unsent.saturating_add(std::mem::take(&mut self.bytes));
        std::mem::take(&mut self.messages)
    }
}

/// Whether a message may wait behind so many bytes. One alone always may.
pub(super) fn fits(waits: usize, size: usize, max: usize) -> bool {
    waits == 0 || waits.saturating_add(size) <= max
}
