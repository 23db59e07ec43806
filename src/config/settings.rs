//! Single values laid over the document of a file, and where every value of the result comes from.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use super::Problems;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything: the preset's number.
    Preset,
    /// The configuration file.
    File,
    /// This variable of a `.env` file.
    DotEnv(String),
    /// This variable of the environment.
    Environment(String),
    /// This option of the command line.
    CommandLine(&'static str),
}

/// One value from outside the file.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The key it is for, such as `proxy.port`: at most one section deep.
    pub path: &'static str,
    /// What it says.
    pub value: Value,
    /// Where it stands.
    pub source: Source,
}

/// The document that is read, and where its values come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    document: Value,
    laid: BTreeMap<&'static str, Source>,
}

/// A key and another name for it. The first wins where both are given.
const ALIASES: [(&str, &str); 2] = [
    ("backend.firstByteTimeout", "backend.timeout"),
    ("log.level", "proxy.debug"),
];

impl Sources {
    /// Lays settings over the document of a file; of two for one key the later wins.
    pub fn new(mut document: Value, settings: Vec<Setting>) -> Sources {
        let mut laid = BTreeMap::new();
        for Setting {
            path,
            value,
            source,
        } in settings
        {
            if lay(&mut document, path, value) {
                laid.insert(path, source);
            }
        }
        Sources { document, laid }
    }

    /// All of it.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// Where the value of a key such as `cache.maxBytes` comes from.
    pub fn of(&self, path: &str) -> Source {
        let alias = ALIASES
            .iter()
            .find(|(name, _)| *name == path)
            .map(|(_, alias)| *alias);
        let own = self.given(path);
        own.or_else(|| alias.and_then(|alias| self.given(alias)))
            .unwrap_or(Source::Preset)
    }

    /// Where the value of a key of the member of `urlConfigs` for this path comes from.
    pub fn of_route(&self, route: &str, key: &str) -> Source {
        let members = self
            .document
            .get("urlConfigs")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let mut own =
            members.filter(|member| member.get("path").and_then(Value::as_str) == Some(route));
        let says = |member: &Value| member.get(key).is_some_and(|value| !value.is_null());
        if own.any(says) {
            Source::File
        } else {
            Source::Preset
        }
    }

    /// Names the source in each problem with a value from outside the file.
    pub fn name_in(&self, problems: &mut Problems) {
        for problem in &mut problems.0 {
            if let Some(source) = self.laid.get(problem.path.as_str()) {
                problem.path = format!("{} (from {source})", problem.path);
            }
        }
    }

    fn given(&self, path: &str) -> Option<Source> {
        let in_file = || {
            let value = self
                .document
                .pointer(&format!("/{}", path.replace('.', "/")))?;
            // `proxy.debug: false` is no word about `log.level`.
            let silent = path == "proxy.debug" && *value == Value::Bool(false);
            (!value.is_null() && !silent).then_some(Source::File)
        };
        self.laid.get(path).cloned().or_else(in_file)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Preset => f.write_str("preset"),
            Source::File => f.write_str("file"),
            Source::DotEnv(name) => write!(f, ".env {name}"),
            Source::Environment(name) => write!(f, "environment {name}"),
            Source::CommandLine(option) => write!(f, "command line {option}"),
        }
    }
}

/// Puts a value at a path. False where the document has something else than an object on the way, which is a mistake of
/// its own.
fn lay(document: &mut Value, path: &'static str, value: Value) -> bool {
    let (section, key) = path.split_once('.').unwrap_or(("", path));
    let Value::Object(top) = document else {
        return false;
    };
    let mut place = top;
    if !section.is_empty() {
        let inner = place.entry(section).or_insert(Value::Null);
        if inner.is_null() {
            *inner = Value::Object(Map::new());
        }
        let Value::Object(inner) = inner else {
            return false;
        };
        place = inner;
    }
    place.insert(key.to_owned(), value);
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn setting(path: &'static str, number: u64, option: &'static str) -> Setting {
        Setting {
            path,
            value: Value::from(number),
            source: Source::CommandLine(option),
        }
    }

    #[test]
    fn settings_are_laid_over_whatever_object_is_there() {
        let document = json!({ "proxy": null, "cache": 7, "log": { "level": "info" } });
        let laid = vec![
            setting("proxy.port", 1, "--a"),
            setting("proxy.port", 2, "--b"),
            setting("cache.graceTime", 3, "--c"),
        ];
        let sources = Sources::new(document, laid);
        assert_eq!(
            sources.document(),
            &json!({ "proxy": { "port": 2 }, "cache": 7, "log": { "level": "info" } })
        );
        assert_eq!(sources.of("proxy.port"), Source::CommandLine("--b"));
        assert_eq!(
            sources.of("cache.graceTime"),
            Source::Preset,
            "it has no place to stand"
        );
        assert_eq!(sources.of("log.level"), Source::File);
        assert_eq!(
            Sources::new(json!([]), vec![setting("preset", 1, "--a")]).document(),
            &json!([])
        );
    }

    #[test]
    fn another_name_is_a_source_too() {
        let sources = Sources::new(
            json!({ "backend": { "timeout": 5 }, "proxy": { "debug": false } }),
            Vec::new(),
        );
        assert_eq!(sources.of("backend.firstByteTimeout"), Source::File);
        assert_eq!(
            sources.of("log.level"),
            Source::Preset,
            "debug that is off says nothing"
        );
        assert_eq!(sources.of("backend.idleTimeout"), Source::Preset);
    }

    #[test]
    fn each_field_of_a_route_has_its_source() {
        let document =
            json!({ "urlConfigs": [{ "path": "/a", "cacheTTL": 5, "staleTime": null }] });
        let sources = Sources::new(document, Vec::new());
        let of = [("/a", "cacheTTL"), ("/a", "staleTime"), ("/b", "cacheTTL")]
            .map(|(route, key)| sources.of_route(route, key));
        assert_eq!(of, [Source::File, Source::Preset, Source::Preset]);
    }
}
