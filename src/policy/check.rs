//! What a good body looks like on a route: a body that fails its Check is not an answer, whatever its status says.
//!
//! Documents are visited as a stream and never built: what lies off the required paths is skipped without recursion, and
//! the required paths are bounded by serde_json's limit of 128 levels.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Bodies above this many bytes are judged by their first byte that is not blank, and by `not_text`, only.
pub const WHOLE_UP_TO: usize = 256 * 1024;

/// What a good body looks like. The default accepts everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// What kind of JSON document it is. `None`: any bytes, unless `require` names something.
    pub json: Option<JsonKind>,
    /// JSON pointers (RFC 6901) that must lead to something other than null.
    pub require: Vec<String>,
    /// Whether a blank body is refused, and in JSON also `{}`, `[]`, `""` and `null`.
    pub non_empty: bool,
    /// Texts that are no answer when they are the whole body, blanks around it aside.
    pub not_text: Vec<String>,
}

/// Kinds of JSON document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonKind {
    /// Any value, `null` included.
    Any,
    /// An object.
    Object,
    /// An array.
    Array,
}

/// How a body failed its Check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckFailure {
    /// There is nothing in it.
    Empty,
    /// It is a text that stands for a failure.
    RefusedText,
    /// It is no JSON document, or a required path goes deeper than 128 levels.
    NotJson,
    /// It is JSON, or begins like it, but no object.
    NotAnObject,
    /// It is JSON, or begins like it, but no array.
    NotAnArray,
    /// This required pointer leads nowhere or to null.
    Missing(String),
    /// It says nothing where, or while, this home should: see [`super::judge`].
    SuddenlyEmpty,
    /// It has none of the readings that make an answer here.
    NoReadings,
    /// It sums up readings of no source at all.
    NoSource,
    /// Another answer, requested after it, did not confirm it.
    Unconfirmed,
}

impl fmt::Display for CheckFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckFailure::Empty => f.write_str("the body is empty"),
            CheckFailure::RefusedText => {
                f.write_str("the body is a text that stands for a failure")
            }
            CheckFailure::NotJson => f.write_str("the body is not JSON"),
            CheckFailure::NotAnObject => f.write_str("the body is not a JSON object"),
            CheckFailure::NotAnArray => f.write_str("the body is not a JSON array"),
            CheckFailure::Missing(pointer) => write!(f, "the body has nothing at {pointer}"),
            CheckFailure::SuddenlyEmpty => {
                f.write_str("the body says nothing, which is news from this home")
            }
            CheckFailure::NoReadings => {
                f.write_str("the body has none of the readings it is asked for")
            }
            CheckFailure::NoSource => f.write_str("the body sums up readings of no source"),
            CheckFailure::Unconfirmed => f.write_str("another answer did not confirm the body"),
        }
    }
}

impl Check {
    /// Judges a whole body.
    pub fn evaluate(&self, body: &[u8]) -> Result<(), CheckFailure> {
        let text = body.trim_ascii();
        if self
            .not_text
            .iter()
            .any(|refused| refused.trim().as_bytes() == text)
        {
            return Err(CheckFailure::RefusedText);
        }
        if self.non_empty && text.is_empty() {
            return Err(CheckFailure::Empty);
        }
        if self.json.is_none() && self.require.is_empty() {
            return Ok(());
        }
        self.begins_well(text)?;
        if body.len() > WHOLE_UP_TO {
            return Ok(());
        }
        self.visit(text)?;
        if self.non_empty && is_empty_json(text) {
            Err(CheckFailure::Empty)
        } else {
            Ok(())
        }
    }

