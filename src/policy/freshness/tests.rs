//! Tests of lifetimes.

use http::{HeaderName, HeaderValue};

use super::*;
use crate::policy::rule::Force;

/// Sun, 06 Nov 1994 08:49:37 GMT
const DATED: u64 = 784_111_777;
const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");

/// Fields, name and value.
type Lines<'a> = &'a [(&'a str, &'a str)];

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn now() -> Now {
    Now {
        mono: secs(500),
        wall: secs(DATED),
    }
}

fn judge_as(
    status: u16,
    lines: Lines<'_>,
    rule: &Rule,
    defaults: &Defaults,
    allowed: Allowed,
) -> Option<Lifetime> {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        fields.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    let response_directives =
        ResponseDirectives::of(&fields, &[HeaderName::from_static("cdn-cache-control")]);
    let status = StatusCode::from_u16(status).expect("a status code");
    lifetime(
        &Received {
            status,
            fields: &fields,
            response_directives,
            asked: now(),
            at: now(),
        },
        rule,
        defaults,
        allowed,
    )
}

fn judge(status: u16, lines: Lines<'_>, rule: &Rule) -> Option<Lifetime> {
    judge_as(status, lines, rule, &Defaults::default(), Allowed::Any)
}

fn pure() -> Defaults {
    Defaults {
        ttl: Duration::ZERO,
        stale_time: Duration::ZERO,
        ..Defaults::default()
    }
}

fn judge_purely(status: u16, lines: Lines<'_>) -> Option<Lifetime> {
    judge_as(status, lines, &Rule::default(), &pure(), Allowed::Any)
}

/// So many seconds after it arrived.
fn after(seconds: u64) -> Now {
    Now {
        mono: now().mono + secs(seconds),
        wall: secs(0),
    }
}

