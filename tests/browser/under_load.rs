//! What the page shows while something happens to the pools.

use std::thread;
use std::time::Duration;

use llm_pool::test_server::Reply;

use crate::driver::{Browser, LIMIT};
use crate::house::{House, MAX_SIZE, MODEL, TOKEN};

/// The row of the key that the load is on, which is the first there is.
const ROW: &str = "[data-pool=models] tr[data-key]";

fn field(name: &str) -> String {
    format!("{ROW} [data-field={name}]")
}

/// How much of the key's bar a kind of item has, in per cent of the whole.
fn width(browser: &Browser, part: &str) -> f64 {
    let script =
        format!("return parseFloat(document.querySelector('{ROW} .bar .{part}').style.width)");
    browser.run(&script).as_f64().unwrap()
}

fn is_over(least: usize) -> impl Fn(&str) -> bool {
    move |text| text.parse::<usize>().is_ok_and(|count| count > least)
}

#[test]
#[ignore = "needs Chromium and its driver: .ci/browser"]
fn the_bars_of_a_key_change_under_load_and_a_time_out_is_among_the_events() {
    let house = House::new();
    drop(house.groups.pool().get(&House::key()).unwrap());
    let (admin, browser) = (house.serve(), Browser::start());
    browser.open(&admin.url());
    browser.see("#state", |text| text == "live");
    let name = browser.see(&format!("{ROW} th span"), |text| !text.is_empty());
    assert!(name.contains(MODEL), "{name}");
    assert_eq!(
        (browser.see(&field("in_use"), |_| true), width(&browser, "in_use")),
        ("0".into(), 0.0)
    );
    browser.see("#verdict-head", |text| text == "No pool is the bottleneck.");
    browser.see("#no-advice", |text| text == "No limit needs to be raised.");
    browser.see("#events li", |text| text.contains("created"));

    house.under_load(|| {
        browser.see(&field("in_use"), |text| text == MAX_SIZE.to_string());
        browser.see(&field("waiting"), is_over(0));
        // The bar is as long as the items and those who wait for one.
        let (in_use, waiting) = (width(&browser, "in_use"), width(&browser, "waiting"));
        assert!((50.0..100.0).contains(&in_use), "{in_use}");
        assert!((in_use + waiting - 100.0).abs() < 1.0, "{in_use} {waiting}");
        browser.see("#verdict-head", |text| text == "The pool is the bottleneck.");
        browser
            .see("#verdict-why", |text| text.contains(&format!("{MAX_SIZE} of {MAX_SIZE} in use")));

        let short = Duration::from_millis(5);
        let mut timed_out = 0;
        while timed_out < 3 {
            timed_out +=
                usize::from(house.groups.pool().get_timeout(&House::key(), short).is_err());
        }
        let timed_out = "#events [data-kind=\"timed out\"]";
        browser.see(timed_out, |text| text.contains("a wait timed out after "));
        // What is the same but for its figures is one line.
        browser.see(timed_out, |text| text.contains("timed out × "));
        browser.see(&format!("{ROW} th small"), |text| text.contains("timed out"));
        browser.see("#advice li", |text| text.contains("raise max_size of key "));
    });

    browser.see(&field("waiting"), |text| text == "0");
    browser.see(&field("in_use"), |text| text == "0");
    assert_eq!((width(&browser, "in_use"), width(&browser, "waiting")), (0.0, 0.0));
    browser.see("#verdict-head", |text| text == "Nobody waits now.");
    assert_eq!(browser.console(), [""; 0]);
}

#[test]
#[ignore = "needs Chromium and its driver: .ci/browser"]
fn a_limit_over_all_keys_is_the_most_there_is_and_is_named_when_it_is_reached() {
    let house = House::new();
    house.groups.pool().set_max_total(2).unwrap();
    let (admin, browser) = (house.serve(), Browser::start());
    browser.open(&admin.url());
    house.under_load(|| {
        browser
            .see("#verdict-why", |text| text.contains("models has all 2 of its max_total in use"));
        browser.see("#sum-max dd", |text| text.starts_with("2 "));
    });
    assert_eq!(browser.console(), [""; 0]);
}

