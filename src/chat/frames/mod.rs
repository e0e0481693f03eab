//! Cuts a streamed body into frames: server-sent events, or lines of JSON.
//!
//! One buffer holds the data of the frame so far and, behind it, the line that is not yet whole.
//! Both are moved to its front before more is read, and further data of an event is moved up, in
//! place, to what there is of it. A byte is looked at for a line end once and moved at most three
//! times, however small the pieces are; a frame is lent out of the buffer.

use std::ops::Range;
use std::str;

/// One server-sent event, or one line of a body of JSON lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame<'a> {
    /// What `event:` said; empty if nothing did, and for a line.
    pub name: &'a str,
    /// What the `data:` lines said, with a line feed between two; or the line.
    pub data: &'a str,
}

impl<'a> Frame<'a> {
    /// For a test of a [`Dialect`](super::Dialect).
    #[must_use]
    pub fn new(name: &'a str, data: &'a str) -> Self {
        Self { name, data }
    }
}

/// How a streamed body is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Framing {
    /// Server-sent events, as most APIs stream.
    Events,
    /// One JSON text a line.
    Lines,
}

/// The frames of one body.
///
/// To be asked for frames until it has none, then fed what one read brought, and so on; and for the
/// [`last`](Self::last) once a read brings nothing.
///
/// Events are cut as [WHATWG says], with what streams of LLM servers need in addition: the end of
/// the body ends an event as a blank line does, and what is not UTF-8 is an error instead of being
/// replaced, though only where it would be given out. `id:` and `retry:` are for clients that
/// connect again, and ignored.
///
/// [WHATWG says]: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
pub(crate) struct Frames {
    framing: Framing,
    max: usize,
    buf: Vec<u8>,
    /// Where in `buf` the data of the event so far is. It ends where `line` begins or before.
    data: Option<Range<usize>>,
    /// Where the line that is not yet whole begins.
    line: usize,
    /// Before here that line has no end.
    searched: usize,
    /// Where what was read ends.
    end: usize,
    name: Vec<u8>,
    /// `name` belongs to an event that was given out. It is lent until the next call.
    name_given: bool,
    /// The line before was ended by a CR: an LF that follows belongs to it.
    after_cr: bool,
    first_line: bool,
    too_large: bool,
}

/// Why there is no next frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// Nothing more can be had from this body.
    #[error("one event or line of the answer is longer than {max} bytes")]
    TooLarge { max: usize },
    /// Of this frame only: the next one can be had.
    #[error("an event or line of the answer is not UTF-8")]
    NotUtf8,
}

/// Each read gets so much room, at least.
const ROOM: usize = 8 * 1024;

const BOM: &[u8] = "\u{feff}".as_bytes();

impl Frames {
    /// `max_frame` is the most bytes of one frame that are kept: the name and data of an event so
    /// far with the whole of its next line, whatever that is; or one line.
    pub(crate) fn new(framing: Framing, max_frame: usize) -> Self {
        Self {
            framing,
            max: max_frame,
            buf: Vec::new(),
            data: None,
            line: 0,
            searched: 0,
            end: 0,
            name: Vec::new(),
            name_given: false,
            after_cr: false,
            first_line: true,
            too_large: false,
        }
    }

