//! Where GigaChat's tokens come from.

use std::io::Read;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use ureq::http::{HeaderMap, HeaderValue, header};
use ureq::{Agent, Error, Timeout};

use super::super::super::error::ChatError;
use super::super::super::error_kind::ErrorKind;
use super::super::super::hide::hide;
use super::super::super::token::{Token, TokenSource};
use super::Scope;
use crate::keyed::BaseUrl;

/// Sber's OAuth server. It gives tokens for half an hour.
pub(super) struct OAuth {
    url: String,
    key: String,
    scope: Scope,
}

impl OAuth {
    pub(super) fn new(url: String, key: String, scope: Scope) -> Self {
        Self { url, key, scope }
    }

    fn authorization(&self) -> Result<HeaderValue, ChatError> {
        // Already base64: not encoded again.
        let value = HeaderValue::from_str(&format!("Basic {}", self.key));
        let mut value = value.map_err(|_| ChatError::invalid(KEY))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl TokenSource for OAuth {
    fn fetch(&self, agent: &Agent) -> Result<Token, ChatError> {
        let authorization = self.authorization()?;
        let mut sent = HeaderMap::new();
        sent.insert(header::AUTHORIZATION, authorization.clone());
        let response = agent
            .post(&self.url)
            .header(header::AUTHORIZATION, authorization)
            .header("RqUID", uuid::Uuid::new_v4().to_string())
            .header(header::ACCEPT, "application/json")
            .content_type("application/x-www-form-urlencoded")
            .config()
            // The key is for this server only.
            .max_redirects(0)
            .build()
            .send(format!("scope={}", self.scope.as_str()));
        let response = response.map_err(|error| no_answer(&error))?;
        let (head, body) = response.into_parts();
        let mut bytes = Vec::new();
        let read = body.into_reader().take(LONGEST_ANSWER).read_to_end(&mut bytes);
        let status = head.status.as_u16();
        if !head.status.is_success() {
            // What can be had of a refusal is enough.
            let mut error = refusal(status, &head.headers, &bytes);
            error.rewrite(|text| hide(text, &[&sent], &[]));
            return Err(error);
        }
        read.map_err(|error| no_answer(&error.into()))?;
        read_token(&bytes)
    }

    fn check(&self) -> Result<(), String> {
        if self.key.is_empty() || !self.key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(KEY.into());
        }
        BaseUrl::parse(&self.url).map_err(|wrong| format!("oauth_url: {wrong}"))?;
        Ok(())
    }
}

/// What is wrong with a key. The usual cause is the line break at the end of a file.
const KEY: &str =
    "the authorization key must be visible ASCII without spaces or line breaks, and not empty";

/// Most bytes of an answer that are read.
const LONGEST_ANSWER: u64 = 64 * 1024;

/// Below it a time is in seconds, and else in milliseconds: the two are apart by a factor of 1000,
/// and 1e11 s are 3000 years.
const SECONDS_BELOW: f64 = 1e11;

/// `access_token` with `expires_at`, or `tok` with `exp`.
pub(super) fn read_token(body: &[u8]) -> Result<Token, ChatError> {
    let unread = || ChatError::malformed("no token: what the OAuth server sent is not understood");
    let answer: Value = serde_json::from_slice(body).map_err(|_| unread())?;
    let either = |one: &str, other: &str| {
        answer.get(one).filter(|it| !it.is_null()).or_else(|| answer.get(other)).cloned()
    };
    let secret = either("access_token", "tok");
    let secret = secret.as_ref().and_then(Value::as_str).filter(|it| !it.is_empty());
    let token = Token::new(secret.ok_or_else(unread)?);
    let at = match either("expires_at", "exp") {
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(number) => number.as_f64(),
        None => None,
    };
    // None for zero, which says that the end is not known.
    let at = at.filter(|at| *at > 0.0).and_then(|at| {
        let seconds = if at < SECONDS_BELOW { at } else { at / 1000.0 };
        SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
    });
    Ok(at.into_iter().fold(token, Token::expires_at))
}

/// `{"code": number, "message"}`; anything else as other servers say it.
fn refusal(status: u16, headers: &HeaderMap, body: &[u8]) -> ChatError {
    let read = ChatError::from_body(status, headers, body);
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let kind = match status {
        429 => ErrorKind::RateLimited,
        408 | 500.. => ErrorKind::Server,
        401 => ErrorKind::Unauthorized,
        // A page comes from something before it, such as for a wrong path.
        _ if json.is_none() => read.kind(),
        _ => ErrorKind::Unauthorized,
    };
    let code = json.as_ref().and_then(|json| json.get("code"));
    let code = code.filter(|code| code.is_number()).map(Value::to_string);
    let code = code.or_else(|| read.code().map(str::to_owned));
    ChatError::new(kind, format_args!("no token: {}", read.message()))
        .with_code(code)
        .with_status(status)
        .with_retry_after(read.retry_after())
        .with_request_id(read.request_id().map(str::to_owned))
}

fn no_answer(error: &Error) -> ChatError {
    let kind = match error {
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => ErrorKind::Unreachable,
        Error::Timeout(_) => ErrorKind::TimedOut,
        Error::BadUri(_) | Error::Http(_) | Error::RequireHttpsOnly(_) => ErrorKind::Invalid,
        _ => ErrorKind::Unreachable,
    };
    let said = error.to_string();
    let unknown = said.contains("UnknownIssuer") || said.contains("unknown issuer");
    let hint = if unknown { "; give the Russian Trusted Root CA to root_certs" } else { "" };
    ChatError::new(kind, format_args!("no token: {said}{hint}"))
}
