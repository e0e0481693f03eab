//! What is asked for on the command line.

use std::ffi::OsString;
use std::time::Duration;

pub const HELP: &str = "\
Asks a model and prints its answer.

Usage: cli [OPTIONS] [PROMPT...]

The prompt is what the arguments say; - among them stands for standard input. Without
arguments it is standard input; if that is a terminal, a conversation begins, which an
empty line or Ctrl-D ends.

Options:
  --provider NAME      whom to ask, see below; without it and without --url, a server
                       inside this program answers
  --url BASE           where, such as https://api.example.com/v1, in place of the
                       provider's own URL
  --model MODEL        which model [default: the provider's below]
  --stream             print the answer as it comes
  --system TEXT        instructions for the whole conversation
  --temperature NUMBER
  --max-tokens NUMBER  the longest answer
  --timeout SECS       how long an answer may take, all tries included [default: 300]
  --                   what follows is the prompt
  --help               print this

Providers, the keys they take from the environment, and their models:
  openai      OPENAI_API_KEY                 gpt-4o-mini
  deepseek    DEEPSEEK_API_KEY               deepseek-chat
  ark         ARK_API_KEY                    as --model says
  ollama      none                           as --model says
  anthropic   ANTHROPIC_API_KEY              as --model says
  gigachat    GIGACHAT_KEY, and GIGACHAT_CA  GigaChat
              for the file of its root
  yandex      YANDEX_API_KEY and             yandexgpt
              YANDEX_FOLDER_ID
  naparnik    NAPARNIK_TOKEN (experimental)  none of several
  compatible  OPENAI_API_KEY, if it is set   as --model says
Any server that speaks OpenAI's dialect is compatible; --url alone means that one.

The answer goes to standard output, everything else to standard error.
Exit status: 0 with an answer, 1 without, 2 if it cannot be asked for like this,
130 after Ctrl-C.";

/// What the command line says.
#[derive(Debug)]
pub struct Arguments {
    pub provider: Option<String>,
    pub url: Option<String>,
    pub model: Option<String>,
    pub stream: bool,
    pub system: Option<String>,
    pub temperature: Option<f64>,
    pub max_tokens: Option<u32>,
    pub timeout: Duration,
    /// A word `-` stands for standard input.
    pub prompt: Vec<String>,
}

impl Arguments {
    /// `None` if help is asked for.
    pub fn parse(words: impl Iterator<Item = OsString>) -> Result<Option<Self>, String> {
        let words = words.map(|word| {
            word.into_string().map_err(|word| format!("{} is not UTF-8", word.to_string_lossy()))
        });
        let words = words.collect::<Result<Vec<_>, _>>()?;
        let mut words = words.into_iter();
        let mut arguments = Self {
            provider: None,
            url: None,
            model: None,
            stream: false,
            system: None,
            temperature: None,
            max_tokens: None,
            timeout: Duration::from_secs(300),
            prompt: Vec::new(),
        };
        while let Some(word) = words.next() {
            if word == "-" || !word.starts_with('-') {
                arguments.prompt.push(word);
                continue;
            }
            let mut value = || {
                let value = words.next().filter(|value| !value.trim().is_empty());
                value.ok_or(format!("{word} needs a value"))
            };
            match word.as_str() {
                "--help" | "-h" => return Ok(None),
                "--" => arguments.prompt.extend(words.by_ref()),
                "--provider" => arguments.provider = Some(value()?),
                "--url" => arguments.url = Some(value()?),
                "--model" => arguments.model = Some(value()?),
                "--stream" => arguments.stream = true,
                "--system" => arguments.system = Some(value()?),
                "--temperature" => arguments.temperature = Some(number(&word, &value()?)?),
                "--max-tokens" => arguments.max_tokens = Some(number(&word, &value()?)?),
                "--timeout" => {
                    let seconds: u64 = number(&word, &value()?)?;
                    if seconds == 0 {
                        return Err("--timeout must be at least 1".into());
                    }
                    arguments.timeout = Duration::from_secs(seconds);
                }
                _ => return Err(format!("unknown option {word}")),
            }
        }
        let said = &arguments.prompt;
        if !said.is_empty() && said.iter().all(|word| word.trim().is_empty()) {
            return Err("the prompt is empty".into());
        }
        Ok(Some(arguments))
    }
}

fn number<T: std::str::FromStr>(option: &str, text: &str) -> Result<T, String> {
    let kind = if option == "--temperature" { "number" } else { "whole number" };
    text.parse().map_err(|_| format!("{option} must be a {kind}, and is {text:?}"))
}
