//! Settings from a file: what is taken over, and how it is told what is wrong.

use std::time::Duration;

use llm_pool::WhenUnhealthy;
use llm_pool::agent::Proxy;
use llm_pool::balance::Adaptive;
use llm_pool::chat::ErrorKind;
use llm_pool::settings::{ClientCheck, ProviderKind, Settings, TextFrom};

const GOOD: &str = r#"
[pools]
max_per_host = 60
max_total = 0x64

[pools.pool]
max_size = 30
min_idle = 4
wait_timeout = "forever"
idle_timeout = "1h 30min"
max_lifetime = "none"
when_unhealthy = "wait"
nearly_full = "none"

[agents]
connect_timeout = "1500 ms"
proxy = "http://proxy:3128"

[chat]
first_pause = "0.25 s"

[providers.ark]
kind = "ark"
api_key_env = "ARK_API_KEY"
headers = { x-plain = "1", x-other = { env = "OTHER_NAME" } }
check = "models?page=1"

[providers."my own"]
base_url = "http://localhost:8000/v1"

[groups.small]
fallbacks = ["large"]
fallbacks_for = { too_long = ["large"] }
balance = { strategy = "peak_ewma", cooldown = { base_rest = "0 s" } }
endpoints = [
    { provider = "ark", model = "a", params = { seed = 7, effort = "low", text = "42", on = true, list = [1, 2.5] } },
    { provider = "my own", model = "b", temperature = 1, name = "two", weight = 2, limits = { adaptive = {} } },
]

[[groups.large.endpoints]]
provider = "ark"
model = "c"
limits.requests_per_minute = 60
"#;

#[test]
fn what_the_file_says_is_in_the_structs_and_all_else_is_as_by_default() {
    let settings = Settings::parse(GOOD).unwrap();
    let pool = &settings.pools.pool;
    assert_eq!((settings.pools.max_per_host, settings.pools.max_total), (Some(60), Some(100)));
    assert_eq!((pool.name.as_str(), pool.max_size, pool.min_idle), ("llm", 30, Some(4)));
    assert_eq!(pool.wait_timeout, Duration::MAX);
    assert_eq!(pool.idle_timeout, Some(Duration::from_secs(5400)));
    assert_eq!((pool.max_lifetime, pool.nearly_full), (None, None));
    assert_eq!(pool.when_unhealthy, Some(WhenUnhealthy::Wait));
    assert_eq!(pool.slow_wait, Some(Duration::from_secs(5)), "as by default");
    assert_eq!(settings.agents.connect_timeout, Some(Duration::from_millis(1500)));
    assert_eq!(settings.agents.proxy, Proxy::Url("http://proxy:3128".into()));
    assert_eq!(settings.chat.first_pause, Duration::from_millis(250));
    let ark = &settings.providers["ark"];
    assert_eq!((ark.kind, ark.api_key_env.as_deref()), (ProviderKind::Ark, Some("ARK_API_KEY")));
    assert_eq!(ark.headers["x-other"], TextFrom::Env("OTHER_NAME".into()));
    assert_eq!(ark.check, ClientCheck::Path("models?page=1".into()));
    let small = &settings.groups["small"];
    assert_eq!(small.fallbacks_for, [(ErrorKind::TooLong, "large".to_owned())]);
    assert_eq!(format!("{:?}", small.balance.strategy), "PeakEwma");
    assert_eq!(small.balance.cooldown.base_rest, Duration::ZERO);
    let [first, second] = &small.endpoints[..] else { panic!("{small:?}") };
    assert_eq!(&*first.name, "ark:a:effort=low:list=[1,2.5]:on=true:seed=7:text=\"42\"");
    assert_eq!((&*second.name, second.weight), ("two", 2.0));
    assert_eq!(second.value.get_temperature(), Some(1.0));
    assert_eq!(second.limits.adaptive, Some(Adaptive::default()));
    assert_eq!(settings.groups["large"].endpoints[0].limits.requests_per_minute, Some(60));
}

/// As they would stand in a file, for a status page, say.
#[test]
fn values_can_be_read_again() {
    let settings = Settings::parse(GOOD).unwrap();
    let hidden = |(_, value): &(String, String)| value != "***";
    let lines = settings.values().into_iter().filter(hidden);
    // Lists of tables have no such paths in TOML.
    let lines = lines.filter(|(path, _)| !path.contains('['));
    let text: String = lines.map(|(path, value)| format!("{path} = {value}\n")).collect();
    let again = Settings::parse(&format!(
        "{text}groups.large.endpoints = [{{ provider = 'ark', model = 'm' }}]
        groups.small.endpoints = [{{ provider = 'ark', model = 'm' }}]"
    ));
    let again = again.unwrap();
    assert_eq!(format!("{:?}", again.pools), format!("{:?}", settings.pools));
    assert_eq!((again.agents, again.chat), (settings.agents, settings.chat));
}

