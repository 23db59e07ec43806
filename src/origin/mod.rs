//! Where answers come from: something that answers a request, asked by one origin worker at a time.

pub mod allow;
pub mod backoff;
pub mod breaker;
mod failure_table;
pub mod forward;
pub mod http;
pub mod limits;
pub mod network;
pub mod permits;
pub mod resolve;
pub mod sim;
pub mod source;

use std::fmt;
use std::sync::Arc;

use ::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;

use crate::message::{Response, Target};
pub use crate::outcome::FetchError;

/// A connection of one origin worker to its origin. Blocking, with a deadline on every wait.
pub trait Origin: Send {
    /// Sends `request` once and waits for the answer. At most one retry, and only as `request.repeatable` allows.
    fn fetch(&mut self, request: &OriginRequest) -> Result<Fetched, FetchError>;
}

/// A request as the origin is to see it: hop-by-hop fields gone, ours added.
#[derive(Debug)]
pub struct OriginRequest {
    /// Any method, unknown ones included.
    pub method: Method,
    /// Path and query, sent byte for byte.
    pub target: Target,
    /// The fields to send. Host, Content-Length and Connection are the sender's own and never in here.
    pub fields: HeaderMap,
    /// The body to send with a Content-Length. `None`: no body and no Content-Length.
    pub body: Option<Bytes>,
    /// True for a GET or HEAD without a body: it may be sent a second time if a reused connection closed before its first byte.
    pub repeatable: bool,
    /// Who is told of interim responses. `None`: nobody, and they are dropped.
    pub interim_sink: Option<Arc<dyn InterimSink>>,
}

/// Passes interim responses on to whoever waits for the final one (RFC 9110 §15.2).
pub trait InterimSink: Send + Sync {
    /// Tells of one: 102, 103, or any but 100 and 101, with its end-to-end fields. Never waits; too late, it is dropped.
    fn interim(&self, status: StatusCode, fields: &HeaderMap);
}

impl fmt::Debug for dyn InterimSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InterimSink")
    }
}

/// What came back.
pub enum Fetched {
    /// The whole response, not larger than `maxObjectBytes`.
    Whole(Response),
    /// A response whose body is still coming.
    Opening(Opening),
}

/// A response whose body is still coming.
pub struct Opening {
    /// The status code.
    pub status: StatusCode,
    /// End-to-end fields only, without Content-Length.
    pub fields: HeaderMap,
    /// The length the origin announced, or `None` when its body is chunked or ends at close.
    pub length: Option<u64>,
    /// The body bytes read so far.
    pub begun: Bytes,
    /// The rest.
    pub rest: Box<dyn Rest>,
}

/// The rest of a body that is still coming.
pub trait Rest: Send {
    /// The next bytes; `None` at the honest end; an error if it was cut, or paused longer than the idle timeout.
    fn next(&mut self) -> Result<Option<Bytes>, FetchError>;

    /// Whether nobody reads it: then `totalTimeout` ends it however well it moves. At first somebody does.
    fn set_unread(&mut self, _unread: bool) {}
}
