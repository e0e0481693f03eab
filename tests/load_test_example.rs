//! The example `load_test`, run as its user runs it. A plain `cargo test` builds it; with one named test
//! alone it is the one that `cargo build --example load_test` last built.

#[path = "support/example.rs"]
mod example;

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs, process};

use example::run;
use llm_pool::test_server::TestServer;

fn load_test(arguments: &str) -> Command {
    example::program("load_test", &arguments.split(' ').collect::<Vec<_>>())
}

/// The cells of the row of the table that begins so.
fn row<'a>(table: &'a str, name: &str) -> Vec<&'a str> {
    let row = table.lines().find_map(|line| line.strip_prefix(name));
    let row = row.unwrap_or_else(|| panic!("no {name:?} in {table}"));
    row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

/// A file that is there until it is dropped.
struct Picture(PathBuf);

impl Picture {
    fn new(name: &str) -> Self {
        Self(env::temp_dir().join(format!("llm-pool-{name}-{}.svg", process::id())))
    }

    fn read(&self) -> String {
        fs::read_to_string(&self.0).unwrap()
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Every tag is closed, in the right order, and nothing stands bare that XML has a meaning for.
#[track_caller]
fn assert_well_formed(svg: &str) {
    let mut open = Vec::new();
    let mut pieces = svg.trim().split('<');
    assert_eq!(pieces.next(), Some(""), "text before the first tag");
    for piece in pieces {
        let (tag, text) = piece.split_once('>').expect(piece);
        let name = |tag: &str| tag.split([' ', '/']).next().unwrap_or_default().to_owned();
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(closed), "{piece}");
        } else if !tag.ends_with('/') {
            assert!(open.is_empty() == (name(tag) == "svg"), "{piece}");
            open.push(name(tag));
        }
        assert!(!text.contains('>'), "{piece}");
        for entity in piece.split('&').skip(1) {
            let known = ["amp;", "lt;", "gt;", "quot;", "apos;", "#"];
            assert!(known.iter().any(|known| entity.starts_with(known)), "{piece}");
        }
    }
    assert!(open.is_empty(), "{open:?} are not closed");
}

#[test]
fn a_small_load_ends_with_a_table_and_no_more() {
    for stream in ["", " --stream"] {
        let load = "--requests 6 --concurrency 3 --max-per-host 2 --answer 0.05";
        let (status, out, err) = run(load_test(&format!("{load}{stream}")), "");
        assert_eq!((status, &*err), (Some(0), ""), "{out}");
        assert_eq!(row(&out, "max_per_host "), ["2"]);
        assert_eq!(row(&out, "succeeded"), ["6 of 6"]);
        assert_eq!(row(&out, "no agent by the deadline"), ["0"]);
        for name in ["wait, mean", "wait, maximum", "  wait", "  connect", "  first byte", "  body"]
        {
            assert!(row(&out, name)[0].ends_with('s'), "{name} in {out}");
        }
        // Each of three threads has two calls: with two at one time, one of them waits.
        assert_ne!(row(&out, "wait, maximum"), ["0.0 ms"], "{out}");
    }
}