    /// The first byte gives a JSON document's kind away.
    fn begins_well(&self, text: &[u8]) -> Result<(), CheckFailure> {
        match (text.first(), self.json) {
            (None, _) => Err(CheckFailure::NotJson),
            (Some(b'{'), Some(JsonKind::Array)) => Err(CheckFailure::NotAnArray),
            (Some(b'['), Some(JsonKind::Object)) => Err(CheckFailure::NotAnObject),
            (Some(b'{' | b'['), _) => Ok(()),
            (Some(b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n'), kind) => match kind {
                Some(JsonKind::Object) => Err(CheckFailure::NotAnObject),
                Some(JsonKind::Array) => Err(CheckFailure::NotAnArray),
                Some(JsonKind::Any) | None => Ok(()),
            },
            (Some(_), _) => Err(CheckFailure::NotJson),
        }
    }

    fn visit(&self, text: &[u8]) -> Result<(), CheckFailure> {
        let mut found = vec![false; self.require.len()];
        let wanted = self
            .require
            .iter()
            .enumerate()
            .map(|(at, pointer)| Wanted { at, rest: pointer })
            .collect();
        let mut document = serde_json::Deserializer::from_slice(text);
        let visited = Place {
            wanted,
            found: &mut found,
        }
        .deserialize(&mut document)
        .and_then(|()| document.end());
        visited.map_err(|_| CheckFailure::NotJson)?;
        match self.require.iter().zip(found).find(|(_, found)| !found) {
            Some((pointer, _)) => Err(CheckFailure::Missing(pointer.clone())),
            None => Ok(()),
        }
    }
}

/// Whether a valid document is an empty container, an empty text or null.
fn is_empty_json(text: &[u8]) -> bool {
    match text {
        b"null" | b"\"\"" => true,
        [b'{', inner @ .., b'}'] | [b'[', inner @ .., b']'] => inner.trim_ascii().is_empty(),
        _ => false,
    }
}

/// A required pointer, and what of it is still ahead.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    /// Its position in the list of required pointers.
    at: usize,
    /// Empty once the place is reached, else begins with `/`.
    rest: &'a str,
}

impl<'a> Wanted<'a> {
    /// The next reference token, still escaped, and the pointer beyond it.
    fn step(self) -> Option<(&'a str, Wanted<'a>)> {
        let path = self.rest.strip_prefix('/')?;
        let end = path.find('/').unwrap_or(path.len());
        Some((
            &path[..end],
            Wanted {
                at: self.at,
                rest: &path[end..],
            },
        ))
    }
}

/// One place in a document, with the pointers that lead to it or through it.
struct Place<'a, 'f> {
    wanted: Vec<Wanted<'a>>,
    found: &'f mut [bool],
}

impl<'a> Place<'a, '_> {
    /// The pointers that go through a child of this place.
    fn through(&self, is_child: impl Fn(&str) -> bool) -> Vec<Wanted<'a>> {
        self.wanted
            .iter()
            .filter_map(|wanted| wanted.step())
            .filter(|(token, _)| is_child(token))
            .map(|(_, w)| w)
            .collect()
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.wanted.is_empty() {
            return skip(deserializer);
        }
        // An option, because only that tells null from the rest without reading a number.
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Place<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        for wanted in self.wanted.iter().filter(|wanted| wanted.rest.is_empty()) {
            self.found[wanted.at] = true;
        }
        if self.wanted.iter().all(|wanted| wanted.rest.is_empty()) {
            return skip(deserializer);
        }
        deserializer.deserialize_any(Children(self))
    }
}

/// What is inside a place that required pointers go through.
struct Children<'a, 'f>(Place<'a, 'f>);

impl<'de> Visitor<'de> for Children<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Children(place) = self;
        while let Some(wanted) = members.next_key_seed(Name(&place))? {
            members.next_value_seed(Place {
                wanted,
                found: place.found,
            })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Children(place) = self;
        for index in 0.. {
            let wanted = place.through(|token| is_index(token, index));
            if elements
                .next_element_seed(Place {
                    wanted,
                    found: place.found,
                })?
                .is_none()
            {
                break;
            }
        }
        Ok(())
    }

    // A scalar has no children: the pointers that go on from here lead nowhere.
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

/// The name of an object's member, turned into the pointers that go through it.
struct Name<'p, 'a, 'f>(&'p Place<'a, 'f>);

impl<'de, 'a> DeserializeSeed<'de> for Name<'_, 'a, '_> {
    type Value = Vec<Wanted<'a>>;

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Vec<Wanted<'a>>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Name<'_, 'a, '_> {
    type Value = Vec<Wanted<'a>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Vec<Wanted<'a>>, E> {
        Ok(self.0.through(|token| is_name(token, name)))
    }
}

/// Whether an escaped reference token means this name (RFC 6901 §4).
fn is_name(token: &str, name: &str) -> bool {
    if token.contains('~') {
        token.replace("~1", "/").replace("~0", "~") == name
    } else {
        token == name
    }
}

/// Whether a reference token means this array index: digits without leading zeros (RFC 6901 §4).
fn is_index(token: &str, index: usize) -> bool {
    (token == "0" || !token.starts_with(['0', '+'])) && token.parse() == Ok(index)
}

/// Reads past a value of any shape.
fn skip<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    deserializer.deserialize_ignored_any(IgnoredAny).map(drop)
}

#[cfg(test)]
mod tests;
