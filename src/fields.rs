//! The key-value fields of a log line, with the feature `log-kv`. See [`crate::logging`].

use std::fmt;

use log::kv::{Error, Key, Source, Value, VisitSource};
use log::{Level, Record};

/// A name and what it is to be; `None` leaves it out.
pub(crate) type Field<'a> = (&'static str, Option<Value<'a>>);

/// All of one line.
pub(crate) struct Fields<'a> {
    pub(crate) own: &'a [Field<'a>],
    /// A pool's counts, if the line has them.
    pub(crate) counts: &'a [&'a [Field<'a>]],
}

impl Source for Fields<'_> {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), Error> {
        for (name, value) in self.own.iter().chain(self.counts.iter().copied().flatten()) {
            if let Some(value) = value {
                visitor.visit_pair(Key::from_str(name), value.clone())?;
            }
        }
        Ok(())
    }
}

/// Hands a line to the logger: as `log::log!` does, which knows no field that may be left out.
pub(crate) fn write(
    level: Level,
    (module, file, line): (&'static str, &'static str, u32),
    text: fmt::Arguments<'_>,
    fields: &Fields<'_>,
) {
    let mut record = Record::builder();
    record.level(level).target(module).args(text).key_values(fields);
    record.module_path_static(Some(module)).file_static(Some(file)).line(Some(line));
    log::logger().log(&record.build());
}

/// The value of a field as the macro `say` has it.
macro_rules! field {
    (% $value:expr) => {
        Some(log::kv::Value::from_display(&$value))
    };
    (? $value:expr) => {
        $value.as_ref().map(log::kv::ToValue::to_value)
    };
    ($value:expr) => {
        Some(log::kv::ToValue::to_value(&$value))
    };
}

pub(crate) use field;
