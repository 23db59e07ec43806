//! What is wrong with a configuration: everything at once, each with its place, what was found and what was expected.

use std::fmt;

use serde_json::Value;

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
    pub fn add(&mut self, path: impl Into<String>, found: impl Into<String>, expected: impl Into<String>) {
        self.0.push(Problem { path: path.into(), found: shortened(found.into()), expected: expected.into() });
    }

    /// `value`, if nothing is wrong.
    pub(super) fn or<T>(self, value: T) -> Result<T, Problems> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: found {}, expected {}", self.path, self.found, self.expected)
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

/// A value as it stands in the file.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".to_string(),
        Value::Array(_) => "a list".to_string(),
        plain => plain.to_string(),
    }
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
