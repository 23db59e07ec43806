//! The lines of a `.env` file: `NAME=value`, as shells and the programs Larder replaces write them.
//!
//! `export` may precede a name, blanks around it; `#` after a blank begins a comment. A value in single quotes is taken
//! as it is, one in double quotes knows `\n`, `\"` and `\\`; both may run over several lines. Nothing is substituted.

use super::Problems;

/// A variable of a `.env` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DotEnv {
    /// Its name.
    pub name: String,
    /// Its value.
    pub text: String,
    /// The line it begins on, from 1.
    pub line: usize,
}

/// Every variable, in order. A line that is none is a problem, named by its number alone: it may hold a secret.
pub fn variables(text: &str, problems: &mut Problems) -> Vec<DotEnv> {
    let mut found = Vec::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    while !rest.is_empty() {
        let number = text[..text.len() - rest.len()].matches('\n').count() + 1;
        let line = rest.lines().next().unwrap_or_default();
        let is_blank = line.trim_start().is_empty() || line.trim_start().starts_with('#');
        match (!is_blank).then(|| variable(rest)) {
            None => rest = after_line(rest),
            Some(Some((name, text, after))) => {
                found.push(DotEnv {
                    name: name.to_owned(),
                    text,
                    line: number,
                });
                rest = after;
            }
            Some(None) => {
                let message =
                    "this line sets no variable. Write NAME=value, or # before a comment.";
                problems.add_at(&format!(".env line {number}"), message);
                rest = after_line(rest);
            }
        }
    }
    found
}

/// The variable at the beginning of a text: its name, its value, and the text after its line.
fn variable(text: &str) -> Option<(&str, String, &str)> {
    let (name, behind) = text.split_at(text.lines().next()?.find('=')?);
    let name = name.trim();
    let behind = &behind[1..];
    let name = name
        .strip_prefix("export")
        .filter(|name| name.starts_with([' ', '\t']))
        .map_or(name, str::trim);
    let is_name = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.');
    if name.is_empty() || !is_name {
        return None;
    }
    let value = behind.trim_start_matches([' ', '\t']);
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let (value, behind) = quoted(&value[1..], quote)?;
            let tail = behind.lines().next().unwrap_or_default().trim();
            (tail.is_empty() || tail.starts_with('#')).then(|| (name, value, after_line(behind)))
        }
        _ => Some((
            name,
            plain(value.lines().next().unwrap_or_default()).to_owned(),
            after_line(behind),
        )),
    }
}

/// A value up to its closing quote, and the text after that. `None`: it is never closed.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            _ if character == quote => return Some((value, &text[at + 1..])),
            '\\' if quote == '"' => match characters.next()?.1 {
                'n' => value.push('\n'),
                plain @ ('"' | '\\' | '$') => value.push(plain),
                other => value.extend(['\\', other]),
            },
            _ => value.push(character),
        }
    }
    None
}

/// A value without quotes, up to a comment.
fn plain(line: &str) -> &str {
    let comment = [" #", "\t#"]
        .iter()
        .filter_map(|mark| line.find(mark))
        .min();
    let line = comment.map_or(line, |at| &line[..at]);
    if line.starts_with('#') {
        ""
    } else {
        line.trim()
    }
}

fn after_line(text: &str) -> &str {
    text.split_once('\n').map_or("", |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> (Vec<DotEnv>, Vec<String>) {
        let mut problems = Problems::default();
        let found = variables(text, &mut problems);
        let places = problems.0.into_iter().map(|problem| problem.place);
        (found, places.collect())
    }

    #[test]
    fn each_way_to_write_a_value() {
        let cases = [
            ("A=b", "b"),
            ("A=b\r\n", "b"),
            ("  export A = b c  # why", "b c"),
            ("export\tA=b", "b"),
            ("A=", ""),
            ("A=# nothing", ""),
            ("A= # nothing", ""),
            ("A=b#c", "b#c"),
            ("A=http://b/?c=d", "http://b/?c=d"),
            ("A='b # \\n \"c\"' # why", "b # \\n \"c\""),
            ("A=\"b \\\"c\\\" \\\\ \\n\\t\"", "b \"c\" \\ \n\\t"),
            ("A=\"one\ntwo\"", "one\ntwo"),
            ("\u{feff}A=b", "b"),
        ];
        for (text, expected) in cases {
            let variable = DotEnv {
                name: "A".to_owned(),
                text: expected.to_owned(),
                line: 1,
            };
            assert_eq!(read(text), (vec![variable], vec![]), "{text}");
        }
    }

    #[test]
    fn a_line_that_is_no_variable_is_named_by_its_number_and_the_others_count() {
        let (found, problems) = read(
            "# all\n\nA=1\nno_variable\nB='two\nlines'\n9 C=3\nD=\"open\nH\n=5\nE=5\nF='x' y\nG=7",
        );
        let found: Vec<(&str, usize)> = found
            .iter()
            .map(|found| (&found.name[..], found.line))
            .collect();
        assert_eq!(found, [("A", 3), ("B", 5), ("E", 11), ("G", 13)]);
        assert_eq!(
            problems,
            [4, 7, 8, 9, 10, 12].map(|line| format!(".env line {line}"))
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[A-C= '\"#\\\\\n\té]{0,40}") {
            read(&text);
        }
    }
}
