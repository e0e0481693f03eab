//! Streamed bodies cut into frames: the same ones in whatever pieces the body comes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use llm_pool::chat::Framing;
use llm_pool::fuzzing::frames;

// The first byte is how the body is framed and how long a frame may be, the second the length of a
// piece.
fuzz_target!(|bytes: &[u8]| {
    let [how, length, body @ ..] = bytes else { return };
    let framing = if how & 1 == 0 { Framing::Events } else { Framing::Lines };
    let max = usize::from(how >> 1) * 16;
    let whole = frames(framing, max, [body]);
    let pieces = body.chunks(usize::from(*length).max(1));
    assert_eq!(frames(framing, max, pieces), whole);
    assert_eq!(frames(framing, max, body.chunks(1)), whole);
    for frame in whole.into_iter().flatten() {
        assert!(frame.0.len() + frame.1.len() <= max);
    }
});
