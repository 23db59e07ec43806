//! PURE. JSON as Python's `json.dumps` writes it, in the order the keys were given.

use std::fmt::Write;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number without a fraction.
    Whole(i64),
    /// A number written with its fraction, `441.0` included.
    Float(f64),
    /// Text of printable ASCII.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// Keys and values.
    Object(Vec<(String, Json)>),
}

/// An object, key by key.
macro_rules! object {
    ($($key:literal: $value:expr),* $(,)?) => {
        $crate::powerwall::sim::json::Json::Object(vec![$($crate::powerwall::sim::json::member($key, $value)),*])
    };
}
pub(crate) use object;

/// A member of an object. Kept from being inlined: there are hundreds of them.
#[inline(never)]
pub(crate) fn member(key: &str, value: impl Into<Json>) -> (String, Json) {
    (key.to_owned(), value.into())
}

impl Json {
    /// On one line, with a space after each comma and colon.
    pub fn compact(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, None);
        out
    }

    /// One member a line, indented by four, keys sorted.
    pub fn indented(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, Some(0));
        out
    }

    /// This object with the members of another behind its own.
    pub fn and(mut self, more: Json) -> Json {
        if let (Json::Object(members), Json::Object(more)) = (&mut self, more) {
            members.extend(more);
        }
        self
    }

    /// The member of this name, if this is an object that has it.
    pub fn member(&self, name: &str) -> Option<&Json> {
        self.members()
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// Keys and values; none unless this is an object.
    pub fn members(&self) -> &[(String, Json)] {
        match self {
            Json::Object(members) => members,
            _ => &[],
        }
    }

    /// The items; none unless this is a list.
    pub fn items(&self) -> &[Json] {
        match self {
            Json::List(items) => items,
            _ => &[],
        }
    }

    fn write(&self, out: &mut String, depth: Option<usize>) {
        // Writing to a String cannot fail.
        let _ = match self {
            Json::Null => write!(out, "null"),
            Json::Bool(value) => write!(out, "{value}"),
            Json::Whole(value) => write!(out, "{value}"),
            // Both languages write the shortest digits that read back the same.
            Json::Float(value) => write!(out, "{value:?}"),
            Json::Text(text) => write!(out, "{text:?}"),
            Json::List(items) => {
                return write_all(out, ('[', ']'), items, depth, |out, item, depth| {
                    item.write(out, depth)
                });
            }
            Json::Object(members) => return write_members(out, members, depth),
        };
    }
}

fn write_members(out: &mut String, members: &[(String, Json)], depth: Option<usize>) {
    let mut members: Vec<&(String, Json)> = members.iter().collect();
    if depth.is_some() {
        members.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    }
    write_all(
        out,
        ('{', '}'),
        &members,
        depth,
        |out, (key, value), depth| {
            let _ = write!(out, "{key:?}: ");
            value.write(out, depth);
        },
    );
}

/// The parts between brackets; each on a line of its own if there is a depth.
fn write_all<T>(
    out: &mut String,
    (open, close): (char, char),
    parts: &[T],
    depth: Option<usize>,
    each: impl Fn(&mut String, &T, Option<usize>),
) {
    out.push(open);
    let inner = depth.map(|depth| depth + 1);
    for (index, part) in parts.iter().enumerate() {
        out.push_str(match (index, inner) {
            (0, _) => "",
            (_, None) => ", ",
            (_, Some(_)) => ",",
        });
        break_line(out, inner);
        each(out, part, inner);
    }
    if !parts.is_empty() {
        break_line(out, depth);
    }
    out.push(close);
}

fn break_line(out: &mut String, depth: Option<usize>) {
    if let Some(depth) = depth {
        let _ = write!(out, "\n{:1$}", "", 4 * depth);
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Json {
        Json::Bool(value)
    }
}

impl From<i64> for Json {
    fn from(value: i64) -> Json {
        Json::Whole(value)
    }
}

impl From<f64> for Json {
    fn from(value: f64) -> Json {
        Json::Float(value)
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Json {
        Json::Text(text.to_owned())
    }
}

impl From<Vec<&str>> for Json {
    fn from(texts: Vec<&str>) -> Json {
        Json::List(texts.into_iter().map(Json::from).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_as_python_does() {
        let value = object! { "b": 1, "a": object! { "x": 441.0, "y": true }, "c": vec!["p", "q"], "d": Json::Null };
        assert_eq!(
            value.compact(),
            r#"{"b": 1, "a": {"x": 441.0, "y": true}, "c": ["p", "q"], "d": null}"#
        );
        let lines = "{\n    \"a\": {\n        \"x\": 441.0,\n        \"y\": true\n    },\n    \"b\": 1,\n    \
                     \"c\": [\n        \"p\",\n        \"q\"\n    ],\n    \"d\": null\n}";
        assert_eq!(value.indented(), lines);
    }

    #[test]
    fn empty_ones_are_closed_at_once() {
        let empty = Json::Object(Vec::new());
        assert_eq!(
            (empty.compact(), empty.indented()),
            ("{}".to_owned(), "{}".to_owned())
        );
        assert_eq!(Json::List(Vec::new()).indented(), "[]");
    }

    #[test]
    fn shortest_digits() {
        assert_eq!(
            object! { "f": 60.019999999999996, "z": -0.52 }.compact(),
            r#"{"f": 60.019999999999996, "z": -0.52}"#
        );
    }
}
