//! Whether the page can be read: in light and dark, at a desk, on a tablet and on a phone.

use std::time::Duration;

use llm_pool::test_server::Reply;
use serde_json::Value;

use crate::driver::Browser;
use crate::house::House;

/// The least contrast of text and what is behind it: WCAG 2.2, success criterion 1.4.3.
const LEAST_CONTRAST: f64 = 4.5;

/// In CSS pixels.
const SMALLEST_TEXT: f64 = 11.0;

/// All text that is shown: what it is, its contrast by WCAG's formula
/// (<https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio>), its size, and how far it sticks out of
/// its box or of the page.
const TEXTS: &str = r"
const channels = color => color.match(/[\d.]+/g).map(Number);
const over = ([r, g, b, a = 1], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a)];
const luminance = color => color.slice(0, 3).map(it => it / 255)
  .map(it => it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4)
  .reduce((sum, it, at) => sum + it * [0.2126, 0.7152, 0.0722][at], 0);
const behind = node => node ? over(channels(getComputedStyle(node).backgroundColor), behind(node.parentElement)) : [255, 255, 255];
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
for (let node; node = texts.nextNode();) {
  const parent = node.parentElement, range = document.createRange();
  range.selectNodeContents(node);
  const box = range.getBoundingClientRect();
  if (!node.data.trim() || !box.width || parent.closest('.sr, script, style') || !parent.checkVisibility()) continue;
  const style = getComputedStyle(parent), back = behind(parent);
  const [high, low] = [luminance(over(channels(style.color), back)), luminance(back)].sort((a, b) => b - a);
  const around = (parent.closest('td, th, dt, dd, li, p, summary, button, label, header') ?? document.body).getBoundingClientRect();
  found.push({ text: node.data.trim(), contrast: (high + 0.05) / (low + 0.05), size: parseFloat(style.fontSize), out: box.right - Math.min(around.right, document.documentElement.clientWidth) });
}
return found;";

#[test]
#[ignore = "needs Chromium and its driver: .ci/browser"]
fn all_text_can_be_read_in_light_and_dark_at_a_desk_and_on_a_phone() {
    let house = House::new();
    (0..110).for_each(|n| house.talk(&format!("visitor-{n:03}")));
    house.talk(&"long".repeat(60));
    house.talk_and_hang_up("lost");
    let (admin, browser) = (house.serve_with_sockets(), Browser::start());
    browser.open(&admin.url());
    let long = Duration::from_secs(60);
    house.server.plan(Reply::status(429).retry_after(long));
    assert!(!house.ask_group(Duration::from_secs(1)));
    house.under_load(|| {
        let short = Duration::from_millis(5);
        while house.groups.pool().get_timeout(&House::key(), short).is_ok() {}
        browser.see("#events", |text| text.contains("timed out"));
        browser.see("#verdict-head", |text| text == "The pool is the bottleneck.");
        browser.see("tr[data-endpoint=paid]", |text| text.contains("rests for"));
        browser.see("tr[data-sockets=talks]", |text| text.contains("lost: 1"));
        browser.click("#do summary");
        browser.click("details[data-sockets=talks] summary");
        browser.see("details[data-sockets=talks] .none", |text| text.starts_with("More from "));
        let backs = ["light", "dark"].map(|scheme| {
            for width in [1280, 820, 390] {
                browser.look(scheme, width);
                check(&browser, &format!("{scheme}-{width}"));
            }
            browser.run("return getComputedStyle(document.body).backgroundColor")
        });
        assert_ne!(backs[0], backs[1]);
    });
    assert_eq!(browser.console(), [""; 0]);
}

#[track_caller]
fn check(browser: &Browser, at: &str) {
    let texts = browser.run(TEXTS);
    let texts = texts.as_array().unwrap();
    assert!(texts.len() > 40, "{at}: only {} texts are shown", texts.len());
    let number = |text: &Value, name: &str| text[name].as_f64().unwrap();
    for text in texts {
        assert!(number(text, "contrast") >= LEAST_CONTRAST, "{at}: {text}");
        assert!(number(text, "size") >= SMALLEST_TEXT, "{at}: {text}");
        assert!(number(text, "out") <= 1.0, "{at}: {text}");
    }
    let overflow = browser.run(
        "const page = document.documentElement;
         return [page, ...document.querySelectorAll('.scroll')]
           .map(it => it.scrollWidth - it.clientWidth);",
    );
    assert!(
        overflow.as_array().unwrap().iter().all(|it| it.as_i64() <= Some(0)),
        "{at}: {overflow}"
    );
}
