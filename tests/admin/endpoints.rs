//! What the GETs tell.

use llm_pool::EventLog;
use llm_pool::admin::{Admin, AdminConfig};
use llm_pool::balance::{BalanceConfig, Balancer, Call, Cause, Endpoint};
use llm_pool::keyed::{KeyedConfig, ModelKey, Setup};
use llm_pool::llm::{LlmConfig, Provider};
use llm_pool::test_server::TestServer;
use serde_json::json;

use crate::house::*;
use crate::support::*;

#[test]
fn stats_tell_the_counts_of_each_key_by_model_and_provider() {
    let (script, time) = (Script::new(), llm_pool::ManualClock::new());
    let config = manual("adapters", 4, &time).min_idle(1);
    let config = KeyedConfig::default().pool(config);
    let maker = script.clone();
    let pool = Adapters::new(config, move |_| Ok(Setup::new(maker.maker())));
    let pool = pool.unwrap();
    let leases: Vec<_> = (0..3).map(|_| pool.get(&gpt()).unwrap()).collect();
    eventually(|| pool.stats().sum.creating == 0);
    drop(leases);
    let lease = pool.get(&gpt()).unwrap();
    let total = pool.stats().sum.size();
    let told = data(&get(&admin(&pool), "/v1/pool/stats"));
    let counts = json!({
        "total": total, "available": total - 1, "in_use": 1, "unhealthy": 0, "expired": 0,
        "max_pool_size": 4, "min_pool_size": 1,
    });
    assert_eq!(told, json!({ "total_pools": 1, "pools": { "gpt-4o:openai": counts } }));
    drop(lease);
    time.advance(secs(3600));
    eventually(|| {
        pool.clean_up();
        let told = data(&get(&admin(&pool), "/v1/pool/stats"));
        told["pools"]["gpt-4o:openai"]["expired"] == total
    });
}

#[test]
fn a_model_key_has_its_model_first_and_names_of_pools_tell_equal_keys_apart() {
    let server = TestServer::start().unwrap();
    let provider = Provider::new(format!("{}/v1", server.url()));
    let models = LlmConfig::default().provider("openai", provider).build().unwrap();
    drop(models.get(&ModelKey::new("openai", "gpt-4o").temperature(0.5)).unwrap());
    let admin = Admin::new(AdminConfig::default()).unwrap().pool("one", models.clone());
    let told = data(&get(&admin, "/v1/pool/stats"));
    assert!(told["pools"]["gpt-4o:openai:temperature=0.5"].is_object(), "{told}");
    let admin = admin.pool("two", models);
    let told = data(&get(&admin, "/v1/pool/stats"));
    assert_eq!(told["total_pools"], 2);
    assert!(told["pools"]["two/gpt-4o:openai:temperature=0.5"].is_object(), "{told}");
}

#[test]
fn status_tells_sums_and_rates_in_per_cent() {
    let script = Script::new();
    let pool = adapters(&script, 4);
    let admin = admin(&pool);
    let told = data(&get(&admin, "/v1/pool/status"));
    let none = json!({
        "total_pools": 0, "total_adapters": 0, "available_adapters": 0, "in_use_adapters": 0,
        "unhealthy_adapters": 0, "utilization_rate": 0.0, "health_rate": 100.0,
    });
    assert_eq!(told, none);
    let mut leases: Vec<_> = (0..3).map(|_| pool.get(&gpt()).unwrap()).collect();
    leases.truncate(1);
    let told = data(&get(&admin, "/v1/pool/status"));
    let sums = json!({
        "total_pools": 1, "total_adapters": 3, "available_adapters": 2, "in_use_adapters": 1,
        "unhealthy_adapters": 0, "utilization_rate": 33.33, "health_rate": 100.0,
    });
    assert_eq!(told, sums);
    script.on_check.set(fail("no"));
    pool.check_all();
    eventually(|| pool.stats().sum.unhealthy == 2);
    let told = data(&get(&admin, "/v1/pool/status"));
    assert_eq!((&told["unhealthy_adapters"], &told["health_rate"]), (&json!(2), &json!(33.33)));
}

#[test]
fn advice_says_which_limit_to_raise() {
    let pool = adapters(&Script::new(), 1);
    let admin = admin(&pool);
    assert_eq!(data(&get(&admin, "/v1/pool/advice")), json!({ "advice": [] }));
    let lease = pool.get(&gpt()).unwrap();
    assert!(pool.get_timeout(&gpt(), millis(1)).is_err());
    drop(lease);
    let advice = data(&get(&admin, "/v1/pool/advice"))["advice"].take();
    let first = &advice[0];
    assert_eq!((&first["limit"], &first["of"]), (&json!("max_size"), &json!("gpt-4o:openai")));
    assert_eq!((&first["pool"], &first["timeouts"]), (&json!("adapters"), &json!(1)));
    assert!(first["text"].as_str().unwrap().starts_with("raise max_size of key"), "{advice}");
}

#[test]
fn the_settings_in_force_are_told_without_the_token() {
    let pool = adapters(&Script::new(), 3);
    drop(pool.get(&gpt()).unwrap());
    pool.set_max_total(7).unwrap();
    let answer = get(&admin(&pool), "/v1/pool/config");
    assert!(!String::from_utf8_lossy(answer.body()).contains(TOKEN));
    let told = data(&answer);
    let shown = &told["pools"]["adapters"];
    assert_eq!((&shown["max_total"], &shown["pool"]["max_size"]), (&json!(7), &json!(3)));
    assert_eq!(shown["pool"]["idle_timeout"], 300.0);
    assert_eq!(shown["keys"]["gpt-4o:openai"]["max_size"], 3);
    assert_eq!(told["admin"]["token"], "[redacted]");
    assert!(!format!("{:?}", admin(&pool)).contains(TOKEN));
}

