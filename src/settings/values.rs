//! Values that are more than a number, a text or a table of a struct's fields.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use toml::de::DeValue;

use super::form::{Form, Line, hidden, line, number, table, whole};
use super::reader::{Entry, Reader, join};
use super::secret::{TextFrom, shown_path};
use crate::agent::{Proxy, RootCerts};
use crate::balance::{
    Endpoint, LeastInUse, Limits, PeakEwma, PowerOfTwo, Priority, RoundRobin, Sticky, Strategy,
    WeightedRandom,
};
use crate::chat::ErrorKind;
use crate::keyed::ModelKey;

const STRATEGIES: [&str; 7] = [
    "round_robin",
    "weighted_random",
    "least_in_use",
    "power_of_two",
    "peak_ewma",
    "priority",
    "sticky",
];

impl Form for Arc<dyn Strategy> {
    fn read(&mut self, entry: &Entry<'_>, reader: &mut Reader<'_>) {
        *self = match entry.value.as_str() {
            Some("round_robin") => Arc::new(RoundRobin::new()),
            Some("weighted_random") => Arc::new(WeightedRandom),
            Some("least_in_use") => Arc::new(LeastInUse),
            Some("power_of_two") => Arc::new(PowerOfTwo),
            Some("peak_ewma") => Arc::new(PeakEwma),
            Some("priority") => Arc::new(Priority),
            Some("sticky") => Arc::new(Sticky),
            _ => return reader.not_among(entry, &STRATEGIES),
        };
    }

    /// By the name of its type, of your own ones too.
    fn show(&self, path: &str, lines: &mut Vec<Line>) {
        let debug = format!("{self:?}");
        let mut name = String::new();
        for c in debug.chars().take_while(char::is_ascii_alphanumeric) {
            if c.is_ascii_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(c.to_ascii_lowercase());
        }
        line(path, format_args!("{name:?}"), lines);
    }
}

impl Form for Proxy {
    fn read(&mut self, entry: &Entry<'_>, reader: &mut Reader<'_>) {
        let mut text = TextFrom::default();
        text.read(entry, reader);
        *self = match (&text, text.get()) {
            (TextFrom::Here(word), _) if word == "environment" => Self::Environment,
            (TextFrom::Here(word), _) if word == "direct" => Self::Direct,
            (TextFrom::Here(url), _) if url.contains('@') => {
                let what = "a user and a password may not stand in the file: write { env = \"NAME\" } \
                            or { file = \"NAME\" }, with the whole URL there";
                return reader.note(entry, what);
            }
            (_, Ok(url)) => Self::Url(url),
            (_, Err(wrong)) => return reader.note(entry, wrong),
        };
    }

    fn show(&self, path: &str, lines: &mut Vec<Line>) {
        match self {
            Self::Environment => line(path, "\"environment\"", lines),
            Self::Direct => line(path, "\"direct\"", lines),
            Self::Url(url) if url.contains('@') => hidden(path, url, lines),
            Self::Url(url) => line(path, format_args!("{url:?}"), lines),
        }
    }
}

impl Form for RootCerts {
    fn read(&mut self, entry: &Entry<'_>, reader: &mut Reader<'_>) {
        if entry.value.as_str() == Some("mozilla") {
            *self = Self::Mozilla;
            return;
        }
        if !entry.value.is_table() {
            return reader.must(entry, "be \"mozilla\" or { file = \"NAME\" }");
        }
        let mut from = TextFrom::default();
        from.read(entry, reader);
        let TextFrom::File(file) = from else {
            return reader
                .note(entry, "must be { file = \"NAME\" }, with certificates in PEM there");
        };
        match std::fs::read(&file) {
            Ok(pem) => *self = Self::Pem(pem),
            Err(error) => {
                let file = shown_path(&file);
                reader.note(entry, format_args!("the file {file} cannot be read: {error}"));
            }
        }
    }

    fn show(&self, path: &str, lines: &mut Vec<Line>) {
        match self {
            Self::Mozilla => line(path, "\"mozilla\"", lines),
            Self::Pem(pem) => hidden(path, String::from_utf8_lossy(pem), lines),
        }
    }
}

/// An endpoint as it stands in a file.
#[derive(Default)]
struct EndpointTable {
    provider: String,
    model: String,
    temperature: Option<f64>,
    top_p: Option<f64>,
    max_tokens: Option<u32>,
    params: BTreeMap<String, Param>,
    name: Option<String>,
    weight: f64,
    order: u32,
    limits: Limits,
}

table! {
    EndpointTable {
        provider,
        model,
        temperature or "none",
        top_p or "none",
        max_tokens or "none",
        params,
        name or "auto",
        weight,
        order,
        limits,
    }
}

