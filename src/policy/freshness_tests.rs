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
    Now { mono: secs(500), wall: secs(DATED) }
}

fn judge_as(status: u16, lines: Lines<'_>, rule: &Rule, defaults: &Defaults, allowed: Allowed) -> Option<Lifetime> {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        fields.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    let directives = Directives::of(&fields);
    let status = StatusCode::from_u16(status).expect("a status code");
    lifetime(&Received { status, fields: &fields, directives, asked: now(), at: now() }, rule, defaults, allowed)
}

fn judge(status: u16, lines: Lines<'_>, rule: &Rule) -> Option<Lifetime> {
    judge_as(status, lines, rule, &Defaults::default(), Allowed::Any)
}

fn pure() -> Defaults {
    Defaults { ttl: Duration::ZERO, stale_time: Duration::ZERO, ..Defaults::default() }
}

#[test]
fn the_rule_wins_over_the_origin_and_the_origin_over_the_default() {
    let ruled = Rule { cache_ttl: Some(secs(30)), ..Rule::default() };
    let fresh = ("cache-control", "max-age=100");
    let cases: [(Lines<'_>, &Rule, LifetimeSource, u64); 4] = [
        (&[fresh], &ruled, LifetimeSource::Rule, 30),
        (&[], &ruled, LifetimeSource::Rule, 30),
        (&[fresh], &Rule::default(), LifetimeSource::Origin, 100),
        (&[], &Rule::default(), LifetimeSource::Default, 300),
    ];
    for (lines, rule, source, ttl) in cases {
        let found = judge(200, lines, rule).expect("a lifetime");
        assert_eq!((found.source(), found.ttl()), (source, secs(ttl)), "{lines:?}");
    }
}

#[test]
fn explicit_freshness_in_the_order_of_the_rfc() {
    let later = ("expires", "Sun, 06 Nov 1994 08:59:37 GMT");
    let cases: [(Lines<'_>, u64); 11] = [
        (&[("cache-control", "max-age=1, s-maxage=2")], 2),
        (&[("cache-control", "max-age=1"), DATE, later], 1),
        (&[("cache-control", "max-age=x"), DATE, later], 0),
        (&[("cache-control", "s-maxage=x, max-age=9")], 0),
        (&[DATE, later], 600),
        (&[("date", "never"), later], 600),
        (&[later], 600),
        (&[DATE, later, later], 0),
        (&[("expires", "0")], 0),
        (&[("date", "Sun, 06 Nov 1994 08:59:38 GMT"), later], 0),
        (&[DATE, ("expires", "Fri, 31 Dec 9999 23:59:59 GMT")], 1 << 31),
    ];
    for (lines, ttl) in cases {
        let found = judge(200, lines, &Rule::default()).expect("a lifetime");
        assert_eq!((found.source(), found.ttl()), (LifetimeSource::Origin, secs(ttl)), "{lines:?}");
        assert_eq!(found.stale_time(), found.ttl(), "the origin's word is not refreshed early");
    }
}

#[test]
fn only_the_origins_word_reckons_with_the_age_on_arrival() {
    let old = [("age", "40"), DATE];
    let ruled = Rule { cache_ttl: Some(secs(30)), ..Rule::default() };
    let aged = [("age", "40"), ("cache-control", "max-age=100")];
    assert_eq!(judge(200, &aged, &Rule::default()).map(|l| l.initial_age()), Some(secs(40)));
    assert_eq!(judge(200, &old, &ruled).map(|l| l.initial_age()), Some(secs(0)));
    assert_eq!(judge(200, &old, &Rule::default()).map(|l| l.initial_age()), Some(secs(0)));
}

#[test]
fn status_codes_without_freshness() {
    let ttl =
        |status, rule: &Rule, defaults: &Defaults| judge_as(status, &[], rule, defaults, Allowed::Any).map(|l| l.ttl());
    let none = Rule::default();
    let ruled = |seconds| Rule { cache_ttl: Some(secs(seconds)), ..Rule::default() };
    for status in [200, 203, 204, 300, 301, 308] {
        assert_eq!(ttl(status, &none, &Defaults::default()), Some(secs(300)), "{status}");
        assert_eq!(ttl(status, &ruled(7), &pure()), Some(secs(7)), "{status}");
        assert_eq!(ttl(status, &none, &pure()), None, "{status}");
    }
    for status in [201, 302, 307, 401, 410] {
        assert_eq!(ttl(status, &ruled(7), &Defaults::default()), None, "{status}");
    }
    assert_eq!(ttl(404, &none, &Defaults::default()), Some(secs(10)));
    assert_eq!(ttl(404, &ruled(30), &Defaults::default()), Some(secs(10)));
    assert_eq!(ttl(404, &ruled(7), &Defaults::default()), Some(secs(7)), "no longer than a good answer");
    assert_eq!(ttl(404, &none, &pure()), None);
    assert_eq!(judge(404, &[("cache-control", "max-age=99")], &none).map(|l| l.ttl()), Some(secs(99)));
}

#[test]
fn a_route_with_ttl_zero_gives_nothing_a_lifetime() {
    let off = Rule { cache_ttl: Some(Duration::ZERO), ..Rule::default() };
    assert_eq!(judge(200, &[], &off), None);
    assert_eq!(judge(404, &[("cache-control", "max-age=9")], &off), None);
}

#[test]
fn a_request_that_names_its_client_gets_the_origins_word_or_nothing() {
    let ruled = Rule { cache_ttl: Some(secs(30)), ..Rule::default() };
    let own = |lines: Lines<'_>| judge_as(200, lines, &ruled, &Defaults::default(), Allowed::OriginOnly);
    assert_eq!(own(&[]), None);
    assert_eq!(
        own(&[("cache-control", "max-age=9")]).map(|l| (l.source(), l.ttl())),
        Some((LifetimeSource::Origin, secs(9)))
    );
}

#[test]
fn how_far_a_lifetime_stretches() {
    let plain = Rule { cache_ttl: Some(secs(40)), ..Rule::default() };
    let set = Rule { slow_grace: Some(secs(3)), grace_time: Some(secs(4)), ..Rule::default() };
    let forced = Rule { force: Force { must_revalidate: true, ..Force::default() }, ..plain.clone() };
    let cases: [(&str, &Rule, u64, u64); 10] = [
        ("", &Rule::default(), 300, 30),
        ("", &plain, 40, 30),
        ("", &set, 3, 4),
        ("max-age=9", &Rule::default(), 0, 0),
        ("max-age=9, stale-while-revalidate=5, stale-if-error=6", &Rule::default(), 5, 6),
        ("max-age=9, stale-while-revalidate=5, stale-if-error=6", &set, 3, 4),
        ("max-age=9, must-revalidate, stale-if-error=6", &set, 0, 0),
        ("proxy-revalidate", &plain, 0, 0),
        ("s-maxage=9", &plain, 0, 0),
        ("must-revalidate, s-maxage=9", &forced, 40, 30),
    ];
    for (line, rule, slow, failed) in cases {
        let found = judge(200, &[("cache-control", line)], rule).expect("a lifetime");
        assert_eq!((found.slow_grace(), found.grace_time()), (secs(slow), secs(failed)), "{line}");
    }
}

#[test]
fn the_early_refresh_is_the_routes_else_the_default_but_never_under_pure_defaults() {
    let ruled = |stale| Rule { cache_ttl: Some(secs(100)), stale_time: stale, ..Rule::default() };
    assert_eq!(judge(200, &[], &ruled(Some(secs(5)))).map(|l| l.stale_time()), Some(secs(5)));
    assert_eq!(judge(200, &[], &ruled(None)).map(|l| l.stale_time()), Some(secs(60)));
    let under_pure = judge_as(200, &[], &ruled(None), &pure(), Allowed::Any);
    assert_eq!(under_pure.map(|l| l.stale_time()), Some(secs(100)));
}

#[test]
fn seconds_left_are_positive_exactly_while_fresh() {
    let aged = [("age", "1"), ("cache-control", "max-age=3, stale-if-error=10")];
    let found = judge(200, &aged, &Rule::default()).expect("a lifetime");
    let left = |ms| found.expires_in(Now { mono: now().mono + Duration::from_millis(ms), wall: secs(0) });
    assert_eq!([0, 1, 1000, 1999, 2000, 2999, 3000].map(left), [2, 2, 1, 1, 0, 0, -1]);
    assert_eq!(found.retained_until(), now().mono + secs(12));
    assert_eq!(found.fresh_for(), secs(2));
}
