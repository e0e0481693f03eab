//! Pools to tell of, and how they are asked.

use llm_pool::admin::{Admin, AdminConfig};
use llm_pool::keyed::{AdapterKey, KeyedConfig, KeyedPool, Setup};
use llm_pool::ureq::http::{Request, Response, request::Builder};
use serde_json::Value;

use crate::support::*;

pub const TOKEN: &str = "a-token-that-is-long";

pub type Adapters = KeyedPool<AdapterKey, Maker>;

pub fn adapters(script: &std::sync::Arc<Script>, max_size: usize) -> Adapters {
    let script = script.clone();
    let config = KeyedConfig::default().pool(config("adapters", max_size));
    KeyedPool::new(config, move |_: &AdapterKey| Ok(Setup::new(script.maker()))).unwrap()
}

pub fn gpt() -> AdapterKey {
    AdapterKey::new("gpt-4o", "openai")
}

/// With the token, telling of one pool.
pub fn admin(pool: &Adapters) -> Admin {
    Admin::new(AdminConfig::default().token(TOKEN)).unwrap().pool("adapters", pool.clone())
}

pub fn request(method: &str, path: &str) -> Builder {
    Request::builder().method(method).uri(path).header("host", "localhost:9099")
}

pub fn ask(admin: &Admin, request: Builder, body: &str) -> Response<Vec<u8>> {
    admin.handle(&request.body(body.as_bytes().to_vec()).unwrap())
}

pub fn get(admin: &Admin, path: &str) -> Response<Vec<u8>> {
    ask(admin, request("GET", path), "")
}

pub fn post(admin: &Admin, path: &str, body: &str) -> Response<Vec<u8>> {
    let request = request("POST", path).header("authorization", format!("Bearer {TOKEN}"));
    ask(admin, request.header("content-type", "application/json; charset=utf-8"), body)
}

pub fn json(answer: &Response<Vec<u8>>) -> Value {
    serde_json::from_slice(answer.body()).unwrap()
}

/// The data of an answer that is a success.
pub fn data(answer: &Response<Vec<u8>>) -> Value {
    let mut json = json(answer);
    assert_eq!((answer.status().as_u16(), &json["success"]), (200, &true.into()), "{json}");
    assert!(json["message"].is_string(), "{json}");
    json["data"].take()
}

/// Asserts a refusal in the one shape that they have; returns its message.
pub fn refused(answer: &Response<Vec<u8>>, status: u16) -> String {
    let json = json(answer);
    assert_eq!(answer.status().as_u16(), status, "{json}");
    assert_eq!(json["success"], false);
    assert_eq!(json.as_object().unwrap().len(), 2, "{json}");
    json["message"].as_str().unwrap().to_owned()
}
