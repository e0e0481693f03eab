//! URLs as keys: what is read is read again from its own text, and no password is shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use llm_pool::keyed::{BaseUrl, Origin};

fuzz_target!(|url: &str| {
    match (Origin::parse(url), BaseUrl::parse(url)) {
        (Ok(origin), Ok(base)) => {
            assert_eq!(Origin::parse(origin.as_str()).as_ref(), Ok(&origin));
            assert_eq!(base.origin(), &origin);
            assert_eq!(BaseUrl::parse(base.as_str()).as_ref(), Ok(&base));
        }
        (Err(one), Err(two)) => assert_eq!(one, two),
        (one, two) => panic!("{one:?} but {two:?}"),
    }
    let secret = format!("https://user:S3CRET{url}@host/");
    if let Err(error) = Origin::parse(&secret) {
        assert!(!format!("{error} {error:?}").contains("S3CRET"));
    }
});
