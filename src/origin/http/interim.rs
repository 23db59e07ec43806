//! PURE: interim responses before the final one (RFC 9110 §15.2), as they stand in the input.

use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// What the input begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// A whole interim response.
    Interim {
        /// Its bytes, empty line included.
        length: usize,
        status: StatusCode,
        /// All of its fields, as received.
        fields: HeaderMap,
    },
    /// Nothing yet, or what may become an interim response.
    Unclear,
    /// The final response, or what only ureq can judge: another version, a switch of protocols, or broken lines.
    Other,
}

/// What every interim response begins with. HTTP/1.0 has none (RFC 9110 §15.2).
const BEGINNING: &[u8] = b"HTTP/1.1 1";
const END_OF_LINE: &[u8] = b"\r\n";
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// Reads one interim response off the start of `input`.
pub(super) fn at_start(input: &[u8]) -> Start {
    if !input.starts_with(BEGINNING) {
        return if BEGINNING.starts_with(input) {
            Start::Unclear
        } else {
            Start::Other
        };
    }
    let Some(end) = input
        .windows(END_OF_HEAD.len())
        .position(|window| window == END_OF_HEAD)
    else {
        return Start::Unclear;
    };
    let (lines, _) = input.split_at(end + END_OF_LINE.len());
    match read(lines) {
        Some((status, fields)) => Start::Interim {
            length: end + END_OF_HEAD.len(),
            status,
            fields,
        },
        None => Start::Other,
    }
}

/// `None` unless these are the status line and the field lines of an interim response, without any fault.
fn read(lines: &[u8]) -> Option<(StatusCode, HeaderMap)> {
    let mut lines = lines.split_inclusive(|byte| *byte == b'\n').map(line);
    let status = status(lines.next()??)?;
    let mut fields = HeaderMap::new();
    for line in lines {
        let line = line?;
        let (name, value) = line.split_at(line.iter().position(|byte| *byte == b':')?);
        let value = value.strip_prefix(b":")?.trim_ascii();
        fields
            .try_append(
                HeaderName::from_bytes(name).ok()?,
                HeaderValue::from_bytes(value).ok()?,
            )
            .ok()?;
    }
    Some((status, fields))
}

/// A line without its end, if it ends as it must and has no other control characters but tabs.
fn line(line: &[u8]) -> Option<&[u8]> {
    let text = line.strip_suffix(END_OF_LINE)?;
    text.iter()
        .all(|byte| *byte == b'\t' || !byte.is_ascii_control())
        .then_some(text)
}

/// The code of an interim status line. Who switches protocols says nothing of the kind (RFC 9110 §15.2.2).
fn status(line: &[u8]) -> Option<StatusCode> {
    let (code, reason) = line.strip_prefix(b"HTTP/1.1 ")?.split_at_checked(3)?;
    let status = StatusCode::from_bytes(code).ok()?;
    let whole = reason.is_empty() || reason.starts_with(b" ");
    (whole && status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS)
        .then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `103 name=value name=value +rest`, or the name of the variant.
    fn shown(input: &[u8]) -> String {
        match at_start(input) {
            Start::Interim {
                length,
                status,
                fields,
            } => {
                let fields = fields
                    .iter()
                    .map(|(name, value)| format!("{name}={}", value.as_bytes().escape_ascii()));
                let rest = input[length..].escape_ascii();
                format!(
                    "{} {}+{rest}",
                    status.as_u16(),
                    fields.map(|field| field + " ").collect::<String>()
                )
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_whole_interim_response_is_read_and_what_follows_is_left() {
        for (input, expected) in [
            (&b"HTTP/1.1 100 Continue\r\n\r\n"[..], "100 +"),
            (b"HTTP/1.1 100 Continue\r\nX: 1\r\n\r\n", "100 x=1 +"),
            (b"HTTP/1.1 102\r\n\r\nHTTP/1.1 2", "102 +HTTP/1.1 2"),
            (
                b"HTTP/1.1 103 \xe9\r\nLink: </a>\r\nlink:\t</b> \r\n\r\n",
                "103 link=</a> link=</b> +",
            ),
            (
                b"HTTP/1.1 199 Odd\r\nX-Obs: \xe9\tz\r\nX-Empty:\r\n\r\n\r\n",
                "199 x-obs=\\xe9\\tz x-empty= +\\r\\n",
            ),
        ] {
            assert_eq!(shown(input), expected, "{}", input.escape_ascii());
        }
    }

    #[test]
    fn however_it_is_cut_it_is_awaited() {
        let whole = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
        for end in 0..whole.len() {
            assert_eq!(at_start(&whole[..end]), Start::Unclear, "{end} bytes");
        }
        assert_eq!(shown(whole), "103 link=</a> +");
    }

    #[test]
    fn everything_else_is_left_as_it_stands() {
        for input in [
            &b"HTTP/1.1 2"[..],
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.0 103 Early Hints\r\n\r\n",
            b"HTTP/2",
            b"SSH-2.0-x\r\n\r\n",
            b"\r\nHTTP/1.1 103 Early Hints\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            b"HTTP/1.1 1000 Odd\r\n\r\n",
            b"HTTP/1.1 1x3 Odd\r\n\r\n",
            b"HTTP/1.1 10\r\n\r\n",
            b"HTTP/1.1 103 Odd\rX: 1\r\n\r\n",
            b"HTTP/1.1 103 Odd\nX: 1\r\n\r\n",
            b"HTTP/1.1 103 Odd\r\nX\r\n\r\n",
            b"HTTP/1.1 103 Odd\r\nX : 1\r\n\r\n",
            b"HTTP/1.1 103 Odd\r\n: 1\r\n\r\n",
            b"HTTP/1.1 103 Odd\r\nX: 1\r\n folded\r\n\r\n",
            b"HTTP/1.1 103 Odd\r\nX: 1\r\r\n\r\n",
            b"HTTP/1.1 103 Odd\r\nX: a\x00b\r\n\r\n",
        ] {
            assert_eq!(at_start(input), Start::Other, "{}", input.escape_ascii());
        }
    }

    #[test]
    fn more_fields_than_a_map_holds_are_no_panic() {
        let lines: String = (0..40_000)
            .map(|number| format!("x{number}:\r\n"))
            .collect();
        assert_eq!(
            at_start(format!("HTTP/1.1 103 Odd\r\n{lines}\r\n").as_bytes()),
            Start::Other
        );
    }
}
