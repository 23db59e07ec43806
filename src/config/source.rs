//! Where each value comes from: the file's document with single values of environment and command line laid over it.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use super::Problems;
use super::document::Document;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it: the preset's default.
    Preset,
    /// The configuration file.
    File,
    /// This variable of a `.env` file, on this line.
    DotEnv(String, usize),
    /// This variable of the environment.
    Environment(String),
    /// This option of the command line.
    CommandLine(&'static str),
}

impl Source {
    /// Where to correct it.
    pub fn place(&self) -> String {
        match self {
            Source::DotEnv(name, line) => format!(".env line {line}, {name}"),
            Source::Environment(name) => format!("environment variable {name}"),
            Source::CommandLine(option) => format!("option {option}"),
            Source::Preset | Source::File => self.to_string(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Preset => f.write_str("preset"),
            Source::File => f.write_str("file"),
            Source::DotEnv(name, _) => write!(f, ".env {name}"),
            Source::Environment(name) => write!(f, "environment {name}"),
            Source::CommandLine(option) => write!(f, "command line {option}"),
        }
    }
}

/// One value from outside the file.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The key it is for, such as `proxy.port`.
    pub path: &'static str,
    /// What it says.
    pub value: Value,
    /// Where it is written.
    pub source: Source,
}

impl Setting {
    /// What a text from outside the file says: a number, if it is a whole one.
    pub fn new(path: &'static str, text: &str, source: Source) -> Setting {
        let number = text.trim().parse::<u64>();
        Setting {
            path,
            value: number.map_or_else(|_| Value::from(text), Value::from),
            source,
        }
    }
}

/// The document that is read, and where its values come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    document: Document,
    laid: BTreeMap<&'static str, Source>,
}

impl Sources {
    /// Lays settings over a document; of two for one key the later wins.
    pub fn new(mut document: Document, settings: Vec<Setting>) -> Sources {
        let mut laid = BTreeMap::new();
        for setting in settings {
            if lay(&mut document.value, setting.path, setting.value) {
                laid.insert(setting.path, setting.source);
            }
        }
        Sources { document, laid }
    }

    /// All of it.
    pub fn value(&self) -> &Value {
        &self.document.value
    }

    /// Where the value of a key such as `cache.maxBytes` comes from.
    pub fn of(&self, path: &str) -> Source {
        let is_given = find(self.value(), path).is_some();
        let own = self.laid.get(path).cloned();
        own.unwrap_or(if is_given {
            Source::File
        } else {
            Source::Preset
        })
    }

    /// The same for a key with another name. One that is false says nothing.
    pub fn of_either(&self, path: &str, other_name: &str) -> Source {
        let other = find(self.value(), other_name).filter(|value| **value != Value::Bool(false));
        match (self.of(path), other) {
            (Source::Preset, Some(_)) => Source::File,
            (source, _) => source,
        }
    }

    /// Where the value of a key of the member of `urlConfigs` for this path comes from.
    pub fn of_route(&self, route: &Value, key: &str) -> Source {
        let members = find(self.value(), "urlConfigs").and_then(Value::as_array);
        let own = |member: &&Value| member.get("path") == Some(route);
        // A section such as `check` is replaced as a whole.
        let key = key.split('.').next().unwrap_or_default();
        match members
            .into_iter()
            .flatten()
            .filter(own)
            .any(|member| find(member, key).is_some())
        {
            true => Source::File,
            false => Source::Preset,
        }
    }

    /// Gives each problem with a key its place.
    pub fn locate(&self, problems: &mut Problems) {
        for problem in problems
            .0
            .iter_mut()
            .filter(|problem| problem.place.is_empty())
        {
            let own = problem.path.split('[').next().unwrap_or_default();
            if let Some(source) = self.laid.get(own) {
                problem.place = source.place();
            } else if let Some(position) = self.document.position(&problem.path) {
                problem.set_position(&self.document.name, position);
            }
        }
    }
}

/// The value at a path such as `backend.tls.caFile`. `None`: absent or null.
pub fn find<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    let mut keys = path.split('.');
    let found = keys.try_fold(document, |value, key| value.get(key));
    found.filter(|value| !value.is_null())
}

/// Puts a value at a path. False where the document has something else than an object on the way, which is a mistake of
/// its own.
fn lay(document: &mut Value, path: &str, value: Value) -> bool {
    let Value::Object(members) = document else {
        return false;
    };
    let Some((section, rest)) = path.split_once('.') else {
        members.insert(path.to_owned(), value);
        return true;
    };
    let inner = members.entry(section).or_insert(Value::Null);
    if inner.is_null() {
        *inner = Value::Object(Map::new());
    }
    lay(inner, rest, value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sources(value: Value, laid: &[(&'static str, u64, &'static str)]) -> Sources {
        let mut document = Document::empty("f");
        document.value = value;
        let setting = |(path, number, option): &(&'static str, u64, &'static str)| {
            Setting::new(path, &number.to_string(), Source::CommandLine(option))
        };
        Sources::new(document, laid.iter().map(setting).collect())
    }

    #[test]
    fn settings_are_laid_over_whatever_object_is_there() {
        let document = json!({ "proxy": null, "cache": 7, "log": { "level": "info" } });
        let laid = [
            ("proxy.port", 1, "--a"),
            ("proxy.port", 2, "--b"),
            ("cache.graceTime", 3, "--c"),
        ];
        let sources = sources(document, &laid);
        assert_eq!(
            sources.value(),
            &json!({ "proxy": { "port": 2 }, "cache": 7, "log": { "level": "info" } })
        );
        assert_eq!(sources.of("proxy.port"), Source::CommandLine("--b"));
        assert_eq!(
            sources.of("cache.graceTime"),
            Source::Preset,
            "it has no place"
        );
        assert_eq!(sources.of("log.level"), Source::File);
    }

    #[test]
    fn each_key_of_a_route_has_its_source() {
        let document = json!({ "urlConfigs": [{ "path": "/a", "check": { "json": "any" }, "staleTime": null }] });
        let sources = sources(document, &[]);
        let of = |route: &str, key| sources.of_route(&json!(route), key);
        assert_eq!(of("/a", "check.require"), Source::File);
        assert_eq!(of("/a", "staleTime"), Source::Preset);
        assert_eq!(of("/b", "check.json"), Source::Preset);
    }

    #[test]
    fn another_name_is_a_source_too() {
        let sources = sources(
            json!({ "backend": { "timeout": 5 }, "proxy": { "debug": false } }),
            &[],
        );
        let of = |path, other| sources.of_either(path, other);
        assert_eq!(
            of("backend.firstByteTimeout", "backend.timeout"),
            Source::File
        );
        assert_eq!(
            of("log.level", "proxy.debug"),
            Source::Preset,
            "debug that is off says nothing"
        );
    }
}
