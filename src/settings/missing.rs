//! What a table is read as whose feature is off: refused, with the name of the feature.

use super::form::{Form, Line};
use super::reader::{Entry, Reader};

/// In place of the settings of `admin`.
#[derive(Clone, Debug, Default)]
pub(super) struct NoAdmin;

impl Form for NoAdmin {
    fn read(&mut self, entry: &Entry<'_>, reader: &mut Reader<'_>) {
        reader.note(
            entry,
            "needs the feature `admin` of llm-pool, which this program is built without",
        );
    }

    fn show(&self, _: &str, _: &mut Vec<Line>) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Problems;
    use crate::settings::{form, reader};

    struct Root {
        admin: NoAdmin,
    }

    form::table! {
        Root {
            admin,
        }
    }

    #[test]
    fn a_table_whose_feature_is_off_is_refused_with_the_name_of_the_feature() {
        let mut root = Root { admin: NoAdmin };
        let read = |text: &str, root: &mut Root| {
            reader::read(text, Problems::of("settings"), |entry, reader| root.read(entry, reader))
        };
        for text in ["[admin]\n", "[admin]\nlisten = '127.0.0.1:1'\nwhat = 3", "admin = 3"] {
            let error = read(text, &mut root).unwrap_err();
            assert_eq!(error.problems().len(), 1, "{error}");
            let end =
                ": needs the feature `admin` of llm-pool, which this program is built without";
            let problem = &error.problems()[0];
            assert!(problem.starts_with("admin (line 1, ") && problem.ends_with(end), "{problem}");
        }
        let mut lines = Vec::new();
        root.show("", &mut lines);
        assert!(lines.is_empty());
    }
}
