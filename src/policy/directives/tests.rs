//! Tests of Cache-Control and of the targeted fields.

use proptest::prelude::*;

use super::*;

fn response(name: HeaderName, lines: &[&str]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for line in lines {
        fields.append(&name, HeaderValue::from_str(line).expect("a field value"));
    }
    fields
}

fn read(lines: &[&str]) -> Directives {
    Directives::of(&response(CACHE_CONTROL, lines))
}

fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

#[test]
fn max_age_is_read_as_the_grammar_says_and_is_zero_when_it_is_not_met() {
    let cases = [
        ("max-age=3600", Some(3600)),
        ("MAX-AGE=3600", Some(3600)),
        ("max-age=\"3600\"", Some(3600)),
        ("max-age=0003600", Some(3600)),
        ("  max-age=3600  ", Some(3600)),
        ("max-age=99999999999999999999999", Some(1 << 31)),
        ("max-age=1, max-age=3600", Some(1)),
        ("max-age=a, max-age=3600", Some(0)),
        ("max-age='3600'", Some(0)),
        ("max-age=-3600", Some(0)),
        ("max-age=3600.0", Some(0)),
        ("max-age=3600a", Some(0)),
        ("max-age=a3600", Some(0)),
        ("max-age =3600", Some(0)),
        ("max-age= 3600", Some(0)),
        ("max-age", Some(0)),
        ("max-age=", Some(0)),
        ("max-age=\"3600", Some(0)),
        ("other=\"max-age=3600\"", None),
        ("other=\"a\\\", max-age=3600\"", None),
        ("xmax-age=3600, max-agex=1", None),
        ("", None),
    ];
    for (line, expected) in cases {
        assert_eq!(
            read(&[line]).max_age,
            expected.map(Duration::from_secs),
            "{line}"
        );
    }
}

#[test]
fn lines_are_one_list_and_a_quotation_may_span_them() {
    assert!(read(&["max-age=1", "no-store"]).no_store);
    let spanning = read(&["other=\"a", "no-store", "", "b\", private"]);
    assert!(!spanning.no_store && spanning.private);
}

#[test]
fn flags_count_with_and_without_a_value() {
    let found = read(&["private=x,,public , must-revalidate=,proxy-revalidate, no-storex"]);
    assert!(found.private && found.public && found.must_revalidate && found.proxy_revalidate);
    assert!(!found.no_store);
    let found = read(&[
        "Immutable=1, must-understand",
        "only-if-cached, no-store=\"x\"",
    ]);
    assert!(found.immutable && found.must_understand && found.only_if_cached && found.no_store);
}

#[test]
fn only_max_stale_needs_no_value() {
    let cases = [
        ("", 0),
        ("=", 0),
        ("=x", 0),
        (" =5", 0),
        ("=5", 5),
        ("=\"5\"", 5),
    ];
    for (value, expected) in cases {
        let found = read(&[&format!("max-stale{value}, min-fresh{value}")]);
        let max_stale = if value.is_empty() {
            Some(LONGEST)
        } else {
            seconds(expected)
        };
        assert_eq!(
            (found.max_stale, found.min_fresh),
            (max_stale, seconds(expected)),
            "{value}"
        );
    }
}

#[test]
fn no_cache_names_fields_or_is_the_bare_one() {
    let cases: [(&str, bool, &[&str]); 14] = [
        ("no-cache", true, &[]),
        ("no-cache=\"Set-Cookie\"", false, &["set-cookie"]),
        ("no-cache=\" b ,,\tA\"", false, &["a", "b"]),
        ("no-cache=a", false, &["a"]),
        (
            "no-cache=\"a\", private, no-cache=\"b, a\"",
            false,
            &["a", "b"],
        ),
        ("no-cache=\"a\", no-cache", true, &["a"]),
        ("no-cache=\"a\", no-cache=\"b c\"", true, &["a"]),
        ("no-cache=\"a, b c\"", true, &[]),
        ("no-cache=\"a, \\b\"", true, &[]),
        ("no-cache=\"a", true, &[]),
        ("no-cache=\"\"", true, &[]),
        ("no-cache=\", ,\"", true, &[]),
        ("no-cache=", true, &[]),
        ("no-cache =a", true, &[]),
    ];
    for (line, bare, names) in cases {
        let fields = response(CACHE_CONTROL, &[line]);
        let response_directives = ResponseDirectives::of(&fields, &[]);
        assert_eq!(
            (
                response_directives.directives.no_cache,
                response_directives.directives.names_fields
            ),
            (bare, !names.is_empty()),
            "{line}"
        );
        let found = fields_to_confirm(&fields, &response_directives);
        assert_eq!(
            found.iter().map(HeaderName::as_str).collect::<Vec<&str>>(),
            names,
            "{line}"
        );
    }
    let spanning = read(&["no-cache=\"a", "b\""]);
    assert!(spanning.no_cache && !spanning.names_fields);
}

#[test]
fn a_name_is_what_may_name_a_field() {
    for byte in 0..=u8::MAX {
        let may_name = HeaderName::from_bytes(&[byte]).is_ok();
        assert_eq!(
            is_list_of_names(&[byte]),
            may_name,
            "{}",
            byte.escape_ascii()
        );
    }
}

