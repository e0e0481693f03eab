//! A planted secret in every place that takes one, and then a look for it in everything that the
//! library says: `Debug` and `Display`, log lines of every level, errors, panics, metrics, the admin
//! endpoints and the events. What single parts hide is tested beside them; this is for what nobody
//! thought of.

mod support;

use std::fmt::{Debug, Write as _};
use std::panic;
use std::sync::{Arc, Mutex};
use std::thread;

use llm_pool::admin::{Admin, AdminConfig};
use llm_pool::agent::{AgentConfig, AgentManager, OriginPool, Proxy};
use llm_pool::chat::ChatRequest;
use llm_pool::keyed::{KeyedConfig, ModelKey};
use llm_pool::llm::{Group, LlmConfig, ModelGroups, Provider};
use llm_pool::metrics::Metrics;
use llm_pool::settings::Settings;
use llm_pool::test_server::{Fault, Reply, TestServer};
use llm_pool::websocket::{ConnectRequest, WebSocketConfig, WebSockets};
use llm_pool::{EventLog, Pool, PoolConfig, ureq};
use log::Level;
use support::*;

/// In the key, and as the start or end of other secrets: none may show, nor a half of this.
const PLANTED: &str = "pl4nted-c0ffee-s3cret";
const HALF: &str = "c0ffee";

/// Everything that was said, with where.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<(String, String)>>>);

impl Said {
    fn add(&self, place: &str, said: impl Into<String>) {
        self.0.lock().unwrap().push((place.to_owned(), said.into()));
    }

    fn debug(&self, place: &str, value: &impl Debug) {
        self.add(place, format!("{value:?} {value:#?}"));
    }

    fn error(&self, place: &str, error: &(dyn std::error::Error + 'static)) {
        let mut said = format!("{error} {error:?} {error:#?}");
        let mut source = error.source();
        while let Some(error) = source {
            write!(said, " {error} {error:?}").unwrap();
            source = error.source();
        }
        self.add(place, said);
    }

    /// What shows the secret, also where JSON, a URL or a byte string would have it in another shape.
    fn shown(&self) -> Option<String> {
        let shapes = [HALF.to_owned(), HALF.to_uppercase(), base64(PLANTED), bytes(HALF)];
        let all = self.0.lock().unwrap();
        let shows = |said: &String| shapes.iter().any(|shape| said.contains(shape));
        all.iter().find(|(_, said)| shows(said)).map(|(place, said)| format!("{place}: {said}"))
    }
}

/// Of the whole text, without the last group, which depends on what follows.
fn base64(text: &str) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.as_bytes().chunks_exact(3).flat_map(|three| {
        let bits = three.iter().fold(0_usize, |bits, &byte| bits << 8 | usize::from(byte));
        [18, 12, 6, 0].map(|shift| char::from(DIGITS[bits >> shift & 63]))
    });
    digits.collect()
}

fn bytes(text: &str) -> String {
    let numbers: Vec<_> = text.bytes().map(|byte| byte.to_string()).collect();
    numbers.join(", ")
}

