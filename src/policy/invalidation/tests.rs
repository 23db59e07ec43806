//! Tests of invalidation.

use http::HeaderName;
use proptest::prelude::*;

use super::*;

const OURS: [&str; 2] = ["Larder.local:8675", "pi:80"];

fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a value");
        fields.append(HeaderName::from_static(name), value);
    }
    fields
}

/// What a Location with this text names besides the target.
fn named(target: &str, reference: &str) -> Option<String> {
    let mut named = also_invalid(target, &fields(&[("location", reference)]), &OURS);
    assert!(named.len() <= 1);
    named.pop()
}

#[test]
fn relative_references_are_read_at_the_target() {
    // The examples of RFC 3986 §5.4 that have a path.
    let cases = [
        ("g", "/b/c/g"),
        ("./g", "/b/c/g"),
        ("g/", "/b/c/g/"),
        ("/g", "/g"),
        ("?y", "/b/c/d;p?y"),
        ("g?y", "/b/c/g?y"),
        ("g#s", "/b/c/g"),
        ("g?y#s", "/b/c/g?y"),
        (";x", "/b/c/;x"),
        ("g;x", "/b/c/g;x"),
        (".", "/b/c/"),
        ("./", "/b/c/"),
        ("..", "/b/"),
        ("../", "/b/"),
        ("../g", "/b/g"),
        ("../..", "/"),
        ("../../", "/"),
        ("../../g", "/g"),
        ("../../../g", "/g"),
        ("/./g", "/g"),
        ("/../g", "/g"),
        ("g.", "/b/c/g."),
        (".g", "/b/c/.g"),
        ("g..", "/b/c/g.."),
        ("..g", "/b/c/..g"),
        ("./../g", "/b/g"),
        ("./g/.", "/b/c/g/"),
        ("g/./h", "/b/c/g/h"),
        ("g/../h", "/b/c/h"),
        ("g;x=1/./y", "/b/c/g;x=1/y"),
        ("g?y/./x", "/b/c/g?y/./x"),
        ("g?y/../x", "/b/c/g?y/../x"),
        ("/a//../b", "/a/b"),
    ];
    for (reference, expected) in cases {
        assert_eq!(
            named("/b/c/d;p?q", reference).as_deref(),
            Some(expected),
            "{reference}"
        );
    }
    assert_eq!(named("*", "g").as_deref(), Some("/g"));
}

#[test]
fn the_target_itself_is_not_named_again() {
    for reference in ["d;p?q", "/b/c/d;p?q", "?q", "#s", "", "//pi/b/c/d;p?q"] {
        assert_eq!(named("/b/c/d;p?q", reference), None, "{reference}");
    }
}

#[test]
fn only_our_own_authorities_count() {
    let cases = [
        ("http://larder.local:8675/x?y", Some("/x?y")),
        ("HTTP://LARDER.LOCAL:8675/x", Some("/x")),
        ("https://larder.local:8675/a/../x", Some("/x")),
        ("http://pi/x", Some("/x")),
        ("http://pi:80/x", Some("/x")),
        ("http://pi", Some("/")),
        ("http://pi?y", Some("/?y")),
        ("http://pi#s", Some("/")),
        ("//pi/x", Some("/x")),
        ("//larder.local:8675", Some("/")),
        ("http://larder.local/x", None),
        ("http://pi:8080/x", None),
        ("https://pi/x", None),
        ("http://pi:80:80/x", None),
        ("http://pi.evil/x", None),
        ("http://pi@evil/x", None),
        ("http://evil@pi/x", None),
        ("http://evil/pi", None),
        ("//evil/x", None),
        ("///x", None),
        ("http:///x", None),
    ];
    for (reference, expected) in cases {
        assert_eq!(named("/t", reference).as_deref(), expected, "{reference}");
    }
    let secure = also_invalid("/t", &fields(&[("location", "https://pi:443/x")]), &["pi"]);
    assert_eq!(secure, ["/x"], "TLS ends before us");
    let secure = also_invalid("/t", &fields(&[("location", "//pi/x")]), &["pi:443"]);
    assert_eq!(secure, ["/x"], "the port of either scheme");
}

#[test]
fn garbage_names_nothing() {
    for reference in [
        "http:/x",
        "http:x",
        "ftp://pi/x",
        "mailto:a",
        "1:2",
        "a b",
        "/\u{fc}",
        "/a\tb",
        ":",
        "http://",
    ] {
        assert_eq!(named("/t", reference), None, "{reference}");
    }
    assert_eq!(
        named("/t", " /x ").as_deref(),
        Some("/x"),
        "blanks around are no part of a value"
    );
}

#[test]
fn both_fields_count_each_target_once_and_two_lines_each() {
    let response = fields(&[
        ("location", "/1"),
        ("location", "/2"),
        ("location", "/3"),
        ("content-location", "/2"),
        ("content-location", "4"),
        ("content-location", "/5"),
    ]);
    assert_eq!(also_invalid("/t", &response, &[]), ["/1", "/2", "/4"]);
}

#[test]
fn a_response_names_itself_by_its_one_content_location() {
    let names = |lines: &[(&'static str, &str)]| names_itself("/a/b?q", &fields(lines), &OURS);
    for reference in ["/a/b?q", "b?q", "?q", "http://PI/a/b?q", "//pi/a/b?q"] {
        assert!(names(&[("content-location", reference)]), "{reference}");
    }
    for reference in ["/a/b", "/a/b?Q", "http://evil/a/b?q", "", "c"] {
        assert!(!names(&[("content-location", reference)]), "{reference}");
    }
    assert!(!names(&[("location", "/a/b?q")]) && !names(&[]));
    assert!(!names(&[
        ("content-location", "/a/b?q"),
        ("content-location", "/x")
    ]));
}

proptest! {
    #[test]
    fn whatever_is_named_is_a_target_without_dots(
        target in "/[a-c./?;]{0,12}",
        reference in prop_oneof!["[a-c./?;#:]{0,16}", "(http:)?//(pi|evil)[a-c./?#:]{0,12}", ".{0,16}"],
    ) {
        if let Ok(value) = HeaderValue::from_bytes(reference.as_bytes())
            && let Some(named) = resolve(&target, &value, &OURS)
        {
            prop_assert!(named.starts_with('/') && named.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'));
            let (path, _) = split_query(&named);
            let asks_only = reference.starts_with('?');
            prop_assert!(asks_only || !path.split('/').any(|segment| matches!(segment, "." | "..")), "{}", named);
        }
    }
}
