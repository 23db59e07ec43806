//! Tests of what may be stored.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::policy::check::{Check, JsonKind};
use crate::policy::freshness::LifetimeSource;
use crate::policy::rule::Force;

const NOW: Now = Now { mono: Duration::from_secs(100), wall: Duration::from_secs(784_111_777) };

/// A GET answered 200 `{}`, in any state.
struct Scene {
    method: Method,
    request: HeaderMap,
    has_body: bool,
    identity: bool,
    status: u16,
    response: HeaderMap,
    body: &'static [u8],
    rule: Rule,
    default_applies: bool,
    defaults: Defaults,
}

fn scene() -> Scene {
    Scene {
        method: Method::GET,
        request: HeaderMap::new(),
        has_body: false,
        identity: false,
        status: 200,
        response: HeaderMap::new(),
        body: b"{}",
        rule: Rule::default(),
        default_applies: true,
        defaults: Defaults::default(),
    }
}

fn add(fields: &mut HeaderMap, name: &str, value: &str) {
    let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
    fields.append(name, HeaderValue::from_str(value).expect("a value"));
}

impl Scene {
    fn asking(mut self, name: &str, value: &str) -> Scene {
        add(&mut self.request, name, value);
        self
    }

    fn answering(mut self, name: &str, value: &str) -> Scene {
        add(&mut self.response, name, value);
        self
    }

    fn under(self, rule: Rule) -> Scene {
        Scene { rule, ..self }
    }

    fn judged(&self) -> Storing {
        may_store(&Exchange {
            method: &self.method,
            request: &self.request,
            has_body: self.has_body,
            identity: self.identity,
            status: StatusCode::from_u16(self.status).expect("a status code"),
            response: &self.response,
            body: self.body,
            rule: &self.rule,
            default_applies: self.default_applies,
            defaults: &self.defaults,
            asked: NOW,
            received: NOW,
        })
    }

    fn is_refused_for(&self, refusal: Refusal) {
        assert_eq!(self.judged(), Storing::Refuse(refusal));
    }

    fn is_stored_by(&self, source: LifetimeSource) {
        match self.judged() {
            Storing::Store(lifetime) => assert_eq!(lifetime.source(), source),
            Storing::Refuse(refusal) => panic!("refused: {refusal:?}"),
        }
    }
}

#[test]
fn what_a_plain_response_needs() {
    scene().is_stored_by(LifetimeSource::Default);
    scene()
        .under(Rule { cache_ttl: Some(Duration::from_secs(5)), ..Rule::default() })
        .is_stored_by(LifetimeSource::Rule);
    scene().answering("cache-control", "max-age=5").is_stored_by(LifetimeSource::Origin);
    let pure = Defaults { ttl: Duration::ZERO, stale_time: Duration::ZERO, ..Defaults::default() };
    Scene { defaults: pure, ..scene() }.is_refused_for(Refusal::NoLifetime);
}

#[test]
fn a_request_that_is_no_plain_get_is_not_stored() {
    for method in [Method::POST, Method::HEAD, Method::PUT] {
        Scene { method, ..scene() }.is_refused_for(Refusal::Method);
    }
    Scene { has_body: true, ..scene() }.is_refused_for(Refusal::RequestBody);
    scene().asking("range", "bytes=0-").is_refused_for(Refusal::Range);
    scene().asking("cache-control", "no-store").is_refused_for(Refusal::RequestNoStore);
    Scene { default_applies: false, ..scene().answering("cache-control", "max-age=9") }
        .is_refused_for(Refusal::OddTarget);
}

#[test]
fn explicit_freshness_makes_status_codes_storable_but_never_these() {
    for status in [201, 204, 299, 302, 307, 400, 404, 410, 499] {
        Scene { status, ..scene().answering("cache-control", "max-age=5") }.is_stored_by(LifetimeSource::Origin);
    }
    for status in [199, 206, 304, 412, 416, 429, 500, 503, 599, 600, 999] {
        Scene { status, ..scene().answering("cache-control", "max-age=5") }.is_refused_for(Refusal::Status);
    }
    Scene { status: 302, ..scene() }.is_refused_for(Refusal::NoLifetime);
    Scene { status: 404, ..scene() }.is_stored_by(LifetimeSource::Default);
}

#[test]
fn the_origins_refusals_and_what_sets_them_aside() {
    let force = |force| Rule { force, ..Rule::default() };
    let store = force(Force { no_store: true, ..Force::default() });
    let share = force(Force { private: true, ..Force::default() });
    for (line, refusal, rule) in [("no-store", Refusal::NoStore, store), ("private=\"x\"", Refusal::Private, share)] {
        scene().answering("cache-control", line).is_refused_for(refusal);
        scene().answering("cache-control", line).under(rule).is_stored_by(LifetimeSource::Default);
    }
    scene().answering("cache-control", "no-cache, max-age=9").is_refused_for(Refusal::NoCache);
}

