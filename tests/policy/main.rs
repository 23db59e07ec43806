//! Properties of the policy as a whole: a response judged, then used, as `proxy` does it.
//!
//! That what is printed reads back stands with the parsers: `directives/tests.rs`, `structured/tests.rs` and
//! `dates/tests.rs` in `src/policy`. What another cache makes of the same exchanges is in `policy/oracle.rs`.

#![allow(clippy::expect_used, reason = "a test that cannot go on has failed")]

mod oracle;

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use larder::clock::Now;
use larder::policy::freshness::{FailureKind, Lifetime};
use larder::policy::request_directives::RequestDirectives;
use larder::policy::reuse::{Reuse, reuse};
use larder::policy::rule::{Defaults, Force, Rule, SetCookie};
use larder::policy::storing::{Exchange, Storing, may_store};
use larder::policy::validation::freshen;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

/// Sun, 15 Jun 2025 15:15:00 GMT
const RECEIVED: Now = Now {
    mono: Duration::from_secs(5000),
    wall: Duration::from_secs(1_750_000_500),
};

/// Response directives, each name once.
const SAID: [&str; 14] = [
    "public",
    "private",
    "no-store",
    "no-cache",
    "no-cache=\"x-a, set-cookie\"",
    "must-revalidate",
    "proxy-revalidate",
    "must-understand",
    "immutable",
    "max-age=100",
    "s-maxage=\"70\"",
    "stale-while-revalidate=50",
    "stale-if-error=60",
    "nothing=\"to, see\"",
];

/// Request directives, each name once.
const ASKED: [&str; 6] = [
    "no-cache",
    "no-store",
    "max-age=90",
    "min-fresh=20",
    "max-stale=30",
    "only-if-cached",
];

const STATUSES: [u16; 14] = [
    200, 203, 204, 206, 299, 301, 302, 404, 410, 429, 500, 501, 503, 599,
];

/// A GET and its answer.
#[derive(Clone, Debug)]
struct Exchanged {
    request: HeaderMap,
    status: u16,
    response: HeaderMap,
    rule: Rule,
    defaults: Defaults,
}

impl Exchanged {
    fn judged(&self) -> Storing {
        self.judged_at(RECEIVED, RECEIVED)
    }

    fn judged_at(&self, asked: Now, received: Now) -> Storing {
        may_store(&Exchange {
            method: &Method::GET,
            request: &self.request,
            sent: &self.request,
            claims_another: false,
            has_body: false,
            custom: false,
            names_itself: false,
            status: StatusCode::from_u16(self.status).expect("a status code"),
            response: &self.response,
            body: b"{}",
            rule: &self.rule,
            default_applies: true,
            defaults: &self.defaults,
            targeted: &[],
            is_unseen: |_| false,
            asked,
            received,
        })
    }
}

fn lifetime_in(storing: Storing) -> Option<Lifetime> {
    match storing {
        Storing::Store { lifetime, .. } => Some(lifetime),
        Storing::Refuse(_) => None,
    }
}

fn add(fields: &mut HeaderMap, name: &str, value: &str) {
    let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
    fields.append(name, HeaderValue::from_str(value).expect("a value"));
}

fn controlled(lines: &[String]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for line in lines {
        add(&mut fields, "cache-control", line);
    }
    fields
}

fn later(seconds: u64) -> Now {
    Now {
        mono: RECEIVED.mono + Duration::from_secs(seconds),
        ..RECEIVED
    }
}

fn pure() -> Defaults {
    Defaults {
        ttl: Duration::ZERO,
        stale_time: Duration::ZERO,
        ..Defaults::default()
    }
}

fn rules() -> impl Strategy<Value = Rule> {
    let time = || prop::option::of((0u64..200).prop_map(Duration::from_secs));
    (time(), time(), time(), time(), any::<bool>()).prop_map(
        |(cache_ttl, stale_time, slow_grace, grace_time, forced)| {
            let force = Force {
                must_revalidate: forced,
                ..Force::default()
            };
            Rule {
                cache_ttl,
                stale_time,
                slow_grace,
                grace_time,
                force,
                ..Rule::default()
            }
        },
    )
}

fn defaults() -> impl Strategy<Value = Defaults> {
    any::<bool>().prop_map(|none| if none { pure() } else { Defaults::default() })
}

