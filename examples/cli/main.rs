//! A chat program for the command line: prompt in, answer out. No async anywhere.
//!
//! ```sh
//! cargo run --release --example cli -- "Why pool connections?"
//! cargo run --release --example cli -- --stream --provider openai < question.txt
//! cargo run --release --example cli -- --help
//! ```

mod args;
mod interrupt;

use std::env;
use std::fmt;
use std::io::{self, IsTerminal, Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use args::{Arguments, HELP};
use interrupt::Interrupt;
use llm_pool::PoolConfig;
use llm_pool::agent::RootCerts;
use llm_pool::chat::{ChatError, ChatReply, ChatRequest, ErrorKind, Message, Piece, YandexAuth};
use llm_pool::keyed::{KeyedConfig, ModelKey};
use llm_pool::llm::{Llm, LlmConfig, LlmPool, Provider};
use llm_pool::test_server::TestServer;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("cli: {failure}");
            failure.status()
        }
    }
}

fn run() -> Result<(), Failure> {
    let Some(arguments) = Arguments::parse(env::args_os().skip(1)).map_err(Failure::Usage)? else {
        println!("{HELP}");
        return Ok(());
    };
    let mut chat = Chat::new(arguments)?;
    if chat.arguments.prompt.is_empty() && io::stdin().is_terminal() {
        return chat.converse();
    }
    let prompt = chat.prompt()?;
    chat.ask(prompt)
}

/// A conversation with one model.
struct Chat {
    arguments: Arguments,
    said: Vec<Message>,
    pool: LlmPool,
    key: ModelKey,
    interrupt: Interrupt,
    /// Held to the end: dropping it would stop it.
    _embedded: Option<TestServer>,
}

impl Chat {
    fn new(arguments: Arguments) -> Result<Self, Failure> {
        let url = arguments.url.as_deref();
        let (mut embedded, mut name) = (None, arguments.provider.as_deref());
        if name.is_none() {
            name = url.map(|_| "compatible");
        }
        let (provider, model) = match name {
            Some(name) => provider(name, url).map_err(Failure::Usage)?,
            None => {
                let server = TestServer::builder().pause(Duration::from_millis(30)).start()?;
                let base_url = format!("{}/v1", server.url());
                embedded = Some(server);
                (Provider::new(base_url), Some("test-model"))
            }
        };
        let name = name.unwrap_or("embedded");
        let Some(model) = arguments.model.as_deref().or(model) else {
            return Err(Failure::Usage(format!("{name} needs --model")));
        };
        let key = ModelKey::new(name, model);
        key.check().map_err(|wrong| Failure::Usage(wrong.to_string()))?;
        // One question at a time, so one client, made when it is needed.
        let one = PoolConfig::default().name("cli").min_idle(0).max_size(1);
        let config = LlmConfig::default().pools(KeyedConfig::default().pool(one));
        let pool = config.provider(name, provider).build();
        Ok(Self {
            pool: pool.map_err(|wrong| Failure::Usage(wrong.to_string()))?,
            key,
            said: arguments.system.iter().map(Message::system).collect(),
            interrupt: Interrupt::listen().map_err(io::Error::other)?,
            arguments,
            _embedded: embedded,
        })
    }

    /// From the arguments and from standard input.
    fn prompt(&self) -> Result<String, Failure> {
        let mut words = self.arguments.prompt.clone();
        if words.is_empty() {
            words.push("-".into());
        }
        for word in words.iter_mut().filter(|word| *word == "-") {
            word.clear();
            io::stdin().read_to_string(word)?;
        }
        let prompt = words.join(" ");
        match prompt.trim() {
            "" => Err(Failure::Usage("the prompt is empty".into())),
            prompt => Ok(prompt.to_owned()),
        }
    }

    /// Goes on until an empty line or the end of what is typed.
    fn converse(&mut self) -> Result<(), Failure> {
        eprintln!("Asking {}. An empty line ends it.", self.key);
        loop {
            eprint!("> ");
            let mut prompt = String::new();
            if io::stdin().read_line(&mut prompt)? == 0 {
                eprintln!();
                return Ok(());
            }
            if prompt.trim().is_empty() {
                return Ok(());
            }
            match self.ask(prompt.trim().to_owned()) {
                // As if it had not been asked, so that it can be asked again.
                Err(Failure::Chat(error)) if error.kind() != ErrorKind::Stopped => {
                    eprintln!("cli: {error}");
                    self.said.pop();
                }
                done => done?,
            }
        }
    }

    /// Adds the prompt to the conversation, prints the answer and adds it as well.
    fn ask(&mut self, prompt: String) -> Result<(), Failure> {
        let began = Instant::now();
        self.said.push(Message::user(prompt));
        // A deadline for everything. The lease is taken here, since its stopper is wanted.
        let llm = self.pool.get_within(&self.key, self.arguments.timeout);
        let llm = llm.map_err(io::Error::other)?;
        let answered = self.interrupt.during(llm.stopper(), || self.answer(&llm));
        drop(llm); // before anything is waited for again
        let reply = answered?;
        self.said.push(reply.to_message());
        eprintln!("{}", account(&reply, began.elapsed()));
        Ok(())
    }