    /// Room to read into, never empty. What was read is told by [`filled`](Self::filled).
    ///
    /// To be called when there is no next frame: only then is the buffer bounded, by `max_frame`
    /// and the room for one read. Frames that are not taken make it grow.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.move_to_front();
        if self.buf.len() - self.end < ROOM {
            // Twice as much, so that a long frame is not copied at every read.
            let twice = self.buf.len().saturating_mul(2).min(self.max.saturating_add(ROOM));
            self.buf.resize(twice.max(self.end + ROOM), 0);
        }
        self.buf.get_mut(self.end..).unwrap_or_default()
    }

    /// The first `n` bytes of the room have been read into.
    pub(crate) fn filled(&mut self, n: usize) {
        if !self.too_large {
            self.end += n.min(self.buf.len() - self.end);
        }
    }

    /// The next whole frame; `None` if more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let data = self.advance()?;
        self.give(data)
    }

    /// The body has ended: what is left, if it counts as a frame. None is left once it is `None`.
    ///
    /// A last line counts without its end, and an event without its blank line: servers are known
    /// to end so after `data: [DONE]`. If the body was cut, so may be the data; that is for its
    /// reader to find out, and JSON that was cut is no JSON.
    pub(crate) fn last(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let mut data = self.advance()?;
        if data.is_none() && self.line < self.end {
            let line = self.line..self.end;
            (self.line, self.searched) = (self.end, self.end);
            data = self.take_line(line);
        }
        if data.is_none() {
            data = self.dispatch();
        }
        self.give(data)
    }

    /// Takes lines until one completes a frame, and says where its data is.
    fn advance(&mut self) -> Result<Option<Range<usize>>, FrameError> {
        if self.name_given {
            self.name.clear();
            self.name_given = false;
        }
        if self.too_large {
            return Err(FrameError::TooLarge { max: self.max });
        }
        loop {
            if self.after_cr && self.searched < self.end {
                // Not waited for when the CR came: a server may be silent after it.
                if self.buf.get(self.searched) == Some(&b'\n') {
                    self.line += 1;
                    self.searched += 1;
                }
                self.after_cr = false;
            }
            let unsearched = self.buf.get(self.searched..self.end).unwrap_or_default();
            let found = unsearched.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let line = self.line..found.map_or(self.end, |at| self.searched + at);
            let kept = self.name.len() + self.data.as_ref().map_or(0, Range::len);
            if kept + line.len() > self.max {
                return Err(self.fail());
            }
            if found.is_none() {
                self.searched = self.end;
                return Ok(None);
            }
            self.after_cr = self.buf.get(line.end) == Some(&b'\r');
            self.line = line.end + 1;
            self.searched = self.line;
            if let Some(data) = self.take_line(line) {
                return Ok(Some(data));
            }
        }
    }

    /// Where the data of the frame is that this line completes, if it does.
    fn take_line(&mut self, mut line: Range<usize>) -> Option<Range<usize>> {
        let mut text = self.buf.get(line.clone()).unwrap_or_default();
        if self.first_line {
            self.first_line = false;
            if let Some(rest) = text.strip_prefix(BOM) {
                text = rest;
                line.start += BOM.len();
            }
        }
        match self.framing {
            Framing::Lines if text.trim_ascii().is_empty() => None,
            Framing::Lines => Some(line),
            Framing::Events if text.is_empty() => self.dispatch(),
            Framing::Events => {
                let colon = text.iter().position(|&byte| byte == b':').unwrap_or(text.len());
                let (field, value) = text.split_at(colon);
                let value = value.strip_prefix(b":").unwrap_or(value);
                let value = value.strip_prefix(b" ").unwrap_or(value);
                match field {
                    b"data" => {
                        let value = line.end - value.len()..line.end;
                        self.add_data(value);
                    }
                    b"event" => {
                        self.name.clear();
                        self.name.extend_from_slice(value);
                    }
                    // A comment too: its field has no name.
                    _ => {}
                }
                None
            }
        }
    }

    /// There is always room for the line feed: the value was behind `data`, a word of four.
    fn add_data(&mut self, value: Range<usize>) {
        let Some(data) = &mut self.data else {
            self.data = Some(value);
            return;
        };
        if let Some(byte) = self.buf.get_mut(data.end) {
            *byte = b'\n';
        }
        let behind = data.end + 1;
        data.end = behind + value.len();
        self.buf.copy_within(value, behind);
    }

    /// Without any data line the event counts for nothing, and its name with it.
    fn dispatch(&mut self) -> Option<Range<usize>> {
        if self.data.is_none() {
            self.name.clear();
        }
        self.data.take()
    }

    fn give(&mut self, data: Option<Range<usize>>) -> Result<Option<Frame<'_>>, FrameError> {
        let Some(data) = data else { return Ok(None) };
        self.name_given = true;
        let text = |bytes| str::from_utf8(bytes).map_err(|_| FrameError::NotUtf8);
        let data = text(self.buf.get(data).unwrap_or_default())?;
        Ok(Some(Frame { name: text(&self.name)?, data }))
    }

    /// Drops the memory too: whoever reads on, against the rules, fills nothing.
    fn fail(&mut self) -> FrameError {
        self.too_large = true;
        (self.buf, self.name, self.data) = (Vec::new(), Vec::new(), None);
        (self.line, self.searched, self.end) = (0, 0, 0);
        FrameError::TooLarge { max: self.max }
    }

    /// Moves the data once an event and a line once: what is at the front stays there.
    fn move_to_front(&mut self) {
        let mut kept = 0;
        if let Some(data) = &mut self.data {
            kept = data.len();
            if data.start > 0 {
                self.buf.copy_within(data.clone(), 0);
                *data = 0..kept;
            }
        }
        if self.line > kept {
            self.buf.copy_within(self.line..self.end, kept);
            let by = self.line - kept;
            self.line -= by;
            self.searched -= by;
            self.end -= by;
        }
    }
}

#[cfg(test)]
mod tests;
