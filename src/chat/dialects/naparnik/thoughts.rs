//! Parts text that comes in pieces from what stands in it between tags for thinking.

/// Where in the text it is. It can be kept as text itself, between two pieces.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Thoughts {
    inside: bool,
    /// A thought has just ended, and the space behind it belongs to it.
    after: bool,
    /// The end of the text so far, which may be the beginning of a tag.
    held: String,
}

/// What came, parted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parted {
    pub(super) text: String,
    pub(super) thought: String,
}

const OPEN: [&str; 2] = ["<think>", "<thinking>"];
const CLOSE: [&str; 2] = ["</think>", "</thinking>"];

impl Thoughts {
    pub(super) fn from_kept(kept: &str) -> Self {
        let (inside, rest) = (kept.starts_with('<'), kept.get(1..).unwrap_or_default());
        let (after, held) = (rest.starts_with('>'), rest.get(1..).unwrap_or_default());
        Self { inside, after, held: held.to_owned() }
    }

    pub(super) fn to_kept(&self) -> String {
        let flag = |set: bool, mark: char| if set { mark } else { '-' };
        format!("{}{}{}", flag(self.inside, '<'), flag(self.after, '>'), self.held)
    }

    /// Parts what is certain.
    pub(super) fn push(&mut self, more: &str) -> Parted {
        let mut parted = Parted::default();
        let whole = std::mem::take(&mut self.held) + more;
        let mut rest = whole.as_str();
        loop {
            if self.after && !self.inside {
                rest = rest.trim_start();
                self.after = rest.is_empty();
            }
            let tags = if self.inside { CLOSE } else { OPEN };
            let found = tags.iter().filter_map(|tag| Some((rest.find(tag)?, tag.len()))).min();
            let (at, tag) = found.unwrap_or_else(|| (rest.len() - held(rest, tags), 0));
            let into = if self.inside { &mut parted.thought } else { &mut parted.text };
            into.push_str(&rest[..at]);
            rest = &rest[at + tag..];
            if found.is_none() {
                self.held = rest.to_owned();
                return parted;
            }
            self.inside = !self.inside;
            self.after = !self.inside;
        }
    }

    /// What was held back: nothing more comes.
    pub(super) fn end(self) -> Parted {
        let Self { inside, held, .. } = self;
        match inside {
            true => Parted { thought: held, ..Parted::default() },
            false => Parted { text: held, ..Parted::default() },
        }
    }

    /// Parts a text that is whole.
    pub(super) fn part(whole: &str) -> Parted {
        let mut thoughts = Self::default();
        let Parted { text, thought } = thoughts.push(whole);
        let last = thoughts.end();
        Parted { text: text + &last.text, thought: thought + &last.thought }
    }
}

/// How many bytes at the end may be the beginning of a tag.
fn held(text: &str, tags: [&str; 2]) -> usize {
    let begins = |tag: &str| (1..tag.len()).rev().find(|n| text.ends_with(&tag[..*n]));
    tags.iter().filter_map(|tag| begins(tag)).max().unwrap_or(0)
}
