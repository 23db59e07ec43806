//! Reads one object of the configuration into typed places, collecting problems instead of stopping at the first.
//!
//! A section knows every key it was asked for, so what is left over is unknown, and the nearest known name is at hand.
//! `null` leaves a place as it is.
//!
//! What is asked for key by key is kept from being inlined: a hundred copies would cost 20 KB, and nothing here is in a hurry.

use std::time::Duration;

use serde_json::{Map, Value};

use super::keys;
use super::problems::{Problems, shown};
use super::units::{self, TimeUnit};

/// Keys that stand in the documents and wait for the part that reads them, wherever they occur.
const NOT_BUILT_YET: [&str; 15] = [
    "auth",
    "burstMs",
    "cors",
    "format",
    "hotTTLFactor",
    "ignoreVary",
    "invalidation",
    "keyName",
    "methods",
    "metrics",
    "preserveHost",
    "roles",
    "stripTrailingSlash",
    "tier",
    "witness",
];

/// One object of the configuration, being read.
pub struct Section<'a> {
    path: String,
    fields: &'a Map<String, Value>,
    asked: Vec<&'static str>,
    problems: &'a mut Problems,
}

impl Section<'_> {
    /// Reads a whole object; what `read` did not ask for is a problem.
    pub fn read(
        path: String,
        value: &Value,
        problems: &mut Problems,
        read: impl FnOnce(&mut Section<'_>),
    ) {
        let Value::Object(fields) = value else {
            let place = if path.is_empty() {
                "the configuration".to_string()
            } else {
                path
            };
            return problems.add(place, shown(value), "an object");
        };
        let mut section = Section {
            path,
            fields,
            asked: Vec::new(),
            problems,
        };
        read(&mut section);
        section.refuse_the_rest();
    }

    /// Reads the object at `key`, if there is one.
    pub fn section(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'_>)) {
        if let Some(value) = self.find(key) {
            Section::read(self.path_of(key), value, self.problems, read);
        }
    }

    /// Reads the list of objects at `key`, if there is one.
    pub fn sections(&mut self, key: &'static str, mut read: impl FnMut(&mut Section<'_>)) {
        let Some(value) = self.find(key) else { return };
        let Value::Array(members) = value else {
            return self.refuse(key, value, "a list of objects");
        };
        for (at, member) in members.iter().enumerate() {
            Section::read(
                format!("{}[{at}]", self.path_of(key)),
                member,
                self.problems,
                &mut read,
            );
        }
    }

    /// Puts what `parse` makes of the value at `key` into `place`; `expected` says what would have been right.
    pub fn set<T>(
        &mut self,
        key: &'static str,
        place: &mut T,
        expected: &str,
        parse: impl FnOnce(&Value) -> Option<T>,
    ) {
        let Some(value) = self.find(key) else { return };
        match parse(value) {
            Some(parsed) => *place = parsed,
            None => self.refuse(key, value, expected),
        }
    }

    /// A duration, zero included; a bare number counts in the unit of the key.
    #[inline(never)]
    pub fn duration(&mut self, key: &'static str, place: &mut Duration) {
        self.set(key, place, expected_duration(key), |value| {
            units::duration(value, TimeUnit::of_key(key))
        });
    }

    /// A duration that may be absent.
    #[inline(never)]
    pub fn some_duration(&mut self, key: &'static str, place: &mut Option<Duration>) {
        let parse = |value: &Value| units::duration(value, TimeUnit::of_key(key)).map(Some);
        self.set(key, place, expected_duration(key), parse);
    }

    /// A time limit: a duration above zero.
    #[inline(never)]
    pub fn limit(&mut self, key: &'static str, place: &mut Duration) {
        let parse = |value: &Value| {
            units::duration(value, TimeUnit::of_key(key)).filter(|limit| !limit.is_zero())
        };
        self.set(
            key,
            place,
            "a duration above zero, such as \"5s\", or a number of milliseconds",
            parse,
        );
    }

    /// A size in bytes, at least `least`.
    #[inline(never)]
    pub fn bytes(&mut self, key: &'static str, place: &mut usize, least: usize) {
        let from = if least > 0 {
            format!(" from {least}")
        } else {
            String::new()
        };
        let expected = format!("a number of bytes{from}, or a text such as \"8MiB\"");
        self.set(key, place, &expected, |value| {
            units::bytes(value).filter(|size| *size >= least)
        });
    }

    /// A whole number from `least` to `most`.
    #[inline(never)]
    pub fn count(&mut self, key: &'static str, place: &mut usize, least: usize, most: usize) {
        let parse = |value: &Value| {
            value
                .as_u64()
                .and_then(|count| usize::try_from(count).ok())
                .filter(|count| (least..=most).contains(count))
        };
        let to = if most < usize::MAX {
            format!(" to {most}")
        } else {
            String::new()
        };
        self.set(
            key,
            place,
            &format!("a whole number from {least}{to}"),
            parse,
        );
    }

    /// A whole number above zero that may be absent.
    #[inline(never)]
    pub fn some_count(&mut self, key: &'static str, place: &mut Option<u32>) {
        let parse = |value: &Value| {
            u32::try_from(value.as_u64()?)
                .ok()
                .filter(|count| *count > 0)
                .map(Some)
        };
        self.set(key, place, "a whole number from 1", parse);
    }

    /// True or false.
    #[inline(never)]
    pub fn flag(&mut self, key: &'static str, place: &mut bool) {
        self.set(key, place, "true or false", Value::as_bool);
    }

    /// One word of a closed set.
    pub fn word<T: Clone>(&mut self, key: &'static str, place: &mut T, words: &[(&str, T)]) {
        self.set(key, place, &expected_word(words), |value| {
            value.as_str().and_then(|text| meaning(text, words))
        });
    }

    /// A list made of an object's members, each parsed with its name. Every wrong member is a problem of its own.
    pub fn members<T>(
        &mut self,
        key: &'static str,
        place: &mut Vec<T>,
        expected: &str,
        parse: impl Fn(&str, &Value) -> Option<T>,
    ) {
        let Some(value) = self.find(key) else { return };
        let Value::Object(members) = value else {
            return self.refuse(key, value, "an object");
        };
        place.clear();
        for (name, member) in members.iter().filter(|(name, _)| *name != "comment") {
            match parse(name, member) {
                Some(parsed) => place.push(parsed),
                None => self.problems.add(
                    format!("{}.{name}", self.path_of(key)),
                    shown(member),
                    expected,
                ),
            }
        }
    }

    /// A list of texts, each made into a `T`. Every wrong member is a problem of its own.
    pub fn list<T>(
        &mut self,
        key: &'static str,
        place: &mut Vec<T>,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) {
        let Some(value) = self.find(key) else { return };
        let Value::Array(members) = value else {
            return self.refuse(key, value, "a list of texts");
        };
        place.clear();
        for (at, member) in members.iter().enumerate() {
            match member.as_str().and_then(&parse) {
                Some(parsed) => place.push(parsed),
                None => self.problems.add(
                    format!("{}[{at}]", self.path_of(key)),
                    shown(member),
                    expected,
                ),
            }
        }
    }

    /// A list of words of a closed set.
    pub fn words<T: Clone>(&mut self, key: &'static str, place: &mut Vec<T>, words: &[(&str, T)]) {
        self.list(key, place, &expected_word(words), |text| {
            meaning(text, words)
        });
    }

    /// Whether `key` is there with anything but null.
    pub fn has(&self, key: &str) -> bool {
        self.fields.get(key).is_some_and(|value| !value.is_null())
    }

    /// Notes a problem at `key`.
    pub fn problem(&mut self, key: &str, found: &str, expected: &str) {
        self.problems.add(self.path_of(key), found, expected);
    }

    /// The path of a key in this section.
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_string()
        } else {
            format!("{}.{key}", self.path)
        }
    }
}

