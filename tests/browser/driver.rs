//! A headless Chromium, driven over the protocol of W3C WebDriver (<https://www.w3.org/TR/webdriver2/>)
//! and ChromeDriver's own commands beside it (`goog:...`, `/goog/cdp`, `/se/log`).

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use llm_pool::ureq::{Agent, Error};
use serde_json::{Value, json};

/// No wait is longer, so that a bug fails the test and does not hang it.
pub const LIMIT: Duration = Duration::from_secs(30);

/// ChromeDriver and the one browser it runs. Its drop ends both, after a panic too.
pub struct Browser {
    driver: Child,
    agent: Agent,
    /// Of the driver, and of its session once that is there.
    base: String,
    browser: Option<u64>,
    profile: PathBuf,
}

impl Browser {
    pub fn start() -> Self {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("llm-pool-browser-{}-{number}", std::process::id());
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let driver = command.spawn().expect("chromedriver starts; .ci/browser installs it");
        let agent = Agent::config_builder()
            .timeout_global(Some(LIMIT))
            .http_status_as_error(false)
            .proxy(None)
            .build();
        let mut this = Self {
            driver,
            agent: agent.into(),
            base: String::new(),
            browser: None,
            profile: std::env::temp_dir().join(name),
        };
        this.base = format!("http://127.0.0.1:{}", this.port());
        this.open_session();
        this
    }

    /// The one that the driver says it got.
    fn port(&mut self) -> u16 {
        let lines = BufReader::new(self.driver.stdout.take().unwrap()).lines();
        let (told, port) = bounded(1);
        // Reads to the end, so that the driver never blocks on a full pipe.
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let port = line.split("on port ").nth(1).map(|rest| rest.trim_end_matches('.'));
                // At first it says the one that it was given.
                if let Some(port) = port.and_then(|it| it.parse().ok()).filter(|port| *port != 0) {
                    let _ = told.try_send(port);
                }
            }
        });
        port.recv_timeout(LIMIT).expect("chromedriver says its port")
    }

    fn open_session(&mut self) {
        fs::create_dir_all(&self.profile).unwrap();
        let profile = format!("--user-data-dir={}", self.profile.display());
        let arguments = [
            "--headless",
            // As root there is no sandbox to be had, and nothing but our page is opened.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-proxy-server",
            "--window-size=1280,1000",
            &profile,
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"args": arguments},
        }}});
        let session = self.ask("POST", "/session", &wanted);
        self.browser = session["capabilities"]["goog:processID"].as_u64();
        self.base = format!("{}/session/{}", self.base, session["sessionId"].as_str().unwrap());
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        self.try_ask(method, path, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    fn try_ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let url = format!("{}{path}", self.base);
        let told = |error: Error| error.to_string();
        let mut answer = match method {
            "DELETE" => self.agent.delete(&url).call(),
            _ => self.agent.post(&url).content_type("application/json").send(body.to_string()),
        }
        .map_err(told)?;
        let text =
            answer.body_mut().with_config().limit(64 << 20).read_to_string().map_err(told)?;
        let mut json: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if answer.status().is_success() { Ok(json["value"].take()) } else { Err(text) }
    }

    #[track_caller]
    pub fn open(&self, url: &str) {
        self.ask("POST", "/url", &json!({ "url": url }));
    }

    /// The value of a script's `return`.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.ask("POST", "/execute/sync", &json!({"script": script, "args": []}))
    }

    /// The text of what the selector finds first, as it is shown; none if it finds nothing.
    #[track_caller]
    pub fn text(&self, selector: &str) -> Option<String> {
        let script = format!("return document.querySelector({})?.innerText", json!(selector));
        self.run(&script).as_str().map(str::to_owned)
    }

    /// Waits until the text of `selector` is as it should be, and returns it.
    #[track_caller]
    pub fn see(&self, selector: &str, is_right: impl Fn(&str) -> bool) -> String {
        let began = Instant::now();
        loop {
            let text = self.text(selector);
            match text {
                Some(text) if is_right(&text) => return text,
                _ if began.elapsed() > LIMIT => panic!("{selector} never came right: {text:?}"),
                _ => thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Clicks what the selector finds, as a hand would: what is covered or out of sight is an error.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.ask("POST", &format!("/element/{element}/click"), &json!({}));
    }

    #[track_caller]
    pub fn type_in(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.ask("POST", &format!("/element/{element}/value"), &json!({ "text": text }));
    }

    #[track_caller]
    fn element(&self, selector: &str) -> String {
        let wanted = json!({"using": "css selector", "value": selector});
        let found = self.ask("POST", "/element", &wanted);
        // The name that the protocol gives to references to elements.
        found["element-6066-11e4-a52e-4f735466cecf"].as_str().unwrap().to_owned()
    }

    /// A command of the DevTools protocol.
    #[track_caller]
    pub fn devtools(&self, command: &str, params: &Value) -> Value {
        self.ask("POST", "/goog/cdp/execute", &json!({"cmd": command, "params": params}))
    }

    /// Shows the page in the scheme, `light` or `dark`, and as wide as this.
    #[track_caller]
    pub fn look(&self, scheme: &str, width: usize) {
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": [feature] }));
        let size = json!({
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
    }

    /// What the console was told since the last call: errors, warnings, breaches of the page's policy.
    #[track_caller]
    pub fn console(&self) -> Vec<String> {
        let entries = self.ask("POST", "/se/log", &json!({"type": "browser"}));
        let entries = entries.as_array().unwrap().iter();
        let bad = entries.filter(|it| matches!(it["level"].as_str(), Some("SEVERE" | "WARNING")));
        bad.map(|it| it["message"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if self.try_ask("DELETE", "", &Value::Null).is_err() {
            // The driver does not do it, so by the number that it gave.
            if let Some(browser) = self.browser {
                let _ = Command::new("kill").args(["-9", &browser.to_string()]).status();
            }
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}
