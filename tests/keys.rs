//! The keys of keyed pools: what is one key and what is two, and what is refused.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashSet};
use std::hash::{Hash, Hasher};

use llm_pool::keyed::{AdapterKey, BaseUrl, KeyError, ModelKey, Origin};

fn origin(url: &str) -> Origin {
    Origin::parse(url).unwrap()
}

fn reason(url: &str) -> String {
    Origin::parse(url).unwrap_err().reason().to_owned()
}

fn hash(key: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

fn chat() -> ModelKey {
    ModelKey::new("openai", "gpt-4o-mini")
}

#[test]
fn what_makes_no_difference_to_a_connection_makes_none_to_an_origin() {
    let plain = origin("https://api.example.com");
    for same in [
        "HTTPS://api.example.com",
        "https://API.Example.COM",
        "https://api.example.com:443",
        "https://api.example.com:00443",
        "https://api.example.com.",
        "https://api.example.com.:443/",
        "https://api.example.com/",
        "https://api.example.com/v1/Models",
        "https://api.example.com/@scope/b\u{fc}cher",
        "https://api.example.com?a=b@c",
        "https://api.example.com#top",
        "https://api.example.com:443/v1?to=http://other:1/#x",
    ] {
        let same = origin(same);
        assert_eq!(same, plain);
        assert_eq!(hash(&same), hash(&plain));
        assert_eq!(same.as_str(), "https://api.example.com");
    }
}

#[test]
fn scheme_host_and_port_make_different_origins() {
    let urls = [
        "https://a.example",
        "http://a.example",
        "https://b.example",
        "https://a.example:80",
        "http://a.example:443",
        "https://a.example:8443",
        "https://my_container",
    ];
    let origins: HashSet<Origin> = urls.iter().map(|url| origin(url)).collect();
    assert_eq!(origins.len(), urls.len());
    for (origin, url) in urls.iter().map(|url| (origin(url), *url)) {
        assert_eq!(origin.to_string(), url);
    }
    let sorted: BTreeSet<Origin> = origins.into_iter().collect();
    assert_eq!(sorted.first(), Some(&origin("http://a.example")));
}

#[test]
fn an_origin_tells_its_parts() {
    let parts = |url: &str| {
        let origin = origin(url);
        let (scheme, host) = (origin.scheme().to_owned(), origin.host().to_owned());
        (scheme, host, origin.port(), origin.host_and_port().to_owned())
    };
    let told = |scheme: &str, host: &str, port, both: &str| {
        (scheme.to_owned(), host.to_owned(), port, both.to_owned())
    };
    assert_eq!(parts("https://A.b/x"), told("https", "a.b", 443, "a.b"));
    assert_eq!(parts("http://a.b"), told("http", "a.b", 80, "a.b"));
    assert_eq!(parts("http://LocalHost:8080"), told("http", "localhost", 8080, "localhost:8080"));
    assert_eq!(parts("https://127.0.0.1:80"), told("https", "127.0.0.1", 80, "127.0.0.1:80"));
    assert_eq!(parts("http://[::1]:80"), told("http", "[::1]", 80, "[::1]"));
    assert_eq!(parts("https://[::1]:8443"), told("https", "[::1]", 8443, "[::1]:8443"));
    assert_eq!(format!("{:?}", origin("http://a:81")), "Origin(\"http://a:81\")");
    assert_eq!(format!("{:>10}|", origin("http://a")), "  http://a|");
}

#[test]
fn an_ipv6_address_has_one_form() {
    for same in ["http://[::1]", "http://[0:0:0:0:0:0:0:1]:80", "http://[0000::0001]/"] {
        assert_eq!(origin(same), origin("http://[::1]"));
    }
    assert_eq!(origin("https://[FE80:0::A]:1").as_str(), "https://[fe80::a]:1");
    let mapped = origin("https://[0:0:0:0:0:ffff:127.0.0.1]");
    assert_eq!(mapped.as_str(), "https://[::ffff:127.0.0.1]");
}

#[test]
fn paths_are_joined_by_one_slash() {
    let origin = origin("http://localhost:8080/ignored");
    assert_eq!(origin.url("v1/models"), "http://localhost:8080/v1/models");
    assert_eq!(origin.url("/v1/models?a=b"), "http://localhost:8080/v1/models?a=b");
    assert_eq!(origin.url(""), "http://localhost:8080");
    // No path leads elsewhere.
    assert_eq!(origin.url("//other.example/x"), "http://localhost:8080//other.example/x");
    assert_eq!(origin.url("@other.example"), "http://localhost:8080/@other.example");
}

#[test]
fn a_base_url_is_an_origin_and_a_path() {
    let base = BaseUrl::parse("HTTPS://API.example.com.:443/OpenAI/v1//?page=2#top").unwrap();
    assert_eq!(base.as_str(), "https://api.example.com/OpenAI/v1");
    assert_eq!(base, "https://api.example.com/OpenAI/v1".parse().unwrap());
    assert_ne!(base, "https://api.example.com/openai/v1".try_into().unwrap());
    assert_eq!(base.origin(), &origin("https://api.example.com"));
    assert_eq!(base.path(), "/OpenAI/v1");
    assert_eq!(base.join("models"), "https://api.example.com/OpenAI/v1/models");
    assert_eq!(base.join("/models"), base.join("models"));
    assert_eq!(base.join(""), base.as_str());

    let bare = BaseUrl::parse("http://a:81/").unwrap();
    assert_eq!((bare.as_str(), bare.path()), ("http://a:81", ""));
    assert_eq!(bare, BaseUrl::from(origin("http://A:81/x")));
    assert_eq!(bare.join("v1"), "http://a:81/v1");
    let error = BaseUrl::parse("https:///v1").unwrap_err();
    assert_eq!(error.to_string(), "bad URL \"https:///v1\": it has no host");
}

#[test]
fn what_is_no_http_url_is_refused_with_the_reason() {
    let no_host = "it has no host";
    let port = "its port must be 1 to 65535";
    let brackets = "only an IPv6 address can be in brackets, and must be";
    let scheme = "its scheme must be http or https";
    let start = "it must begin with http:// or https://";
    let dots = "its host must have 1 to 63 characters between two dots";
    let letters = "its host may have letters, digits, '-', '_' and '.' only";
    let space = "it has a space or a control character";
    let v6 = "its IPv6 address is not one";
    let cases = [
        ("", "it is empty"),
        ("https://", no_host),
        ("https:///x", no_host),
        ("http://:80", no_host),
        ("http://.", no_host),
        ("http://?q", no_host),
        ("http://#", no_host),
        ("ftp://example.com", scheme),
        ("unix:///run/socket", scheme),
        ("h2+tls://example.com", scheme),
        ("https:example.com", start),
        ("https:/example.com", start),
        ("//example.com", start),
        ("/v1/models", start),
        ("://example.com", start),
        ("example.com?key=sk-1", start),
        ("https://a:0", port),
        ("https://a:70000", port),
        ("https://a:", port),
        ("https://a:/x", port),
        ("https://a:+80", port),
        ("https://a:-1", port),
        ("https://a:http", port),
        (" https://a", space),
        ("https://a ", space),
        ("https://a b", space),
        ("https://a/b c", space),
        ("https://a\u{a0}b", space),
        ("https://a\n", space),
        ("https://a\0", space),
        ("https://[::1", brackets),
        ("https://::1]", brackets),
        ("https://::1", brackets),
        ("https://::1:80", brackets),
        ("https://a:1:2", brackets),
        ("https://[::1]x", brackets),
        ("https://[::1]80", brackets),
        ("https://a[::1]", brackets),
        ("https://[[::1]]", brackets),
        ("https://[]", v6),
        ("https://[a.b]", v6),
        ("https://[127.0.0.1]", v6),
        ("https://[fe80::1%25eth0]", v6),
        ("https://[v1.a]", v6),
        (
            "https://b\u{fc}cher.example",
            "its host is not ASCII: it must be given in punycode (xn--...)",
        ),
        ("https://a..b", dots),
        ("https://.a", dots),
        ("https://a..", dots),
        ("https://a,b", letters),
        ("https://*.a", letters),
        ("https://a%20b", letters),
        ("https://a\\b", letters),
        ("https://a/\u{7f}", space),
        ("https://a/<b>", "ureq cannot read it: invalid uri character"),
    ];
    for (url, expected) in cases {
        assert_eq!(reason(url), expected, "{url:?}");
        assert_eq!(BaseUrl::parse(url).unwrap_err().reason(), expected, "{url:?}");
    }
}

#[test]
fn what_has_no_scheme_is_told_what_may_be_meant() {
    for (url, meant) in [
        ("api.example.com", "https://api.example.com"),
        ("localhost:8080/v1", "https://localhost:8080/v1"),
        ("[::1]:80", "https://[::1]:80"),
        ("httpbin.org", "https://httpbin.org"),
    ] {
        assert_eq!(reason(url), format!("it has no scheme; did you mean \"{meant}\"?"));
    }
}

#[test]
fn a_host_is_as_long_as_dns_allows() {
    let longest = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
    assert_eq!(longest.len(), 253);
    assert_eq!(origin(&format!("https://{longest}")).host(), longest);
    assert_eq!(origin(&format!("https://{longest}.:8443")).host(), longest);
    assert_eq!(reason(&format!("https://{longest}b")), "its host is longer than 253 characters");
    let label = "a".repeat(64);
    assert!(reason(&format!("https://{label}.b")).contains("1 to 63 characters"));
    let endless = "a".repeat(70_000);
    assert_eq!(reason(&format!("https://{endless}")), "ureq cannot read it: uri too long");
}

#[test]
fn an_error_shows_a_long_or_odd_value_on_one_short_line() {
    let error = Origin::parse(&format!("gopher://{}", "x".repeat(5000))).unwrap_err();
    assert_eq!(error.key(), format!("gopher://{}...", "x".repeat(71)));
    assert!(reason(&"x".repeat(5000)).len() < 150);
    let error = Origin::parse("https://a\r\n\u{202e}\u{1b}[2J").unwrap_err();
    let shown =
        "bad URL \"https://a\\r\\n\\u{202e}\\u{1b}[2J\": it has a space or a control character";
    assert_eq!(error.to_string(), shown);
    let own = KeyError::new("a\nb", "no\tsuch key");
    assert_eq!(own.to_string(), "bad key \"a\\nb\": no\\tsuch key");
}

#[test]
fn a_user_or_a_password_is_refused_and_never_shown() {
    let userinfo = "it has a user or a password: send them in a header";
    for (url, shown) in [
        ("https://user:s3cret@a.example/x", "https://***@a.example/x"),
        ("https://s3cret@a.example", "https://***@a.example"),
        ("https://:s3cret@a.example", "https://***@a.example"),
        ("https://s3cret@", "https://***@"),
        ("https://user:s3@cret@a.example", "https://***@a.example"),
        ("ftp://user:s3cret@a.example", "ftp://***@a.example"),
        ("user:s3cret@a.example", "***@a.example"),
        ("https://u:s3cret@a.example?key=s3cret", "https://***@a.example?***"),
        ("https://u@a.example?mail=a@b&key=s3cret", "https://***"),
    ] {
        let error = Origin::parse(url).unwrap_err();
        assert_eq!((error.reason(), error.key()), (userinfo, shown));
    }
    // Passwords that should have been escaped.
    for (url, shown) in [
        ("https://user:s3cret/x@a.example", "https://***@a.example"),
        ("https://user:s3cret?x@a.example", "https://***"),
        ("https://user:s3cret#x@a.example", "https://***"),
        ("https://user:s3cret x@a.example", "https://***@a.example"),
        ("user:s3cret/x@a.example", "***@a.example"),
        ("https://a.example:0/?key=s3cret", "https://a.example:0/?***"),
        ("a.example/?key=s3cret", "a.example/?***"),
    ] {
        let error = Origin::parse(url).unwrap_err();
        assert_eq!(error.key(), shown);
        assert!(!format!("{error} {error:?}").contains("s3"), "{error}");
    }
}

#[test]
fn each_parameter_makes_another_model_key() {
    let keys = [
        chat(),
        ModelKey::new("openai", "gpt-4o"),
        ModelKey::new("azure", "gpt-4o-mini"),
        chat().temperature(0.2),
        chat().temperature(0.8),
        chat().temperature(0.0),
        chat().top_p(0.2),
        chat().max_tokens(1),
        chat().max_tokens(2),
        chat().param("seed", "7"),
        chat().param("seed", "8"),
        chat().param("dees", "7"),
        chat().param("a", "b").param("c", "d"),
        chat().param("a", "bc").param("", "d"),
        ModelKey::new("openai:gpt", "4"),
        ModelKey::new("openai", "gpt:4"),
    ];
    let different: HashSet<ModelKey> = keys.iter().cloned().collect();
    assert_eq!(different.len(), keys.len());
    let sorted: BTreeSet<&ModelKey> = keys.iter().collect();
    assert_eq!(sorted.len(), keys.len());
}

#[test]
fn neither_order_nor_repetition_makes_another_model_key() {
    let one = chat().temperature(0.2).top_p(0.9).param("a", "1").param("b", "2");
    let two = chat().param("b", "2").top_p(0.9).param("a", "0").temperature(0.8);
    assert_ne!(one, two);
    let two = two.param("a", "1").temperature(0.5).temperature(0.2);
    assert_eq!((&one, hash(&one)), (&two, hash(&two)));
    assert_eq!(one.cmp(&two), std::cmp::Ordering::Equal);

    let changed = one.clone().max_tokens(5);
    assert_eq!((one.get_max_tokens(), changed.get_max_tokens()), (None, Some(5)));
    assert_ne!(one, changed);
}

#[test]
fn odd_floats_keep_equality_an_equivalence() {
    let zeros = (chat().temperature(0.0).top_p(-0.0), chat().temperature(-0.0).top_p(0.0));
    assert_eq!((&zeros.0, hash(&zeros.0)), (&zeros.1, hash(&zeros.1)));
    assert_eq!(zeros.1.to_string(), "openai:gpt-4o-mini:temperature=0.0:top_p=0.0");
    let nan = chat().temperature(f64::NAN);
    let other_nan = chat().temperature(-f64::NAN);
    assert_eq!((&nan, hash(&nan)), (&other_nan, hash(&other_nan)));
    assert!(HashSet::from([nan]).contains(&other_nan));
}

#[test]
fn a_model_key_tells_its_parts_on_one_line() {
    let key = chat().param("stop", "\n").param("seed", "7").max_tokens(500).top_p(0.9);
    let key = key.temperature(1.0);
    assert_eq!((key.provider(), key.model()), ("openai", "gpt-4o-mini"));
    assert_eq!((key.get_temperature(), key.get_top_p()), (Some(1.0), Some(0.9)));
    assert_eq!((key.get_max_tokens(), key.get_param("seed")), (Some(500), Some("7")));
    assert_eq!(key.get_param("temperature"), None);
    assert_eq!(key.params().collect::<Vec<_>>(), [("seed", "7"), ("stop", "\n")]);
    let shown = "openai:gpt-4o-mini:temperature=1.0:top_p=0.9:max_tokens=500:seed=7:stop=\\n";
    assert_eq!(key.to_string(), shown);
    assert!(format!("{key:?}").contains("temperature: Some(1.0)"));
    key.check().unwrap();
    chat().check().unwrap();
    chat().temperature(0.0).top_p(0.0).max_tokens(1).check().unwrap();
    chat().temperature(2.0).top_p(1.0).max_tokens(u32::MAX).check().unwrap();
}

#[test]
fn a_model_key_lists_all_that_is_wrong() {
    let key = ModelKey::new("", "a\nb").temperature(f64::NAN).top_p(1.5).max_tokens(0);
    let error = key.param(" ", "x").param("top_p", "0.5").check().unwrap_err();
    assert_eq!(
        error.to_string(),
        "bad model key \":a\\nb:temperature=NaN:top_p=1.5:max_tokens=0: =x:top_p=0.5\": \
         provider must be some text on one line, and is \"\"; \
         model must be some text on one line, and is \"a\\nb\"; \
         temperature must be a number of at least 0, and is NaN; \
         top_p must be 0 to 1, and is 1.5; \
         max_tokens must be at least 1, and is 0; \
         a parameter's name must be some text on one line, and is \" \"; \
         parameter top_p=\"0.5\" must be set by the method top_p"
    );
    for wrong in [-0.1, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
        let error = chat().temperature(wrong).check().unwrap_err();
        assert!(error.reason().ends_with(&format!("is {wrong:?}")), "{error}");
        chat().top_p(wrong).check().unwrap_err();
    }
}

#[test]
fn an_adapter_key_is_two_names_and_not_their_joint() {
    let key = AdapterKey::new("gpt-4o", "openai");
    assert_eq!((key.model(), key.provider()), ("gpt-4o", "openai"));
    assert_eq!(key.to_string(), "gpt-4o:openai");
    assert_eq!(key, AdapterKey::new(String::from("gpt-4o"), "openai"));
    assert_eq!(hash(&key), hash(&key.clone()));
    key.check().unwrap();

    let (one, two) = (AdapterKey::new("a:b", "c"), AdapterKey::new("a", "b:c"));
    assert_eq!(one.to_string(), two.to_string());
    assert_ne!(one, two);
    assert!(two < one);
    assert_eq!(HashSet::from([one, two]).len(), 2);

    let error = AdapterKey::new(" ", "x\u{7}").check().unwrap_err();
    assert_eq!(
        error.to_string(),
        "bad adapter key \" :x\\u{7}\": model must be some text on one line, and is \" \"; \
         provider must be some text on one line, and is \"x\\u{7}\""
    );
}

#[test]
fn keys_can_be_shared_between_threads() {
    fn key<T: Send + Sync + Clone + Ord + Hash + std::fmt::Display + std::fmt::Debug>() {}
    key::<Origin>();
    key::<BaseUrl>();
    key::<ModelKey>();
    key::<AdapterKey>();
}
