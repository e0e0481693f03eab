//! Processes of this same program, and the conversation with the one that is the server.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::Outcome;

/// The server's process; see [`crate::server`] for what is said. Dropping it ends it.
pub struct Server {
    process: Child,
    /// None once it was told to stop.
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    pub url: String,
    /// Of its certificate; empty for HTTP.
    pub pem: String,
}

/// What the server has counted since its start.
#[derive(Clone, Copy)]
pub struct Counts {
    pub connections: u64,
    pub full_handshakes: u64,
    pub resumed_handshakes: u64,
}

impl Server {
    pub fn http() -> Outcome<Self> {
        Self::plain("http")
    }

    /// On the core that [`crate::on_one_core`] keeps its callers to.
    pub fn http_on_one_core() -> Outcome<Self> {
        Self::plain("http-on-one-core")
    }

    fn plain(scheme: &str) -> Outcome<Self> {
        let mut server = Self::start(scheme)?;
        server.url = server.hear()?;
        Ok(server)
    }

    pub fn https() -> Outcome<Self> {
        let mut server = Self::start("https")?;
        server.url = server.hear()?;
        server.pem = server.hear()?.replace('|', "\n");
        Ok(server)
    }

    fn start(scheme: &str) -> Outcome<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["--as-server", scheme])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let to = process.stdin.take();
        let from = process.stdout.take().ok_or("the server has no output")?;
        let (url, pem) = Default::default();
        Ok(Self { process, to, from: BufReader::new(from), url, pem })
    }

    pub fn counts(&mut self) -> Outcome<Counts> {
        let answer = self.ask("counts")?;
        let numbers: Vec<u64> = answer.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [connections, full_handshakes, resumed_handshakes] = numbers[..] else {
            return Err(format!("the server said: {answer}").into());
        };
        Ok(Counts { connections, full_handshakes, resumed_handshakes })
    }

    /// Lets every request from now on wait for its answer.
    pub fn set_delay(&mut self, delay: Duration) -> Outcome<()> {
        self.ask(&format!("delay {}", delay.as_millis())).map(drop)
    }

    fn ask(&mut self, question: &str) -> Outcome<String> {
        let to = self.to.as_mut().ok_or("the server was told to stop")?;
        writeln!(to, "{question}")?;
        self.hear()
    }

    fn hear(&mut self) -> Outcome<String> {
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            return Err("the server's process ended".into());
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its input is its sign to stop.
        drop(self.to.take());
        let _ = self.process.wait();
    }
}

/// Runs this program with `args` to its end, and returns what it printed.
pub fn run(args: &[&str]) -> Outcome<String> {
    let output =
        Command::new(std::env::current_exe()?).args(args).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("a process of ours failed: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
