//! What the fuzz targets in `fuzz` call and nobody else: readers of bytes that are not public. Only
//! `cargo fuzz` compiles it, which sets `cfg(fuzzing)`.

use std::io::{self, Read, Write};

use crate::chat::Framing;
use crate::chat::frames::{FrameError, Frames};
use crate::http1::{Bounds, ReadError, Reader};

/// An event, as name and data, or why there is none.
pub type Frame = Result<(String, String), String>;

/// The frames of a body that comes in these pieces, up to one that is larger than `max`.
#[must_use]
pub fn frames<'a>(
    framing: Framing,
    max: usize,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<Frame> {
    let (mut frames, mut got) = (Frames::new(framing, max), Vec::new());
    for mut piece in pieces {
        while !piece.is_empty() {
            let room = frames.room();
            let read = piece.read(room).unwrap_or(0);
            frames.filled(read);
            if !drain(&mut frames, Frames::next, &mut got) {
                return got;
            }
        }
    }
    drain(&mut frames, Frames::last, &mut got);
    got
}

/// Takes all there are; false once there can be no more.
fn drain(
    frames: &mut Frames,
    next: impl Fn(&mut Frames) -> Result<Option<crate::chat::Frame<'_>>, FrameError>,
    got: &mut Vec<Frame>,
) -> bool {
    loop {
        match next(frames) {
            Ok(Some(frame)) => got.push(Ok((frame.name.to_owned(), frame.data.to_owned()))),
            Ok(None) => return true,
            Err(error) => {
                got.push(Err(error.to_string()));
                if matches!(error, FrameError::TooLarge { .. }) {
                    return false;
                }
            }
        }
    }
}

/// A request, as path and body.
pub type Asked = (String, Vec<u8>);

/// The requests of a connection on which these pieces come, and with which status it ended; none if
/// the client went.
#[must_use]
pub fn requests<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    max_head: usize,
    max_body: usize,
) -> (Vec<Asked>, Option<u16>) {
    let pieces = pieces.into_iter().filter(|piece| !piece.is_empty());
    let mut sent = Sent { piece: &[], further: pieces };
    let (mut reader, mut asked) = (Reader::new(), Vec::new());
    loop {
        match reader.next(&mut sent, Bounds { head: max_head, body: max_body }) {
            Ok(request) => asked.push((request.path.to_owned(), request.body.to_vec())),
            Err(ReadError::Gone) => return (asked, None),
            Err(ReadError::Bad(status, _)) => return (asked, Some(status)),
        }
    }
}

/// A client that sends these pieces, none of two in one read, and hears nothing.
struct Sent<'a, I> {
    piece: &'a [u8],
    further: I,
}

impl<'a, I: Iterator<Item = &'a [u8]>> Read for Sent<'a, I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            self.piece = self.further.next().unwrap_or_default();
        }
        self.piece.read(buffer)
    }
}

impl<I> Write for Sent<'_, I> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
