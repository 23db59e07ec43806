//! Row C-3: docs/config.schema.json is what the keys say, and lets every valid file pass.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a file that cannot be read is a failed test"
)]

use std::fs;
use std::path::Path;

use larder::config::pages;
use larder::config::table::Table;
use serde_json::{Value, json};

#[test]
fn c3_the_schema_is_what_the_keys_say() {
    let path = root().join("docs/config.schema.json");
    if std::env::var_os("LARDER_BLESS").is_some() {
        fs::write(&path, pages::schema(&Table::larder())).unwrap();
    }
    let text = fs::read_to_string(path).unwrap();
    assert!(
        text == pages::schema(&Table::larder()),
        "it differs: LARDER_BLESS=1 cargo test --test schema writes it"
    );
}

#[test]
fn c3_valid_files_fit_the_schema() {
    let schema: Value = serde_json::from_str(&pages::schema(&Table::larder())).expect("JSON");
    for name in [
        "config.example.json",
        "tests/fixtures/node-config.json",
        "tests/fixtures/node-config-example.json",
    ] {
        let text = fs::read_to_string(root().join(name)).unwrap();
        let bare: String = text.lines().map(without_comment).collect();
        let file: Value =
            serde_json::from_str(&bare).unwrap_or_else(|error| panic!("{name}: {error}"));
        expect_fits(&file, &schema, name);
    }
}

/// Panics where a value is of a type, a word or a name that the schema does not know.
fn expect_fits(value: &Value, schema: &Value, place: &str) {
    let fits = match (schema["type"].as_array(), schema["enum"].as_array()) {
        (Some(types), _) => types.iter().any(|name| is_of(value, name)),
        (None, Some(words)) => words.contains(value),
        (None, None) => schema == &json!({}),
    };
    assert!(fits, "{place}: {value}");
    for (name, member) in value
        .as_object()
        .into_iter()
        .flatten()
        .filter(|_| schema.get("properties").is_some())
    {
        let known = schema["properties"]
            .get(name)
            .unwrap_or_else(|| panic!("{place}.{name} is not known"));
        expect_fits(member, known, &format!("{place}.{name}"));
    }
    for item in value
        .as_array()
        .into_iter()
        .flatten()
        .filter(|_| schema.get("items").is_some())
    {
        expect_fits(item, &schema["items"], place);
    }
}

fn is_of(value: &Value, name: &Value) -> bool {
    match name.as_str().expect("a name") {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other}"),
    }
}

/// The `//` of a comment stands behind a space or begins the line; that of a URL does not.
fn without_comment(line: &str) -> &str {
    let line = if line.starts_with("//") { "" } else { line };
    line.split_once(" //").map_or(line, |(code, _)| code)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
