//! What Prometheus is given: exact texts of pools whose clock is moved, labels, and totals that do not
//! fall.

#[path = "../support/endpoints.rs"]
mod endpoints;
mod groups;
mod keys;
mod parse;
mod sockets;
#[path = "../support/mod.rs"]
mod support;

use std::convert::Infallible;

use llm_pool::metrics::{CONTENT_TYPE, Metrics, OPEN_METRICS_TYPE};
use llm_pool::{Histogram, Lease, Manage, ManualClock, Pool, RequestStats};
use parse::{read, scrape};
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use support::*;

/// Its items take three seconds to make, and it has made requests.
struct Slow(ManualClock);

impl Manage for Slow {
    type Item = ();
    type Error = Infallible;

    fn create(&self) -> Result<(), Infallible> {
        self.0.advance(secs(3));
        Ok(())
    }

    fn requests(&self) -> RequestStats {
        let mut response = Histogram::new();
        [millis(5), millis(6), secs(5), secs(6), secs(700)]
            .into_iter()
            .for_each(|it| response.add(it));
        RequestStats::default()
            .requests(5)
            .failures(2)
            .connections(1)
            .response_time(response.sum())
            .response(response)
            .by_class([0, 3, 0, 0, 1])
            .unanswered(1)
            .retries(4)
            .tokens_in(100)
            .tokens_out(7)
    }
}

/// After a get at once, a wait of a minute, a discard and a time-out.
fn pool(name: &str) -> Pool<Slow> {
    let time = ManualClock::new();
    let pool = Pool::new(manual(name, 1, &time), Slow(time.clone())).expect("the pool starts");
    let wait = |timeout| {
        let task = spawn({
            let pool = pool.clone();
            move || pool.get_timeout(timeout)
        });
        eventually(|| pool.stats().waiting == 1);
        task
    };
    let first = pool.try_get().expect("it is made here");
    let second = wait(secs(100));
    time.advance(secs(60));
    drop(first);
    let second = second.result().expect("it was put back");
    let third = wait(secs(1));
    time.advance(secs(2));
    assert!(third.result().is_err());
    Lease::discard(second);
    drop(pool.try_get().expect("it is made anew"));
    pool
}

#[test]
fn the_text_of_a_pool_is_as_it_is_documented() {
    let metrics = Metrics::new().plain("small", pool("text"));
    let text = metrics.text();
    read(&text, false);
    assert_eq!(text, include_str!("pool.txt"), "\n{text}");
    assert_eq!(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
}

#[test]
fn open_metrics_has_the_same_samples_and_its_own_names_of_families() {
    let metrics = Metrics::new().plain("small", pool("open"));
    let (plain, open) = (metrics.text(), metrics.open_metrics());
    let samples = |text: &str| {
        text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().concat()
    };
    assert_eq!(samples(&plain), samples(&open));
    let families = read(&open, true).families;
    let is = |name: &str| families.get(name).map(|(kind, unit)| (kind.as_str(), unit.as_deref()));
    assert_eq!(is("llm_pool_gets"), Some(("counter", None)));
    assert_eq!(is("llm_pool_items"), Some(("gauge", None)));
    for times in ["wait", "use", "create", "response"] {
        let name = format!("llm_pool_{times}_seconds");
        assert_eq!(is(&name), Some(("histogram", Some("seconds"))));
    }
    assert_eq!(families.len(), read(&plain, false).families.len());
    assert!(OPEN_METRICS_TYPE.starts_with("application/openmetrics-text; version=1.0.0;"));
}

#[test]
fn it_joins_the_metrics_of_a_registry() {
    let mut registry = Registry::with_prefix("app");
    registry.register_collector(Box::new(Metrics::new().plain("one", pool("registry"))));
    let mut all = String::new();
    text::encode(&mut all, &registry).expect("a string takes everything");
    let read = read(&all, true);
    assert_eq!(read.value("app_llm_pool_gets_total{pool=\"one\"}"), 3.0);
}

#[test]
fn pools_of_one_name_are_counted_together() {
    let metrics = Metrics::new().plain("both", pool("same 1")).plain("both", pool("same 2"));
    let read = scrape(&metrics);
    assert_eq!(read.value("llm_pool_gets_total{pool=\"both\"}"), 6.0);
    assert_eq!(read.value("llm_pool_wait_seconds_sum{pool=\"both\"}"), 120.0);
    assert_eq!(read.series("llm_pool_gets_total"), 1);
}

#[test]
fn without_a_pool_there_is_nothing_and_its_end() {
    assert_eq!(Metrics::new().text(), "# EOF\n");
    assert_eq!(Metrics::default().open_metrics(), "# EOF\n");
}

#[test]
fn debug_names_what_was_added() {
    let metrics = Metrics::new().plain("mine", pool("debug"));
    assert_eq!(format!("{metrics:?}"), "Metrics { sources: [\"mine\"], max_series: 100 }");
}
