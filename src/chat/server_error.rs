//! What servers say when they refuse, in the shapes that are commonly seen.
//!
//! An error may be an object or a text, at the top or below `error`; its code a text, a number or
//! nothing; and what a proxy says is a page. Whatever can be read of it is.

use serde_json::Value;
use ureq::http::HeaderMap;

use super::error::ChatError;
use super::error_kind::ErrorKind;
use super::headers;

/// Reads the answer of a status other than 2xx.
pub(super) fn read(status: u16, headers: &HeaderMap, body: &[u8]) -> ChatError {
    let text = String::from_utf8_lossy(body);
    let json = serde_json::from_str::<Value>(text.trim()).ok();
    let said = match &json {
        Some(json) => Said::of(json),
        None => Said::page(&text),
    };
    let kind = match status {
        // A page comes from something before the API, which knows no keys.
        403 if said.is_page => ErrorKind::BadRequest,
        _ => {
            let by_status = of_status(status);
            // Its words make nothing better: what the client did wrong stays wrong.
            let worse = |kind: &ErrorKind| by_status.is_retryable() || !kind.is_retryable();
            said.kind().filter(worse).unwrap_or(by_status)
        }
    };
    let message = if said.message.is_empty() { "no reason is given".into() } else { said.message };
    ChatError::new(kind, message)
        .with_status(status)
        .with_code(said.code)
        .with_request_id(said.request_id)
        .with_retry_after(headers::retry_after(headers))
}

/// What a piece of a stream, or an answer with a good status, says went wrong; `None` if it does
/// not.
pub(super) fn in_answer(json: &Value) -> Option<ChatError> {
    let error = json.get("error")?;
    // An empty one is none: some servers send it with every piece.
    let empty = match error {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    if empty {
        return None;
    }
    let said = Said::of(json);
    let kind = said.kind().or_else(|| Some(of_status(said.status?))).unwrap_or(ErrorKind::Server);
    let message = if said.message.is_empty() { "no reason is given".into() } else { said.message };
    Some(ChatError::new(kind, message).with_code(said.code).with_request_id(said.request_id))
}

/// What could be read.
#[derive(Default)]
struct Said {
    message: String,
    code: Option<String>,
    /// Further words for what it is.
    kind: Option<String>,
    request_id: Option<String>,
    /// A code that is a status.
    status: Option<u16>,
    is_page: bool,
}

impl Said {
    fn of(json: &Value) -> Self {
        // Google puts it into a list.
        let json = json.get(0).filter(|first| first.is_object()).unwrap_or(json);
        let inner = match json.get("error") {
            Some(Value::Object(_)) => json.get("error").unwrap_or(json),
            _ => json,
        };
        let message = ["message", "error", "detail", "details", "msg"]
            .iter()
            .find_map(|name| inner.get(name).map(words).filter(|words| !words.is_empty()));
        let message =
            message.unwrap_or_else(|| if json.is_object() { "".into() } else { words(json) });
        let named =
            |name: &str| inner.get(name).map(words).filter(|it| !it.is_empty() && it != "None");
        // A number is the status once more, in whichever form.
        let number = ["code", "httpCode", "status"].iter().find_map(|name| {
            let status = words(inner.get(name)?).parse().ok()?;
            (400..=599).contains(&status).then_some(status)
        });
        let kind = named("type").or_else(|| named("error_type")).or_else(|| named("httpStatus"));
        let code = named("code").filter(|code| code.parse::<i64>().is_err());
        Self {
            message,
            code: code.or_else(|| kind.clone()),
            kind,
            request_id: ["request_id", "requestId"]
                .iter()
                .find_map(|name| json.get(name).or_else(|| inner.get(name))?.as_str())
                .map(str::to_owned),
            status: number,
            is_page: false,
        }
    }

    /// Of a page its title; of a text all of it.
    fn page(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        let between = |open: &str, close: &str| {
            let start = lower.find(open)? + open.len();
            let end = start + lower[start..].find(close)?;
            Some(text[start..end].trim()).filter(|it| !it.is_empty())
        };
        let is_page = lower.contains("<html") || lower.contains("<!doctype");
        let title = between("<title>", "</title>").or_else(|| between("<h1>", "</h1>"));
        let message = match title.map(without_entities) {
            Some(title) => format!("a page: {title}"),
            None if is_page => "a page without a title".into(),
            None => text.trim().into(),
        };
        Self { message, is_page, ..Self::default() }
    }

    /// What its words say, where they say more than the status.
    fn kind(&self) -> Option<ErrorKind> {
        let names = [self.code.as_deref(), self.kind.as_deref()];
        let by_name = names.iter().flatten().find_map(|name| of_name(name));
        by_name.or_else(|| of_words(&self.message.to_ascii_lowercase()))
    }
}

/// Of the marks that stand for another those that everybody uses.
fn without_entities(title: &str) -> String {
    let marks = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&amp;", "&"),
    ];
    marks.iter().fold(title.to_owned(), |title, (mark, meant)| title.replace(mark, meant))
}

fn of_name(name: &str) -> Option<ErrorKind> {
    let kind = match name {
        "insufficient_quota"
        | "credit_balance_exhausted"
        | "organization_spend_limit_exceeded"
        | "project_spend_limit_exceeded"
        | "organization_usage_limit_exceeded"
        | "billing_error"
        | "billing_not_active"
        | "billing_hard_limit_reached"
        | "exceeded_current_quota_error"
        | "AccountOverdueError"
        | "AccountQuotaExceeded"
        | "SetLimitExceeded" => ErrorKind::Quota,
        "rate_limit_exceeded" | "rate_limit_error" | "slow_down" => ErrorKind::RateLimited,
        "context_length_exceeded" | "string_above_max_length" | "request_too_large" => {
            ErrorKind::TooLong
        }
        "content_filter" | "content_policy_violation" => ErrorKind::ContentRefused,
        "authentication_error" | "permission_error" | "invalid_api_key" => ErrorKind::Unauthorized,
        "not_found_error" | "model_not_found" => ErrorKind::NotFound,
        "api_error" | "overloaded_error" | "server_error" | "timeout_error" => ErrorKind::Server,
        _ => return None,
    };
    Some(kind)
}

/// For those that tell it in words only. The message is in lower case.
fn of_words(message: &str) -> Option<ErrorKind> {
    let any = |words: &[&str]| words.iter().any(|it| message.contains(it));
    if any(&[
        "maximum context length",
        "context length exceeded",
        "context window",
        "prompt is too long",
        "number of input tokens must be no more than",
    ]) {
        return Some(ErrorKind::TooLong);
    }
    any(&["safe experience mode"]).then_some(ErrorKind::Quota)
}

fn of_status(status: u16) -> ErrorKind {
    match status {
        401 | 403 | 407 => ErrorKind::Unauthorized,
        402 => ErrorKind::Quota,
        404 => ErrorKind::NotFound,
        408 | 409 | 500.. => ErrorKind::Server,
        413 => ErrorKind::TooLong,
        429 => ErrorKind::RateLimited,
        _ => ErrorKind::BadRequest,
    }
}

/// Whatever it is, as text.
fn words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            // FastAPI lists what is wrong with which field.
            let each = |item: &Value| item.get("msg").map_or_else(|| words(item), words);
            items.iter().map(each).collect::<Vec<_>>().join("; ")
        }
        Value::Object(fields) => {
            fields.get("message").or_else(|| fields.get("msg")).map_or_else(String::new, words)
        }
        other => other.to_string(),
    }
}
