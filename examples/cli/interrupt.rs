//! Ctrl-C in the midst of a call.

use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use llm_pool::agent::Stopper;

/// The exit status of a program that Ctrl-C ended.
pub const STATUS: u8 = 130;

/// How long a call has to end by itself once it is stopped. A stopper does not end the look-up of a
/// name and the opening of a connection.
const GRACE: Duration = Duration::from_millis(700);

/// Ends the call under way on Ctrl-C, so that it gives its lease back; the program, if none is.
pub struct Interrupt(Arc<Mutex<Option<Stopper>>>);

impl Interrupt {
    pub fn listen() -> Result<Self, ctrlc::Error> {
        let call = Arc::new(Mutex::new(None::<Stopper>));
        let heard = call.clone();
        // Not in the signal handler itself: `ctrlc` has a thread for this, which may lock and wait.
        ctrlc::set_handler(move || {
            let stopper = heard.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(stopper) = stopper {
                stopper.stop();
                thread::sleep(GRACE);
            }
            process::exit(STATUS.into());
        })?;
        Ok(Self(call))
    }

    /// Makes `call`, which `stopper` ends.
    pub fn during<T>(&self, stopper: Stopper, call: impl FnOnce() -> T) -> T {
        self.set(Some(stopper));
        let done = call();
        self.set(None);
        done
    }

    fn set(&self, stopper: Option<Stopper>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stopper;
    }
}
