//! Who is served, with which model, how often, and the number each answer has.

use super::*;

fn get(server: &TestServer, path: &str) -> (u16, Value) {
    let mut answer = agent().get(format!("{}{path}", server.url())).call().unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    (answer.status().as_u16(), serde_json::from_str(&text).unwrap())
}

#[test]
fn the_models_named_are_listed_and_served_and_no_others() {
    let server = TestServer::builder().models(["m", "org/big:v 2"]).start().unwrap();
    let (_, list) = get(&server, "/v1/models");
    let names: Vec<_> = list["data"].as_array().unwrap().iter().map(|it| &it["id"]).collect();
    assert_eq!(names, ["m", "org/big:v 2"]);
    for path in ["/v1/models/m", "/v1/models/org%2Fbig%3Av%202", "/v1/models/org/big:v%202?x=y"] {
        let (status, model) = get(&server, path);
        assert_eq!((status, &model["object"]), (200, &json!("model")), "{path}");
        assert!(names.contains(&&model["id"]));
    }
    answered(&server, &ask_with("hi", json!({})));
    let chat = ask_with("hi", json!({"model": "other"}));
    for (status, answer) in [
        get(&server, "/v1/models/other"),
        get(&server, "/v1/models/%zz%"),
        post(&server, "/v1/chat/completions", &chat),
        post(&server, "/v1/embeddings", &json!({"model": "other", "input": "x"})),
    ] {
        assert_eq!((status, &answer["error"]["code"]), (404, &json!("model_not_found")));
        assert_eq!(answer["error"]["type"], "invalid_request_error");
    }
    assert_eq!(get(&server, "/v1/modelsandmore").0, 404);
    assert_eq!(post(&server, "/v1/models/m", &json!({})).0, 405);
}

#[test]
fn unless_models_are_named_any_is_served_and_one_is_known() {
    let server = TestServer::start().unwrap();
    answered(&server, &ask_with("hi", json!({"model": "whatever"})));
    assert_eq!(get(&server, "/v1/models/test-model").1["id"], "test-model");
    assert_eq!(get(&server, "/v1/models/whatever").0, 404);
}

#[test]
fn who_has_not_the_key_is_refused_and_no_key_is_told() {
    let server = TestServer::builder().api_key("sk-right").start().unwrap();
    let ask_as = |authorization: Option<&str>| {
        let mut request = agent().get(format!("{}/v1/models", server.url()));
        if let Some(value) = authorization {
            request = request.header("Authorization", value);
        }
        let mut answer = request.call().unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    };
    assert_eq!(ask_as(Some("Bearer sk-right")).0, 200);
    assert_eq!(ask_as(Some("bearer sk-right")).0, 200);
    for (value, code) in [
        (None, json!(null)),
        (Some("Basic sk-right"), json!(null)),
        (Some("Bearer sk-wrong"), json!("invalid_api_key")),
        (Some("Bearer sk-right-and-more"), json!("invalid_api_key")),
        (Some("Bearer "), json!(null)),
    ] {
        let (status, text) = ask_as(value);
        let answer: Value = serde_json::from_str(&text).unwrap();
        let error = &answer["error"];
        assert_eq!((status, &error["code"]), (401, &code), "{value:?} {text}");
        assert_eq!(error["type"], "invalid_request_error");
        assert!(!text.contains("sk-"), "{text}");
    }
    server.plan(Reply::ok().body("{\"access_token\": \"t\"}").at("/oauth/token"));
    assert_eq!(get(&server, "/oauth/token").1["access_token"], "t");
    let shown = format!("{:?}", TestServer::builder().api_key("sk-right"));
    assert!(!shown.contains("sk-right"), "{shown}");
}

/// A chat's status, and its headers about limits by the end of their names.
fn limits(server: &TestServer, text: &str) -> (u16, impl Fn(&str) -> Option<String> + use<>) {
    let answer = agent().post(server.chat_url()).send(ask(text)).unwrap();
    let headers = answer.headers().clone();
    let told = move |name: &str| {
        let value = headers.get(name).or_else(|| headers.get(format!("x-ratelimit-{name}")));
        value.map(|it| it.to_str().unwrap().to_owned())
    };
    (answer.status().as_u16(), told)
}