#[test]
fn set_cookie_is_refused_unless_the_route_strips_or_stores_it() {
    let with = |set_cookie| scene().answering("set-cookie", "a=b").under(Rule { set_cookie, ..Rule::default() });
    with(SetCookie::Refuse).is_refused_for(Refusal::SetCookie);
    with(SetCookie::Strip).is_stored_by(LifetimeSource::Default);
    with(SetCookie::Store).is_stored_by(LifetimeSource::Default);
}

#[test]
fn any_vary_but_an_empty_one_is_refused() {
    scene().answering("vary", "").answering("vary", " , ").is_stored_by(LifetimeSource::Default);
    scene().answering("vary", "").answering("vary", "Accept").is_refused_for(Refusal::Vary);
    scene().answering("vary", "*").is_refused_for(Refusal::Vary);
}

#[test]
fn vary_on_ignored_fields_alone_does_not_count() {
    let rule = Rule { ignore_vary: vec![http::header::ORIGIN], ..Rule::default() };
    for line in ["Origin", "origin", " ORIGIN ,, Origin", ""] {
        scene().answering("vary", line).under(rule.clone()).is_stored_by(LifetimeSource::Default);
    }
    for line in ["Origin, Accept", "Accept", "*", "Origin, *", "Origins", "Ori gin"] {
        scene().answering("vary", line).under(rule.clone()).is_refused_for(Refusal::Vary);
    }
    scene().answering("vary", "Origin").answering("vary", "Cookie").under(rule).is_refused_for(Refusal::Vary);
    scene().answering("vary", "Origin").is_refused_for(Refusal::Vary);
}

#[test]
fn authorization_needs_one_of_three_words() {
    let asked =
        |line: &str| Scene { identity: true, ..scene().asking("authorization", "x").answering("cache-control", line) };
    asked("max-age=9").is_refused_for(Refusal::Authorization);
    for line in ["max-age=9, public", "max-age=9, must-revalidate", "s-maxage=9"] {
        asked(line).is_stored_by(LifetimeSource::Origin);
    }
    asked("public").is_refused_for(Refusal::Identity);
    Scene { identity: false, ..asked("max-age=9") }.is_refused_for(Refusal::Authorization);
    let forced = Rule { force: Force { authorization: true, ..Force::default() }, ..Rule::default() };
    Scene { identity: false, ..asked("") }.under(forced).is_stored_by(LifetimeSource::Default);
}

#[test]
fn other_identity_needs_explicit_freshness() {
    let ruled = Rule { cache_ttl: Some(Duration::from_secs(5)), ..Rule::default() };
    let asked = || Scene { identity: true, ..scene().asking("cookie", "a=b").under(ruled.clone()) };
    asked().is_refused_for(Refusal::Identity);
    asked().answering("cache-control", "public").is_refused_for(Refusal::Identity);
    asked().answering("cache-control", "max-age=9").is_stored_by(LifetimeSource::Origin);
}

#[test]
fn a_lifetime_that_is_over_on_arrival_is_none() {
    scene().answering("cache-control", "max-age=0, stale-if-error=60").is_refused_for(Refusal::NoLifetime);
    let old = |line| scene().answering("age", "9").answering("cache-control", line);
    old("max-age=9").is_refused_for(Refusal::NoLifetime);
    old("max-age=10").is_stored_by(LifetimeSource::Origin);
    old("max-age=9, stale-if-error=60").is_stored_by(LifetimeSource::Origin);
}

#[test]
fn a_failed_check_outranks_every_other_reason_on_2xx_only() {
    let check = Check { json: Some(JsonKind::Object), ..Check::default() };
    let rule = Rule { check: Some(check), ..Rule::default() };
    let bad = || Scene { body: b"[]", ..scene().under(rule.clone()) };
    bad().is_refused_for(Refusal::CheckFailed(CheckFailure::NotAnObject));
    bad().answering("cache-control", "no-store").is_refused_for(Refusal::CheckFailed(CheckFailure::NotAnObject));
    Scene { status: 404, ..bad() }.is_stored_by(LifetimeSource::Default);
    Scene { status: 206, ..bad() }.is_refused_for(Refusal::Status);
    Scene { method: Method::POST, ..bad() }.is_refused_for(Refusal::Method);
    Scene { body: b"{}", ..bad() }.is_stored_by(LifetimeSource::Default);
}

proptest! {
    #[test]
    fn no_store_is_never_stored(
        status in 200u16..600,
        others in proptest::sample::subsequence(vec!["public", "max-age=60", "s-maxage=60", "must-understand"], 0..=4),
        at in 0usize..5,
        ttl in proptest::option::of(0u64..100),
        in_request in any::<bool>(),
    ) {
        let mut members = others;
        members.insert(at.min(members.len()), "no-store");
        let rule = Rule { cache_ttl: ttl.map(Duration::from_secs), ..Rule::default() };
        let plain = Scene { status, ..scene().under(rule) };
        let line = members.join(", ");
        let scene = if in_request { plain.asking("cache-control", &line) } else { plain.answering("cache-control", &line) };
        prop_assert!(matches!(scene.judged(), Storing::Refuse(_)));
    }
}