#[test]
fn the_rule_wins_over_the_origin_and_the_origin_over_the_default() {
    let ruled = Rule {
        cache_ttl: Some(secs(30)),
        ..Rule::default()
    };
    let fresh = ("cache-control", "max-age=100");
    let cases: [(Lines<'_>, &Rule, LifetimeSource, u64); 4] = [
        (&[fresh], &ruled, LifetimeSource::Rule, 30),
        (&[], &ruled, LifetimeSource::Rule, 30),
        (&[fresh], &Rule::default(), LifetimeSource::Origin, 100),
        (&[], &Rule::default(), LifetimeSource::Default, 300),
    ];
    for (lines, rule, source, ttl) in cases {
        let found = judge(200, lines, rule).expect("a lifetime");
        assert_eq!(
            (found.source(), found.ttl()),
            (source, secs(ttl)),
            "{lines:?}"
        );
    }
}

#[test]
fn explicit_freshness_in_the_order_of_the_rfc() {
    let later = ("expires", "Sun, 06 Nov 1994 08:59:37 GMT");
    let cases: [(Lines<'_>, u64); 12] = [
        (&[("cache-control", "max-age=1, s-maxage=2")], 2),
        (&[("cache-control", "max-age=1"), DATE, later], 1),
        (&[("cache-control", "max-age=x"), DATE, later], 0),
        (&[("cache-control", "s-maxage=x, max-age=9")], 0),
        (&[("cache-control", "max-age=9, no-cache"), DATE, later], 0),
        (&[DATE, later], 600),
        (&[("date", "never"), later], 600),
        (&[later], 600),
        (&[DATE, later, later], 0),
        (&[("expires", "0")], 0),
        (&[("date", "Sun, 06 Nov 1994 08:59:38 GMT"), later], 0),
        (
            &[DATE, ("expires", "Fri, 31 Dec 9999 23:59:59 GMT")],
            1 << 31,
        ),
    ];
    for (lines, ttl) in cases {
        let found = judge(200, lines, &Rule::default()).expect("a lifetime");
        assert_eq!(
            (found.source(), found.ttl()),
            (LifetimeSource::Origin, secs(ttl)),
            "{lines:?}"
        );
        assert_eq!(
            found.stale_time(),
            found.ttl(),
            "the origin's own lifetime is not refreshed early"
        );
    }
}

#[test]
fn only_the_origins_word_reckons_with_the_age_on_arrival() {
    let old = [("age", "40"), DATE];
    let ruled = Rule {
        cache_ttl: Some(secs(30)),
        ..Rule::default()
    };
    let aged = [("age", "40"), ("cache-control", "max-age=100")];
    assert_eq!(
        judge(200, &aged, &Rule::default()).map(|l| l.initial_age()),
        Some(secs(40))
    );
    assert_eq!(
        judge(200, &old, &ruled).map(|l| l.initial_age()),
        Some(secs(0))
    );
    assert_eq!(
        judge(200, &old, &Rule::default()).map(|l| l.initial_age()),
        Some(secs(0))
    );
}

#[test]
fn status_codes_without_freshness() {
    let ttl = |status, rule: &Rule, defaults: &Defaults| {
        judge_as(status, &[], rule, defaults, Allowed::Any).map(|l| l.ttl())
    };
    let none = Rule::default();
    let ruled = |seconds| Rule {
        cache_ttl: Some(secs(seconds)),
        ..Rule::default()
    };
    for status in [200, 203, 204, 300, 301, 308] {
        assert_eq!(
            ttl(status, &none, &Defaults::default()),
            Some(secs(300)),
            "{status}"
        );
        assert_eq!(ttl(status, &ruled(7), &pure()), Some(secs(7)), "{status}");
        assert_eq!(ttl(status, &none, &pure()), None, "{status}");
    }
    for status in [201, 302, 307, 401, 410] {
        assert_eq!(
            ttl(status, &ruled(7), &Defaults::default()),
            None,
            "{status}"
        );
    }
    assert_eq!(ttl(404, &none, &Defaults::default()), Some(secs(10)));
    assert_eq!(ttl(404, &ruled(30), &Defaults::default()), Some(secs(10)));
    assert_eq!(
        ttl(404, &ruled(7), &Defaults::default()),
        Some(secs(7)),
        "no longer than a good answer"
    );
    assert_eq!(ttl(404, &none, &pure()), None);
    assert_eq!(
        judge(404, &[("cache-control", "max-age=99")], &none).map(|l| l.ttl()),
        Some(secs(99))
    );
}

#[test]
fn a_route_with_ttl_zero_gives_nothing_a_lifetime() {
    let off = Rule {
        cache_ttl: Some(Duration::ZERO),
        ..Rule::default()
    };
    assert_eq!(judge(200, &[], &off), None);
    assert_eq!(judge(404, &[("cache-control", "max-age=9")], &off), None);
}

#[test]
fn a_request_that_names_its_client_gets_the_origins_word_or_nothing() {
    let ruled = Rule {
        cache_ttl: Some(secs(30)),
        ..Rule::default()
    };
    let own = |lines: Lines<'_>| {
        judge_as(
            200,
            lines,
            &ruled,
            &Defaults::default(),
            Allowed::OriginOnly,
        )
    };
    assert_eq!(own(&[]), None);
    assert_eq!(
        own(&[("cache-control", "max-age=9")]).map(|l| (l.source(), l.ttl())),
        Some((LifetimeSource::Origin, secs(9)))
    );
}

#[test]
fn how_far_a_lifetime_stretches() {
    let plain = Rule {
        cache_ttl: Some(secs(40)),
        ..Rule::default()
    };
    let set = Rule {
        slow_grace: Some(secs(3)),
        grace_time: Some(secs(4)),
        ..Rule::default()
    };
    let forced = Rule {
        force: Force {
            must_revalidate: true,
            ..Force::default()
        },
        ..plain.clone()
    };
    let cases: [(&str, &Rule, u64, u64); 12] = [
        ("", &Rule::default(), 300, 30),
        ("", &plain, 40, 30),
        ("", &set, 3, 4),
        ("max-age=9", &Rule::default(), 0, 0),
        (
            "max-age=9, stale-while-revalidate=5, stale-if-error=6",
            &Rule::default(),
            0,
            6,
        ),
        (
            "max-age=9, stale-while-revalidate=5, stale-if-error=6",
            &set,
            3,
            4,
        ),
        ("max-age=9, must-revalidate, stale-if-error=6", &set, 0, 0),
        ("proxy-revalidate", &plain, 0, 0),
        ("s-maxage=9", &plain, 0, 0),
        ("no-cache", &plain, 0, 0),
        ("must-revalidate, s-maxage=9", &forced, 40, 30),
        ("no-cache, stale-if-error=6", &forced, 40, 30),
    ];
    for (line, rule, slow, failed) in cases {
        let found = judge(200, &[("cache-control", line)], rule).expect("a lifetime");
        assert_eq!(
            (found.slow_grace(), found.grace_time()),
            (secs(slow), secs(failed)),
            "{line}"
        );
        assert_eq!(
            found.may_be_stale(),
            (slow, failed) != (0, 0) || line == "max-age=9",
            "{line}"
        );
    }
}

#[test]
fn stale_while_revalidate_lets_the_origins_word_answer_for_longer_but_not_be_fresh() {
    let forced = Rule {
        force: Force {
            must_revalidate: true,
            ..Force::default()
        },
        ..Rule::default()
    };
    let cases: [(&str, &Rule, u64, u64); 8] = [
        ("max-age=9", &Rule::default(), 9, 9),
        (
            "max-age=9, stale-while-revalidate=5",
            &Rule::default(),
            9,
            14,
        ),
        (
            "max-age=9, stale-while-revalidate=x",
            &Rule::default(),
            9,
            9,
        ),
        (
            "max-age=9, stale-while-revalidate=5, must-revalidate",
            &Rule::default(),
            9,
            9,
        ),
        (
            "s-maxage=9, stale-while-revalidate=5",
            &Rule::default(),
            9,
            9,
        ),
        ("no-cache, stale-while-revalidate=5", &Rule::default(), 0, 0),
        ("s-maxage=9, stale-while-revalidate=5", &forced, 9, 14),
        (
            "max-age=2147483648, stale-while-revalidate=5",
            &Rule::default(),
            1 << 31,
            1 << 31,
        ),
    ];
    for (line, rule, fresh, ttl) in cases {
        let found = judge(200, &[("cache-control", line)], rule).expect("a lifetime");
        assert_eq!(
            (found.stale_time(), found.fresh_until(), found.ttl()),
            (secs(fresh), secs(fresh), secs(ttl)),
            "{line}"
        );
    }
    let ruled = Rule {
        cache_ttl: Some(secs(40)),
        ..Rule::default()
    };
    let found = judge(
        200,
        &[("cache-control", "max-age=9, stale-while-revalidate=5")],
        &ruled,
    )
    .expect("a lifetime");
    assert_eq!(
        (found.fresh_until(), found.ttl()),
        (secs(40), secs(40)),
        "the user's lifetime has no window"
    );
}

#[test]
fn a_failure_never_replaces_an_answer() {
    let said = [(
        "cache-control",
        "max-age=9, stale-while-revalidate=5, stale-if-error=6",
    )];
    for status in [429, 500, 503, 599] {
        let found = judge(status, &said, &Rule::default()).expect("a lifetime");
        assert_eq!(
            (found.ttl(), found.grace_time(), found.may_be_stale()),
            (secs(9), secs(0), false),
            "{status}"
        );
        assert!(
            !found.serves_despite(FailureKind::Unreachable, after(9)),
            "{status}"
        );
    }
    assert!(judge(404, &said, &Rule::default()).is_some_and(|found| found.may_be_stale()));
}

#[test]
fn who_can_reach_no_origin_is_given_the_origins_word_for_a_day_more() {
    // Fresh for 9 s; each row tells how long it stands in when slow, timed out, unreachable, failed.
    let day = 9 + 86_400;
    let cases: [(&str, [u64; 4]); 7] = [
        ("max-age=9", [9, day, day, 9]),
        ("max-age=9, stale-if-error=60", [9, day, day, 69]),
        (
            "max-age=9, stale-if-error=100000",
            [9, day, 100_009, 100_009],
        ),
        ("max-age=9, stale-while-revalidate=5", [14, day, day, 14]),
        ("max-age=9, must-revalidate, stale-if-error=60", [9; 4]),
        ("max-age=9, proxy-revalidate", [9; 4]),
        ("s-maxage=9", [9; 4]),
    ];
    let failures = [
        FailureKind::Slow,
        FailureKind::TimedOut,
        FailureKind::Unreachable,
        FailureKind::Failed,
    ];
    for (line, until) in cases {
        let found = judge(200, &[("cache-control", line)], &Rule::default()).expect("a lifetime");
        for (failure, until) in failures.into_iter().zip(until) {
            assert!(
                found.serves_despite(failure, after(until - 1)),
                "{line}: {failure:?} before {until}"
            );
            assert!(
                !found.serves_despite(failure, after(until)),
                "{line}: {failure:?} at {until}"
            );
        }
        assert_eq!(
            found.retained_until(),
            after(until.into_iter().max().unwrap_or_default()).mono,
            "{line}"
        );
    }
}

#[test]
fn a_user_who_says_how_long_says_how_much_longer_too() {
    let ruled = Rule {
        cache_ttl: Some(secs(40)),
        slow_grace: Some(secs(3)),
        grace_time: Some(secs(4)),
        ..Rule::default()
    };
    let found = judge(200, &[], &ruled).expect("a lifetime");
    let stands = |failure, at| found.serves_despite(failure, after(at));
    for (failure, until) in [
        (FailureKind::Slow, 43),
        (FailureKind::TimedOut, 43),
        (FailureKind::Unreachable, 44),
        (FailureKind::Failed, 44),
    ] {
        assert!(
            stands(failure, until - 1) && !stands(failure, until),
            "{failure:?}"
        );
    }
    assert_eq!(found.retained_until(), after(44).mono);
}

#[test]
fn what_can_be_confirmed_is_kept_for_a_day_past_its_lifetime() {
    let tag = ("etag", "\"1\"");
    let kept = |lines: Lines<'_>| {
        judge_purely(200, lines)
            .expect("a lifetime")
            .retained_until()
    };
    assert_eq!(
        kept(&[("cache-control", "max-age=9, must-revalidate")]),
        after(9).mono
    );
    assert_eq!(
        kept(&[("cache-control", "max-age=9, must-revalidate"), tag]),
        after(9 + 86_400).mono
    );
    assert_eq!(
        kept(&[("cache-control", "no-cache"), tag]),
        after(86_400).mono
    );
    let ruled = Rule {
        cache_ttl: Some(secs(40)),
        ..Rule::default()
    };
    assert_eq!(
        judge(200, &[tag], &ruled).map(|found| found.retained_until()),
        Some(after(40 + 86_400).mono)
    );
}

