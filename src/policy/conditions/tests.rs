//! Tests of preconditions.

use std::time::Duration;

use http::HeaderValue;
use proptest::prelude::*;

use super::*;

/// 2024-06-15T12:00:00Z
const NOW: Now = Now {
    mono: Duration::ZERO,
    wall: Duration::from_secs(1_718_452_800),
};

const NOON: &str = "Sat, 15 Jun 2024 12:00:00 GMT";
const ONE: &str = "Sat, 15 Jun 2024 13:00:00 GMT";
const TWO: &str = "Sat, 15 Jun 2024 14:00:00 GMT";

fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
    let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).expect("a field value");
    collected(
        lines
            .iter()
            .map(|(name, text)| (HeaderName::from_static(name), value(text))),
    )
}

fn collected(lines: impl IntoIterator<Item = (HeaderName, HeaderValue)>) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        fields.append(name, value);
    }
    fields
}

fn evaluation(request: &[(&'static str, &str)], stored: &[(&'static str, &str)]) -> Evaluation {
    evaluate(&fields(request), StatusCode::OK, &fields(stored), NOW)
}

/// Whether If-None-Match with these lines finds a response with this tag.
fn knows(lines: &[&str], tag: &str) -> bool {
    let lines: Vec<_> = lines.iter().map(|line| ("if-none-match", *line)).collect();
    evaluation(&lines, &[("etag", tag)]) == Evaluation::NotModified
}

