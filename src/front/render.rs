//! The last fields of a reply's head: those of the connection; and the refusals of the guard.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};

use crate::metrics::RejectReason;
use crate::reply;

/// What a reply's form depends on, besides the reply.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// HEAD: everything but the body.
    pub head_only: bool,
    pub version: Version,
    /// The connection ends after this reply.
    pub closes: bool,
}

impl Form {
    pub(super) fn of(method: &Method, version: Version, keep_alive: bool) -> Form {
        Form {
            head_only: method == Method::HEAD,
            version,
            closes: !keep_alive,
        }
    }

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

/// An interim response.
pub(super) fn interim(status: StatusCode, fields: &HeaderMap) -> Bytes {
    let mut out = Vec::with_capacity(256);
    reply::status_line(&mut out, status);
    reply::fields(&mut out, fields, |_| true);
    out.extend_from_slice(b"\r\n");
    out.into_boxed_slice().into()
}

/// A whole reply to something that is not a request we can take; the connection ends after it.
pub(super) fn refusal(status: StatusCode, message: &str) -> Vec<u8> {
    let word = status.canonical_reason().unwrap_or("Refused");
    let error = word.to_ascii_lowercase().replace([' ', '-'], "_");
    told(status, &error, message)
}

/// The whole reply to a connection that cannot be kept; it ends after it.
pub(super) fn turned_away(shed: RejectReason) -> Vec<u8> {
    let (error, message) = match shed {
        RejectReason::Threads | RejectReason::Descriptors => (
            "out_of_resources",
            "the system gives nothing more for one more connection; try again in a moment",
        ),
        RejectReason::ClientConnections => (
            "too_many_connections",
            "this address has as many as it may; raise proxy.maxConnectionsPerClient",
        ),
        _ => (
            "too_many_connections",
            "all connections are in use; raise proxy.maxConnections",
        ),
    };
    told(StatusCode::SERVICE_UNAVAILABLE, error, message)
}

fn told(status: StatusCode, error: &str, message: &str) -> Vec<u8> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_is_wrong_and_closes() {
        let text = String::from_utf8(refusal(StatusCode::BAD_REQUEST, "no Host")).expect("text");
        assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"));
        assert!(text.contains("Connection: close\r\n"));
        assert!(text.ends_with("{\"error\":\"bad_request\",\"message\":\"no Host\"}"));
        assert!(!text.contains("Retry-After"));
    }
}
