//! Plain requests, recognised without being taken apart.
//!
//! A plain request is a GET in HTTP/1.1 whose fields can change nothing about a reply from the store. Its head is looked at in
//! place: no field map, no copy. What is recognised here is lawful by [`super::head`] too; everything else, lawful or not, is
//! left to that, unconsumed.

use super::head::{self, Limits};
use crate::policy::request_fields;

/// Field blocks kept in a [`Memo`], by their length.
const BLOCKS: usize = 64;
/// The longest field block kept, in bytes.
const LONGEST_KEPT: usize = 2048;
const METHOD: &[u8] = b"GET ";
const VERSION: &[u8] = b" HTTP/1.1\r\n";

/// A plain request at the start of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain {
    /// Where its target ends; it begins behind the method.
    target_end: usize,
    /// Length of the whole head.
    pub length: usize,
    /// The client wants the connection to end after the reply.
    pub closes: bool,
}

impl Plain {
    /// The target, in the bytes it was recognised in.
    pub fn target<'a>(&self, raw: &'a [u8]) -> &'a [u8] {
        raw.get(METHOD.len()..self.target_end).unwrap_or_default()
    }
}

/// The plain request at the start of `raw`. `None`: it is another one, or not whole yet.
pub fn recognise(raw: &[u8], limits: &Limits) -> Option<Plain> {
    let target_end = target_end(raw)?;
    let mut at = target_end + VERSION.len();
    if raw.get(target_end..at)? != VERSION {
        return None;
    }
    let mut has_host = false;
    let mut closes = false;
    let mut fields = 0;
    loop {
        let line = raw.get(at..)?;
        if line.starts_with(b"\r\n") {
            let length = at + 2;
            let fits = length <= limits.max_head_bytes && fields <= limits.max_fields;
            return (fits && has_host).then_some(Plain {
                target_end,
                length,
                closes,
            });
        }
        let colon = line.iter().position(|byte| !is_name(*byte))?;
        let name = line.get(..colon)?;
        if line.get(colon) != Some(&b':') {
            return None;
        }
        let end = colon + 1 + control(line.get(colon + 1..)?)?;
        if !line.get(end..)?.starts_with(b"\r\n") {
            return None;
        }
        let value = line.get(colon + 1..end)?.trim_ascii();
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                if has_host || !head::is_lawful_host(value) {
                    return None;
                }
                has_host = true;
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                if value.eq_ignore_ascii_case(b"close") {
                    closes = true;
                } else if !value.eq_ignore_ascii_case(b"keep-alive") {
                    return None;
                }
            }
            _ if !request_fields::is_plain_for_hit(name, value) => return None,
            _ => {}
        }
        fields += 1;
        at += end + 2;
    }
}

/// Where the target of a GET ends, if all its bytes are of the usual kind.
fn target_end(raw: &[u8]) -> Option<usize> {
    let rest = raw.strip_prefix(METHOD)?;
    let length = rest.iter().position(|byte| !is_target(*byte))?;
    let is_whole = rest.first() == Some(&b'/') && rest.get(length) == Some(&b' ');
    let fits = length <= head::MAX_TARGET_BYTES;
    (is_whole && fits).then_some(METHOD.len() + length)
}

/// Bytes of field names as they are usually written; fewer than a token may have.
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

/// Bytes of targets as they are usually written; fewer than a target may have.
fn is_target(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/.-_?=&%~+,:".contains(&byte)
}

/// As `==`, sixteen bytes at a time: the static builds' memcmp takes one, and this is most of a hit.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let (one, one_rest) = one.as_chunks::<16>();
    let (other, other_rest) = other.as_chunks::<16>();
    let mut chunks = one.iter().zip(other);
    let mut rest = one_rest.iter().zip(other_rest);
    chunks.all(|(one, other)| u128::from_ne_bytes(*one) == u128::from_ne_bytes(*other))
        && rest.all(|(one, other)| one == other)
}

