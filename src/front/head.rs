//! A request head, read strictly from raw bytes.
//!
//! A lenient reader and a strict one that see the same bytes differently are how requests are smuggled, so whatever is not
//! exactly HTTP/1.x is refused here, before anything else sees it (RFC 9112 §2 to §6, §11.2). Pure: bytes in, decision out.
//!
//! In scope: the request line, field lines, and what they say about framing and persistence. Out of scope: the body
//! ([`super::framing`]), the meaning of any other field, sockets and time.

mod fields;
mod host;
mod line;
mod refusal;
mod search;

use bytes::Bytes;
use http::{HeaderMap, Method, Version};
use memchr::memchr;

pub(super) use self::host::is_lawful as is_lawful_host;
pub(super) use self::line::MAX_TARGET_BYTES;
pub use self::refusal::Refusal;
pub use self::search::Search;
use crate::message::Target;

/// The sizes a head may have.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the whole head with its final empty line; beyond: 431. Default 16,384 (`maxHeaderBytes`).
    pub max_head_bytes: usize,
    /// Field lines; beyond: 431. Default 128.
    pub max_fields: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_head_bytes: 16 * 1024,
            max_fields: 128,
        }
    }
}

/// What the bytes received so far amount to.
#[derive(Debug)]
pub enum Parsed {
    /// The head has not ended yet: read more, then ask again.
    Incomplete,
    /// A whole head.
    Head {
        /// What it says.
        head: Head,
        /// Bytes it took; the body begins there.
        consumed: usize,
    },
}

/// A whole and lawful request head. Field values share the memory of the bytes they were read from.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    /// The method, case-sensitive, at most 32 bytes (RFC 9110 §9.1).
    pub method: Method,
    /// The request target in origin form, or `*` for OPTIONS; an absolute form has lost its scheme and authority.
    pub target: Target,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// Every field line, in order per name, whitespace around the value removed and obs-text kept as it came.
    pub fields: HeaderMap,
    /// Where the body ends (RFC 9112 §6.3).
    pub framing: Framing,
    /// True when the client waits for `100 Continue` before its body (RFC 9110 §10.1.1).
    pub expects_continue: bool,
    /// False when the connection ends after this exchange (RFC 9112 §9.3).
    pub keep_alive: bool,
}

/// How the length of a request body is known (RFC 9112 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body: neither Content-Length nor Transfer-Encoding.
    None,
    /// Content-Length, in bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// Reads one head from the start of `raw`; bytes behind it are left alone. Whoever may be called again with more bytes keeps
/// a [`Search`] instead, so that a dripping client is not scanned from the start for each drop.
pub fn parse(raw: &Bytes, limits: &Limits) -> Result<Parsed, Refusal> {
    let mut search = Search::default();
    let Some(consumed) = search.advance(raw, limits)? else {
        return Ok(Parsed::Incomplete);
    };
    Ok(Parsed::Head {
        head: search.read(raw)?,
        consumed,
    })
}

/// Reads the head whose request line stands first in `raw` and that is known to have `lines` lines.
fn read(raw: &Bytes, lines: usize) -> Result<Head, Refusal> {
    let mut rest = lines_of(raw);
    let first = rest.next().unwrap_or(Err(Refusal::RequestLine))?;
    let line::RequestLine {
        method,
        target,
        version,
    } = line::read(raw, first)?;
    let fields = fields::read(raw, rest, lines.saturating_sub(1))?;
    fields::check_host(&fields, version)?;
    Ok(Head {
        framing: fields::framing(&fields, version)?,
        expects_continue: fields::expects_continue(&fields, version)?,
        keep_alive: fields::keep_alive(&fields, version),
        method,
        target,
        version,
        fields,
    })
}

/// Every line that has ended, without its CRLF.
fn lines_of(mut raw: &[u8]) -> impl Iterator<Item = Result<&[u8], Refusal>> {
    std::iter::from_fn(move || {
        let (line, rest) = raw.split_at_checked(memchr(b'\n', raw)? + 1)?;
        raw = rest;
        Some(line.strip_suffix(b"\r\n").ok_or(Refusal::LineEnding))
    })
}

/// RFC 9110 §5.6.2.
pub(super) fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A byte that may stand in a field value: anything but control characters, HTAB excepted (RFC 9110 §5.5).
pub(super) fn is_field_content(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7F)
}

#[cfg(test)]
mod tests;
