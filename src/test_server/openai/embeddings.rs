//! Embeddings: unit vectors that depend on the text alone.

use serde_json::Value;

use super::super::answer::Answer;
use super::super::refusal::Refusal;
use super::super::reply::Reply;
use super::Rules;
use super::messages::words;
use super::request::{self, get};

const DEFAULT_DIMENSIONS: usize = 8;
const MAX_DIMENSIONS: u64 = 4096;
const MAX_INPUTS: usize = 2048;

/// Answers the embeddings request in `body`; gives back how many tokens that took.
///
/// # Errors
/// What is wrong with the request.
pub(super) fn embed(
    body: &[u8],
    reply: &Reply,
    rules: &Rules,
    answer: &mut Answer,
) -> Result<u64, Refusal> {
    let asked = request::parse(body)?;
    let model = request::model(&asked)?;
    let inputs = inputs(&asked)?;
    let dimensions = match get(&asked, "dimensions") {
        None => DEFAULT_DIMENSIONS,
        Some(value) => match value.as_u64() {
            // Within the bound, so it fits.
            Some(count) if (1..=MAX_DIMENSIONS).contains(&count) => count as usize,
            _ => return Err(Refusal::invalid("dimensions", "an integer from 1 to 4096")),
        },
    };
    let in_base64 = match get(&asked, "encoding_format").map(|it| it.as_str()) {
        None | Some(Some("float")) => false,
        Some(Some("base64")) => true,
        Some(_) => return Err(Refusal::invalid("encoding_format", "'float' or 'base64'")),
    };
    rules.check_model(model)?;

    answer.text("{\"object\":\"list\",\"data\":[");
    for (index, input) in inputs.iter().enumerate() {
        answer.text(if index > 0 { ",{" } else { "{" });
        answer.text("\"object\":\"embedding\",\"index\":");
        answer.number(index as u64);
        answer.text(",\"embedding\":");
        let vector = unit_vector(input, dimensions);
        if in_base64 {
            let bytes: Vec<u8> = vector.iter().flat_map(|it| it.to_le_bytes()).collect();
            answer.json(&base64(&bytes));
        } else {
            answer.numbers(&vector);
        }
        answer.text("}");
    }
    let counted = inputs.iter().map(|it| words(it)).sum();
    let tokens = reply.usage.map_or(counted, |(prompt, _)| prompt);
    answer.text("],\"model\":");
    answer.json(model);
    answer.text(",\"usage\":{\"prompt_tokens\":");
    answer.number(tokens);
    answer.text(",\"total_tokens\":");
    answer.number(tokens);
    answer.text("}}");
    Ok(tokens)
}

fn inputs(asked: &Value) -> Result<Vec<&str>, Refusal> {
    let inputs = match get(asked, "input") {
        None => return Err(Refusal::missing("input")),
        Some(Value::String(text)) => Some(vec![text.as_str()]),
        Some(Value::Array(texts)) if (1..=MAX_INPUTS).contains(&texts.len()) => {
            texts.iter().map(Value::as_str).collect()
        }
        Some(_) => None,
    };
    inputs.filter(|texts| texts.iter().all(|it| !it.is_empty())).ok_or_else(|| {
        Refusal::invalid("input", "a string, or 1 to 2048 strings, none of them empty")
    })
}

/// Numbers from the text's hash, brought to length one.
fn unit_vector(text: &str, dimensions: usize) -> Vec<f32> {
    // FNV-1a over the text, SplitMix64 from there: the same on every machine and in every
    // version, which the standard library's hasher does not promise.
    let mut state = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // Odd, so never zero: there is always a length to divide by.
        (mixed >> 11 | 1) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    let vector: Vec<f64> = (0..dimensions).map(|_| next()).collect();
    let length = vector.iter().map(|it| it * it).sum::<f64>().sqrt();
    vector.iter().map(|it| (it / length) as f32).collect()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            // A digit for every byte and one more.
            if digit <= three.len() {
                text.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]));
            } else {
                text.push('=');
            }
        }
    }
    text
}
