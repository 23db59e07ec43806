use proptest::prelude::*;

use super::*;

const NOW: Now = Now {
    mono: Duration::ZERO,
    wall: Duration::from_secs(784_111_777),
};
const DATE_LINE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
/// A minute before it.
const MODIFIED: (&str, &str) = ("last-modified", "Sun, 06 Nov 1994 08:48:37 GMT");

fn fields(lines: &[(&str, &str)]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a field name");
        fields.append(name, HeaderValue::from_str(value).expect("a field value"));
    }
    fields
}

fn request(range: &str) -> HeaderMap {
    fields(&[("range", range)])
}

fn part(body: Range<u64>, first: u64, last: u64, complete: impl Into<Option<u64>>) -> Serving {
    Serving::Part {
        body,
        of: ContentRange {
            first,
            last,
            complete: complete.into(),
        },
    }
}

#[test]
fn a_range_is_read_as_the_grammar_says_and_ignored_when_it_is_not_met() {
    let positions = |first, last: Option<u64>| Requested::One(Spec::Positions { first, last });
    let cases = [
        ("bytes=0-4", positions(0, Some(4))),
        ("BYTES=0-4", positions(0, Some(4))),
        ("bytes=4-4", positions(4, Some(4))),
        ("bytes=007-", positions(7, None)),
        ("bytes=-3", Requested::One(Spec::Suffix(3))),
        ("bytes=-0", Requested::One(Spec::Suffix(0))),
        ("bytes=,, 0-4\t,", positions(0, Some(4))),
        ("bytes=0-4,6-7", Requested::Several),
        ("bytes=0-4 , -1,\t9-", Requested::Several),
        ("bytes=0-99999999999999999999", positions(0, Some(u64::MAX))),
        ("bytes=99999999999999999999-", positions(u64::MAX, None)),
        (
            "bytes=-99999999999999999999",
            Requested::One(Spec::Suffix(u64::MAX)),
        ),
    ];
    for (range, expected) in cases {
        assert_eq!(requested(&request(range)), expected, "{range}");
    }
    let wrong = [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes 0-4",
        "bytes= 0-4",
        "bytes =0-4",
        "lines=0-4",
        "bytes=4-0",
        "bytes=4",
        "bytes=-",
        "bytes=--4",
        "bytes=0--4",
        "bytes=+0-4",
        "bytes=0-+4",
        "bytes=0-4x",
        "bytes=x",
        "bytes=0 -4",
        "bytes=0- 4",
        "bytes=0-4;",
        "bytes=0-4,x",
        "bytes=x,0-4",
        "bytes=0-4,4-0",
        "bytes=0-4-5",
    ];
    for range in wrong {
        assert_eq!(requested(&request(range)), Requested::Nothing, "{range:?}");
    }
    assert_eq!(requested(&HeaderMap::new()), Requested::Nothing);
    assert_eq!(
        requested(&fields(&[("range", "bytes=0-4"), ("range", "bytes=0-4")])),
        Requested::Nothing
    );
}

#[test]
fn a_content_range_is_read_strictly() {
    let of = |value: &str| content_range(&fields(&[("content-range", value)]));
    let some = |first, last, complete| {
        Some(ContentRange {
            first,
            last,
            complete,
        })
    };
    assert_eq!(of("bytes 0-4/10"), some(0, 4, Some(10)));
    assert_eq!(of("Bytes 0-9/10"), some(0, 9, Some(10)));
    assert_eq!(of("bytes 5-5/*"), some(5, 5, None));
    assert_eq!(
        of("bytes 0-18446744073709551615/*"),
        some(0, u64::MAX, None)
    );
    let wrong = [
        "",
        "bytes",
        "bytes */10",
        "bytes 0-10/10",
        "bytes 4-3/10",
        "bytes 0-4",
        "bytes=0-4/10",
        "bytes  0-4/10",
        "lines 0-4/10",
        "bytes 0-4/",
        "bytes -4/10",
        "bytes 0-/10",
        "bytes 0-4/+10",
        "bytes +0-4/10",
        "bytes 0-4/**",
        "bytes 0-4/18446744073709551616",
    ];
    for value in wrong {
        assert_eq!(of(value), None, "{value:?}");
    }
    assert_eq!(
        content_range(&fields(&[
            ("content-range", "bytes 0-4/10"),
            ("content-range", "bytes 0-4/10")
        ])),
        None
    );
}

