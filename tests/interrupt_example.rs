//! The example `interrupt`, run as its user runs it, and Ctrl-C pressed. A plain `cargo test` builds
//! it; with one named test alone it is the one that `cargo build --example interrupt` last built.
#![cfg(unix)]

use std::env::consts::EXE_SUFFIX;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

fn interrupt(arguments: &[&str]) -> Command {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    let path = path.join("examples").join(format!("interrupt{EXE_SUFFIX}"));
    assert!(path.exists(), "build it first: cargo build --example interrupt");
    let mut command = Command::new(path);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What is printed once all calls are under way, and after Ctrl-C; and how long the end takes.
fn pressed(arguments: &[&str]) -> (String, String, Duration) {
    let mut child = interrupt(arguments).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut before = String::new();
    out.read_line(&mut before).unwrap();
    let signal = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    let began = Instant::now();
    assert!(signal.unwrap().success());
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(20) {
            child.kill().unwrap();
        }
        thread::sleep(Duration::from_millis(2));
    }
    let took = began.elapsed();
    let mut after = String::new();
    out.read_to_string(&mut after).unwrap();
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    let err = String::from_utf8(stderr).unwrap();
    assert_eq!((status.code(), &*err), (Some(130), ""), "{after}");
    (before, after, took)
}

#[test]
fn control_c_in_the_midst_of_100_calls_ends_them_within_a_second_with_all_leases_returned() {
    // A machine that is busy with other things gets another chance.
    let mut times = Vec::new();
    for _ in 0..3 {
        let (before, after, took) = pressed(&[]);
        assert!(
            before.starts_with("100 calls on 100 threads: max 90, idle 0, in use 90,"),
            "{before}"
        );
        let lines: Vec<_> = after.lines().collect();
        let [calls, leases] = lines[..] else { panic!("{after}") };
        assert!(calls.starts_with("90 calls stopped, 10 that waited turned away"), "{after}");
        assert_eq!(leases, "90 leases given out, 90 stopped ones returned, 0 still out");
        times.push(took);
        if took < Duration::from_secs(1) {
            return;
        }
    }
    panic!("{times:?}");
}

#[test]
fn what_cannot_be_run_is_told_with_status_2() {
    for (arguments, told) in [
        (&["--calls"][..], "--calls needs a value"),
        (&["--calls", "0"], "--calls must be a whole number from 1 to 1000"),
        (&["--calls", "many"], "--calls must be a whole number"),
        (&["100"], r#"unknown argument "100""#),
    ] {
        let Output { status, stdout, stderr } = interrupt(arguments).output().unwrap();
        let err = String::from_utf8(stderr).unwrap();
        assert_eq!((status.code(), &*stdout), (Some(2), &b""[..]), "{err}");
        assert!(err.starts_with("interrupt: ") && err.contains(told), "{arguments:?}: {err}");
    }
}