impl From<EndpointTable> for Endpoint<ModelKey> {
    fn from(table: EndpointTable) -> Self {
        let mut key = ModelKey::new(table.provider, table.model);
        if let Some(temperature) = table.temperature {
            key = key.temperature(temperature);
        }
        if let Some(top_p) = table.top_p {
            key = key.top_p(top_p);
        }
        if let Some(max_tokens) = table.max_tokens {
            key = key.max_tokens(max_tokens);
        }
        for (name, Param(value)) in table.params {
            key = key.param(name, value);
        }
        let name = table.name.unwrap_or_else(|| key.to_string());
        Self::new(name, key).weight(table.weight).order(table.order).limits(table.limits)
    }
}

impl From<&Endpoint<ModelKey>> for EndpointTable {
    fn from(endpoint: &Endpoint<ModelKey>) -> Self {
        let Endpoint { name, weight, order, limits, value: key } = endpoint;
        let param = |(name, value): (&str, &str)| (name.to_owned(), Param(value.into()));
        Self {
            provider: key.provider().into(),
            model: key.model().into(),
            temperature: key.get_temperature(),
            top_p: key.get_top_p(),
            max_tokens: key.get_max_tokens(),
            params: key.params().map(param).collect(),
            name: Some(name.to_string()).filter(|name| *name != key.to_string()),
            weight: *weight,
            order: *order,
            limits: limits.clone(),
        }
    }
}

impl Form for Vec<Endpoint<ModelKey>> {
    fn read(&mut self, entry: &Entry<'_>, reader: &mut Reader<'_>) {
        self.clear();
        for entry in reader.list(entry) {
            let mut table = EndpointTable { weight: 1.0, ..EndpointTable::default() };
            table.read(&entry, reader);
            self.push(table.into());
        }
    }

    fn show(&self, path: &str, lines: &mut Vec<Line>) {
        for (index, endpoint) in self.iter().enumerate() {
            EndpointTable::from(endpoint).show(&format!("{path}[{index}]"), lines);
        }
    }
}

/// A parameter of a model, as its key has it: JSON, or a text that is none.
#[derive(Default)]
struct Param(String);

impl Form for Param {
    fn read(&mut self, entry: &Entry<'_>, reader: &mut Reader<'_>) {
        match json(entry.value) {
            Some(serde_json::Value::String(text)) if !is_json(&text) => self.0 = text,
            Some(value) => self.0 = value.to_string(),
            None => reader.must(entry, "be something that JSON has"),
        }
    }

    fn show(&self, path: &str, lines: &mut Vec<Line>) {
        if is_json(&self.0) {
            line(path, &self.0, lines)
        } else {
            line(path, Quoted(&self.0), lines)
        }
    }
}

struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// The same in JSON, which has no dates and no numbers that are none.
fn json(value: &DeValue<'_>) -> Option<serde_json::Value> {
    Some(match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(_) => whole(value)?.into(),
        DeValue::Float(_) => serde_json::Number::from_f64(number(value)?)?.into(),
        DeValue::Boolean(yes) => (*yes).into(),
        DeValue::Datetime(_) => return None,
        DeValue::Array(list) => serde_json::Value::Array(
            list.iter().map(|item| json(item.get_ref())).collect::<Option<_>>()?,
        ),
        DeValue::Table(table) => {
            let field =
                |(name, value): (&toml::Spanned<toml::de::DeString<'_>>, &toml::Spanned<_>)| {
                    Some((name.get_ref().to_string(), json(value.get_ref())?))
                };
            serde_json::Value::Object(table.iter().map(field).collect::<Option<_>>()?)
        }
    })
}

/// A table: for each kind of error a list of groups.
impl Form for Vec<(ErrorKind, String)> {
    fn read(&mut self, entry: &Entry<'_>, reader: &mut Reader<'_>) {
        self.clear();
        for entry in reader.table(entry) {
            let (mut kind, mut groups) = (ErrorKind::Invalid, Vec::new());
            let name = DeValue::String(entry.name.into());
            kind.read(&entry.of_name(&name), reader);
            Form::read(&mut groups, &entry, reader);
            self.extend(groups.into_iter().map(|group: String| (kind, group)));
        }
    }

    fn show(&self, path: &str, lines: &mut Vec<Line>) {
        let mut by_kind = BTreeMap::<String, Vec<String>>::new();
        for (kind, group) in self {
            let mut name = Vec::new();
            kind.show("", &mut name);
            let name = name.iter().map(|line| line.value.trim_matches('"')).collect();
            by_kind.entry(name).or_default().push(group.clone());
        }
        by_kind.iter().for_each(|(kind, groups)| groups.show(&join(path, kind), lines));
    }
}
