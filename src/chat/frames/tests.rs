//! What comes out is compared with what a reference makes of the whole text, in however many pieces
//! the text came.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::Framing::{Events, Lines};
use super::*;

/// A frame as name and data.
type Got = Vec<Result<(String, String), FrameError>>;

const MAX: usize = 1000;

fn owned(frame: Frame<'_>) -> (String, String) {
    (frame.name.to_owned(), frame.data.to_owned())
}

/// Feeds a piece and takes what is whole then. Checks the memory.
fn feed(frames: &mut Frames, mut piece: &[u8], got: &mut Got) {
    while !piece.is_empty() {
        let room = frames.room();
        let n = room.len().min(piece.len());
        room[..n].copy_from_slice(&piece[..n]);
        frames.filled(n);
        piece = &piece[n..];
        while let Some(next) = frames.next().map(|frame| frame.map(owned)).transpose() {
            got.push(next);
            if frames.too_large {
                break;
            }
        }
        assert!(
            frames.buf.len() <= frames.max.saturating_add(ROOM),
            "{} bytes are held",
            frames.buf.len()
        );
    }
}

fn read_pieces<'a>(
    framing: Framing,
    max: usize,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Got {
    let (mut frames, mut got) = (Frames::new(framing, max), Got::new());
    for piece in pieces {
        feed(&mut frames, piece, &mut got);
        if frames.too_large {
            return got;
        }
    }
    while let Some(last) = frames.last().map(|frame| frame.map(owned)).transpose() {
        got.push(last);
    }
    got
}

/// In one read, in two, divided wherever possible, and byte by byte.
#[track_caller]
fn read(framing: Framing, max: usize, text: &[u8]) -> Got {
    let got = read_pieces(framing, max, [text]);
    for at in 0..=text.len() {
        let (a, b) = text.split_at(at);
        assert_eq!(read_pieces(framing, max, [a, b]), got, "divided at {at}");
    }
    assert_eq!(read_pieces(framing, max, text.chunks(1)), got, "byte by byte");
    got
}

fn named(name: &str, data: &str) -> Result<(String, String), FrameError> {
    Ok((name.to_owned(), data.to_owned()))
}

#[track_caller]
fn gives(framing: Framing, text: &str, expected: &[(&str, &str)]) {
    let expected: Got = expected.iter().map(|(name, data)| named(name, data)).collect();
    assert_eq!(read(framing, MAX, text.as_bytes()), expected, "{text:?}");
    assert_eq!(reference(framing, MAX, text.as_bytes()), expected, "the reference, {text:?}");
}

/// Right because simple: takes the whole text apart at once, several times.
fn reference(framing: Framing, max: usize, text: &[u8]) -> Got {
    let one_char_a_byte: String = text.iter().map(|&byte| char::from(byte)).collect();
    let one_kind_of_end = one_char_a_byte.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines: Vec<Vec<u8>> = one_kind_of_end
        .split('\n')
        .map(|line| line.chars().map(|c| u8::try_from(c).expect("a byte")).collect())
        .collect();
    let unended = lines.last().is_some_and(|line| !line.is_empty());
    if !unended {
        lines.pop();
    }
    // The end of the body closes an event.
    lines.push(Vec::new());

    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| FrameError::NotUtf8);
    let mut got = Got::new();
    let (mut name, mut data) = (Vec::new(), Vec::<Vec<u8>>::new());
    for (n, line) in lines.iter().enumerate() {
        if name.len() + data.join(&b'\n').len() + line.len() > max {
            got.push(Err(FrameError::TooLarge { max }));
            return got;
        }
        let line = line.strip_prefix(BOM).filter(|_| n == 0).unwrap_or(line);
        if framing == Lines {
            if !line.trim_ascii().is_empty() {
                got.push(text(line).map(|line| (String::new(), line)));
            }
        } else if line.is_empty() {
            if !data.is_empty() {
                let both = text(&data.join(&b'\n')).and_then(|data| Ok((text(&name)?, data)));
                got.push(both);
            }
            (name, data) = (Vec::new(), Vec::new());
        } else {
            let mut halves = line.splitn(2, |&byte| byte == b':');
            let field = halves.next().unwrap_or_default();
            let value = halves.next().unwrap_or_default();
            let value = value.strip_prefix(b" ").unwrap_or(value).to_vec();
            match field {
                b"event" => name = value,
                b"data" => data.push(value),
                _ => {}
            }
        }
    }
    got
}