#[test]
fn a_server_is_asked_as_often_as_is_said_with_its_key_and_in_the_right_way() {
    let server = TestServer::builder().api_key("sk-told-nobody").start().unwrap();
    let load = "--model m --requests 5 --concurrency 2 --stream --url";
    let mut command = load_test(&format!("{load} {}/v1", server.url()));
    command.env("OPENAI_API_KEY", "sk-told-nobody");
    let (status, out, err) = run(command, "");
    assert_eq!((status, &*err), (Some(0), ""), "{out}");
    assert_eq!(row(&out, "succeeded"), ["5 of 5"]);
    assert_eq!((server.stats().requests, out.contains("sk-")), (5, false), "{out}");
    let asked = server.requests();
    let asked = asked.iter().map(|request| String::from_utf8_lossy(request.body()));
    for body in asked {
        assert!(body.contains(r#""model":"m""#) && body.contains(r#""stream":true"#), "{body}");
    }
}

#[test]
fn limits_are_compared_in_the_table_and_in_a_picture_with_the_advice() {
    let picture = Picture::new("compare");
    let file = picture.0.display();
    let load = "--compare 1,6 --concurrency 6 --requests 6 --answer 0.3 --deadline 0.65";
    let (status, out, err) = run(load_test(&format!("{load} --picture {file}")), "");
    assert_eq!((status, &*err), (Some(0), ""), "{out}");
    assert_eq!(row(&out, "max_per_host "), ["1", "6"]);
    let succeeded = row(&out, "succeeded");
    // Two answers at most fit into the deadline one after the other.
    assert!(["1 of 6", "2 of 6"].contains(&succeeded[0]) && succeeded[1] == "6 of 6", "{out}");
    assert!(out.contains("from 1 to 8") && out.contains("no limit kept anyone waiting"), "{out}");
    assert!(out.contains(&file.to_string()), "{out}");

    let svg = picture.read();
    assert_well_formed(&svg);
    for told in ["max_per_host 1: ", "max_per_host 6: 6 of 6", "from 1 to 8", "wait, s"] {
        assert!(svg.contains(told), "{told}");
    }
    // Calls that succeeded, and calls that did not.
    assert!(svg.contains("<circle") && svg.matches("<line").count() > 2);
}

#[test]
fn what_cannot_be_measured_is_told_with_status_2() {
    for (arguments, told) in [
        ("--request 5", "unknown option --request"),
        ("5", r#""5" belongs to no option"#),
        ("--requests", "--requests needs a value"),
        ("--requests 0", r#"--requests must be a whole number of 1 to 10000000, and is "0""#),
        (
            "--concurrency many",
            r#"--concurrency must be a whole number of 1 to 10000, and is "many""#,
        ),
        ("--max-per-host -3", "--max-per-host must be a whole number"),
        ("--deadline 0", r#"--deadline must be 0.001 to 86400 seconds, and is "0""#),
        ("--deadline NaN", "--deadline must be 0.001 to 86400 seconds"),
        ("--answer soon", "--answer must be 0.001 to 86400 seconds"),
        (
            "--compare 30,",
            r#"each number of --compare must be a whole number of 1 to 100000, and is """#,
        ),
        ("--compare 30,30", "--compare has 30 twice"),
        ("--compare 1,2,3,4,5,6,7", "--compare takes up to 6 numbers, and has 7"),
        ("--compare 30,60 --max-per-host 30", "give one of them"),
        ("--picture waits.png", r#"--picture must end with .svg, and is "waits.png""#),
        ("--picture no/such/folder/waits.svg", r#"there is no folder "no/such/folder""#),
        ("--url http://127.0.0.1:9/v1", "--url needs --model"),
        ("--model m", "--model needs --url"),
        ("--url http://127.0.0.1:9/v1 --model m --answer 1", "--answer is for the server inside"),
        ("--url nonsense --model m", "it has no scheme"),
    ] {
        let (status, out, err) = run(load_test(arguments), "");
        assert_eq!((status, &*out), (Some(2), ""), "{arguments}: {err}");
        assert!(err.starts_with("load_test: ") && err.contains(told), "{arguments}: {err}");
    }
}

#[test]
fn a_server_that_is_not_there_is_told_with_status_1() {
    // Nobody listens on it once it is dropped.
    let url = TestServer::start().unwrap().url().to_owned();
    let load = load_test(&format!("--requests 3 --concurrency 3 --model m --url {url}/v1"));
    let (status, out, err) = run(load, "");
    assert_eq!((status, &*err), (Some(1), ""), "{out}");
    assert_eq!(row(&out, "failed otherwise"), ["3"]);
    assert!(out.contains("the first other failure: server:m: no connection"), "{out}");
}

#[cfg(unix)]
#[test]
fn control_c_prints_and_draws_what_there_is() {
    use std::time::Duration;

    use llm_pool::test_server::Reply;

    let server = TestServer::builder().delay(Duration::from_secs(60)).start().unwrap();
    server.plan(Reply::ok().delay(Duration::ZERO).times(2));
    let picture = Picture::new("interrupted");
    let load = "--concurrency 4 --requests 10 --compare 2,4 --deadline 60 --model m";
    let (url, file) = (server.url(), picture.0.display());
    let mut command = load_test(&format!("{load} --url {url}/v1 --picture {file}"));
    let child = command.spawn().unwrap();
    let third_and_fourth =
        |stats: &llm_pool::test_server::ServerStats| stats.requests == 4 && stats.in_flight == 2;
    server.wait_until(Duration::from_secs(20), third_and_fourth).unwrap();
    // For those of the first two to ask again.
    std::thread::sleep(Duration::from_millis(300));
    let (status, out, err) = example::interrupt(child);
    assert_eq!((status, &*err), (Some(130), ""), "{out}");
    assert_eq!(row(&out, "succeeded"), ["2 of 10"], "the second limit is not begun");
    let left = "max_per_host 2: Ctrl-C, with 2 calls under way, 2 waiting and 4 not begun";
    assert!(out.contains(left), "{out}");
    assert_well_formed(&picture.read());
}
