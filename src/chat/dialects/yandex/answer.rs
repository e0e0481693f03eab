//! What comes: one object, or one a line, each with all of the text so far.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value};
use ureq::http::HeaderMap;

use super::super::super::dialect::Next;
use super::super::super::draft::Draft;
use super::super::super::error::ChatError;
use super::super::super::error_kind::ErrorKind;
use super::super::super::reply::Finish;
use super::super::json::{Text, read};

/// Reads a whole answer.
pub(super) fn whole(body: &[u8], draft: &mut Draft) -> Result<Next, ChatError> {
    match read::<Line<'_>>(body)?.apply(draft)? {
        Some(Status::Partial) => Ok(Next::More),
        // That it has come is final enough, whatever its status is.
        Some(_) => Ok(Next::Done),
        None => Err(ChatError::malformed("it has no alternatives")),
    }
}

/// Reads one line of a stream.
pub(super) fn line(line: &[u8], draft: &mut Draft) -> Result<Next, ChatError> {
    Ok(match read::<Line<'_>>(line)?.apply(draft)? {
        Some(Status::Final) => Next::Done,
        _ => Next::More,
    })
}

/// Whether a stream that ended without a final status is whole.
pub(super) fn end(draft: &Draft) -> Next {
    // A reason that is not known is one all the same, if nothing follows it.
    if matches!(draft.finish(), Some(Finish::Other(_))) { Next::Done } else { Next::More }
}

/// Tells apart what Yandex calls by one name: a limit of how many at a time, and one of how many in
/// some time.
pub(super) fn named(error: ChatError) -> ChatError {
    if error.kind() != ErrorKind::RateLimited {
        return error;
    }
    let message = error.message().to_ascii_lowercase();
    if message.contains("gauge") {
        error.with_code("concurrency".to_owned())
    } else if message.contains(".rate") {
        error.with_code("rate".to_owned())
    } else {
        error
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    result: Option<Completion<'a>>,
    /// Without `result` around it, as over gRPC.
    #[serde(borrow, flatten)]
    bare: Completion<'a>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(default)]
    code: Option<Value>,
    #[serde(default)]
    message: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Completion<'a> {
    #[serde(borrow, default)]
    alternatives: Option<Vec<Alternative<'a>>>,
    #[serde(default)]
    usage: Option<Tokens>,
    #[serde(borrow, default)]
    model_version: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Alternative<'a> {
    #[serde(borrow, default)]
    message: Option<Said<'a>>,
    #[serde(borrow, default)]
    status: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said<'a> {
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(borrow, default)]
    tool_call_list: Option<ToolCallList<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolCallList<'a> {
    #[serde(borrow, default)]
    tool_calls: Vec<Call<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call<'a> {
    #[serde(borrow)]
    function_call: Function<'a>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(default)]
    arguments: Option<Map<String, Value>>,
}

/// Numbers of 64 bits, which JSON of protobuf has as text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tokens {
    input_text_tokens: Option<Value>,
    completion_tokens: Option<Value>,
    total_tokens: Option<Value>,
    completion_tokens_details: Option<Details>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    reasoning_tokens: Option<Value>,
}

/// What a status says of the answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Partial,
    Final,
    /// None, or one that is not known.
    Unknown,
}

impl Line<'_> {
    /// The status, if there is an answer in it.
    fn apply(self, draft: &mut Draft) -> Result<Option<Status>, ChatError> {
        let Self { result, bare, error, code, message } = self;
        let wrapped = result.is_some();
        let Completion { alternatives, usage, model_version } = result.unwrap_or(bare);
        let mut fields = Map::new();
        if let Some(error) = error {
            fields.insert("error".to_owned(), error);
        } else if let (false, None, Some(code), Some(message)) =
            (wrapped, &alternatives, code, message)
        {
            fields.insert("code".to_owned(), code);
            fields.insert("message".to_owned(), message);
        }
        if let Some(error) = error_in(fields) {
            return Err(error);
        }
        if let Some(model) = model_version {
            draft.set_model(&model);
        }
        if let Some(tokens) = usage {
            tokens.apply(draft);
        }
        let Some(first) = alternatives.and_then(|all| all.into_iter().next()) else {
            return Ok(None);
        };
        if let Some(said) = first.message {
            said.apply(draft);
        }
        Ok(Some(finish(first.status.as_deref().unwrap_or_default(), draft)))
    }
}

impl Said<'_> {
    fn apply(self, draft: &mut Draft) {
        // All of it every time, and not always as it began.
        if let Some(text) = self.text {
            draft.set_text(&text);
        }
        let calls = self.tool_call_list.map(|list| list.tool_calls).unwrap_or_default();
        for (number, Call { function_call }) in (0..).zip(calls) {
            let call = draft.tool_call(number);
            call.name = function_call.name.into_owned();
            call.arguments = Value::Object(function_call.arguments.unwrap_or_default()).to_string();
        }
    }
}

impl Tokens {
    fn apply(self, draft: &mut Draft) {
        let usage = draft.usage();
        usage.input = number(self.input_text_tokens.as_ref()).or(usage.input);
        usage.output = number(self.completion_tokens.as_ref()).or(usage.output);
        usage.told_total = number(self.total_tokens.as_ref()).or(usage.told_total);
        let details = self.completion_tokens_details;
        let reasoning = details.and_then(|details| number(details.reasoning_tokens.as_ref()));
        usage.reasoning = reasoning.or(usage.reasoning);
    }
}

/// Notes why the answer ended, if it did.
fn finish(status: &str, draft: &mut Draft) -> Status {
    let reason = match status.strip_prefix("ALTERNATIVE_STATUS_").unwrap_or(status) {
        "FINAL" => Finish::Stop,
        "TRUNCATED_FINAL" => Finish::Length,
        "CONTENT_FILTER" => Finish::ContentFilter,
        "TOOL_CALLS" => Finish::ToolCalls,
        "PARTIAL" => return Status::Partial,
        "UNSPECIFIED" | "" => return Status::Unknown,
        other => {
            draft.set_finish(Finish::Other(other.to_owned()));
            return Status::Unknown;
        }
    };
    draft.set_finish(reason);
    Status::Final
}

/// As a number or as text.
fn number(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::String(text) => text.parse().ok(),
        value => value.as_u64(),
    }
}

/// What an answer of a good status says went wrong, if it has any of these fields.
fn error_in(fields: Map<String, Value>) -> Option<ChatError> {
    let json = Value::Object(fields);
    let said = json.get("error");
    // An empty one is none.
    if said.is_some() || json.get("code").is_none() {
        ChatError::in_answer(&json)?;
    }
    let inner = said.unwrap_or(&json);
    let status = number(inner.get("httpCode")).or_else(|| {
        let code = inner.get("grpcCode").or_else(|| inner.get("code"));
        number(code).map(of_grpc)
    });
    let status = status.and_then(|status| u16::try_from(status).ok()).unwrap_or(500);
    Some(named(ChatError::from_body(status, &HeaderMap::new(), json.to_string().as_bytes())))
}

/// The status that stands for a code of gRPC, as `google.rpc.Code` has it; one that is a status
/// already stays as it is.
fn of_grpc(code: u64) -> u64 {
    match code {
        3 | 9 | 11 => 400,
        16 => 401,
        7 => 403,
        5 => 404,
        6 | 10 => 409,
        8 => 429,
        12 => 501,
        14 => 503,
        4 => 504,
        status @ 400..=599 => status,
        _ => 500,
    }
}
