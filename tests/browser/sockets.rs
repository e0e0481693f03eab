//! Registries of WebSockets on the page.

use llm_pool::websocket::CloseReason;

use crate::driver::Browser;
use crate::house::{House, MAX_SOCKETS, TOKEN};

const ROW: &str = "tr[data-sockets=talks]";
const IDS: &str = "details[data-sockets=talks]";

fn field(name: &str) -> String {
    format!("{ROW} [data-field={name}]")
}

/// Whether an element is there to be seen.
fn is_shown(browser: &Browser, selector: &str) -> bool {
    let script = format!("return document.querySelector('{selector}').checkVisibility()");
    browser.run(&script).as_bool().unwrap()
}

#[test]
#[ignore = "needs Chromium and its driver: .ci/browser"]
fn the_section_of_sockets_is_there_with_a_registry_only() {
    let house = House::new();
    let (bare, with_sockets) = (house.serve(), house.serve_with_sockets());
    let browser = Browser::start();
    for (admin, there) in [(&bare, false), (&with_sockets, true)] {
        browser.open(&admin.url());
        browser.see("#state", |text| text == "live");
        browser.click("#do summary");
        for selector in ["#sockets-section", "#socket-form", "#sockets-json"] {
            assert_eq!(is_shown(&browser, selector), there, "{selector}");
        }
    }
    assert_eq!(browser.console(), [""; 0]);
}

#[test]
#[ignore = "needs Chromium and its driver: .ci/browser"]
fn the_row_of_a_registry_follows_its_sockets() {
    let house = House::new();
    house.talk("a");
    house.talk("b");
    let (admin, browser) = (house.serve_with_sockets(), Browser::start());
    browser.open(&admin.url());
    browser.see(&field("total_connections"), |text| text == "2");
    browser.see(&field("max_connections"), |text| text == MAX_SOCKETS.to_string());
    browser.see(&format!("{ROW} th small"), |text| text == "2 opened, 0 closed");
    browser.see("#events [data-kind=opened]", |text| text.contains("the socket b is open"));

    let mut lease = house.sockets.get("a").unwrap();
    lease.send("x".repeat(1500)).unwrap();
    let waiting = std::thread::spawn({
        let sockets = house.sockets.clone();
        move || sockets.get("a").map(drop)
    });
    browser.see(&field("in_use"), |text| text == "1");
    browser.see(&field("waiting"), |text| text == "1");
    browser.see(&field("sent"), |text| text.contains('1') && text.contains("1.5 kB"));
    browser.see("#verdict-head", |text| text == "Callers wait for WebSockets.");
    browser.see("#verdict-why", |text| text == "talks: 1 waiting.");
    drop(lease);
    waiting.join().unwrap().unwrap();
    browser.see(&field("in_use"), |text| text == "0");
    browser.see("#verdict-head", |text| text == "No pool is the bottleneck.");

    house.talk_and_hang_up("c");
    browser.see(&format!("{ROW} th small"), |text| text == "lost: 1");
    browser.see("#events [data-kind=lost]", |text| text.contains("the socket c is gone: lost"));
    house.sockets.close();
    browser.see("#verdict-head", |text| text == "WebSockets are closed.");
    assert_eq!(browser.console(), [""; 0]);
}

#[test]
#[ignore = "needs Chromium and its driver: .ci/browser"]
fn sockets_are_pinged_and_one_is_chosen_and_closed_with_the_token() {
    let house = House::new();
    // The last would be an element, were it not taken for text.
    for id in ["a", "<b>b</b>"] {
        house.talk(id);
    }
    let (admin, browser) = (house.serve_with_sockets(), Browser::start());
    browser.open(&admin.url());
    browser.see(&field("total_connections"), |text| text == "2");
    browser.click("#do summary");
    browser.click("#check-sockets");
    browser.see("#done", |text| text.contains("Authorization: Bearer"));
    browser.type_in("#token", TOKEN);
    browser.click("#check-sockets");
    browser.see("#done", |text| text == "2 sockets were pinged: 2 answered, 0 ended");
    browser.see(&field("p50"), |text| text.contains("ms") || text.contains(" s"));

    browser.click(&format!("{IDS} summary"));
    browser.see(&format!("{IDS} ul"), |text| text.contains("<b>b</b>") && text.contains('a'));
    browser.click(&format!("{IDS} li:first-child button"));
    assert_eq!(browser.run("return document.getElementById('socket-id').value"), "<b>b</b>");
    browser.click("#close-socket");
    browser.see("#done", |text| text.starts_with("the socket <b>b</b> of talks is closed"));
    browser.see(&field("total_connections"), |text| text == "1");
    browser.see("#events [data-kind=closed]", |text| text.contains("was closed: removed"));
    assert_eq!(house.sockets.stats().closed(CloseReason::Removed), 1);
    assert!(house.sockets.contains("a"));
}

#[test]
#[ignore = "needs Chromium and its driver: .ci/browser"]
fn of_many_ids_a_page_is_shown_from_where_one_likes() {
    let house = House::new();
    (0..110).for_each(|n| house.talk(&format!("s{n:03}")));
    let (admin, browser) = (house.serve_with_sockets(), Browser::start());
    browser.open(&admin.url());
    browser.see(&field("total_connections"), |text| text == "110");
    let asked = "return performance.getEntriesByType('resource').filter(it => it.name.includes('v1/sockets')).length";
    assert_eq!(browser.run(asked), 0, "nobody looks at ids");
    browser.click(&format!("{IDS} summary"));
    browser.see(&format!("{IDS} .none"), |text| text == "More from s100 on.");
    let shown = format!("return document.querySelectorAll('{IDS} li').length");
    assert_eq!(browser.run(&shown), 100);
    browser.type_in(&format!("{IDS} input"), "s105");
    browser.see(&format!("{IDS} ul"), |text| text.starts_with("s105") && !text.contains("s104"));
    assert_eq!(browser.run(&shown), 5);
    assert_eq!(browser.console(), [""; 0]);
}