const CDN: HeaderName = HeaderName::from_static("cdn-cache-control");

fn targeted(lines: &[&str]) -> Option<Directives> {
    let response_directives = ResponseDirectives::of(&response(CDN, lines), &[CDN]);
    response_directives
        .targeted
        .then_some(response_directives.directives)
}

#[test]
fn a_targeted_field_is_a_dictionary_of_directives() {
    let none = Directives::default();
    let cases: [(&[&str], Directives); 14] = [
        (
            &["max-age=60"],
            Directives {
                max_age: seconds(60),
                ..none
            },
        ),
        (
            &["max-age=60;x=1, s-maxage=7"],
            Directives {
                max_age: seconds(60),
                s_maxage: seconds(7),
                ..none
            },
        ),
        (
            &["max-age=999999999999999"],
            Directives {
                max_age: Some(LONGEST),
                ..none
            },
        ),
        (
            &["max-age=x, max-age=3"],
            Directives {
                max_age: seconds(3),
                ..none
            },
        ),
        (
            &["max-age=4", "no-store"],
            Directives {
                max_age: seconds(4),
                no_store: true,
                ..none
            },
        ),
        (
            &["stale-while-revalidate=1"],
            Directives {
                stale_while_revalidate: seconds(1),
                ..none
            },
        ),
        (
            &["stale-if-error=2"],
            Directives {
                stale_if_error: seconds(2),
                ..none
            },
        ),
        (
            &["no-cache=\"a\""],
            Directives {
                no_cache: true,
                ..none
            },
        ),
        (
            &["private=\"a\""],
            Directives {
                private: true,
                ..none
            },
        ),
        (&["no-store=?0, no-cache=?0, private=?0"], none),
        (&["no-store, no-store=?0"], none),
        (
            &["public, must-revalidate=?1"],
            Directives {
                public: true,
                must_revalidate: true,
                ..none
            },
        ),
        (
            &["immutable, must-understand, proxy-revalidate"],
            Directives {
                immutable: true,
                must_understand: true,
                proxy_revalidate: true,
                ..none
            },
        ),
        (&["unknown=(a \"b\");c, max-stale=x, other=:AA==:"], none),
    ];
    for (lines, expected) in cases {
        assert_eq!(targeted(lines), Some(expected), "{lines:?}");
    }
}

#[test]
fn one_wrong_member_voids_a_targeted_field() {
    let void: [&[&str]; 24] = [
        &[""],
        &[" "],
        &["max-age=60,"],
        &["max-age=60", ""],
        &["Max-Age=60"],
        &["max-age =60"],
        &["max-age= 60"],
        &["max-age"],
        &["max-age=-1"],
        &["max-age=60.0"],
        &["max-age=\"60\""],
        &["max-age=x"],
        &["max-age=60, unknown=@@"],
        &["max-age=60, s-maxage=x"],
        &["max-age=60, max-age=x"],
        &["max-age=60, no-store=1"],
        &["max-age=60, immutable=\"\""],
        &["max-age=60, no-cache=a"],
        &["max-age=60, private=(\"a\")"],
        &["max-age=60, must-revalidate=yes"],
        &["stale-if-error=?1"],
        &["max-age=1234567890123456"],
        &["max-age=60, a=@1659578233"],
        &["max-age=60, a=%\"x\""],
    ];
    for lines in void {
        assert_eq!(targeted(lines), None, "{lines:?}");
    }
}

#[test]
fn the_first_targeted_field_that_is_valid_speaks_and_else_cache_control() {
    let own = HeaderName::from_static("larder-cache-control");
    let max_age = |own_says: &'static str, cdn_says: &'static str| {
        let mut fields = response(CACHE_CONTROL, &["no-store, max-age=1, no-cache=\"a\""]);
        fields.insert(&own, HeaderValue::from_static(own_says));
        fields.insert(CDN, HeaderValue::from_static(cdn_says));
        let response_directives = ResponseDirectives::of(&fields, &[own.clone(), CDN]);
        let to_confirm = fields_to_confirm(&fields, &response_directives).len();
        (
            response_directives.directives.max_age,
            response_directives.targeted,
            response_directives.directives.no_store,
            to_confirm,
        )
    };
    assert_eq!(
        max_age("max-age=3", "max-age=2"),
        (seconds(3), true, false, 0)
    );
    assert_eq!(
        max_age("max-age=", "max-age=2"),
        (seconds(2), true, false, 0)
    );
    assert_eq!(max_age("", "x"), (None, true, false, 0));
    assert_eq!(max_age("A", "max-age=x"), (seconds(1), false, true, 1));
    let fields = response(CDN, &["max-age=2"]);
    assert_eq!(
        ResponseDirectives::of(&fields, &[]),
        ResponseDirectives {
            directives: Directives::default(),
            targeted: false
        }
    );
}

