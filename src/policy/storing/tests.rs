//! Tests of what may be stored.

use std::time::Duration;

use http::header::{ACCEPT, ACCEPT_LANGUAGE};
use http::{HeaderName, HeaderValue};

use super::*;
use crate::policy::check::{Check, JsonKind};
use crate::policy::freshness::LifetimeSource;
use crate::policy::rule::Force;

const NOW: Now = Now {
    mono: Duration::from_secs(100),
    wall: Duration::from_secs(784_111_777),
};

/// A GET answered 200 `{}`, in any state.
struct Scene {
    method: Method,
    request: HeaderMap,
    /// Request fields that do not reach the origin.
    taken_off: &'static [&'static str],
    claims_another: bool,
    has_body: bool,
    custom: bool,
    names_itself: bool,
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
        taken_off: &[],
        claims_another: false,
        has_body: false,
        custom: false,
        names_itself: false,
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
        let mut sent = self.request.clone();
        for name in self.taken_off {
            sent.remove(*name);
        }
        may_store(&Exchange {
            method: &self.method,
            request: &self.request,
            sent: &sent,
            claims_another: self.claims_another,
            has_body: self.has_body,
            custom: self.custom,
            names_itself: self.names_itself,
            status: StatusCode::from_u16(self.status).expect("a status code"),
            response: &self.response,
            body: self.body,
            rule: &self.rule,
            default_applies: self.default_applies,
            defaults: &self.defaults,
            targeted: &[HeaderName::from_static("cdn-cache-control")],
            is_unseen: |name| name == "x-unseen",
            asked: NOW,
            received: NOW,
        })
    }

    /// With no defaults, only the RFC.
    fn purely(self) -> Scene {
        let defaults = Defaults {
            ttl: Duration::ZERO,
            stale_time: Duration::ZERO,
            ..self.defaults
        };
        Scene { defaults, ..self }
    }

    fn is_refused_for(&self, refusal: Refusal) {
        assert_eq!(self.judged(), Storing::Refuse(refusal));
    }

    fn is_stored_by(&self, source: LifetimeSource) {
        assert_eq!(self.stored().0.source(), source);
    }

    fn stored(&self) -> (Lifetime, Option<Box<Selecting>>) {
        match self.judged() {
            Storing::Store {
                lifetime,
                selecting,
            } => (lifetime, selecting),
            Storing::Refuse(refusal) => panic!("refused: {refusal:?}"),
        }
    }

    /// What it is selected by, in order.
    fn is_selected_by(&self, names: &[&str]) {
        let (_, selecting) = self.stored();
        let found: Vec<&str> = selecting
            .iter()
            .flat_map(|found| found.names())
            .map(HeaderName::as_str)
            .collect();
        assert_eq!(found, names);
    }
}

#[test]
fn what_a_plain_response_needs() {
    scene().is_stored_by(LifetimeSource::Default);
    scene()
        .under(Rule {
            cache_ttl: Some(Duration::from_secs(5)),
            ..Rule::default()
        })
        .is_stored_by(LifetimeSource::Rule);
    scene()
        .answering("cache-control", "max-age=5")
        .is_stored_by(LifetimeSource::Origin);
    scene().purely().is_refused_for(Refusal::NoLifetime);
    scene()
        .answering("etag", "x")
        .purely()
        .is_stored_by(LifetimeSource::Heuristic);
}

#[test]
fn a_request_that_is_no_plain_get_is_not_stored() {
    for method in [Method::POST, Method::HEAD, Method::PUT] {
        Scene { method, ..scene() }.is_refused_for(Refusal::Method);
    }
    Scene {
        has_body: true,
        ..scene()
    }
    .is_refused_for(Refusal::RequestBody);
    Scene {
        claims_another: true,
        ..scene()
    }
    .is_refused_for(Refusal::Claim);
    scene()
        .asking("range", "bytes=0-")
        .is_stored_by(LifetimeSource::Default);
    scene()
        .asking("cache-control", "no-store")
        .is_refused_for(Refusal::RequestNoStore);
    Scene {
        default_applies: false,
        ..scene().answering("cache-control", "max-age=9")
    }
    .is_refused_for(Refusal::OddTarget);
}