#[test]
fn a_stored_whole_serves_any_part_of_itself() {
    let cases = [
        ("bytes=0-4", part(0..5, 0, 4, 10)),
        ("bytes=3-3", part(3..4, 3, 3, 10)),
        ("bytes=7-", part(7..10, 7, 9, 10)),
        ("bytes=7-99999999999999999999", part(7..10, 7, 9, 10)),
        ("bytes=-4", part(6..10, 6, 9, 10)),
        ("bytes=-40", part(0..10, 0, 9, 10)),
        ("bytes=0-0,9-9", Serving::Whole),
        ("bytes=9-0", Serving::Whole),
        ("bytes=10-", Serving::Unsatisfiable { complete: 10 }),
        (
            "bytes=99999999999999999999-",
            Serving::Unsatisfiable { complete: 10 },
        ),
        ("bytes=-0", Serving::Unsatisfiable { complete: 10 }),
    ];
    for (range, expected) in cases {
        assert_eq!(
            serving(&request(range), StatusCode::OK, &HeaderMap::new(), 10, NOW),
            expected,
            "{range}"
        );
        assert_eq!(
            serving(
                &request(range),
                StatusCode::NOT_FOUND,
                &HeaderMap::new(),
                10,
                NOW
            ),
            Serving::Whole
        );
    }
    assert_eq!(
        serving(
            &HeaderMap::new(),
            StatusCode::OK,
            &HeaderMap::new(),
            10,
            NOW
        ),
        Serving::Whole
    );
    let longest = serving(
        &request("bytes=-1"),
        StatusCode::OK,
        &HeaderMap::new(),
        u64::MAX,
        NOW,
    );
    assert_eq!(
        longest,
        part(u64::MAX - 1..u64::MAX, u64::MAX - 1, u64::MAX - 1, u64::MAX)
    );
}

#[test]
fn of_an_empty_whole_only_the_end_can_be_had() {
    let of = |range| serving(&request(range), StatusCode::OK, &HeaderMap::new(), 0, NOW);
    assert_eq!(of("bytes=0-"), Serving::Unsatisfiable { complete: 0 });
    assert_eq!(of("bytes=-0"), Serving::Unsatisfiable { complete: 0 });
    assert_eq!(
        of("bytes=-1"),
        Serving::Whole,
        "satisfiable, and no 206 can say it"
    );
}

#[test]
fn a_stored_part_serves_what_lies_inside_it() {
    let of = |range: &str, held: &str, body: u64| {
        serving(
            &request(range),
            StatusCode::PARTIAL_CONTENT,
            &fields(&[("content-range", held)]),
            body,
            NOW,
        )
    };
    let inside = [
        ("bytes=4-8", part(0..5, 4, 8, 10)),
        ("bytes=5-6", part(1..3, 5, 6, 10)),
    ];
    for (range, expected) in inside {
        assert_eq!(of(range, "bytes 4-8/10", 5), expected, "{range}");
    }
    for range in [
        "bytes=3-8",
        "bytes=4-9",
        "bytes=4-",
        "bytes=0-",
        "bytes=-6",
        "bytes=-1",
        "bytes=10-",
        "bytes=5-5,6-6",
        "x=5-6",
    ] {
        assert_eq!(of(range, "bytes 4-8/10", 5), Serving::NotHere, "{range}");
    }
    assert_eq!(of("bytes=5-", "bytes 4-9/10", 6), part(1..6, 5, 9, 10));
    assert_eq!(of("bytes=5-90", "bytes 4-9/10", 6), part(1..6, 5, 9, 10));
    assert_eq!(of("bytes=-3", "bytes 4-9/10", 6), part(3..6, 7, 9, 10));
    assert_eq!(of("bytes=5-6", "bytes 4-8/*", 5), part(1..3, 5, 6, None));
    for range in ["bytes=5-", "bytes=-1", "bytes=5-9"] {
        assert_eq!(
            of(range, "bytes 4-8/*", 5),
            Serving::NotHere,
            "where the end is, nobody knows: {range}"
        );
    }
    let whole = serving(
        &HeaderMap::new(),
        StatusCode::PARTIAL_CONTENT,
        &fields(&[("content-range", "bytes 0-4/5")]),
        5,
        NOW,
    );
    assert_eq!(whole, Serving::NotHere, "a part is never the whole");
}

