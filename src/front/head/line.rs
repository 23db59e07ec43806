//! The request line: method, target, version (RFC 9112 §3).

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Method, Version};

use super::{Refusal, host};
use crate::message::Target;

/// The longest method.
pub(super) const MAX_METHOD_BYTES: usize = 32;

/// The longest request target; beyond: 414.
pub(in crate::front) const MAX_TARGET_BYTES: usize = 8 * 1024;

/// A lawful request line.
pub(super) struct RequestLine {
    pub method: Method,
    pub target: Target,
    pub version: Version,
}

/// Reads `line`, a part of `raw` without its CRLF.
pub(super) fn read(raw: &Bytes, line: &[u8]) -> Result<RequestLine, Refusal> {
    // Exactly one space each: RFC 9112 §3 permits recipients to split on any whitespace, which is how two of them differ.
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::RequestLine);
    };
    if method.is_empty()
        || method.len() > MAX_METHOD_BYTES
        || !method.iter().copied().all(super::is_tchar)
    {
        return Err(Refusal::RequestLine);
    }
    let method = Method::from_bytes(method).map_err(|_| Refusal::RequestLine)?;
    let version = read_version(version)?;
    // A reverse proxy opens no tunnels (RFC 9110 §9.3.6), whatever the target looks like.
    if method == Method::CONNECT {
        return Err(Refusal::Connect);
    }
    let target = read_target(raw, target, &method)?;
    Ok(RequestLine {
        method,
        target,
        version,
    })
}

fn read_version(text: &[u8]) -> Result<Version, Refusal> {
    match text {
        b"HTTP/1.0" => Ok(Version::HTTP_10),
        // A higher minor version is processed as the highest one spoken here (RFC 9110 §2.5).
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => Ok(Version::HTTP_11),
        // Well formed (RFC 9112 §2.3) but not spoken here; the HTTP/2 preface ends here too.
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(Refusal::Version),
        _ => Err(Refusal::RequestLine),
    }
}

fn read_target(raw: &Bytes, text: &[u8], method: &Method) -> Result<Target, Refusal> {
    if text.len() > MAX_TARGET_BYTES {
        return Err(Refusal::TargetTooLong);
    }
    let target = match text {
        // RFC 9112 §3.2.4.
        b"*" if *method == Method::OPTIONS => {
            return Target::parse(Bytes::from_static(b"*")).ok_or(Refusal::Target);
        }
        [b'/', ..] => raw.slice_ref(text),
        _ => from_absolute(raw, text, method)?,
    };
    // What the origin's URI type refuses could not be forwarded; better said here.
    if target.as_ref() != b"*" && PathAndQuery::from_maybe_shared(target.clone()).is_err() {
        return Err(Refusal::Target);
    }
    Target::parse(target).ok_or(Refusal::Target)
}

/// The origin form of `http://authority/path?query` (RFC 9112 §3.2.2). The authority is checked and dropped.
fn from_absolute(raw: &Bytes, text: &[u8], method: &Method) -> Result<Bytes, Refusal> {
    let (scheme, rest) = text
        .split_at_checked(b"http://".len())
        .ok_or(Refusal::Target)?;
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?'))
        .unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    // RFC 9110 §4.2.1: an http URI with an empty host is invalid.
    let named = !matches!(authority, [] | [b':', ..]) && host::is_lawful(authority);
    if !scheme.eq_ignore_ascii_case(b"http://") || !named {
        return Err(Refusal::Target);
    }
    Ok(match target {
        // RFC 9112 §3.2.4: an absolute form without a path asks OPTIONS of the server as a whole.
        [] if *method == Method::OPTIONS => Bytes::from_static(b"*"),
        [] => Bytes::from_static(b"/"),
        [b'?', ..] => Bytes::from([b"/".as_slice(), target].concat()),
        _ => raw.slice_ref(target),
    })
}
