//! Chat completions as a stream of server-sent events.

use super::super::answer::{Answer, EVENTS};
use super::chat::Chat;

/// How many characters of a call's arguments come at a time.
const FRAGMENT: usize = 4;

impl Chat<'_> {
    /// One event for the role, one for each word thought and then said, one for each call and for
    /// each fragment of its arguments, one for the end, one for the usage if it was asked for, and
    /// `[DONE]`.
    pub(super) fn stream(&self, to: &mut Answer) {
        to.content_type = EVENTS;
        let content = self.said.content.as_deref();
        self.event(to, |to| {
            to.text("{\"role\":\"assistant\",\"content\":");
            to.json_or_null(content.map(|_| ""));
            to.text("}");
        });
        self.by_words("reasoning_content", self.said.reasoning, to);
        self.by_words("content", content, to);
        for (index, call) in self.said.calls.iter().enumerate() {
            self.call_event(index, to, |to| {
                to.text(",");
                self.open_call(index, call.name, to);
                to.text("\"\"");
            });
            for fragment in fragments(&call.arguments) {
                self.call_event(index, to, |to| {
                    to.text(",\"function\":{\"arguments\":");
                    to.json(fragment);
                });
            }
        }
        self.open_event(to);
        to.text(",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":");
        to.json(self.said.finish_reason);
        to.text("}]");
        close_event(to, self.asked.with_usage);
        if self.asked.with_usage {
            self.open_event(to);
            to.text(",\"choices\":[],\"usage\":");
            self.usage(to);
            close_event(to, false);
        }
        to.text("data: [DONE]\n\n");
        to.end_piece();
    }

    fn by_words(&self, name: &str, text: Option<&str>, to: &mut Answer) {
        for word in text.unwrap_or_default().split_inclusive(char::is_whitespace) {
            self.event(to, |to| {
                to.text("{\"");
                to.text(name);
                to.text("\":");
                to.json(word);
                to.text("}");
            });
        }
    }

    /// An event about a call; `call` leaves its function's object open.
    fn call_event(&self, index: usize, to: &mut Answer, call: impl FnOnce(&mut Answer)) {
        self.event(to, |to| {
            to.text("{\"tool_calls\":[{\"index\":");
            to.number(index as u64);
            call(to);
            to.text("}}]}");
        });
    }

    fn event(&self, to: &mut Answer, delta: impl FnOnce(&mut Answer)) {
        self.open_event(to);
        to.text(",\"choices\":[{\"index\":0,\"delta\":");
        delta(to);
        to.text(",\"finish_reason\":null}]");
        close_event(to, self.asked.with_usage);
    }

    fn open_event(&self, to: &mut Answer) {
        to.text("data: ");
        self.open("chat.completion.chunk", to);
    }
}

fn close_event(to: &mut Answer, no_usage_yet: bool) {
    to.text(if no_usage_yet { ",\"usage\":null}\n\n" } else { "}\n\n" });
    to.end_piece();
}

fn fragments(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let end = text.char_indices().nth(FRAGMENT).map_or(text.len(), |(end, _)| end);
        let (fragment, rest) = text.split_at(end);
        text = rest;
        (!fragment.is_empty()).then_some(fragment)
    })
}
