//! Tests of what a client wants.

use http::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::policy::directives::LONGEST;

fn wished(lines: &[(&'static str, &str)]) -> RequestDirectives {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        fields.append(*name, HeaderValue::from_str(value).expect("a field value"));
    }
    RequestDirectives::of(&fields)
}

fn said(directives: &str) -> RequestDirectives {
    wished(&[("cache-control", directives)])
}

#[test]
fn a_request_that_says_nothing_asks_for_nothing() {
    let directives = wished(&[("accept", "*/*"), ("host", "a")]);
    assert!(directives.is_none());
    assert!(
        !RequestDirectives {
            only_if_cached: true,
            ..directives
        }
        .is_none()
    );
}

#[test]
fn each_directive_is_read() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let none = RequestDirectives::default();
    let cases = [
        (
            "no-cache",
            RequestDirectives {
                refresh: true,
                ..none
            },
        ),
        (
            "max-age=0",
            RequestDirectives {
                refresh: true,
                ..none
            },
        ),
        (
            "max-age=00",
            RequestDirectives {
                refresh: true,
                ..none
            },
        ),
        (
            "max-age=60",
            RequestDirectives {
                max_age: seconds(60),
                ..none
            },
        ),
        (
            "max-age=\"60\"",
            RequestDirectives {
                max_age: seconds(60),
                ..none
            },
        ),
        (
            "max-age=60, max-age=0",
            RequestDirectives {
                max_age: seconds(60),
                ..none
            },
        ),
        (
            "max-age=60, no-cache",
            RequestDirectives {
                refresh: true,
                max_age: seconds(60),
                ..none
            },
        ),
        (
            "No-Store",
            RequestDirectives {
                no_store: true,
                ..none
            },
        ),
        (
            "only-if-cached",
            RequestDirectives {
                only_if_cached: true,
                ..none
            },
        ),
        (
            "min-fresh=5",
            RequestDirectives {
                min_fresh: seconds(5),
                ..none
            },
        ),
        (
            "min-fresh=0",
            RequestDirectives {
                min_fresh: seconds(0),
                ..none
            },
        ),
        (
            "max-stale",
            RequestDirectives {
                max_stale: Some(LONGEST),
                ..none
            },
        ),
        (
            "max-stale=5",
            RequestDirectives {
                max_stale: seconds(5),
                ..none
            },
        ),
        (
            "max-stale=0",
            RequestDirectives {
                max_stale: seconds(0),
                ..none
            },
        ),
        (
            "max-stale=99999999999999",
            RequestDirectives {
                max_stale: Some(LONGEST),
                ..none
            },
        ),
    ];
    for (directives, expected) in cases {
        assert_eq!(said(directives), expected, "{directives}");
    }
}

#[test]
fn garbage_asks_for_nothing() {
    let garbage = [
        "",
        "nothing-to-see-here",
        "max-age",
        "max-age=",
        "max-age=x",
        "max-age=-1",
        "max-age=0.0",
        "max-age =0",
        "max-age= 0",
        "max-age='0'",
        "no-cache=x",
        "no-cache=\"x\"",
        "no-cache=\"\"",
        "no-cache=",
        "no-cache =",
        "no-store=x",
        "only-if-cached=1",
        "min-fresh",
        "min-fresh=x",
        "max-stale=",
        "max-stale=x",
        "max-stale =5",
        "other=\"no-cache\", other=\"a, no-store\"",
        "s-maxage=0, must-revalidate, private, public",
    ];
    for directives in garbage {
        assert!(said(directives).is_none(), "{directives}");
    }
    assert_eq!(
        said("max-age=x, max-age=7").max_age,
        Some(Duration::from_secs(7))
    );
}

#[test]
fn pragma_counts_only_without_cache_control() {
    let refreshes = |lines: &[(&'static str, &str)]| wished(lines).refresh;
    assert!(refreshes(&[("pragma", "no-cache")]));
    assert!(refreshes(&[
        ("pragma", "other"),
        ("pragma", "x=\"y\", No-Cache")
    ]));
    assert!(!refreshes(&[(
        "pragma",
        "x=\"no-cache\", no-cache=1, no-cachee"
    )]));
    assert!(!refreshes(&[
        ("pragma", "no-cache"),
        ("cache-control", "max-age=60")
    ]));
    assert!(!refreshes(&[("pragma", "no-cache"), ("cache-control", "")]));
}

#[test]
fn both_fields_of_ours_ask_for_a_refresh() {
    for name in ["cache-refresh", "x-cache-refresh"] {
        for value in ["true", " True "] {
            assert_eq!(
                wished(&[(name, value)]),
                RequestDirectives {
                    refresh: true,
                    ..RequestDirectives::default()
                },
                "{name}: {value}"
            );
        }
        for value in ["", "false", "1", "true, true", "truee"] {
            assert!(wished(&[(name, value)]).is_none(), "{name}: {value}");
        }
        let with_others = wished(&[
            ("cache-control", "min-fresh=1"),
            ("pragma", "x"),
            (name, "true"),
        ]);
        assert!(with_others.refresh && with_others.min_fresh.is_some());
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(lines in proptest::collection::vec((0..4usize, proptest::collection::vec(any::<u8>(), 0..40)), 0..5)) {
        let names = ["cache-control", "pragma", "cache-refresh", "x-cache-refresh"];
        let mut fields = HeaderMap::new();
        for (name, line) in lines {
            if let Ok(value) = HeaderValue::from_bytes(&line) {
                fields.append(names[name], value);
            }
        }
        RequestDirectives::of(&fields);
    }
}
