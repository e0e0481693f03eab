//! A small command-line program: prompt in, answer out. No async anywhere.
//!
//! ```sh
//! cargo run --release --example cli -- "Why pool connections?"
//! cargo run --release --example cli -- --help
//! ```

use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use llm_pool::agent::{AgentConfig, AgentManager};
use llm_pool::test_server::TestServer;
use llm_pool::{Pool, PoolConfig};
use serde_json::{Value, json};

const HELP: &str = "\
Asks an LLM server and prints its answer.

Usage: cli [OPTIONS] PROMPT...

Options:
  --url URL       base URL of an OpenAI-compatible server, such as https://api.openai.com/v1;
                  without it, a server inside this program answers
  --model MODEL   model to ask [default: gpt-4o-mini]
  --timeout SECS  how long an answer may take, waiting included [default: 60]
  --help          print this

Environment: OPENAI_API_KEY is sent to the server, if set.
Exit status: 0 with an answer, 1 without, 2 if the arguments are wrong.";

fn main() -> ExitCode {
    let asked = match Arguments::parse(env::args().skip(1)) {
        Ok(Some(arguments)) => ask(&arguments),
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            eprintln!("cli: {wrong}; see --help");
            return ExitCode::from(2);
        }
    };
    match asked {
        Ok(answer) => {
            println!("{answer}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cli: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Arguments {
    url: Option<String>,
    model: String,
    timeout: Duration,
    prompt: String,
}

impl Arguments {
    /// `None` if help is asked for.
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut arguments = Self {
            url: None,
            model: "gpt-4o-mini".into(),
            timeout: Duration::from_secs(60),
            prompt: String::new(),
        };
        let mut prompt = Vec::new();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--help" | "-h" => return Ok(None),
                "--url" => arguments.url = Some(value()?),
                "--model" => arguments.model = value()?,
                "--timeout" => {
                    let text = value()?;
                    let seconds = text.parse().ok().filter(|seconds| *seconds > 0);
                    let seconds = seconds
                        .ok_or(format!("--timeout {text}: must be whole seconds, at least 1"))?;
                    arguments.timeout = Duration::from_secs(seconds);
                }
                option if option.starts_with("--") => return Err(format!("unknown {option}")),
                _ => prompt.push(word),
            }
        }
        arguments.prompt = prompt.join(" ");
        if arguments.prompt.trim().is_empty() {
            return Err("there is no prompt".into());
        }
        Ok(Some(arguments))
    }
}

fn ask(arguments: &Arguments) -> Result<String, Box<dyn Error>> {
    let Arguments { model, prompt, timeout, .. } = arguments;
    // Held to the end: dropping it would stop it.
    let embedded = if arguments.url.is_none() { Some(TestServer::start()?) } else { None };
    let url = match (&arguments.url, &embedded) {
        (Some(base), _) => format!("{}/chat/completions", base.trim_end_matches('/')),
        (None, Some(server)) => server.chat_url(),
        (None, None) => return Err("there is no server to ask".into()),
    };

    let manager = AgentManager::new(AgentConfig::default().total_timeout(*timeout))?;
    let pool = Pool::new(PoolConfig::default().name("cli").min_idle(0).max_size(1), manager)?;
    let agent = pool.get_within(*timeout)?;
    let question = json!({"model": model, "messages": [{"role": "user", "content": prompt}]});
    let mut request = agent.post(&url).content_type("application/json");
    if let Ok(key) = env::var("OPENAI_API_KEY") {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let mut response = request
        .send(question.to_string())
        .map_err(|error| format!("cannot reach {url}: {error}"))?;
    let body = response.body_mut().read_to_string()?;
    let answer: Value = serde_json::from_str(&body).unwrap_or_default();
    if let Some(text) = answer["choices"][0]["message"]["content"].as_str() {
        return Ok(text.to_owned());
    }
    let why = answer["error"]["message"].as_str().unwrap_or("no answer in its body");
    Err(format!("{url} answered {}: {why}", response.status()).into())
}
