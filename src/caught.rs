//! User code that panics, and a logger is user code, must cost no slot and no waiter.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs user code; a panic becomes what it said.
pub(crate) fn caught<R>(code: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|payload| {
        let said = said(&*payload).to_owned();
        // A payload's drop is user code too, and what it panics with as well: there it ends.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            mem::forget(second);
        }
        said
    })
}

fn said(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Writes a log line at the named level. A logger that panics, or an error whose `Display` does,
/// is caught.
macro_rules! say {
    ($level:ident, $($line:tt)+) => {
        // The logger itself is asked under the guard only.
        if log::Level::$level <= log::STATIC_MAX_LEVEL && log::Level::$level <= log::max_level() {
            let _ = $crate::caught::caught(|| log::log!(log::Level::$level, $($line)+));
        }
    };
}

pub(crate) use say;
