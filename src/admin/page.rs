//! The status page: sent as one file, in which nothing runs but what is its own.

use ureq::http::HeaderValue;
use ureq::http::header::{CONTENT_SECURITY_POLICY, HeaderName};
use uuid::Uuid;

use super::answer::{Answer, text};

/// With places for the three that follow, and for [`NONCE`].
const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");
/// What the page has no use for without registries of sockets. It needs what is in the other script.
const SOCKETS: &str = include_str!("page/sockets.js");

/// Where the page has the number that its script and its style sheet are known by.
const NONCE: &str = "{{nonce}}";

pub(super) fn page() -> Answer {
    let nonce = Uuid::new_v4().simple().to_string();
    let page = PAGE
        .replace(NONCE, &nonce)
        .replace("{{style}}", STYLE)
        .replace("{{script}}", SCRIPT)
        .replace("{{sockets}}", SOCKETS);
    let mut page = text(200, "text/html; charset=utf-8", page.into_bytes());
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
         img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::try_from(policy) {
        let name: HeaderName = CONTENT_SECURITY_POLICY;
        page.headers_mut().insert(name, policy);
    }
    page
}
