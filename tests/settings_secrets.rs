//! Secrets come from outside the file, and nothing shows one.

use std::fs;
use std::path::PathBuf;

use llm_pool::keyed::ModelKey;
use llm_pool::settings::Settings;
use llm_pool::test_server::TestServer;

const SECRET: &str = "sk-planted-hunter2";

/// A file with this text, for one test.
struct Secret(PathBuf);

impl Secret {
    fn new(name: &str, text: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("llm-pool-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    /// As it stands in TOML.
    fn path(&self) -> String {
        format!("{:?}", self.0)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn openai(settings: &str) -> String {
    format!("[providers.openai]\nkind = 'openai'\n{settings}\n")
}

#[test]
fn a_key_in_a_file_of_its_own_is_sent_without_the_white_space_at_its_ends() {
    let server = TestServer::builder().api_key(SECRET).start().unwrap();
    let secret = Secret::new("sent", format!("  {SECRET}\r\n").as_bytes());
    let text = format!(
        "[agents]\nproxy = 'direct'\n[providers.own]\nbase_url = '{}/v1'\napi_key_file = {}",
        server.url(),
        secret.path()
    );
    let settings = Settings::parse(&text).unwrap();
    let pool = settings.build().unwrap();
    assert!(pool.chat(&ModelKey::new("own", "m"), "Hi").is_ok());
    assert!(!format!("{settings:?} {pool:?} {:?}", settings.llm()).contains(SECRET));
}

#[test]
fn a_header_can_come_from_a_file_too() {
    let server = TestServer::builder().api_key(SECRET).start().unwrap();
    let secret = Secret::new("header", format!("Bearer {SECRET}").as_bytes());
    let text = format!(
        "[agents]\nproxy = 'direct'\n[providers.own]\nbase_url = '{}/v1'
        headers = {{ authorization = {{ file = {} }} }}",
        server.url(),
        secret.path()
    );
    let pool = Settings::parse(&text).unwrap().build().unwrap();
    assert!(pool.chat(&ModelKey::new("own", "m"), "Hi").is_ok());
}

/// Cargo sets it for tests.
#[test]
fn a_key_can_come_from_an_environment_variable() {
    let settings = Settings::parse(&openai("api_key_env = 'CARGO_PKG_NAME'")).unwrap();
    assert!(settings.build().is_ok());
}

#[test]
fn a_variable_or_file_that_holds_no_key_is_refused_by_its_name() {
    let (empty, lines) =
        (Secret::new("empty", b" \n"), Secret::new("lines", b"sk-planted\nhunter2"));
    let bytes = Secret::new("bytes", b"\xff\xfe");
    let shown = |secret: &Secret| secret.0.display().to_string();
    for (setting, what) in [
        (
            "api_key_env = 'NO_SUCH_KEY_IS_SET'".to_owned(),
            "api_key_env: the environment variable NO_SUCH_KEY_IS_SET is not set".to_owned(),
        ),
        (
            format!("api_key_file = {}", empty.path()),
            format!("api_key_file: the file {} is empty", shown(&empty)),
        ),
        (
            format!("api_key_file = {}", lines.path()),
            format!("api_key_file: the file {} has more than one line", shown(&lines)),
        ),
        (
            format!("api_key_file = {}", bytes.path()),
            format!("api_key_file: the file {} is not UTF-8", shown(&bytes)),
        ),
    ] {
        let error = Settings::parse(&openai(&setting)).unwrap().build().unwrap_err();
        assert_eq!(error.problems(), [format!("providers.openai.{what}")]);
    }
    let missing = Settings::parse(&openai("api_key_file = '/nowhere/key'")).unwrap();
    let error = missing.check().unwrap_err().to_string();
    let begin =
        "invalid settings: providers.openai.api_key_file: the file /nowhere/key cannot be read: ";
    assert!(error.starts_with(begin), "{error}");
}

#[test]
fn a_key_in_the_file_is_refused_and_not_shown() {
    let message = "a secret may not stand in the file: name an environment variable with \
                   api_key_env, or a file with api_key_file";
    for name in ["api_key", "API-Key", "token", "password"] {
        let text = openai(&format!("api_key_env = 'CARGO_PKG_NAME'\n{name} = '{SECRET}'"));
        let error = Settings::parse(&text).unwrap_err();
        assert_eq!(
            error.problems(),
            [format!("providers.openai.{name} (line 4, column 1): {message}")]
        );
    }
    for (text, what) in [
        (
            openai(&format!("api_key_env = 'X_Y'\nheaders = {{ X-Api-Key = '{SECRET}' }}")),
            "providers.openai.headers.X-Api-Key (line 4, column 25): a secret may not stand",
        ),
        (
            format!("[agents]\nproxy = 'http://user:{SECRET}@host'"),
            "agents.proxy (line 2, column 9): a user and a password may not stand in the file",
        ),
        (
            openai(&format!("api_key_env = 'X_Y'\nbase_url = 'https://u:{SECRET}@host'")),
            "providers.openai.base_url (line 4, column 12): must be a URL, and it has a user",
        ),
    ] {
        let error = Settings::parse(&text).unwrap_err().to_string();
        assert!(error.contains(what) && !error.contains(SECRET), "{error}");
    }
}

#[test]
fn a_key_in_place_of_the_name_of_its_variable_or_file_is_not_shown() {
    for setting in ["api_key_env", "api_key_file", "headers.x-key.env", "headers.x-key.file"] {
        let text = openai(&format!("{setting} = '{SECRET}'"));
        let text = if setting.starts_with('h') {
            format!("{text}api_key_env = 'CARGO_PKG_NAME'")
        } else {
            text
        };
        let settings = Settings::parse(&text).unwrap();
        let error = settings.build().unwrap_err();
        assert_eq!(error.problems().len(), 1, "{error}");
        let values = settings.values();
        assert!(
            !format!("{error} {settings:?} {values:?}").contains(SECRET),
            "{error} {settings:?}"
        );
    }
}

/// A key that stands where a setting's name should.
#[test]
fn what_is_no_name_is_not_shown_as_one() {
    let error = Settings::parse(&openai("sk-planted-hunter2 = 1")).unwrap_err().to_string();
    let begin =
        "invalid settings: providers.openai.? (line 3, column 1): unknown name, known here are";
    assert!(error.starts_with(begin) && !error.contains(SECRET), "{error}");
}

/// A password, where the proxy has one, comes from outside.
#[test]
fn the_password_of_a_proxy_is_not_shown() {
    let secret = Secret::new("proxy", format!("http://user:{SECRET}@localhost:1").as_bytes());
    let text = format!("[agents]\nproxy = {{ file = {} }}", secret.path());
    let settings = Settings::parse(&text).unwrap();
    let values = settings.values();
    assert!(values.contains(&("agents.proxy".into(), "***".into())), "{values:?}");
    assert!(!format!("{settings:?} {values:?}").contains(SECRET));
    let url = format!("{:?}", settings.agents.proxy);
    assert_eq!(url, "Url(\"http://***@localhost:1\")");
}

/// Each byte of a good file put out of order, next to a secret in every place where there is a text.
#[test]
fn no_damage_to_a_file_has_a_text_of_it_shown() {
    let text = format!(
        "[agents]\nuser_agent = \"{SECRET}\"\n[providers.own]\nbase_url = \"http://h/v1\"\nkind = '{SECRET}'
        headers = {{ x-a = \"{SECRET}\" }}\n[chat]\ntotal_timeout = \"{SECRET}\"\nmax_retries = '{SECRET}'\n"
    );
    let mut seen = 0;
    for at in 0..text.len() {
        for damage in ["", "\"", "'", "\n", "=", "[", "]", "\\", "#", ".", "{", "\u{1}"] {
            let damaged = format!("{}{damage}{}", &text[..at], &text[at + 1..]);
            let Err(error) = Settings::parse(&damaged) else { continue };
            let error = format!("{error} {error:?}");
            seen += 1;
            // Names are shown, and a part of the secret may have become one.
            assert!(!error.contains("hunter2"), "{damaged}\n{error}");
        }
    }
    assert!(seen > 1000, "{seen}");
}
