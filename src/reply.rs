//! What a client is told, and the bytes it is told in.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode, header};

use crate::cache::store::Stored;
use crate::clock::{Clock, Now};
use crate::digits::{Digits, decimal, hexadecimal};
use crate::message::{RequestId, Response};
use crate::origin::{Herald, Opening};
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
    /// Our own error, with the cause's own time to try again.
    pub fn failed(cause: Cause) -> Reply {
        Reply::Failed(Failure { cause, backoff: None, cors: false })
    }

    /// One of our own endpoints, with this JSON.
    pub fn built_in(status: StatusCode, body: String) -> Reply {
        Reply::BuiltIn { status, field: None, body }
    }

    /// Its status code.
    pub fn status(&self) -> StatusCode {
        match self {
            Reply::Stored { stored, .. } => stored.status,
            Reply::Relayed { response, .. } => response.status,
            Reply::Failed(failure) => failure.status(),
            Reply::BuiltIn { status, .. } => *status,
        }
    }

    /// What became of the request.
    pub fn outcome(&self) -> Outcome {
        match self {
            Reply::Stored { outcome, .. } | Reply::Relayed { outcome, .. } => *outcome,
            Reply::Failed(Failure { cause, .. }) => Outcome::Failed { cause: *cause },
            Reply::BuiltIn { .. } => Outcome::BuiltIn,
        }
    }
}

/// An error of our own.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    /// Why there is nothing better.
    pub cause: Cause,
    /// The origin, or this key of it, is left alone for so many seconds. `None`: it was asked just now.
    pub backoff: Option<u64>,
    /// Every page may read it.
    pub cors: bool,
}

impl Failure {
    /// Its status: by its cause; in backoff the origin's own where that was the cause.
    pub fn status(&self) -> StatusCode {
        match (self.cause, self.backoff) {
            (Cause::Status(code), Some(_)) => StatusCode::from_u16(code).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
            _ => self.cause.status(),
        }
    }
}

/// Somebody who asked and is to be told: a client's connection, or a thread of ours that waits.
pub trait Responder: Send {
    /// Tells the answer. Called at most once; never waits.
    fn reply(&mut self, reply: Reply);

    /// Begins an answer that is passed on as it comes. Instead of [`Responder::reply`], at most once.
    fn open(&mut self, opening: &Opening, outcome: Outcome) -> Box<dyn Sink>;

    /// True when nobody is there any more to be told.
    fn gone(&self) -> bool;

    /// Who passes interim responses on meanwhile. `None`: nobody here understands them.
    fn herald(&self) -> Option<Arc<dyn Herald>> {
        None
    }
}

/// Takes a body as it comes. Dropped before [`Sink::end`]: the body was cut, and the client is shown so.
pub trait Sink {
    /// Passes bytes on, waiting while the client is slow; false when it is gone.
    fn pass_on(&mut self, part: Bytes) -> bool;
    /// The body is complete.
    fn end(&mut self);
}

/// Takes nothing: for who cannot use a body that is passed on as it comes.
pub struct Nowhere;

impl Sink for Nowhere {
    fn pass_on(&mut self, _: Bytes) -> bool {
        false
    }

    fn end(&mut self) {}
}

/// The start of a stored answer's head: all that never changes, rendered once, when it was `received`.
pub fn stored_head(response: &Response, lifetime: &Lifetime, received: Now, via: &str) -> Box<[u8]> {
    let mut out = Vec::with_capacity(512);
    status_line(&mut out, response.status);
    fields(&mut out, &response.fields, |name| name != header::AGE);
    let _ = write!(out, "Via: 1.1 {via}\r\nX-Cache-Timestamp: {}\r\n", dates::iso8601(received.wall));
    let _ = write!(out, "X-Cache-Expires-At: {}\r\n", dates::iso8601(received.wall + lifetime.fresh_for()));
    if !bodiless(response.status) {
        let _ = write!(out, "Content-Length: {}\r\n", response.body.len());
    }
    out.into_boxed_slice()
}