#[test]
#[ignore = "needs Chromium and its driver: .ci/browser"]
fn an_endpoint_that_rests_says_why_and_is_well_again_after_a_call() {
    let house = House::new();
    let (admin, browser) = (house.serve(), Browser::start());
    browser.open(&admin.url());
    let health = "tr[data-endpoint=paid] [data-field=health]";
    browser.see(health, |text| text == "well");
    // No key was asked for, and so there is no table of them.
    browser.see("[data-pool=models] .none", |text| text == "No key was asked for so far.");
    house.server.plan(Reply::status(429).retry_after(Duration::from_secs(7)));
    assert!(!house.ask_group(Duration::from_secs(1)));
    let seen = browser.see(health, |text| text.starts_with("rests for "));
    assert!(seen.ends_with("rate limited"), "{seen}");
    browser.see("#verdict-why", |text| text.contains("paid of large rests, rate limited"));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| house.ask_group(LIMIT));
        browser.see("#verdict-head", |text| text == "Endpoints are the bottleneck.");
        assert!(waiting.join().unwrap());
    });
    browser.see(health, |text| text == "well");
    browser.see("#verdict-head", |text| text == "No pool is the bottleneck.");
    assert_eq!(browser.console(), [""; 0]);
}

#[test]
#[ignore = "needs Chromium and its driver: .ci/browser"]
fn the_page_says_that_it_cannot_reach_the_server_and_goes_on_when_it_is_back() {
    let house = House::new();
    let (admin, browser) = (house.serve(), Browser::start());
    let at = admin.addr();
    browser.open(&admin.url());
    browser.see("#state", |text| text == "live");
    assert_eq!(browser.text("#banner").as_deref(), Some(""));
    assert_eq!(browser.console(), [""; 0]);
    admin.stop();
    browser.see("#state", |text| text == "cannot reach the server");
    browser
        .see("#banner", |text| text.starts_with("Cannot reach the server; trying again. What is"));
    let _admin = house.serve_at(at);
    drop(house.groups.pool().get(&House::key()).unwrap());
    browser.see("#state", |text| text == "live");
    browser.see(&field("idle"), is_over(0));
    assert_eq!(browser.run("return document.getElementById('banner').hidden"), true);
    // The browser itself says that nobody was there; the page adds nothing to that.
    let told = browser.console();
    assert!(told.iter().all(|text| text.contains("net::ERR_")), "{told:?}");
}

#[test]
#[ignore = "needs Chromium and its driver: .ci/browser"]
fn nothing_is_asked_for_while_the_page_is_hidden() {
    let house = House::new();
    let (admin, browser) = (house.serve(), Browser::start());
    browser.open(&admin.url());
    browser.see("#state", |text| text == "live");
    let hide = |hidden: bool| {
        browser.run(&format!(
            "Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }});
             document.dispatchEvent(new Event('visibilitychange'));"
        ))
    };
    let asked = || {
        let count = "return performance.getEntriesByType('resource').length";
        browser.run(count).as_u64().unwrap()
    };
    hide(true);
    browser.see("#state", |text| text == "paused while hidden");
    let before = asked();
    // Longer than from one asking to the next.
    thread::sleep(Duration::from_millis(2500));
    assert_eq!(asked(), before);
    assert_eq!(browser.text("#state").as_deref(), Some("paused while hidden"));
    hide(false);
    browser.see("#state", |text| text == "live");
    assert!(asked() > before);
}

#[test]
#[ignore = "needs Chromium and its driver: .ci/browser"]
fn an_action_needs_the_token_and_says_what_it_did() {
    let house = House::new();
    let (admin, browser) = (house.serve(), Browser::start());
    browser.open(&admin.url());
    browser.see("#state", |text| text == "live");
    browser.click("#do summary");
    browser.click("[data-post='v1/pool/cleanup']");
    browser.see("#done", |text| text.contains("Authorization: Bearer"));
    browser.type_in("#token", TOKEN);
    browser.click("[data-post='v1/pool/cleanup']");
    browser.see("#done", |text| text.contains("evicted"));
    // Kept by the tab, and by nothing that outlives it.
    browser.click("#use-token");
    browser.open(&admin.url());
    assert_eq!(browser.run("return document.getElementById('token').value"), TOKEN);
    assert_eq!(browser.run("return localStorage.length + document.cookie.length"), 0);
}
