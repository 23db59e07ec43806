//! Configurations for tests: the least that works, plus what a test adds.

use serde_json::{Value, json};

use super::Origin;

/// A configuration for the origin at `url`, on a free port of 127.0.0.1, overlaid with `more`, object by object. It has the
/// numbers of the preset pypowerwall, but neither its routes nor its polls: the origin sees what the test asks for.
pub fn config(url: &str, more: Value) -> Value {
    let mut whole = json!({
        "preset": "api",
        "backend": { "maxConcurrentRequests": 2, "retries": 0 },
        "cache": { "slowRequestTimeout": 2000, "graceTime": 30, "jitter": 0 },
    });
    overlay(&mut whole, home(url, more));
    whole
}

/// As [`config`], for a scripted origin.
pub fn config_for(origin: &Origin, more: Value) -> Value {
    config(&origin.url(), more)
}

/// A configuration as a home has it, the whole preset pypowerwall on, for the origin at `url`. Connections may idle for a day:
/// tests move the clock by minutes while they keep theirs.
pub fn home(url: &str, more: Value) -> Value {
    let mut whole = json!({ "backend": { "url": url }, "proxy": { "bind": "127.0.0.1", "port": 0, "keepAliveTimeout": 86_400_000 } });
    overlay(&mut whole, more);
    whole
}

/// As [`home`], for a scripted origin.
pub fn home_for(origin: &Origin, more: Value) -> Value {
    home(&origin.url(), more)
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
