//! User code that panics, and a logger is user code, must cost no slot and no waiter.

use std::any::Any;
use std::mem;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Writes a log line: its level, its fields, its text. A logger that panics, or an error whose
/// `Display` does, is caught.
///
/// A field is `name = value`, `name:% = value` for what is to be printed, or `name:? = option`,
/// which is left out if there is none; `..stats` at the end adds a pool's counts. The page
/// [`logging`](crate::logging) lists them all. A line that is not written evaluates nothing, and
/// without the feature `log-kv` no line evaluates its fields.
macro_rules! say {
    ($level:ident, {
        $($name:ident $(: $how:tt)? = $value:expr),+ $(, ..$stats:expr)? $(,)?
    }, $($line:tt)+) => {
        // The logger itself is asked under the guard only.
        if log::Level::$level <= log::STATIC_MAX_LEVEL && log::Level::$level <= log::max_level() {
            #[cfg(feature = "log-kv")]
            let _ = $crate::caught::caught(|| {
                $crate::fields::write(
                    log::Level::$level,
                    (module_path!(), file!(), line!()),
                    format_args!($($line)+),
                    &$crate::fields::Fields {
                        own: &[$((
                            stringify!($name),
                            $crate::fields::field!($($how)? $value),
                        )),+],
                        counts: &[$(&$stats.fields())?],
                    },
                );
            });
            #[cfg(not(feature = "log-kv"))]
            let _ = $crate::caught::caught(|| {
                // Types are checked all the same, and what only a field uses is used.
                if false {
                    $(let _ = &$value;)+
                    $(let _ = &$stats;)?
                }
                log::log!(log::Level::$level, $($line)+);
            });
        }
    };
}

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

/// A value of the user's that is kept to the end of its owner. The owner may end anywhere: where
/// the last lease comes home, in the background, in the midst of a step of another pool. None of
/// these shall meet a panic of the value's drop.
pub(crate) struct Kept<T>(Option<T>);

impl<T> Kept<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Some(value))
    }

    /// The value, which is there until it is dropped, without a way to panic.
    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

impl<T> Deref for Kept<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        let Some(value) = &self.0 else { unreachable!("it is there until it is dropped") };
        value
    }
}

impl<T> Drop for Kept<T> {
    fn drop(&mut self) {
        let value = self.0.take();
        if let Err(said) = caught(|| drop(value)) {
            let said = one_line(&said);
            say!(
                Error,
                { event = "panicked", reason = *said },
                "the drop of what a pool or balancer kept panicked: {said}"
            );
        }
    }
}

/// The user's words may span lines; a log line and a picture may not.
pub(crate) fn one_line(words: &str) -> String {
    words.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

fn said(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

pub(crate) use say;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    #[test]
    fn fields_are_evaluated_with_the_feature_alone() {
        log::set_max_level(log::LevelFilter::Trace);
        let asked = Cell::new(0);
        let count = || {
            asked.set(asked.get() + 1);
            asked.get()
        };
        say!(Debug, { event = "tested", max = count() }, "a line of a test");
        assert_eq!(asked.get(), i32::from(cfg!(feature = "log-kv")));
    }
}
