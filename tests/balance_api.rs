//! What balancing and groups promise to those who build on them: what may cross threads, what is
//! cloned, what is never shown, and that the defaults are those that the documentation tells.

mod support;

use std::fmt::Debug;
use std::time::Duration;

use llm_pool::agent::{AgentConfig, Proxy};
use llm_pool::balance::{
    Adaptive, BalanceConfig, BalanceStats, Balancer, Call, Candidate, Candidates, Cause, Cooldown,
    Draw, Endpoint, EndpointStats, Failure, Failures, Health, LeastInUse, Limits, Outcome,
    PeakEwma, Pick, PickError, PowerOfTwo, Priority, RoundRobin, Sticky, Strategy, WeightedRandom,
    Why,
};
use llm_pool::chat::{ChatRequest, ErrorKind};
use llm_pool::keyed::ModelKey;
use llm_pool::llm::{Group, GroupStream, LlmConfig, ModelGroups, Provider};
use llm_pool::test_server::{Reply, TestServer};
use support::*;

const SECRET: &str = "sk-planted-secret";

/// A value that would tell.
#[derive(Clone, Debug)]
struct Key(#[allow(dead_code, reason = "what its Debug would show")] &'static str);

#[test]
fn everything_shared_between_threads_is_send_and_sync() {
    fn send_and_sync<T: Send + Sync + 'static>() {}
    send_and_sync::<Balancer<Key>>();
    send_and_sync::<BalanceConfig>();
    send_and_sync::<Cooldown>();
    send_and_sync::<Endpoint<Key>>();
    send_and_sync::<Pick<Key>>();
    send_and_sync::<PickError>();
    send_and_sync::<(Outcome, Failure, Cause)>();
    send_and_sync::<(BalanceStats, EndpointStats, Failures, Health, Why)>();
    send_and_sync::<(LeastInUse, PeakEwma, PowerOfTwo, Priority)>();
    send_and_sync::<(RoundRobin, Sticky, WeightedRandom, Box<dyn Strategy>)>();
    send_and_sync::<Group>();
    send_and_sync::<ModelGroups>();

    fn send<T: Send + 'static>() {}
    send::<GroupStream>();
}

#[test]
fn what_is_promised_to_be_cloned_or_copied_is() {
    fn cloned<T: Clone>() {}
    cloned::<BalanceConfig>();
    cloned::<Cooldown>();
    cloned::<Endpoint<Key>>();
    cloned::<Group>();
    cloned::<ModelGroups>();
    cloned::<PickError>();
    cloned::<(BalanceStats, EndpointStats, Failures)>();
    // Another handle, whatever the values are.
    struct NotCloned;
    cloned::<Balancer<NotCloned>>();

    fn copied<T: Copy>() {}
    copied::<(Call<'_>, Outcome, Failure, Cause, Health, Why)>();
    copied::<(Candidates<'_>, Candidate<'_>, Draw<'_>)>();
    copied::<(LeastInUse, PeakEwma, PowerOfTwo, Priority, Sticky, WeightedRandom)>();
}

#[test]
fn a_cloned_handle_is_the_same_balancer_and_the_same_groups() {
    let balancer = Balancer::new(BalanceConfig::default(), [Endpoint::new("a", ())]).unwrap();
    balancer.clone().pick(Call::new()).unwrap().success();
    assert_eq!(balancer.stats().endpoints[0].successes, 1);

    let server = TestServer::start().unwrap();
    let groups = groups(&server);
    groups.clone().chat("small", "Hi").unwrap();
    assert_eq!(groups.stats("small").unwrap().endpoints[0].successes, 1);
    assert!(groups.names().eq(["small"]));
}

/// One group, "small", at a provider that is asked with the secret.
fn groups(server: &TestServer) -> ModelGroups {
    let provider = Provider::new(format!("{}/v1", server.url())).api_key(SECRET);
    let agents = AgentConfig::default().proxy(Proxy::Direct);
    let config = LlmConfig::default().agents(agents).provider("test", provider);
    let group = Group::default().endpoint(ModelKey::new("test", "small"));
    ModelGroups::new(config.build().unwrap(), [("small", group)]).unwrap()
}

fn hides_the_secret(values: &[&dyn Debug]) {
    for value in values {
        let (plain, pretty) = (format!("{value:?}"), format!("{value:#?}"));
        assert!(!plain.contains(SECRET) && !pretty.contains(SECRET), "{plain}");
    }
}

#[test]
fn no_debug_or_error_of_a_balancer_shows_what_its_endpoints_hold() {
    let endpoint = Endpoint::new("a", Key(SECRET));
    let config = BalanceConfig::default();
    let balancer = Balancer::new(config.clone(), [endpoint.clone()]).unwrap();
    let pick = balancer.pick(Call::new().key(SECRET)).unwrap();
    let refused = Balancer::new(config.clone(), [endpoint.clone(), endpoint.clone()]).unwrap_err();
    let tried = balancer.pick(Call::new().key(SECRET).tried(&[0])).unwrap_err();
    let (call, stats) = (Call::new().key(SECRET), balancer.stats());
    hides_the_secret(&[&endpoint, &config, &balancer, &pick, &refused, &tried, &call, &stats]);
    assert!(!format!("{refused} {tried}").contains(SECRET), "{refused} {tried}");
    assert!(format!("{pick:?} {balancer:?}").contains("\"a\""), "the name is shown");
}

#[test]
fn no_debug_or_error_of_a_group_shows_a_key_or_what_is_said() {
    logs::install();
    let server = TestServer::start().unwrap();
    let groups = groups(&server);
    let request = || ChatRequest::from(SECRET).conversation(SECRET);
    let mut stream = groups.stream("small", request()).unwrap();
    hides_the_secret(&[&stream]);
    for piece in stream.by_ref() {
        piece.unwrap();
    }
    hides_the_secret(&[&stream]);
    let asked = &server.requests()[0];
    let told = asked.header("authorization").unwrap_or_default();
    assert!(
        told.contains(SECRET) && String::from_utf8_lossy(asked.body()).contains(SECRET),
        "there was one to hide"
    );

    // What it says of the key comes back, and is not told on.
    server.set_reply(Reply::status(401).message(format!("no such key: {SECRET}")));
    let failed = groups.chat("small", request()).unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Unauthorized);
    let stats = groups.stats("small").unwrap();
    let group = Group::default().endpoint(ModelKey::new("test", "small"));
    hides_the_secret(&[&groups, &group, &stats, &failed]);
    assert!(!failed.to_string().contains(SECRET), "{failed}");
    let said = logs::all();
    assert!(said.iter().any(|line| line.text.contains("endpoint \"test:small\"")));
    assert!(!format!("{said:?}").contains(SECRET), "{said:?}");
}

#[test]
fn the_defaults_are_those_that_the_documentation_tells() {
    let cooldown = Cooldown::default();
    let told = Told::of(include_str!("../src/balance/cooldown.rs"), "Cooldown");
    told.has("failure_ratio", cooldown.failure_ratio);
    told.has("min_sample", cooldown.min_sample);
    told.has("failures_in_a_row", cooldown.failures_in_a_row);
    told.has("window", seconds(cooldown.window));
    told.has("base_rest", seconds(cooldown.base_rest));
    told.has("max_rest", seconds(cooldown.max_rest));
    told.has("reset_after", seconds(cooldown.reset_after));
    told.has("jitter", cooldown.jitter);
    // What stands in their place depends on what the balancer is for.
    assert_eq!((cooldown.max_resting, cooldown.rest_last), (None, None));
    told.has("max_resting", 0.8);
    told.has("rest_last", false);
    told.is_all(10);

    let config = BalanceConfig::default();
    let of_config = include_str!("../src/balance/config.rs");
    let told = Told::of(of_config, "BalanceConfig");
    told.has("name", format_args!("\"{}\"", config.name));
    told.has("strategy", format_args!("[`{:?}`]", config.strategy));
    told.has("cooldown", "that of [`Cooldown`]");
    assert_eq!(config.cooldown, cooldown);
    told.has("decay", seconds(config.decay));
    told.has("seed", config.seed.map_or("none".into(), |seed| seed.to_string()));
    told.has("clock", "the system");
    let clock = format!("{:?}", llm_pool::Clock::system());
    assert_eq!(format!("{:?}", config.clock), clock);
    told.has("observer", config.observer.as_ref().map_or("none", |_| "one"));
    told.is_all(7);

    let endpoint = Endpoint::new("a", ());
    let told = Told::of(of_config, "Endpoint<T>");
    told.has("weight", endpoint.weight);
    told.has("order", endpoint.order);
    told.has("limits", "anything");
    assert_eq!(endpoint.limits, Limits::default());
    told.is_all(3);

    let limits = Limits::default();
    let told = Told::of(include_str!("../src/balance/limits.rs"), "Limits");
    let none = |limit: Option<String>| limit.unwrap_or("none".into());
    told.has("max_in_use", none(limits.max_in_use.map(|it| it.to_string())));
    told.has("adaptive", none(limits.adaptive.map(|it| format!("{it:?}"))));
    told.has("requests_per_minute", none(limits.requests_per_minute.map(|it| it.to_string())));
    told.has("tokens_per_minute", none(limits.tokens_per_minute.map(|it| it.to_string())));
    told.has("learns", limits.learns);
    told.is_all(5);

    let adaptive = Adaptive::default();
    let told = Told::of(include_str!("../src/balance/adaptive.rs"), "Adaptive");
    told.has("floor", adaptive.floor);
    told.has("start", 4);
    assert_eq!(adaptive.start, None);
    told.has("backoff", adaptive.backoff);
    told.has("tolerance", adaptive.tolerance);
    told.is_all(4);

    let failure = Failure::from(Cause::Server);
    let told = Told::of(include_str!("../src/balance/outcome.rs"), "Failure");
    told.has("retry_after", failure.retry_after.map_or("none".into(), seconds));
    told.is_all(1);

    let group = Group::default();
    let told = Told::of(include_str!("../src/llm/groups/config.rs"), "Group");
    told.has("retry_share", group.retry_share);
    told.has("wait_timeout", seconds(group.wait_timeout));
    told.has("fallback_after", seconds(group.fallback_after));
    told.is_all(3);
    assert!(group.endpoints.is_empty() && group.fallbacks.is_empty());
    assert!(group.fallbacks_for.is_empty());
    assert_eq!(format!("{:?}", group.balance), format!("{config:?}"));
}

/// As the documentation writes it.
fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

/// The defaults that the documentation of a struct's fields tells.
struct Told {
    of: &'static str,
    /// By field, what follows on "Default ".
    fields: Vec<(String, String)>,
}

impl Told {
    fn of(source: &str, name: &'static str) -> Self {
        let begin = format!("pub struct {name} {{");
        let (_, after) = source.split_once(&begin).unwrap();
        let (fields, _) = after.split_once("\n}").unwrap();
        let (mut doc, mut told) = (String::new(), Vec::new());
        for line in fields.lines().map(str::trim) {
            if let Some(words) = line.strip_prefix("///") {
                doc += words;
            } else if let Some((field, _)) =
                line.strip_prefix("pub ").and_then(|it| it.split_once(':'))
            {
                let default = doc.split_once("Default ").map(|(_, default)| default.to_owned());
                told.extend(default.map(|default| (field.to_owned(), default)));
                doc.clear();
            }
        }
        Self { of: name, fields: told }
    }

    #[track_caller]
    fn has(&self, field: &str, default: impl std::fmt::Display) {
        let told = self.fields.iter().find(|(name, _)| name == field);
        let told = told.map(|(_, told)| told.as_str());
        let rest = told.and_then(|told| told.strip_prefix(&default.to_string()));
        // The whole number or word, and not how a longer one begins.
        let ends = |rest: &str| {
            let rest = rest
                .strip_prefix('.')
                .map_or(rest, |rest| if rest.is_empty() { " " } else { rest });
            rest.starts_with([' ', ',', ';', ':'])
        };
        assert!(rest.is_some_and(ends), "{}::{field} is {default}, told: {told:?}", self.of);
    }

    /// No field with a default was forgotten here.
    #[track_caller]
    fn is_all(&self, defaults: usize) {
        assert_eq!(self.fields.len(), defaults, "{}: {:?}", self.of, self.fields);
    }
}