/// Writes the head of a reply up to, not including, the fields of the connection and the empty line. `head_only`: to a HEAD.
pub fn head(out: &mut Vec<u8>, reply: &Reply, head_only: bool, id: &IdText, via: &str, clock: &Clock) {
    match reply {
        Reply::Stored { stored, outcome, now } => {
            out.extend_from_slice(&stored.head);
            let ttl = stored.lifetime.expires_in(*now);
            push(out, &["Age: ", decimal(stored.lifetime.age(*now).as_secs()).as_str()]);
            push(out, &["\r\nX-Cache-Expires-In: ", decimal(ttl.max(0).unsigned_abs()).as_str(), "\r\n"]);
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
        Reply::Failed(failure @ Failure { cause, backoff, cors }) => {
            status_line(out, failure.status());
            own_fields(out, clock);
            if *cors {
                out.extend_from_slice(b"Access-Control-Allow-Origin: *\r\n");
            }
            if let Some(seconds) = backoff.or(cause.retry_after()) {
                let _ = write!(out, "Retry-After: {seconds}\r\n");
            }
            let _ = write!(out, "Content-Length: {}\r\n", failure_body(cause, id).len());
            cache_fields(out, &Outcome::Failed { cause: *cause }, None, None, id);
        }
        Reply::BuiltIn { status, field, body } => {
            status_line(out, *status);
            own_fields(out, clock);
            if let Some((name, value)) = field {
                push(out, &[name, ": ", value, "\r\n"]);
            }
            let _ = write!(out, "Content-Length: {}\r\nX-Request-Id: {id}\r\n", body.len());
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
        Reply::Failed(Failure { cause, .. }) => Bytes::from(failure_body(cause, id)),
        Reply::BuiltIn { body, .. } => Bytes::copy_from_slice(body.as_bytes()),
    }
}

/// A request's id as printed: the process's mark and the request's number.
pub struct IdText {
    mark: Digits,
    number: Digits,
}

impl IdText {
    /// `mark` names the process, 8 hexadecimal digits.
    pub fn new(mark: u32, id: RequestId) -> IdText {
        IdText { mark: hexadecimal(mark.into(), 8), number: hexadecimal(id.0, 1) }
    }
}

fn failure_body(cause: &Cause, id: &IdText) -> String {
    let (error, message) = (cause.detail(), cause.message());
    let word = error.replace('-', "_");
    format!("{{\"error\":\"{word}\",\"message\":\"{message}\",\"request_id\":\"{id}\"}}")
}

/// Whether a status never has a body (RFC 9110 §6.4.1).
pub fn bodiless(status: StatusCode) -> bool {
    status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

/// Writes the first line of a head.
pub fn status_line(out: &mut Vec<u8>, status: StatusCode) {
    let reason = status.canonical_reason().unwrap_or("");
    let _ = write!(out, "HTTP/1.1 {} {reason}\r\n", status.as_u16());
}

fn cache_fields(out: &mut Vec<u8>, outcome: &Outcome, ttl: Option<i64>, status: Option<u16>, id: &IdText) {
    push(
        out,
        &["X-Cache: ", outcome.x_cache(), "\r\nX-Cache-Status: ", outcome.x_cache_status(), "\r\nCache-Status: "],
    );
    let _ = outcome.cache_status(&mut Text(out), ttl, status);
    push(out, &["\r\nX-Request-Id: ", id.mark.as_str(), "-", id.number.as_str(), "\r\n"]);
}

/// What every reply of our own begins with.
fn own_fields(out: &mut Vec<u8>, clock: &Clock) {
    let _ = write!(out, "Date: {}\r\n", dates::imf_fixdate(clock.now().wall));
    out.extend_from_slice(
        b"Content-Type: application/json\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n",
    );
}

/// Writes the origin's fields, but those of the names we say ourselves.
pub fn fields(out: &mut Vec<u8>, fields: &HeaderMap, wanted: impl Fn(&HeaderName) -> bool) {
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

/// What `write!` does for text, without the formatting machinery: every hit comes this way.
fn push(out: &mut Vec<u8>, pieces: &[&str]) {
    pieces.iter().for_each(|piece| out.extend_from_slice(piece.as_bytes()));
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
        write!(f, "{}-{}", self.mark, self.number)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::time::Duration;

    use super::*;
    use crate::cache::key::Key;
    use crate::outcome::Fwd;
    use crate::policy::directives::Directives;
    use crate::policy::freshness::{Allowed, Received, lifetime};
    use crate::policy::rule::{Defaults, Rule};

    const NAME: &str = "larder-0000beef";

    /// Sun, 15 Jun 2025 15:15:00 GMT, seven seconds after the start.
    const START: Now = Now { mono: Duration::from_secs(7), wall: Duration::from_secs(1_750_000_500) };

    fn later(seconds: f64) -> Now {
        Now { mono: START.mono + Duration::from_secs_f64(seconds), ..START }
    }

    /// What the origin says is fresh for 30 s, as it was stored.
    fn stored(status: StatusCode) -> Arc<Stored> {
        let fields = HeaderMap::from_iter([(header::CACHE_CONTROL, "max-age=30".parse().expect("a value"))]);
        let directives = Directives::of(&fields);
        let received = Received { status, fields: &fields, directives, asked: START, at: START };
        let lifetime =
            lifetime(&received, &Rule::default(), &Defaults::default(), Allowed::Any).expect("the origin's word");
        let response = Response { status, fields, body: Bytes::from_static(b"{}") };
        let head = stored_head(&response, &lifetime, START, NAME);
        Arc::new(Stored {
            key: Key::from("cache:GET:anonymous:/soe"),
            status,
            head,
            body: response.body,
            lifetime,
            hits: AtomicU32::new(0),
        })
    }

    fn head_of(reply: &Reply, id: u64) -> String {
        let mut out = Vec::new();
        head(&mut out, reply, false, &IdText::new(0xBEEF, RequestId(id)), NAME, &Clock::new());
        String::from_utf8(out).expect("a head of text")
    }

    #[test]
    fn h1_a_stored_answer_tells_its_age_what_is_left_and_how_it_came_about() {
        let always = "HTTP/1.1 200 OK\r\nCache-Control: max-age=30\r\n\
            Via: 1.1 larder-0000beef\r\nX-Cache-Timestamp: 2025-06-15T15:15:00.000Z\r\n\
            X-Cache-Expires-At: 2025-06-15T15:15:30.000Z\r\nContent-Length: 2\r\n";
        let failed = Outcome::Stale { because: Cause::Status(503) };
        let fetched = Outcome::Fetched { fwd: Fwd::UriMiss, stored: true, collapsed: false };
        let cases = [
            (Outcome::Hit, 0.0, (0, 30), ("HIT", "HIT", "larder; hit; ttl=30")),
            (Outcome::Hit, 29.5, (29, 1), ("HIT", "HIT", "larder; hit; ttl=1")),
            (failed, 30.0, (30, 0), ("HIT", "HIT", "larder; fwd=stale; fwd-status=503; ttl=0; detail=status")),
            (failed, 1264.9, (1264, 0), ("HIT", "HIT", "larder; fwd=stale; fwd-status=503; ttl=-1234; detail=status")),
            (fetched, 0.0, (0, 30), ("MISS", "MISS", "larder; fwd=uri-miss; fwd-status=200; ttl=30; stored")),
        ];
        for (outcome, seconds, (age, left), (x_cache, x_cache_status, cache_status)) in cases {
            let expected = format!(
                "{always}Age: {age}\r\nX-Cache-Expires-In: {left}\r\nX-Cache: {x_cache}\r\n\
                 X-Cache-Status: {x_cache_status}\r\nCache-Status: {cache_status}\r\nX-Request-Id: 0000beef-12d687\r\n"
            );
            let reply = Reply::Stored { stored: stored(StatusCode::OK), outcome, now: later(seconds) };
            assert_eq!(head_of(&reply, 1_234_567), expected, "{outcome:?} after {seconds} s");
        }
    }

    #[test]
    fn our_own_errors_name_the_request_in_field_and_body() {
        let reply = Reply::failed(Cause::NoPermit);
        let text = body(&reply, &IdText::new(0xBEEF, RequestId(u64::MAX)));
        let id = "0000beef-ffffffffffffffff";
        assert!(text.ends_with(format!(",\"request_id\":\"{id}\"}}").as_bytes()));
        assert!(head_of(&reply, u64::MAX).ends_with(&format!("X-Request-Id: {id}\r\n")));
        let built_in = Reply::built_in(StatusCode::OK, "{}".to_owned());
        assert!(head_of(&built_in, 0).ends_with("Content-Length: 2\r\nX-Request-Id: 0000beef-0\r\n"));
    }

    #[test]
    fn names_are_sent_in_their_usual_capitals() {
        for (name, sent) in [("content-type", "Content-Type"), ("etag", "ETag"), ("x-odd-", "X-Odd-")] {
            let mut out = Vec::new();
            write_name(&mut out, &HeaderName::from_static(name));
            assert_eq!(out, sent.as_bytes());
        }
    }
}
