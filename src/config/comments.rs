//! Comments in the configuration file: from `//` outside a text to the end of its line.

/// The same text with every comment blanked, so that lines and columns in error messages stay true.
pub fn blanked(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let mut place = Place::Outside;
    while let Some(character) = characters.next() {
        place = match (place, character) {
            (Place::Outside, '/') if characters.peek() == Some(&'/') => Place::Comment,
            (Place::Outside, '"') => Place::Text,
            (Place::Text, '\\') => Place::Escape,
            (Place::Text, '"') | (Place::Comment, '\n') => Place::Outside,
            (Place::Escape, _) => Place::Text,
            (same, _) => same,
        };
        clean.push(if place == Place::Comment {
            ' '
        } else {
            character
        });
    }
    clean
}

/// Where in the file a character stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    Text,
    /// Behind a backslash in a text.
    Escape,
    Comment,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_become_blanks_and_texts_stay() {
        let cases = [
            ("{} // all", "{}       "),
            ("// one\n{}// two\n", "      \n{}      \n"),
            ("{\"a\": \"http://b\"}", "{\"a\": \"http://b\"}"),
            (r#"{"a": "\"//"} // x"#, r#"{"a": "\"//"}     "#),
            (r#"{"a": "\\"}//x"#, r#"{"a": "\\"}   "#),
            ("/ /", "/ /"),
            ("//", "  "),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(blanked(text), expected, "{text}");
        }
    }
}
