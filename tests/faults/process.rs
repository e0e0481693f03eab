//! What becomes of the pools' connections in other processes.
#![cfg(target_os = "linux")]

use std::process::{Command, Stdio};

use llm_pool::test_server::TestServer;

use crate::wire::good_call;
use crate::{pool_with, raw, word};

#[test]
fn a_program_that_is_started_has_none_of_the_connections() {
    let server = TestServer::start().unwrap();
    let pool = pool_with(raw::config(), 1);
    let agent = pool.get().unwrap();
    good_call(&agent, &server.chat_url(), word()).unwrap();
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let links = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let sockets = links.filter(|link| link.to_string_lossy().starts_with("socket:")).count();
    assert!(sockets >= 3, "there are connections here");

    let mut list = Command::new("ls");
    list.args(["-l", "/proc/self/fd"]).stdin(Stdio::null()).stderr(Stdio::null());
    let listed = String::from_utf8(list.output().unwrap().stdout).unwrap();
    assert!(listed.contains(" -> ") && !listed.contains("socket:"), "{listed}");
}