impl<'a> Section<'a> {
    /// The value at `key` as it stands. `None`: absent or null.
    #[inline(never)]
    pub fn find(&mut self, key: &'static str) -> Option<&'a Value> {
        self.asked.push(key);
        self.fields.get(key).filter(|value| !value.is_null())
    }

    #[inline(never)]
    fn refuse(&mut self, key: &str, found: &Value, expected: &str) {
        self.problem(key, &shown(found), expected);
    }

    /// What an unknown key may have been meant to be.
    fn meant(&self, key: &str) -> String {
        let nearest = self
            .asked
            .iter()
            .min_by_key(|known| distance(key, known))
            .unwrap_or(&"comment");
        match keys::section_of(key).filter(|_| distance(key, nearest) > 0) {
            Some(section) => format!("\"{key}\" belongs in {section}"),
            None => format!("the nearest is \"{nearest}\""),
        }
    }

    fn refuse_the_rest(&mut self) {
        for (key, value) in self.fields {
            if key == "comment" || self.asked.contains(&key.as_str()) {
                continue;
            }
            let path = self.path_of(key);
            if !NOT_BUILT_YET.contains(&key.as_str()) {
                self.problems.add(
                    path,
                    "an unknown key",
                    format!("a known one; {}", self.meant(key)),
                );
            } else if !value.is_null() {
                self.problems.add(
                    path,
                    shown(value),
                    format!("nothing: {key} is not built yet"),
                );
            }
        }
    }
}

fn expected_duration(key: &str) -> &'static str {
    match TimeUnit::of_key(key) {
        TimeUnit::Seconds => "a number of seconds, or a text such as \"5s\"",
        TimeUnit::Milliseconds => "a number of milliseconds, or a text such as \"250ms\"",
    }
}

