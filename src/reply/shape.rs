//! How a stored answer's head and body look when not all of it is sent.

use std::io::Write as _;

use bytes::Bytes;
use http::header;

use super::{Shape, fields, status_line};
use crate::cache::store::Stored;
use crate::policy::conditions::belongs_in_304;

/// Writes the head up to what changes from reply to reply.
pub(super) fn start(out: &mut Vec<u8>, stored: &Stored, shape: &Shape) {
    status_line(out, shape.status(stored.status));
    let origin = stored.fields();
    match shape {
        Shape::NotModified => fields(out, &origin, |name| belongs_in_304(name, &origin)),
        Shape::PreconditionFailed | Shape::Unsatisfiable { .. } => {
            fields(out, &origin, |name| {
                name == header::DATE || name == header::ETAG
            });
        }
        Shape::Whole | Shape::Part { .. } => {
            fields(out, &origin, |name| name != header::CONTENT_RANGE)
        }
    }
    out.extend_from_slice(without_length(&stored.head, stored.fields_end as usize));
    let _ = match shape {
        Shape::Part { body, of } => {
            let length = body.end.saturating_sub(body.start);
            write!(out, "Content-Range: {of}\r\nContent-Length: {length}\r\n")
        }
        Shape::Unsatisfiable { complete } => {
            write!(
                out,
                "Content-Range: bytes */{complete}\r\nContent-Length: 0\r\n"
            )
        }
        Shape::PreconditionFailed => write!(out, "Content-Length: 0\r\n"),
        Shape::Whole | Shape::NotModified => Ok(()),
    };
}

/// Our own fields of a stored head, but the Content-Length that ends it.
fn without_length(head: &[u8], fields_end: usize) -> &[u8] {
    let own = head.get(fields_end..).unwrap_or_default();
    let last = own
        .strip_suffix(b"\r\n")
        .and_then(|own| own.iter().rposition(|byte| *byte == b'\n'))
        .map_or(0, |at| at + 1);
    if own[last..].starts_with(b"Content-Length:") {
        &own[..last]
    } else {
        own
    }
}

/// The body.
pub(super) fn body(stored: &Stored, shape: &Shape) -> Bytes {
    match shape {
        Shape::Whole => stored.body.clone(),
        Shape::Part { body, .. } => part(&stored.body, body.start, body.end),
        Shape::NotModified | Shape::PreconditionFailed | Shape::Unsatisfiable { .. } => {
            Bytes::new()
        }
    }
}

fn part(whole: &Bytes, from: u64, to: u64) -> Bytes {
    let at = |place: u64| {
        usize::try_from(place)
            .unwrap_or(usize::MAX)
            .min(whole.len())
    };
    whole.slice(at(from).min(at(to))..at(to))
}
