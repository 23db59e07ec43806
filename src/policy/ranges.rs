//! Ranges: what a request wants of a stored response, and parts put together (RFC 9110 §14, RFC 9111 §3.3 and §3.4).

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use http::header::{CONTENT_RANGE, DATE, ETAG, IF_RANGE, LAST_MODIFIED, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::dates;
use super::directives::is_token_character;
use crate::clock::Now;

/// How many seconds a Last-Modified has to lie before the Date of its response to be a strong validator: less may be two
/// changes in one second, or two clocks (RFC 9110 §8.8.2.2).
const STRONG_AFTER: i64 = 60;

/// What the Range field of a request asks for (RFC 9110 §14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requested {
    /// The whole: no Range, another unit than bytes, or a field that has to be ignored because it is against the grammar.
    Nothing,
    /// One range.
    One(Spec),
    /// Two or more, which are answered with the whole.
    Several,
}

/// One range of bytes (RFC 9110 §14.1.2). Positions beyond a u64 are taken as the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spec {
    /// From one position to another, both included.
    Positions {
        /// The first position, counted from 0.
        first: u64,
        /// The last position, never before the first. `None`: to the end.
        last: Option<u64>,
    },
    /// So many bytes at the end.
    Suffix(u64),
}

/// A satisfied range (RFC 9110 §14.4): `bytes first-last/complete`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// The first position, counted from 0.
    pub first: u64,
    /// The last position, never before the first.
    pub last: u64,
    /// The length of the whole in bytes, more than the last position. `None`: not known.
    pub complete: Option<u64>,
}

/// As in a Content-Range field.
impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bytes {}-{}/", self.first, self.last)?;
        match self.complete {
            Some(complete) => write!(f, "{complete}"),
            None => f.write_str("*"),
        }
    }
}

/// What of a stored response a request gets, as far as ranges go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serving {
    /// All of it, with its own status.
    Whole,
    /// A part, with status 206.
    Part {
        /// Which bytes of the stored body.
        body: Range<u64>,
        /// What Content-Range says of them.
        of: ContentRange,
    },
    /// Nothing, with status 416.
    Unsatisfiable {
        /// The length of the whole in bytes.
        complete: u64,
    },
    /// What is wanted is not stored.
    NotHere,
}

/// Two parts put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The position of the first byte.
    pub first: u64,
    /// The length of the whole in bytes. `None`: neither part knows.
    pub complete: Option<u64>,
    /// The bytes of both.
    pub body: Vec<u8>,
}

/// What the Range field of a request asks for.
pub fn requested(request: &HeaderMap) -> Requested {
    only(request, RANGE)
        .and_then(range_set)
        .unwrap_or(Requested::Nothing)
}

/// The Content-Range of a response. `None`: absent, repeated, unsatisfied (`*/9`), another unit, or invalid.
pub fn content_range(response: &HeaderMap) -> Option<ContentRange> {
    let (unit, range) = cut(only(response, CONTENT_RANGE)?, b' ')?;
    let (positions, complete) = cut(range, b'/')?;
    let (first, last) = cut(positions, b'-')?;
    let first = exactly(first)?;
    let last = exactly(last)?;
    let complete = if complete == b"*" {
        None
    } else {
        Some(exactly(complete)?)
    };
    let valid = unit.eq_ignore_ascii_case(b"bytes")
        && first <= last
        && complete.is_none_or(|complete| last < complete);
    valid.then_some(ContentRange {
        first,
        last,
        complete,
    })
}

/// What of a stored response of `body` bytes a GET gets, by its Range and If-Range (RFC 9110 §13.1.5).
///
/// Of a stored 200: the whole, a part, or that it cannot be satisfied. Of a stored 206: a part that lies inside it, else it
/// is not here. Any other status has no ranges.
pub fn serving(
    request: &HeaderMap,
    status: StatusCode,
    stored: &HeaderMap,
    body: u64,
    now: Now,
) -> Serving {
    match status {
        StatusCode::OK => of_whole(request, stored, body, now),
        StatusCode::PARTIAL_CONTENT => {
            of_part(request, stored, body, now).unwrap_or(Serving::NotHere)
        }
        _ => Serving::Whole,
    }
}

/// The Range and the If-Range that ask for what a stored 206 of `body` bytes lacks (RFC 9111 §3.4). `None`: it does not
/// begin at 0, lacks nothing, or has no strong validator.
pub fn rest_of(stored: &HeaderMap, body: u64) -> Option<(String, HeaderValue)> {
    let held = Held::of(stored, body)?;
    let lacks = held.first == 0 && held.complete != Some(held.end);
    let validator = strong_tag(stored).or_else(|| strong_date(stored))?;
    lacks.then(|| (format!("bytes={}-", held.end), validator.clone()))
}

