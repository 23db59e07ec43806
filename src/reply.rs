//! What a client is told, and the bytes it is told in.

mod shape;

use std::io::Write as _;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode, header};

use crate::cache::shared_body::Reader;
use crate::cache::store::Stored;
use crate::clock::{Clock, Now};
use crate::digits::decimal;
use crate::message::{IdText, Response, ResponseHead};
use crate::origin::InterimSink;
use crate::outcome::{Cause, Fwd, Outcome};
use crate::policy::dates;
use crate::policy::freshness::Lifetime;
use crate::policy::ranges::ContentRange;
use crate::policy::rule::Fallback;

/// The fields of every content of our own: what it is and nothing else, and for nobody to keep.
pub const OWN_CONTENT: &str = "Content-Type: application/json\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n";

/// What Larder's own endpoints call themselves in `Server` (RFC 9110 §10.2.4), so that its commands know a stranger's port.
pub const SERVER: &str = concat!("larder/", env!("CARGO_PKG_VERSION"));

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
        /// How much of it is sent.
        shape: Shape,
    },
    /// The origin's answer, not (or not yet) stored.
    Relayed {
        /// The answer.
        response: Arc<Response>,
        /// How it came about.
        outcome: Outcome,
    },
    /// Our own error.
    Failed(Failure),
    /// One of our own endpoints.
    BuiltIn {
        /// Its status.
        status: StatusCode,
        /// A field that only some of them have.
        field: Option<(&'static str, &'static str)>,
        /// JSON.
        body: String,
    },
}

impl Reply {
    /// Our own error, with the cause's own time to try again. `fwd`: why what is stored is no answer; `None`: nobody looked.
    pub fn failed(cause: Cause, fwd: Option<Fwd>) -> Reply {
        Reply::Failed(Failure {
            cause,
            fwd,
            backoff: None,
            cors: false,
            fallback: Fallback::Error,
        })
    }

    /// One of our own endpoints, with this JSON.
    pub fn built_in(status: StatusCode, body: String) -> Reply {
        Reply::BuiltIn {
            status,
            field: None,
            body,
        }
    }

    /// Its status code.
    pub fn status(&self) -> StatusCode {
        match self {
            Reply::Stored { stored, shape, .. } => shape.status(stored.status),
            Reply::Relayed { response, .. } => response.status,
            Reply::Failed(failure) => failure.status(),
            Reply::BuiltIn { status, .. } => *status,
        }
    }

    /// What became of the request.
    pub fn outcome(&self) -> Outcome {
        match self {
            Reply::Stored { outcome, .. } | Reply::Relayed { outcome, .. } => *outcome,
            Reply::Failed(Failure { cause, fwd, .. }) => Outcome::Failed {
                cause: *cause,
                fwd: *fwd,
            },
            Reply::BuiltIn { .. } => Outcome::BuiltIn,
        }
    }
}

/// How much of a stored answer is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// All of it.
    Whole,
    /// Its client has it already: 304 (RFC 9110 §15.4.5).
    NotModified,
    /// The client's precondition does not hold: 412 (RFC 9110 §15.5.13).
    PreconditionFailed,
    /// A range of it: 206 (RFC 9110 §15.3.7).
    Part {
        /// Which bytes of the stored body.
        body: Range<u64>,
        /// Which they are of the whole.
        of: ContentRange,
    },
    /// The range asked for lies outside of it: 416 (RFC 9110 §15.5.17).
    Unsatisfiable {
        /// How long it is.
        complete: u64,
    },
}

impl Shape {
    /// The status code of a reply of this shape from an answer with that one.
    fn status(&self, stored: StatusCode) -> StatusCode {
        match self {
            Shape::Whole => stored,
            Shape::NotModified => StatusCode::NOT_MODIFIED,
            Shape::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Shape::Part { .. } => StatusCode::PARTIAL_CONTENT,
            Shape::Unsatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
        }
    }
}

/// An error of our own.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    /// Why there is nothing better.
    pub cause: Cause,
    /// Why what is stored is no answer. `None`: nobody looked.
    pub fwd: Option<Fwd>,
    /// The origin, or this key of it, is left alone for so many seconds. `None`: it was asked just now.
    pub backoff: Option<u64>,
    /// Every page may read it.
    pub cors: bool,
    /// What replaces it.
    pub fallback: Fallback,
}

impl Failure {
    /// Its status: 200 where something replaces it, else by its cause; in backoff the origin's own where that was the cause.
    pub fn status(&self) -> StatusCode {
        match (self.cause, self.backoff) {
            _ if self.fallback != Fallback::Error => StatusCode::OK,
            (Cause::Status(code), Some(_)) => {
                StatusCode::from_u16(code).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
            }
            _ => self.cause.status(),
        }
    }