#[test]
fn a_planted_secret_shows_nowhere() {
    logs::install();
    let said = Said::default();
    let panics = said.clone();
    panic::set_hook(Box::new(move |info| panics.add("a panic", info.to_string())));

    let server = TestServer::start().unwrap();
    let events = EventLog::default();
    let provider = Provider::openai(PLANTED)
        .base_url(format!("{}/v1", server.url()))
        .header("x-second-key", format!("{PLANTED}-2"));
    let each = PoolConfig::default().name("planted").max_size(2).observer(events.clone());
    let each = each.wait_timeout(millis(50));
    let config = LlmConfig::default()
        .agents(AgentConfig::default().proxy(Proxy::Direct))
        .pools(KeyedConfig::default().pool(each))
        .provider("one", provider.clone());
    said.debug("a provider", &provider);
    said.debug("the settings of models", &config);
    let pool = config.build().unwrap();
    let groups = Group::default().endpoint(ModelKey::new("one", "a"));
    let groups = ModelGroups::new(pool.clone(), [("group", groups)]).unwrap();
    let metrics = Metrics::new().pool("llm", pool.clone()).groups("llm", groups.clone());
    let admin_config = AdminConfig::default().token(format!("{PLANTED}-token")).token_for_get(true);
    said.debug("the settings of the endpoints", &admin_config);
    let text = metrics.clone();
    let admin = Admin::new(admin_config).unwrap().pool("llm", pool.clone()).groups(groups.clone());
    let admin = admin.events(events.clone()).metrics(move || text.text());
    said.debug("the endpoints", &admin);
    let admin = admin.serve().unwrap();
    said.debug("the server of the endpoints", &admin);

    // Calls that go well, and every way to fail, from servers that repeat what they were sent.
    let key = ModelKey::new("one", "a");
    let echo = format!(r#"{{"error":{{"message":"bad key {PLANTED}, Bearer {PLANTED}-2"}}}}"#);
    let replies = [
        Reply::ok(),
        Reply::status(401).body(echo.clone()),
        Reply::status(429).body(echo.clone()),
        Reply::status(500).body(format!("<html><title>{PLANTED}</title></html>")),
        Reply::ok().body(format!("{{\"choices\": \"{PLANTED}")),
        Reply::ok().header("x-request-id", PLANTED).body(echo),
        Reply::fault(Fault::CloseDuringAnswer),
        Reply::fault(Fault::CloseBeforeAnswer),
    ];
    for reply in replies {
        // As often as it is tried.
        server.plan(reply.times(9));
        let request = || ChatRequest::from("Hi").within(millis(400));
        for result in [pool.chat(&key, request()), groups.chat("group", request())] {
            match result {
                Ok(reply) => said.debug("a reply's time", &reply.timing()),
                Err(error) => said.error("an error of a call", &error),
            }
        }
        match pool.stream(&key, request()).and_then(|stream| stream.finish()) {
            Ok(reply) => said.debug("a reply's use", &reply.usage()),
            Err(error) => said.error("an error of a stream", &error),
        }
        let lease = pool.get(&key).unwrap();
        said.debug("a lease", &lease);
        match lease.post("chat/completions").send("{}") {
            Ok(answer) => drop(answer.into_body().read_to_vec()),
            // `ureq`'s own errors are its own; they are told as they are.
            Err(error) => said.error("an error of an agent", &error),
        }
        server.clear_plan();
    }
    // A time-out of the pool, and a thread of a user's that panics with a lease.
    let held = [pool.get(&key).unwrap(), pool.get(&key).unwrap()];
    said.error("an error of a get", &pool.get(&key).unwrap_err());
    drop(held);
    let (user, its_key) = (pool.clone(), key.clone());
    let panicked = thread::spawn(move || {
        let _lease = user.get(&its_key).unwrap();
        panic!("of the user's own");
    });
    assert!(panicked.join().is_err());

    said.debug("a pool of models", &pool);
    said.debug("its settings", &pool.config());
    said.debug("its statistics", &pool.stats());
    said.add("its statistics in words", pool.stats().to_string());
    said.debug("its snapshot", &pool.snapshot());
    said.debug("its advice", &pool.advice());
    said.debug("a group", &groups);
    said.debug("a group's statistics", &groups.stats("group"));
    said.debug("the events", &events.last(1000));
    events.last(1000).iter().for_each(|event| said.add("an event", event.to_string()));
    said.debug("the metrics' source", &metrics);
    said.add("the metrics", metrics.text());
    said.add("the metrics, as OpenMetrics", metrics.open_metrics());
    for path in [
        "",
        "stats",
        "healthz",
        "metrics",
        "v1/pool/stats",
        "v1/pool/status",
        "v1/pool/details",
        "v1/pool/advice",
        "v1/pool/config",
    ] {
        for token in [None, Some(format!("{PLANTED}-token")), Some(format!("{PLANTED}-wrong"))] {
            let request = ureq::get(format!("{}/{path}", admin.url().trim_end_matches('/')));
            let request = match token {
                Some(token) => request.header("Authorization", format!("Bearer {token}")),
                None => request,
            };
            let request = request.config().http_status_as_error(false).build();
            let mut answer = request.call().unwrap();
            let headers = format!("{:?}", answer.headers());
            let body = answer.body_mut().read_to_string().unwrap();
            said.add(&format!("the endpoint /{path}"), headers + &body);
        }
    }
    admin.stop();

    // URLs, proxies and files with secrets in them.
    let url = format!("https://user:{PLANTED}@api.example.com/v1");
    let origins = OriginPool::new(KeyedConfig::default(), AgentConfig::default()).unwrap();
    said.error("a URL with a password", &origins.get(&url).unwrap_err());
    let proxy = format!("http://user:{PLANTED}@127.0.0.1:1");
    let agents = AgentConfig::default().proxy(Proxy::Url(proxy)).connect_timeout(millis(200));
    said.debug("agents with a proxy", &agents);
    let agents =
        Pool::new(PoolConfig::default().name("proxied"), AgentManager::new(agents).unwrap());
    let agents = agents.unwrap();
    said.debug("a pool of agents", &agents);
    let error = agents.get().unwrap().get("http://api.example.com/").call().unwrap_err();
    said.error("a proxy that is not there", &error);
    let direct = AgentManager::new(AgentConfig::default().proxy(Proxy::Direct)).unwrap();
    let sockets = WebSockets::with_agents(WebSocketConfig::default(), &direct).unwrap();
    let url = format!("{}/?key={PLANTED}", server.url().replace("http", "ws"));
    let request = ConnectRequest::new(url).header("Authorization", format!("Bearer {PLANTED}"));
    said.debug("a socket's request", &request);
    said.error("a handshake that is refused", &sockets.connect("a", request).unwrap_err());
    let url = format!("ws://user:{PLANTED}@127.0.0.1/");
    said.error("a socket's URL with a password", &sockets.connect("a", url).unwrap_err());
    said.debug("a registry of sockets", &sockets);
    said.debug("its figures", &sockets.stats());
    let wrong = [
        format!("[providers.a]\nkind = 'openai'\napi_key = '{PLANTED}'"),
        format!("[providers.a]\nbase_url = 'http://u:{PLANTED}@h/'"),
        format!("[admin]\ntoken = '{PLANTED}'"),
        format!("[agents]\nproxy = 'http://u:{PLANTED}@ h'"),
        PLANTED.to_owned(),
    ];
    for text in wrong {
        said.error("a settings file", &Settings::parse(&text).unwrap_err());
    }

    // At trace `ureq` and `tungstenite` write what they send: the pages on logs and sockets say so.
    let ours = |line: &logs::Line| line.level < Level::Trace || line.target.starts_with("llm_pool");
    for line in logs::all().iter().filter(|line| ours(line)) {
        let (level, target) = (line.level, &line.target);
        said.add(
            &format!("a line of {target} at {level}"),
            format!("{} {:?}", line.text, line.fields),
        );
    }
    drop(panic::take_hook());
    assert_eq!(said.shown(), None);
    assert!(said.0.lock().unwrap().len() > 150, "too little was said to prove anything");
    assert!(server.requests().iter().any(|it| format!("{it:?}").contains("chat/completions")));
}

/// The test above can fail.
#[test]
fn a_secret_that_shows_is_found() {
    for shown in [
        format!("Bearer {PLANTED}"),
        format!("{:?}", PLANTED.as_bytes()),
        "cGw0bnRlZC1jMGZmZWUtczNjcmV0".to_owned(),
        "PL4NTED-C0FFEE".to_owned(),
    ] {
        let said = Said::default();
        said.add("here", shown.as_str());
        assert_eq!(said.shown(), Some(format!("here: {shown}")));
    }
}
