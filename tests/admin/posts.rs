//! What the POSTs do, and what they came to.

use serde_json::json;

use crate::house::*;
use crate::support::*;

#[test]
fn a_clean_up_says_how_many_it_evicted() {
    let (script, time) = (Script::new(), llm_pool::ManualClock::new());
    let maker = script.clone();
    let config = llm_pool::keyed::KeyedConfig::default().pool(manual("adapters", 4, &time));
    let setup = move |_: &_| Ok(llm_pool::keyed::Setup::new(maker.maker()));
    let pool = Adapters::new(config, setup).unwrap();
    drop([pool.get(&gpt()).unwrap(), pool.get(&gpt()).unwrap()]);
    time.advance(secs(3600));
    let told = data(&post(&admin(&pool), "/v1/pool/cleanup", ""));
    assert_eq!(told, json!({ "evicted": 2, "pools": { "adapters": 2 } }));
    assert_eq!(script.live(), 0);
}

#[test]
fn a_health_check_says_how_it_went() {
    let script = Script::new();
    let pool = adapters(&script, 4);
    drop([pool.get(&gpt()).unwrap(), pool.get(&gpt()).unwrap()]);
    script.on_check.set(fail("not well"));
    let admin = admin(&pool);
    let told = data(&post(&admin, "/v1/pool/health-check", "{}"));
    let done = json!({
        "asked": 2, "checked": 2, "failed": 2, "timed_out": 0, "under_way": false, "unhealthy": 2,
    });
    assert_eq!((told, script.on_check.calls()), (done, 2));
    let details = data(&get(&admin, "/v1/pool/details"));
    let error = &details["pools"][0]["keys"][0]["last_check_error"];
    assert!(error.as_str().unwrap().contains("not well"), "{error}");
}

#[test]
fn a_resize_says_what_changed() {
    let pool = adapters(&Script::new(), 4);
    let other = llm_pool::keyed::AdapterKey::new("small", "own");
    drop([pool.get(&gpt()).unwrap(), pool.get(&other).unwrap()]);
    let admin = admin(&pool);
    let body = r#"{"pool": "adapters", "key": "small:own", "max_size": 9}"#;
    let told = data(&post(&admin, "/v1/pool/resize", body));
    let changed = json!({ "pool": "adapters", "key": "small:own", "from": 4, "to": 9 });
    assert_eq!(told, json!({ "changed": [changed] }));
    assert_eq!(pool.pool(&gpt()).unwrap().stats().max_size, 4);
    assert_eq!(pool.pool(&other).unwrap().stats().max_size, 9);
    let told = data(&post(&admin, "/v1/pool/resize", r#"{"max_size": 2}"#));
    assert_eq!(told["changed"].as_array().unwrap().len(), 2);
    assert_eq!(pool.stats().sum.max_size, 4);
    drop(pool.get(&llm_pool::keyed::AdapterKey::new("new", "own")).unwrap());
    assert_eq!(pool.stats().sum.max_size, 6, "and so have keys to come");
}

#[test]
fn a_resize_that_is_wrong_changes_nothing() {
    let pool = adapters(&Script::new(), 4);
    drop(pool.get(&gpt()).unwrap());
    let admin = admin(&pool);
    for (status, body) in [
        (400, ""),
        (400, "{"),
        (400, "[]"),
        (400, "{}"),
        (400, r#"{"max_size": 0}"#),
        (400, r#"{"max_size": -1}"#),
        (400, r#"{"max_size": 2.5}"#),
        (400, r#"{"max_size": "9"}"#),
        (400, r#"{"max_size": 99999999999999999999999}"#),
        (400, r#"{"max_size": 9, "min_size": 3}"#),
        (400, r#"{"max_size": 9} {}"#),
        (404, r#"{"max_size": 9, "pool": "others"}"#),
        (404, r#"{"max_size": 9, "key": "gpt-4o"}"#),
    ] {
        refused(&post(&admin, "/v1/pool/resize", body), status);
        assert_eq!(pool.stats().sum.max_size, 4, "{body}");
    }
}
