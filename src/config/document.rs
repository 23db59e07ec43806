//! The text of a configuration file as a document that knows the position of each key: JSON (RFC 8259) with `//` comments.
//!
//! In scope: objects, lists, line and column of everything, keys that are given twice, mistakes in words a user understands.
//! Out of scope: what a number, a literal or an escape means; serde_json reads those.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::problems::Problems;

/// Lists and objects may be nested this deep, as in serde_json.
const DEEPEST: usize = 127;

/// A position in a file. Both count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

/// A file that was read.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// The file's name. Empty: there is no file.
    pub name: String,
    /// What it says. Of a key that is given twice, the last value.
    pub value: Value,
    places: HashMap<String, Position>,
}

impl Document {
    /// A document that says nothing.
    pub fn empty(name: &str) -> Document {
        Document {
            name: name.to_owned(),
            value: Value::Object(Map::new()),
            places: HashMap::new(),
        }
    }

    /// Reads the text of the file of this name. Every mistake is a problem: the first that ends the reading, and those before it.
    /// A key that is given twice is one, unless it is `comment`.
    pub fn read(name: &str, text: &str, problems: &mut Problems) -> Document {
        let mut reader = Reader {
            // Some editors begin a file with a byte order mark.
            text: text.strip_prefix('\u{feff}').unwrap_or(text),
            at: 0,
            counted: 0,
            position: Position { line: 1, column: 1 },
            depth: 0,
            path: String::new(),
            places: HashMap::new(),
            noted: Vec::new(),
        };
        let value = reader.document();
        for (path, position, message) in std::mem::take(&mut reader.noted) {
            problems.add_in(name, position, &path, message);
        }
        let value = value.unwrap_or_else(|Mistake(message)| {
            problems.add_in(name, reader.position(), "", message);
            Value::Object(Map::new())
        });
        Document {
            name: name.to_owned(),
            value,
            places: reader.places,
        }
    }

    /// The position of a key such as `cache.maxBytes`; of one that is missing, that of its object. `None`: neither is in the
    /// file.
    pub fn position(&self, path: &str) -> Option<Position> {
        let parent = || path.rfind(['.', '[']).map(|end| &path[..end]);
        let own = self.places.get(path);
        own.or_else(|| self.places.get(parent()?)).copied()
    }
}

/// What is wrong, and what to do.
struct Mistake(String);

fn mistake<T>(message: impl Into<String>) -> Result<T, Mistake> {
    Err(Mistake(message.into()))
}

