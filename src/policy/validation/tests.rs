//! Tests of validation.

use http::header::{CACHE_CONTROL, DATE};
use proptest::prelude::*;

use super::*;

const NOON: &str = "Sat, 15 Jun 2024 12:00:00 GMT";
const ONE: &str = "Sat, 15 Jun 2024 13:00:00 GMT";

fn fields(lines: &[(&str, &str)]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        fields.append(
            name,
            HeaderValue::from_bytes(value.as_bytes()).expect("a value"),
        );
    }
    fields
}

fn tagged(tag: &str) -> HeaderMap {
    fields(&[("etag", tag)])
}

fn dated(date: &str) -> HeaderMap {
    fields(&[("last-modified", date)])
}

/// All lines, name and value, in order.
fn lines(fields: &HeaderMap) -> Vec<(String, String)> {
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        (
            name.to_string(),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        )
    };
    fields.iter().map(text).collect()
}

#[test]
fn a_validator_is_a_tag_or_a_date_with_a_text() {
    assert!(has_validator(&tagged("a")) && has_validator(&dated("a")));
    assert!(
        !has_validator(&fields(&[])) && !has_validator(&tagged("")) && !has_validator(&tagged("*"))
    );
    assert!(!has_validator(&dated("")) && !has_validator(&fields(&[("date", NOON)])));
}

#[test]
fn the_stored_validators_take_the_place_of_the_clients() {
    let mut request = fields(&[
        ("if-match", "\"c\""),
        ("if-none-match", "\"c\""),
        ("if-none-match", "\"d\""),
        ("if-modified-since", NOON),
        ("if-unmodified-since", NOON),
        ("if-range", "\"c\""),
        ("range", "bytes=0-1"),
        ("accept", "a/b"),
    ]);
    ask(
        &mut request,
        &[fields(&[
            ("etag", "w/\"\u{fc}\""),
            ("last-modified", "sat, 15 jun"),
        ])],
    );
    let expected = fields(&[
        ("accept", "a/b"),
        ("if-none-match", "w/\"\u{fc}\""),
        ("if-modified-since", "sat, 15 jun"),
    ]);
    assert_eq!(request, expected);
    ask(&mut request, &[]);
    assert_eq!(
        request,
        fields(&[("accept", "a/b")]),
        "nothing is stored: asked for the response itself"
    );
}

#[test]
fn several_are_asked_about_by_their_distinct_tags_alone() {
    let mut request = HeaderMap::new();
    let both = fields(&[("etag", "\"a\""), ("last-modified", NOON)]);
    ask(
        &mut request,
        &[both, tagged("W/\"b\""), dated(NOON), tagged("\"a\"")],
    );
    assert_eq!(request, fields(&[("if-none-match", "\"a\", W/\"b\"")]));
    ask(&mut request, &[dated(NOON), dated(ONE)]);
    assert_eq!(request, HeaderMap::new());
}

#[test]
fn a_tag_confirms_the_response_that_has_it() {
    let stored = [
        tagged("W/\"b\""),
        tagged("\"a\""),
        tagged("\"b\""),
        tagged("b"),
        tagged("w/\"a\""),
    ];
    let cases = [
        ("\"a\"", Some(1)),
        ("\"b\"", Some(2)),
        ("W/\"a\"", Some(1)),
        ("W/\"b\"", Some(0)),
        ("b", Some(3)),
        ("w/\"a\"", Some(4)),
        ("\"c\"", None),
        ("W/\"c\"", None),
    ];
    for (tag, expected) in cases {
        assert_eq!(confirmed(&tagged(tag), &stored), expected, "{tag}");
    }
    let alone = [
        ("W/\"b\"", "\"b\"", true),
        ("\"b\"", "W/\"b\"", true),
        ("\"b-gzip\"", "\"b\"", true),
        ("\"b\"", "\"b--gzip\"", true),
        ("W/\"b-br\"", "\"b\"", true),
        ("\"b\"", "\"c\"", false),
        ("\"b-x\"", "\"b\"", false),
        ("b-gzip", "b", false),
        ("b", "\"b\"", false),
    ];
    for (offered, tag, is_confirmed) in alone {
        let expected = is_confirmed.then_some(0);
        assert_eq!(
            confirmed(&tagged(tag), &[tagged(offered)]),
            expected,
            "{offered} was offered alone, {tag} came"
        );
    }
    assert_eq!(
        confirmed(
            &fields(&[("etag", "\"a\""), ("last-modified", NOON)]),
            &[dated(NOON)]
        ),
        None
    );
}