/// Where the first control character stands. Eight bytes at a time.
fn control(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    let (words, _) = bytes.as_chunks::<8>();
    let mut at = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        // A byte's top bit is set where the byte is below 0x20, or is 0x7F; the lowest such bit is never a false one.
        let low = word.wrapping_sub(ONES * 0x20) & !word & TOPS;
        let without_del = word ^ (ONES * 0x7F);
        let del = without_del.wrapping_sub(ONES) & !without_del & TOPS;
        if low | del != 0 {
            return Some(at + ((low | del).trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    let rest = bytes.get(at..)?;
    let found = rest.iter().position(|byte| byte.is_ascii_control())?;
    Some(at + found)
}

/// Field blocks found plain lately. Most clients repeat theirs, and an equal block needs no second look.
pub struct Memo {
    /// By length; an empty place matches nothing.
    blocks: Vec<(Vec<u8>, bool)>,
}

impl Memo {
    /// A memo that knows nothing.
    pub fn new() -> Memo {
        Memo {
            blocks: vec![(Vec::new(), false); BLOCKS],
        }
    }

    /// The plain request that `raw` is, exactly: with nothing behind it, and with fields known to be plain.
    pub fn find(&self, raw: &[u8]) -> Option<Plain> {
        let target_end = target_end(raw)?;
        let fields = raw.get(target_end..)?;
        let (known, closes) = self.blocks.get(fields.len() % BLOCKS)?;
        let is_known = !known.is_empty() && is_equal(known, fields);
        is_known.then_some(Plain {
            target_end,
            length: raw.len(),
            closes: *closes,
        })
    }

    /// Keeps the fields of a request recognised at the start of `raw`.
    pub fn keep(&mut self, raw: &[u8], plain: Plain) {
        let Some(fields) = raw.get(plain.target_end..plain.length) else {
            return;
        };
        if fields.len() > LONGEST_KEPT {
            return;
        }
        if let Some((known, closes)) = self.blocks.get_mut(fields.len() % BLOCKS) {
            known.clear();
            known.extend_from_slice(fields);
            *closes = plain.closes;
        }
    }
}

impl Default for Memo {
    fn default() -> Memo {
        Memo::new()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{Method, Version};
    use proptest::prelude::*;

    use super::*;
    use crate::front::head::{Framing, Parsed, parse};

    const BROWSER: &[u8] =
        b"GET /a?b=1 HTTP/1.1\r\nHost: larder.lan:8676\r\nConnection: keep-alive\r\n\
        User-Agent: Mozilla/5.0\r\nAccept: */*\r\nSec-Fetch-Mode: cors\r\n\
        Accept-Encoding: gzip, deflate\r\nAccept-Language: de-DE,de;q=0.9\r\n\r\n";

    fn plain(raw: &[u8]) -> Option<Plain> {
        recognise(raw, &Limits::default())
    }

    #[test]
    fn a_browsers_get_is_plain_and_a_cut_one_is_not() {
        let found = plain(BROWSER).expect("plain");
        assert_eq!(found.target(BROWSER), b"/a?b=1");
        assert_eq!(found.length, BROWSER.len());
        assert!(!found.closes);
        for end in 0..BROWSER.len() {
            assert_eq!(plain(&BROWSER[..end]), None, "cut at {end}");
        }
        let followed = [BROWSER, b"GET"].concat();
        assert_eq!(plain(&followed), Some(found));
    }

    #[test]
    fn what_may_change_a_reply_is_not_plain() {
        let with = |line: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n");
        let others = [
            "Cookie: a=b",
            "Authorization: Basic x",
            "X-Anything: 1",
            "Accept_Language: de",
            "Range: bytes=0-1",
            "If-None-Match: \"a\"",
            "Cache-Control: no-cache",
            "Content-Length: 0",
            "Transfer-Encoding: chunked",
            "Expect: 100-continue",
            "X-Request-ID: mine",
            "Host: b",
            "Connection: upgrade",
            "Upgrade: websocket",
            " folded: x",
            "Accept : */*",
            "Accept: a\x01b",
        ];
        for line in others {
            assert_eq!(plain(with(line).as_bytes()), None, "{line}");
        }
        let closing = plain(with("connection:close").as_bytes()).expect("plain");
        assert!(closing.closes);
        let lines = [
            "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /# HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\n\n",
            "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ];
        for head in lines {
            assert_eq!(plain(head.as_bytes()), None, "{head}");
        }
    }

    #[test]
    fn the_memo_knows_equal_fields_and_nothing_else() {
        let mut memo = Memo::new();
        assert_eq!(memo.find(BROWSER), None);
        let found = plain(BROWSER).expect("plain");
        memo.keep(BROWSER, found);
        assert_eq!(memo.find(BROWSER), Some(found));
        for end in 0..BROWSER.len() {
            assert_eq!(memo.find(&BROWSER[..end]), None, "cut at {end}");
        }
        let other = String::from_utf8_lossy(BROWSER).replace("/a?b=1", "/longer");
        let other = memo.find(other.as_bytes()).expect("the same fields");
        assert_eq!(other.length, BROWSER.len() + 1);
        let changed = String::from_utf8_lossy(BROWSER).replace("larder.lan", "larder.lam");
        assert_eq!(memo.find(changed.as_bytes()), None);
    }

    proptest! {
        /// Whatever is recognised is a lawful GET without a body to the strict parser, with the same target and length.
        #[test]
        fn recognised_is_lawful(
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            insert in any::<bool>(),
        ) {
            let mut raw = BROWSER.to_vec();
            let at = at.index(raw.len());
            if insert {
                raw.insert(at, byte);
            } else {
                raw[at] = byte;
            }
            if let Some(found) = plain(&raw) {
                let bytes = Bytes::from(raw.clone());
                let parsed = parse(&bytes, &Limits::default());
                let Ok(Parsed::Head { head, consumed }) = parsed else {
                    return Err(TestCaseError::fail(format!("{parsed:?}")));
                };
                prop_assert_eq!(consumed, found.length);
                prop_assert_eq!(head.method, Method::GET);
                prop_assert_eq!(head.version, Version::HTTP_11);
                prop_assert_eq!(head.framing, Framing::None);
                prop_assert_eq!(head.keep_alive, !found.closes);
                prop_assert_eq!(head.target.as_str().as_bytes(), found.target(&raw));
            }
        }

        #[test]
        fn equal_is_equal(bytes in proptest::collection::vec(any::<u8>(), 1..70), at in any::<prop::sample::Index>()) {
            prop_assert!(is_equal(&bytes, &bytes.clone()));
            let mut other = bytes.clone();
            other[at.index(bytes.len())] ^= 1;
            prop_assert!(!is_equal(&bytes, &other));
            prop_assert!(!is_equal(&bytes, &bytes[1..]));
        }

        #[test]
        fn a_control_character_is_found_where_it_stands(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let expected = bytes.iter().position(|byte| *byte < 0x20 || *byte == 0x7F);
            prop_assert_eq!(control(&bytes), expected);
        }
    }
}