/// All that `Settings::parse` says of a text.
#[track_caller]
fn refused(text: &str, problems: &[&str]) {
    let error = Settings::parse(text).unwrap_err();
    assert_eq!(error.problems(), problems, "\n{text}");
}

#[test]
fn a_name_that_is_not_known_is_refused_with_its_place_and_the_nearest_known_one() {
    refused(
        "[pools.pool]\n  max_sise = 3",
        &["pools.pool.max_sise (line 2, column 3): unknown name, did you mean `max_size`?"],
    );
    refused("[pool]", &["pool (line 1, column 2): unknown name, did you mean `pools`?"]);
    refused(
        "[pools]\nmax_size = 3",
        &["pools.max_size (line 2, column 1): unknown name here, it belongs in [pools.pool]"],
    );
    refused(
        "[pools]\nMax-Total = 3",
        &["pools.Max-Total (line 2, column 1): unknown name, did you mean `max_total`?"],
    );
    refused(
        "[pools]\nqqqqqqqqqq = 3",
        &["pools.qqqqqqqqqq (line 2, column 1): unknown name, known here are pool, max_pools, \
           max_total, max_per_host, max_open"],
    );
    refused(
        "[[groups.g.endpoints]]\nprovider='p'\nmodel='m'\n[[groups.g.endpoints]]\nmodell = 'm'",
        &["groups.g.endpoints[1].modell (line 5, column 1): unknown name, did you mean `model`?"],
    );
}

#[test]
fn a_value_that_cannot_be_is_refused_with_what_would_be() {
    let with = |setting: &str| format!("[pools.pool]\n{setting}");
    let time = "must be a time with its unit, such as \"500 ms\", \"30 s\", \"5 min\" or \"2 h\"";
    for (setting, what) in [
        ("max_size = 'many'", "must be a whole number of at least 0, and is another text"),
        ("max_size = -1", "must be a whole number of at least 0, and is -1"),
        ("max_size = 1.5", "must be a whole number of at least 0, and is 1.5"),
        ("max_uses = true", "must be a whole number of at least 0 or \"none\", and is true"),
        ("nearly_full = 300", "must be a whole number from 0 to 255 or \"none\", and is 300"),
        ("admission = 'yes'", "must be true or false, and is another text"),
        ("name = 7", "must be a text, and is 7"),
        ("name = 1234567890123", "must be a text, and is a long number"),
        ("wait_timeout = 30", &format!("{time}, and is 30")),
        ("wait_timeout = '30'", &format!("{time}, and is another text")),
        ("wait_timeout = '-1 s'", &format!("{time}, and is another text")),
        ("wait_timeout = 'none'", &format!("{time}, and is another text")),
        ("idle_timeout = ''", &format!("{time} or \"none\", and is an empty text")),
        ("idle_timeout = []", &format!("{time} or \"none\", and is a list")),
        (
            "when_unhealthy = 'replaces'",
            "must be one of \"replace\", \"fail\", \"wait\", \"auto\", did you mean `replace`?",
        ),
        ("max_size = 0", "must be at least 1"),
        ("nearly_full = 101", "must be 1 to 100 per cent"),
        ("min_idle = 11", "is 11, more than max_size (10)"),
    ] {
        let name = setting.split(' ').next().unwrap();
        let column = setting.find('=').unwrap() + 3;
        refused(&with(setting), &[&format!("pools.pool.{name} (line 2, column {column}): {what}")]);
    }
    refused("pools = 3", &["pools (line 1, column 9): must be a table, and is 3"]);
    refused(
        "[groups.g]\nendpoints = { a = 1 }",
        &["groups.g.endpoints (line 2, column 13): must be a list, and is a table"],
    );
    refused(
        "[groups.g.balance]\nstrategy = 'power of two'\n[[groups.g.endpoints]]\nprovider='p'\nmodel='m'",
        &["groups.g.balance.strategy (line 2, column 12): must be one of \"round_robin\", \
           \"weighted_random\", \"least_in_use\", \"power_of_two\", \"peak_ewma\", \"priority\", \
           \"sticky\", did you mean `power_of_two`?"],
    );
}

