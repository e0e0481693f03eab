//! Log lines that cannot do harm.

use std::fmt;
use std::panic::{self, AssertUnwindSafe};

use log::Level;

/// Like the macros of `log`, with the level as the first argument.
macro_rules! say {
    ($level:ident, $($line:tt)+) => {
        $crate::pool::say::write(log::Level::$level, format_args!($($line)+))
    };
}
pub(super) use say;

/// A logger is foreign code: its panic must not cost a slot, stop the maintenance or, while the
/// thread is already unwinding, end the process.
pub(super) fn write(level: Level, line: fmt::Arguments<'_>) {
    let _ = panic::catch_unwind(AssertUnwindSafe(
        || log::log!(target: "llm_pool::pool", level, "{line}"),
    ));
}