#[test]
fn a_post_is_stored_when_it_answers_for_the_target_and_says_for_how_long() {
    let post = || Scene {
        method: Method::POST,
        has_body: true,
        names_itself: true,
        ..scene()
    };
    let fresh = || post().answering("cache-control", "max-age=9");
    fresh().is_stored_by(LifetimeSource::Origin);
    Scene {
        names_itself: false,
        ..fresh()
    }
    .is_refused_for(Refusal::Method);
    Scene {
        status: 201,
        ..fresh()
    }
    .is_refused_for(Refusal::Method);
    Scene {
        method: Method::PUT,
        ..fresh()
    }
    .is_refused_for(Refusal::Method);
    post().is_refused_for(Refusal::Method);
    post()
        .answering("etag", "x")
        .purely()
        .is_refused_for(Refusal::Method);
    let ruled = Rule {
        cache_ttl: Some(Duration::from_secs(5)),
        ..Rule::default()
    };
    post().under(ruled).is_refused_for(Refusal::Method);
    fresh()
        .asking("cache-control", "no-store")
        .is_refused_for(Refusal::RequestNoStore);
    fresh().answering("vary", "*").is_refused_for(Refusal::Vary);
}

#[test]
fn explicit_freshness_makes_status_codes_storable_but_never_these() {
    for status in [201, 204, 299, 302, 307, 400, 404, 410, 499, 500, 503, 599] {
        Scene {
            status,
            ..scene().answering("cache-control", "max-age=5")
        }
        .is_stored_by(LifetimeSource::Origin);
    }
    for status in [199, 304, 412, 416, 428, 429, 431, 511, 600, 999] {
        Scene {
            status,
            ..scene().answering("cache-control", "max-age=5")
        }
        .is_refused_for(Refusal::Status);
    }
    Scene {
        status: 302,
        ..scene()
    }
    .is_refused_for(Refusal::NoLifetime);
    Scene {
        status: 404,
        ..scene()
    }
    .is_stored_by(LifetimeSource::Default);
}

#[test]
fn an_error_is_stored_on_the_origins_word_only_and_not_where_the_user_says_what_is_good() {
    let error = |status| Scene {
        status,
        ..scene().answering("cache-control", "max-age=5")
    };
    let ruled = Rule {
        cache_ttl: Some(Duration::from_secs(30)),
        ..Rule::default()
    };
    let checked = Rule {
        check: Some(Check::default()),
        ..Rule::default()
    };
    for status in [500, 501, 503] {
        error(status)
            .under(ruled.clone())
            .is_refused_for(Refusal::Status);
        error(status)
            .under(checked.clone())
            .is_refused_for(Refusal::Status);
        let code = StatusCode::from_u16(status).expect("a status code");
        let told = Defaults {
            status_ttl: vec![(code, Duration::from_secs(9))],
            ..Defaults::default()
        };
        Scene {
            status,
            defaults: told,
            ..scene()
        }
        .is_refused_for(Refusal::Status);
    }
    Scene {
        status: 501,
        ..scene().answering("etag", "x")
    }
    .purely()
    .is_stored_by(LifetimeSource::Heuristic);
    Scene {
        status: 503,
        ..scene().answering("etag", "x")
    }
    .purely()
    .is_refused_for(Refusal::NoLifetime);
    Scene {
        status: 404,
        ..error(404)
    }
    .under(ruled)
    .is_stored_by(LifetimeSource::Origin);
}

#[test]
fn a_part_is_stored_when_its_place_is_told_and_nothing_has_to_see_the_whole() {
    let asked = || scene().asking("range", "bytes=0-1");
    let part = || Scene {
        status: 206,
        ..asked().answering("cache-control", "max-age=5")
    };
    let placed = || part().answering("content-range", "bytes 0-1/10");
    placed().is_stored_by(LifetimeSource::Origin);
    part().is_refused_for(Refusal::Range);
    part()
        .answering("content-range", "bytes */10")
        .is_refused_for(Refusal::Range);
    placed()
        .under(Rule {
            check: Some(Check::default()),
            ..Rule::default()
        })
        .is_refused_for(Refusal::Range);
    placed()
        .answering("cache-control", "no-store")
        .is_refused_for(Refusal::NoStore);
}

#[test]
fn the_origins_refusals_and_what_sets_them_aside() {
    let force = |force| Rule {
        force,
        ..Rule::default()
    };
    let store = force(Force {
        no_store: true,
        ..Force::default()
    });
    let share = force(Force {
        private: true,
        ..Force::default()
    });
    for (line, refusal, rule) in [
        ("no-store", Refusal::NoStore, store),
        ("private=\"x\"", Refusal::Private, share),
    ] {
        scene()
            .answering("cache-control", line)
            .is_refused_for(refusal);
        scene()
            .answering("cache-control", line)
            .under(rule)
            .is_stored_by(LifetimeSource::Default);
    }
}