    /// Seconds after which to try again. `None`: trying again changes nothing, or its client is to notice nothing.
    fn retry_after(&self) -> Option<u64> {
        self.backoff
            .or(self.cause.retry_after())
            .filter(|_| self.fallback == Fallback::Error)
    }

    fn body(&self, id: &IdText<'_>) -> Bytes {
        if let Some(text) = self.fallback.body() {
            return Bytes::from_static(text.as_bytes());
        }
        let error = self.cause.detail();
        let message = self.cause.message();
        let word = error.replace('-', "_");
        format!("{{\"error\":\"{word}\",\"message\":\"{message}\",\"request_id\":\"{id}\"}}").into()
    }
}

/// Somebody who asked and is to be told: a client's connection, or a thread of ours that waits.
pub trait Responder: Send {
    /// Tells the answer. Called at most once; never waits.
    fn reply(&mut self, reply: Reply);

    /// Begins an answer whose body is still growing; it is read from `body`. Instead of [`Responder::reply`], at most once;
    /// never waits.
    fn open(&mut self, head: &ResponseHead, outcome: Outcome, body: Reader);

    /// True when nobody is there any more to be told.
    fn gone(&self) -> bool;

    /// Who passes interim responses on meanwhile. `None`: nobody here understands them.
    fn interim_sink(&self) -> Option<Arc<dyn InterimSink>> {
        None
    }
}

/// The start of a stored answer's head: all that never changes, rendered once, when it was `received`; and where in it the
/// origin's own fields end. Fields named in `without` are left out.
pub fn stored_head(
    response: &Response,
    without: &[HeaderName],
    lifetime: &Lifetime,
    received: Now,
    via: &str,
) -> (Box<[u8]>, u32) {
    let mut out = Vec::with_capacity(512);
    status_line(&mut out, response.status);
    fields(&mut out, &response.fields, |name| {
        name != header::AGE && !without.contains(name)
    });
    // A head is at most 16 KiB.
    let fields_end = u32::try_from(out.len()).unwrap_or(u32::MAX);
    own_of_stored(&mut out, lifetime, received, via);
    if !bodiless(response.status) {
        let _ = write!(out, "Content-Length: {}\r\n", response.body.len());
    }
    (out.into_boxed_slice(), fields_end)
}

/// Our fields of a stored answer that never change.
fn own_of_stored(out: &mut Vec<u8>, lifetime: &Lifetime, received: Now, via: &str) {
    let _ = write!(
        out,
        "Via: 1.1 {via}\r\nX-Cache-Timestamp: {}\r\n",
        dates::iso8601(received.wall)
    );
    let _ = write!(
        out,
        "X-Cache-Expires-At: {}\r\n",
        dates::iso8601(received.wall + lifetime.fresh_for())
    );
}

/// Writes the head of a reply up to, not including, the fields of the connection and the empty line. `head_only`: to a HEAD.
pub fn head(
    out: &mut Vec<u8>,
    reply: &Reply,
    head_only: bool,
    id: &IdText<'_>,
    via: &str,
    clock: &Clock,
) {
    match reply {
        Reply::Stored {
            stored,
            outcome,
            now,
            shape,
        } => {
            match shape {
                Shape::Whole => out.extend_from_slice(&stored.head),
                _ => shape::start(out, stored, shape),
            }
            let ttl = stored.lifetime.expires_in(*now);
            push(
                out,
                &[
                    "Age: ",
                    decimal(stored.lifetime.age(*now).as_secs()).as_str(),
                ],
            );
            push(
                out,
                &[
                    "\r\nX-Cache-Expires-In: ",
                    decimal(ttl.max(0).unsigned_abs()).as_str(),
                    "\r\n",
                ],
            );
            cache_fields(out, outcome, Some(ttl), Some(stored.status.as_u16()), id);
        }
        Reply::Relayed { response, outcome } => {
            status_line(out, response.status);
            fields(out, &response.fields, |_| true);
            let _ = write!(out, "Via: 1.1 {via}\r\n");
            // RFC 9110 §8.6: without its body, the length of what GET would bring is the origin's to tell.
            let untold = !response.fields.contains_key(header::CONTENT_LENGTH);
            if untold && !bodiless(response.status) && !(head_only && response.body.is_empty()) {
                let _ = write!(out, "Content-Length: {}\r\n", response.body.len());
            }
            cache_fields(out, outcome, None, Some(response.status.as_u16()), id);
        }
        Reply::Failed(failure) => {
            status_line(out, failure.status());
            own_fields(out, clock);
            if failure.cors {
                out.extend_from_slice(b"Access-Control-Allow-Origin: *\r\n");
            }
            if let Some(seconds) = failure.retry_after() {
                let _ = write!(out, "Retry-After: {seconds}\r\n");
            }
            let _ = write!(out, "Content-Length: {}\r\n", failure.body(id).len());
            cache_fields(out, &reply.outcome(), None, None, id);
        }
        Reply::BuiltIn {
            status,
            field,
            body,
        } => {
            status_line(out, *status);
            own_fields(out, clock);
            push(out, &["Server: ", SERVER, "\r\n"]);
            if let Some((name, value)) = field {
                push(out, &[name, ": ", value, "\r\n"]);
            }
            let _ = write!(
                out,
                "Content-Length: {}\r\nX-Request-Id: {id}\r\n",
                body.len()
            );
        }
    }
}

