//! Refusals that never end, and how long they hold a call.

use std::time::Instant;

use llm_pool::chat::ErrorKind;

use crate::hostile::{Hostile, drip};
use crate::support::*;
use crate::*;

const REFUSED: &str = "HTTP/1.1 400 Bad Request\r\nContent-Length: 900\r\n\r\nNo";

#[test]
fn a_refusal_of_a_stream_that_stops_is_told_after_the_piece_time_out() {
    let server = Hostile::start(|to| {
        to.write_all(REFUSED.as_bytes())?;
        drip(to, b"", 10)
    });
    let pool =
        server.pool(chat_config().max_retries(0).piece_timeout(millis(100)).total_timeout(secs(3)));
    let began = Instant::now();
    let error = pool.stream(&key(), &hi()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadRequest, "{error}");
    assert!(began.elapsed() < secs(1), "{:?}", began.elapsed());
}

#[test]
fn a_refusal_that_drips_is_told_long_before_the_total_time_out() {
    let server = Hostile::start(|to| {
        to.write_all(REFUSED.as_bytes())?;
        drip(to, b".", 10)
    });
    let pool =
        server.pool(chat_config().max_retries(0).piece_timeout(millis(100)).total_timeout(secs(3)));
    for stream in [false, true] {
        let began = Instant::now();
        let error = match stream {
            true => pool.stream(&key(), &hi()).map(drop).unwrap_err(),
            false => pool.chat(&key(), &hi()).map(drop).unwrap_err(),
        };
        assert_eq!(error.kind(), ErrorKind::BadRequest, "{error}");
        assert!(began.elapsed() < secs(1), "{stream}: {:?}", began.elapsed());
    }
}