#[test]
fn what_must_be_confirmed_is_stored_if_it_can_be() {
    for line in [
        "no-cache",
        "no-cache, max-age=9",
        "no-cache, s-maxage=9",
        "no-cache=a b",
    ] {
        let answer = || scene().answering("cache-control", line);
        answer().is_refused_for(Refusal::NoLifetime);
        for validator in [
            ("etag", "x"),
            ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ] {
            for scene in [answer(), answer().purely()] {
                let (lifetime, _) = scene.answering(validator.0, validator.1).stored();
                assert_eq!(
                    (lifetime.source(), lifetime.ttl()),
                    (LifetimeSource::Origin, Duration::ZERO),
                    "{line}"
                );
            }
        }
    }
    let named = scene().answering("cache-control", "no-cache=\"set-cookie\", max-age=9");
    assert_eq!(
        named.stored().0.ttl(),
        Duration::from_secs(9),
        "only those fields wait for the origin"
    );
}

#[test]
fn must_understand_lets_a_known_status_be_stored_and_keeps_others_out() {
    let answer = |status, line| Scene {
        status,
        ..scene().answering("cache-control", line)
    };
    answer(200, "no-store, must-understand, max-age=9").is_stored_by(LifetimeSource::Origin);
    answer(503, "must-understand, no-store, max-age=9").is_stored_by(LifetimeSource::Origin);
    for status in [207, 299, 306, 418, 499, 599] {
        answer(status, "must-understand, max-age=9").is_refused_for(Refusal::Status);
        answer(status, "no-store, must-understand, max-age=9").is_refused_for(Refusal::Status);
        answer(status, "max-age=9").is_stored_by(LifetimeSource::Origin);
    }
    answer(200, "must-understand, private, max-age=9").is_refused_for(Refusal::Private);
    let asked = answer(200, "must-understand, max-age=9").asking("cache-control", "no-store");
    asked.is_refused_for(Refusal::RequestNoStore);
}

#[test]
fn a_targeted_field_is_heard_instead_of_cache_control() {
    let answer = |targeted, general| {
        scene()
            .answering("cdn-cache-control", targeted)
            .answering("cache-control", general)
            .purely()
    };
    answer("max-age=9", "no-store, private").is_stored_by(LifetimeSource::Origin);
    answer("no-store", "max-age=9").is_refused_for(Refusal::NoStore);
    answer("private", "max-age=9, public").is_refused_for(Refusal::Private);
    answer("max-age=9.5", "no-store").is_refused_for(Refusal::NoStore);
    answer("max-age=9.5", "max-age=9").is_stored_by(LifetimeSource::Origin);
}

#[test]
fn set_cookie_is_refused_unless_it_is_public_or_somebody_strips_or_stores_it() {
    let plain = || scene().answering("set-cookie", "a=b");
    let with = |set_cookie| {
        plain().under(Rule {
            set_cookie: Some(set_cookie),
            ..Rule::default()
        })
    };
    plain().is_refused_for(Refusal::SetCookie);
    plain()
        .answering("cache-control", "max-age=9")
        .is_refused_for(Refusal::SetCookie);
    plain()
        .answering("cache-control", "max-age=9, public")
        .is_stored_by(LifetimeSource::Origin);
    with(SetCookie::Refuse).is_refused_for(Refusal::SetCookie);
    with(SetCookie::Strip).is_stored_by(LifetimeSource::Default);
    with(SetCookie::Store).is_stored_by(LifetimeSource::Default);
    let everywhere = || Defaults {
        set_cookie: SetCookie::Store,
        ..Defaults::default()
    };
    Scene {
        defaults: everywhere(),
        ..plain()
    }
    .is_stored_by(LifetimeSource::Default);
    Scene {
        defaults: everywhere(),
        ..with(SetCookie::Refuse)
    }
    .is_refused_for(Refusal::SetCookie);
}