#[test]
fn a_line_ends_with_lf_cr_or_both() {
    for end in ["\n", "\r", "\r\n"] {
        let text = "data: a\n\ndata: b\ndata: c\n\n".replace('\n', end);
        gives(Events, &text, &[("", "a"), ("", "b\nc")]);
        gives(Lines, &"{}\n[]\n".replace('\n', end), &[("", "{}"), ("", "[]")]);
    }
    gives(Events, "data: a\r\ndata: b\rdata: c\n\r\n", &[("", "a\nb\nc")]);
    gives(Events, "data: a\n\rdata: b\r\r\n", &[("", "a"), ("", "b")]);
}

#[test]
fn a_frame_comes_with_the_cr_that_ends_it_and_the_lf_after_it_ends_nothing() {
    for (framing, text) in [(Events, "data: a\r\n\r"), (Events, "data: a\r\r"), (Lines, "a\r")] {
        let (mut frames, mut got) = (Frames::new(framing, MAX), Got::new());
        feed(&mut frames, text.as_bytes(), &mut got);
        assert_eq!(got, [named("", "a")]);
        feed(&mut frames, b"\n", &mut got);
        assert_eq!(frames.last(), Ok(None));
        assert_eq!(got.len(), 1);
    }
}

#[test]
fn one_space_after_the_colon_is_not_part_of_the_value() {
    gives(Events, "data:a\n\ndata: b\n\ndata:  c \n\n", &[("", "a"), ("", "b"), ("", " c ")]);
    gives(Events, "data:\ta\n\ndata: : b\n\n", &[("", "\ta"), ("", ": b")]);
}

#[test]
fn data_lines_are_joined_and_empty_ones_count() {
    gives(Events, "data: a\ndata:\ndata: b\n\n", &[("", "a\n\nb")]);
    gives(Events, "data\n\ndata\ndata\n\ndata:\n\n", &[("", ""), ("", "\n"), ("", "")]);
    // What stands between two of them is not lost and does not get in.
    gives(Events, "data: a\n: no\nevent: x\nid: 1\ndata: bcd\nretry: 9\n\n", &[("x", "a\nbcd")]);
}

#[test]
fn a_name_is_of_its_own_event_and_the_last_one_counts() {
    let text = "event: x\ndata: a\n\ndata: b\n\nevent: y\nevent: z\ndata: c\n\n";
    gives(Events, text, &[("x", "a"), ("", "b"), ("z", "c")]);
    gives(Events, "event: x\nevent\ndata: a\n\n", &[("", "a")]);
}

#[test]
fn an_event_without_data_is_none_and_its_name_is_forgotten() {
    gives(Events, "event: ping\n\ndata: a\n\n", &[("", "a")]);
    gives(Events, "\n\n\nid: 1\n\nretry: 5\n\n", &[]);
    gives(Events, "event: ping\n", &[]);
}

#[test]
fn comments_and_unknown_fields_are_ignored() {
    gives(Events, ": hello\n\n:\n\ndata: a\n:data: b\n\n", &[("", "a")]);
    gives(Events, "Data: b\n data: c\nda ta: d\ndatas: e\ndat: f\ndata: a\n\n", &[("", "a")]);
    gives(Events, "id: 1\0\nid\nretry: x\ndata: a\nid: \n\n", &[("", "a")]);
    assert_eq!(read(Events, MAX, b":\xff\n\xff: \xff\nid: \xff\ndata: a\n\n"), [named("", "a")]);
}

#[test]
fn a_byte_order_mark_at_the_start_is_skipped_and_nowhere_else() {
    gives(Events, "\u{feff}data: a\n\n\u{feff}data: b\n\n", &[("", "a")]);
    gives(Events, "\u{feff}\u{feff}data: a\n\n", &[]);
    gives(Events, "\u{feff}\n\u{feff}", &[]);
    gives(Events, "\u{feff}: hello\ndata: \u{feff}\n\n", &[("", "\u{feff}")]);
    gives(Lines, "\u{feff}{}\n\u{feff}{}\n", &[("", "{}"), ("", "\u{feff}{}")]);
}

#[test]
fn a_character_may_come_in_two_reads() {
    gives(Events, "event: é\ndata: \u{1f600}\ndata: ü\n\n", &[("é", "\u{1f600}\nü")]);
    gives(Lines, "\"\u{1f600}\"\n\"é\"", &[("", "\"\u{1f600}\""), ("", "\"é\"")]);
}

