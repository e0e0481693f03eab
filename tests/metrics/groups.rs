//! Endpoints of groups and balancers, and what calls to models count.

use llm_pool::agent::{AgentConfig, Proxy};
use llm_pool::balance::{BalanceConfig, Balancer, Call, Cause, Endpoint};
use llm_pool::keyed::ModelKey;
use llm_pool::llm::{Group, LlmConfig, ModelGroups, Provider};
use llm_pool::metrics::Metrics;
use llm_pool::test_server::{Reply, TestServer};

use crate::endpoints::{groups_of, in_order, servers};
use crate::parse::{read, scrape};

#[test]
fn the_endpoints_of_a_group_say_how_their_calls_went() {
    let servers = servers::<2>();
    let groups = groups_of(&servers, in_order(&servers));
    let metrics = Metrics::new().pool("llm", groups.pool().clone()).groups("llm", groups.clone());
    servers[0].plan(Reply::status(429));
    let answer = groups.chat("all", "Hi").unwrap();
    let text = scrape(&metrics);
    let at = |name: &str, endpoint: &str, more: &str| {
        let labels = format!("pool=\"llm\",group=\"all\",endpoint=\"{endpoint}\"{more}");
        text.value(&format!("llm_pool_endpoint_{name}{{{labels}}}"))
    };
    assert_eq!((at("picks_total", "0", ""), at("picks_total", "1", "")), (1.0, 1.0));
    assert_eq!((at("successes_total", "0", ""), at("successes_total", "1", "")), (0.0, 1.0));
    assert_eq!(at("failures_total", "0", ",cause=\"rate_limited\""), 1.0);
    assert_eq!((at("rests_total", "0", ""), at("rests_total", "1", "")), (1.0, 0.0));
    assert_eq!(at("health", "0", ",state=\"resting\""), 1.0);
    assert_eq!(at("health", "1", ",state=\"well\""), 1.0);
    assert_eq!((at("in_use", "0", ""), at("abandoned_total", "0", "")), (0.0, 0.0));
    assert_eq!(at("max_in_use", "1", ""), groups.pool().config().pool.max_size as f64);
    assert_eq!(text.value("llm_pool_group_waiting{pool=\"llm\",group=\"all\"}"), 0.0);
    // And what the pool below counts of them.
    let requests = |class| {
        text.value(&format!("llm_pool_requests_total{{pool=\"llm\",status_class=\"{class}\"}}"))
    };
    assert_eq!((requests("2xx"), requests("4xx"), requests("5xx")), (1.0, 1.0, 0.0));
    let tokens =
        |way| text.value(&format!("llm_pool_tokens_total{{pool=\"llm\",token_type=\"{way}\"}}"));
    let usage = answer.usage();
    assert_eq!(tokens("input"), usage.input.unwrap() as f64);
    assert_eq!(tokens("output"), usage.output.unwrap() as f64);
    assert_eq!(text.value("llm_pool_retries_total{pool=\"llm\"}"), 1.0);
    assert_eq!(text.series("llm_pool_key_response_seconds_count"), 2);
    read(&metrics.open_metrics(), true);
}

#[test]
fn every_cause_has_a_series_of_its_own() {
    let endpoints = [Endpoint::new("https://u:hush@e.example/?hush", ())];
    let config = BalanceConfig::default().name("mine");
    let balancer = Balancer::new(config, endpoints).unwrap();
    balancer.pick(Call::new()).unwrap().failure(Cause::Client);
    drop(balancer.pick(Call::new()));
    let _pick = balancer.pick(Call::new());
    let metrics = Metrics::new().balancer("b", balancer.clone());
    let text = scrape(&metrics);
    let labels = r#"pool="b",group="mine",endpoint="https://***@e.example/?***""#;
    let value =
        |name: &str, more: &str| text.value(&format!("llm_pool_endpoint_{name}{{{labels}{more}}}"));
    assert_eq!(text.series("llm_pool_endpoint_failures_total"), Cause::ALL.len());
    assert_eq!(value("failures_total", ",cause=\"client\""), 1.0);
    assert_eq!(text.sum("llm_pool_endpoint_failures_total"), 1.0);
    assert_eq!((value("abandoned_total", ""), value("in_use", "")), (1.0, 1.0));
    assert_eq!(text.series("llm_pool_endpoint_max_in_use"), 0, "there is no limit");
    // The same twice: together.
    let twice = scrape(&metrics.balancer("b", balancer));
    assert_eq!(twice.sum("llm_pool_endpoint_picks_total"), 6.0);
}

#[test]
fn neither_the_key_of_a_provider_nor_what_is_asked_shows_anywhere() {
    let server = TestServer::builder().api_key("sk-hush").start().unwrap();
    let provider =
        Provider::new(format!("{}/v1", server.url())).api_key("sk-hush").header("x-secret", "hush");
    let config = LlmConfig::default().agents(AgentConfig::default().proxy(Proxy::Direct));
    let pool = config.provider("own", provider).build().unwrap();
    let group = Group::default().endpoint(ModelKey::new("own", "small"));
    let groups = ModelGroups::new(pool.clone(), [("all", group)]).unwrap();
    groups.chat("all", "hush, hush").unwrap();
    let metrics = Metrics::new().pool("llm", pool).groups("llm", groups);
    assert_eq!(scrape(&metrics).sum("llm_pool_key_gets_total"), 1.0);
    let all = metrics.text() + &metrics.open_metrics() + &format!("{metrics:?}");
    assert!(!all.contains("hush"), "{all}");
}