#[test]
fn a_content_range_is_believed_where_it_begins_and_the_body_where_it_ends() {
    let of = |range: &str, held: &str, body: u64| {
        serving(
            &request(range),
            StatusCode::PARTIAL_CONTENT,
            &fields(&[("content-range", held)]),
            body,
            NOW,
        )
    };
    assert_eq!(of("bytes=4-8", "bytes 4-8/10", 5), part(0..5, 4, 8, 10));
    assert_eq!(
        of("bytes=4-9", "bytes 4-8/10", 5),
        Serving::NotHere,
        "one byte more than there is"
    );
    for range in ["bytes=4-9", "bytes=4-", "bytes=-5"] {
        assert_eq!(
            of(range, "bytes 4-9/10", 5),
            part(0..5, 4, 8, 9),
            "it reaches the end, wherever that is: {range}"
        );
    }
    assert_eq!(of("bytes=4-9", "bytes 4-8/10", 6), part(0..6, 4, 9, 10));
    assert_eq!(
        of("bytes=4-5", "bytes 4-8/10", 7),
        Serving::NotHere,
        "more than the whole has"
    );
    assert_eq!(of("bytes=4-5", "bytes */10", 7), Serving::NotHere);
    assert_eq!(of("bytes=0-0", "bytes 0-0/1", 0), Serving::NotHere);
    assert_eq!(
        of(
            "bytes=0-0",
            "bytes 18446744073709551615-18446744073709551615/*",
            7
        ),
        Serving::NotHere
    );
}

#[test]
fn if_range_has_to_hold() {
    let of = |given: &str, stored: &[(&str, &str)]| {
        let asked = fields(&[("range", "bytes=0-0"), ("if-range", given)]);
        let whole = serving(&asked, StatusCode::OK, &fields(stored), 2, NOW) == part(0..1, 0, 0, 2);
        let mut held = fields(stored);
        held.insert(CONTENT_RANGE, HeaderValue::from_static("bytes 0-1/3"));
        let partial = match serving(&asked, StatusCode::PARTIAL_CONTENT, &held, 2, NOW) {
            Serving::NotHere => false,
            found => found == part(0..1, 0, 0, 3),
        };
        assert_eq!(whole, partial, "{given}, {stored:?}");
        whole
    };
    assert!(of("\"a\"", &[("etag", "\"a\"")]));
    assert!(
        of("a", &[("etag", "a")]),
        "without quotation marks it is itself all the same"
    );
    assert!(!of("\"a\"", &[("etag", "\"b\"")]));
    assert!(!of("\"a\"", &[]));
    assert!(!of("W/\"a\"", &[("etag", "W/\"a\"")]), "weak");
    assert!(!of("w/\"a\"", &[("etag", "w/\"a\"")]), "weak");
    assert!(!of("\"a\"", &[("etag", "W/\"a\"")]));
    assert!(!of("", &[("etag", "")]));
    assert!(!of("\"a\"", &[("etag", "\"a\""), ("etag", "\"a\"")]));
    assert!(of(MODIFIED.1, &[MODIFIED, DATE_LINE]));
    assert!(
        of("Sun Nov  6 08:48:37 1994", &[MODIFIED, DATE_LINE]),
        "the same moment"
    );
    assert!(
        of("Sunday, 06-Nov-94 08:48:37 GMT", &[MODIFIED, DATE_LINE]),
        "the same moment"
    );
    assert!(
        !of("Sun, 06 Nov 1994 08:48:38 GMT", &[MODIFIED, DATE_LINE]),
        "later is not equal"
    );
    assert!(!of(MODIFIED.1, &[MODIFIED]), "not known to be strong");
    assert!(
        !of(
            "Sun, 06 Nov 1994 08:48:38 GMT",
            &[
                ("last-modified", "Sun, 06 Nov 1994 08:48:38 GMT"),
                DATE_LINE
            ]
        ),
        "59 s"
    );
    assert!(!of(
        "Sunday, 06-Nov-94 08:48:37 GMT",
        &[
            ("last-modified", "Sunday, 06-Nov-94 08:48:37 GMT"),
            DATE_LINE
        ]
    ));
    let twice = fields(&[
        ("range", "bytes=0-0"),
        ("if-range", "\"a\""),
        ("if-range", "\"a\""),
    ]);
    assert_eq!(
        serving(
            &twice,
            StatusCode::OK,
            &fields(&[("etag", "\"a\"")]),
            2,
            NOW
        ),
        Serving::Whole
    );
}