fn meaning<T: Clone>(text: &str, words: &[(&str, T)]) -> Option<T> {
    words
        .iter()
        .find(|(word, _)| *word == text)
        .map(|(_, meaning)| meaning.clone())
}

fn expected_word<T>(words: &[(&str, T)]) -> String {
    let words: Vec<String> = words
        .iter()
        .map(|(word, _)| format!("\"{word}\""))
        .collect();
    words.join(" or ")
}

/// The number of letters to insert, delete or change to make one name of another, letter case aside.
fn distance(from: &str, to: &str) -> usize {
    let to = to.as_bytes();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, have) in from.bytes().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, want) in to.iter().enumerate() {
            let changed = diagonal + usize::from(!have.eq_ignore_ascii_case(want));
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn distances() {
        let cases = [
            ("", "", 0),
            ("a", "", 1),
            ("", "ab", 2),
            ("cacheTtl", "cacheTTL", 0),
            ("kitten", "sitting", 3),
        ];
        for (from, to, expected) in cases {
            assert_eq!(distance(from, to), expected, "{from} {to}");
        }
        assert!(distance(&"x".repeat(100_000), "cacheTTL") <= 64);
    }

    #[test]
    fn every_value_is_put_in_its_place_or_is_a_problem() {
        let value = json!({"count": 3, "wrong": 9, "none": null, "list": ["a", 1, "c"], "one": "b", "wait": 0, "comment": 1});
        let mut problems = Problems::default();
        let (mut count, mut wrong, mut none, mut list) = (0, 5, 7, Vec::new());
        let (mut one, mut wait) = (0, Duration::from_secs(1));
        Section::read("top".to_string(), &value, &mut problems, |top| {
            top.count("count", &mut count, 1, 4);
            top.count("wrong", &mut wrong, 1, 4);
            top.count("none", &mut none, 1, 4);
            top.words("list", &mut list, &[("a", 1), ("c", 3)]);
            top.word("one", &mut one, &[("b", 2)]);
            top.limit("wait", &mut wait);
        });
        assert_eq!(
            (count, wrong, none, list, one, wait),
            (3, 5, 7, vec![1, 3], 2, Duration::from_secs(1))
        );
        let lines: Vec<String> = problems
            .0
            .iter()
            .map(|problem| format!("{}={}", problem.path, problem.found))
            .collect();
        assert_eq!(lines, ["top.wrong=9", "top.list[1]=1", "top.wait=0"]);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_nearest_and_an_unbuilt_one_as_such() {
        let value = json!({"cacheTtl": 1, "burst": 5, "burstMs": 5, "tier": null});
        let mut problems = Problems::default();
        Section::read(String::new(), &value, &mut problems, |top| {
            top.duration("staleTime", &mut Duration::default());
            top.duration("cacheTTL", &mut Duration::default());
        });
        assert_eq!(
            problems.to_string(),
            "burst: found an unknown key, expected a known one; the nearest is \"cacheTTL\"\n\
             burstMs: found 5, expected nothing: burstMs is not built yet\n\
             cacheTtl: found an unknown key, expected a known one; the nearest is \"cacheTTL\""
        );
    }
}
