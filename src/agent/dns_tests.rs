//! The cache is asked as `ureq` would ask it; the look-ups are the tests' own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use ureq::Timeout;
use ureq::unversioned::transport::time;

use super::*;
use crate::ManualClock;
use crate::agent::deadline::Deadline;

struct Bench {
    time: ManualClock,
    resolver: CachingResolver,
    look_ups: Arc<AtomicUsize>,
}

/// A cache whose look-ups are counted.
fn bench(look_up: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Bench {
    bench_with(Duration::from_secs(300), look_up)
}

fn bench_with(
    ttl: Duration,
    look_up: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
) -> Bench {
    let (time, look_ups) = (ManualClock::new(), Arc::new(AtomicUsize::new(0)));
    let counter = look_ups.clone();
    let counted = move |host: &str| {
        counter.fetch_add(1, Ordering::SeqCst);
        look_up(host)
    };
    let resolver = CachingResolver::new(ttl, time.clock(), Box::new(counted));
    Bench { time, resolver, look_ups }
}

impl Bench {
    fn ask(&self, uri: &str) -> Result<Vec<SocketAddr>, Error> {
        self.ask_within(uri, None)
    }

    fn ask_within(&self, uri: &str, limit: Option<Duration>) -> Result<Vec<SocketAddr>, Error> {
        self.ask_for(uri, limit, IpFamily::Any)
    }

    fn ask_for(
        &self,
        uri: &str,
        limit: Option<Duration>,
        family: IpFamily,
    ) -> Result<Vec<SocketAddr>, Error> {
        let config = Config::builder().ip_family(family).build();
        let after = limit.map_or(time::Duration::NotHappening, Into::into);
        let timeout = NextTimeout { after, reason: Timeout::Resolve, ..NextTimeout::default() };
        let uri = uri.parse().unwrap();
        Ok(self.resolver.resolve(&uri, &config, timeout)?.to_vec())
    }

    fn look_ups(&self) -> usize {
        self.look_ups.load(Ordering::SeqCst)
    }
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn both_families(_: &str) -> io::Result<Vec<SocketAddr>> {
    Ok(vec![addr("[::5]:0"), addr("10.0.0.5:0")])
}

#[test]
fn a_host_is_looked_up_once_until_its_time_is_over() {
    let bench = bench(both_families);
    for _ in 0..3 {
        bench.ask("http://a.test/").unwrap();
    }
    bench.time.advance(Duration::from_secs(299));
    bench.ask("http://a.test/").unwrap();
    assert_eq!(bench.look_ups(), 1);

    bench.time.advance(Duration::from_secs(1));
    bench.ask("http://a.test/").unwrap();
    assert_eq!(bench.look_ups(), 2);
}

#[test]
fn a_host_that_is_doubted_is_looked_up_again_but_no_more_than_once_a_second() {
    let bench = bench(both_families);
    let doubt = || bench.resolver.forget("A.test");
    bench.ask("http://a.test/").unwrap();
    for (wait, look_ups) in [(0, 1), (999, 1), (1, 2), (0, 2), (1_000, 3)] {
        bench.time.advance(Duration::from_millis(wait));
        doubt();
        bench.ask("http://a.test/").unwrap();
        assert_eq!(bench.look_ups(), look_ups, "{wait} ms later");
    }
    bench.resolver.forget("127.0.0.1");
    bench.resolver.forget("unknown.test");
}

#[test]
fn zero_looks_up_every_time_and_the_longest_time_never_again() {
    let off = bench_with(Duration::ZERO, both_families);
    let ever = bench_with(Duration::MAX, both_families);
    for _ in 0..3 {
        off.ask("http://a.test/").unwrap();
        ever.ask("http://a.test/").unwrap();
        ever.time.advance(Duration::from_secs(1_000_000));
    }
    assert_eq!((off.look_ups(), ever.look_ups()), (3, 1));
}

#[test]
fn a_host_is_known_whatever_its_case_port_and_scheme() {
    let bench = bench(both_families);
    assert_eq!(bench.ask("http://A.Test/").unwrap()[1], addr("10.0.0.5:80"));
    assert_eq!(bench.ask("https://a.test/").unwrap()[1], addr("10.0.0.5:443"));
    assert_eq!(bench.ask("https://user:pw@a.TEST:8443/").unwrap()[1], addr("10.0.0.5:8443"));
    assert_eq!(bench.ask("socks5://a.test").unwrap()[1], addr("10.0.0.5:1080"));
    assert_eq!(bench.look_ups(), 1);
    assert!(matches!(bench.ask("gopher://a.test/"), Err(Error::BadUri(_))));
}

#[test]
fn an_address_needs_no_look_up() {
    let bench = bench(|host| panic!("{host} was looked up"));
    assert_eq!(bench.ask("http://127.0.0.1:90/").unwrap(), [addr("127.0.0.1:90")]);
    assert_eq!(bench.ask("https://[::1]/").unwrap(), [addr("[::1]:443")]);
    let wrong = bench.ask_for("http://[::1]/", None, IpFamily::Ipv4Only);
    assert!(matches!(wrong, Err(Error::HostNotFound)));
    assert_eq!(bench.look_ups(), 0);
}

#[test]
fn each_request_gets_the_family_it_asked_for_and_no_more_than_fit() {
    let bench = bench(|host| match host {
        "many.test" => Ok(vec![addr("10.0.0.5:0"); 100]),
        host => both_families(host),
    });
    let ask = |family| bench.ask_for("http://a.test/", None, family).unwrap();
    assert_eq!(ask(IpFamily::Any).len(), 2);
    assert_eq!(ask(IpFamily::Ipv4Only), [addr("10.0.0.5:80")]);
    assert_eq!(ask(IpFamily::Ipv6Only), [addr("[::5]:80")]);
    assert_eq!(bench.look_ups(), 1);
    assert_eq!(bench.ask("http://many.test/").unwrap().len(), MAX_ADDRS);
}

#[test]
fn all_who_ask_at_once_wait_for_one_look_up() {
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let bench = bench(move |host| {
        gate.lock().recv().unwrap();
        both_families(host)
    });
    thread::scope(|scope| {
        let asking: Vec<_> = (0..16).map(|_| scope.spawn(|| bench.ask("http://a.test/"))).collect();
        // The cache and the look-up hold one each, and so does everyone who waits.
        let waiting = || {
            let under_way = bench.resolver.0.under_way.lock();
            under_way.get("a.test").is_some_and(|query| Arc::strong_count(query) == 16 + 2)
        };
        while !waiting() {
            thread::yield_now();
        }
        open.send(()).unwrap();
        for asking in asking {
            assert_eq!(asking.join().unwrap().unwrap().len(), 2);
        }
    });
    assert_eq!(bench.look_ups(), 1);
}

#[test]
fn hosts_do_not_wait_for_each_other_and_each_wait_has_its_own_limit() {
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let bench = bench(move |host| {
        if host == "slow.test" {
            let _ = gate.lock().recv();
        }
        both_families(host)
    });
    let short = Some(Duration::from_millis(10));
    let late = bench.ask_within("http://slow.test/", short);
    assert!(matches!(late, Err(Error::Timeout(Timeout::Resolve))));
    bench.ask("http://fast.test/").unwrap();

    // The look-up goes on for who waits longer.
    thread::scope(|scope| {
        let patient = scope.spawn(|| bench.ask_within("http://slow.test/", Some(Duration::MAX)));
        open.send(()).unwrap();
        assert!(patient.join().unwrap().is_ok());
    });
    assert_eq!(bench.look_ups(), 2);
}

#[test]
fn a_wait_ends_with_the_deadline_of_its_lease() {
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let bench = bench(move |host| {
        let _ = gate.lock().recv();
        both_families(host)
    });
    let deadline = Deadline::none();
    deadline.set(Some(Duration::from_millis(10)));
    let late = deadline.until().hold(|| bench.ask("http://slow.test/"));
    assert!(matches!(late, Err(Error::Timeout(Timeout::Global))));
    open.send(()).unwrap();
    assert!(bench.ask("http://slow.test/").is_ok());
}

#[test]
fn a_look_up_that_hangs_is_given_up_for_another() {
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(Some(gate));
    let bench = bench(move |host| {
        // Only the first waits, and for long.
        let gate = gate.lock().take();
        if let Some(gate) = gate {
            let _ = gate.recv();
        }
        both_families(host)
    });
    let short = Some(Duration::from_millis(10));
    assert!(bench.ask_within("http://a.test/", short).is_err());
    bench.time.advance(GIVEN_UP);
    bench.ask("http://a.test/").unwrap();
    assert_eq!(bench.look_ups(), 2);
    drop(open);
}

#[test]
fn a_failure_names_the_host_and_is_not_remembered() {
    let up = Arc::new(AtomicUsize::new(0));
    let now_up = up.clone();
    let bench = bench(move |host| match now_up.load(Ordering::SeqCst) {
        0 => Err(io::Error::new(io::ErrorKind::NotFound, "no such name")),
        1 => Ok(Vec::new()),
        2 => panic!("the look-up of {host}"),
        _ => both_families(host),
    });
    for what in ["no such name", "it has no address", "the look-up panicked"] {
        let error = bench.ask("http://a.test/").unwrap_err().to_string();
        assert_eq!(error, format!("io: cannot look up a.test: {what}"));
        up.fetch_add(1, Ordering::SeqCst);
    }
    assert!(bench.ask("http://a.test/").is_ok());
    assert_eq!(bench.look_ups(), 4);
    assert!(bench.resolver.0.under_way.lock().is_empty());
}

#[test]
fn the_host_that_was_looked_up_first_makes_room() {
    let bench = bench(both_families);
    for n in 0..=MAX_HOSTS {
        bench.time.advance(Duration::from_millis(1));
        // Without the threads of a thousand look-ups.
        let addrs = both_families("").unwrap().into();
        bench.resolver.0.remember(&format!("host{n}.test"), &addrs);
    }
    bench.ask("http://host1.test/").unwrap();
    assert_eq!(bench.look_ups(), 0);
    assert_eq!(bench.resolver.0.known.read().len(), MAX_HOSTS);
    bench.ask("http://host0.test/").unwrap();
    assert_eq!(bench.look_ups(), 1);
}