fn responses() -> impl Strategy<Value = HeaderMap> {
    const OTHERS: [(&str, &str); 8] = [
        ("age", "40"),
        ("date", "Sun, 15 Jun 2025 15:14:30 GMT"),
        ("expires", "Sun, 15 Jun 2025 15:16:00 GMT"),
        ("last-modified", "Sun, 15 Jun 2025 14:50:00 GMT"),
        ("etag", "\"1\""),
        ("content-range", "bytes 0-1/2"),
        ("vary", "Accept"),
        ("set-cookie", "a=b"),
    ];
    (subsequence(&SAID[..], 0..5), subsequence(&OTHERS[..], 0..5)).prop_map(|(said, others)| {
        let mut fields = controlled(&[said.join(", ")]);
        for (name, value) in others {
            add(&mut fields, name, value);
        }
        fields
    })
}

prop_compose! {
    fn exchanges()(
        asked in subsequence(&ASKED[..], 0..4), status in select(&STATUSES[..]), response in responses(), rule in rules(),
        defaults in defaults(),
    ) -> Exchanged {
        Exchanged { request: controlled(&[asked.join(", ")]), status, response, rule, defaults }
    }
}

/// The members in an order, a letter case, with blanks and on lines as they come.
fn written(members: Vec<&'static str>) -> impl Strategy<Value = Vec<String>> {
    let count = members.len();
    let looks = prop::collection::vec(
        (
            "[ \t]{0,2},?[ \t]{0,2}",
            "[ \t]{0,2}",
            any::<bool>(),
            any::<bool>(),
        ),
        count,
    );
    (Just(members).prop_shuffle(), looks).prop_map(|(members, looks)| {
        let mut lines = vec![String::new()];
        for (member, (before, after, upper, ends_line)) in members.into_iter().zip(looks) {
            let member = if upper {
                member.to_uppercase()
            } else {
                member.to_owned()
            };
            let separator = if lines.last().is_none_or(String::is_empty) {
                ""
            } else {
                ","
            };
            let text = format!("{separator}{before}{member}{after}");
            lines.last_mut().expect("never empty").push_str(&text);
            if ends_line {
                lines.push(String::new());
            }
        }
        lines
    })
}

/// Some members, plainly and in another way.
fn twice(of: &'static [&'static str]) -> impl Strategy<Value = (HeaderMap, HeaderMap)> {
    subsequence(of, 0..=of.len().min(6)).prop_flat_map(|members| {
        let plain = controlled(&[members.join(",")]);
        written(members).prop_map(move |lines| (plain.clone(), controlled(&lines)))
    })
}

