//! What is wrong with a configuration: everything at once, each with its place, what is wrong, and what to do.

use std::fmt;

use serde_json::Value;

use super::document::Position;
use crate::secret::redacted;

/// Texts of the user are cut at this many characters.
const SHOWN: usize = 60;

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is, such as `config.json line 3, column 5`, `environment variable PORT` or `option --port`. Empty: nobody
    /// wrote it.
    pub place: String,
    /// The key it is about, such as `cache.defaultTTL` or `urlConfigs[2].path`. Empty: it is about a line or a whole file.
    pub path: String,
    /// What is wrong and what to do, behind the key: `is "soon". Write a number of seconds.`
    pub message: String,
    /// Its position, if it is in the configuration file.
    position: Option<Position>,
}

/// Everything that is wrong with a configuration: what is in the file first, from top to bottom. Displayed a line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Notes a problem with a key. Its place is found later.
    pub fn add(&mut self, path: &str, message: impl Into<String>) {
        self.0.push(Problem {
            place: String::new(),
            path: path.to_owned(),
            message: message.into(),
            position: None,
        });
    }

    /// Notes a problem that is about no key, at this place.
    pub fn add_at(&mut self, place: &str, message: impl Into<String>) {
        self.0.push(Problem {
            place: place.to_owned(),
            path: String::new(),
            message: message.into(),
            position: None,
        });
    }

    /// Notes a problem with a key, or without one, at a position in a file.
    pub fn add_in(
        &mut self,
        file: &str,
        position: Position,
        path: &str,
        message: impl Into<String>,
    ) {
        self.add(path, message);
        if let Some(problem) = self.0.last_mut() {
            problem.set_position(file, position);
        }
    }

    /// Whether one is about this key, or a key of this section.
    pub(super) fn touch(&self, path: &str) -> bool {
        self.0.iter().any(|problem| problem.path.starts_with(path))
    }

    /// `value`, if nothing is wrong.
    pub(super) fn or<T>(mut self, value: T) -> Result<T, Problems> {
        if self.0.is_empty() {
            return Ok(value);
        }
        self.0
            .sort_by_key(|problem| (problem.position.is_none(), problem.position));
        Err(self)
    }
}

impl Problem {
    pub(super) fn set_position(&mut self, file: &str, position: Position) {
        let Position { line, column } = position;
        self.place = format!("{file} line {line}, column {column}");
        self.position = Some(position);
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        if !self.path.is_empty() {
            write!(f, "{} ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// A value as it is written in the file, if it is a plain one or a list of numbers; without the user, password and
/// secret query values of a URL, and cut where it is long.
pub(super) fn shown(value: &Value) -> String {
    let whole = match value {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(members) if !members.iter().all(Value::is_number) => "a list".to_owned(),
        Value::String(text) => Value::from(redacted(&without_userinfo(text))).to_string(),
        plain => plain.to_string(),
    };
    match whole.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &whole[..at]),
        None => whole,
    }
}

/// The text with `…` in place of the text before the last `@` of a URL's authority (RFC 3986 §3.2.1).
fn without_userinfo(url: &str) -> String {
    // A password may hold a `/` that should have been encoded, so the last `@` of all counts.
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}://…{}", &url[..scheme], &url[at..]),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_never_shown() {
        let cases = [
            ("http://u:p@a:80", "\"http://…@a:80\""),
            ("redis://:p/q@r@a/0", "\"redis://…@a/0\""),
            ("http://a/@b", "\"http://…@b\""),
            ("u@a", "\"u@a\""),
            ("http://a", "\"http://a\""),
        ];
        for (url, expected) in cases {
            assert_eq!(shown(&Value::from(url)), expected, "{url}");
        }
    }
}