#[test]
fn if_none_match_compares_weakly_over_all_members_of_all_lines() {
    for tag in [r#""a""#, r#"W/"a""#] {
        for lines in [
            &[r#""a""#][..],
            &[r#"W/"a""#],
            &[r#""1", "a", "2""#],
            &[r#""1" ,W/"a""#],
            &[r#""1""#, r#""2","a""#],
            &["*"],
        ] {
            assert!(knows(lines, tag), "{lines:?} {tag}");
        }
        for lines in [
            &[r#""b""#][..],
            &[r#""A""#],
            &["a"],
            &[""],
            &[r#""1", "2""#],
            &[r#""b,"a"""#],
            &[r#""x, "a", y"#],
        ] {
            assert!(!knows(lines, tag), "{lines:?} {tag}");
        }
    }
    assert!(
        knows(&[r#""x", "a,b""#], r#""a,b""#),
        "a comma in quotes belongs to the tag"
    );
    assert!(!knows(&[r#""a,b""#], r#""b""#));
}

#[test]
fn broken_tags_match_themselves_as_written_and_nothing_else() {
    let broken = [
        "a",
        r#"w/"a""#,
        r#"W\"a""#,
        r#"W"a""#,
        "x,y",
        r#""a"#,
        "\"a\u{fc}\"",
        "'a'",
        r#""a\"b""#,
    ];
    for tag in broken {
        for other in broken {
            assert_eq!(knows(&[other], tag), tag == other, "{other} {tag}");
        }
        assert!(!knows(&[r#""a""#], tag), "{tag}");
    }
    assert!(knows(&[r#""x", w/"a", "y""#], r#"w/"a""#));
}

#[test]
fn what_names_no_response_is_no_tag_of_it() {
    for tag in ["", "*"] {
        assert!(
            !knows(&["\"a\", *"], tag) && !knows(&[""], tag) && knows(&["*"], tag),
            "{tag:?}"
        );
    }
    assert_eq!(
        evaluation(&[("if-none-match", "*")], &[]),
        Evaluation::NotModified,
        "it exists"
    );
    assert_eq!(
        evaluation(&[("if-none-match", "\"a\"")], &[]),
        Evaluation::Send
    );
}

#[test]
fn if_match_compares_strongly() {
    let cases = [
        (r#""a""#, Some(r#""a""#), Evaluation::Send),
        (r#""b", "a""#, Some(r#""a""#), Evaluation::Send),
        (r#"W/"a""#, Some(r#"W/"a""#), Evaluation::Failed),
        (r#""a""#, Some(r#"W/"a""#), Evaluation::Failed),
        (r#"w/"a""#, Some(r#"w/"a""#), Evaluation::Failed),
        (r#""b""#, Some(r#""a""#), Evaluation::Failed),
        ("a", Some("a"), Evaluation::Send),
        (r#""a""#, None, Evaluation::Failed),
        ("*", None, Evaluation::Send),
    ];
    for (line, tag, expected) in cases {
        let stored: Vec<_> = tag.map(|tag| ("etag", tag)).into_iter().collect();
        assert_eq!(
            evaluation(&[("if-match", line)], &stored),
            expected,
            "{line} {tag:?}"
        );
    }
}

#[test]
fn if_modified_since_compares_with_last_modified_else_date() {
    let since = |line| {
        evaluation(
            &[("if-modified-since", line)],
            &[("last-modified", ONE), ("date", TWO)],
        )
    };
    assert_eq!(
        [NOON, ONE, TWO].map(since),
        [
            Evaluation::Send,
            Evaluation::NotModified,
            Evaluation::NotModified
        ]
    );
    assert_eq!(
        since("Saturday, 15-Jun-24 13:00:00 GMT"),
        Evaluation::NotModified,
        "another form of the same date"
    );
    for line in ["", "0", "yesterday", "2024-06-15T14:00:00Z"] {
        assert_eq!(since(line), Evaluation::Send, "{line} is no date");
    }
    let dated = |line| evaluation(&[("if-modified-since", line)], &[("date", ONE)]);
    assert_eq!(
        [NOON, ONE, TWO].map(dated),
        [
            Evaluation::Send,
            Evaluation::NotModified,
            Evaluation::NotModified
        ]
    );
    assert_eq!(
        evaluation(&[("if-modified-since", TWO)], &[]),
        Evaluation::Send
    );
    let unclear = [("last-modified", "new"), ("date", NOON)];
    assert_eq!(
        evaluation(&[("if-modified-since", TWO)], &unclear),
        Evaluation::Send,
        "Last-Modified speaks, if badly"
    );
    let twice = [("if-modified-since", TWO), ("if-modified-since", TWO)];
    assert_eq!(
        evaluation(&twice, &[("last-modified", ONE)]),
        Evaluation::Send,
        "two lines are no date"
    );
}

#[test]
fn if_unmodified_since_needs_two_dates_to_fail() {
    let since = |line| evaluation(&[("if-unmodified-since", line)], &[("last-modified", ONE)]);
    assert_eq!(
        [NOON, ONE, TWO, "0"].map(since),
        [
            Evaluation::Failed,
            Evaluation::Send,
            Evaluation::Send,
            Evaluation::Send
        ]
    );
    assert_eq!(
        evaluation(&[("if-unmodified-since", NOON)], &[("date", ONE)]),
        Evaluation::Send,
        "not a modification date"
    );
}

#[test]
fn the_order_of_evaluation_is_that_of_the_rfc() {
    let stored = [("etag", r#""a""#), ("last-modified", ONE)];
    let cases: [(&[(&'static str, &str)], Evaluation); 7] = [
        (
            &[("if-match", r#""a""#), ("if-unmodified-since", NOON)],
            Evaluation::Send,
        ),
        (
            &[("if-match", r#""b""#), ("if-unmodified-since", TWO)],
            Evaluation::Failed,
        ),
        (
            &[("if-none-match", r#""b""#), ("if-modified-since", TWO)],
            Evaluation::Send,
        ),
        (
            &[("if-none-match", r#""a""#), ("if-modified-since", NOON)],
            Evaluation::NotModified,
        ),
        (
            &[("if-match", r#""a""#), ("if-none-match", r#""a""#)],
            Evaluation::NotModified,
        ),
        (
            &[("if-match", r#""b""#), ("if-none-match", r#""a""#)],
            Evaluation::Failed,
        ),
        (
            &[("if-unmodified-since", NOON), ("if-modified-since", TWO)],
            Evaluation::Failed,
        ),
    ];
    for (request, expected) in cases {
        assert_eq!(evaluation(request, &stored), expected, "{request:?}");
    }
}

#[test]
fn only_a_success_has_preconditions() {
    let stored = fields(&[("etag", r#""a""#), ("last-modified", ONE)]);
    let known = fields(&[("if-none-match", r#""a""#)]);
    let failing = fields(&[("if-match", r#""b""#)]);
    for status in [200, 203, 204, 206, 299] {
        let status = StatusCode::from_u16(status).expect("a status");
        assert_eq!(
            evaluate(&known, status, &stored, NOW),
            Evaluation::NotModified,
            "{status}"
        );
        assert_eq!(
            evaluate(&failing, status, &stored, NOW),
            Evaluation::Failed,
            "{status}"
        );
    }
    for status in [301, 304, 404, 412, 500, 999] {
        let status = StatusCode::from_u16(status).expect("a status");
        assert_eq!(
            evaluate(&known, status, &stored, NOW),
            Evaluation::Send,
            "{status}"
        );
        assert_eq!(
            evaluate(&failing, status, &stored, NOW),
            Evaluation::Send,
            "{status}"
        );
    }
}

#[test]
fn a_304_repeats_what_guides_an_update() {
    let tagged = fields(&[("etag", r#""a""#), ("last-modified", ONE)]);
    let untagged = fields(&[("last-modified", ONE)]);
    let repeated = [
        "cache-control",
        "cdn-cache-control",
        "content-location",
        "date",
        "etag",
        "expires",
        "vary",
    ];
    for name in repeated {
        assert!(
            belongs_in_304(&HeaderName::from_static(name), &tagged),
            "{name}"
        );
    }
    let left_out = [
        "content-type",
        "content-length",
        "content-encoding",
        "set-cookie",
        "server",
        "x-cache-controls",
    ];
    for name in left_out {
        assert!(
            !belongs_in_304(&HeaderName::from_static(name), &untagged),
            "{name}"
        );
    }
    assert!(belongs_in_304(&LAST_MODIFIED, &untagged) && !belongs_in_304(&LAST_MODIFIED, &tagged));
}

/// Any text a field can have, the characters of tags and lists often.
fn value() -> impl Strategy<Value = HeaderValue> {
    let byte = prop_oneof![
        prop::sample::select(&b"\"\"\\,*W/w a1"[..]),
        any::<u8>().prop_filter("no control character", |byte| *byte >= 32 && *byte != 127)
    ];
    prop::collection::vec(byte, 0..12)
        .prop_filter_map("a field value", |text| HeaderValue::from_bytes(&text).ok())
}

proptest! {
    #[test]
    fn whoever_repeats_the_tag_has_the_response(tag in value(), others in prop::collection::vec(value(), 0..3), at in 0usize..4) {
        prop_assume!(!tag.as_bytes().trim_ascii().is_empty());
        let stored = HeaderMap::from_iter([(ETAG, tag.clone())]);
        let mut lines = others;
        lines.insert(at.min(lines.len()), tag);
        let request = collected(lines.into_iter().map(|line| (IF_NONE_MATCH, line)));
        prop_assert_eq!(evaluate(&request, StatusCode::OK, &stored, NOW), Evaluation::NotModified);
    }

    #[test]
    fn no_bytes_panic(
        request in prop::collection::vec((0usize..4, value()), 0..6),
        stored in prop::collection::vec((0usize..3, value()), 0..4),
        status in 100u16..=999,
    ) {
        let of_request = [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];
        let of_response = [ETAG, LAST_MODIFIED, DATE];
        let asked = collected(request.into_iter().map(|(name, line)| (of_request[name].clone(), line)));
        let held = collected(stored.into_iter().map(|(name, line)| (of_response[name].clone(), line)));
        let status = StatusCode::from_u16(status).expect("a status");
        let result = evaluate(&asked, status, &held, NOW);
        prop_assert!(status.is_success() || result == Evaluation::Send);
    }
}
