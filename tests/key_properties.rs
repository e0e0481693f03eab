//! What holds for every string and every number that a key is made of.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::LazyLock;

use llm_pool::keyed::{BaseUrl, ModelKey, Origin};
use proptest::prelude::*;

fn hash(key: &impl Hash) -> u64 {
    static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    SEED.hash_one(key)
}

/// Strings that come near to a URL, or are one.
fn nearly_url() -> impl Strategy<Value = String> {
    let scheme = prop_oneof!["https?://", "HTTP://", "[a-z:/]{0,4}"];
    let host =
        prop_oneof!["[a-zA-Z0-9._-]{0,12}", "\\[[0-9a-fA-F:.%]{0,20}\\]", "[\\[\\]@:%a.]{0,6}"];
    let port = prop_oneof!["", ":[0-9]{0,6}", ":(80|443)", ":[+a-z]{0,3}"];
    let rest = prop_oneof!["", "/", "[/?#@: a-zA-Z\u{e4}]{0,8}", "/[a-z/]{0,8}"];
    (scheme, host, port, rest).prop_map(|(scheme, host, port, rest)| scheme + &host + &port + &rest)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn no_string_makes_parsing_panic(url in any::<String>()) {
        let _ = Origin::parse(&url);
        let _ = Origin::parse(&format!("http://{url}"));
        let _ = BaseUrl::parse(&format!("https://a/{url}"));
    }

    #[test]
    fn an_origin_is_read_back_from_its_text(url in nearly_url()) {
        match (Origin::parse(&url), BaseUrl::parse(&url)) {
            (Ok(origin), Ok(base)) => {
                let parts = (origin.scheme(), origin.host_and_port());
                prop_assert_eq!(origin.as_str(), format!("{}://{}", parts.0, parts.1));
                prop_assert!(origin.host_and_port().starts_with(origin.host()));
                prop_assert_eq!(&Origin::parse(origin.as_str()).unwrap(), &origin);
                let whole = format!("{}://{}:{}", parts.0, origin.host(), origin.port());
                prop_assert_eq!(&Origin::parse(&whole).unwrap(), &origin);
                prop_assert_eq!(base.origin(), &origin);
                prop_assert_eq!(BaseUrl::parse(base.as_str()).unwrap(), base);
            }
            (Err(one), Err(two)) => prop_assert_eq!(one, two),
            (one, two) => prop_assert!(false, "{:?} but {:?}", one, two),
        }
    }

    #[test]
    fn no_password_is_shown(host in "[a-z:/?#@ ]{0,6}", odd in "[a-z:/?#@\\[ ]{0,6}") {
        // None can be an origin: what is before the first '/', '?' or '#' has a user, or a bad port.
        let url = format!("https://u:S3CRET{odd}@{host}");
        let error = Origin::parse(&url).unwrap_err();
        prop_assert!(!format!("{error} {error:?}").contains("S3"), "{}", error);
    }

    #[test]
    fn model_keys_are_equal_if_their_parts_are(
        one in (-1..2_i32, 0..2_u32, "[ab]{0,1}"),
        two in (-1..2_i32, 0..2_u32, "[ab]{0,1}"),
    ) {
        let key = |parts: &(i32, u32, String)| {
            let key = ModelKey::new("openai", "gpt-4o-mini").temperature(f64::from(parts.0)).max_tokens(parts.1);
            key.param("p", parts.2.as_str())
        };
        let (left, right) = (key(&one), key(&two));
        prop_assert_eq!(left == right, one == two);
        prop_assert_eq!(hash(&left) == hash(&right), one == two);
        prop_assert_eq!(left.cmp(&right).is_eq(), one == two);
    }
}
