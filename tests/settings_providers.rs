//! Providers by kind: each is the one that code makes.

use llm_pool::agent::RootCerts;
use llm_pool::chat::{ChatRequest, GigaChat, Naparnik, Scope, YandexAuth};
use llm_pool::keyed::ModelKey;
use llm_pool::llm::Provider;
use llm_pool::settings::Settings;
use llm_pool::test_server::TestServer;

/// One that has some text: cargo sets it for tests.
const KEY: &str = "api_key_env = 'CARGO_PKG_NAME'\n";

fn parsed(text: &str) -> Provider {
    let settings = Settings::parse(&format!("[providers.it]\n{text}")).unwrap();
    settings.providers["it"].provider().unwrap()
}

#[test]
fn each_kind_is_the_provider_that_code_makes() {
    let key = env!("CARGO_PKG_NAME");
    let api_key = || YandexAuth::ApiKey(key.into());
    let business: Provider = GigaChat::new(key).scope(Scope::Business).oauth_url("http://o").into();
    let python: Provider = Naparnik::new(key).programming_language("python").into();
    for (text, provider) in [
        ("base_url = 'http://h/v1'", Provider::new("http://h/v1").api_key(key)),
        ("kind = 'openai'", Provider::openai(key)),
        ("kind = 'deepseek'", Provider::deepseek(key)),
        ("kind = 'ark'", Provider::ark(key)),
        ("kind = 'ark'\ncheck = 'models'", Provider::ark(key).check("models")),
        ("kind = 'ollama'", Provider::ollama().api_key(key)),
        ("kind = 'ollama'\ncheck = 'none'", Provider::ollama().api_key(key).check(None)),
        ("kind = 'anthropic'\nmax_tokens = 9", Provider::anthropic(key)),
        ("kind = 'yandex'\nfolder = 'b1g'", Provider::yandex("b1g", api_key())),
        ("kind = 'gigachat'\nscope = 'business'\noauth_url = 'http://o'", business),
        ("kind = 'naparnik'\nprogramming_language = 'python'", python),
        (
            "kind = 'openai'\nbase_url = 'http://p'\nheaders = { x-a = 'b' }\nroot_certs = 'mozilla'",
            Provider::openai(key)
                .base_url("http://p")
                .header("x-a", "b")
                .root_certs(RootCerts::Mozilla),
        ),
    ] {
        assert_eq!(
            format!("{:?}", parsed(&format!("{KEY}{text}"))),
            format!("{provider:?}"),
            "{text}"
        );
    }
    assert_eq!(format!("{:?}", parsed("kind = 'ollama'")), format!("{:?}", Provider::ollama()));
}

/// What is in the body, or a header, of a chat with the provider.
fn asked(text: &str) -> String {
    let server = TestServer::start().unwrap();
    let url = format!("base_url = '{}/v1'", server.url());
    let text = format!(
        "[agents]\nproxy = 'direct'\n[chat]\nmax_retries = 0\n[providers.it]\n{KEY}{url}\n{text}"
    );
    let pool = Settings::parse(&text).unwrap().build().unwrap();
    let mut request = ChatRequest::from("Hi");
    // Naparnik has no word for it.
    if !text.contains("naparnik") {
        request = request.max_tokens(7);
    }
    // The server speaks OpenAI's dialect alone, so that some of these fail; all are sent.
    let _ = pool.chat(&ModelKey::new("it", "m"), request);
    let texts = server.requests().into_iter().map(|seen| {
        let headers: Vec<_> =
            seen.headers().map(|(name, value)| format!("{name}: {value}")).collect();
        format!("{headers:?} {}", String::from_utf8_lossy(seen.body()))
    });
    texts.collect()
}

#[test]
fn what_is_special_of_a_kind_reaches_its_requests() {
    assert!(asked("kind = 'openai'").contains("max_completion_tokens"));
    assert!(
        !asked("kind = 'openai'\nmax_completion_tokens = false").contains("max_completion_tokens")
    );
    assert!(asked("max_completion_tokens = true").contains("max_completion_tokens"));
    let folder = "kind = 'yandex'\nfolder = 'b1g'\nfolder_header = true";
    assert!(asked(folder).contains("x-folder-id: b1g"));
    assert!(asked(folder).contains("authorization: Api-Key llm-pool"));
    let iam = "kind = 'yandex'\nfolder = 'b1g'\niam = true";
    assert!(
        asked(iam).contains("authorization: Bearer llm-pool") && !asked(iam).contains("x-folder")
    );
    assert!(asked("kind = 'anthropic'").contains("x-api-key: llm-pool"));
    let without_limit = "kind = 'anthropic'\nmax_tokens = 99";
    assert!(asked(without_limit).contains("\"max_tokens\":7"), "the request's own goes first");
    assert!(asked("kind = 'naparnik'\nprogramming_language = 'c++'").contains("c++"));
}

#[test]
fn settings_of_another_kind_are_refused() {
    for (setting, kind) in [
        ("max_tokens = 9", "openai"),
        ("stream_usage = false", "anthropic"),
        ("done_marker = false", "naparnik"),
        ("max_completion_tokens = false", "gigachat"),
        ("folder = 'b1g'", "openai"),
        ("folder_header = true", "gigachat"),
        ("iam = true", "anthropic"),
        ("scope = 'personal'", "yandex"),
        ("oauth_url = 'http://o'", "openai"),
        ("programming_language = 'python'", "ollama"),
    ] {
        let text = format!("[providers.it]\n{KEY}kind = '{kind}'\n{setting}");
        let error = Settings::parse(&text).unwrap_err().to_string();
        let name = setting.split(' ').next().unwrap();
        let column = name.len() + 4;
        let what = format!(
            "providers.it.{name} (line 4, column {column}): this kind of provider has no such setting"
        );
        assert!(error.contains(&what), "{error}");
    }
}