#[test]
fn what_is_not_utf8_is_an_error_of_its_own_frame() {
    let bad = || Err(FrameError::NotUtf8);
    assert_eq!(read(Events, MAX, b"data: \xff\n\ndata: a\n\n"), [bad(), named("", "a")]);
    let text = b"event: \xc3\ndata: a\n\ndata: b";
    assert_eq!(read(Events, MAX, text), [bad(), named("", "b")]);
    // Two halves of one character are no character with a line end between them.
    assert_eq!(read(Events, MAX, b"data: \xc3\ndata: \xa9\n\n"), [bad()]);
    assert_eq!(read(Lines, MAX, b"\xff\n{}\n\xc3"), [bad(), named("", "{}"), bad()]);
}

#[test]
fn the_end_of_the_body_ends_an_event() {
    gives(Events, "data: a\n\ndata: [DONE]\n", &[("", "a"), ("", "[DONE]")]);
    gives(Events, "data: a\n\ndata: [DONE]", &[("", "a"), ("", "[DONE]")]);
    gives(Events, "event: x\ndata: {\"a\":1}\ndata: {\"b", &[("x", "{\"a\":1}\n{\"b")]);
    gives(Events, "data: a\r\r", &[("", "a")]);
    gives(Events, "data: a\ndat", &[("", "a")]);
    gives(Events, "data", &[("", "")]);
    gives(Events, "", &[]);
}

#[test]
fn every_line_that_is_not_blank_is_a_frame() {
    gives(Lines, "{}\n\n \t\r\n\r{\"a\": 1}", &[("", "{}"), ("", "{\"a\": 1}")]);
    gives(Lines, "data: a\n: b\n", &[("", "data: a"), ("", ": b")]);
    gives(Lines, " {} \n  ", &[("", " {} ")]);
    gives(Lines, "", &[]);
}

#[test]
fn a_frame_may_be_as_long_as_the_limit_and_no_longer() {
    let too_large = || Err(FrameError::TooLarge { max: 10 });
    assert_eq!(read(Events, 10, b"data: 6789\n\n"), [named("", "6789")]);
    assert_eq!(read(Events, 10, b"data: 67890\n\n"), [too_large()]);
    assert_eq!(read(Events, 10, b":234567890\ndata: 6789\n\n"), [named("", "6789")]);
    assert_eq!(read(Events, 10, b":2345678901\ndata: 6789\n\n"), [too_large()]);
    // Data kept and the next line, whatever that is.
    assert_eq!(read(Events, 10, b"data: 67\ndata: x\n\n"), [named("", "67\nx")]);
    assert_eq!(read(Events, 10, b"data: 67\ndata: xy\ndata:\n\n"), [named("", "67\nxy\n")]);
    assert_eq!(read(Events, 10, b"data: 67\ndata: xyz\n\n"), [too_large()]);
    assert_eq!(read(Events, 10, b"event: 789\nevent: 7890\ndata:\n\n"), [too_large()]);
    assert_eq!(read(Lines, 10, b"1234567890\n"), [named("", "1234567890")]);
    assert_eq!(read(Lines, 10, b"ok\n12345678901"), [named("", "ok"), too_large()]);
}

#[test]
fn comments_that_ended_do_not_count_however_many() {
    let text = [&b"data: a\n"[..], &b": still there\n".repeat(1000), b"\n"].concat();
    assert_eq!(read_pieces(Events, 40, [&*text]), [named("", "a")]);
    assert_eq!(read_pieces(Events, 40, text.chunks(3)), [named("", "a")]);
}

#[test]
fn empty_data_lines_without_end_are_too_large_in_the_end() {
    let text = b"data\n".repeat(200);
    assert_eq!(read_pieces(Events, 100, text.chunks(7)), [Err(FrameError::TooLarge { max: 100 })]);
}

#[test]
fn what_was_too_large_stays_so_and_holds_no_memory() {
    let mut frames = Frames::new(Lines, 100);
    let too_large = Err(FrameError::TooLarge { max: 100 });
    let room = frames.room();
    room.fill(b'x');
    let n = room.len();
    frames.filled(n);
    assert_eq!(frames.next(), too_large);
    for _ in 0..100 {
        let n = frames.room().len();
        frames.filled(n);
        assert_eq!(frames.next(), too_large);
        assert_eq!(frames.last(), too_large);
    }
    assert!(frames.buf.len() <= ROOM);
}

#[test]
fn a_limit_of_nothing_or_of_everything_is_one() {
    assert_eq!(read(Lines, 0, b"\n\n"), []);
    assert_eq!(read(Lines, 0, b"\na"), [Err(FrameError::TooLarge { max: 0 })]);
    assert_eq!(read_pieces(Events, usize::MAX, [&b"data: a\n\n"[..]]), [named("", "a")]);
}