proptest! {
    #[test]
    fn once_stale_never_fresh_again(exchanged in exchanges(), first in 0u64..400, more in 0u64..400) {
        let Some(lifetime) = lifetime_in(exchanged.judged()) else { return Ok(()) };
        let directives = RequestDirectives::of(&exchanged.request);
        let states = |now| {
            let found = reuse(&lifetime, &directives, now);
            let failures = [FailureKind::Slow, FailureKind::TimedOut, FailureKind::Unreachable, FailureKind::Failed];
            let mut states = vec![
                lifetime.expires_in(now) > 0,
                matches!(found, Reuse::Fresh { .. }),
                matches!(found, Reuse::Fresh { .. } | Reuse::Stale { .. }),
            ];
            states.extend(failures.map(|failure| lifetime.serves_despite(failure, now)));
            states
        };
        let before = states(later(first));
        let after = states(later(first + more));
        prop_assert!(before.iter().zip(&after).all(|(before, after)| *before || !after), "{before:?} then {after:?}");
        prop_assert!(lifetime.age(later(first)) <= lifetime.age(later(first + more)));
    }

    #[test]
    fn no_jump_of_the_wall_clock_changes_an_age(
        exchanged in exchanges(),
        elapsed in 0u64..400,
        wall in prop_oneof![any::<u64>(), 1_749_000_000u64..1_751_000_000],
    ) {
        let jumped = |now| Now { wall: Duration::from_secs(wall), ..now };
        let before_the_jump = exchanged.judged_at(jumped(RECEIVED), RECEIVED);
        prop_assert_eq!(&before_the_jump, &exchanged.judged(), "between question and answer");
        let Some(lifetime) = lifetime_in(before_the_jump) else { return Ok(()) };
        let told = later(elapsed);
        let jumped = jumped(later(elapsed));
        let directives = RequestDirectives::of(&exchanged.request);
        prop_assert_eq!(lifetime.age(told), lifetime.age(jumped));
        prop_assert_eq!(lifetime.age(told), lifetime.initial_age() + Duration::from_secs(elapsed));
        prop_assert_eq!(lifetime.expires_in(told), lifetime.expires_in(jumped));
        prop_assert_eq!(reuse(&lifetime, &directives, told), reuse(&lifetime, &directives, jumped));
    }

    #[test]
    fn order_case_and_spacing_of_directives_change_no_decision(
        (said_plainly, said_otherwise) in twice(&SAID),
        (asked_plainly, asked_otherwise) in twice(&ASKED),
        status in select(&STATUSES[..]),
        has_tag in any::<bool>(),
        defaults in defaults(),
        elapsed in 0u64..200,
    ) {
        let exchanged = |request: HeaderMap, mut response: HeaderMap| {
            add(&mut response, "content-range", "bytes 0-1/2");
            if has_tag {
                add(&mut response, "etag", "\"1\"");
            }
            Exchanged { request, status, response, rule: Rule::default(), defaults: defaults.clone() }
        };
        let plain = exchanged(asked_plainly, said_plainly);
        let otherwise = exchanged(asked_otherwise, said_otherwise);
        prop_assert_eq!(plain.judged(), otherwise.judged());
        let directives = RequestDirectives::of(&plain.request);
        let other_directives = RequestDirectives::of(&otherwise.request);
        let unwilling = Exchanged { request: HeaderMap::new(), ..otherwise };
        if let Some(lifetime) = lifetime_in(unwilling.judged()) {
            let now = later(elapsed);
            prop_assert_eq!(reuse(&lifetime, &directives, now), reuse(&lifetime, &other_directives, now));
        }
    }

    #[test]
    fn no_store_is_never_stored_without_force(
        exchanged in exchanges(),
        place in any::<Index>(),
        set_cookie in select(vec![None, Some(SetCookie::Strip), Some(SetCookie::Store)]),
        others_forced in any::<bool>(),
        in_request in any::<bool>(),
    ) {
        let force = Force { private: others_forced, authorization: others_forced, ..exchanged.rule.force };
        let mut exchanged = Exchanged { rule: Rule { force, set_cookie, ..exchanged.rule }, ..exchanged };
        let fields = if in_request { &mut exchanged.request } else { &mut exchanged.response };
        let line = fields["cache-control"].to_str().expect("ASCII").to_owned();
        let mut members: Vec<&str> = line.split(", ").collect();
        // Members with a comma inside fall in two here: no place between the two halves.
        let place = if line.contains('"') { 0 } else { place.index(members.len() + 1) };
        members.insert(place, "no-store");
        fields.insert("cache-control", HeaderValue::from_str(&members.join(", ")).expect("a value"));
        // §5.2.2.3: of the response, that is.
        prop_assume!(in_request || !line.contains("must-understand"));
        prop_assert!(matches!(exchanged.judged(), Storing::Refuse(_)));
    }

    #[test]
    fn an_update_never_changes_what_describes_the_body(stored in described(), update in described()) {
        let fresh = freshen(&stored, &update);
        for name in OF_THE_BODY {
            let lines = |fields: &HeaderMap| fields.get_all(name).iter().cloned().collect::<Vec<HeaderValue>>();
            prop_assert_eq!(lines(&fresh), lines(&stored), "{}", name);
        }
        for name in ["etag", "x-a"].into_iter().filter(|name| update.contains_key(*name)) {
            prop_assert_eq!(&fresh[name], &update[name], "{}", name);
        }
    }
}

const OF_THE_BODY: [&str; 3] = ["content-length", "content-encoding", "content-range"];

/// Responses in which the same few fields come again and again.
fn described() -> impl Strategy<Value = HeaderMap> {
    let names = [
        "content-length",
        "content-encoding",
        "content-range",
        "etag",
        "x-a",
        "age",
    ];
    prop::collection::vec((select(names.to_vec()), "[a-z0-9]{1,3}"), 0..8).prop_map(|lines| {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            add(&mut fields, name, &value);
        }
        fields
    })
}
