//! The messages that pass through: a client's request, and an origin's whole response.

use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};

use crate::budget::Lease;
use crate::digits::{Digits, hexadecimal};

/// A client's request, whole: its body is in memory before anything else sees it.
#[derive(Debug)]
pub struct Request {
    /// The method, case-sensitive, unknown ones included (RFC 9110 §9).
    pub method: Method,
    /// The request target in origin form (RFC 9112 §3.2.1).
    pub target: Target,
    /// HTTP/1.0 or HTTP/1.1, as the client said.
    pub version: Version,
    /// All fields as received, hop-by-hop ones included, in order per name.
    pub fields: HeaderMap,
    /// The body without its transfer coding; empty when there is none.
    pub body: Body,
    /// The address the connection came from.
    pub peer: IpAddr,
    /// Names this request in the log, in `X-Request-Id` and in error replies, unless its client does: [`Request::own_id`].
    pub id: RequestId,
}

/// The longest id of a client's own, in bytes.
const LONGEST_OWN_ID: usize = 64;

impl Request {
    /// What its client calls it. `None`: there is not exactly one `X-Request-Id`, or it could not stand wherever ids are
    /// printed.
    pub fn own_id(&self) -> Option<&HeaderValue> {
        let mut lines = self.fields.get_all("x-request-id").iter();
        let (Some(own), None) = (lines.next(), lines.next()) else {
            return None;
        };
        let lawful = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
        ((1..=LONGEST_OWN_ID).contains(&own.len()) && own.as_bytes().iter().all(lawful))
            .then_some(own)
    }
}

/// A request body in memory, with its share of the memory set aside for bodies.
#[derive(Debug, Default)]
pub struct Body {
    /// The octets, transfer coding removed.
    pub bytes: Bytes,
    /// Gives the memory back when the body is dropped. `None` for an empty body.
    pub lease: Option<Lease>,
}

/// The path and query of a request: begins with `/`, or is `*` (OPTIONS only). Only bytes 0x21 to 0x7E, without `#`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target(Bytes);

impl Target {
    /// Accepts a path with query, or `*`. Anything else is `None`: the caller answers 400.
    pub fn parse(text: Bytes) -> Option<Target> {
        let lawful = text.iter().all(|b| (0x21..=0x7E).contains(b) && *b != b'#');
        let shaped = text.first() == Some(&b'/') || text.as_ref() == b"*";
        (lawful && shaped).then_some(Target(text))
    }

    /// The whole target.
    pub fn as_str(&self) -> &str {
        // Only ASCII passes `parse`.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The part before `?`.
    pub fn path(&self) -> &str {
        let whole = self.as_str();
        whole.split_once('?').map_or(whole, |(path, _)| path)
    }

    /// The part after `?`, or `None` where there is no `?`.
    pub fn query(&self) -> Option<&str> {
        self.as_str().split_once('?').map(|(_, query)| query)
    }
}

/// A number unique in this process, printed together with the process's own mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(pub u64);

/// A request's id as printed.
pub enum IdText<'a> {
    /// Its client's own.
    Own(&'a str),
    /// Ours: the process's mark and the request's number.
    Ours(Digits, Digits),
}

impl<'a> IdText<'a> {
    /// `mark` names the process, 8 hexadecimal digits. `own` is [`Request::own_id`].
    pub fn new(mark: u32, id: RequestId, own: Option<&'a HeaderValue>) -> IdText<'a> {
        match own.and_then(|own| own.to_str().ok()) {
            Some(own) => IdText::Own(own),
            None => IdText::Ours(hexadecimal(mark.into(), 8), hexadecimal(id.0, 1)),
        }
    }

    /// The texts that make it up, for who has no use for the formatting machinery.
    pub fn parts(&self) -> [&str; 3] {
        match self {
            IdText::Own(own) => [own, "", ""],
            IdText::Ours(mark, number) => [mark.as_str(), "-", number.as_str()],
        }
    }
}

impl fmt::Display for IdText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts().iter().try_for_each(|part| f.write_str(part))
    }
}

/// An origin's response, complete and final (never 1xx). Never changed once made.
#[derive(Debug)]
pub struct Response {
    /// The status code, odd ones such as 299 or 999 included.
    pub status: StatusCode,
    /// End-to-end fields only (hop-by-hop ones and Content-Length are gone), in order per name.
    pub fields: HeaderMap,
    /// The content, exactly the origin's bytes.
    pub body: Bytes,
}

/// The head of an origin's response whose body is still coming.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// The status code.
    pub status: StatusCode,
    /// End-to-end fields only, without Content-Length.
    pub fields: HeaderMap,
    /// How long its body will be. `None`: that shows at its end.
    pub length: Option<u64>,
}