#[test]
fn more_told_than_there_was_room_for_is_not_believed() {
    let mut frames = Frames::new(Lines, MAX);
    frames.filled(1);
    assert_eq!(frames.next(), Ok(None));
    frames.room()[0] = b'\n';
    frames.filled(usize::MAX);
    assert_eq!(frames.next(), Err(FrameError::TooLarge { max: MAX }));
}

#[test]
fn a_long_stream_of_small_frames_takes_no_more_memory_than_a_short_one() {
    let mut frames = Frames::new(Events, 1 << 20);
    let mut got = Got::new();
    let text = b"event: delta\ndata: {\"text\":\ndata: \"a\"}\n\n".repeat(1000);
    for piece in text.chunks(1000) {
        feed(&mut frames, piece, &mut got);
    }
    let held = (frames.buf.capacity(), frames.buf.as_ptr(), frames.name.as_ptr());
    for piece in text.chunks(1000) {
        feed(&mut frames, piece, &mut got);
    }
    assert_eq!(held, (frames.buf.capacity(), frames.buf.as_ptr(), frames.name.as_ptr()));
    assert!(held.0 <= 2 * ROOM);
    assert_eq!(got.len(), 2000);
    assert!(got.iter().all(|got| *got == named("delta", "{\"text\":\n\"a\"}")));
}

/// If the time went with the square of the length, these would take hours.
#[test]
fn a_long_frame_that_comes_byte_by_byte_is_read_in_linear_time() {
    const LENGTH: usize = 1 << 20;
    let start = Instant::now();
    let long = [&b"data: "[..], &b"x".repeat(LENGTH), b"\n\n"].concat();
    let got = read_pieces(Events, 2 * LENGTH, long.chunks(1));
    assert_eq!(got, [named("", &"x".repeat(LENGTH))]);
    // Many short lines of one event, with some between that are dropped.
    let many = [&b"data: x\n:\n".repeat(LENGTH / 10), &b"\n"[..]].concat();
    let got = read_pieces(Events, 2 * LENGTH, many.chunks(1));
    assert_eq!(got.len(), 1);
    // One read brings many lines and a part of a long one.
    let got = read_pieces(Lines, 2 * LENGTH, b"{}\n".repeat(LENGTH / 3).chunks(4096));
    assert_eq!(got.len(), LENGTH / 3);
    assert!(start.elapsed() < Duration::from_secs(30), "took {:?}", start.elapsed());
}

/// Mostly of what means something, and now and then of anything.
fn texts() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&[u8]> = vec![
        b"data:",
        b"data: ",
        b"data",
        b"event: ",
        b"event",
        b"id: 1",
        b"retry: 5",
        b":",
        b" ",
        b"\n",
        b"\n",
        b"\n\n",
        b"\r",
        b"\r\r",
        b"\r\n",
        b"\r\n\r\n",
        BOM,
        b"\0",
        b"{}",
        b"[DONE]",
        "\u{1f600}".as_bytes(),
        "é".as_bytes(),
        b"\xc3",
        b"\xff",
        b"a longer piece of text",
    ];
    let word = prop_oneof![
        20 => prop::sample::select(words).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

/// Cuts by lengths that are taken in turn.
fn cut<'a>(mut text: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for &length in lengths.iter().cycle() {
        if text.is_empty() {
            break;
        }
        let (piece, rest) = text.split_at(length.min(text.len()));
        pieces.push(piece);
        text = rest;
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn any_text_in_any_pieces_gives_what_the_reference_gives(
        text in texts(),
        lengths in prop::collection::vec(1..12_usize, 1..8),
        max in prop_oneof![Just(MAX), 0..40_usize],
        framing in prop_oneof![4 => Just(Events), 1 => Just(Lines)],
    ) {
        let got = read_pieces(framing, max, cut(&text, &lengths));
        prop_assert_eq!(&got, &reference(framing, max, &text));
        prop_assert_eq!(&got, &read_pieces(framing, max, [&*text]));
    }

    #[test]
    fn garbage_breaks_nothing(
        text in prop::collection::vec(any::<u8>(), 0..300),
        lengths in prop::collection::vec(1..100_usize, 1..8),
        max in 0..400_usize,
        events: bool,
    ) {
        let framing = if events { Events } else { Lines };
        let got = read_pieces(framing, max, cut(&text, &lengths));
        prop_assert_eq!(got, reference(framing, max, &text));
    }
}
