//! The text of a configuration file as one document: JSON with `//` comments, in which no key stands twice.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::Problems;
use super::comments::blanked;

/// Reads the document of the file of this name. What is no JSON, and every key that stands twice (`comment` may), is a problem. `None`: no JSON.
pub fn read(name: &str, text: &str, problems: &mut Problems) -> Option<Value> {
    // Some editors begin a file with a byte order mark.
    let text = blanked(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut reader = serde_json::Deserializer::from_str(&text);
    let whole = Part {
        path: String::new(),
        problems,
    };
    match whole
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
    {
        Ok(value) => Some(value),
        Err(error) => {
            let (line, column, mistake) = (error.line(), error.column(), error.to_string());
            let mistake = mistake.split(" at line ").next().unwrap_or_default();
            let found = format!("no JSON ({mistake})");
            problems.add(
                format!("{name} line {line} column {column}"),
                found,
                "JSON, with or without // comments",
            );
            None
        }
    }
}

/// The value at a path, about to be read.
struct Part<'a> {
    path: String,
    problems: &'a mut Problems,
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(key) = from.next_key::<String>()? {
            let path = if self.path.is_empty() {
                key.clone()
            } else {
                format!("{}.{key}", self.path)
            };
            let value = from.next_value_seed(Part {
                path: path.clone(),
                problems: self.problems,
            })?;
            let is_comment = key == "comment";
            if members.insert(key, value).is_some() && !is_comment {
                self.problems
                    .add(path, "a key that stands here twice", "each key once");
            }
        }
        Ok(Value::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut members = Vec::new();
        loop {
            let path = format!("{}[{}]", self.path, members.len());
            match from.next_element_seed(Part {
                path,
                problems: self.problems,
            })? {
                Some(member) => members.push(member),
                None => return Ok(Value::Array(members)),
            }
        }
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::from(flag))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_that_stands_twice_is_a_problem_of_its_own() {
        let mut problems = Problems::default();
        let text = r#"{ "a": 1, "b": [{ "c": 1, "comment": 1, "comment": 2, "c": 2 }], "a": { "d": 1, "d": 1 } }"#;
        assert!(read("f", text, &mut problems).is_some());
        let paths: Vec<&str> = problems
            .0
            .iter()
            .map(|problem| problem.path.as_str())
            .collect();
        assert_eq!(paths, ["b[0].c", "a.d", "a"]);
    }

    #[test]
    fn a_byte_order_mark_is_no_mistake() {
        let mut problems = Problems::default();
        assert_eq!(
            read("f", "\u{feff}{}", &mut problems),
            Some(Value::Object(Map::new()))
        );
        assert_eq!(problems, Problems::default());
    }

    proptest! {
        #[test]
        fn what_serde_json_reads_is_read_alike(text in "[\\[\\]{}:,\"a-c0-9. e\\-]{0,24}|-?[0-9]{1,22}(\\.[0-9]{1,3})?(e[0-9]{1,3})?") {
            let mut problems = Problems::default();
            prop_assert_eq!(read("f", &text, &mut problems), serde_json::from_str(&text).ok());
        }
    }
}
