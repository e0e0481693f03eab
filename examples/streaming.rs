//! Three models answer at once, each in a stream; a fourth stream waits until one of them ends,
//! since three clients may be in use at one time.
//!
//! In a terminal each stream has a line that grows; else every piece has a line of its own.
//!
//! ```sh
//! cargo run --release --example streaming
//! ```

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::PoolConfig;
use llm_pool::chat::{ChatError, Piece};
use llm_pool::keyed::{KeyedConfig, ModelKey};
use llm_pool::llm::{LlmConfig, LlmPool, Provider};
use llm_pool::test_server::{Reply, TestServer};

const AT_ONCE: usize = 3;

/// A name, the pause between two pieces in milliseconds, and what is said.
const MODELS: [(&str, u64, &str); 3] = [
    ("swift", 40, "Three streams have a client each, and this one is the first to be done."),
    ("steady", 70, "A stream holds its client to the end, so nobody else writes in its midst."),
    ("slow", 110, "Whoever comes fourth waits in line, and is served as soon as one ends."),
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut config = LlmConfig::default();
    let mut servers = Vec::new(); // held to the end: dropping one would stop it
    for (name, pause, text) in MODELS {
        let pause = Duration::from_millis(pause);
        let server = TestServer::builder().pause(pause).reply(Reply::ok().content(text)).start()?;
        config = config.provider(name, Provider::new(format!("{}/v1", server.url())));
        servers.push(server);
    }
    let each = PoolConfig::default().name("streaming").min_idle(1);
    let pool = config.pools(KeyedConfig::default().pool(each).max_total(AT_ONCE)).build()?;

    println!("{} streams, {AT_ONCE} at one time\n", MODELS.len() + 1);
    let (telling, told) = mpsc::channel();
    let mut screen = Screen::new(MODELS.map(|(name, ..)| name).into_iter().chain(["swift again"]));
    thread::scope(|scope| -> Result<(), Box<dyn Error>> {
        let began = Instant::now();
        for line in 0..=MODELS.len() {
            let (pool, telling) = (&pool, telling.clone());
            let key = ModelKey::new(MODELS[line % MODELS.len()].0, "small");
            scope.spawn(move || {
                if line == MODELS.len() {
                    thread::sleep(Duration::from_millis(100)); // when the three have begun
                }
                let heard = listen(pool, &key, |text| tell(&telling, line, Said::Text(text)));
                tell(&telling, line, Said::End(heard));
            });
        }
        drop(telling); // ours, so that `told` ends with the streams
        for (line, said) in told {
            screen.show(line, said, began.elapsed())?;
        }
        Ok(())
    })?;
    screen.sum_up();
    Ok(())
}

/// What is measured of a stream.
struct Heard {
    waited: Duration,
    first_piece: Duration,
    pieces: u32,
    streamed: Duration,
}

fn listen(
    pool: &LlmPool,
    key: &ModelKey,
    mut tell: impl FnMut(String),
) -> Result<Heard, ChatError> {
    let began = Instant::now();
    let mut stream = pool.stream(key, "Tell me something.")?;
    let (mut first, mut last, mut pieces) = (None, began, 0);
    for piece in &mut stream {
        if let Piece::Text(text) = piece? {
            last = Instant::now();
            first.get_or_insert(last);
            pieces += 1;
            tell(text);
        }
    } // the client is given back here, at the end of the answer
    let first = first.unwrap_or(began);
    Ok(Heard {
        waited: stream.reply().timing().waited,
        first_piece: first - began,
        pieces,
        streamed: last - first,
    })
}

enum Said {
    Text(String),
    End(Result<Heard, ChatError>),
}

fn tell(to: &Sender<(usize, Said)>, line: usize, said: Said) {
    // Nobody listens any more if the screen failed, which is an error of its own.
    let _ = to.send((line, said));
}

/// What the streams have said so far.
struct Screen {
    lines: Vec<(&'static str, String)>,
    heard: Vec<(usize, Result<Heard, ChatError>)>,
    redraws: bool,
}

impl Screen {
    fn new(names: impl Iterator<Item = &'static str>) -> Self {
        let lines: Vec<_> = names.map(|name| (name, String::new())).collect();
        let redraws = io::stdout().is_terminal();
        if redraws {
            lines.iter().for_each(|(name, _)| println!("{name:>12}"));
        }
        Self { lines, heard: Vec::new(), redraws }
    }

    fn show(&mut self, line: usize, said: Said, at: Duration) -> io::Result<()> {
        let up = self.lines.len() - line;
        let (name, text) = &mut self.lines[line];
        let more = match said {
            Said::Text(more) => more,
            Said::End(heard) => {
                self.heard.push((line, heard));
                " (end)".into()
            }
        };
        text.push_str(&more);
        let mut out = io::stdout().lock();
        if self.redraws {
            // So many lines up, the line anew, and down again.
            let shown: String = text.chars().take(90).collect();
            write!(out, "\x1b[{up}A\r\x1b[K{name:>12} {shown}\x1b[{up}B\r")?;
        } else {
            writeln!(out, "{:6.3} s {name:>12} {}", at.as_secs_f64(), more.trim())?;
        }
        out.flush()
    }

    fn sum_up(&self) {
        println!(
            "\n{:>12} {:>9} {:>12} {:>9} {:>9}",
            "", "waited", "first piece", "pieces", "a second"
        );
        for (line, heard) in &self.heard {
            let name = self.lines[*line].0;
            match heard {
                Ok(Heard { waited, first_piece, pieces, streamed }) => {
                    let rate = f64::from(pieces.saturating_sub(1)) / streamed.as_secs_f64();
                    let (waited, first) = (waited.as_millis(), first_piece.as_millis());
                    println!("{name:>12} {waited:>6} ms {first:>9} ms {pieces:>9} {rate:>9.1}");
                }
                Err(error) => println!("{name:>12} {error}"),
            }
        }
    }
}
