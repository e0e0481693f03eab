//! What a program's pools count, as Prometheus reads it: some calls to an embedded server, one of which
//! is refused once, a WebSocket with a ping, and then the text. With `--serve SECONDS` it is served at `/metrics`, and as
//! OpenMetrics at `/openmetrics`.
//!
//! ```sh
//! cargo run --release --example metrics
//! cargo run --release --example metrics -- --serve 60
//! ```

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use llm_pool::keyed::ModelKey;
use llm_pool::llm::{Group, LlmConfig, ModelGroups, Provider};
use llm_pool::metrics::{CONTENT_TYPE, Metrics, OPEN_METRICS_TYPE};
use llm_pool::test_server::{Reply, TestServer};
use llm_pool::websocket::{Side, WebSocketConfig, WebSockets};

/// Of the kind that crosses threads.
type Failure = Box<dyn Error + Send + Sync>;

const CALLS: usize = 12;

fn main() -> Result<(), Failure> {
    let server = TestServer::builder().delay(Duration::from_millis(20)).start()?;
    server.plan(Reply::status(503)); // the first call is tried again
    let base_url = format!("{}/v1", server.url()); // such as https://api.example.com/v1
    let provider = Provider::new(base_url).api_key("sk-...");
    let pool = LlmConfig::default().max_size(3).provider("example", provider).build()?;
    let small = Group::default().endpoint(ModelKey::new("example", "small"));
    let groups = ModelGroups::new(pool.clone(), [("small", small)])?;
    let (sockets, _peers) = sockets()?;
    let metrics = Metrics::new()
        .pool("llm", pool.clone())
        .groups("llm", groups.clone())
        .sockets("talks", sockets);

    // One series each, though there are two pools of the second model.
    let large = |temperature| ModelKey::new("example", "large").temperature(temperature);
    let keys = [large(0.2), large(0.8)];
    let (pool, groups) = (&pool, &groups);
    thread::scope(|scope| {
        let asking: Vec<_> = (0..CALLS)
            .map(|number| {
                let key = keys.get(number % 3);
                scope.spawn(move || match key {
                    Some(key) => pool.chat(key, "Why pool connections?"),
                    None => groups.chat("small", "Why pool connections?"),
                })
            })
            .collect();
        asking.into_iter().try_for_each(|thread| {
            thread.join().map_err(|_| "a thread panicked")??;
            Ok::<_, Failure>(())
        })
    })?;

    match seconds()? {
        None => print!("{}", metrics.text()),
        Some(time) => serve(&metrics, time, pool.snapshot().sum.stats.gets)?,
    }
    Ok(())
}

/// A registry with one socket, and the one with its other end.
fn sockets() -> Result<(WebSockets, WebSockets), Failure> {
    let sockets = WebSockets::new(WebSocketConfig::default())?;
    let often = WebSocketConfig::default().read_interval(Duration::from_millis(5));
    let peers = WebSockets::new(often)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    sockets.add("self", sockets.wrap(near, Side::Client)?)?;
    peers.add("self", peers.wrap(listener.accept()?.0, Side::Server)?)?;
    sockets.send("self", "Why pool connections?")?;
    sockets.check_all();
    Ok((sockets, peers))
}

/// Of `--serve SECONDS`.
fn seconds() -> Result<Option<Duration>, Failure> {
    let given: Vec<_> = std::env::args().skip(1).collect();
    match given.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(None),
        ["--serve", seconds] => Ok(Some(Duration::from_secs(seconds.parse()?))),
        _ => Err("usage: metrics [--serve SECONDS]".into()),
    }
}

/// One request at a time, which is enough for one Prometheus.
fn serve(metrics: &Metrics, time: Duration, gets: u64) -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("serving http://{}/metrics for {time:?}", listener.local_addr()?);
    println!("expect llm_pool_gets_total{{pool=\"llm\"}} {gets}");
    listener.set_nonblocking(true)?;
    let ends = Instant::now() + time;
    while Instant::now() < ends {
        match listener.accept() {
            Ok((stream, _)) => {
                if let Err(error) = answer(metrics, &stream) {
                    eprintln!("a scrape failed: {error}");
                }
            }
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
    Ok(())
}

fn answer(metrics: &Metrics, mut stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    // All of the head, or the closing of the connection would discard the answer.
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let (status, kind, body) = match request.split(' ').collect::<Vec<_>>()[..] {
        ["GET", "/metrics", _] => ("200 OK", CONTENT_TYPE, metrics.text()),
        ["GET", "/openmetrics", _] => ("200 OK", OPEN_METRICS_TYPE, metrics.open_metrics()),
        _ => ("404 Not Found", "text/plain", "there is /metrics and /openmetrics\n".into()),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
}