    /// Prints the answer, whole or as it comes.
    fn answer(&self, llm: &Llm) -> Result<ChatReply, Failure> {
        let Arguments { temperature, max_tokens, .. } = self.arguments;
        let request = ChatRequest::from(&self.said).temperature(temperature).max_tokens(max_tokens);
        let mut out = io::stdout().lock();
        if !self.arguments.stream {
            let reply = llm.chat(request)?;
            writeln!(out, "{}", reply.text())?;
            return Ok(reply);
        }
        let mut stream = llm.stream(request)?;
        for piece in &mut stream {
            match piece {
                Ok(Piece::Text(text)) => write!(out, "{text}")?,
                // What was printed cannot be unprinted.
                Ok(Piece::Rewrite(whole)) => write!(out, "\n{whole}")?,
                Ok(_) => {}
                Err(error) => {
                    writeln!(out)?;
                    return Err(error.into());
                }
            }
            out.flush()?;
        }
        writeln!(out)?;
        Ok(stream.reply())
    }
}

/// The provider of this name, and its model if none is named. Its key is in the environment.
fn provider(name: &str, url: Option<&str>) -> Result<(Provider, Option<&'static str>), String> {
    let (provider, model) = match name {
        "openai" => (Provider::openai(variable("OPENAI_API_KEY")?), Some("gpt-4o-mini")),
        "deepseek" => (Provider::deepseek(variable("DEEPSEEK_API_KEY")?), Some("deepseek-chat")),
        "ark" => (Provider::ark(variable("ARK_API_KEY")?), None),
        "ollama" => (Provider::ollama(), None),
        "anthropic" => (Provider::anthropic(variable("ANTHROPIC_API_KEY")?), None),
        "gigachat" => (gigachat()?, Some("GigaChat")),
        "yandex" => {
            let key = YandexAuth::ApiKey(variable("YANDEX_API_KEY")?);
            (Provider::yandex(variable("YANDEX_FOLDER_ID")?, key), Some("yandexgpt"))
        }
        "naparnik" => (Provider::naparnik(variable("NAPARNIK_TOKEN")?), Some("naparnik")),
        "compatible" => (compatible(url.ok_or("compatible needs --url")?), None),
        _ => return Err(format!("unknown provider {name:?}; --help lists those known")),
    };
    Ok(match url {
        Some(url) => (provider.base_url(url), model),
        None => (provider, model),
    })
}

/// Its hosts' certificates are of a root that Mozilla's list has not.
fn gigachat() -> Result<Provider, String> {
    let provider = Provider::gigachat(variable("GIGACHAT_KEY")?);
    let Ok(file) = variable("GIGACHAT_CA") else { return Ok(provider) };
    let pem = std::fs::read(&file).map_err(|error| format!("GIGACHAT_CA: {file}: {error}"))?;
    Ok(provider.root_certs(RootCerts::Pem(pem)))
}

/// Any server that speaks OpenAI's dialect; many want no key.
fn compatible(url: &str) -> Provider {
    match variable("OPENAI_API_KEY") {
        Ok(key) => Provider::new(url).api_key(key),
        Err(_) => Provider::new(url),
    }
}

fn variable(name: &str) -> Result<String, String> {
    let value = env::var(name).ok().filter(|value| !value.trim().is_empty());
    value.ok_or(format!("{name} is not set"))
}

/// What the answer cost.
fn account(reply: &ChatReply, took: Duration) -> String {
    let (usage, tries) = (reply.usage(), reply.tries());
    let mut line = format!("{} tokens", usage.total());
    if let (Some(input), Some(output)) = (usage.input, usage.output) {
        line += &format!(" ({input} asked, {output} answered)");
    }
    line += &format!(
        ", {:.2} s, {tries} {}",
        took.as_secs_f64(),
        if tries == 1 { "try" } else { "tries" }
    );
    match reply.finish() {
        Some(finish) if finish.as_str() != "stop" => line + &format!(", ended by {finish}"),
        _ => line,
    }
}

/// Why there is no answer.
enum Failure {
    /// It cannot be asked for like this.
    Usage(String),
    Chat(ChatError),
    Io(io::Error),
}

impl Failure {
    fn status(&self) -> ExitCode {
        match self {
            Self::Usage(_) => 2.into(),
            Self::Chat(error) => match error.kind() {
                ErrorKind::Invalid => 2.into(),
                ErrorKind::Stopped => interrupt::STATUS.into(),
                _ => ExitCode::FAILURE,
            },
            Self::Io(_) => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(wrong) => write!(f, "{wrong}; see --help"),
            Self::Chat(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl From<ChatError> for Failure {
    fn from(error: ChatError) -> Self {
        Self::Chat(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