#[test]
fn without_a_tag_it_has_to_be_clear_which_one_is_meant() {
    let both = |tag: &str, date: &str| fields(&[("etag", tag), ("last-modified", date)]);
    assert_eq!(confirmed(&dated(NOON), &[dated(NOON)]), Some(0));
    assert_eq!(confirmed(&dated(ONE), &[dated(NOON)]), None);
    assert_eq!(
        confirmed(&dated(NOON), &[tagged("\"a\"")]),
        None,
        "a validator that none has"
    );
    assert_eq!(
        confirmed(&dated(NOON), &[both("\"a\"", ONE), both("\"b\"", NOON)]),
        Some(1)
    );
    assert_eq!(
        confirmed(&dated(NOON), &[both("\"a\"", NOON), both("\"b\"", NOON)]),
        None
    );
    assert_eq!(
        confirmed(&dated(NOON), &[both("\"a\"", ONE), dated(NOON)]),
        None,
        "the second was not asked about"
    );

    let bare = fields(&[("cache-control", "max-age=1")]);
    assert_eq!(confirmed(&bare, &[tagged("\"a\"")]), Some(0));
    assert_eq!(confirmed(&bare, &[dated(NOON)]), Some(0));
    assert_eq!(
        confirmed(&bare, &[dated(NOON), tagged("\"a\"")]),
        Some(1),
        "the one that was asked about"
    );
    assert_eq!(confirmed(&bare, &[tagged("\"b\""), tagged("\"a\"")]), None);
    assert_eq!(
        confirmed(&bare, &[fields(&[])]),
        None,
        "nothing was asked about"
    );
    assert_eq!(confirmed(&bare, &[]), None);
}

#[test]
fn an_update_takes_the_place_of_all_lines_of_its_names_and_leaves_the_rest_in_order() {
    let stored = fields(&[
        ("date", NOON),
        ("x-a", "1"),
        ("x-b", "1"),
        ("x-a", "2"),
        ("age", "7"),
        ("content-type", "a/b"),
        ("content-encoding", "gzip"),
        ("content-range", "bytes 0-1/2"),
        ("x-c", "1"),
    ]);
    let update = fields(&[
        ("x-new", "1"),
        ("date", ONE),
        ("x-b", "3"),
        ("x-b", "4"),
        ("content-type", "c/d"),
        ("content-encoding", "br"),
        ("content-range", "bytes 5-6/7"),
        ("content-length", "9"),
    ]);
    let expected = [
        ("date", ONE),
        ("x-a", "1"),
        ("x-a", "2"),
        ("x-b", "3"),
        ("x-b", "4"),
        ("content-type", "c/d"),
        ("content-encoding", "gzip"),
        ("content-range", "bytes 0-1/2"),
        ("x-c", "1"),
        ("x-new", "1"),
    ];
    let expected: Vec<_> = expected
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    assert_eq!(lines(&freshen(&stored, &update)), expected);
}

#[test]
fn the_stored_age_goes_and_the_updates_comes() {
    let stored = fields(&[("age", "7"), ("x-a", "1")]);
    assert_eq!(
        freshen(&stored, &fields(&[("age", "2")])),
        fields(&[("age", "2"), ("x-a", "1")])
    );
    assert_eq!(freshen(&stored, &fields(&[])), fields(&[("x-a", "1")]));
}

