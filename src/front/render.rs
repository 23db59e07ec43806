//! Replies as bytes: the fields that belong to the connection, and the responses of the front's own.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};

use super::connection::Segment;
use super::shared::Shared;
use crate::clock::Now;
use crate::message::{IdText, RequestId, ResponseHead, Target};
use crate::metrics::RejectReason;
use crate::outcome::Outcome;
use crate::proxy::PlainHit;
use crate::reply::{self, Reply, Shape};

/// The go-ahead for a client that waits for it before it sends its body (RFC 9110 §15.2.1).
pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// A body up to this size is copied behind its head and sent with it in one write.
pub(super) const SMALL_BODY: usize = 16 * 1024;

/// What a reply's form depends on, besides the reply.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// HEAD: everything but the body.
    pub head_only: bool,
    pub version: Version,
    /// The connection ends after this reply.
    pub closes: bool,
}

/// What a reply answers, as far as its form and its line in the log need it.
pub(super) struct Asked {
    pub form: Form,
    pub id: RequestId,
    /// What its client calls the request; wins over `id`.
    pub own_id: Option<HeaderValue>,
    pub method: Method,
    pub target: Target,
    /// When the request was whole.
    pub at: Now,
}

/// How the client knows where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many more bytes.
    Length(u64),
    Chunked,
    /// Where the connection ends.
    Close,
}

