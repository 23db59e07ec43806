//! Invariant: no bytes make ranges panic; a part lies inside what is stored and says where it belongs; parts that are joined
//! keep every byte in its place.
#![no_main]

use http::header::{CONTENT_RANGE, DATE, ETAG, HeaderName, IF_RANGE, LAST_MODIFIED, RANGE};
use http::{HeaderMap, HeaderValue, StatusCode};
use larder::clock::Now;
use larder::policy::ranges::{Serving, content_range, join, rest_of, serving};
use libfuzzer_sys::fuzz_target;
use std::time::Duration;

const NAMES: [HeaderName; 6] = [RANGE, IF_RANGE, CONTENT_RANGE, ETAG, LAST_MODIFIED, DATE];
const NOW: Now = Now {
    mono: Duration::ZERO,
    wall: Duration::from_secs(784_111_777),
};

fuzz_target!(|input: &[u8]| {
    let [mut one, mut other] = [HeaderMap::new(), HeaderMap::new()];
    let mut bodies: [&[u8]; 2] = [b"", b""];
    for line in input.split(|byte| *byte == b'\n') {
        let Some((place, value)) = line.split_first() else {
            continue;
        };
        let which = usize::from(place & 1);
        let fields = if which == 0 { &mut one } else { &mut other };
        let Some(name) = NAMES.get(usize::from(place >> 1) % 7) else {
            bodies[which] = value;
            continue;
        };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            fields.append(name, value);
        }
    }
    let lengths = [bodies[0].len() as u64, u64::MAX];
    for (status, length) in [StatusCode::OK, StatusCode::PARTIAL_CONTENT]
        .into_iter()
        .flat_map(|s| lengths.map(|l| (s, l)))
    {
        assert_inside(
            serving(&other, status, &one, length, NOW),
            status,
            &one,
            length,
        );
    }
    if let Some((range, _)) = rest_of(&one, lengths[0]) {
        assert_eq!(range, format!("bytes={}-", lengths[0]));
    }
    assert_joined((&one, bodies[0]), (&other, bodies[1]));
    // Fields at random are hardly ever two parts of one whole.
    if let [from, to, back, complete, whole @ ..] = input {
        let ((one, front), (other, rest)) = (
            part(whole, *from, *to, *complete),
            part(whole, *back, 255, *complete),
        );
        assert_joined((&one, front), (&other, rest));
    }
});

/// The bytes from `from` up to `to` of the whole, whose length the fields may have wrong.
fn part(whole: &[u8], from: u8, to: u8, complete: u8) -> (HeaderMap, &[u8]) {
    let [from, to] = [from, to].map(|at| usize::from(at).min(whole.len()));
    let claimed = if complete > 99 {
        whole.len()
    } else {
        usize::from(complete)
    };
    let mut fields = HeaderMap::new();
    fields.insert(ETAG, HeaderValue::from_static("\"a\""));
    if let Ok(range) = HeaderValue::try_from(format!("bytes {from}-{from}/{claimed}")) {
        fields.insert(CONTENT_RANGE, range);
    }
    (fields, whole.get(from..to).unwrap_or_default())
}

fn assert_joined(one: (&HeaderMap, &[u8]), other: (&HeaderMap, &[u8])) {
    let Some(joined) = join(one, other) else {
        return;
    };
    for (fields, body) in [one, other] {
        let at = content_range(fields).expect("only parts are joined").first - joined.first;
        assert!(joined.body[at as usize..].starts_with(body));
    }
    assert!(joined.body.len() <= one.1.len() + other.1.len());
    assert!(
        joined
            .complete
            .is_none_or(|complete| joined.first + joined.body.len() as u64 <= complete)
    );
}

fn assert_inside(found: Serving, status: StatusCode, stored: &HeaderMap, length: u64) {
    match found {
        Serving::Part { body, of } => {
            let start = if status == StatusCode::OK {
                0
            } else {
                content_range(stored).expect("a part").first
            };
            assert!(body.start < body.end && body.end <= length);
            assert_eq!(
                (of.first, of.last),
                (start + body.start, start + (body.end - 1))
            );
            assert!(of.complete.is_none_or(|complete| of.last < complete));
        }
        Serving::Whole | Serving::Unsatisfiable { .. } => assert_eq!(status, StatusCode::OK),
        Serving::NotHere => assert_eq!(status, StatusCode::PARTIAL_CONTENT),
    }
}
