//! How a connection ends: by a close of ours, or because something is wrong with it.

use tungstenite::error::ProtocolError;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Error, Message as Wire};

use super::super::SocketState;
use super::super::error::{CloseReason, Ending};
use super::{Conn, MOST_BYTES, MOST_FRAMES, would_block};

impl Conn {
    /// Says good-bye, if that is not done.
    pub(in super::super) fn close(&mut self, ending: Ending) {
        if self.ending.is_none() {
            self.say_close(ending);
        }
    }

    /// Goes on with a close that was begun. True once it is done.
    pub(in super::super) fn poll_close(&mut self) -> bool {
        let done = self.go_on_closing();
        if done && self.state == SocketState::Closed {
            // With TLS, so that the peer does not take the end for one that was forced.
            self.ws.get_mut().end_writing();
        }
        done
    }

    fn go_on_closing(&mut self) -> bool {
        self.ws.get_mut().wait_until(None);
        self.ws.get_mut().read_at_most(Some(MOST_BYTES));
        match self.ws.flush() {
            Ok(()) if self.draining => {
                self.ws.get_mut().end_writing();
                return self.ws.get_mut().drain();
            }
            Ok(()) if self.state == SocketState::ClosingByPeer => self.state = SocketState::Closed,
            Ok(()) => {}
            // It may have to be read from before it reads.
            Err(error) if would_block(&error) && self.draining => {
                return self.ws.get_mut().drain();
            }
            Err(error) if would_block(&error) => {}
            Err(_) => self.state = SocketState::Closed,
        }
        for _ in 0..MOST_FRAMES {
            if self.state == SocketState::Closed {
                return true;
            }
            match self.ws.read() {
                Ok(Wire::Close(_)) => self.state = SocketState::Closed,
                // Came too late: nobody is left to have it.
                Ok(_) => {}
                Err(error) if would_block(&error) => return false,
                Err(_) => self.state = SocketState::Closed,
            }
        }
        false
    }

    pub(super) fn fail_by(&mut self, error: Error) {
        use CloseReason::{Lost, NotText, Protocol, TooLarge};
        let reason = match &error {
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                return self.fail(Lost, "the peer hung up without a close");
            }
            Error::Io(_) | Error::ConnectionClosed | Error::AlreadyClosed => Lost,
            Error::Capacity(_) => TooLarge,
            Error::Utf8(_) => NotText,
            _ => Protocol,
        };
        match error {
            Error::Io(error) => self.fail(reason, &error.to_string()),
            // The rest of it would be what the peer sent.
            Error::Utf8(_) => self.fail(reason, ""),
            error => self.fail(reason, &error.to_string()),
        }
    }

    pub(in super::super) fn fail(&mut self, reason: CloseReason, detail: &str) {
        if self.ending.is_some() {
            return;
        }
        let ending = Ending::new(reason, reason.code(), detail);
        if reason == CloseReason::Lost {
            self.state = SocketState::Closed;
            self.ending = Some(ending);
        } else {
            self.draining = true;
            self.say_close(ending);
        }
    }

    fn say_close(&mut self, ending: Ending) {
        self.ws.get_mut().wait_until(None);
        self.state = SocketState::ClosingByUs;
        let frame = ending.code.map(|code| CloseFrame {
            code: code.into(),
            // A control frame has 125 bytes.
            reason: ending.reason.name().into(),
        });
        match self.ws.close(frame) {
            Ok(()) if self.draining => self.ws.get_mut().end_writing(),
            Ok(()) => {}
            Err(error) if would_block(&error) => {}
            Err(_) => self.state = SocketState::Closed,
        }
        self.ending = Some(ending);
    }
}
