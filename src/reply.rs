//! What a client is told, and the bytes it is told in.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode, header};

use crate::cache::store::Stored;
use crate::clock::Now;
use crate::message::{RequestId, Response};
use crate::origin::Opening;
use crate::outcome::{Cause, Outcome};
use crate::policy::dates;
use crate::policy::freshness::Lifetime;

/// A whole reply, decided but not yet written.
pub enum Reply {
    /// A stored answer.
    Stored {
        /// The answer.
        stored: Arc<Stored>,
        /// How it came about.
        outcome: Outcome,
        /// When it was decided; its age is reckoned from here.
        now: Now,
    },
    /// The origin's answer, not (or not yet) stored.
    Relayed {
        /// The answer.
        response: Arc<Response>,
        /// How it came about.
        outcome: Outcome,
    },
    /// Our own error.
    Failed(Cause),
    /// One of our own endpoints.
    BuiltIn {
        /// Its status.
        status: StatusCode,
        /// JSON.
        body: String,
    },
}

/// Somebody who asked and is to be told: a client's connection, or a thread of ours that waits.
pub trait Responder: Send {
    /// Tells the answer. Called at most once; never waits.
    fn reply(&mut self, reply: Reply);

    /// Begins an answer that is passed on as it comes. Instead of [`Responder::reply`], at most once.
    fn open(&mut self, opening: &Opening, outcome: Outcome) -> Box<dyn Sink>;

    /// True when nobody is there any more to be told.
    fn gone(&self) -> bool;
}

/// Takes a body as it comes. Dropped before [`Sink::end`]: the body was cut, and the client is shown so.
pub trait Sink {
    /// Passes bytes on, waiting while the client is slow; false when it is gone.
    fn pass_on(&mut self, part: Bytes) -> bool;
    /// The body is complete.
    fn end(&mut self);
}

/// The start of a stored answer's head: all that never changes, rendered once, when it was `received`.
pub fn stored_head(response: &Response, lifetime: &Lifetime, received: Now, via: &str) -> Box<[u8]> {
    let mut out = Vec::with_capacity(512);
    status_line(&mut out, response.status);
    fields(&mut out, &response.fields, |name| name != header::AGE);
    if !response.fields.contains_key(header::DATE) {
        date_field(&mut out, received);
    }
    let _ = write!(out, "Via: 1.1 {via}\r\nX-Cache-Timestamp: {}\r\n", dates::iso8601(received.wall));
    let _ = write!(out, "X-Cache-Expires-At: {}\r\n", dates::iso8601(received.wall + lifetime.fresh_for()));
    if !bodiless(response.status) {
        let _ = write!(out, "Content-Length: {}\r\n", response.body.len());
    }
    out.into_boxed_slice()
}