impl Form {
    /// Ends the head of a reply.
    pub(super) fn end_head(&self, out: &mut Vec<u8>) {
        if self.closes {
            out.extend_from_slice(b"Connection: close\r\n");
        } else if self.version == Version::HTTP_10 {
            out.extend_from_slice(b"Connection: keep-alive\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Writes a reply's head, and its body behind it where that is small; answers the body otherwise.
pub(super) fn reply(
    out: &mut Vec<u8>,
    reply: &Reply,
    asked: &Asked,
    form: Form,
    shared: &Shared,
) -> Option<Segment> {
    asked.log(reply, shared);
    let id = asked.id_text(shared);
    let via = shared.proxy.via();
    reply::head(out, reply, form.head_only, &id, via, &shared.clock);
    form.end_head(out);
    if form.head_only {
        return None;
    }
    let body = reply::body(reply, &id);
    if body.len() > SMALL_BODY {
        return Some(Segment::new(body));
    }
    out.extend_from_slice(&body);
    None
}

/// The head of a stored reply up to the number of the request's id, which follows.
pub(super) fn hit_head(hit: &PlainHit, shared: &Shared) -> Vec<u8> {
    let reply = Reply::Stored {
        stored: Arc::clone(hit.stored()),
        outcome: Outcome::Hit,
        now: hit.now,
        shape: Shape::Whole,
    };
    let mut head = Vec::with_capacity(hit.stored().head.len() + 256);
    let via = shared.proxy.via();
    let id = IdText::Own("");
    reply::head(&mut head, &reply, false, &id, via, &shared.clock);
    // The id is the last thing written: its line goes on with this process's mark, and with each request's number.
    head.truncate(head.len().saturating_sub(b"\r\n".len()));
    let _ = write!(head, "{:08x}-", shared.proxy.mark());
    head
}

/// A number as `{:x}` prints it, without the formatting machinery.
pub(super) fn hexadecimal(out: &mut Vec<u8>, number: u64) {
    let digits = (u64::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        let value = (number >> (4 * digit)) & 0xF;
        out.push(b"0123456789abcdef"[value as usize]);
    }
}

/// The head of an answer whose body is still growing, and how that is framed.
pub(super) fn opening(
    of: &ResponseHead,
    outcome: &Outcome,
    asked: &Asked,
    mut form: Form,
    shared: &Shared,
) -> (Vec<u8>, Form, Framing) {
    let mut head = Vec::with_capacity(512);
    let id = asked.id_text(shared);
    reply::opening_head(&mut head, of, outcome, &id, shared.proxy.via());
    let framing = match of.length {
        Some(length) => {
            let _ = write!(head, "Content-Length: {length}\r\n");
            Framing::Length(length)
        }
        None if form.version == Version::HTTP_10 => {
            form.closes = true;
            Framing::Close
        }
        None => {
            head.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            Framing::Chunked
        }
    };
    form.end_head(&mut head);
    (head, form, framing)
}

impl Framing {
    /// What goes before a part of this length on the wire.
    pub(super) fn before(&mut self, length: usize) -> Option<Bytes> {
        match self {
            Framing::Close => None,
            Framing::Length(left) => {
                *left = left.saturating_sub(length as u64);
                None
            }
            Framing::Chunked => Some(Bytes::from(format!("{length:x}\r\n"))),
        }
    }

    /// What goes behind each part, at once: there are clients that wait for it.
    pub(super) fn after(&self) -> Option<Bytes> {
        (*self == Framing::Chunked).then(|| Bytes::from_static(b"\r\n"))
    }

    /// What goes behind a body that is complete.
    pub(super) fn end(&self) -> Option<Bytes> {
        (*self == Framing::Chunked).then(|| Bytes::from_static(b"0\r\n\r\n"))
    }

    /// Whether a body that ends here is shorter than announced.
    pub(super) fn is_short(&self) -> bool {
        matches!(self, Framing::Length(left) if *left > 0)
    }
}

/// An interim response.
pub(super) fn interim(status: StatusCode, fields: &HeaderMap) -> Bytes {
    let mut out = Vec::with_capacity(256);
    reply::status_line(&mut out, status);
    reply::fields(&mut out, fields, |_| true);
    out.extend_from_slice(b"\r\n");
    Bytes::from(out)
}

/// A whole reply to something that is not a request we can take; the connection ends after it.
pub(super) fn refusal(status: StatusCode, message: &str) -> Vec<u8> {
    let word = status.canonical_reason().unwrap_or("Refused");
    let error = word.to_ascii_lowercase().replace([' ', '-'], "_");
    error_reply(status, &error, message)
}

/// The whole reply to a connection that cannot be kept; it ends after it.
pub(super) fn rejected(cause: RejectReason) -> Vec<u8> {
    let message = match cause {
        RejectReason::ClientConnections => {
            "this address has as many connections as it may; raise proxy.maxConnectionsPerClient"
        }
        _ => "all connections are in use; raise proxy.maxConnections",
    };
    error_reply(
        StatusCode::SERVICE_UNAVAILABLE,
        "too_many_connections",
        message,
    )
}

fn error_reply(status: StatusCode, error: &str, message: &str) -> Vec<u8> {
    let word = status.canonical_reason().unwrap_or("Refused");
    let body = format!("{{\"error\":\"{error}\",\"message\":\"{message}\"}}");
    let retry = if status == StatusCode::SERVICE_UNAVAILABLE {
        "Retry-After: 1\r\n"
    } else {
        ""
    };
    format!(
        "HTTP/1.1 {} {word}\r\n{}Content-Length: {}\r\n{retry}Connection: close\r\n\r\n{body}",
        status.as_u16(),
        reply::OWN_CONTENT,
        body.len(),
    )
    .into_bytes()
}

impl Asked {
    fn id_text(&self, shared: &Shared) -> IdText<'_> {
        IdText::new(shared.proxy.mark(), self.id, self.own_id.as_ref())
    }

    /// One line per answered request. Without the query: it may hold secrets.
    fn log(&self, reply: &Reply, shared: &Shared) {
        if log::log_enabled!(log::Level::Debug) {
            let took = shared.clock.now().mono.saturating_sub(self.at.mono);
            log::debug!(
                "{} {} {} {} {} ms id={}",
                self.method,
                self.target.path(),
                reply.status().as_u16(),
                reply.outcome().x_cache_status(),
                took.as_millis(),
                self.id_text(shared),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_the_formatting_machinery_prints_them() {
        for number in [0, 1, 15, 16, 0xABC, u64::MAX, 1 << 60] {
            let mut out = Vec::new();
            hexadecimal(&mut out, number);
            assert_eq!(out, format!("{number:x}").into_bytes());
        }
    }

    #[test]
    fn a_refusal_says_what_is_wrong_and_closes() {
        let text = String::from_utf8(refusal(StatusCode::BAD_REQUEST, "no Host")).expect("text");
        assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"));
        assert!(text.contains("Connection: close\r\n"));
        assert!(text.ends_with("{\"error\":\"bad_request\",\"message\":\"no Host\"}"));
        assert!(!text.contains("Retry-After"));
    }
}
