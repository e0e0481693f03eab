//! Clients by model: what is refused, and that no secret is shown.

mod support;

use std::error::Error;

use llm_pool::agent::{AgentConfig, Proxy};
use llm_pool::keyed::{KeyedConfig, ModelKey};
use llm_pool::llm::{LlmConfig, LlmPool, Provider};
use llm_pool::test_server::{Reply, TestServer};
use llm_pool::{GetError, Lease, Manage, PoolConfig};
use support::*;

const SECRET: &str = "sk-planted-secret";

fn llm_config() -> LlmConfig {
    LlmConfig::default().agents(AgentConfig::default().proxy(Proxy::Direct))
}

fn config(name: &str, provider: Provider) -> LlmConfig {
    llm_config().provider(name, provider)
}

fn pool() -> LlmPool {
    config("openai", Provider::new("http://127.0.0.1:1/v1"))
        .provider("mistral", Provider::new("http://127.0.0.1:2/v1"))
        .build()
        .unwrap()
}

fn refusal(pool: &LlmPool, key: &ModelKey) -> String {
    let error = pool.get(key).unwrap_err();
    assert!(matches!(error, GetError::Key(_)), "{error}");
    let stats = pool.stats();
    assert_eq!((stats.pools_made, stats.size(), stats.hosts.len()), (0, 0, 0), "{error}");
    assert!(pool.keys().is_empty(), "{error}");
    assert_eq!(pool.try_get(key).unwrap_err().to_string(), error.to_string());
    error.to_string()
}

#[test]
fn an_unknown_provider_is_refused_with_those_that_are_known() {
    let error = refusal(&pool(), &ModelKey::new("opanai", "small").temperature(0.5));
    assert_eq!(
        error,
        "bad model key \"opanai:small:temperature=0.5\": unknown provider \"opanai\", known are: \
         mistral, openai"
    );
    let long = refusal(&pool(), &ModelKey::new("x".repeat(10_000), "small"));
    assert!(long.len() < 400, "{}", long.len());
}

#[test]
fn a_key_that_cannot_be_called_is_refused_with_its_value_and_nothing_is_made() {
    let pool = pool();
    let key = ModelKey::new("openai", "small");
    for (key, says) in [
        (ModelKey::new("openai", ""), "model must be some text on one line, and is \"\""),
        (ModelKey::new("openai", " "), "model must be some text on one line, and is \" \""),
        (ModelKey::new("", "small"), "provider must be some text on one line, and is \"\""),
        (key.clone().temperature(-0.5), "temperature must be a number of at least 0, and is -0.5"),
        (
            key.clone().temperature(f64::NAN),
            "temperature must be a number of at least 0, and is NaN",
        ),
        (
            key.clone().temperature(f64::INFINITY),
            "temperature must be a number of at least 0, and is inf",
        ),
        (key.clone().top_p(1.5), "top_p must be 0 to 1, and is 1.5"),
        (key.clone().max_tokens(0), "max_tokens must be at least 1, and is 0"),
    ] {
        assert_eq!(refusal(&pool, &key), format!("bad model key \"{key}\": {says}"));
    }
    let all = refusal(&pool, &ModelKey::new("", "\n").temperature(f64::NAN).max_tokens(0));
    for part in ["provider must", "model must", "and is NaN", "max_tokens must"] {
        assert!(all.contains(part), "{all}");
    }
    assert_eq!(all.lines().count(), 1);
}

#[test]
fn a_base_url_that_is_none_is_refused_with_the_provider_and_the_url() {
    for (url, says) in [
        ("", "it is empty"),
        ("https://", "it has no host"),
        ("https:///v1", "it has no host"),
        ("api.example.com/v1", "it has no scheme; did you mean \"https://api.example.com/v1\"?"),
        ("ftp://api.example.com", "its scheme must be http or https"),
        ("https://api.example.com:0/v1", "its port must be 1 to 65535"),
    ] {
        let error = config("openai", Provider::new(url)).build().unwrap_err();
        assert_eq!(
            error.problems(),
            [format!("openai: invalid Provider: base_url: bad URL \"{url}\": {says}")]
        );
    }
}

#[test]
fn a_query_in_a_base_url_is_refused_since_no_call_would_send_it() {
    for end in ["?api-version=2024", "#top", "?"] {
        let url = format!("https://api.example.com/v1{end}");
        let error = config("azure", Provider::new(url)).build().unwrap_err().to_string();
        assert!(error.contains("azure") && error.contains("base_url: has a query"), "{error}");
        assert!(!error.contains("2024"), "a query may hold a secret: {error}");
    }
}

#[test]
fn plain_http_is_refused_where_https_only_is_set() {
    let agents = AgentConfig::default().proxy(Proxy::Direct).https_only(true);
    for check in [Some("models"), None] {
        let provider = |url: &str| Provider::new(url).check(check);
        let config = LlmConfig::default().agents(agents.clone());
        let plain = config.clone().provider("plain", provider("http://api.example.com/v1"));
        assert_eq!(
            plain.build().unwrap_err().problems(),
            ["plain: invalid Provider: base_url: must be https, since https_only is set"]
        );
        config.provider("tls", provider("https://api.example.com/v1")).build().unwrap();
    }
}

