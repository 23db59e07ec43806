//! `urlConfigs`: routes and their rules.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;

use super::section::Section;
use crate::policy::check::{Check, JsonKind};
use crate::policy::rate::RateLimit;
use crate::policy::rule::{Defaults, Fallback, Force, Rule, SetCookie};
use crate::route::{Pattern, Route};

/// A word of `force`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Forced {
    NoStore,
    Private,
    Authorization,
    MustRevalidate,
}

/// The words of `force`, as the configuration spells them.
const FORCED: [(&str, Forced); 4] = [
    ("no-store", Forced::NoStore),
    ("private", Forced::Private),
    ("authorization", Forced::Authorization),
    ("must-revalidate", Forced::MustRevalidate),
];

/// The words of `setCookie`.
pub const SET_COOKIE: [(&str, SetCookie); 3] = [
    ("refuse", SetCookie::Refuse),
    ("strip", SetCookie::Strip),
    ("store", SetCookie::Store),
];

/// The words of `onExhausted`, the default first.
pub const ON_EXHAUSTED: [(&str, Fallback); 3] = [
    ("error503", Fallback::Error),
    ("empty", Fallback::Empty),
    ("null", Fallback::Null),
];

/// Reads `urlConfigs` over the preset's routes: what a member does not say stays as the preset has it. One `pollInterval`
/// anywhere, and the preset polls nothing of its own. A member without a usable path is a problem and is left out.
pub fn read_routes(
    top: &mut Section<'_>,
    defaults: &Defaults,
    routes: &mut Vec<Route>,
    warnings: &mut Vec<String>,
) {
    let mut seen = HashSet::new();
    let mut polls_itself = true;
    top.sections("urlConfigs", |section| {
        let pattern = read_pattern(section);
        let place = routes
            .iter()
            .position(|route| Some(&route.pattern) == pattern.as_ref());
        let mut rule = place.map_or_else(Rule::default, |at| routes[at].rule.clone());
        read_rule(section, &mut rule, defaults, warnings);
        read_poll(section, pattern.as_ref(), &mut rule, warnings);
        polls_itself &= !section.has("pollInterval");
        let Some(pattern) = pattern else { return };
        if !seen.insert(pattern.clone()) {
            return section.problem("path", "a path that stands here twice", "each path once");
        }
        match place {
            Some(at) => routes[at].rule = rule,
            None => routes.push(Route { pattern, rule }),
        }
    });
    for rule in routes
        .iter_mut()
        .map(|route| &mut route.rule)
        .filter(|rule| rule.own_poll && !polls_itself)
    {
        (rule.poll_interval, rule.own_poll) = (None, false);
    }
}

fn read_pattern(section: &mut Section<'_>) -> Option<Pattern> {
    let mut pattern = None;
    let parse = |value: &Value| value.as_str().and_then(Pattern::parse).map(Some);
    section.set(
        "path",
        &mut pattern,
        "\"/path\", \"/path?query\" or \"/prefix*\"",
        parse,
    );
    if !section.has("path") {
        section.problem(
            "path",
            "nothing",
            "\"/path\", \"/path?query\" or \"/prefix*\"",
        );
    }
    pattern
}

fn read_rule(
    section: &mut Section<'_>,
    rule: &mut Rule,
    defaults: &Defaults,
    warnings: &mut Vec<String>,
) {
    section.some_duration("cacheTTL", &mut rule.cache_ttl);
    section.some_duration("staleTime", &mut rule.stale_time);
    section.some_duration("refreshMinInterval", &mut rule.refresh_min_interval);
    section.some_duration("slowGrace", &mut rule.slow_grace);
    section.some_duration("graceTime", &mut rule.grace_time);
    section.word("onExhausted", &mut rule.fallback, &ON_EXHAUSTED);
    section.section("check", |check| rule.check = Some(read_check(check)));
    read_force(section, &mut rule.force, warnings);
    section.word(
        "setCookie",
        &mut rule.set_cookie,
        &SET_COOKIE.map(|(word, meaning)| (word, Some(meaning))),
    );
    section.word(
        "cookies",
        &mut rule.strip_cookies,
        &[("keep", false), ("strip", true)],
    );
    section.section("rateLimit", |rate| {
        read_rate_limit(rate, &mut rule.rate_limit)
    });
    let ttl: Duration = rule.cache_ttl.unwrap_or(defaults.ttl);
    if rule
        .stale_time
        .is_some_and(|stale_time| is_never_refreshed(stale_time, ttl))
    {
        let path = section.path_of("staleTime");
        warnings.push(format!(
            "{path} is not below cacheTTL: nothing is refreshed before it expires"
        ));
    }
}

/// Whether an answer is past its TTL before a hit could refresh it in the background. Both zero mean that nobody wants it to.
pub fn is_never_refreshed(stale_time: Duration, ttl: Duration) -> bool {
    stale_time >= ttl && !stale_time.is_zero()
}