#[test]
fn what_is_of_use_answers_or_can_be_confirmed() {
    let cases: [(Lines<'_>, bool); 8] = [
        (&[("cache-control", "max-age=1")], true),
        (&[("cache-control", "max-age=0")], false),
        (&[("cache-control", "max-age=0"), ("etag", "x")], true),
        (
            &[
                ("cache-control", "max-age=0"),
                ("last-modified", "whenever"),
            ],
            true,
        ),
        (&[("cache-control", "max-age=9"), ("age", "9")], false),
        (
            &[
                ("cache-control", "max-age=9, stale-while-revalidate=1"),
                ("age", "9"),
            ],
            true,
        ),
        (
            &[
                ("cache-control", "max-age=9, stale-if-error=1"),
                ("age", "9"),
            ],
            true,
        ),
        (&[("cache-control", "no-cache"), ("etag", "*")], false),
    ];
    for (lines, expected) in cases {
        assert_eq!(
            judge_purely(200, lines).map(|found| found.is_of_use()),
            Some(expected),
            "{lines:?}"
        );
    }
}

#[test]
fn heuristics_reckon_with_a_tenth_of_the_time_unchanged() {
    const CHANGED: (&str, &str) = ("last-modified", "Sun, 06 Nov 1994 08:32:57 GMT"); // 1000 s before the Date
    let cases: [(Lines<'_>, u64); 9] = [
        (&[DATE, CHANGED], 100),
        (&[CHANGED], 100),
        (&[("date", "never"), CHANGED], 100),
        (&[("date", "Sun, 06 Nov 1994 08:49:36 GMT"), CHANGED], 99),
        (&[("date", "Sun, 06 Nov 1994 08:32:56 GMT"), CHANGED], 0),
        (&[DATE, ("last-modified", "whenever")], 0),
        (&[DATE, ("etag", "x")], 0),
        (
            &[
                DATE,
                CHANGED,
                ("cache-control", "public, nothing-to-see-here"),
            ],
            100,
        ),
        (
            &[DATE, ("last-modified", "Sun, 06 Nov 0001 08:49:37 GMT")],
            1 << 31,
        ),
    ];
    for (lines, ttl) in cases {
        let found = judge_purely(200, lines).expect("a lifetime");
        assert_eq!(
            (found.source(), found.ttl()),
            (LifetimeSource::Heuristic, secs(ttl)),
            "{lines:?}"
        );
    }
    for explicit in [
        ("cache-control", "max-age=x"),
        ("cache-control", "no-cache"),
        ("expires", "0"),
    ] {
        let found = judge_purely(200, &[DATE, CHANGED, explicit]).expect("a lifetime");
        assert_eq!(
            (found.source(), found.ttl()),
            (LifetimeSource::Origin, secs(0)),
            "{explicit:?}"
        );
    }
}

#[test]
fn heuristics_are_for_some_statuses_and_where_nobody_else_speaks() {
    const TAG: (&str, &str) = ("etag", "x");
    for status in [200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501] {
        let found = judge_purely(status, &[TAG]).expect("a lifetime");
        assert_eq!(found.source(), LifetimeSource::Heuristic, "{status}");
    }
    for status in [201, 302, 303, 307, 400, 403, 500] {
        assert_eq!(judge_purely(status, &[TAG]), None, "{status}");
        let public = judge_purely(status, &[TAG, ("cache-control", "public")]).expect("a lifetime");
        assert_eq!(public.source(), LifetimeSource::Heuristic, "{status}");
    }
    assert_eq!(
        judge_purely(200, &[("cache-control", "public")]),
        None,
        "without a validator"
    );
    assert_eq!(
        judge(200, &[TAG], &Rule::default()).map(|found| found.source()),
        Some(LifetimeSource::Default)
    );
    let ruled = Rule {
        cache_ttl: Some(secs(40)),
        ..Rule::default()
    };
    assert_eq!(
        judge_as(404, &[TAG], &ruled, &pure(), Allowed::Any),
        None,
        "the route has its own"
    );
    let of_custom = judge_as(200, &[TAG], &Rule::default(), &pure(), Allowed::OriginOnly);
    assert_eq!(
        of_custom.map(|found| found.source()),
        Some(LifetimeSource::Heuristic),
        "a custom request, too"
    );
}

#[test]
fn a_targeted_field_speaks_in_place_of_cache_control_and_expires() {
    const LATER: (&str, &str) = ("expires", "Sun, 06 Nov 1994 08:59:37 GMT");
    let cases: [(Lines<'_>, Option<u64>); 5] = [
        (
            &[
                ("cdn-cache-control", "max-age=7"),
                ("cache-control", "max-age=9, no-cache"),
                LATER,
            ],
            Some(7),
        ),
        (
            &[("cdn-cache-control", "max-age=7, s-maxage=8"), LATER],
            Some(8),
        ),
        (
            &[
                ("cdn-cache-control", "public"),
                ("cache-control", "max-age=9"),
                LATER,
            ],
            None,
        ),
        (
            &[
                ("cdn-cache-control", "max-age=\"7\""),
                ("cache-control", "max-age=9"),
                LATER,
            ],
            Some(9),
        ),
        (&[("cdn-cache-control", ""), LATER], Some(600)),
    ];
    for (lines, ttl) in cases {
        assert_eq!(
            judge_purely(200, lines).map(|found| found.ttl()),
            ttl.map(secs),
            "{lines:?}"
        );
    }
}

#[test]
fn the_early_refresh_is_the_routes_else_the_default_but_never_under_pure_defaults() {
    let ruled = |stale| Rule {
        cache_ttl: Some(secs(100)),
        stale_time: stale,
        ..Rule::default()
    };
    assert_eq!(
        judge(200, &[], &ruled(Some(secs(5)))).map(|l| l.stale_time()),
        Some(secs(5))
    );
    assert_eq!(
        judge(200, &[], &ruled(None)).map(|l| l.stale_time()),
        Some(secs(60))
    );
    let under_pure = judge_as(200, &[], &ruled(None), &pure(), Allowed::Any);
    assert_eq!(under_pure.map(|l| l.stale_time()), Some(secs(100)));
}

#[test]
fn seconds_left_are_positive_exactly_while_fresh() {
    let aged = [
        ("age", "1"),
        ("cache-control", "max-age=3, stale-if-error=10"),
    ];
    let found = judge(200, &aged, &Rule::default()).expect("a lifetime");
    let left = |ms| {
        found.expires_in(Now {
            mono: now().mono + Duration::from_millis(ms),
            wall: secs(0),
        })
    };
    assert_eq!(
        [0, 1, 1000, 1999, 2000, 2999, 3000].map(left),
        [2, 2, 1, 1, 0, 0, -1]
    );
    assert_eq!(found.retained_until(), after(2 + 86_400).mono);
    assert_eq!(found.fresh_for(), secs(2));
}
