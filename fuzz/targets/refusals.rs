//! Bodies of refusals: whatever they are, there is a short error of one line with the status.
#![no_main]

use libfuzzer_sys::fuzz_target;
use llm_pool::chat::{Dialect, OpenAi};
use llm_pool::ureq::http::{HeaderMap, HeaderValue, header::RETRY_AFTER};

// The first byte is the status, and the first line the value of `Retry-After`.
fuzz_target!(|bytes: &[u8]| {
    let [status, rest @ ..] = bytes else { return };
    let line = rest.iter().position(|&byte| byte == b'\n').unwrap_or(0);
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(&rest[..line]) {
        headers.insert(RETRY_AFTER, value);
    }
    let status = 400 + u16::from(*status) % 200;
    let error = OpenAi::compatible().error(status, &headers, &rest[line..]);
    let shown = error.to_string();
    assert_eq!(error.status(), Some(status));
    assert!(shown.len() < 5000 && !shown.contains(['\n', '\r', '\u{1b}']), "{shown:?}");
});