#[test]
fn a_header_that_is_none_is_refused_without_its_value() {
    let url = "https://api.example.com/v1";
    let name = config("p", Provider::new(url).header("no name", SECRET)).build().unwrap_err();
    assert!(name.to_string().contains("no header's"), "{name}");
    let value = format!("{SECRET}\r\nx: y");
    let value = config("p", Provider::new(url).header("x-key", value)).build().unwrap_err();
    assert!(value.to_string().contains("the value of x-key"), "{value}");
    assert!(!format!("{name} {name:?} {value} {value:?}").contains(SECRET));
}

#[test]
fn a_check_that_cannot_be_made_is_refused_with_its_path_and_without_its_query() {
    let provider = Provider::new("https://api.example.com/v1");
    let path = format!("mod els?key={SECRET}");
    let error = config("p", provider.check(path.as_str())).build().unwrap_err();
    assert_eq!(
        error.problems(),
        ["p: invalid Provider: check: must be a path of a URL, and is \"mod els\""]
    );
    assert!(!format!("{error:?}").contains(SECRET));
}

#[test]
fn all_that_is_wrong_with_the_providers_is_in_one_error() {
    let error = config("one", Provider::new("https://").header("no name", "v"))
        .provider("two", Provider::new("ftp://api.example.com"))
        .provider("fine", Provider::new("https://api.example.com"))
        .provider(" ", Provider::new("https://api.example.com"))
        .provider("two\nlines", Provider::new("https://api.example.com"))
        .build()
        .unwrap_err();
    let text = error.to_string();
    for part in ["one: ", "no host", "no header's", "two: ", "its scheme must be"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert_eq!(text.matches("must be some text on one line").count(), 2, "{text}");
    assert_eq!((error.problems().len(), text.lines().count()), (4, 1), "{text}");
    assert!(!text.contains("fine"), "{text}");
}

#[test]
fn settings_of_pools_and_agents_and_no_provider_at_all_are_refused() {
    let error = llm_config().build().unwrap_err().to_string();
    assert_eq!(error, "invalid LlmConfig: providers: there must be at least one");
    let url = "https://api.example.com";
    let none = KeyedConfig::default().pool(PoolConfig::default().max_size(0));
    let error = config("p", Provider::new(url)).pools(none).build().unwrap_err();
    assert_eq!(error.problems(), ["max_size: must be at least 1"]);
    let agents = AgentConfig::default().buffer_size(1);
    let error = config("p", Provider::new(url)).agents(agents).build().unwrap_err();
    assert!(error.to_string().contains("buffer_size"), "{error}");
}

#[test]
fn a_later_provider_of_a_name_takes_the_place_of_the_earlier() {
    let server = TestServer::start().unwrap();
    let pool = config("p", Provider::new("nonsense"))
        .provider("p", Provider::new(server.url()))
        .build()
        .unwrap();
    assert_eq!(pool.get(&ModelKey::new("p", "m")).unwrap().url("x"), format!("{}/x", server.url()));
}

#[test]
fn no_debug_output_and_no_error_shows_a_header_or_a_query() {
    let server = TestServer::start().unwrap();
    let provider = Provider::new(format!("{}/v1", server.url()))
        .header("authorization", format!("Bearer {SECRET}"))
        .check(&*format!("models?key={SECRET}"));
    let mut shown = format!("{provider:?}\n");
    for url in ["https://a.example/v1?key=", "https://u:", "u:"] {
        let bad = Provider::new(format!("{url}{SECRET}@b.example"));
        shown += &format!("{bad:?}\n{}\n", config("p", bad.clone()).build().unwrap_err());
        shown += &format!("{:?}\n", config("p", bad));
    }
    let config = config("test", provider);
    shown += &format!("{config:?}\n");
    let pool = config.build().unwrap();
    let key = ModelKey::new("test", "small");
    let llm = pool.get(&key).unwrap();
    shown += &format!("{pool:?}\n{llm:?}\n{:?}\n{:?}\n", *llm, **llm);
    shown += &format!("{:?}\n", llm.post("chat/completions"));
    let of_key = pool.pool(&key).unwrap();
    shown += &format!("{of_key:?}\n{:?}\n", of_key.manager());

    server.set_reply(Reply::status(401));
    let check = of_key.manager().check(&mut Lease::detach(llm)).unwrap_err();
    shown += &format!("{check} {check:?} {:?}\n", check.source());
    pool.close();
    let closed = pool.get(&key).unwrap_err();
    shown += &format!("{closed} {closed:?}\n{:?}\n{}\n", pool.stats(), pool.stats());

    assert!(shown.contains("authorization"), "names may be shown: {shown}");
    assert!(!shown.contains(SECRET), "{shown}");
}

#[test]
fn the_log_shows_no_header_when_checks_fail() {
    logs::install();
    let server = TestServer::start().unwrap();
    server.set_reply(Reply::status(503));
    let provider = Provider::new(server.url()).header("x-api-key", SECRET);
    let pools = KeyedConfig::default().pool(PoolConfig::default().name("secretive").max_size(3));
    let pool = config("test", provider).pools(pools).build().unwrap();
    drop(pool.get(&ModelKey::new("test", "small")).unwrap());
    eventually(|| pool.stats().sum.idle == 3);
    pool.check_all();
    eventually(|| pool.stats().sum.unhealthy == 3);
    let name = "secretive test:small";
    eventually(|| logs::matching(name, log::Level::Warn, "status 503").len() == 3);
    assert!(!format!("{:?}", logs::of(name)).contains(SECRET));
}