#[test]
fn the_rest_is_asked_for_by_a_strong_validator() {
    let of = |lines: &[(&str, &str)], body: u64| {
        rest_of(&fields(lines), body)
            .map(|(range, validator)| (range, validator.to_str().expect("text").to_owned()))
    };
    let some = |range: &str, validator: &str| Some((range.to_owned(), validator.to_owned()));
    let tag = ("etag", "\"a\"");
    let range = |value| ("content-range", value);
    assert_eq!(
        of(&[range("bytes 0-4/10"), tag, MODIFIED, DATE_LINE], 5),
        some("bytes=5-", "\"a\"")
    );
    assert_eq!(
        of(
            &[
                range("bytes 0-4/*"),
                ("etag", "W/\"a\""),
                MODIFIED,
                DATE_LINE
            ],
            5
        ),
        some("bytes=5-", MODIFIED.1)
    );
    assert_eq!(
        of(&[range("bytes 0-4/10"), tag], 7),
        some("bytes=7-", "\"a\""),
        "the body says where it ends"
    );
    assert_eq!(of(&[range("bytes 0-9/10"), tag], 10), None, "all is here");
    assert_eq!(
        of(&[range("bytes 1-4/10"), tag], 4),
        None,
        "the beginning is not here"
    );
    assert_eq!(
        of(&[range("bytes 0-4/10"), MODIFIED], 5),
        None,
        "no strong validator"
    );
    assert_eq!(of(&[tag], 5), None, "no part");
}

fn held(
    first: u64,
    body: &[u8],
    complete: &str,
    validators: &[(&str, &str)],
) -> (HeaderMap, Vec<u8>) {
    let range = format!("bytes {first}-{}/{complete}", first + body.len() as u64 - 1);
    let mut held = fields(validators);
    held.insert(
        CONTENT_RANGE,
        HeaderValue::from_str(&range).expect("a field value"),
    );
    (held, body.to_vec())
}

fn joined(one: &(HeaderMap, Vec<u8>), other: &(HeaderMap, Vec<u8>)) -> Option<Joined> {
    let found = join((&one.0, &one.1), (&other.0, &other.1));
    assert_eq!(
        found,
        join((&other.0, &other.1), (&one.0, &one.1)),
        "which came first says nothing"
    );
    found
}

#[test]
fn parts_are_joined_by_an_equal_strong_validator_only() {
    let by = |one: &[(&str, &str)], other: &[(&str, &str)]| {
        joined(&held(0, b"abc", "6", one), &held(3, b"def", "6", other)).is_some()
    };
    let tag = ("etag", "\"a\"");
    assert!(by(&[tag], &[tag]));
    assert!(
        by(&[tag, ("last-modified", "x")], &[tag]),
        "the ETag is enough"
    );
    assert!(by(&[MODIFIED, DATE_LINE], &[MODIFIED, DATE_LINE]));
    assert!(by(
        &[MODIFIED, DATE_LINE, ("etag", "W/\"a\"")],
        &[MODIFIED, DATE_LINE, ("etag", "W/\"a\"")]
    ));
    assert!(!by(&[], &[]));
    assert!(!by(&[tag], &[]));
    assert!(!by(&[tag], &[("etag", "\"b\"")]));
    assert!(!by(&[("etag", "W/\"a\"")], &[("etag", "W/\"a\"")]));
    assert!(
        !by(
            &[MODIFIED, DATE_LINE, tag],
            &[MODIFIED, DATE_LINE, ("etag", "\"b\"")]
        ),
        "another ETag"
    );
    assert!(
        !by(&[MODIFIED, DATE_LINE, tag], &[MODIFIED, DATE_LINE]),
        "an ETag that went"
    );
    assert!(!by(&[MODIFIED], &[MODIFIED]), "not known to be strong");
}

#[test]
fn parts_that_do_not_fit_are_not_joined() {
    let of =
        |first: u64, body: &[u8], complete: &str| held(first, body, complete, &[("etag", "\"a\"")]);
    let front = of(2, b"cde", "8");
    let some = |body: &[u8], first, complete| {
        Some(Joined {
            first,
            complete,
            body: body.to_vec(),
        })
    };
    assert_eq!(
        joined(&front, &of(5, b"fg", "8")),
        some(b"cdefg", 2, Some(8))
    );
    assert_eq!(
        joined(&front, &of(4, b"ef", "*")),
        some(b"cdef", 2, Some(8))
    );
    assert_eq!(
        joined(&front, &of(3, b"d", "8")),
        some(b"cde", 2, Some(8)),
        "inside"
    );
    assert_eq!(
        joined(&of(2, b"cde", "*"), &of(0, b"abc", "*")),
        some(b"abcde", 0, None)
    );
    assert_eq!(joined(&front, &of(6, b"gh", "8")), None, "a gap");
    assert_eq!(
        joined(&front, &of(5, b"fg", "9")),
        None,
        "wholes of two lengths"
    );
    assert_eq!(
        joined(&front, &of(5, b"fghi", "*")),
        None,
        "beyond the whole"
    );
    assert_eq!(
        joined(&front, &of(4, b"xf", "8")),
        None,
        "other bytes in the same place"
    );
    assert_eq!(
        joined(&front, &(fields(&[("etag", "\"a\"")]), b"abc".to_vec())),
        None,
        "no part"
    );
}

