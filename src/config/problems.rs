//! What is wrong with a configuration: everything at once, each with its place, what was found and what was expected.

use std::fmt;

use serde_json::Value;

use crate::secret::redacted;

/// Found texts are cut at this many characters.
const SHOWN: usize = 60;

/// One thing wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: a path such as `cache.defaultTTL` or `urlConfigs[2].path`, or the option or file it came from.
    pub path: String,
    /// What is there, shortened.
    pub found: String,
    /// What should be.
    pub expected: String,
}

/// Everything wrong with a configuration, in the order it was met. Displayed a line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Notes one more.
    pub fn add(
        &mut self,
        path: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) {
        self.0.push(Problem {
            path: path.into(),
            found: shortened(found.into()),
            expected: expected.into(),
        });
    }

    /// Whether one is about this key, or a key of this section.
    pub(super) fn touch(&self, path: &str) -> bool {
        self.0.iter().any(|problem| problem.path.starts_with(path))
    }

    /// `value`, if nothing is wrong.
    pub(super) fn or<T>(self, value: T) -> Result<T, Problems> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: found {}, expected {}",
            self.path, self.found, self.expected
        )
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// A value as it stands in the file, where it is a plain one or a list of numbers; without the user, password and
/// secret query values of a URL.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".to_string(),
        Value::Array(members) if !members.iter().all(Value::is_number) => "a list".to_string(),
        Value::String(text) => Value::from(redacted(&without_userinfo(text))).to_string(),
        plain => plain.to_string(),
    }
}

/// The text with `…` in place of what stands before the last `@` of a URL's authority (RFC 3986 §3.2.1).
fn without_userinfo(url: &str) -> String {
    // A password may hold a `/` that should have been encoded, so the last `@` of all counts.
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}://…{}", &url[..scheme], &url[at..]),
        _ => url.to_string(),
    }
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
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
