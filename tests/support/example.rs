//! Examples, run as their users run them.

use std::env::consts::EXE_SUFFIX;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

/// The example of this name, with no key but those that a test gives it, and no proxy.
pub fn program(name: &str, arguments: &[&str]) -> Command {
    let mut directory: PathBuf = std::env::current_exe().unwrap();
    directory.pop();
    directory.pop();
    let path = directory.join("examples").join(format!("{name}{EXE_SUFFIX}"));
    assert!(path.exists(), "build it first: cargo build --example {name}");
    let mut command = Command::new(path);
    for (name, _) in std::env::vars_os() {
        let upper = name.to_string_lossy().to_uppercase();
        if upper.ends_with("_KEY") || upper.ends_with("_PROXY") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Its exit status, and what it printed and complained of.
pub fn run(mut command: Command, input: &str) -> (Option<i32>, String, String) {
    let mut child = command.spawn().unwrap();
    // One that refuses its arguments reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    ended(child)
}

/// Presses Ctrl-C, and returns how it ended, or that it had to be killed.
#[cfg(unix)]
pub fn interrupt(mut child: Child) -> (Option<i32>, String, String) {
    use std::thread;
    use std::time::{Duration, Instant};

    let pressed = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(pressed.unwrap().success());
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        // A second is promised; the rest is for a machine that is busy.
        if began.elapsed() > Duration::from_secs(10) {
            child.kill().unwrap();
        }
        thread::sleep(Duration::from_millis(5));
    }
    ended(child)
}

fn ended(child: Child) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}
