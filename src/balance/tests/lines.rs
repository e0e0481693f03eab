//! What is logged, and that no lock is held meanwhile.

use std::cell::RefCell;
use std::sync::Once;

use super::*;

/// Keeps the lines of the thread that asked for it, and asks its balancer for statistics with each.
struct Keeper;

thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static BALANCER: RefCell<Option<Balancer<u8>>> = const { RefCell::new(None) };
}

impl log::Log for Keeper {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        BALANCER.with_borrow(|balancer| {
            let Some(balancer) = balancer else { return };
            assert!(!balancer.stats().endpoints.is_empty());
            let line = format!("{} {}", record.level(), record.args());
            LINES.with_borrow_mut(|lines| lines.push(line));
            panic!("a logger may");
        });
    }

    fn flush(&self) {}
}

fn watch(balancer: &Balancer<u8>) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Keeper).unwrap();
        log::set_max_level(log::LevelFilter::Debug);
    });
    BALANCER.set(Some(balancer.clone()));
}

#[test]
fn each_change_of_state_is_a_line_of_its_own() {
    let time = ManualClock::new();
    let balancer = balancer(config(&time).name("chat"), 2);
    watch(&balancer);
    (0..5).for_each(|_| fail(&balancer, 0, Cause::Server));
    // Said once, however often it fails.
    (0..3).for_each(|_| fail(&balancer, 1, Cause::RateLimited));
    time.advance(SECS(1));
    balancer.pick(Call::new()).unwrap().failure(Cause::TimedOut);
    time.advance(SECS(2));
    balancer.pick(Call::new()).unwrap().success();
    assert_eq!(
        LINES.take(),
        [
            "WARN balancer \"chat\": endpoint \"a\" rests for 1.0s: 5 of 5 failed, last: server error",
            "WARN balancer \"chat\": endpoint \"b\" fails, but stays in service, as 1 of 2 rests: \
             rate limited",
            "DEBUG balancer \"chat\": a call probes endpoint \"a\"",
            "WARN balancer \"chat\": endpoint \"a\" rests for 2.0s: its probe failed: timed out",
            "DEBUG balancer \"chat\": a call probes endpoint \"a\"",
            "INFO balancer \"chat\": endpoint \"a\" is back in service",
        ]
    );
}

#[test]
fn a_strategy_that_chooses_wrongly_is_a_line_once() {
    #[derive(Debug)]
    struct Wrong;
    impl Strategy for Wrong {
        fn pick(&self, _: &Candidates<'_>, _: &Draw<'_>) -> usize {
            7
        }
    }
    let balancer = balancer(config(&ManualClock::new()).name("own").strategy(Wrong), 2);
    watch(&balancer);
    (0..3).for_each(|_| balancer.pick(Call::new()).unwrap().success());
    assert_eq!(LINES.take(), ["ERROR balancer \"own\": the strategy chose 7 of 2 candidates"]);
}
