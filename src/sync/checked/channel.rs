//! The bounded channel of `crossbeam-channel`, as far as it is used: many senders, one receiver.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use crossbeam_channel::{RecvError, RecvTimeoutError, TryRecvError, TrySendError};

use super::Mutex;
use super::sleep::Sleeper;

pub(crate) struct Sender<T>(Arc<Channel<T>>);

pub(crate) struct Receiver<T>(Arc<Channel<T>>);

struct Channel<T> {
    state: Mutex<State<T>>,
    room: usize,
}

struct State<T> {
    messages: VecDeque<T>,
    senders: usize,
    has_receiver: bool,
    /// The receiver, while it waits.
    sleeper: Option<Arc<Sleeper>>,
}

pub(crate) fn bounded<T>(room: usize) -> (Sender<T>, Receiver<T>) {
    let state = State { messages: VecDeque::new(), senders: 1, has_receiver: true, sleeper: None };
    let channel = Arc::new(Channel { state: Mutex::new(state), room });
    (Sender(channel.clone()), Receiver(channel))
}

impl<T> Sender<T> {
    pub(crate) fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        let sleeper = {
            let mut state = self.0.state.lock();
            if !state.has_receiver {
                return Err(TrySendError::Disconnected(message));
            }
            if state.messages.len() >= self.0.room {
                return Err(TrySendError::Full(message));
            }
            state.messages.push_back(message);
            state.sleeper.take()
        };
        sleeper.into_iter().for_each(|sleeper| sleeper.wake());
        Ok(())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.state.lock().senders += 1;
        Self(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let sleeper = {
            let mut state = self.0.state.lock();
            state.senders -= 1;
            if state.senders == 0 { state.sleeper.take() } else { None }
        };
        sleeper.into_iter().for_each(|sleeper| sleeper.wake());
    }
}

impl<T> Receiver<T> {
    pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
        let mut state = self.0.state.lock();
        match state.messages.pop_front() {
            Some(message) => Ok(message),
            None if state.senders == 0 => Err(TryRecvError::Disconnected),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Waits for a message, however often time moves.
    pub(crate) fn recv(&self) -> Result<T, RecvError> {
        loop {
            match self.recv_timeout(Duration::MAX) {
                Ok(message) => return Ok(message),
                Err(RecvTimeoutError::Disconnected) => return Err(RecvError),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Waits for a message or until time has moved.
    pub(crate) fn recv_timeout(&self, _: Duration) -> Result<T, RecvTimeoutError> {
        // First: time that moves from here on is not missed.
        let sleeper = Sleeper::new();
        {
            let mut state = self.0.state.lock();
            if let Some(message) = state.messages.pop_front() {
                return Ok(message);
            }
            if state.senders == 0 {
                return Err(RecvTimeoutError::Disconnected);
            }
            state.sleeper = Some(sleeper.clone());
        }
        sleeper.sleep();
        self.0.state.lock().sleeper = None;
        self.try_recv().map_err(|error| match error {
            TryRecvError::Empty => RecvTimeoutError::Timeout,
            TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
        })
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let messages = {
            let mut state = self.0.state.lock();
            state.has_receiver = false;
            std::mem::take(&mut state.messages)
        };
        // Their drop may take locks of its own.
        drop(messages);
    }
}
