//! Log lines that cannot do harm.

/// Writes a log line at the named level. A logger that panics, or an error whose `Display` does,
/// is user code like any other: it must cost no slot and no waiter.
macro_rules! say {
    ($level:ident, $($line:tt)+) => {
        if log::log_enabled!(log::Level::$level) {
            let line = || log::log!(log::Level::$level, $($line)+);
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(line));
        }
    };
}

pub(crate) use say;