struct Reader<'a> {
    text: &'a str,
    /// The next byte to read.
    at: usize,
    /// The byte that `position` is the position of.
    counted: usize,
    position: Position,
    depth: usize,
    /// The path of the value that is being read.
    path: String,
    places: HashMap<String, Position>,
    /// Mistakes after which the rest can still be read, with the key they are about.
    noted: Vec<(String, Position, String)>,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Value, Mistake> {
        self.skip_blanks()?;
        let start = self.position();
        self.places.insert(String::new(), start);
        if self.rest().is_empty() {
            return mistake(
                "the file is empty. Write {} for a configuration that changes nothing.",
            );
        }
        // `proxy:` or `---`.
        let line = self.rest().lines().next().unwrap_or_default().trim_end();
        let key = line.split(':').next().unwrap_or_default();
        if key.len() < line.len() && is_word(key) || line == "---" {
            return mistake(
                "this looks like YAML, and Larder reads JSON. Write it like this: { \"proxy\": { \"port\": 8676 } }.",
            );
        }
        let value = self.value()?;
        self.skip_blanks()?;
        match self.rest() {
            "" => Ok(value),
            _ => mistake(
                "there is more text after the end of the configuration. Remove it, or correct the braces before it.",
            ),
        }
    }

    fn value(&mut self) -> Result<Value, Mistake> {
        match self.peek() {
            Some('{') => self.nested(Reader::object),
            Some('[') => self.nested(Reader::list),
            Some('"') => self.text().map(Value::String),
            Some('\'') => mistake("this text is in single quotes. Write it in double quotes."),
            None => mistake("the file ends too early. Add the value and the closing } or ]."),
            Some(_) => self.literal(),
        }
    }

    fn nested(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Value, Mistake>,
    ) -> Result<Value, Mistake> {
        if self.depth == DEEPEST {
            return mistake("this is nested too deep. Use fewer braces and brackets.");
        }
        self.depth += 1;
        self.at += 1;
        let outer = self.path.len();
        let value = read(self)?;
        self.path.truncate(outer);
        self.depth -= 1;
        Ok(value)
    }

    fn object(&mut self) -> Result<Value, Mistake> {
        let outer = self.path.len();
        let mut members = Map::new();
        while self.has_next('}', members.is_empty())? {
            let position = self.position();
            let key = self.key()?;
            self.path.truncate(outer);
            if outer > 0 {
                self.path.push('.');
            }
            self.path.push_str(&key);
            self.places.insert(self.path.clone(), position);
            self.skip_blanks()?;
            if !self.take(':') {
                return mistake("a colon is missing here. Write a colon after the key.");
            }
            self.skip_blanks()?;
            let value = self.value()?;
            let is_comment = key == "comment";
            if members.insert(key, value).is_some() && !is_comment {
                let message = "is given twice. Keep one of the two.".to_owned();
                self.noted.push((self.path.clone(), position, message));
            }
        }
        Ok(Value::Object(members))
    }

    fn list(&mut self) -> Result<Value, Mistake> {
        let outer = self.path.len();
        let mut members = Vec::new();
        while self.has_next(']', members.is_empty())? {
            self.path.truncate(outer);
            self.path.push_str(&format!("[{}]", members.len()));
            let position = self.position();
            self.places.insert(self.path.clone(), position);
            members.push(self.value()?);
        }
        Ok(Value::Array(members))
    }

    /// Whether another member follows, after its comma, or the end, which is taken.
    fn has_next(&mut self, end: char, is_first: bool) -> Result<bool, Mistake> {
        self.skip_blanks()?;
        if self.take(end) {
            return Ok(false);
        }
        let before = self.position();
        if !is_first && !self.take(',') && self.peek().is_some() {
            let message = format!("a comma or {end} is missing before this. Add it.");
            if self.peek().is_some_and(|next| ",:]}".contains(next)) {
                return mistake(message);
            }
            self.noted.push((String::new(), before, message));
        }
        self.skip_blanks()?;
        if !is_first && self.take(end) {
            let message = format!("there is a comma before the closing {end}. Remove the comma.");
            self.noted.push((String::new(), before, message));
            return Ok(false);
        }
        match self.peek() {
            Some(_) => Ok(true),
            None => mistake(format!("the file ends before the closing {end}. Add it.")),
        }
    }

    fn key(&mut self) -> Result<String, Mistake> {
        match self.peek() {
            Some('"') => self.text(),
            Some('\'') => mistake("this key is in single quotes. Write it in double quotes."),
            _ => mistake(
                "a key in double quotes is missing here. Write it like this: \"port\": 8676.",
            ),
        }
    }

    fn text(&mut self) -> Result<String, Mistake> {
        let mut is_escaped = false;
        let end = self.rest().bytes().skip(1).position(|byte| {
            let is_end = (byte == b'"' && !is_escaped) || byte == b'\n';
            is_escaped = byte == b'\\' && !is_escaped;
            is_end
        });
        let whole = end.and_then(|end| self.rest().get(..end + 2));
        match whole.and_then(|whole| serde_json::from_str(whole).ok().zip(Some(whole.len()))) {
            Some((text, length)) => {
                self.at += length;
                Ok(text)
            }
            None => mistake(
                "this text does not end on its line, or has a \\ that means nothing in JSON. Close it with a double quote, and write \\\\ for each \\.",
            ),
        }
    }

    /// A number, `true`, `false` or `null`.
    fn literal(&mut self) -> Result<Value, Mistake> {
        let ends = |c: char| c.is_whitespace() || ",:]}[{\"'/".contains(c);
        let rest = self.rest();
        let word = &rest[..rest.find(ends).unwrap_or(rest.len())];
        match serde_json::from_str(word) {
            Ok(value) => {
                self.at += word.len();
                Ok(value)
            }
            Err(_) => {
                let shown: String = rest
                    .chars()
                    .take(word.chars().count().clamp(1, 20))
                    .collect();
                mistake(format!(
                    "{shown} is not a value. Write a number, true, false, null, or a text in double quotes."
                ))
            }
        }
    }

    fn skip_blanks(&mut self) -> Result<(), Mistake> {
        loop {
            let rest = self.rest();
            let code = rest.trim_start_matches([' ', '\t', '\r', '\n']);
            self.at += rest.len() - code.len();
            if code.starts_with("//") {
                self.at += code.find('\n').unwrap_or(code.len());
            } else if code.starts_with("/*") || code.starts_with('#') {
                let mark = if code.starts_with('#') { "#" } else { "/*" };
                return mistake(format!(
                    "{mark} does not begin a comment here. Begin each line of a comment with //."
                ));
            } else {
                return Ok(());
            }
        }
    }

    /// The position of the next byte.
    fn position(&mut self) -> Position {
        let passed = &self.text[self.counted..self.at];
        let lines = passed.matches('\n').count();
        if lines > 0 {
            self.position.column = 1;
        }
        self.position.line += lines;
        let last_line = passed.rsplit('\n').next().unwrap_or_default();
        self.position.column += last_line.chars().count();
        self.counted = self.at;
        self.position
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, expected: char) -> bool {
        let is_there = self.peek() == Some(expected);
        if is_there {
            self.at += expected.len_utf8();
        }
        is_there
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> (Document, String) {
        let mut problems = Problems::default();
        let document = Document::read("f", text, &mut problems);
        (document, problems.to_string())
    }

    #[test]
    fn every_key_and_member_has_its_line_and_column() {
        let text =
            "\u{feff}{ // \"a\": 1\n  \"u\": \"http://é\", \"b\": [\n\t1, {\"c\\u0064\": {}}]\r\n}";
        let (document, problems) = read(text);
        assert_eq!(problems, "");
        assert_eq!(
            document.value,
            json!({ "u": "http://é", "b": [1, { "cd": {} }] })
        );
        let expected = [
            ("", 1, 1),
            ("u", 2, 3),
            ("b", 2, 20),
            ("b[0]", 3, 2),
            ("b[1]", 3, 5),
            ("b[1].cd", 3, 6),
            ("b[1].missing", 3, 5),
        ];
        for (path, line, column) in expected {
            assert_eq!(
                document.position(path),
                Some(Position { line, column }),
                "{path}"
            );
        }
        assert_eq!(document.position("b[1].missing.too"), None);
    }

    #[test]
    fn a_key_that_is_given_twice_is_a_problem_where_it_comes_again() {
        let (document, problems) = read(
            "{ \"a\": 1, \"b\": [{ \"c\": 1, \"comment\": 1, \"comment\": 2,\n\"c\": 2 }], \"a\": 3 }",
        );
        assert_eq!(
            problems,
            "f line 2, column 1: b[0].c is given twice. Keep one of the two.\n\
             f line 2, column 12: a is given twice. Keep one of the two."
        );
        assert_eq!(document.value["a"], 3);
    }

    proptest! {
        #[test]
        fn what_serde_json_reads_is_read_alike(text in "[\\[\\]{}:,\"a-c0-9. e\\\\\n-]{0,24}|-?[0-9]{1,22}(\\.[0-9]{1,3})?(e[0-9]{1,3})?") {
            let mut problems = Problems::default();
            let document = Document::read("f", &text, &mut problems);
            let is_json = problems.0.iter().all(|problem| problem.message.starts_with("is given twice"));
            let read = is_json.then_some(document.value);
            prop_assert_eq!(read, serde_json::from_str(&text).ok());
        }
    }
}
