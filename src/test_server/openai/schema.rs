//! A small value that fits a JSON schema.

use serde_json::{Map, Value, json};

/// How deep a value is made, and of how many values: a schema may require itself.
const MAX_DEPTH: usize = 16;
const MAX_VALUES: usize = 1000;

/// A value of the schema: the required properties filled by their types. Text is `"text"`,
/// numbers are zero or the minimum, what has an `enum` is the first of it. Formats and patterns
/// are not looked at, and where a schema requires too much there is `null`.
pub(super) fn sample(schema: &Value) -> Value {
    Sampler { root: schema, values: 0 }.value(schema, 0)
}

struct Sampler<'a> {
    root: &'a Value,
    values: usize,
}

impl Sampler<'_> {
    fn value(&mut self, schema: &Value, depth: usize) -> Value {
        self.values += 1;
        if depth > MAX_DEPTH || self.values > MAX_VALUES {
            return Value::Null;
        }
        if let Some(path) = schema.get("$ref").and_then(Value::as_str) {
            let target = path.strip_prefix('#').and_then(|it| self.root.pointer(it));
            return target.map_or(Value::Null, |it| self.value(it, depth + 1));
        }
        let first = |name: &str| schema.get(name).and_then(Value::as_array)?.first();
        if let Some(value) = schema.get("const").or_else(|| schema.get("default")) {
            return value.clone();
        }
        if let Some(value) = first("enum") {
            return value.clone();
        }
        if let Some(one) = first("anyOf").or_else(|| first("oneOf")).or_else(|| first("allOf")) {
            return self.value(one, depth + 1);
        }
        let kind = schema.get("type").and_then(Value::as_str);
        match kind.or_else(|| first("type")?.as_str()) {
            Some("string") => json!("text"),
            Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(0)),
            Some("boolean") => json!(false),
            Some("array") => self.array(schema, depth),
            Some("object") => self.object(schema, depth),
            // Schemas leave the type out where there are properties.
            None if schema.get("properties").is_some() => self.object(schema, depth),
            _ => Value::Null,
        }
    }

    fn array(&mut self, schema: &Value, depth: usize) -> Value {
        let count = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        let item = schema.get("items").unwrap_or(&Value::Null);
        let mut items = Vec::new();
        for _ in 0..count {
            if self.values > MAX_VALUES {
                break;
            }
            items.push(self.value(item, depth + 1));
        }
        Value::Array(items)
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let required = schema.get("required").and_then(Value::as_array);
        let mut object = Map::new();
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            let property = schema.get("properties").and_then(|it| it.get(name));
            let value = self.value(property.unwrap_or(&Value::Null), depth + 1);
            object.insert(name.to_owned(), value);
        }
        Value::Object(object)
    }
}