/// Writes the head of a reply up to, not including, the fields of the connection and the empty line.
pub fn head(out: &mut Vec<u8>, reply: &Reply, id: &IdText, via: &str) {
    match reply {
        Reply::Stored { stored, outcome, now } => {
            out.extend_from_slice(&stored.head);
            let ttl = stored.lifetime.expires_in(*now);
            let _ =
                write!(out, "Age: {}\r\nX-Cache-Expires-In: {}\r\n", stored.lifetime.age(*now).as_secs(), ttl.max(0));
            cache_fields(out, outcome, Some(ttl), Some(stored.status.as_u16()), id);
        }
        Reply::Relayed { response, outcome } => {
            status_line(out, response.status);
            fields(out, &response.fields, |_| true);
            let _ = write!(out, "Via: 1.1 {via}\r\n");
            if !bodiless(response.status) && !response.fields.contains_key(header::CONTENT_LENGTH) {
                let _ = write!(out, "Content-Length: {}\r\n", response.body.len());
            }
            cache_fields(out, outcome, None, Some(response.status.as_u16()), id);
        }
        Reply::Failed(cause) => {
            let status = StatusCode::from_u16(cause.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            status_line(out, status);
            out.extend_from_slice(b"Content-Type: application/json\r\nCache-Control: no-store\r\n");
            if let Some(seconds) = cause.retry_after() {
                let _ = write!(out, "Retry-After: {seconds}\r\n");
            }
            let _ = write!(out, "Content-Length: {}\r\n", failure_body(cause, id).len());
            cache_fields(out, &Outcome::Failed { cause: *cause }, None, None, id);
        }
        Reply::BuiltIn { status, body } => {
            status_line(out, *status);
            out.extend_from_slice(b"Content-Type: application/json\r\nCache-Control: no-store\r\n");
            let _ = write!(out, "Content-Length: {}\r\nX-Request-Id: {}\r\n", body.len(), id.0);
        }
    }
}

/// The head of an answer that is passed on as it comes, without framing.
pub fn opening_head(out: &mut Vec<u8>, opening: &Opening, outcome: &Outcome, id: &IdText, via: &str) {
    status_line(out, opening.status);
    fields(out, &opening.fields, |_| true);
    let _ = write!(out, "Via: 1.1 {via}\r\n");
    cache_fields(out, outcome, None, Some(opening.status.as_u16()), id);
}

/// The body of a reply.
pub fn body(reply: &Reply, id: &IdText) -> Bytes {
    match reply {
        Reply::Stored { stored, .. } => stored.body.clone(),
        Reply::Relayed { response, .. } => response.body.clone(),
        Reply::Failed(cause) => Bytes::from(failure_body(cause, id)),
        Reply::BuiltIn { body, .. } => Bytes::copy_from_slice(body.as_bytes()),
    }
}

/// A request's id as printed: the process's mark and the request's number.
pub struct IdText(String);

impl IdText {
    /// `mark` names the process, 8 hexadecimal digits.
    pub fn new(mark: u32, id: RequestId) -> IdText {
        IdText(format!("{mark:08x}-{:x}", id.0))
    }
}

fn failure_body(cause: &Cause, id: &IdText) -> String {
    let (error, message) = (cause.detail(), cause.message());
    let word = error.replace('-', "_");
    format!("{{\"error\":\"{word}\",\"message\":\"{message}\",\"request_id\":\"{}\"}}", id.0)
}

/// Whether a status never has a body (RFC 9110 §6.4.1).
pub fn bodiless(status: StatusCode) -> bool {
    status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

fn status_line(out: &mut Vec<u8>, status: StatusCode) {
    let reason = status.canonical_reason().unwrap_or("");
    let _ = write!(out, "HTTP/1.1 {} {reason}\r\n", status.as_u16());
}

fn cache_fields(out: &mut Vec<u8>, outcome: &Outcome, ttl: Option<i64>, status: Option<u16>, id: &IdText) {
    let _ = write!(out, "X-Cache: {}\r\nX-Cache-Status: {}\r\n", outcome.x_cache(), outcome.x_cache_status());
    out.extend_from_slice(b"Cache-Status: ");
    let _ = outcome.cache_status(&mut Text(out), ttl, status);
    let _ = write!(out, "\r\nX-Request-Id: {}\r\n", id.0);
}

fn date_field(out: &mut Vec<u8>, now: Now) {
    let _ = write!(out, "Date: {}\r\n", dates::imf_fixdate(now.wall));
}

/// Writes the origin's fields, but those of the names we say ourselves.
fn fields(out: &mut Vec<u8>, fields: &HeaderMap, wanted: impl Fn(&HeaderName) -> bool) {
    for (name, value) in fields.iter().filter(|(name, _)| wanted(name) && !is_ours(name)) {
        write_name(out, name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

fn is_ours(name: &HeaderName) -> bool {
    let name = name.as_str();
    name == "x-request-id" || name.strip_prefix("x-cache").is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Writes a field name in its usual capitals; the http crate keeps names in lower case.
fn write_name(out: &mut Vec<u8>, name: &HeaderName) {
    const UNUSUAL: [&str; 7] =
        ["ETag", "WWW-Authenticate", "TE", "DNT", "X-XSS-Protection", "X-UA-Compatible", "CDN-Cache-Control"];
    let name = name.as_str();
    if let Some(usual) = UNUSUAL.iter().find(|usual| usual.eq_ignore_ascii_case(name)) {
        return out.extend_from_slice(usual.as_bytes());
    }
    let mut start = true;
    for byte in name.bytes() {
        out.push(if start { byte.to_ascii_uppercase() } else { byte });
        start = byte == b'-';
    }
}

/// Bytes as a place for text.
struct Text<'a>(&'a mut Vec<u8>);

impl std::fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl std::fmt::Display for IdText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sent_in_their_usual_capitals() {
        for (name, sent) in [("content-type", "Content-Type"), ("etag", "ETag"), ("x-odd-", "X-Odd-")] {
            let mut out = Vec::new();
            write_name(&mut out, &HeaderName::from_static(name));
            assert_eq!(out, sent.as_bytes());
        }
    }
}