/// The head of an answer whose body is still growing, without framing.
pub fn opening_head(
    out: &mut Vec<u8>,
    head: &ResponseHead,
    outcome: &Outcome,
    id: &IdText<'_>,
    via: &str,
) {
    status_line(out, head.status);
    fields(out, &head.fields, |_| true);
    let _ = write!(out, "Via: 1.1 {via}\r\n");
    cache_fields(out, outcome, None, Some(head.status.as_u16()), id);
}

/// The body of a reply.
pub fn body(reply: &Reply, id: &IdText<'_>) -> Bytes {
    match reply {
        Reply::Stored {
            stored,
            shape: Shape::Whole,
            ..
        } => stored.body.clone(),
        Reply::Stored { stored, shape, .. } => shape::body(stored, shape),
        Reply::Relayed { response, .. } => response.body.clone(),
        Reply::Failed(failure) => failure.body(id),
        Reply::BuiltIn { body, .. } => Bytes::copy_from_slice(body.as_bytes()),
    }
}

/// Whether a status never has a body (RFC 9110 §6.4.1).
pub fn bodiless(status: StatusCode) -> bool {
    status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

/// Writes the first line of a head.
pub fn status_line(out: &mut Vec<u8>, status: StatusCode) {
    let reason = status.canonical_reason().unwrap_or("");
    let _ = write!(out, "HTTP/1.1 {} {reason}\r\n", status.as_u16());
}

fn cache_fields(
    out: &mut Vec<u8>,
    outcome: &Outcome,
    ttl: Option<i64>,
    status: Option<u16>,
    id: &IdText<'_>,
) {
    push(
        out,
        &[
            "X-Cache: ",
            outcome.x_cache(),
            "\r\nX-Cache-Status: ",
            outcome.x_cache_status(),
            "\r\nCache-Status: ",
        ],
    );
    let _ = outcome.cache_status(&mut Text(out), ttl, status);
    let [first, second, third] = id.parts();
    push(out, &["\r\nX-Request-Id: ", first, second, third, "\r\n"]);
}

/// What every reply of our own begins with.
fn own_fields(out: &mut Vec<u8>, clock: &Clock) {
    let _ = write!(
        out,
        "Date: {}\r\n{OWN_CONTENT}",
        dates::imf_fixdate(clock.now().wall)
    );
}

/// Writes the origin's fields, but those of the names we say ourselves.
pub fn fields(out: &mut Vec<u8>, fields: &HeaderMap, wanted: impl Fn(&HeaderName) -> bool) {
    for (name, value) in fields
        .iter()
        .filter(|(name, _)| wanted(name) && !is_ours(name))
    {
        write_name(out, name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

fn is_ours(name: &HeaderName) -> bool {
    let name = name.as_str();
    name == "x-request-id"
        || name
            .strip_prefix("x-cache")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Writes a field name in its usual capitals; the http crate keeps names in lower case.
fn write_name(out: &mut Vec<u8>, name: &HeaderName) {
    const UNUSUAL: [&str; 7] = [
        "ETag",
        "WWW-Authenticate",
        "TE",
        "DNT",
        "X-XSS-Protection",
        "X-UA-Compatible",
        "CDN-Cache-Control",
    ];
    let name = name.as_str();
    if let Some(usual) = UNUSUAL
        .iter()
        .find(|usual| usual.eq_ignore_ascii_case(name))
    {
        return out.extend_from_slice(usual.as_bytes());
    }
    let mut start = true;
    for byte in name.bytes() {
        out.push(if start {
            byte.to_ascii_uppercase()
        } else {
            byte
        });
        start = byte == b'-';
    }
}

/// What `write!` does for text, without the formatting machinery: every hit comes this way.
fn push(out: &mut Vec<u8>, pieces: &[&str]) {
    pieces
        .iter()
        .for_each(|piece| out.extend_from_slice(piece.as_bytes()));
}

/// Bytes as a place for text.
struct Text<'a>(&'a mut Vec<u8>);

impl std::fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
