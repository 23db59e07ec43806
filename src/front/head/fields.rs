//! The field lines, and what they say about host, framing, expectation and persistence.

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use http::{HeaderMap, Version};
use memchr::memchr;

use super::{Framing, Refusal, host};

/// Reads `lines`, parts of `raw` without their CRLF, up to the empty one. `expected` field lines are made room for.
pub(super) fn read<'a>(
    raw: &Bytes,
    lines: impl Iterator<Item = Result<&'a [u8], Refusal>>,
    expected: usize,
) -> Result<HeaderMap, Refusal> {
    let mut fields = HeaderMap::try_with_capacity(expected).map_err(|_| Refusal::TooManyFields)?;
    for line in lines {
        let line = line?;
        if line.is_empty() {
            return Ok(fields);
        }
        let (name, value) = read_line(raw, line)?;
        fields
            .try_append(name, value)
            .map_err(|_| Refusal::TooManyFields)?;
    }
    Err(Refusal::LineEnding)
}

/// Exactly one lawful Host in HTTP/1.1, at most one in HTTP/1.0 (RFC 9112 §3.2).
pub(super) fn check_host(fields: &HeaderMap, version: Version) -> Result<(), Refusal> {
    let mut hosts = fields.get_all(HOST).iter();
    let lawful = match (hosts.next(), hosts.next()) {
        (Some(only), None) => host::is_lawful(only.as_bytes()),
        (None, _) => version == Version::HTTP_10,
        (Some(_), Some(_)) => false,
    };
    if lawful { Ok(()) } else { Err(Refusal::Host) }
}

/// How the end of the body is known; every doubt is a refusal (RFC 9112 §6.3, §11.2).
pub(super) fn framing(fields: &HeaderMap, version: Version) -> Result<Framing, Refusal> {
    let mut codings = fields.get_all(TRANSFER_ENCODING).iter();
    let mut lengths = fields.get_all(CONTENT_LENGTH).iter();
    match (codings.next(), lengths.next()) {
        (None, None) => Ok(Framing::None),
        (None, Some(length)) if lengths.next().is_none() => {
            read_length(length.as_bytes()).map(Framing::Length)
        }
        // Two lengths are refused even if equal, which RFC 9112 §6.3 leaves open.
        (None, Some(_)) => Err(Refusal::ContentLength),
        (Some(coding), None) => {
            let chunked =
                coding.as_bytes().eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
            // RFC 9112 §6.1: HTTP/1.0 knows no transfer codings; its framing is faulty.
            if chunked && version == Version::HTTP_11 {
                Ok(Framing::Chunked)
            } else {
                Err(Refusal::TransferEncoding)
            }
        }
        (Some(_), Some(_)) => Err(Refusal::TransferEncoding),
    }
}

/// True if the client waits for 100; an expectation nobody here can meet is 417 (RFC 9110 §10.1.1).
pub(super) fn expects_continue(fields: &HeaderMap, version: Version) -> Result<bool, Refusal> {
    // RFC 9110 §10.1.1: an expectation in HTTP/1.0 is ignored.
    if version == Version::HTTP_10 {
        return Ok(false);
    }
    let mut expects = false;
    for expectation in members(fields, &EXPECT) {
        if !expectation.eq_ignore_ascii_case(b"100-continue") {
            return Err(Refusal::Expectation);
        }
        expects = true;
    }
    Ok(expects)
}

/// Whether the connection outlives this exchange (RFC 9112 §9.3).
pub(super) fn keep_alive(fields: &HeaderMap, version: Version) -> bool {
    let lists = |option: &[u8]| {
        members(fields, &CONNECTION).any(|member| member.eq_ignore_ascii_case(option))
    };
    !lists(b"close") && (version == Version::HTTP_11 || lists(b"keep-alive"))
}

fn read_line(raw: &Bytes, line: &[u8]) -> Result<(HeaderName, HeaderValue), Refusal> {
    // RFC 9112 §5.2: obs-fold. A reader that trims lines would see another field here.
    if matches!(line, [b' ' | b'\t', ..]) {
        return Err(Refusal::Fold);
    }
    let colon = memchr(b':', line).ok_or(Refusal::FieldName)?;
    let name = &line[..colon];
    let value = trim(&line[colon + 1..]);
    if is_framing_in_disguise(name) {
        return Err(Refusal::FieldName);
    }
    // RFC 9112 §5.1: whitespace before the colon is refused with every other byte that is no token.
    let name = HeaderName::from_bytes(name).map_err(|_| Refusal::FieldName)?;
    let value =
        HeaderValue::from_maybe_shared(raw.slice_ref(value)).map_err(|_| Refusal::FieldValue)?;
    Ok((name, value))
}

/// Whether a name becomes that of a framing field where `_` is taken for `-`, as gateways to CGI and WSGI do: the origin would
/// see another body than we do.
fn is_framing_in_disguise(name: &[u8]) -> bool {
    let is_named = |framing: &[u8]| {
        name.len() == framing.len()
            && name.iter().zip(framing).all(|(byte, known)| {
                let byte = if *byte == b'_' { b'-' } else { *byte };
                byte.eq_ignore_ascii_case(known)
            })
    };
    name.contains(&b'_') && (is_named(b"transfer-encoding") || is_named(b"content-length"))
}

fn read_length(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::ContentLength);
    }
    // Digits that do not parse are too many: a lawful length no memory holds (RFC 9110 §8.6).
    std::str::from_utf8(value)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or(Refusal::TooLarge)
}

/// The members of a list field over all its lines, empty ones left out (RFC 9110 §5.6.1.2).
fn members<'a>(fields: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let lines = fields.get_all(name).into_iter();
    lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(trim)
        .filter(|member| !member.is_empty())
}

/// Removes OWS: spaces and tabs, nothing else (RFC 9110 §5.6.3).
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}
