//! What the user said comes back, in whichever shape and place, and is no answer.

use super::*;

fn echo_of(content: Value) -> String {
    event(&json!({"uuid": "u-1", "role": "user", "finished": true, "content": content}))
}

/// As text where an answer has its text.
fn echoes() -> [String; 4] {
    [
        echo_of(json!({"content": QUESTION})),
        echo_of(json!({"text": QUESTION})),
        echo_of(json!(QUESTION)),
        event(&json!({"uuid": "u-1", "role": "user", "finished": true, "content_delta": QUESTION})),
    ]
}

#[test]
fn an_echo_that_looks_like_an_answer_is_none() {
    for echo in echoes() {
        let error = failed(stream(std::slice::from_ref(&echo)));
        assert_eq!((error.kind(), error.text_so_far()), (ErrorKind::CutShort, ""), "{echo}");
        assert!(error.message().contains("nothing said that this was all"), "{error}");
        let reply = answered(&[echo, delta("Да"), finished("a-1", json!({"content": "Да."}))]);
        assert_eq!((reply.text(), reply.id()), ("Да.", Some("a-1")));
    }
}

#[test]
fn an_echo_after_the_answer_takes_nothing_from_it() {
    for echo in echoes() {
        let reply = answered(&[finished("a-1", json!({"content": "Да."})), echo]);
        assert_eq!((reply.text(), reply.id()), ("Да.", Some("a-1")));
    }
    let tool = event(&json!({"uuid": "t-1", "role": "tool", "finished": true, "content": "Нет"}));
    let reply = answered(&[finished("a-1", json!({"content": "Да."})), tool]);
    assert_eq!((reply.text(), reply.id()), ("Да.", Some("a-1")));
}
