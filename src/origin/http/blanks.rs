//! PURE: whitespace between the name of a response field and its colon, which a proxy removes (RFC 9112 §5.1).

/// What has to be done about the start of the final response.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Blanks {
    /// Nothing so far; more of the head is to come.
    None,
    /// Nothing, and the head is complete.
    NoneInHead,
    /// The input without these blanks.
    Removed(Vec<u8>),
    /// The input ends in a blank behind a name: what follows tells whether it has to go.
    Unclear,
}

/// Looks for such blanks in `input`, which begins with the status line. What follows the head is left as it stands.
pub(super) fn at_start(input: &[u8]) -> Blanks {
    let mut kept = Vec::new();
    let mut removed = false;
    let mut rest = input;
    let mut is_status_line = true;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let (line, behind) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
        if line == b"\r\n" {
            return match removed {
                true => Blanks::Removed([&kept, rest].concat()),
                false => Blanks::NoneInHead,
            };
        }
        let name = name_before_blanks(line).filter(|_| !is_status_line);
        match name.map(|name| (name, line[name.len()..].trim_ascii_start())) {
            Some((_, after)) if after.is_empty() && end.is_none() => return Blanks::Unclear,
            Some((name, after)) if after.starts_with(b":") => {
                removed = true;
                kept.extend_from_slice(name);
                kept.extend_from_slice(after);
            }
            _ => kept.extend_from_slice(line),
        }
        is_status_line = false;
        rest = behind;
    }
    if removed {
        Blanks::Removed(kept)
    } else {
        Blanks::None
    }
}

/// What stands before the first blank of a line, if that may be a field's name. A folded line begins with a blank.
fn name_before_blanks(line: &[u8]) -> Option<&[u8]> {
    let end = line
        .iter()
        .position(|byte| matches!(byte, b' ' | b'\t' | b':' | b'\r' | b'\n'))?;
    let is_blank = matches!(line[end], b' ' | b'\t');
    (is_blank && end > 0).then(|| &line[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(input: &[u8]) -> String {
        match at_start(input) {
            Blanks::Removed(bytes) => bytes.escape_ascii().to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn blanks_before_a_colon_go_and_everything_else_stays() {
        for (input, expected) in [
            (
                "HTTP/1.1 200 OK\r\nA : 1\r\n\r\n",
                "HTTP/1.1 200 OK\\r\\nA: 1\\r\\n\\r\\n",
            ),
            (
                "HTTP/1.1 200 A : b\r\nA: b : c\r\nB \t :\r\n\r\nC : d\r\n",
                "HTTP/1.1 200 A : b\\r\\nA: b : c\\r\\nB:\\r\\n\\r\\nC : d\\r\\n",
            ),
            ("HTTP/1.1 200 OK\r\nA : 1", "HTTP/1.1 200 OK\\r\\nA: 1"),
            ("HTTP/1.1 200 OK\r\nA: 1\r\n\r\nB : 2\r\n", "NoneInHead"),
            ("HTTP/1.1 200 OK\r\nA: 1\r\n", "None"),
            ("HTTP/1.1 200 A ", "None"),
            ("HTTP/1.1 200 OK\r\nA B: 1\r\n", "None"),
            ("HTTP/1.1 200 OK\r\n : 1\r\n", "None"),
            ("HTTP/1.1 200 OK\r\nA: 1\r\n b : 2\r\n", "None"),
            ("HTTP/1.1 200 OK\r\nA \r\n: 1\r\n", "None"),
            ("HTTP/1.1 200 OK\r\nA \t", "Unclear"),
        ] {
            assert_eq!(shown(input.as_bytes()), expected, "{input:?}");
        }
    }
}
