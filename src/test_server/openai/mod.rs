//! OpenAI's dialect: what is at which path, for whom and how often.

mod chat;
mod embeddings;
mod limits;
mod messages;
mod models;
mod request;
mod said;
mod schema;
mod stream;
mod tools;

pub(super) use limits::Limits;

use super::answer::Answer;
use super::refusal::Refusal;
use super::reply::Reply;
use crate::http1::{Method, Request};

pub(super) const CHAT_PATH: &str = "/v1/chat/completions";
const EMBEDDINGS_PATH: &str = "/v1/embeddings";
const MODELS_PATH: &str = "/v1/models";

/// What a server asks of requests and serves to them, fixed once it runs.
#[derive(Default)]
pub(super) struct Rules {
    /// None: any model is served, and one is listed.
    pub(super) models: Option<Vec<String>>,
    /// None: no key is asked for.
    pub(super) api_key: Option<String>,
    pub(super) limits: Limits,
}

/// Makes the proper answer to `request`.
///
/// # Errors
/// What is wrong with the request.
pub(super) fn answer(
    request: &Request<'_>,
    reply: &Reply,
    number: u64,
    rules: &Rules,
    answer: &mut Answer,
) -> Result<(), Refusal> {
    rules.check_key(request)?;
    match (request.path, request.method) {
        (CHAT_PATH, Method::Post) => {
            let tokens = chat::complete(request.body, reply, number, rules, answer)?;
            rules.limits.charge(tokens, answer);
        }
        (EMBEDDINGS_PATH, Method::Post) => {
            let tokens = embeddings::embed(request.body, reply, rules, answer)?;
            rules.limits.charge(tokens, answer);
        }
        (CHAT_PATH | EMBEDDINGS_PATH, _) => refuse_method(answer, "POST"),
        (path, method) => match models::asked_for(path) {
            Some(_) if !matches!(method, Method::Get | Method::Head) => {
                refuse_method(answer, "GET, HEAD");
            }
            Some(id) => models::tell(id, rules, answer)?,
            None => return Err(Refusal::of_status(404, format!("there is nothing at {path}"))),
        },
    }
    Ok(())
}

fn refuse_method(answer: &mut Answer, allow: &'static str) {
    answer.refuse(405, &format!("the method is not allowed here; use {allow}"));
    answer.headers.push(("allow", allow.into()));
}

impl Rules {
    /// # Errors
    /// When a key is asked for and this is not it. The one that was sent is not told again: logs
    /// are full of errors.
    fn check_key(&self, request: &Request<'_>) -> Result<(), Refusal> {
        let Some(key) = &self.api_key else { return Ok(()) };
        let sent = request.header("authorization").and_then(|value| {
            let (scheme, sent) = value.split_at_checked("Bearer ".len())?;
            scheme.eq_ignore_ascii_case(b"Bearer ").then(|| sent.trim_ascii())
        });
        let mut refusal = match sent {
            Some(sent) if sent == key.as_bytes() => return Ok(()),
            Some(_) => Refusal::of_status(401, "Incorrect API key provided."),
            None => Refusal::of_status(
                401,
                "You didn't provide an API key. You need to provide your API key in an \
                 Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
            ),
        };
        refusal.code = sent.is_some().then_some("invalid_api_key");
        Err(refusal.kind("invalid_request_error"))
    }

    /// # Errors
    /// When the models have been named and this is none of them.
    fn check_model(&self, model: &str) -> Result<(), Refusal> {
        match &self.models {
            Some(models) if !models.iter().any(|it| it == model) => Err(Refusal::no_model(model)),
            _ => Ok(()),
        }
    }
}
