//! Dictionaries of structured fields (RFC 9651 §4.2.2), read strictly: one wrong byte and there is no dictionary.
//!
//! The types are those of RFC 8941, which RFC 9213 builds on. A Date or a Display String, which came later, is a wrong
//! byte here. Nothing is allocated and nothing recurses.

use super::directives::is_token_character;

/// What a member of a dictionary is, as far as a cache directive can be told from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// An Integer (§3.3.1): at most 15 digits.
    Integer(i64),
    /// A Boolean (§3.3.6). A key without a value is true.
    Boolean(bool),
    /// A String (§3.3.3). What it says is not kept.
    String,
    /// A Decimal, a Token, a Byte Sequence or an Inner List: no directive has one.
    Other,
}

/// Reads a dictionary and tells each member in turn, without its parameters. A key that is told again replaces what it
/// was before.
///
/// `None`: not a dictionary; what was told until then counts for nothing. An empty text is a dictionary without members.
pub fn dictionary<'a>(text: &'a [u8], mut tell: impl FnMut(&'a [u8], Value)) -> Option<()> {
    let mut text = Cursor(text);
    text.skip_all(|byte| byte == b' ');
    // Blanks alone are an empty dictionary, a comma at the end is an error.
    let mut more = !text.0.is_empty();
    while more {
        let key = text.key()?;
        let value = if text.skip(b'=') {
            text.value()?
        } else {
            Value::Boolean(true)
        };
        text.parameters()?;
        tell(key, value);
        text.skip_all(is_blank);
        more = text.skip(b',');
        if more {
            text.skip_all(is_blank);
        }
    }
    text.0.is_empty().then_some(())
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// What is left to read.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Takes the next byte if it is this one.
    fn skip(&mut self, expected: u8) -> bool {
        let found = self.0.first() == Some(&expected);
        if found {
            self.0 = &self.0[1..];
        }
        found
    }

    /// Takes the bytes up to the first that is not meant.
    fn skip_all(&mut self, meant: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self.0.iter().take_while(|byte| meant(**byte)).count();
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    /// §4.2.3.3
    fn key(&mut self) -> Option<&'a [u8]> {
        let key = self.skip_all(|byte| {
            byte.is_ascii_lowercase()
                || byte.is_ascii_digit()
                || matches!(byte, b'_' | b'-' | b'.' | b'*')
        });
        matches!(key.first()?, b'a'..=b'z' | b'*').then_some(key)
    }

    /// What stands behind `=` in a dictionary, its parameters left out (§4.2.1.1).
    fn value(&mut self) -> Option<Value> {
        if self.skip(b'(') {
            self.inner_list()
        } else {
            self.bare_item()
        }
    }

    /// §4.2.1.2, from behind its opening parenthesis.
    fn inner_list(&mut self) -> Option<Value> {
        loop {
            self.skip_all(|byte| byte == b' ');
            if self.skip(b')') {
                return Some(Value::Other);
            }
            self.bare_item()?;
            self.parameters()?;
            if !matches!(self.0.first()?, b' ' | b')') {
                return None;
            }
        }
    }

    /// §4.2.3.2
    fn parameters(&mut self) -> Option<()> {
        while self.skip(b';') {
            self.skip_all(|byte| byte == b' ');
            self.key()?;
            if self.skip(b'=') {
                self.bare_item()?;
            }
        }
        Some(())
    }

    /// §4.2.3.1
    fn bare_item(&mut self) -> Option<Value> {
        match self.0.first()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b'?' => self.boolean(),
            b':' => self.byte_sequence(),
            b'*' | b'A'..=b'Z' | b'a'..=b'z' => {
                self.skip_all(|byte| is_token_character(byte) || matches!(byte, b':' | b'/'));
                Some(Value::Other)
            }
            _ => None,
        }
    }

    /// §4.2.4
    fn number(&mut self) -> Option<Value> {
        let negative = self.skip(b'-');
        let whole = self.skip_all(|byte| byte.is_ascii_digit());
        if self.skip(b'.') {
            let fraction = self.skip_all(|byte| byte.is_ascii_digit());
            let fits = (1..=12).contains(&whole.len()) && (1..=3).contains(&fraction.len());
            return fits.then_some(Value::Other);
        }
        if !(1..=15).contains(&whole.len()) {
            return None;
        }
        let number = whole
            .iter()
            .fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        Some(Value::Integer(if negative { -number } else { number }))
    }

    /// §4.2.5
    fn string(&mut self) -> Option<Value> {
        self.byte()?;
        loop {
            match self.byte()? {
                b'"' => return Some(Value::String),
                b'\\' => {
                    if !matches!(self.byte()?, b'"' | b'\\') {
                        return None;
                    }
                }
                b' '..=b'~' => {}
                _ => return None,
            }
        }
    }

    /// §4.2.8
    fn boolean(&mut self) -> Option<Value> {
        self.byte()?;
        match self.byte()? {
            b'0' => Some(Value::Boolean(false)),
            b'1' => Some(Value::Boolean(true)),
            _ => None,
        }
    }

    /// §4.2.7. Padding may be missing, and the bits it stands for may be anything, as far as that section wants it lenient.
    fn byte_sequence(&mut self) -> Option<Value> {
        self.byte()?;
        let letters = self
            .skip_all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
            .len();
        let padding = self.skip_all(|byte| byte == b'=').len();
        let decodes = letters % 4 != 1
            && (padding == 0 || (padding <= 2 && (letters + padding).is_multiple_of(4)));
        (self.skip(b':') && decodes).then_some(Value::Other)
    }
}

#[cfg(test)]
mod tests;
