//! Embeddings.

use super::*;

fn embed(server: &TestServer, more: Value) -> (u16, Value) {
    let mut body = json!({"model": "e"});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    post(server, "/v1/embeddings", &body)
}

fn vector(embedding: &Value) -> Vec<f32> {
    let numbers = embedding["embedding"].as_array().unwrap();
    numbers.iter().map(|it| it.as_f64().unwrap() as f32).collect()
}

#[test]
fn embeddings_are_unit_vectors_that_depend_on_the_text_alone() {
    let server = TestServer::start().unwrap();
    let (status, answer) = embed(&server, json!({"input": ["one two", "three", "one two"]}));
    assert_eq!((status, &answer["object"], &answer["model"]), (200, &json!("list"), &json!("e")));
    assert_eq!(answer["usage"], json!({"prompt_tokens": 5, "total_tokens": 5}));
    let data = answer["data"].as_array().unwrap();
    for (index, embedding) in data.iter().enumerate() {
        assert_eq!(
            (&embedding["object"], &embedding["index"]),
            (&json!("embedding"), &json!(index))
        );
        let vector = vector(embedding);
        assert_eq!(vector.len(), 8);
        let length = vector.iter().map(|it| it * it).sum::<f32>().sqrt();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
    assert_eq!(data[0]["embedding"], data[2]["embedding"]);
    assert_ne!(data[0]["embedding"], data[1]["embedding"]);

    let other = TestServer::start().unwrap();
    let (_, again) = embed(&other, json!({"input": "three"}));
    assert_eq!(again["data"][0]["embedding"], data[1]["embedding"]);
}

#[test]
fn as_many_dimensions_come_as_are_asked_for() {
    let server = TestServer::start().unwrap();
    for dimensions in [1, 3, 4096] {
        let (_, answer) = embed(&server, json!({"input": "x", "dimensions": dimensions}));
        assert_eq!(vector(&answer["data"][0]).len(), dimensions);
    }
}

/// The bytes of base64 with its padding.
fn bytes(base64: &str) -> Vec<u8> {
    let digit = |it: u8| match it {
        b'A'..=b'Z' => it - b'A',
        b'a'..=b'z' => it - b'a' + 26,
        b'0'..=b'9' => it - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = base64.trim_end_matches('=').bytes().map(digit).collect();
    let bits = |at: usize| (digits[at / 6] >> (5 - at % 6)) & 1;
    let byte = |index: usize| (0..8).fold(0, |byte, bit| byte << 1 | bits(index * 8 + bit));
    (0..digits.len() * 6 / 8).map(byte).collect()
}

#[test]
fn in_base64_the_same_numbers_come_as_bytes() {
    let server = TestServer::start().unwrap();
    // Four, eight and twelve bytes: each kind of padding.
    for dimensions in 1..=3 {
        let ask = |format: &str| {
            let more = json!({"input": "x", "dimensions": dimensions, "encoding_format": format});
            embed(&server, more).1["data"][0].clone()
        };
        let text = ask("base64")["embedding"].as_str().unwrap().to_owned();
        assert_eq!(text.len() % 4, 0, "{text}");
        let numbers: Vec<f32> = bytes(&text)
            .chunks_exact(4)
            .map(|it| f32::from_le_bytes(it.try_into().unwrap()))
            .collect();
        assert_eq!(numbers, vector(&ask("float")));
    }
}

#[test]
fn what_cannot_be_embedded_is_refused() {
    let server = TestServer::start().unwrap();
    for (more, param) in [
        (json!({}), json!("input")),
        (json!({"input": ""}), json!("input")),
        (json!({"input": []}), json!("input")),
        (json!({"input": ["x", ""]}), json!("input")),
        (json!({"input": [1, 2]}), json!("input")),
        (json!({"input": vec!["x"; 2049]}), json!("input")),
        (json!({"input": "x", "dimensions": 0}), json!("dimensions")),
        (json!({"input": "x", "dimensions": 4097}), json!("dimensions")),
        (json!({"input": "x", "encoding_format": "hex"}), json!("encoding_format")),
        (json!({"input": "x", "model": 1}), json!(null)),
    ] {
        let (status, answer) = embed(&server, more);
        assert_eq!((status, &answer["error"]["param"]), (400, &param), "{answer}");
    }
    let url = format!("{}/v1/embeddings", server.url());
    assert_eq!(agent().get(url).call().unwrap().headers()["allow"], "POST");
}