#[test]
fn vary_says_which_requests_a_response_is_for() {
    let vary = |line| {
        scene()
            .asking("accept", "text/plain")
            .asking("accept-language", "de")
            .answering("vary", line)
    };
    for line in ["", " , ", "Host", "X-Unseen"] {
        assert_eq!(vary(line).stored().1, None, "{line:?}");
    }
    vary("")
        .answering("vary", "Accept")
        .is_selected_by(&["accept"]);
    vary("Accept-Language, ACCEPT, X-Unseen").is_selected_by(&["accept", "accept-language"]);
    vary("Cookie").is_selected_by(&["cookie"]);
    for line in [
        "*",
        "Accept, *",
        "Ac cept",
        "Range",
        "If-None-Match",
        "Accept, Cache-Control",
        "Pragma",
    ] {
        vary(line).is_refused_for(Refusal::Vary);
    }
    vary("Accept")
        .answering("vary", "*")
        .is_refused_for(Refusal::Vary);

    let (_, selecting) = vary("Accept, Accept-Language").stored();
    let selects = |accept: &str, language: &str| {
        let mut asked = HeaderMap::new();
        asked.insert(ACCEPT, HeaderValue::from_str(accept).expect("a value"));
        asked.insert(
            ACCEPT_LANGUAGE,
            HeaderValue::from_str(language).expect("a value"),
        );
        selecting
            .as_ref()
            .is_some_and(|found| found.matches(&asked))
    };
    assert!(
        selects("text/plain", "de") && !selects("text/html", "de") && !selects("text/plain", "en")
    );
}

#[test]
fn a_coded_response_that_does_not_vary_is_for_those_who_ask_for_that_coding() {
    let coded = || {
        scene()
            .asking("accept-encoding", "gzip")
            .answering("content-encoding", "gzip")
    };
    coded().is_selected_by(&["accept-encoding"]);
    coded()
        .answering("vary", "Accept")
        .is_selected_by(&["accept", "accept-encoding"]);
    coded()
        .answering("vary", "Accept-Encoding")
        .is_selected_by(&["accept-encoding"]);
    let (_, selecting) = coded().stored();
    assert!(
        !selecting.is_some_and(|found| found.matches(&HeaderMap::new())),
        "who asks for no coding"
    );
    let polled = || {
        coded().under(Rule {
            poll_interval: Some(Duration::from_secs(5)),
            ..Rule::default()
        })
    };
    Scene {
        taken_off: &["accept-encoding"],
        ..polled()
    }
    .is_selected_by(&[]);
    polled().is_selected_by(&["accept-encoding"]);
}

#[test]
fn what_one_request_alone_has_carried_to_the_origin_counts() {
    let alone = || {
        scene()
            .asking("x-unseen", "1")
            .asking("cookie", "a=b")
            .answering("vary", "X-Unseen, Cookie")
    };
    let stripping = || {
        alone().under(Rule {
            strip_cookies: true,
            ..Rule::default()
        })
    };
    stripping().is_selected_by(&["cookie", "x-unseen"]);
    Scene {
        taken_off: &["cookie", "x-unseen"],
        ..stripping()
    }
    .is_selected_by(&[]);
}

#[test]
fn vary_by_what_never_reaches_the_origin_does_not_count() {
    let ignoring = Rule {
        ignore_vary: vec![ORIGIN],
        ..Rule::default()
    };
    let stripping = Rule {
        strip_origin: true,
        strip_cookies: true,
        ..Rule::default()
    };
    let vary = |line, rule: &Rule| scene().answering("vary", line).under(rule.clone());
    for line in ["Origin", "origin", " ORIGIN ,, Origin", ""] {
        vary(line, &ignoring).is_selected_by(&[]);
        vary(line, &stripping).is_selected_by(&[]);
    }
    vary("Cookie, Origin", &stripping).is_selected_by(&[]);
    vary("Cookie, Origin", &ignoring).is_selected_by(&["cookie"]);
    vary("Origin, Accept", &ignoring).is_selected_by(&["accept"]);
    for line in ["*", "Origin, *", "Ori gin"] {
        vary(line, &ignoring).is_refused_for(Refusal::Vary);
    }
    vary("Origin", &Rule::default()).is_selected_by(&["origin"]);
}

#[test]
fn authorization_needs_one_of_three_words() {
    let asked = |line: &str| Scene {
        custom: true,
        ..scene()
            .asking("authorization", "x")
            .answering("cache-control", line)
    };
    asked("max-age=9").is_refused_for(Refusal::Authorization);
    for line in [
        "max-age=9, public",
        "max-age=9, must-revalidate",
        "s-maxage=9",
    ] {
        asked(line).is_stored_by(LifetimeSource::Origin);
    }
    asked("public").is_refused_for(Refusal::Custom);
    Scene {
        custom: false,
        ..asked("max-age=9")
    }
    .is_refused_for(Refusal::Authorization);
    let forced = Rule {
        force: Force {
            authorization: true,
            ..Force::default()
        },
        ..Rule::default()
    };
    Scene {
        custom: false,
        ..asked("")
    }
    .under(forced)
    .is_stored_by(LifetimeSource::Default);
}

