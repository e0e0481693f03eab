//! The list of models, and each of them.

use super::super::answer::Answer;
use super::super::refusal::Refusal;
use super::{MODELS_PATH, Rules};

/// What a path asks for: all models (an empty name) or one; none if it is not about models.
pub(super) fn asked_for(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(MODELS_PATH)?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('/').filter(|it| !it.is_empty()) }
}

/// Tells of all models, or of the one whose name, as it is in a path, is `id`.
///
/// # Errors
/// When there is no such model.
pub(super) fn tell(id: &str, rules: &Rules, answer: &mut Answer) -> Result<(), Refusal> {
    let only = ["test-model".to_owned()];
    let models = rules.models.as_deref().unwrap_or(&only);
    if id.is_empty() {
        answer.text("{\"object\":\"list\",\"data\":[");
        for (index, model) in models.iter().enumerate() {
            if index > 0 {
                answer.text(",");
            }
            write(model, answer);
        }
        answer.text("]}");
        return Ok(());
    }
    let id = decoded(id);
    if !models.contains(&id) {
        return Err(Refusal::no_model(&id));
    }
    write(&id, answer);
    Ok(())
}

fn write(model: &str, to: &mut Answer) {
    to.text("{\"id\":");
    to.json(model);
    to.text(",\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"llm-pool\"}");
}

/// Names have slashes and colons, which some clients encode.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                // Two hexadecimal digits fit.
                bytes.push((high * 16 + low) as u8);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
