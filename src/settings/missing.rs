//! What a table is read as whose feature is off: refused, with the name of the feature.

use super::form::{Form, Line};
use super::reader::{Entry, Reader};

/// Types that take the place of settings.
macro_rules! missing {
    ($($(#[$attribute:meta])* $name:ident: $feature:literal),* $(,)?) => {$(
        $(#[$attribute])*
        #[derive(Clone, Debug, Default)]
        pub(super) struct $name;

        $(#[$attribute])*
        impl Form for $name {
            fn read(&mut self, entry: &Entry<'_>, reader: &mut Reader<'_>) {
                let what = concat!(
                    "needs the feature `",
                    $feature,
                    "` of llm-pool, which this program is built without",
                );
                reader.note(entry, what);
            }

            fn show(&self, _: &str, _: &mut Vec<Line>) {}
        }
    )*};
}

missing! {
    #[cfg(any(test, not(feature = "admin")))]
    NoAdmin: "admin",
    #[cfg(any(test, not(feature = "websocket")))]
    NoWebSocket: "websocket",
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Problems;
    use crate::settings::{form, reader};

    struct Root {
        admin: NoAdmin,
        websocket: NoWebSocket,
    }

    form::table! {
        Root {
            admin,
            websocket,
        }
    }

    #[test]
    fn a_table_whose_feature_is_off_is_refused_with_the_name_of_the_feature() {
        let mut root = Root { admin: NoAdmin, websocket: NoWebSocket };
        let read = |text: &str, root: &mut Root| {
            reader::read(text, Problems::of("settings"), |entry, reader| root.read(entry, reader))
        };
        for (name, text) in [
            ("admin", "[admin]\n"),
            ("admin", "[admin]\nlisten = '127.0.0.1:1'\nwhat = 3"),
            ("admin", "admin = 3"),
            ("websocket", "[websocket]\nmax_connections = 1"),
            ("websocket", "[websocket.reconnect]"),
        ] {
            let error = read(text, &mut root).unwrap_err();
            assert_eq!(error.problems().len(), 1, "{error}");
            let end = format!(
                ": needs the feature `{name}` of llm-pool, which this program is built without"
            );
            let problem = &error.problems()[0];
            let begin = format!("{name} (line 1, ");
            assert!(problem.starts_with(&begin) && problem.ends_with(&end), "{problem}");
        }
        let mut lines = Vec::new();
        root.show("", &mut lines);
        assert!(lines.is_empty());
    }
}
