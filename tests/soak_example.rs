//! The example `soak`, for a moment; `.ci/faults` has a minute of it. A plain `cargo test` builds it;
//! with one named test alone it is the one that `cargo build --example soak` last built.

use std::env::consts::EXE_SUFFIX;
use std::process::{Command, Output};

fn soak(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    let path = path.join("examples").join(format!("soak{EXE_SUFFIX}"));
    assert!(path.exists(), "build it first: cargo build --example soak");
    let Output { status, stdout, stderr } = Command::new(path).args(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// The numbers of a line, in their order.
fn numbers(line: &str) -> Vec<u64> {
    line.split(|c: char| !c.is_ascii_digit()).filter_map(|it| it.parse().ok()).collect()
}

#[test]
fn the_books_are_printed_and_balance() {
    let (status, out, err) = soak(&["--seconds", "2", "--threads", "24", "--seed", "7"]);
    assert_eq!((status, &*err), (Some(0), ""), "{out}");
    assert!(out.starts_with("2s, 24 threads, seed 7\n"), "{out}");
    for pool in ["agents: gets", "models: gets"] {
        let line = out.lines().find(|line| line.starts_with(pool)).unwrap();
        let [gets, put_back, discarded, detached, failed, asked, turned_away] = numbers(line)[..]
        else {
            panic!("{line}")
        };
        assert_eq!(gets, put_back + discarded + detached + failed, "{line}");
        assert_eq!(asked, gets + turned_away, "{line}");
        assert!(gets > 20 && discarded + detached + failed > 0, "{line}");
    }
    assert!(out.ends_with("the books balance, and nothing has grown\n"), "{out}");
}

#[test]
fn what_cannot_be_run_is_told_with_status_2() {
    for (arguments, told) in [
        (&["--seconds"][..], "--seconds needs a value"),
        (&["--seconds", "0"], r#"--seconds must be a whole number from 1 to 86400, and is "0""#),
        (
            &["--threads", "many"],
            r#"--threads must be a whole number from 1 to 1000, and is "many""#,
        ),
        (&["--seed", "-1"], "--seed must be a whole number"),
        (&["60"], r#"unknown argument "60""#),
    ] {
        let (status, out, err) = soak(arguments);
        assert_eq!((status, &*out), (Some(2), ""), "{arguments:?}: {err}");
        assert!(err.starts_with("soak: ") && err.contains(told), "{arguments:?}: {err}");
    }
    let (status, out, err) = soak(&["--help"]);
    assert_eq!((status, &*err), (Some(0), ""));
    assert!(out.contains("--seconds N"), "{out}");
}