/// `pollInterval`, 0 is off; and how far it slows down.
fn read_poll(
    section: &mut Section<'_>,
    pattern: Option<&Pattern>,
    rule: &mut Rule,
    warnings: &mut Vec<String>,
) {
    let mut interval = None;
    section.some_duration("pollInterval", &mut interval);
    if let Some(interval) = interval {
        if !interval.is_zero() && matches!(pattern, Some(Pattern::Prefix(_))) {
            section.problem("pollInterval", "a path with *", "one path to poll");
        }
        rule.poll_interval = Some(interval).filter(|interval| !interval.is_zero());
        rule.own_poll = false;
    }
    section.some_duration("pollIdleInterval", &mut rule.poll_idle_interval);
    section.some_duration("pollIdleAfter", &mut rule.poll_idle_after);
    let slows_down = |slow: Duration| rule.poll_interval.is_some_and(|interval| slow > interval);
    if rule
        .poll_idle_interval
        .is_some_and(|slow| !slow.is_zero() && !slows_down(slow))
    {
        let path = section.path_of("pollIdleInterval");
        warnings.push(format!(
            "{path} is not above pollInterval: nothing slows down"
        ));
    }
}

/// `rateLimit` as a whole, over whatever the preset has; 0 a minute is off.
fn read_rate_limit(rate: &mut Section<'_>, limit: &mut Option<RateLimit>) {
    let (mut per_minute, mut unsafe_only) = (None, false);
    let count = |value: &Value| {
        value
            .as_u64()
            .and_then(|count| u32::try_from(count).ok())
            .map(Some)
    };
    let expected = "a whole number from 0";
    rate.set("perMinute", &mut per_minute, expected, count);
    if !rate.has("perMinute") {
        rate.problem("perMinute", "nothing", expected);
    }
    rate.flag("unsafeOnly", &mut unsafe_only);
    let per_minute = per_minute.filter(|per_minute| *per_minute > 0);
    *limit = per_minute.map(|per_minute| RateLimit {
        per_minute,
        unsafe_only,
        route: 0,
    });
}

fn read_force(section: &mut Section<'_>, force: &mut Force, warnings: &mut Vec<String>) {
    let mut forced = Vec::new();
    section.words("force", &mut forced, &FORCED);
    if !section.has("force") {
        return;
    }
    for (word, _) in FORCED
        .iter()
        .filter(|(_, meaning)| forced.contains(meaning))
    {
        warnings.push(format!(
            "{} sets the origin's {word} aside",
            section.path_of("force")
        ));
    }
    *force = Force {
        no_store: forced.contains(&Forced::NoStore),
        private: forced.contains(&Forced::Private),
        authorization: forced.contains(&Forced::Authorization),
        must_revalidate: forced.contains(&Forced::MustRevalidate),
    };
}

fn read_check(section: &mut Section<'_>) -> Check {
    let mut check = Check::default();
    let kinds = [
        ("any", JsonKind::Any),
        ("object", JsonKind::Object),
        ("array", JsonKind::Array),
    ];
    section.word(
        "json",
        &mut check.json,
        &kinds.map(|(word, kind)| (word, Some(kind))),
    );
    let pointer = |text: &str| is_pointer(text).then(|| text.to_string());
    section.list(
        "require",
        &mut check.require,
        "a JSON pointer such as \"/site/power\"",
        pointer,
    );
    section.flag("nonEmpty", &mut check.non_empty);
    section.list("notText", &mut check.not_text, "a text", |text| {
        Some(text.to_string())
    });
    check
}

/// Whether it is a JSON pointer (RFC 6901 §3) to something inside a document.
fn is_pointer(text: &str) -> bool {
    text.starts_with('/')
        && text
            .split('~')
            .skip(1)
            .all(|escaped| escaped.starts_with(['0', '1']))
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn an_idle_pace_that_slows_nothing_down_is_a_warning() {
        let cases = [
            (r#", "pollInterval": 5, "pollIdleInterval": 6"#, false),
            (r#", "pollInterval": 5, "pollIdleInterval": 0"#, false),
            (r#", "pollInterval": 5, "pollIdleInterval": 5"#, true),
            (r#", "pollIdleInterval": 60"#, true),
        ];
        for (more, warned) in cases {
            let route = format!(r#"{{ "urlConfigs": [{{ "path": "/a"{more} }}] }}"#);
            assert_eq!(is_warned(&route), warned, "{more}");
        }
    }

    fn is_warned(text: &str) -> bool {
        !Config::from_json(text).expect("valid").warnings.is_empty()
    }

    #[test]
    fn c4_without_time_for_a_background_refresh_there_is_a_warning() {
        let cases = [
            (60, 60, true),
            (59, 60, false),
            (61, 60, true),
            (0, 60, false),
            (0, 0, false),
            (1, 0, true),
        ];
        for (stale, ttl, warned) in cases {
            let route =
                format!("{{ \"path\": \"/a\", \"staleTime\": {stale}, \"cacheTTL\": {ttl} }}");
            assert_eq!(
                is_warned(&format!("{{ \"urlConfigs\": [{route}] }}")),
                warned,
                "{route}"
            );
            let defaults = format!("{{ \"defaultStaleTime\": {stale}, \"defaultTTL\": {ttl} }}");
            assert_eq!(
                is_warned(&format!("{{ \"cache\": {defaults} }}")),
                warned,
                "{defaults}"
            );
        }
    }
}
