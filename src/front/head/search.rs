//! Where a head ends, found without looking at any byte twice.

use bytes::Bytes;
use memchr::memchr;

use super::line::{MAX_METHOD_BYTES, MAX_TARGET_BYTES};
use super::{Head, Limits, Refusal};

/// Empty lines tolerated before a request line (RFC 9112 §2.2).
const MAX_LEADING_EMPTY_LINES: u8 = 2;

/// A request line without its method and target: two spaces and `HTTP/1.1` CR.
const LINE_FRAME_BYTES: usize = 11;

/// The search for the end of one head, resumed with every read. A new head needs a new `Search`.
#[derive(Debug, Default)]
pub struct Search {
    /// Bytes already looked at.
    scanned: usize,
    /// Where the line now being read begins.
    line: usize,
    /// Where the request line begins.
    start: usize,
    leading_empty_lines: u8,
    /// Whole lines seen, request line included, leading empty ones not.
    lines: usize,
}

impl Search {
    /// Looks at what was added to `raw` since the last call. Answers the length of the head once it is whole, `None` before.
    pub fn advance(&mut self, raw: &[u8], limits: &Limits) -> Result<Option<usize>, Refusal> {
        // The record header of a TLS ClientHello (RFC 8446 §5.1): it never ends a line, so it would wait for ever.
        if raw.starts_with(&[0x16, 0x03]) {
            return Err(Refusal::Tls);
        }
        while let Some(found) = memchr(b'\n', raw.get(self.scanned..).unwrap_or_default()) {
            let end = self.scanned + found + 1;
            if end > limits.max_head_bytes {
                return Err(self.too_large(end));
            }
            if self.take_line(&raw[self.line..end], end, limits)? {
                return Ok(Some(end));
            }
        }
        self.scanned = self.scanned.max(raw.len());
        let longest_line = MAX_METHOD_BYTES + MAX_TARGET_BYTES + LINE_FRAME_BYTES;
        if raw.len() >= limits.max_head_bytes
            || (self.lines == 0 && raw.len() - self.line > longest_line)
        {
            return Err(self.too_large(raw.len()));
        }
        Ok(None)
    }

    /// Reads the head that [`Search::advance`] found whole in the same bytes.
    pub fn read(&self, raw: &Bytes) -> Result<Head, Refusal> {
        let head = raw.get(self.start..).unwrap_or_default();
        super::read(&raw.slice_ref(head), self.lines)
    }

    /// Takes one line with its LF, that ends before `end`; true if it ends the head.
    fn take_line(&mut self, line: &[u8], end: usize, limits: &Limits) -> Result<bool, Refusal> {
        (self.scanned, self.line) = (end, end);
        match line {
            b"\r\n" if self.lines > 0 => return Ok(true),
            b"\r\n" => {
                self.start = end;
                self.leading_empty_lines += 1;
                if self.leading_empty_lines > MAX_LEADING_EMPTY_LINES {
                    return Err(Refusal::RequestLine);
                }
            }
            [.., b'\r', b'\n'] => {
                self.lines += 1;
                if self.lines - 1 > limits.max_fields {
                    return Err(Refusal::TooManyFields);
                }
            }
            // RFC 9112 §2.2 lets a recipient take a bare LF for a line's end; the one behind us may not.
            _ => return Err(Refusal::LineEnding),
        }
        Ok(false)
    }

    /// What is too large: the request line (RFC 9112 §3), or the head (RFC 6585 §5).
    fn too_large(&self, received: usize) -> Refusal {
        let in_request_line = self.lines == 0 && received - self.start > MAX_TARGET_BYTES;
        if in_request_line {
            Refusal::TargetTooLong
        } else {
            Refusal::HeadTooLarge
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_drips_in_is_found_as_if_it_came_whole() {
        let raw = b"\r\nGET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\nbody\r\n\r\n";
        let whole = Search::default().advance(raw, &Limits::default());
        let mut dripping = Search::default();
        let at_once = raw.len() - b"body\r\n\r\n".len();
        for end in 0..at_once {
            assert_eq!(
                dripping.advance(&raw[..end], &Limits::default()),
                Ok(None),
                "after {end} bytes"
            );
            assert_eq!(dripping.scanned, end, "every byte is looked at once");
        }
        assert_eq!(dripping.advance(raw, &Limits::default()), Ok(Some(at_once)));
        assert_eq!(whole, Ok(Some(at_once)));
        let raw = Bytes::from_static(raw);
        assert_eq!(
            dripping.read(&raw.slice(..at_once)),
            dripping.read(&raw),
            "what follows the head does not matter"
        );
    }

    #[test]
    fn a_head_that_never_ends_is_refused_at_the_limit() {
        let limits = Limits {
            max_head_bytes: 40,
            max_fields: 2,
        };
        let cases: [(&[u8], _); 5] = [
            (
                b"GET / HTTP/1.1\r\nHost: aaaaaaaaaaaaaa\r\n\r\n",
                Ok(Some(40)),
            ),
            (b"GET / HTTP/1.1\r\nHost: aaaaaaaaaaaaaa\r\nX", Ok(None)),
            (
                b"GET / HTTP/1.1\r\nHost: aaaaaaaaaaaaaaa\r\n\r\n",
                Err(Refusal::HeadTooLarge),
            ),
            (
                b"GET / HTTP/1.1\r\nHost: aaaaaaaaaaaaaaaaaa",
                Err(Refusal::HeadTooLarge),
            ),
            (
                b"GET / HTTP/1.1\r\nA:\r\nB:\r\nC:\r\n",
                Err(Refusal::TooManyFields),
            ),
        ];
        for (raw, expected) in cases {
            assert_eq!(
                Search::default().advance(raw, &limits),
                expected,
                "{}",
                raw.escape_ascii()
            );
        }
    }

    #[test]
    fn an_endless_request_line_is_refused_before_the_head_is_full() {
        let mut raw = b"GET /".to_vec();
        raw.resize(MAX_METHOD_BYTES + MAX_TARGET_BYTES + LINE_FRAME_BYTES, b'a');
        assert_eq!(
            Search::default().advance(&raw, &Limits::default()),
            Ok(None)
        );
        raw.push(b'a');
        assert_eq!(
            Search::default().advance(&raw, &Limits::default()),
            Err(Refusal::TargetTooLong)
        );
    }
}