/// Puts two 206 responses together, fields and bodies (RFC 9111 §3.4). `None`: there is a gap between them, they share no
/// strong validator, or they contradict each other.
///
/// A Content-Range is believed where it begins and how long the whole is; where it ends, the body says.
pub fn join(old: (&HeaderMap, &[u8]), new: (&HeaderMap, &[u8])) -> Option<Joined> {
    let one = Held::of(old.0, old.1.len() as u64)?;
    let other = Held::of(new.0, new.1.len() as u64)?;
    let complete = one.complete.or(other.complete);
    let agree = one.fits(complete) && other.fits(complete) && same_strong_validator(old.0, new.0);
    let in_order = one.first <= other.first;
    let ((front, front_body), (back, back_body)) = if in_order {
        ((one, old.1), (other, new.1))
    } else {
        ((other, new.1), (one, old.1))
    };
    let overlap = front_body.get(usize::try_from(back.first - front.first).ok()?..)?;
    let (twice, beyond) = back_body
        .split_at_checked(overlap.len())
        .unwrap_or((back_body, &[]));
    // Equal strong validators promise equal bytes; where they do not keep it, nothing of it is believed.
    (agree && overlap.starts_with(twice)).then(|| Joined {
        first: front.first,
        complete,
        body: [front_body, beyond].concat(),
    })
}

fn of_whole(request: &HeaderMap, stored: &HeaderMap, body: u64, now: Now) -> Serving {
    let Requested::One(spec) = requested(request) else {
        return Serving::Whole;
    };
    // The end of nothing is satisfiable, but no Content-Range can say so.
    let end_of_nothing = body == 0 && matches!(spec, Spec::Suffix(1..));
    if end_of_nothing || !if_range_holds(request, stored, now) {
        return Serving::Whole;
    }
    match positions(spec, body) {
        Some((first, last)) => Serving::Part {
            body: first..last + 1,
            of: ContentRange {
                first,
                last,
                complete: Some(body),
            },
        },
        None => Serving::Unsatisfiable { complete: body },
    }
}

fn of_part(request: &HeaderMap, stored: &HeaderMap, body: u64, now: Now) -> Option<Serving> {
    let Requested::One(spec) = requested(request) else {
        return None;
    };
    let Held {
        first: start,
        end,
        complete,
    } = Held::of(stored, body)?;
    let (first, last) = match (complete, spec) {
        (Some(complete), spec) => positions(spec, complete)?,
        (
            None,
            Spec::Positions {
                first,
                last: Some(last),
            },
        ) => (first, last),
        (None, _) => return None,
    };
    let inside = start <= first && last < end && if_range_holds(request, stored, now);
    inside.then(|| Serving::Part {
        body: first - start..last - start + 1,
        of: ContentRange {
            first,
            last,
            complete,
        },
    })
}

/// The first and the last position a range means in a whole of `complete` bytes. `None`: it cannot be satisfied.
fn positions(spec: Spec, complete: u64) -> Option<(u64, u64)> {
    let end = complete.checked_sub(1)?;
    match spec {
        Spec::Positions { first, last } => {
            (first <= end).then(|| (first, last.map_or(end, |last| last.min(end))))
        }
        Spec::Suffix(0) => None,
        Spec::Suffix(length) => Some((complete.saturating_sub(length), end)),
    }
}

/// Where the body of a stored 206 lies in the whole.
struct Held {
    first: u64,
    /// The position behind the last byte.
    end: u64,
    complete: Option<u64>,
}

impl Held {
    /// `None`: no valid Content-Range, or a body that goes beyond the whole. A part that is said to reach the end does: if its
    /// length is not what was told, then neither is the whole's.
    fn of(stored: &HeaderMap, body: u64) -> Option<Held> {
        let ContentRange {
            first,
            last,
            complete,
        } = content_range(stored)?;
        let end = first.checked_add(body)?;
        let reaches_end = complete.is_some() && last.checked_add(1) == complete;
        let held = Held {
            first,
            end,
            complete: if reaches_end { Some(end) } else { complete },
        };
        held.fits(held.complete).then_some(held)
    }

    /// Whether it can be a part of a whole of this length. `None`: one of unknown length.
    fn fits(&self, whole: Option<u64>) -> bool {
        let same = self.complete.is_none() || self.complete == whole;
        same && whole.is_none_or(|whole| self.end <= whole)
    }
}

/// Whether a Range is one by the grammar (RFC 9110 §14.2). Of another unit than bytes only that it has a set is known.
pub(super) fn is_well_formed(range: &[u8]) -> bool {
    let is_of_another_unit = |(unit, set): (&[u8], &[u8])| {
        let is_token = unit.iter().copied().all(is_token_character);
        let is_visible = set.iter().all(|byte| byte.is_ascii_graphic());
        let is_whole = !unit.is_empty() && !set.is_empty();
        is_token && is_visible && is_whole && !unit.eq_ignore_ascii_case(b"bytes")
    };
    range_set(range).is_some() || cut(range, b'=').is_some_and(is_of_another_unit)
}

