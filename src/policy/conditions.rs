//! A client's preconditions against a stored response (RFC 9110 §13, RFC 9111 §4.3.2). If-Range belongs to the ranges.

use http::header::{
    CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_UNMODIFIED_SINCE, LAST_MODIFIED, VARY,
};
use http::{HeaderMap, HeaderName, StatusCode};

use super::{dates, etag};
use crate::clock::Now;

/// What a client's preconditions make of a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evaluation {
    /// The response is sent; a Range still counts.
    Send,
    /// The client has it already: 304.
    NotModified,
    /// A precondition does not hold: 412.
    Failed,
}

/// Evaluates the preconditions of a GET or HEAD request in the order of RFC 9110 §13.2.2.
///
/// `status` and `stored` are those of the stored response; whatever is not 2xx is sent as if nothing had been asked
/// (§13.2.1). A cache may leave If-Match and If-Unmodified-Since to the origin; this one honours them.
pub fn evaluate(
    request: &HeaderMap,
    status: StatusCode,
    stored: &HeaderMap,
    now: Now,
) -> Evaluation {
    if !status.is_success() {
        return Evaluation::Send;
    }
    let tag = etag::of(stored);
    let as_of_old = if request.contains_key(IF_MATCH) {
        etag::is_named(request, &IF_MATCH, tag, etag::strongly_equal)
    } else {
        is_unmodified(request, stored, now)
    };
    if !as_of_old {
        return Evaluation::Failed;
    }
    let is_known = if request.contains_key(IF_NONE_MATCH) {
        etag::is_named(request, &IF_NONE_MATCH, tag, etag::weakly_equal)
    } else {
        is_known_since(request, stored, now)
    };
    if is_known {
        Evaluation::NotModified
    } else {
        Evaluation::Send
    }
}

/// Whether a field of the stored response is repeated in a 304 made from it (RFC 9110 §15.4.5); Age is the sender's to add.
///
/// These are the fields the section demands of whoever would have sent them in a 200. A targeted field (RFC 9213) is
/// Cache-Control for one kind of cache. Other fields are left out: whoever asks with a validator has them. Only
/// where there is no entity tag, Last-Modified tells a cache which of its responses is meant, and so guides its update.
pub fn belongs_in_304(name: &HeaderName, stored: &HeaderMap) -> bool {
    let is_demanded = [CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, VARY].contains(name);
    let is_targeted = name.as_str().ends_with("-cache-control");
    is_demanded || is_targeted || (*name == LAST_MODIFIED && etag::of(stored).is_none())
}

/// If-Unmodified-Since (§13.1.4). It counts for nothing where it is no date, or no modification date is known.
fn is_unmodified(request: &HeaderMap, stored: &HeaderMap, now: Now) -> bool {
    let limit = date(request, &IF_UNMODIFIED_SINCE, now);
    let modified = date(stored, &LAST_MODIFIED, now);
    limit
        .zip(modified)
        .is_none_or(|(limit, modified)| modified <= limit)
}

/// If-Modified-Since (§13.1.3). A response without Last-Modified counts as modified when it was made (RFC 9111 §4.3.2).
fn is_known_since(request: &HeaderMap, stored: &HeaderMap, now: Now) -> bool {
    let since = date(request, &IF_MODIFIED_SINCE, now);
    let compared = if stored.contains_key(LAST_MODIFIED) {
        &LAST_MODIFIED
    } else {
        &DATE
    };
    let modified = date(stored, compared, now);
    since
        .zip(modified)
        .is_some_and(|(since, modified)| modified <= since)
}

/// `None`: absent, no HTTP date, or several lines, of which none counts.
fn date(fields: &HeaderMap, name: &HeaderName, now: Now) -> Option<i64> {
    let mut lines = fields.get_all(name).iter();
    let line = lines.next()?;
    lines
        .next()
        .is_none()
        .then(|| dates::parse(line.as_bytes().trim_ascii(), now))?
}

#[cfg(test)]
mod tests;
