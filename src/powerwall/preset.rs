//! What is known in advance about pypowerwall, as routes: how often it is polled, how long its answers hold, what they must
//! look like. Pure.
//!
//! The numbers are those its users found to be gentle: 2 requests at once, and nothing polled but what dashboards show.

use std::time::Duration;

use http::header::ORIGIN;

use super::plausibility::{NO_ANSWER, PlausibilityCheck};
use crate::policy::check::{Check, JsonKind};
use crate::policy::rate::RateLimit;
use crate::policy::rule::{IgnoreFields, Rule, SetCookie};
use crate::route::{Pattern, Route};

/// A path, the seconds between two polls (0: not polled), until refreshed and until no longer fresh.
type RoutePreset = (&'static str, u64, u64, u64);

/// What every home has.
pub const METERS_PATH: &str = "/aggregates";
const METERS: [RoutePreset; 1] = [(METERS_PATH, 5, 5, 30)];

/// What some homes do not have, and none has while its gateway is away.
const MAYBE_EMPTY: [RoutePreset; 28] = [
    ("/strings", 5, 5, 30),
    ("/freq", 5, 20, 30),
    ("/soe", 30, 25, 60),
    ("/alerts/pw", 30, 60, 120),
    ("/pod", 30, 60, 120),
    ("/temps/pw", 30, 60, 120),
    ("/fans/pw", 30, 60, 120),
    ("/alerts", 0, 60, 120),
    ("/temps", 0, 60, 120),
    ("/fans", 0, 60, 120),
    ("/vitals", 0, 5, 30),
    ("/battery", 0, 5, 30),
    ("/version", 0, 300, 600),
    // What the power-flow page asks for.
    ("/api/meters/aggregates", 0, 5, 30),
    ("/api/system_status/soe", 0, 5, 30),
    ("/api/system_status/grid_status", 0, 5, 30),
    ("/api/sitemaster", 0, 5, 30),
    ("/api/powerwalls", 0, 5, 30),
    ("/api/troubleshooting/problems", 0, 5, 30),
    ("/api/auth/toggle/supported", 0, 5, 30),
    ("/api/status", 0, 5, 30),
    ("/api/operation", 0, 5, 30),
    ("/api/site_info", 0, 5, 30),
    ("/api/networks", 0, 5, 30),
    ("/api/solar_powerwall", 0, 5, 30),
    ("/api/aggregate/strings", 0, 5, 30),
    ("/api/aggregate/alerts", 0, 5, 30),
    ("/api/aggregate/vitals", 0, 5, 30),
];

/// Where a zero may mean that nothing is known.
const MAYBE_ZERO: [RoutePreset; 5] = [
    ("/csv/v2", 10, 10, 60),
    ("/csv", 0, 10, 60),
    ("/json", 0, 10, 60),
    ("/pw/power", 0, 10, 60),
    ("/pw/level", 0, 10, 60),
];

/// Sums of several gateways.
const TOTALS: [RoutePreset; 5] = [
    ("/api/aggregate", 0, 5, 30),
    ("/api/aggregate/", 0, 5, 30),
    ("/api/aggregate/power", 0, 5, 30),
    ("/api/aggregate/soe", 0, 5, 30),
    ("/api/aggregate/battery", 0, 5, 30),
];

/// Everything else that answers with readings.
const UNLISTED: [RoutePreset; 2] = [("/api/*", 0, 5, 30), ("/pw/*", 0, 10, 60)];

/// What the program tells of itself, and which gateways it has. Not judged: it is true whatever becomes of a gateway.
const OWN: [RoutePreset; 3] = [
    ("/stats", 0, 5, 30),
    ("/api/gateways", 0, 5, 30),
    ("/api/gateways/", 0, 5, 30),
];

/// What acts on every request, or tells of it: never stored.
const ACTS: [&str; 3] = ["/stats/clear", "/health/reset", "/health"];

/// Commands.
const CONTROL: &str = "/control/*";

/// Readings of what commands set, which are worthless after one.
const SET_BY_COMMANDS: [&str; 9] = [
    CONTROL,
    "/json",
    "/pod",
    "/csv/v2",
    "/pw/get_reserve",
    "/pw/get_mode",
    "/pw/get_time_remaining",
    "/api/operation",
    "/api/gateways/*",
];

/// Commands that one address may give in a minute.
const CONTROLS_PER_MINUTE: u32 = 10;

/// How the bodies of this path are judged. `None`: not at all.
pub fn check_of(path: &str) -> Option<PlausibilityCheck> {
    let exact = [
        (&METERS[..], PlausibilityCheck::Aggregates),
        (&MAYBE_EMPTY, PlausibilityCheck::EmptyIsNews),
        (&MAYBE_ZERO, PlausibilityCheck::CrossChecked),
        (&TOTALS, PlausibilityCheck::Totals),
    ];
    let is_among = |presets: &[RoutePreset]| presets.iter().any(|preset| preset.0 == path);
    let is_below = |preset: &RoutePreset| path.starts_with(preset.0.trim_end_matches('*'));
    if is_among(&OWN) {
        return None;
    }
    exact
        .into_iter()
        .find(|(presets, _)| is_among(presets))
        .map(|(_, kind)| kind)
        .or_else(|| {
            UNLISTED
                .iter()
                .any(is_below)
                .then_some(PlausibilityCheck::Unlisted)
        })
}

/// The routes of the preset `pypowerwall`, the most important poll first.
pub fn pypowerwall_routes() -> Vec<Route> {
    let meters = Check {
        json: Some(JsonKind::Object),
        require: vec!["/site/instant_power".to_owned()],
        ..texts()
    };
    let json = Check {
        json: Some(JsonKind::Any),
        ..texts()
    };
    let groups = [
        (&METERS[..], Some(meters)),
        (&MAYBE_EMPTY, Some(json)),
        (&MAYBE_ZERO, Some(texts())),
        (&TOTALS, Some(texts())),
        (&UNLISTED, None),
        (&OWN, None),
    ];
    let routes = groups.iter().flat_map(|(presets, check)| {
        presets.iter().filter_map(|preset| {
            let rule = Rule {
                check: check.clone(),
                judged: check_of(preset.0).is_some(),
                ..timed(preset)
            };
            Pattern::parse(preset.0).map(|pattern| Route { pattern, rule })
        })
    });
    let acts = ACTS.iter().filter_map(|path| never_stored(path));
    routes.chain(acts).chain(control()).collect()
}

fn never_stored(path: &str) -> Option<Route> {
    let rule = Rule {
        cache_ttl: Some(Duration::ZERO),
        ..Rule::default()
    };
    Pattern::parse(path).map(|pattern| Route { pattern, rule })
}

/// Commands: as many as a person gives, not as many as a program gone wild.
fn control() -> Option<Route> {
    let mut route = never_stored(CONTROL)?;
    route.rule.rate_limit = Some(RateLimit {
        per_minute: CONTROLS_PER_MINUTE,
        unsafe_only: true,
        route: 0,
    });
    route.rule.also_invalidates = SET_BY_COMMANDS.to_vec();
    Some(route)
}

/// What holds on all its paths, at the pace of a line. pypowerwall-server gives cookies to everybody and varies by Origin;
/// nothing in its answers depends on either, nor on any other field of a request.
fn timed(&(_, poll, stale, ttl): &RoutePreset) -> Rule {
    let poll_interval = Some(Duration::from_secs(poll)).filter(|interval| !interval.is_zero());
    Rule {
        cache_ttl: Some(Duration::from_secs(ttl)),
        stale_time: Some(Duration::from_secs(stale)),
        poll_interval,
        own_poll: poll_interval.is_some(),
        set_cookie: Some(SetCookie::Strip),
        strip_cookies: true,
        strip_origin: true,
        ignore_fields: IgnoreFields::All,
        ignore_vary: vec![ORIGIN],
        cors: true,
        own_location: true,
        ..Rule::default()
    }
}

fn texts() -> Check {
    Check {
        not_text: NO_ANSWER.map(str::to_owned).into(),
        ..Check::default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn which_gateways_there_are_is_true_without_readings() {
        for path in ["/api/gateways", "/api/gateways/", "/stats"] {
            assert_eq!(check_of(path), None, "{path}");
        }
        assert_eq!(
            check_of("/api/gateways/a"),
            Some(PlausibilityCheck::Unlisted)
        );
    }

    fn rule(path: &str) -> Rule {
        let pattern = Pattern::parse(path).expect("a pattern");
        let found = pypowerwall_routes()
            .into_iter()
            .find(|route| route.pattern == pattern);
        found.unwrap_or_else(|| panic!("{path}")).rule
    }

    #[test]
    fn each_path_once_and_none_lost() {
        let routes = pypowerwall_routes();
        assert_eq!(
            routes.len(),
            METERS.len()
                + MAYBE_EMPTY.len()
                + MAYBE_ZERO.len()
                + TOTALS.len()
                + UNLISTED.len()
                + OWN.len()
                + ACTS.len()
                + 1
        );
        assert_eq!(
            routes
                .iter()
                .map(|route| &route.pattern)
                .collect::<HashSet<_>>()
                .len(),
            routes.len()
        );
    }

    #[test]
    fn what_is_polled_and_how_long_it_holds() {
        let expected = [
            ("/aggregates", 5, 5, 30),
            ("/strings", 5, 5, 30),
            ("/freq", 5, 20, 30),
            ("/soe", 30, 25, 60),
            ("/alerts/pw", 30, 60, 120),
            ("/pod", 30, 60, 120),
            ("/temps/pw", 30, 60, 120),
            ("/fans/pw", 30, 60, 120),
            ("/csv/v2", 10, 10, 60),
        ];
        for (path, poll, stale, ttl) in expected {
            let rule = rule(path);
            let times = [rule.poll_interval, rule.stale_time, rule.cache_ttl];
            assert_eq!(
                times,
                [poll, stale, ttl].map(|seconds| Some(Duration::from_secs(seconds))),
                "{path}"
            );
            assert!(rule.own_poll, "{path}");
        }
        let polled = pypowerwall_routes()
            .into_iter()
            .filter(|route| route.rule.poll_interval.is_some());
        assert_eq!(polled.count(), expected.len(), "nothing else is polled");
    }

    #[test]
    fn r13_commands_are_counted_and_what_acts_is_never_stored() {
        let limit = RateLimit {
            per_minute: 10,
            unsafe_only: true,
            route: 0,
        };
        assert_eq!(
            rule(CONTROL),
            Rule {
                cache_ttl: Some(Duration::ZERO),
                rate_limit: Some(limit),
                also_invalidates: SET_BY_COMMANDS.to_vec(),
                ..Rule::default()
            }
        );
        let limited = pypowerwall_routes()
            .into_iter()
            .filter(|route| route.rule.rate_limit.is_some());
        assert_eq!(limited.count(), 1);
        for path in ACTS {
            let rule = rule(path);
            assert_eq!(rule.cache_ttl, Some(Duration::ZERO), "{path}");
        }
    }

    #[test]
    fn every_path_shares_what_the_server_gives_to_everybody() {
        let readings = pypowerwall_routes()
            .into_iter()
            .filter(|route| route.rule.cache_ttl != Some(Duration::ZERO));
        for Route { pattern, rule } in readings {
            assert!(
                rule.strip_cookies
                    && rule.strip_origin
                    && rule.cors
                    && rule.own_location
                    && rule.ignore_fields == IgnoreFields::All,
                "{pattern:?}"
            );
            assert_eq!(
                (rule.set_cookie, rule.ignore_vary.as_slice()),
                (Some(SetCookie::Strip), &[ORIGIN][..]),
                "{pattern:?}"
            );
        }
    }

    #[test]
    fn each_kind_of_body_has_its_judge() {
        let judges = [
            "/aggregates",
            "/vitals",
            "/json",
            "/api/aggregate/",
            "/api/*",
            "/stats",
        ]
        .map(check_of);
        let expected = [
            Some(PlausibilityCheck::Aggregates),
            Some(PlausibilityCheck::EmptyIsNews),
            Some(PlausibilityCheck::CrossChecked),
            Some(PlausibilityCheck::Totals),
            Some(PlausibilityCheck::Unlisted),
            None,
        ];
        assert_eq!(judges, expected);
        assert!(
            rule("/csv")
                .check
                .is_some_and(|check| check.json.is_none() && check.evaluate(b"ERROR!").is_err())
        );
        assert!(
            rule("/vitals")
                .check
                .is_some_and(|check| check.evaluate(b"<html>").is_err())
        );
        assert!(
            rule("/aggregates")
                .check
                .is_some_and(|check| check.evaluate(b"{}").is_err())
        );
    }
}
