//! `docs/config.schema.json`, made from the list of keys: with it an editor completes names and marks mistakes.

use serde_json::{Map, Value, json};

use super::keys::{KEYS, ROUTE_KEYS};

/// The whole document.
pub fn schema() -> String {
    let mut member = object();
    for key in &ROUTE_KEYS {
        place(&mut member, key.path, described(key.kind, key.what));
    }
    let mut schema = object();
    for key in &KEYS {
        place(&mut schema, key.path, described(key.kind, key.what));
    }
    place(
        &mut schema,
        "urlConfigs",
        json!({ "type": ["array", "null"], "items": member }),
    );
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("The configuration of Larder");
    format!("{schema:#}\n")
}

/// An object that has no other names than those that will be put there.
fn object() -> Value {
    json!({ "type": ["object", "null"], "properties": { "comment": {} }, "additionalProperties": false })
}

/// Puts what a key may be where it stands, with the objects on the way.
fn place(schema: &mut Value, path: &str, what: Value) {
    let (name, rest) = path
        .split_once('.')
        .map_or((path, None), |(name, rest)| (name, Some(rest)));
    let inner = &mut schema["properties"][name];
    match rest {
        None => *inner = what,
        Some(rest) => {
            if inner.is_null() {
                *inner = object();
            }
            place(inner, rest, what);
        }
    }
}

/// What a key may be, by the words of its unit; `null` leaves every key as it is.
fn described(kind: &str, what: &str) -> Value {
    let types: &[&str] = match kind {
        "s" | "ms" | "percent" => &["number", "string"],
        "bytes" => &["integer", "string"],
        "count" | "port" => &["integer"],
        "true, false" | "true or false" => &["boolean"],
        "path" | "URL" | "address" | "name" => &["string"],
        "object" | "s by status" => &["object"],
        "fingerprint, or list of them" => &["string", "array"],
        list if list.starts_with("list of ") => &["array"],
        _ => &[],
    };
    let mut of: Map<String, Value> = Map::new();
    of.insert("description".to_owned(), json!(format!("{what} ({kind})")));
    if types.is_empty() {
        let words: Vec<Value> = kind
            .split(", ")
            .map(Value::from)
            .chain([Value::Null])
            .collect();
        of.insert("enum".to_owned(), Value::Array(words));
    } else {
        of.insert("type".to_owned(), json!([types, &["null"]].concat()));
    }
    Value::Object(of)
}