#[test]
fn details_tell_of_keys_their_history_endpoints_and_advice() {
    let pool = adapters(&Script::new(), 2);
    let _leases = [pool.get(&gpt()).unwrap(), pool.get(&gpt()).unwrap()];
    assert!(pool.get_timeout(&gpt(), millis(1)).is_err());
    let endpoints = [Endpoint::new("own", ()), Endpoint::new("paid", ())];
    let balancer = Balancer::new(BalanceConfig::default().name("all"), endpoints).unwrap();
    balancer.pick(Call::new().tried(&[1])).unwrap().failure(Cause::Server);
    let admin = admin(&pool).balancer(balancer);
    let told = data(&get(&admin, "/v1/pool/details"));
    let key = &told["pools"][0]["keys"][0];
    assert_eq!((&key["key"], &key["in_use"]), (&json!("gpt-4o:openai"), &json!(2)));
    assert!(key["timeouts"] == 1 && key["wait_ms"]["p50"].is_number(), "{key}");
    assert_eq!(key["history"]["in_use"], json!([2]), "it has a sample of now");
    assert_eq!(told["history"]["times"].as_array().unwrap().len(), 1);
    let own = &told["groups"][0]["endpoints"][0];
    assert_eq!((&own["name"], &own["failures"]), (&json!("own"), &json!(1)));
    assert_eq!(told["groups"][0]["endpoints"][1]["health"], "well");
    assert_eq!(told["advice"].as_array().unwrap().len(), 1);
    assert!(told["events"].is_null(), "there is no log");

    let next = told["history"]["next"].as_u64().unwrap();
    let told = data(&get(&admin, &format!("/v1/pool/details?since={next}")));
    assert_eq!(told["history"]["times"], json!([]), "nothing is new");
    let told = data(&get(&admin, "/v1/pool/details?since=77"));
    assert_eq!(told["history"]["times"].as_array().unwrap().len(), 1, "of before a restart");
    refused(&get(&admin, "/v1/pool/details?since=now"), 400);
}

#[test]
fn details_have_the_last_events_with_reasons_the_newest_first() {
    let (script, log) = (Script::new(), EventLog::default());
    let config = KeyedConfig::default().pool(config("adapters", 2).observer(log.clone()));
    let maker = script.clone();
    let pool = Adapters::new(config, move |_| Ok(Setup::new(maker.maker()))).unwrap();
    script.on_create.set(fail("no \u{202e}socket\nleft"));
    assert!(pool.get_timeout(&gpt(), millis(500)).is_err());
    pool.close();
    let admin = admin(&pool).events(log);
    let events = data(&get(&admin, "/v1/pool/details"))["events"].take();
    assert_eq!((&events[0]["kind"], &events[0]["bad"]), (&json!("closed"), &json!(false)));
    let all = events.as_array().unwrap();
    let failed = all.iter().find(|it| it["kind"] == "create failed").unwrap();
    assert_eq!((&failed["pool"], &failed["bad"]), (&json!("adapters gpt-4o:openai"), &json!(true)));
    let text = failed["text"].as_str().unwrap();
    assert!(text.contains("no \\u{202e}socket") && !text.contains('\n'), "{text}");
    let at = failed["at"].as_str().unwrap();
    assert!(at.parse::<jiff::Timestamp>().is_ok() && at.ends_with('Z'), "{at}");
}

#[test]
fn it_is_well_until_a_pool_is_closed() {
    let pool = adapters(&Script::new(), 1);
    let admin = admin(&pool);
    assert_eq!(data(&get(&admin, "/healthz"))["pools"], 1);
    pool.close();
    let answer = get(&admin, "/healthz");
    assert_eq!((answer.status().as_u16(), &json(&answer)["success"]), (503, &json!(false)));
}

#[test]
fn metrics_are_those_of_the_hook() {
    let pool = adapters(&Script::new(), 1);
    refused(&get(&admin(&pool), "/metrics"), 404);
    let admin = admin(&pool).metrics(|| "llm_pool_up 1\n".into());
    let answer = get(&admin, "/metrics");
    assert_eq!((answer.status().as_u16(), &answer.body()[..]), (200, &b"llm_pool_up 1\n"[..]));
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version="));
    let admin = admin.metrics(|| panic!("no metrics today"));
    assert!(!refused(&get(&admin, "/metrics"), 500).contains("today"));
}

#[test]
fn the_page_is_whole_and_runs_nothing_but_its_own() {
    let admin = admin(&adapters(&Script::new(), 1));
    let nonces = [(); 2].map(|()| {
        let answer = get(&admin, "/");
        let page = String::from_utf8(answer.body().clone()).unwrap();
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
        assert_eq!(nonce.len(), 32);
        let marked = format!("nonce=\"{nonce}\"");
        for tag in ["<script", "<style"] {
            let tags = page.matches(tag).count();
            assert_eq!((tags, page.matches(&format!("{tag} {marked}")).count()), (1, 1), "{tag}");
        }
        assert!(!page.contains("{{"));
        for outside in ["http:", "https:", "src=", "@import", "innerHTML", "style=\"", "onclick="] {
            let found = page.replace("http://www.w3.org/2000/svg", "");
            assert!(!found.contains(outside), "{outside}");
        }
        let headers = answer.headers();
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(
            (&headers["cache-control"], &headers["referrer-policy"]),
            (&"no-store".parse().unwrap(), &"no-referrer".parse().unwrap())
        );
        nonce.to_owned()
    });
    assert_ne!(nonces[0], nonces[1]);
}