#[test]
fn other_identity_needs_explicit_freshness() {
    let ruled = Rule {
        cache_ttl: Some(Duration::from_secs(5)),
        ..Rule::default()
    };
    let asked = || Scene {
        custom: true,
        ..scene().asking("cookie", "a=b").under(ruled.clone())
    };
    asked().is_refused_for(Refusal::Custom);
    asked()
        .answering("cache-control", "public")
        .is_refused_for(Refusal::Custom);
    asked()
        .answering("cache-control", "max-age=9")
        .is_stored_by(LifetimeSource::Origin);
}

#[test]
fn what_is_over_on_arrival_is_stored_only_if_it_may_stand_in_or_be_confirmed() {
    scene()
        .answering("cache-control", "max-age=0")
        .is_refused_for(Refusal::NoLifetime);
    scene()
        .answering("cache-control", "max-age=0, stale-if-error=60")
        .is_stored_by(LifetimeSource::Origin);
    let old = |line| {
        scene()
            .answering("age", "9")
            .answering("cache-control", line)
    };
    old("max-age=9").is_refused_for(Refusal::NoLifetime);
    old("max-age=9")
        .answering("etag", "x")
        .is_stored_by(LifetimeSource::Origin);
    old("max-age=10").is_stored_by(LifetimeSource::Origin);
    old("max-age=9, stale-if-error=60").is_stored_by(LifetimeSource::Origin);
    old("max-age=9, stale-while-revalidate=60").is_stored_by(LifetimeSource::Origin);
    old("max-age=9, stale-if-error=60, must-revalidate").is_refused_for(Refusal::NoLifetime);
}

#[test]
fn a_failed_check_outranks_every_other_reason_on_2xx_only() {
    let check = Check {
        json: Some(JsonKind::Object),
        ..Check::default()
    };
    let rule = Rule {
        check: Some(check),
        ..Rule::default()
    };
    let bad = || Scene {
        body: b"[]",
        ..scene().under(rule.clone())
    };
    bad().is_refused_for(Refusal::CheckFailed(CheckFailure::NotAnObject));
    bad()
        .answering("cache-control", "no-store")
        .is_refused_for(Refusal::CheckFailed(CheckFailure::NotAnObject));
    Scene {
        status: 404,
        ..bad()
    }
    .is_stored_by(LifetimeSource::Default);
    Scene {
        status: 206,
        ..bad()
    }
    .is_refused_for(Refusal::Range);
    Scene {
        method: Method::POST,
        ..bad()
    }
    .is_refused_for(Refusal::Method);
    Scene {
        body: b"{}",
        ..bad()
    }
    .is_stored_by(LifetimeSource::Default);
}

#[test]
fn what_origins_forget_to_name_in_vary_counts_as_named() {
    scene()
        .answering("content-language", "de")
        .is_selected_by(&["accept-language"]);
    scene()
        .answering("access-control-allow-origin", "http://page.example")
        .is_selected_by(&["origin"]);
    scene()
        .answering("access-control-allow-origin", "null")
        .is_selected_by(&["origin"]);
    scene()
        .answering("access-control-allow-origin", "*")
        .is_selected_by(&[]);
    scene()
        .answering("vary", "Origin")
        .answering("access-control-allow-origin", "http://page.example")
        .is_selected_by(&["origin"]);

    let (_, selecting) = scene()
        .asking("origin", "http://page.example")
        .answering("access-control-allow-origin", "http://page.example")
        .stored();
    let selecting = selecting.expect("it varies");
    assert!(
        !selecting.matches(&HeaderMap::new()),
        "absence is a value of its own"
    );
    let stripping = Rule {
        strip_origin: true,
        ..Rule::default()
    };
    scene()
        .answering("access-control-allow-origin", "http://page.example")
        .under(stripping)
        .is_selected_by(&[]);
}

#[test]
fn keyed_fields_count_as_named() {
    scene()
        .asking("x-api-version", "2")
        .asking("x-custom", "a")
        .is_selected_by(&["x-api-version"]);
    let keyed = Rule {
        vary_on: vec![HeaderName::from_static("x-tenant")],
        ..Rule::default()
    };
    scene().under(keyed).is_selected_by(&["x-tenant"]);
}

#[test]
fn cookies_are_stored_only_where_the_user_says_so() {
    let defaults = Defaults::default();
    let storing = Rule {
        set_cookie: Some(SetCookie::Store),
        ..Rule::default()
    };
    assert!(!stores_cookies(&Rule::default(), &defaults));
    assert!(stores_cookies(&storing, &defaults));
}
