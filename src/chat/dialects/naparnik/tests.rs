use std::time::Duration;

use super::Naparnik;
use super::speech::told_wait;
use super::thoughts::{Parted, Thoughts};

fn parted(text: &str, thought: &str) -> Parted {
    Parted { text: text.into(), thought: thought.into() }
}

/// In pieces of so many characters, kept as text between two.
fn in_pieces(whole: &str, size: usize) -> Parted {
    let characters: Vec<char> = whole.chars().collect();
    let (mut all, mut kept) = (Parted::default(), String::new());
    let mut add = |more: Parted| {
        all.text += &more.text;
        all.thought += &more.thought;
    };
    for piece in characters.chunks(size) {
        let mut thoughts = Thoughts::from_kept(&kept);
        add(thoughts.push(&piece.iter().collect::<String>()));
        kept = thoughts.to_kept();
        assert_eq!(Thoughts::from_kept(&kept), thoughts);
    }
    add(Thoughts::from_kept(&kept).end());
    all
}

#[test]
fn thoughts_are_parted_from_the_text_however_it_is_cut() {
    for (whole, text, thought) in [
        ("Да.", "Да.", ""),
        ("<think>Хм</think>\n\n  Да.", "Да.", "Хм"),
        ("<thinking>one</thinking>A <think>two</think> B", "A B", "onetwo"),
        ("a < b, a <thin, </think> b", "a < b, a <thin, </think> b", ""),
        ("<think>never ended </thi", "", "never ended </thi"),
        ("ends with <thinkin", "ends with <thinkin", ""),
        ("    indented", "    indented", ""),
        ("<<think>>x<</think>y", "<y", ">x<"),
        ("", "", ""),
    ] {
        assert_eq!(Thoughts::part(whole), parted(text, thought), "{whole}");
        for size in 1..12 {
            assert_eq!(in_pieces(whole, size), parted(text, thought), "{whole} by {size}");
        }
    }
}

#[test]
fn the_wait_is_read_from_the_words() {
    for (words, wait) in [
        ("Rate limit exceeded. Try again in 123 seconds.", Some(123_000)),
        ("Try again in 1 second", Some(1000)),
        ("try again in 2 minutes.", Some(120_000)),
        ("try again in 1.5 s", Some(1500)),
        ("Try again in a while.", None),
        ("Try again in -3 seconds.", None),
        ("Try again in 5 fortnights.", None),
        ("Try again in ", None),
        ("Too many requests", None),
    ] {
        assert_eq!(told_wait(words), wait.map(Duration::from_millis), "{words}");
    }
}

#[test]
fn the_settings_do_not_show_the_token() {
    let shown = format!("{:?}", Naparnik::new("s3cr3t").programming_language("1c"));
    assert!(shown.contains("1c") && !shown.contains("s3cr3t"), "{shown}");
}
