//! Bytes that come to the admin endpoints: the same requests in whatever pieces they come, within the
//! bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use llm_pool::fuzzing::requests;

// The first byte is the length of a piece.
fuzz_target!(|bytes: &[u8]| {
    let [length, sent @ ..] = bytes else { return };
    let (max_head, max_body) = (600, 100);
    let whole = requests([sent], max_head, max_body);
    let pieces = sent.chunks(usize::from(*length).max(1));
    let in_pieces = requests(pieces, max_head, max_body);
    assert_eq!(in_pieces.0, whole.0);
    // A head that is both wrong and too long is refused for what is seen first.
    let refused =
        |status: Option<u16>| status.map(|status| if status == 431 { 400 } else { status });
    assert_eq!(refused(in_pieces.1), refused(whole.1));
    assert!(whole.0.iter().all(|(path, body)| path.len() <= max_head && body.len() <= max_body));
});
