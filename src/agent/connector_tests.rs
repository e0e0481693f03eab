//! What the connections add, on one whose every wait is at once over.

use parking_lot::Mutex;
use ureq::unversioned::transport::LazyBuffers;
use ureq::unversioned::transport::time::Duration as UreqDuration;

use super::*;

/// A connection whose every wait is at once over.
#[derive(Debug)]
struct Silent(Arc<Mutex<Vec<Duration>>>, LazyBuffers);

impl Transport for Silent {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.1
    }

    fn transmit_output(&mut self, _: usize, _: NextTimeout) -> Result<(), Error> {
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.0.lock().push(*timeout.after);
        Err(Error::Timeout(timeout.reason))
    }

    fn is_open(&mut self) -> bool {
        true
    }
}

#[test]
fn a_budget_is_rounded_for_the_socket_and_used_to_its_end() {
    let waits = Arc::new(Mutex::new(Vec::new()));
    let inner = Box::new(Silent(waits.clone(), LazyBuffers::new(1024, 1024)));
    let (asked, used, until, stop) = (true, false, Until::NEVER, Arc::default());
    let overflow = Overflow::of(1024);
    let below = false;
    let mut transport = PatientTransport { inner, asked, used, below, until, stop, overflow };
    let budget = Duration::from_millis(59_997);
    let timeout = NextTimeout { after: budget.into(), ..NextTimeout::default() };
    assert!(matches!(transport.await_input(timeout), Err(Error::Timeout(Timeout::Global))));
    let waits = waits.lock();
    assert_eq!(waits.len(), 2);
    assert!(waits[0] < budget && waits[0] > budget - budget / 64, "{waits:?}");
    // Nothing was waited for, so all of it is left.
    assert!(waits[1] > budget - Duration::from_secs(1), "{waits:?}");
    // The next request, some microseconds later in its budget, finds the socket told.
    let later = budget - Duration::from_micros(300);
    assert_eq!(*steady(NextTimeout { after: later.into(), ..timeout }).after, waits[0]);
}

#[test]
fn short_budgets_and_none_are_left_alone() {
    for after in [Duration::from_millis(999).into(), UreqDuration::NotHappening] {
        let timeout = NextTimeout { after, ..NextTimeout::default() };
        assert_eq!(steady(timeout), timeout);
    }
}

#[test]
fn this_build_knows_that_it_has_no_socks() {
    // Tells when `ureq` renames what `has_socks` looks for.
    assert!(!speaks_socks());
}
