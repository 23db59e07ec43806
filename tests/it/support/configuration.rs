//! Configurations for tests: the least that works, plus what a test adds.

use serde_json::{Value, json};

use super::Origin;

/// A configuration for the origin at `url`, on a free port of 127.0.0.1, overlaid with `more`, object by object.
pub fn config(url: &str, more: Value) -> Value {
    let mut whole = json!({ "backend": { "url": url }, "proxy": { "bind": "127.0.0.1", "port": 0 } });
    overlay(&mut whole, more);
    whole
}

/// As [`config`], for a scripted origin.
pub fn config_for(origin: &Origin, more: Value) -> Value {
    config(&origin.url(), more)
}

fn overlay(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                overlay(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}