#[test]
fn a_part_shorter_than_it_claims_is_joined_where_it_ends() {
    let tag = [("etag", "\"a\""), ("content-range", "bytes 0-5/8")];
    let short = (fields(&tag), b"abcd".to_vec());
    let rest = held(4, b"efgh", "8", &tag[..1]);
    assert_eq!(
        joined(&short, &rest),
        Some(Joined {
            first: 0,
            complete: Some(8),
            body: b"abcdefgh".to_vec()
        })
    );
    assert_eq!(
        joined(&short, &held(6, b"gh", "8", &tag[..1])),
        None,
        "the gap is real, whatever is claimed"
    );
}

proptest! {
    #[test]
    fn any_split_joins_to_the_whole(
        whole in prop::collection::vec(any::<u8>(), 2..60), cut: prop::sample::Index, back: prop::sample::Index,
    ) {
        let cut = 1 + cut.index(whole.len() - 1);
        let back = back.index(cut + 1);
        let complete = whole.len().to_string();
        let tag = [("etag", "\"a\"")];
        let found = joined(&held(0, &whole[..cut], &complete, &tag), &held(back as u64, &whole[back..], &complete, &tag));
        prop_assert_eq!(found, Some(Joined { first: 0, complete: Some(whole.len() as u64), body: whole }));
    }

    #[test]
    fn what_is_joined_has_every_byte_of_both_where_it_was(
        one in (0u64..20, prop::collection::vec(0u8..3, 1..20)), other in (0u64..20, prop::collection::vec(0u8..3, 1..20)),
    ) {
        let tag = [("etag", "\"a\"")];
        if let Some(found) = joined(&held(one.0, &one.1, "*", &tag), &held(other.0, &other.1, "*", &tag)) {
            prop_assert_eq!(found.first, one.0.min(other.0));
            let end = (one.0 + one.1.len() as u64).max(other.0 + other.1.len() as u64);
            prop_assert_eq!(found.first + found.body.len() as u64, end);
            for (first, body) in [one, other] {
                let at = usize::try_from(first - found.first).expect("small");
                prop_assert_eq!(&found.body[at..at + body.len()], &body[..]);
            }
        }
    }

    #[test]
    fn a_part_lies_inside_the_stored_body(range in "bytes=[0-9,-]{1,6}", first in 0u64..9, body in 0u64..9, known: bool) {
        let complete = if known { "9".to_owned() } else { "*".to_owned() };
        let stored = fields(&[("content-range", &format!("bytes {first}-8/{complete}"))]);
        for (status, start) in [(StatusCode::OK, 0), (StatusCode::PARTIAL_CONTENT, first)] {
            match serving(&request(&range), status, &stored, body, NOW) {
                Serving::Part { body: found, of } => {
                    prop_assert!(found.start < found.end && found.end <= body);
                    prop_assert_eq!((of.first, of.last), (start + found.start, start + found.end - 1));
                    prop_assert!(of.complete.is_none_or(|complete| of.last < complete));
                }
                Serving::Whole | Serving::Unsatisfiable { .. } => prop_assert_eq!(status, StatusCode::OK),
                Serving::NotHere => prop_assert_eq!(status, StatusCode::PARTIAL_CONTENT),
            }
        }
    }

    #[test]
    fn no_bytes_panic(
        range: Vec<u8>, guard: Vec<u8>, held in "(bytes [0-9]{0,21}-[0-9]{0,21}/[0-9*]{0,21})|.*", content: Vec<u8>, length: u64,
    ) {
        let mut map = HeaderMap::new();
        let values = [(RANGE, &range[..]), (IF_RANGE, &guard), (ETAG, &guard), (LAST_MODIFIED, &guard), (CONTENT_RANGE, held.as_bytes())];
        for (name, value) in values {
            HeaderValue::from_bytes(value).ok().map(|value| map.insert(name, value));
        }
        for status in [StatusCode::OK, StatusCode::PARTIAL_CONTENT] {
            let _ = serving(&map, status, &map, length, NOW);
        }
        let _ = rest_of(&map, length);
        let _ = join((&map, &content), (&map, &content));
    }
}
