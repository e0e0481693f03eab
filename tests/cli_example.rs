//! The example `cli`, run as its user runs it. A plain `cargo test` builds it; with one named test
//! alone it is the one that `cargo build --example cli` last built.

#[path = "support/example.rs"]
mod example;

use std::process::Command;

use example::run;
use llm_pool::test_server::TestServer;

fn cli(arguments: &[&str]) -> Command {
    example::program("cli", arguments)
}

#[test]
fn the_arguments_are_answered_and_only_the_answer_is_on_standard_output() {
    let (status, out, err) = run(cli(&["Why", "pool", "connections?"]), "");
    assert_eq!((status, &*out), (Some(0), "You said: Why pool connections?\n"), "{err}");
    assert!(err.contains("8 tokens (3 asked, 5 answered)") && err.contains("1 try"), "{err}");
}

#[test]
fn standard_input_is_answered_as_a_stream_too_and_joins_the_arguments() {
    for arguments in [&[][..], &["--stream"], &["-"], &["--stream", "-"]] {
        let (status, out, err) = run(cli(arguments), "From a pipe.\n");
        assert_eq!((status, &*out), (Some(0), "You said: From a pipe.\n"), "{arguments:?}: {err}");
    }
    let (_, out, err) = run(cli(&["Sum up:", "-"]), "a b");
    assert_eq!(out, "You said: Sum up: a b\n", "{err}");
}

#[test]
fn the_options_reach_the_server() {
    let server = TestServer::builder().api_key("sk-told-nobody").start().unwrap();
    let url = format!("{}/v1", server.url());
    let options = ["--url", &url, "--model", "m", "--system", "Be brief.", "--temperature", "0.5"];
    let mut command = cli(&options);
    command.args(["--max-tokens", "2", "Hello"]).env("OPENAI_API_KEY", "sk-told-nobody");
    let (status, out, err) = run(command, "");
    assert_eq!((status, &*out), (Some(0), "You said:\n"), "{err}");
    assert!(err.contains("ended by length"), "{err}");
    let asked = String::from_utf8_lossy(server.requests()[0].body()).into_owned();
    for part in [r#""model":"m""#, "Be brief.", r#""temperature":0.5"#] {
        assert!(asked.contains(part), "{part} in {asked}");
    }

    let mut command = cli(&["--provider", "openai", "--url", &url, "Hello"]);
    command.env("OPENAI_API_KEY", "sk-of-another");
    let (status, out, err) = run(command, "");
    assert_eq!((status, &*out), (Some(1), ""), "{err}");
    assert!(err.contains("status 401") && !err.contains("sk-"), "{err}");
}

#[test]
fn what_cannot_be_asked_is_told_with_status_2() {
    for (arguments, told) in [
        (&["--modle", "x", "Hello"][..], "unknown option --modle"),
        (&["--model"], "--model needs a value"),
        (&["--timeout", "0", "Hello"], "--timeout must be at least 1"),
        (&["--timeout", "soon", "Hello"], r#"--timeout must be a whole number, and is "soon""#),
        (&["--temperature", "hot", "Hello"], r#"--temperature must be a number, and is "hot""#),
        (&["--temperature", "9", "Hello"], "temperature must be 0 to 2 here"),
        (&["--provider", "nobody", "Hello"], r#"unknown provider "nobody""#),
        (&["--provider", "openai", "Hello"], "OPENAI_API_KEY is not set"),
        (&["--provider", "compatible", "Hello"], "compatible needs --url"),
        (&["--provider", "ollama", "Hello"], "ollama needs --model"),
        (&["--url", "nonsense", "--model", "m", "Hello"], "it has no scheme"),
        (&["-", "--stream"], "the prompt is empty"),
        (&[""], "the prompt is empty"),
    ] {
        let (status, out, err) = run(cli(arguments), "");
        assert_eq!((status, &*out), (Some(2), ""), "{arguments:?}: {err}");
        assert!(err.starts_with("cli: ") && err.contains(told), "{arguments:?}: {err}");
    }
}

#[test]
fn a_server_that_is_not_there_is_told_with_status_1() {
    // Nobody listens on it once it is dropped.
    let url = TestServer::start().unwrap().url().to_owned();
    let (status, out, err) = run(cli(&["--url", &url, "--model", "m", "--timeout", "1", "Hi"]), "");
    assert_eq!((status, &*out), (Some(1), ""), "{err}");
    assert!(err.contains("compatible:m: no connection"), "{err}");
}

#[cfg(unix)]
mod control_c {
    use std::io::Read;
    use std::time::Duration;

    use llm_pool::test_server::{Reply, TestServer};

    use super::{cli, example};

    #[test]
    fn ends_a_stream_in_its_midst() {
        let server = TestServer::builder().pause(Duration::from_millis(20)).start().unwrap();
        server.set_reply(Reply::ok().content("word ".repeat(5000)));
        let url = format!("{}/v1", server.url());
        let mut child =
            cli(&["--url", &url, "--model", "m", "--stream", "Go on."]).spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 10]).unwrap();
        let (status, _, err) = example::interrupt(child);
        assert_eq!(status, Some(130), "{err}");
        assert!(err.contains("compatible:m: stopped") && err.contains("of text had come"), "{err}");
    }

    #[test]
    fn ends_a_call_that_nothing_has_come_of() {
        let server = TestServer::builder().delay(Duration::from_secs(60)).start().unwrap();
        let url = format!("{}/v1", server.url());
        let child = cli(&["--url", &url, "--model", "m", "Hello?"]).spawn().unwrap();
        server.wait_until(Duration::from_secs(20), |stats| stats.in_flight == 1).unwrap();
        let (status, _, err) = example::interrupt(child);
        assert_eq!(status, Some(130), "{err}");
        assert!(err.contains("compatible:m: stopped"), "{err}");
    }
}