#[test]
fn what_is_left_of_the_limits_is_told_until_nothing_is() {
    let server = TestServer::builder().rate_limit(3, 100).start().unwrap();
    // Each chat has a word in and three out.
    for (requests, tokens) in [("2", "96"), ("1", "92"), ("0", "88")] {
        let (status, told) = limits(&server, "hi");
        assert_eq!(status, 200);
        assert_eq!(told("limit-requests").as_deref(), Some("3"));
        assert_eq!(told("limit-tokens").as_deref(), Some("100"));
        assert_eq!(told("remaining-requests").as_deref(), Some(requests));
        assert_eq!(told("remaining-tokens").as_deref(), Some(tokens));
        for name in ["reset-requests", "reset-tokens"] {
            let reset = told(name).unwrap();
            assert!(reset == "1m0s" || reset.ends_with('s') && reset.starts_with('5'), "{reset}");
        }
        assert_eq!(told("retry-after"), None);
    }
    let (status, told) = limits(&server, "hi");
    assert_eq!((status, told("remaining-requests").as_deref()), (429, Some("0")));
    let after: u64 = told("retry-after").unwrap().parse().unwrap();
    assert!((50..=60).contains(&after), "{after}");
    let (_, answer) = chat(&agent(), &server).unwrap();
    assert_eq!(answer["error"]["code"], "rate_limit_exceeded");
    assert_eq!(answer["error"]["type"], "requests");

    assert_eq!(get(&server, "/v1/models").0, 200, "only chats and embeddings are limited");
    server.plan(Reply::ok().body("{}"));
    assert_eq!(chat(&agent(), &server).unwrap().0, 200, "a body of its own is sent all the same");
    let (status, answer) = post(&server, "/v1/embeddings", &json!({"model": "e", "input": "x"}));
    assert_eq!((status, &answer["error"]["code"]), (429, &json!("rate_limit_exceeded")));
}

#[test]
fn tokens_run_out_by_themselves_and_refusals_cost_nothing() {
    let server = TestServer::builder().rate_limit(10, 10).start().unwrap();
    assert_eq!(limits(&server, "a b c").0, 200);
    let (status, told) = limits(&server, "a b");
    assert_eq!(status, 429);
    assert_eq!(told("remaining-requests").as_deref(), Some("9"));
    assert_eq!(told("remaining-tokens").as_deref(), Some("2"));
    let (_, answer) = chat(&agent(), &server).unwrap();
    assert_eq!(answer["error"]["type"], "tokens");
    refused(&server, &ask_with("hi", json!({"n": 5})));
    let (status, _) = post(&server, "/v1/embeddings", &json!({"model": "e", "input": "x y"}));
    assert_eq!(status, 200, "two tokens are left");
}

#[test]
fn a_new_window_has_all_of_the_limits_again() {
    let window = Duration::from_millis(900);
    let server = TestServer::builder().rate_limit(1, 100).rate_window(window).start().unwrap();
    let start = Instant::now();
    assert_eq!(limits(&server, "hi").0, 200);
    let (status, told) = limits(&server, "hi");
    assert_eq!((status, told("retry-after").as_deref()), (429, Some("1")));
    let reset = told("reset-requests").unwrap();
    let reset: u64 = reset.strip_suffix("ms").unwrap().parse().unwrap();
    assert!(reset <= 900, "{reset}");
    assert_eq!(told("retry-after-ms"), Some(reset.to_string()));
    thread::sleep(Duration::from_millis(reset));
    assert_eq!(limits(&server, "hi").0, 200);
    assert!(start.elapsed() >= window);
}

#[test]
fn every_answer_has_a_request_id_unless_its_reply_brings_one() {
    let server = TestServer::start().unwrap();
    server.plan(Reply::ok());
    server.plan(Reply::status(500));
    server.plan(Reply::ok().pieces(["x"]));
    server.plan(Reply::ok().header("X-Request-Id", "req_recorded"));
    for id in ["req-1", "req-2", "req-3", "req_recorded", "req-5"] {
        let answer = agent().get(server.url()).call().unwrap();
        let ids: Vec<_> = answer.headers().get_all("x-request-id").iter().collect();
        assert_eq!(ids, [id]);
    }
    let answer = agent().post(server.chat_url()).send(ask("hi")).unwrap();
    assert_eq!(answer.headers().keys().filter(|it| it.as_str().contains("ratelimit")).count(), 0);
}