const PARTS: [&str; 14] = [
    "no-store",
    "no-cache",
    "no-cache=\"x, y\"",
    "private=\"a, b\"",
    "public",
    "immutable",
    "must-understand",
    "only-if-cached",
    "max-age=60",
    "s-maxage=\"7\"",
    "stale-if-error=5",
    "max-stale",
    "min-fresh=\"3\"",
    "unknown=\"x,y\"",
];

/// A time as one can be read, or none.
fn time() -> impl Strategy<Value = Option<Duration>> {
    proptest::option::of(
        prop_oneof![0..100u64, Just(LONGEST.as_secs()), 0..=LONGEST.as_secs()]
            .prop_map(Duration::from_secs),
    )
}

prop_compose! {
    fn directives()(flags in any::<[bool; 10]>(), times in proptest::array::uniform6(time())) -> Directives {
        let [no_store, no_cache, names_fields, private, public, must_revalidate, proxy_revalidate, ..] = flags;
        let [max_age, s_maxage, stale_while_revalidate, stale_if_error, max_stale, min_fresh] = times;
        let [.., must_understand, immutable, only_if_cached] = flags;
        Directives {
            no_store, no_cache, names_fields, private, public, must_revalidate, proxy_revalidate, must_understand, immutable,
            only_if_cached, max_age, s_maxage, stale_while_revalidate, stale_if_error, max_stale, min_fresh,
        }
    }
}

/// What a request or a response would say to mean this.
fn print(meant: &Directives) -> String {
    let flags = [
        ("no-store", meant.no_store),
        ("no-cache", meant.no_cache),
        ("no-cache=\"a, b\"", meant.names_fields),
        ("private", meant.private),
        ("public", meant.public),
        ("must-revalidate", meant.must_revalidate),
        ("proxy-revalidate", meant.proxy_revalidate),
        ("must-understand", meant.must_understand),
        ("immutable", meant.immutable),
        ("only-if-cached", meant.only_if_cached),
    ];
    let times = [
        ("max-age", meant.max_age),
        ("s-maxage", meant.s_maxage),
        ("stale-while-revalidate", meant.stale_while_revalidate),
        ("stale-if-error", meant.stale_if_error),
        ("max-stale", meant.max_stale),
        ("min-fresh", meant.min_fresh),
    ];
    let flags = flags
        .iter()
        .filter(|(_, set)| *set)
        .map(|(name, _)| (*name).to_owned());
    let times = times
        .iter()
        .filter_map(|(name, time)| Some((name, (*time)?)))
        .map(|(name, time)| match *name {
            "max-stale" if time == LONGEST => "max-stale".to_owned(),
            name => format!("{name}={}", time.as_secs()),
        });
    flags.chain(times).collect::<Vec<String>>().join(", ")
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(meant in directives()) {
        let text = print(&meant);
        prop_assert_eq!(read(&[&text]), meant);
        prop_assert_eq!(Directives::of_request(&response(CACHE_CONTROL, &[&text])), meant);
    }

    #[test]
    fn what_is_printed_reads_back_from_a_targeted_field(meant in directives()) {
        // What only requests say is not known there.
        let meant = Directives { names_fields: false, only_if_cached: false, max_stale: None, min_fresh: None, ..meant };
        let text = print(&meant);
        prop_assert_eq!(targeted(&[&text]), (!text.is_empty()).then_some(meant));
    }

    #[test]
    fn order_case_and_spacing_do_not_matter(
        order in Just(PARTS.to_vec()).prop_shuffle(),
        kept in 0..=PARTS.len(),
        blanks in proptest::collection::vec("[ \t]{0,2},?[ \t]{0,2}", PARTS.len()),
        upper in any::<bool>(),
        as_lines in any::<bool>(),
    ) {
        let order = &order[..kept];
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        let plain = response(CACHE_CONTROL, &[&sorted.join(",")]);
        let spaced: Vec<String> = order.iter().zip(&blanks).map(|(part, blank)| format!("{blank}{part} ")).collect();
        let spaced = if as_lines { spaced } else { vec![spaced.join(",")] };
        let spaced: Vec<String> = spaced.into_iter().map(|line| if upper { line.to_uppercase() } else { line }).collect();
        let spaced = response(CACHE_CONTROL, &spaced.iter().map(String::as_str).collect::<Vec<&str>>());
        prop_assert_eq!(Directives::of(&spaced), Directives::of(&plain));
        prop_assert_eq!(Directives::of_request(&spaced), Directives::of_request(&plain));
        let to_confirm = |fields| fields_to_confirm(fields, &ResponseDirectives::of(fields, &[]));
        prop_assert_eq!(to_confirm(&spaced), to_confirm(&plain));
    }

    #[test]
    fn no_bytes_panic(lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..4)) {
        let mut fields = HeaderMap::new();
        for line in lines {
            if let Ok(value) = HeaderValue::from_bytes(&line) {
                fields.append(CACHE_CONTROL, value.clone());
                fields.append(CDN, value);
            }
        }
        let response_directives = ResponseDirectives::of(&fields, &[CDN]);
        fields_to_confirm(&fields, &response_directives);
        Directives::of_request(&fields);
    }
}