/// `bytes=0-4, -3`. `None`: another unit, or against the grammar.
fn range_set(text: &[u8]) -> Option<Requested> {
    let (unit, set) = cut(text, b'=')?;
    // Blanks may stand around commas, not after `=`.
    if !unit.eq_ignore_ascii_case(b"bytes") || set.starts_with(b" ") || set.starts_with(b"\t") {
        return None;
    }
    let mut asked = None;
    for member in set
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
    {
        let spec = range_spec(member)?;
        asked = Some(if asked.is_none() {
            Requested::One(spec)
        } else {
            Requested::Several
        });
    }
    asked
}

fn range_spec(text: &[u8]) -> Option<Spec> {
    match cut(text, b'-')? {
        (b"", length) => Some(Spec::Suffix(at_most(length)?)),
        (first, b"") => Some(Spec::Positions {
            first: at_most(first)?,
            last: None,
        }),
        (first, last) => {
            let first = at_most(first)?;
            let last = at_most(last)?;
            (first <= last).then_some(Spec::Positions {
                first,
                last: Some(last),
            })
        }
    }
}

/// Without If-Range it holds. An entity-tag is compared strongly, a date with a strong Last-Modified only.
fn if_range_holds(request: &HeaderMap, stored: &HeaderMap, now: Now) -> bool {
    if !request.contains_key(IF_RANGE) {
        return true;
    }
    let Some(given) = only(request, IF_RANGE) else {
        return false;
    };
    match dates::parse(given, now) {
        Some(date) => {
            strong_date(stored).is_some_and(|held| dates::parse(held.as_bytes(), now) == Some(date))
        }
        None => strong_tag(stored).is_some_and(|held| held == given),
    }
}

/// Whether both have the same ETag and it is strong, or else, where no different ETag speaks against it, the same strong
/// Last-Modified.
fn same_strong_validator(one: &HeaderMap, other: &HeaderMap) -> bool {
    let dates = || {
        strong_date(one)
            .zip(strong_date(other))
            .is_some_and(|(one, other)| one == other)
    };
    one.get_all(ETAG) == other.get_all(ETAG) && (strong_tag(one).is_some() || dates())
}

/// The ETag, if it is strong (RFC 9110 §8.8.3). `None`: absent, repeated, empty or weak.
fn strong_tag(fields: &HeaderMap) -> Option<&HeaderValue> {
    let tag = only(fields, ETAG)?;
    let weak = tag
        .get(..2)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"W/"));
    fields.get(ETAG).filter(|_| !weak && !tag.is_empty())
}

/// The Last-Modified, if it is strong (RFC 9110 §8.8.2.2). `None`: absent, repeated, not a date, or too near to the Date.
///
/// Nor is it strong when one of the two has the form with a two-digit year, the only one with dashes: it leaves the
/// century open.
fn strong_date(fields: &HeaderMap) -> Option<&HeaderValue> {
    let seconds = |name| {
        let text = only(fields, name).filter(|text| !text.contains(&b'-'))?;
        // These forms do not need to know what time it is.
        dates::parse(
            text,
            Now {
                mono: Duration::ZERO,
                wall: Duration::ZERO,
            },
        )
    };
    let modified = seconds(LAST_MODIFIED)?;
    let date = seconds(DATE)?;
    fields
        .get(LAST_MODIFIED)
        .filter(|_| date.saturating_sub(modified) >= STRONG_AFTER)
}

/// The value of a field that stands once, without the blanks around it. `None`: absent or repeated.
fn only(fields: &HeaderMap, name: HeaderName) -> Option<&[u8]> {
    let mut lines = fields.get_all(name).iter();
    let first = lines.next()?;
    lines
        .next()
        .is_none()
        .then(|| first.as_bytes().trim_ascii())
}

/// What stands before the first `mark`, and behind it.
fn cut(text: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == mark)?;
    Some((&text[..at], &text[at + 1..]))
}

/// Digits as a number. `None`: anything else, nothing, or beyond a u64.
fn exactly(digits: &[u8]) -> Option<u64> {
    let (first, _) = digits.split_first()?;
    // A number may be read from `+1` too.
    first
        .is_ascii_digit()
        .then(|| std::str::from_utf8(digits).ok()?.parse().ok())
        .flatten()
}

/// Digits as a number; beyond a u64, its largest. `None`: anything else, or nothing.
fn at_most(digits: &[u8]) -> Option<u64> {
    let digits_only = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    digits_only.then(|| exactly(digits).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
