//! What is told of each provider: where it is, and which of its refusals waiting does not mend.

use llm_pool::chat::{ErrorKind, GigaChat, YandexAuth};
use llm_pool::llm::Provider;
use llm_pool::test_server::{Reply, TestServer};
use serde_json::json;

use crate::support::*;
use crate::*;

#[test]
fn each_provider_is_where_it_says_and_checked_where_that_is_known() {
    let yandex = Provider::yandex("b1g", YandexAuth::IamToken("t1.x".into()));
    for (provider, url, check) in [
        (Provider::openai("k"), "https://api.openai.com/v1", r#"Some("models")"#),
        (Provider::deepseek("k"), "https://api.deepseek.com", r#"Some("models")"#),
        (Provider::ark("k"), "https://ark.cn-beijing.volces.com/api/v3", "None"),
        (Provider::ollama(), "http://localhost:11434/v1", r#"Some("models")"#),
        (Provider::anthropic("k"), "https://api.anthropic.com/v1", r#"Some("models")"#),
        (yandex, "https://llm.api.cloud.yandex.net/foundationModels/v1", "None"),
        (
            GigaChat::new("a2V5").into(),
            "https://gigachat.devices.sberbank.ru/api/v1",
            r#"Some("models")"#,
        ),
        (Provider::naparnik("k"), "https://code.1c.ai/chat_api/v1", "None"),
    ] {
        let shown = format!("{provider:?}");
        assert!(shown.contains(&format!("base_url: \"{url}\"")), "{shown}");
        assert!(shown.contains(&format!("check: {check}")), "{shown}");
    }
}

#[test]
fn a_slash_at_the_end_of_a_base_url_is_not_doubled() {
    let server = TestServer::start().unwrap();
    for base in ["/v1", "/v1/"] {
        let provider = Provider::new(format!("{}{base}", server.url()));
        pool_of(provider, chat_config()).chat(&key(), &hi()).unwrap();
    }
    assert!(server.requests().iter().all(|it| it.path() == "/v1/chat/completions"));
}

#[test]
fn no_429_of_an_empty_account_is_tried_again() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    for code in [
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "AccountQuotaExceeded",
    ] {
        // OpenAI has the name in both places, Ark in the code alone.
        for kind in [code, "TooManyRequests"] {
            let body = json!({"error": {"message": "m", "type": kind, "param": "", "code": code}});
            server.plan(Reply::status(429).retry_after(secs(1)).body(body.to_string()));
            let before = server.stats().requests;
            let error = pool.chat(&key(), &hi()).unwrap_err();
            assert_eq!((error.kind(), error.tries()), (ErrorKind::Quota, 1), "{error}");
            assert_eq!(server.stats().requests, before + 1);
        }
    }
    for code in ["rate_limit_exceeded", "slow_down"] {
        let body = json!({"error": {"message": "m", "type": "requests", "code": code}});
        server.plan(Reply::status(429).body(body.to_string()));
        assert_eq!(pool.chat(&key(), &hi()).unwrap().tries(), 2, "{code}");
    }
}

#[test]
fn a_wait_that_is_too_long_comes_before_what_the_server_says_of_another_try() {
    let server = TestServer::start().unwrap();
    let pool = pool(&server);
    let reply = Reply::status(429).header("x-should-retry", "true");
    server.plan(reply.clone().retry_after(secs(121)));
    let error = pool.chat(&key(), &hi()).unwrap_err();
    assert_eq!((error.tries(), error.retry_after()), (1, Some(secs(121))));
    assert!(error.is_retryable(), "by whoever has the time");
    server.plan(reply.header("retry-after", "0"));
    assert_eq!(pool.chat(&key(), &hi()).unwrap().tries(), 2);
}