#[test]
fn a_head_confirms_when_nothing_in_it_differs() {
    let stored = fields(&[("etag", "\"a\""), ("last-modified", NOON)]);
    let cases: [(&[(&str, &str)], bool); 11] = [
        (
            &[
                ("etag", "\"a\""),
                ("last-modified", NOON),
                ("content-length", "5"),
            ],
            true,
        ),
        (&[("etag", "\"a\"")], true),
        (&[], true),
        (&[("content-length", "005")], true),
        (&[("etag", "\"b\""), ("last-modified", NOON)], false),
        (&[("etag", "W/\"a\"")], false),
        (&[("etag", "\"a\""), ("last-modified", ONE)], false),
        (&[("etag", "\"a\""), ("content-length", "6")], false),
        (&[("content-length", "+5")], false),
        (&[("content-length", "")], false),
        (&[("content-length", "5"), ("content-length", "6")], false),
    ];
    for (answer, expected) in cases {
        assert_eq!(
            head_confirms(&stored, 5, &fields(answer)),
            expected,
            "{answer:?}"
        );
    }
    assert!(
        !head_confirms(&fields(&[]), 5, &tagged("\"a\"")),
        "a tag the stored response has not"
    );
    assert!(!head_confirms(&fields(&[]), 5, &dated(NOON)));
}

/// Any text a field can have, the characters of tags often.
fn text() -> impl Strategy<Value = HeaderValue> {
    let byte = prop_oneof![
        prop::sample::select(&b"\"\"\\,*W/w a1"[..]),
        any::<u8>().prop_filter("no control character", |byte| *byte >= 32 && *byte != 127)
    ];
    prop::collection::vec(byte, 0..8)
        .prop_filter_map("a field value", |text| HeaderValue::from_bytes(&text).ok())
}

fn response() -> impl Strategy<Value = HeaderMap> {
    let names = vec![
        AGE,
        CACHE_CONTROL,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_RANGE,
        DATE,
        ETAG,
        LAST_MODIFIED,
        HeaderName::from_static("x-a"),
    ];
    prop::collection::vec((prop::sample::select(names), text()), 0..10).prop_map(|lines| {
        let mut fields = HeaderMap::new();
        for (name, line) in lines {
            fields.append(name, line);
        }
        fields
    })
}

proptest! {
    #[test]
    fn every_field_of_an_update_comes_from_where_it_has_to(stored in response(), update in response()) {
        let fresh = freshen(&stored, &update);
        for name in stored.keys().chain(update.keys()) {
            let is_updated = update.contains_key(name) && !OF_THE_BODY.contains(name);
            let source = if is_updated { &update } else { &stored };
            let expected: Vec<_> = source.get_all(name).iter().collect();
            let expected = if *name == AGE && !is_updated { Vec::new() } else { expected };
            prop_assert_eq!(fresh.get_all(name).iter().collect::<Vec<_>>(), expected, "{}", name);
        }
    }

    #[test]
    fn a_304_that_repeats_the_validators_confirms_what_was_asked_about(stored in response()) {
        prop_assume!(has_validator(&stored));
        let mut request = HeaderMap::new();
        ask(&mut request, std::slice::from_ref(&stored));
        prop_assert!(!request.is_empty());
        let mut answer = HeaderMap::new();
        [ETAG, LAST_MODIFIED].iter().for_each(|name| copy(name, &stored, &mut answer));
        prop_assert_eq!(confirmed(&answer, &[stored]), Some(0));
    }

    #[test]
    fn of_several_a_304_confirms_one_with_its_own_tag(stored in prop::collection::vec(response(), 1..5), which in 0usize..5) {
        let Some(tag) = stored.get(which).and_then(etag::of) else { return Ok(()) };
        let mut request = HeaderMap::new();
        ask(&mut request, &stored);
        prop_assert!(request.contains_key(IF_NONE_MATCH));
        let answer = HeaderMap::from_iter([(ETAG, HeaderValue::from_bytes(tag).expect("a value"))]);
        let found = confirmed(&answer, &stored).and_then(|place| etag::of(&stored[place]));
        prop_assert!(found.is_some_and(|own| etag::weakly_equal(own, tag)));
    }
}
