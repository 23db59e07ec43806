//! PURE: how long a response is, where RFC 9112 §6.3 and ureq may differ. A connection is never kept where they might.

use http::header::{self, HeaderMap};
use http::{Method, StatusCode, Version};

use crate::origin::FetchError;

/// What the head says about the body and the connection after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Framing {
    /// Whether there is a body at all.
    pub(super) body: Presence,
    /// Whether the next response on this connection would begin where this one seems to end.
    pub(super) trust: Trust,
}

/// Whether a response has a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// Never, and Content-Length speaks of another response (HEAD, 304).
    NoneButItsLength,
    /// Never (204).
    None,
    /// As long as ureq says; it may be empty.
    Some,
}

/// Whether a connection may be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// The head is clear.
    Sound,
    /// Origins get this wrong, and what they send too much would be taken for the next response.
    Doubtful,
}

/// Judges the head of the answer to a `method` request. [`FetchError::Protocol`] where the content could not be told from
/// its coding, or the length is anybody's guess.
pub(super) fn judge(
    method: &Method,
    status: StatusCode,
    version: Version,
    fields: &HeaderMap,
) -> Result<Framing, FetchError> {
    if status == StatusCode::SWITCHING_PROTOCOLS {
        // Upgrade is hop-by-hop and was never sent on (RFC 9110 §7.8).
        return Err(FetchError::Protocol);
    }
    let coding = coding(fields);
    let body = presence(method, status);
    if body != Presence::Some {
        return Ok(Framing {
            body,
            trust: trust_without_body(method, status, coding, fields),
        });
    }
    let has_length = fields.contains_key(header::CONTENT_LENGTH);
    let trust = match (coding, version, has_length) {
        (Coding::None, ..) => Trust::Sound,
        // RFC 9112 §6.1: in HTTP/1.0 the framing is faulty.
        (_, Version::HTTP_10, _) => return Err(FetchError::Protocol),
        (Coding::Chunked, _, false) => Trust::Sound,
        // RFC 9112 §6.3: the coding overrides the length, as in ureq; a smuggler may have written either.
        (Coding::Chunked, _, true) => Trust::Doubtful,
        // RFC 9112 §6.3: it ends at close, as in ureq.
        (Coding::Unknown, _, false) => Trust::Doubtful,
        // ureq would go by the length, the RFC by the close; and what is coded before it is chunked cannot be decoded.
        (Coding::Unknown, _, true) | (Coding::UnderChunked, ..) => {
            return Err(FetchError::Protocol);
        }
    };
    Ok(Framing { body, trust })
}

/// What Transfer-Encoding says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    None,
    Chunked,
    /// `chunked` among others.
    UnderChunked,
    Unknown,
}

fn coding(fields: &HeaderMap) -> Coding {
    let lines = fields.get_all(header::TRANSFER_ENCODING).iter();
    let members: Vec<&[u8]> = lines
        .flat_map(|line| line.as_bytes().split(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
        .collect();
    let is_chunked = |member: &&[u8]| member.eq_ignore_ascii_case(b"chunked");
    match members.as_slice() {
        [] => Coding::None,
        [only] if is_chunked(only) => Coding::Chunked,
        several if several.iter().any(is_chunked) => Coding::UnderChunked,
        _ => Coding::Unknown,
    }
}

fn presence(method: &Method, status: StatusCode) -> Presence {
    match status {
        _ if method == Method::HEAD => Presence::NoneButItsLength,
        StatusCode::NOT_MODIFIED => Presence::NoneButItsLength,
        StatusCode::NO_CONTENT => Presence::None,
        _ => Presence::Some,
    }
}

fn trust_without_body(
    method: &Method,
    status: StatusCode,
    coding: Coding,
    fields: &HeaderMap,
) -> Trust {
    // Announced bodies that must not come: RFC 9112 §6.1, RFC 9110 §8.6. Some origins send the body of a HEAD.
    let announced = fields
        .get(header::CONTENT_LENGTH)
        .is_some_and(|length| length != "0");
    let doubtful = method == Method::HEAD
        || coding != Coding::None
        || (status == StatusCode::NO_CONTENT && announced);
    if doubtful {
        Trust::Doubtful
    } else {
        Trust::Sound
    }
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::*;

    const DOUBTFUL: Result<Trust, FetchError> = Ok(Trust::Doubtful);
    const REFUSED: Result<Trust, FetchError> = Err(FetchError::Protocol);
    const SOUND: Result<Trust, FetchError> = Ok(Trust::Sound);

    fn judged(
        method: Method,
        status: u16,
        version: Version,
        codings: &[&str],
        length: Option<&str>,
    ) -> Result<Framing, FetchError> {
        let mut fields = HeaderMap::new();
        for coding in codings {
            fields.append(
                header::TRANSFER_ENCODING,
                HeaderValue::from_str(coding).unwrap(),
            );
        }
        if let Some(length) = length {
            fields.insert(
                header::CONTENT_LENGTH,
                HeaderValue::from_str(length).unwrap(),
            );
        }
        judge(
            &method,
            StatusCode::from_u16(status).unwrap(),
            version,
            &fields,
        )
    }

    #[test]
    fn a_doubtful_length_never_keeps_the_connection() {
        for (codings, length, in_1_1, in_1_0) in [
            (&[][..], None, SOUND, SOUND),
            (&[], Some("5"), SOUND, SOUND),
            (&["chunked"], None, SOUND, REFUSED),
            (&["Chunked "], None, SOUND, REFUSED),
            (&["chunked"], Some("5"), DOUBTFUL, REFUSED),
            (&["chunked, chunked"], None, REFUSED, REFUSED),
            (&["gzip, chunked"], None, REFUSED, REFUSED),
            (&["gzip", "chunked"], None, REFUSED, REFUSED),
            (&["gibberish"], None, DOUBTFUL, REFUSED),
            (&["gibberish"], Some("5"), REFUSED, REFUSED),
            (&[""], Some("5"), REFUSED, REFUSED),
        ] {
            for (version, expected) in [(Version::HTTP_11, in_1_1), (Version::HTTP_10, in_1_0)] {
                let trust =
                    judged(Method::GET, 200, version, codings, length).map(|framing| framing.trust);
                assert_eq!(trust, expected, "{version:?} {codings:?} {length:?}");
            }
        }
    }

    #[test]
    fn some_responses_have_no_body_whatever_they_announce() {
        use Presence::{None as Nothing, NoneButItsLength};
        for (method, status, codings, length, body, trust) in [
            (
                Method::HEAD,
                200,
                &[][..],
                Some("5"),
                NoneButItsLength,
                Trust::Doubtful,
            ),
            (
                Method::GET,
                304,
                &[],
                Some("5"),
                NoneButItsLength,
                Trust::Sound,
            ),
            (
                Method::GET,
                304,
                &["chunked"],
                None,
                NoneButItsLength,
                Trust::Doubtful,
            ),
            (Method::GET, 204, &[], None, Nothing, Trust::Sound),
            (Method::GET, 204, &[], Some("0"), Nothing, Trust::Sound),
            (
                Method::DELETE,
                204,
                &[],
                Some("5"),
                Nothing,
                Trust::Doubtful,
            ),
        ] {
            let framing = judged(method.clone(), status, Version::HTTP_11, codings, length);
            assert_eq!(
                framing,
                Ok(Framing { body, trust }),
                "{method} {status} {codings:?} {length:?}"
            );
        }
    }

    #[test]
    fn nobody_asked_for_another_protocol() {
        assert_eq!(
            judged(Method::GET, 101, Version::HTTP_11, &[], None),
            Err(FetchError::Protocol)
        );
    }
}
