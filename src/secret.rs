//! What must not be seen: texts that are secret, and places in other texts where secrets stand. Pure.

use std::borrow::Cow;
use std::fmt;

/// Query parameters whose values nobody prints.
const NAMES: [&str; 7] = ["token", "key", "secret", "password", "auth", "sig", "code"];

/// What stands in the place of a value that is not printed.
const HIDDEN: &str = "…";

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` to itself.
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// How many characters it has.
    pub fn length(&self) -> usize {
        self.0.chars().count()
    }

    /// Whether `other` is the same text. Takes as long for a near miss as for a far one; only the length shows.
    pub fn is(&self, other: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differing = own
            .iter()
            .zip(other)
            .fold(0, |bits, (one, two)| bits | (one ^ two));
        own.len() == other.len() && std::hint::black_box(differing) == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// The text with the values of secret query parameters hidden, wherever in it a query stands.
pub fn redacted(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, value)) = next_value(rest) {
        shown.push_str(before);
        shown.push_str(HIDDEN);
        rest = &rest[before.len() + value..];
    }
    if shown.is_empty() {
        return Cow::Borrowed(text);
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

/// The text up to the next secret value, and the length of that value.
fn next_value(text: &str) -> Option<(&str, usize)> {
    text.match_indices(['?', '&', ';']).find_map(|(at, _)| {
        let parameter = &text[at + 1..];
        let equals = parameter
            .find(|c| !is_of_name(c))
            .filter(|end| parameter[*end..].starts_with('='))?;
        if !is_secret(&parameter[..equals]) {
            return None;
        }
        let value = &parameter[equals + 1..];
        let length = value.find(ends_value).unwrap_or(value.len());
        (length > 0 && !value.starts_with(HIDDEN)).then(|| (&text[..at + 1 + equals + 1], length))
    })
}

fn is_of_name(c: char) -> bool {
    !matches!(c, '=' | '?' | '&' | ';') && !ends_value(c)
}

fn ends_value(c: char) -> bool {
    c.is_whitespace() || matches!(c, '&' | '#' | '"' | '\'' | '<' | '>')
}

/// In any letter case, and written with percent signs too: the origin reads it all the same.
fn is_secret(name: &str) -> bool {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let encoded = after
            .get(..2)
            .and_then(|two| std::str::from_utf8(two).ok())
            .filter(|_| *first == b'%');
        let decoded = encoded.and_then(|two| u8::from_str_radix(two, 16).ok());
        plain.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() {
            &after[2..]
        } else {
            after
        };
    }
    NAMES
        .iter()
        .any(|known| known.as_bytes().eq_ignore_ascii_case(&plain))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_of_secret_parameters_are_hidden_and_nothing_else_is() {
        let cases = [
            ("/soe", "/soe"),
            ("/soe?page=2", "/soe?page=2"),
            ("/soe?token=abc", "/soe?token=…"),
            ("/soe?a=1&KEY=abc&b=2", "/soe?a=1&KEY=…&b=2"),
            (
                "/soe?secret=a&password=b&auth=c&sig=d&code=e",
                "/soe?secret=…&password=…&auth=…&sig=…&code=…",
            ),
            ("/soe?%74oke%6E=abc", "/soe?%74oke%6E=…"),
            ("/soe?token=a=b;c/d?e", "/soe?token=…"),
            ("/soe?token=&a=1", "/soe?token=&a=1"),
            (
                "/soe?tokens=3&keyboard=x&token",
                "/soe?tokens=3&keyboard=x&token",
            ),
            (
                "polling /a?token=abc fails: \"/b?x&sig=d\" too",
                "polling /a?token=… fails: \"/b?x&sig=…\" too",
            ),
            ("key=value is no query", "key=value is no query"),
            ("/a?b=http://c/?token=abc", "/a?b=http://c/?token=…"),
        ];
        for (text, expected) in cases {
            assert_eq!(redacted(text), expected, "{text}");
        }
    }

    #[test]
    fn a_secret_is_compared_and_never_shown() {
        let secret = Secret::new("swordfish".to_owned());
        assert!(secret.is(b"swordfish"));
        for other in ["", "swordfis", "swordfisH", "swordfish ", "Swordfish"] {
            assert!(!secret.is(other.as_bytes()), "{other:?}");
        }
        assert_eq!(format!("{secret:?}"), "…");
    }

    proptest! {
        #[test]
        fn no_text_panics_and_no_value_is_left(text in ".{0,40}", value in "[a-zA-Z0-9]{5,20}") {
            redacted(&text);
            let whole = format!("/a?token={value}");
            prop_assert_eq!(redacted(&whole).into_owned(), "/a?token=…");
        }
    }
}
