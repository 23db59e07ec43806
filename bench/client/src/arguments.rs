//! Arguments: pairs of a name and a value.

use std::collections::HashMap;
use std::str::FromStr;

/// All arguments. A name may occur more than once.
pub struct Arguments(HashMap<String, Vec<String>>);

impl Arguments {
    /// Parses `--name value` pairs.
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Arguments, String> {
        let mut words = words;
        let mut all: HashMap<String, Vec<String>> = HashMap::new();
        while let Some(word) = words.next() {
            let name = word
                .strip_prefix("--")
                .ok_or_else(|| format!("{word:?} is not an option"))?;
            let value = words
                .next()
                .ok_or_else(|| format!("--{name} needs a value"))?;
            all.entry(name.to_owned()).or_default().push(value);
        }
        Ok(Arguments(all))
    }

    /// Every value of that name.
    pub fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// The last value of that name, if there is one.
    pub fn optional<T: FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        let Some(text) = self.all(name).last() else {
            return Ok(None);
        };
        let value = text
            .parse()
            .map_err(|_| format!("--{name} {text:?} is not a valid value"))?;
        Ok(Some(value))
    }

    /// The last value of that name, else `default`.
    pub fn or<T: FromStr>(&self, name: &str, default: T) -> Result<T, String> {
        Ok(self.optional(name)?.unwrap_or(default))
    }

    /// The last value of that name; an error without one.
    pub fn required<T: FromStr>(&self, name: &str) -> Result<T, String> {
        self.optional(name)?
            .ok_or_else(|| format!("--{name} is missing"))
    }
}