#[test]
fn all_that_is_wrong_is_told_at_once_in_the_order_of_the_tables() {
    let text = r#"
        [pools]
        max_total = 9
        max_open = 5
        [pools.pool]
        max_size = 0
        [agents]
        buffer_size = 1
        total_timout = "3 s"
        [chat]
        max_answer = 0
        [providers.openai]
        kind = "openai"
        folder = "b1g"
        chat = { max_answer = 0 }
        [providers.own]
        base_url = "htp:/nowhere"
        api_key_env = "A_KEY"
        api_key_file = "/a/key"
        [groups.small]
        fallbacks = ["larg"]
        retry_share = 2
        wait_timeout = "0 s"
        balance = { decay = "0 s", cooldown = { jitter = 2 } }
        endpoints = [
            { provider = "own", model = "a", weight = 0, limits = { max_in_use = 0 } },
            { provider = "own", model = "", limits = { adaptive = { backoff = 1 } } },
        ]
        [groups.empty]
    "#;
    let error = Settings::parse(text).unwrap_err();
    let named: Vec<_> =
        error.problems().iter().map(|problem| problem.split(": ").next().unwrap()).collect();
    let wanted = [
        // By what it says in the file alone.
        "agents.total_timout (line 9, column 9)",
        // By what the values mean, but not in [agents], where something is wrong already.
        "pools.pool.max_size (line 6, column 20)",
        "pools.max_open (line 4, column 20)",
        "chat.max_answer (line 11, column 22)",
        "providers.openai.api_key_env",
        "providers.openai.folder (line 14, column 18)",
        "providers.openai.chat.max_answer (line 15, column 31)",
        "providers.own.base_url (line 17, column 20)",
        "providers.own.api_key_file (line 19, column 24)",
        "groups.empty.endpoints",
        "groups.small.balance.cooldown.jitter (line 24, column 58)",
        "groups.small.balance.decay (line 24, column 29)",
        "groups.small.endpoints[0].weight (line 26, column 55)",
        "groups.small.endpoints[0].limits.max_in_use (line 26, column 82)",
        "groups.small.endpoints[1] (line 27, column 13)",
        "groups.small.endpoints[1].limits.adaptive.backoff (line 27, column 79)",
        "groups.small (line 20, column 9)",
        "groups.small.wait_timeout (line 23, column 24)",
        "groups.small.retry_share (line 22, column 23)",
    ];
    assert_eq!(named, wanted, "{error}");
}

#[test]
fn an_endpoint_must_name_a_provider_of_the_file_unless_code_adds_it() {
    let text = "[providers.openai]\nkind = 'ollama'\n[[groups.g.endpoints]]\nprovider = 'openal'\nmodel = 'm'";
    let settings = Settings::parse(text).unwrap();
    let error = settings.build_groups().unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid settings: groups.g.endpoints[0].provider: there is no provider \"openal\", \
         did you mean `openai`?"
    );
    assert!(settings.llm().is_ok(), "code may add one to these");
    assert!(settings.build().is_ok());
}

#[test]
fn a_text_that_is_no_toml_is_refused_with_its_place() {
    for (text, place) in [
        ("[pools\nmax_total = 3", "line 1, column 7"),
        ("[pools]\nmax_total 3", "line 2, column 11"),
        ("[pools]\nmax_total = ", "line 2, column 13"),
        ("[pools]\nmax_total = 1\nmax_total = 2", "line 3, column 1"),
    ] {
        let error = Settings::parse(text).unwrap_err();
        assert_eq!(error.problems().len(), 1, "{error}");
        assert!(error.problems()[0].starts_with(&format!("{place}: not TOML: ")), "{error}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Settings::from_file("/nowhere/llm-pool.toml").unwrap_err().to_string();
    let begin = "invalid settings in /nowhere/llm-pool.toml: file: cannot be read: ";
    assert!(error.starts_with(begin), "{error}");
}

#[test]
fn no_settings_at_all_are_the_default_ones() {
    for text in ["", "\u{feff}# nothing\n", "[pools]\n[pools.pool]\n[agents]\n[chat]"] {
        assert_eq!(Settings::parse(text).unwrap().values(), Settings::default().values());
    }
    let wanted = ["providers: there must be at least one"];
    assert_eq!(Settings::default().build().unwrap_err().problems(), wanted);
    assert_eq!(Settings::default().check().unwrap_err().problems(), wanted);
}
